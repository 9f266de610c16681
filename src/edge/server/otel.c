#include "edge/server/otel.h"

#include <stdatomic.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "edge/server/otel_export.h"

#define MILLION 1000000
#define NS_PER_MS INT64_C(1000000)

struct otel {
    struct server *server;
    struct otel_export *exporter;
    uint64_t sampled_below; /* of the 63 bits that decide about a trace without a parent */
    _Atomic int64_t ahead_ns;
};

static struct otel *otel_of(struct call *c)
{
    return call_server(c)->otel;
}

/* ---- time ---- */

/* How far the wall clock is ahead of the other one.  It shows whole milliseconds, so each look
 * tells that to a millisecond; the estimate is moved only when it lies outside of that.  So with
 * each look it comes nearer, and it follows a clock that is set.  The spans of a call share one
 * estimate: what they last is measured by the clock that never goes back. */
static int64_t ahead_now(struct otel *o)
{
    struct clock *k = o->server->o.clock;
    int64_t low = clock_wall_ms(k) * NS_PER_MS - clock_mono_ns(k);
    int64_t ahead = atomic_load_explicit(&o->ahead_ns, memory_order_relaxed);
    int64_t fit = MIN(MAX(ahead, low), low + NS_PER_MS - 1);

    if (fit != ahead)
        atomic_store_explicit(&o->ahead_ns, fit, memory_order_relaxed);
    return fit;
}

static int64_t now_of(struct otel *o, const struct otel_span *s)
{
    return clock_mono_ns(o->server->o.clock) + s->ahead_ns;
}

/* ---- which calls ---- */

/* The lower half of a trace's id is drawn first, from the thread's own source, which costs nothing:
 * it decides whether the trace is sampled, and most are not. */
static bool root(struct otel *o, struct io *io, struct otel_context *ret)
{
    uint64_t low = random_u64(&io->ids.random), high;

    if (low >> 1 >= o->sampled_below)
        return false;
    high = random_u64(o->server->o.random);
    *ret = (struct otel_context){.flags = OTEL_SAMPLED};
    be64_put(ret->trace_id, high);
    be64_put(ret->trace_id + 8, MAX(low, (uint64_t) 1));
    return true;
}

static void draw_span_id(struct io *io, uint8_t out[OTEL_SPAN_ID_BYTES])
{
    be64_put(out, MAX(random_u64(&io->ids.random), (uint64_t) 1));
}

/* False: the call is not traced. */
static bool sampled(struct otel *o, struct call *c, struct otel_context *ret, bool *ret_parent)
{
    struct bytes text;

    *ret_parent = call_metadata(c, "traceparent", &text) && otel_traceparent(text, ret);
    return *ret_parent ? (ret->flags & OTEL_SAMPLED) != 0 : root(o, call_io(c), ret);
}

static struct bytes state_of(struct call *c)
{
    struct bytes text;
    char *out;

    if (!call_metadata(c, "tracestate", &text) || text.n == 0)
        return BYTES_EMPTY;
    out = arena_alloc(call_arena(c), text.n);
    return out == NULL ? BYTES_EMPTY : bytes_of(out, otel_tracestate(text, out));
}

/* ---- the span of a call ---- */

static void address_attributes(struct otel_span *s, struct call *c)
{
    char text[CALL_ADDRESS_BYTES];
    const char *colon;
    struct bytes host;

    call_address(c, text);
    colon = strrchr(text, ':');
    if (colon == NULL) {
        otel_span_text(s, "server.address", bytes_str(text));
        return;
    }
    host = bytes_of(text, (size_t) (colon - text));
    if (host.n > 1 && host.p[0] == '[')
        host = bytes_of(host.p + 1, host.n - 2);
    otel_span_text(s, "server.address", host);
    if (colon[1] != 0 && colon[1 + strspn(colon + 1, "0123456789")] == 0)
        otel_span_i64(s, "server.port", strtol(colon + 1, NULL, 10)); /* else a socket's path */
}

void otel_call_begin(struct otel *o, struct call *c)
{
    const char *name = call_method(c)->path + 1;
    struct otel_span_start start = {.scope = OTEL_SCOPE_RPC, .kind = OTEL_KIND_SERVER};
    uint8_t parent[OTEL_SPAN_ID_BYTES];
    struct otel_call *t;
    int64_t ahead_ns;
    bool has_parent;

    if (!sampled(o, c, &start.context, &has_parent))
        return;
    t = arena_calloc(call_arena(c), 1, sizeof *t);
    if (t == NULL)
        return;
    memcpy(parent, start.context.span_id, sizeof parent);
    draw_span_id(call_io(c), start.context.span_id);
    if (has_parent)
        t->state = state_of(c);
    start.name = name;
    start.parent = has_parent ? parent : NULL;
    start.remote = true; /* as etcd has it, also without a parent */
    start.state = t->state;
    ahead_ns = ahead_now(o);
    start.unix_ns = call_started_ns(c) + ahead_ns;
    t->rpc = otel_span_new(&start);
    if (t->rpc == NULL)
        return;
    t->rpc->ahead_ns = ahead_ns;
    otel_span_text(t->rpc, "rpc.method", bytes_str(name));
    otel_span_text(t->rpc, "rpc.system.name", BYTES_LIT("grpc"));
    address_attributes(t->rpc, c);
    call_set_trace(c, t);
}

static const char *code_name(int code)
{
    static const char *const names[METHOD_CODES_N] = {
        [GRPC_OK] = "OK",
        [GRPC_CANCELED] = "CANCELLED",
        [GRPC_UNKNOWN] = "UNKNOWN",
        [GRPC_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
        [GRPC_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
        [GRPC_NOT_FOUND] = "NOT_FOUND",
        [GRPC_ALREADY_EXISTS] = "ALREADY_EXISTS",
        [GRPC_PERMISSION_DENIED] = "PERMISSION_DENIED",
        [GRPC_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
        [GRPC_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
        [GRPC_ABORTED] = "ABORTED",
        [GRPC_OUT_OF_RANGE] = "OUT_OF_RANGE",
        [GRPC_UNIMPLEMENTED] = "UNIMPLEMENTED",
        [GRPC_INTERNAL] = "INTERNAL",
        [GRPC_UNAVAILABLE] = "UNAVAILABLE",
        [GRPC_DATA_LOSS] = "DATA_LOSS",
        [GRPC_UNAUTHENTICATED] = "UNAUTHENTICATED",
    };

    ASSERT(code >= 0);
    ASSERT(code < METHOD_CODES_N);
    return names[code];
}

/* Those that are the server's own fault (OpenTelemetry, "Semantic conventions for gRPC"). */
static bool is_fault(int code)
{
    switch (code) {
    case GRPC_UNKNOWN:
    case GRPC_DEADLINE_EXCEEDED:
    case GRPC_UNIMPLEMENTED:
    case GRPC_INTERNAL:
    case GRPC_UNAVAILABLE:
    case GRPC_DATA_LOSS:
        return true;
    default:
        return false;
    }
}

static void end_span(struct otel *o, struct otel_span *s, enum otel_status status,
                     const char *message)
{
    otel_span_end(s, status, message, now_of(o, s));
    otel_export_take(o->exporter, s);
}

void otel__call_end(struct otel_call *t, struct call *c, int code)
{
    struct otel *o = otel_of(c);

    if (t->proposed_ns != 0) { /* nobody waits for the result any more */
        struct node_result res = {.err = code == GRPC_CANCELED ? API_CANCELED : API_TIMEOUT};

        otel__returned(t, c, &res);
    }
    otel__inner_end(c);
    otel_span_text(t->rpc, "rpc.response.status_code", bytes_str(code_name(code)));
    if (is_fault(code))
        end_span(o, t->rpc, OTEL_STATUS_ERROR, call_status_text(c));
    else
        end_span(o, t->rpc, OTEL_STATUS_UNSET, NULL);
    call_set_trace(c, NULL);
}

/* ---- inner spans ---- */

struct otel_span *otel__child(struct call *c, const char *name)
{
    struct otel_call *t = call_trace(c);
    struct otel *o = otel_of(c);
    struct otel_span_start start = {.scope = OTEL_SCOPE_ETCD,
                                    .kind = OTEL_KIND_INTERNAL,
                                    .name = name,
                                    .context = t->rpc->context,
                                    .parent = t->rpc->context.span_id,
                                    .state = t->state,
                                    .unix_ns = now_of(o, t->rpc)};
    struct otel_span *s;

    draw_span_id(call_io(c), start.context.span_id);
    s = otel_span_new(&start);
    if (s != NULL)
        s->ahead_ns = t->rpc->ahead_ns;
    return s;
}

void otel__inner(struct call *c, struct otel_span *s, bool errors)
{
    struct otel_call *t = call_trace(c);

    otel__inner_end(c);
    t->inner = s;
    t->inner_errors = errors;
}

void otel__inner_end(struct call *c)
{
    struct otel_call *t = call_trace(c);

    if (t->inner != NULL)
        end_span(otel_of(c), t->inner, OTEL_STATUS_UNSET, NULL);
    t->inner = NULL;
}

/* ---- proposals ---- */

void otel__proposed(struct otel_call *t, struct call *c)
{
    t->proposed_ns = clock_mono_ns(call_server(c)->o.clock);
}

/* Whether the request was refused before it became a proposal. */
static bool never_sent(enum api_error err)
{
    return err == API_REQUEST_TOO_MANY_REQUESTS || err == API_REQUEST_TOO_LARGE ||
           err == API_INVALID_AUTH_TOKEN;
}

/* What etcd calls an error of the way to a result, not one that is the result; NULL: it is. */
static const char *way_error(enum api_error err)
{
    switch (err) {
    case API_REQUEST_TOO_MANY_REQUESTS:
    case API_REQUEST_TOO_LARGE:
    case API_STOPPED:
    case API_TIMEOUT:
    case API_TIMEOUT_DUE_TO_LEADER_FAIL:
    case API_TIMEOUT_DUE_TO_CONNECTION_LOST:
    case API_CANCELED:
        return api_error_text(err);
    case API_INVALID_AUTH_TOKEN:
        return "auth: invalid auth token"; /* not yet in the words of the API */
    default:
        return NULL;
    }
}

void otel__returned(struct otel_call *t, struct call *c, const struct node_result *res)
{
    struct otel *o = otel_of(c);
    struct otel_span *s = t->inner != NULL ? t->inner : t->rpc;
    const char *error = way_error(res->err);

    if (t->proposed_ns != 0 && !never_sent(res->err))
        otel_span_event(s, "Send raft proposal", t->proposed_ns + s->ahead_ns);
    t->proposed_ns = 0;
    if (error == NULL)
        otel_span_event(s, "Receive raft result", now_of(o, s));
    else if (t->inner == NULL || t->inner_errors)
        otel_span_error(s, error, now_of(o, s));
    otel__inner_end(c);
}

/* ---- watches ---- */

void otel_watch_end(struct io *io, struct otel_span *s)
{
    if (s != NULL)
        end_span(io->server->otel, s, OTEL_STATUS_UNSET, NULL);
}

/* ---- life ---- */

/* As etcd computes it, in floating point, so that members of both kinds agree about a trace. */
static uint64_t threshold(int64_t per_million)
{
    double fraction = (double) per_million / MILLION;

    return fraction >= 1 ? UINT64_MAX : (uint64_t) (fraction * (double) (UINT64_C(1) << 63));
}

int otel_new(struct server *s, struct otel **ret, struct err *e)
{
    const struct config *c = s->config;
    struct otel_export_options eo = {.address = c->distributed_tracing_address,
                                     .service_name = c->distributed_tracing_service_name,
                                     .instance_id = c->distributed_tracing_instance_id,
                                     .log = s->log,
                                     .metrics = s->metrics,
                                     .random = s->o.random};
    struct otel *o;
    int rc;

    *ret = NULL;
    if (!c->enable_distributed_tracing)
        return 0;
    o = mem_calloc(1, sizeof *o);
    if (o == NULL)
        return err_set(e, ERR_NOMEM, "start tracing: out of memory");
    o->server = s;
    o->sampled_below = threshold(c->distributed_tracing_sampling_rate);
    rc = otel_export_new(&eo, &o->exporter, e);
    if (rc != 0) {
        mem_free(o);
        return rc;
    }
    for (size_t i = 0; i < s->ios_n; i++)
        random_seeded_init(&s->ios[i].ids, random_u64(s->o.random));
    LOG_DEBUG(s->log, "distributed tracing enabled",
              F_STR("address", c->distributed_tracing_address),
              F_STR("service-name", c->distributed_tracing_service_name),
              F_STR("service-instance-id", c->distributed_tracing_instance_id),
              F_I64("sampling-rate", c->distributed_tracing_sampling_rate));
    LOG_INFO(s->log, "distributed tracing setup enabled");
    *ret = o;
    return 0;
}

int otel_start(struct otel *o, struct err *e)
{
    return o == NULL ? 0 : otel_export_start(o->exporter, e);
}

void otel_stop(struct otel *o)
{
    if (o != NULL)
        otel_export_stop(o->exporter);
}

void otel_free(struct otel *o)
{
    if (o == NULL)
        return;
    otel_export_free(o->exporter);
    mem_free(o);
}
