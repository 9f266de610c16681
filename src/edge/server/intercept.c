/* What happens to every call before its method hears of it, and when it ends: etcd's interceptors.
 */
#include "edge/server/kv.h"
#include "edge/server/otel.h"
#include "obs/gofmt.h"

#define LEADER_CHECKS_MAX 3 /* in a row without a leader: guarded streams end */

/* ---- checks ---- */

/* What a learner may be asked.  Range depends on the message: kv_range checks that itself. */
static bool learner_may(enum method_id id)
{
    return id == METHOD_STATUS || id == METHOD_KV_RANGE || id == METHOD_SNAPSHOT;
}

/* The series of the client's version; clients rarely change it from call to call. */
static void count_client(struct call *c, struct io *io, struct bytes version)
{
    struct server *s = io->server;
    bool unary = call_method(c)->kind == NET_UNARY;

    if (version.n >= sizeof io->last_client.version)
        version = BYTES_LIT("unknown");
    if (io->last_client.unary == NULL || !bytes_eq(version, bytes_str(io->last_client.version))) {
        char *to = io->last_client.version;

        memcpy(to, version.p, version.n);
        to[version.n] = 0;
        io->last_client.unary = metric_with(s->m.client_requests,
                                            METRIC_LABELS("unary", (const char *) to));
        io->last_client.stream = metric_with(s->m.client_requests,
                                             METRIC_LABELS("stream", (const char *) to));
    }
    metric_inc(unary ? io->last_client.unary : io->last_client.stream);
}

static int refuse(enum api_error err, const char **ret_text)
{
    *ret_text = api_error_text(err);
    return (int) api_error_code(err);
}

static bool wants_leader(const struct call *c)
{
    struct bytes v;

    return call_metadata(c, "hasleader", &v) && bytes_eq(v, BYTES_LIT("true"));
}

int intercept_begin(struct call *c, void *user, const char **ret_text)
{
    struct io *io = call_io(c);
    struct server *s = user;
    enum method_id id = (enum method_id) call_method(c)->tag;
    struct bytes version = BYTES_LIT("unknown");

    methods_count_started(&s->m.methods, id);
    if (UNLIKELY(s->otel != NULL))
        otel_call_begin(s->otel, c);
    if (UNLIKELY(!learner_may(id))) {
        struct node_status st;

        node_status(s->node, &st);
        if (st.is_learner)
            return refuse(API_NOT_SUPPORTED_FOR_LEARNER, ret_text);
    }
    if (call_metadata(c, "client-api-version", &version) && !utf8_valid(version))
        return refuse(API_INVALID_CLIENT_API_VERSION, ret_text);
    count_client(c, io, version);
    if (wants_leader(c) && node_leader(s->node) == 0)
        return refuse(API_NO_LEADER, ret_text);
    return GRPC_OK;
}

/* ---- the end ---- */

void intercept_end(struct call *c, int code, void *user)
{
    struct server *s = user;
    enum method_id id = (enum method_id) call_method(c)->tag;
    /* Not the time of the turn: a call may begin, read for long and end in one. */
    mono_ns took = clock_mono_ns(s->o.clock) - call_started_ns(c);

    methods_count_handled(&s->m.methods, id, code, took);
    otel_call_end(c, code);
    if (methods[id].kind != NET_UNARY)
        return;
    if (code == GRPC_OK)
        methods_count_sent(&s->m.methods, id);
    if (took > s->config->warning_unary_request_duration)
        slow_call(c, LOG_LEVEL_WARN, took);
    else if (log_enabled(s->log, LOG_LEVEL_DEBUG))
        slow_call(c, LOG_LEVEL_DEBUG, took);
}

/* ---- streams that want a leader ---- */

void leader_guard_begin(struct call *c, struct leader_guard *g,
                        void (*lost)(struct leader_guard *g))
{
    struct io *io = call_io(c);
    int64_t every_ms = (int64_t) io->server->config->election_timeout;

    list_init(&g->link);
    g->lost = lost;
    if (!wants_leader(c))
        return;
    /* Without memory for a timer the stream is merely not guarded. */
    if (list_empty(&io->guarded) && loop_timer_start(io->loop, &io->leader_timer, every_ms) != 0)
        return;
    list_push(&io->guarded, &g->link);
}

void leader_guard_end(struct leader_guard *g)
{
    list_remove(&g->link);
}

void leader_timer_fire(struct loop_timer *t)
{
    struct io *io = CONTAINER_OF(t, struct io, leader_timer);
    struct list *l;

    if (list_empty(&io->guarded)) {
        io->leader_missed = 0;
        return; /* the next guarded stream starts it again */
    }
    if (node_leader(io->server->node) != 0)
        io->leader_missed = 0;
    else if (++io->leader_missed >= LEADER_CHECKS_MAX)
        while ((l = list_pop(&io->guarded)) != NULL) {
            struct leader_guard *g = CONTAINER_OF(l, struct leader_guard, link);

            g->lost(g);
        }
    if (loop_timer_start(io->loop, t, (int64_t) io->server->config->election_timeout) != 0)
        LOG_WARN(io->server->log, "cannot go on checking for a leader");
}
