/* Reads: they run here, on the I/O thread, against a published view, and wait for nobody but the
 * read index. Large answers leave as the client takes them; the view stays pinned until the last
 * byte was made.  Transactions that only read: kv_read_txn.c; streams: kv_read_stream.c. */
#include "edge/server/kv_read.h"

#include "edge/server/decode.h"
#include "edge/server/otel.h"

void read_when(struct call *c, bool serializable, void *user, void (*run)(struct req *r))
{
    struct req *r = req_new(c, NODE_REQ_READ_INDEX, run);

    if (r == NULL)
        return;
    r->user = user;
    if (serializable || node_read_now(r->io->server->node))
        run(r);
    else
        req_submit(r);
}

void kv_read_failed(struct call *c, int rc)
{
    enum api_error err = mvcc_api_error(rc);

    if (err != API_OK)
        reply_error(c, err);
    else
        reply_no_memory(c);
}

/* ---- what all of them share ---- */

/* Field by field: the slots of long steps need no zeroes. */
void kv_read_begin(struct kv_read *x, struct req *r)
{
    struct clock *clock = r->io->server->o.clock;
    struct read_trace *t = &x->t;

    x->slices.io = r->io;
    x->slices.call = r->call;
    x->slices.arena = call_arena(r->call);
    x->slices.bytes = 0;
    t->r = r;
    t->agreed = t->end = clock_mono_ns(clock);
    t->range = NULL;
    t->txn = NULL;
    trace_steps_begin(&t->steps, clock, t->agreed);
    trace_count(&t->steps, 1); /* etcd's "get authentication metadata", which takes no time here */
    x->view = mvcc_view_pin(r->io->reader);
}

size_t kv_read_sorted(struct kv_read *x)
{
    struct io *io = x->slices.io;
    size_t n = x->slices.bytes != 0 ? call_arena(x->slices.call)->used_bytes : 0;

    if (n != 0)
        call_arena_counted(x->slices.call);
    sorted_take(io, n);
    return n;
}

void kv_read_end_failed(struct kv_read *x, int rc)
{
    struct call *c = x->slices.call;

    mvcc_view_unpin(x->view);
    if (rc == ERR_CANCELED)
        reply_canceled(c);
    else if (permitted(c, permit_after(x->slices.io, &x->who)))
        kv_read_failed(c, rc);
}

/* ---- range ---- */

void range_made(struct read_trace *t)
{
    struct req *r = t->r;
    struct server *s = r->io->server;
    bool ok = t->range != NULL;

    t->end = clock_mono_ns(s->o.clock);
    trace_step_at(&t->steps, TRACE_RECORDS, t->end);
    metric_inc(s->m.ranges);
    histogram_observe(s->m.range_seconds[ok], t->end - t->agreed);
    histogram_observe(s->m.request_range[ok], t->end - call_started_ns(r->call));
    if (ok)
        slow_range(s, t->end - t->agreed, r->user, mvcc_range_info(t->range));
}

/* No agreement was reached, and nothing is read. */
static void range_unread(struct req *r)
{
    struct read_trace t = {.r = r};

    t.agreed = t.end = loop_now_ns(r->io->loop);
    trace_range(&t);
}

/* A range on its way.  One that is not ready at once lives in its call's arena. */
struct range_read {
    struct kv_read read;
    struct mvcc_range *range;
};

static struct range_read *range_read_of(struct long_read *r)
{
    return CONTAINER_OF(kv_read_of(r), struct range_read, read);
}

const struct mvcc_range *kv_range_answer(const struct call *c)
{
    const struct range_read *x = call_user(c);

    _Static_assert(offsetof(struct range_read, read) == 0, "both are where the other is");
    return x == NULL ? NULL : x->read.t.range;
}

static int range_step(struct long_read *r, uint64_t units, bool *ret_ready)
{
    return mvcc_range_step(range_read_of(r)->range, units, ret_ready);
}

static void range_end(struct long_read *r, int rc)
{
    struct range_read *x = range_read_of(r);
    struct read_trace *t = &x->read.t;
    struct mvcc_header h;

    t->range = rc == 0 ? x->range : NULL;
    if (rc != 0 || permit_after(r->io, &x->read.who) != API_OK) {
        range_made(t);
        trace_range(t);
        kv_read_end_failed(&x->read, rc);
        return;
    }
    call_set_user(r->call, x); /* for as long as the answer is made */
    h = header_make(r->io->server, mvcc_range_info(x->range)->revision, 0);
    reply_range(mvcc_reply_range(x->range, &h, call_arena(r->call)), x->read.view, t,
                kv_read_sorted(&x->read));
}

static void range_go_on(struct range_read *x)
{
    struct mvcc_range_ahead ahead;

    mvcc_range_ahead(x->range, &ahead);
    long_read_go_on(&x->read.slices, &ahead);
}

static void range_run(struct req *r)
{
    const Etcdserverpb__RangeRequest *q = r->user;
    struct range_read single, *x = &single;
    int rc;

    if (UNLIKELY(r->node.result.err != API_OK))
        range_unread(r);
    if (reply_failed(r->call, &r->node.result))
        return;
    if (q->range_end.len != 0)
        x = arena_alloc(call_arena(r->call), sizeof *x);
    if (x == NULL) {
        reply_no_memory(r->call);
        return;
    }
    if (!permitted(r->call, permit_read(r->call, wire_bytes(q->key), wire_bytes(q->range_end),
                                        &x->read.who)))
        return;
    x->read.slices.step = range_step;
    x->read.slices.end = range_end;
    kv_read_begin(&x->read, r);
    rc = mvcc_range_begin(x->read.view, q, call_arena(r->call), &x->read.t.steps, &x->range);
    if (rc != 0 || x == &single) /* single keys are ready now */
        range_end(&x->read.slices, rc);
    else
        range_go_on(x);
}

Etcdserverpb__RangeRequest *kv_range_decode(struct call *c, struct bytes message)
{
    Etcdserverpb__RangeRequest *q = arena_alloc(call_arena(c), sizeof *q);

    if (q == NULL) {
        reply_no_memory(c);
        return NULL;
    }
    if (decode_range(message, q))
        return q;
    return REQUEST_DECODE(c, etcdserverpb__range_request, message, &q) ? q : NULL;
}

void kv_range(struct call *c, struct bytes message)
{
    Etcdserverpb__RangeRequest *q;
    enum api_error err;
    struct node_status st;

    count_received(c, METHOD_KV_RANGE);
    q = kv_range_decode(c, message);
    if (q == NULL)
        return;
    /* The one method for which the learner's rule depends on the message. */
    if (UNLIKELY(!q->serializable)) {
        node_status(call_server(c)->node, &st);
        if (st.is_learner) {
            reply_error(c, API_NOT_SUPPORTED_FOR_LEARNER);
            return;
        }
    }
    err = mvcc_check_range(q);
    if (err != API_OK) {
        reply_error(c, err);
        return;
    }
    OTEL(c, range, q, false);
    read_when(c, q->serializable, q, range_run);
}
