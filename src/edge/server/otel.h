/* otel.h -- distributed tracing (--enable-distributed-tracing): which calls are traced, and the
 * spans that are made for them, as etcd 3.7.1 makes them.
 *
 *      etcdserverpb.KV/Put      one for each call of a known method: otel_call_begin, otel_call_end
 *        put                    one for what the member does for it: otel_put and its kin
 *          Send raft proposal   events: otel_proposed, otel_returned
 *          Receive raft result
 *
 * A call is traced when its client says that its trace is sampled (otel_context.h), or, without a
 * word of its client's, by chance: --distributed-tracing-sampling-rate in a million.  What is
 * traced carries a struct otel_call (call_trace); for all other calls everything here is a test of
 * that pointer.
 *
 * Threads: otel_new to otel_free as server.h says of the server; the rest on the call's loop.
 */
#ifndef KETCH_EDGE_SERVER_OTEL_H
#define KETCH_EDGE_SERVER_OTEL_H

#include "edge/server/otel_span.h"
#include "edge/server/server_int.h"

struct otel; /* of a server */

struct otel_call {
    struct otel_span *rpc;
    struct otel_span *inner; /* NULL: none is open */
    bool inner_errors;       /* what keeps `inner` from its result is an event of it */
    mono_ns proposed_ns;     /* 0: no proposal is on its way */
    struct bytes state;
};

/* *ret is NULL when tracing is off. */
NODISCARD int otel_new(struct server *s, struct otel **ret, struct err *e);
NODISCARD int otel_start(struct otel *o, struct err *e); /* NULL is accepted, here and below */
void otel_stop(struct otel *o);                          /* after the last call */
void otel_free(struct otel *o);

void otel_call_begin(struct otel *o, struct call *c);
void otel__call_end(struct otel_call *t, struct call *c, int code);

static inline void otel_call_end(struct call *c, int code)
{
    struct otel_call *t = call_trace(c);

    if (UNLIKELY(t != NULL))
        otel__call_end(t, c, code);
}

/* ---- inside a call ---- */

/* A proposal of the call goes to the node, and comes back; that ends the inner span. */
void otel__proposed(struct otel_call *t, struct call *c);
void otel__returned(struct otel_call *t, struct call *c, const struct node_result *res);

static inline void otel_proposed(struct call *c)
{
    struct otel_call *t = call_trace(c);

    if (UNLIKELY(t != NULL))
        otel__proposed(t, c);
}

static inline void otel_returned(struct call *c, const struct node_result *res)
{
    struct otel_call *t = call_trace(c);

    if (UNLIKELY(t != NULL))
        otel__returned(t, c, res);
}

/* Begin an inner span; one that is open ends.  The last one ends with its call at the latest. */
void otel__range(struct call *c, const Etcdserverpb__RangeRequest *q, bool stream);
void otel__put(struct call *c, const Etcdserverpb__PutRequest *q);
void otel__delete(struct call *c, struct bytes key, struct bytes range_end);
void otel__txn(struct call *c, const Etcdserverpb__TxnRequest *q, bool read_only);
void otel__compact(struct call *c, const Etcdserverpb__CompactionRequest *q);
void otel__grant(struct call *c, int64_t id, int64_t ttl_s);
void otel__revoke(struct call *c, int64_t id);
void otel__renew(struct call *c, int64_t id);
void otel__inner_end(struct call *c);

/* OTEL(c, put, q): otel__put(c, q) where the call is traced. */
#define OTEL(c, what, ...)                   \
    do {                                     \
        if (UNLIKELY(call_trace(c) != NULL)) \
            otel__##what((c), __VA_ARGS__);  \
    } while (0)

static inline void otel_inner_end(struct call *c)
{
    if (UNLIKELY(call_trace(c) != NULL))
        otel__inner_end(c);
}

/* ---- watches: each has a span of its own, for as long as it lives ---- */

/* NULL: the stream is not traced, or there was no memory. */
struct otel_span *otel_watch(struct call *c, const Etcdserverpb__WatchCreateRequest *q);
void otel_watch_end(struct io *io, struct otel_span *s); /* NULL is accepted */

/* ---- for otel_inner.c ---- */

/* A child of the call's span; NULL without memory. */
struct otel_span *otel__child(struct call *c, const char *name);
void otel__inner(struct call *c, struct otel_span *s, bool errors);

#endif
