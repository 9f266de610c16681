/* Auto compaction: by time or by number of revisions, while this member leads.
 *
 *   periodic  The revision is noted every tenth of the period (of an hour at most); once a whole
 * period has been noted, history older than a period is dropped, and from then on every period or
 * hour. revision  Every five minutes all but the newest N revisions are dropped.
 */
#include "base/alloc.h"
#include "edge/server/server_int.h"
#include "obs/gofmt.h"
#include "wire/pb.h"

#define HOUR_NS INT64_C(3600000000000)
#define REVISION_CHECK_MS 300000
#define SAMPLES_MAX 100000 /* of a period of more than a year */

struct compactor {
    struct server *server;
    struct io *io;
    struct loop_timer timer;
    struct req req;
    struct arena arena;
    bool busy; /* req is with the node */
    bool stopped;
    int64_t *samples; /* periodic: a ring, oldest first */
    size_t samples_n;
    size_t samples_cap;
    size_t at;
    int64_t last;    /* compacted to */
    int64_t target;  /* of the request under way */
    mono_ns next_ns; /* periodic: not before */
    mono_ns begin_ns;
    uint8_t body[16];
};

static int64_t sample_ms(const struct config *c)
{
    int64_t ns = MIN(c->retention, HOUR_NS) / 10;

    return c->retention_periodic ? MAX(ns / 1000000, 1) : REVISION_CHECK_MS;
}

static void done(struct req *r)
{
    struct compactor *c = CONTAINER_OF(r, struct compactor, req);
    const struct node_result *res = &r->node.result;
    struct log *log = c->server->log;
    bool ok = res->err == API_COMPACTED || (res->err == API_OK && res->code == GRPC_OK);
    bool periodic = c->server->config->retention_periodic;
    const char *why = res->err != API_OK ? api_error_text(res->err) : res->text;

    c->busy = false;
    arena_reset(&c->arena);
    if (!ok) {
        LOG_WARN(log,
                 periodic ? "failed auto periodic compaction" : "failed auto revision compaction",
                 F_I64("revision", c->target), F_STR("error", why == NULL ? "" : why));
        return;
    }
    c->last = c->target;
    c->next_ns += MIN(c->server->config->retention, HOUR_NS);
    LOG_INFO(log,
             periodic ? "completed auto periodic compaction" : "completed auto revision compaction",
             F_I64("revision", c->target), F_NS("took", loop_now_ns(c->io->loop) - c->begin_ns));
}

static void compact(struct compactor *c, int64_t revision)
{
    uint8_t *p = pb_put_u64(c->body, 1, (uint64_t) revision);
    const struct config *cfg = c->server->config;

    if (cfg->retention_periodic)
        LOG_INFO(c->server->log, "starting auto periodic compaction", F_I64("revision", revision),
                 F_NS("compact-period", cfg->retention));
    else
        LOG_INFO(c->server->log, "starting auto revision compaction", F_I64("revision", revision),
                 F_I64("revision-compaction-retention", cfg->retention));
    c->target = revision;
    c->busy = true;
    c->begin_ns = loop_now_ns(c->io->loop);
    c->req = (struct req){.node = {.kind = NODE_REQ_PROPOSE,
                                   .op = NODE_OP_COMPACTION,
                                   .body = bytes_of(c->body, (size_t) (p - c->body)),
                                   .sink = &c->io->sink,
                                   .arena = &c->arena},
                          .io = c->io,
                          .then = done};
    req_submit(&c->req);
}

static int64_t revision_now(struct compactor *c)
{
    const struct mvcc_view *v = mvcc_view_pin(c->io->reader);
    int64_t revision = mvcc_view_revision(v);

    mvcc_view_unpin(v);
    return revision;
}

/* Notes the revision of now; the oldest one goes when a period is full. */
static void note(struct compactor *c, int64_t revision)
{
    if (c->samples_n < c->samples_cap) {
        c->samples[(c->at + c->samples_n++) % c->samples_cap] = revision;
        return;
    }
    c->samples[c->at] = revision;
    c->at = (c->at + 1) % c->samples_cap;
}

static void periodic(struct compactor *c, bool leads)
{
    int64_t oldest;

    note(c, revision_now(c));
    oldest = c->samples[c->at];
    if (!leads || c->busy || c->samples_n < c->samples_cap ||
        loop_now_ns(c->io->loop) < c->next_ns || oldest == c->last)
        return;
    compact(c, oldest);
}

static void by_revision(struct compactor *c, bool leads)
{
    int64_t target = revision_now(c) - c->server->config->retention;

    if (leads && !c->busy && target > 0 && target != c->last)
        compact(c, target);
}

static void fire(struct loop_timer *t)
{
    struct compactor *c = CONTAINER_OF(t, struct compactor, timer);
    struct node_status st;

    if (c->stopped)
        return;
    node_status(c->server->node, &st);
    if (c->server->config->retention_periodic)
        periodic(c, st.is_leader);
    else
        by_revision(c, st.is_leader);
    if (loop_timer_start(c->io->loop, t, sample_ms(c->server->config)) != 0)
        LOG_WARN(c->server->log, "auto compaction has ended; out of memory");
}

int compactor_start(struct server *s, struct compactor **ret, struct err *e)
{
    const struct config *cfg = s->config;
    struct compactor *c;

    if (cfg->retention == 0)
        return 0;
    c = mem_calloc(1, sizeof *c);
    if (c == NULL)
        return err_set(e, ERR_NOMEM, "start auto compaction: out of memory");
    c->server = s;
    c->io = &s->ios[0];
    c->last = -1;
    c->samples_cap = (size_t) MIN(cfg->retention / (sample_ms(cfg) * 1000000) + 1,
                                  (int64_t) SAMPLES_MAX);
    c->samples = mem_calloc(c->samples_cap, sizeof *c->samples);
    c->next_ns = loop_now_ns(c->io->loop) + (cfg->retention_periodic ? cfg->retention : 0);
    arena_init(&c->arena, 65536);
    loop_timer_init(&c->timer, fire);
    if (c->samples == NULL || loop_timer_start(c->io->loop, &c->timer, sample_ms(cfg)) != 0) {
        compactor_free(c);
        return err_set(e, ERR_NOMEM, "start auto compaction: out of memory");
    }
    *ret = c;
    return 0;
}

void compactor_stop(struct compactor *c)
{
    if (c == NULL)
        return;
    c->stopped = true;
    loop_timer_stop(c->io->loop, &c->timer);
}

void compactor_free(struct compactor *c)
{
    if (c == NULL)
        return;
    ASSERT(!c->busy);
    ASSERT(!loop_timer_active(&c->timer)); /* I4 */
    arena_done(&c->arena);
    mem_free(c->samples);
    mem_free(c);
}
