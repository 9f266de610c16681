/* Transactions that only read.  Their guards may look at every key as often as there are guards,
 * and their ranges sort, so they go on in slices as ranges do. */
#include "edge/server/kv_read.h"

struct txn_read {
    struct kv_read read;
    struct mvcc_txn_read *txn;
};

static struct txn_read *txn_read_of(struct long_read *r)
{
    return CONTAINER_OF(kv_read_of(r), struct txn_read, read);
}

const struct mvcc_txn_result *kv_txn_answer(const struct call *c, const Etcdserverpb__TxnRequest *q)
{
    void *user = call_user(c);

    _Static_assert(offsetof(struct txn_read, read) == 0, "both are where the other is");
    if (user == NULL || !mvcc_txn_is_read_only(q))
        return user;
    return ((const struct txn_read *) user)->read.t.txn;
}

static int txn_step(struct long_read *r, uint64_t units, bool *ret_ready)
{
    return mvcc_txn_read_step(txn_read_of(r)->txn, units, ret_ready);
}

static void txn_made(struct txn_read *x, int rc)
{
    struct read_trace *t = &x->read.t;
    struct server *s = t->r->io->server;

    t->end = clock_mono_ns(s->o.clock);
    t->txn = rc == 0 ? mvcc_txn_read_result(x->txn) : NULL;
    slow_txn(s, t->end - t->agreed, t->r->user, t->txn);
    trace_txn_read(t);
    histogram_observe(s->m.request_txn[rc == 0], t->end - call_started_ns(t->r->call));
}

static void txn_end(struct long_read *r, int rc)
{
    struct txn_read *x = txn_read_of(r);
    const struct mvcc_txn_result *res;
    struct mvcc_header h;

    txn_made(x, rc);
    if (rc != 0 || permit_after(r->io, &x->read.who) != API_OK) {
        kv_read_end_failed(&x->read, rc);
        return;
    }
    call_set_user(r->call, x); /* for as long as the answer is made */
    res = x->read.t.txn;
    h = header_make(r->io->server, res->revision, 0);
    reply_read(r->call, mvcc_reply_txn(res, &h, call_arena(r->call)), x->read.view,
               kv_read_sorted(&x->read));
}

/* Most are ready before it would be known how long they are, which is a look at each operation. */
static void txn_go_on(struct txn_read *x)
{
    struct long_read *r = &x->read.slices;
    struct mvcc_range_ahead ahead;
    bool ready = false;
    int rc = mvcc_txn_read_step(x->txn, SERVER_READ_FIRST_UNITS, &ready);

    if (rc != 0 || ready) {
        txn_end(r, rc);
        return;
    }
    mvcc_txn_read_ahead(x->txn, &ahead);
    long_read_go_on(&x->read.slices, &ahead);
}

static void txn_run(struct req *r)
{
    struct txn_read *x;
    int rc;

    if (reply_failed(r->call, &r->node.result))
        return;
    x = arena_alloc(call_arena(r->call), sizeof *x);
    if (x == NULL) {
        reply_no_memory(r->call);
        return;
    }
    if (!permitted(r->call, permit_read_txn(r->call, r->user, &x->read.who)))
        return;
    x->read.slices.step = txn_step;
    x->read.slices.end = txn_end;
    kv_read_begin(&x->read, r);
    rc = mvcc_txn_read_begin(x->read.view, r->user, call_arena(r->call), &x->read.t.steps, &x->txn);
    if (rc != 0)
        txn_end(&x->read.slices, rc);
    else
        txn_go_on(x);
}

void kv_txn_read(struct call *c, Etcdserverpb__TxnRequest *q)
{
    read_when(c, mvcc_txn_is_serializable(q), q, txn_run);
}
