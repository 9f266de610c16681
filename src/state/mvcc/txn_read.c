/* txn_read.c -- transactions that only read, on a view, in steps.
 *
 *      begin --> GUARDS --> the checks of the chosen branch --> RANGES, one after another --> READY
 *
 * Their guards and their ranges go over keys; what is between is short. */
#include "state/mvcc/txn_int.h"

typedef Etcdserverpb__TxnRequest txn_request;

struct mvcc_txn_read {
    const struct mvcc_view *view;
    const txn_request *request;
    struct arena *arena;
    struct trace_steps *trace;
    struct txn_guards guards;
    bool decided; /* what they say is in the result */
    struct mvcc_txn_result result;
    Etcdserverpb__RequestOp **ops; /* of the chosen branch: as many as there are responses */
    size_t at;                     /* the range that is on its way, or begins next */
    struct mvcc_range *range;      /* NULL: it has not begun */
};

int mvcc_txn_read_begin(const struct mvcc_view *v, const txn_request *r, struct arena *a,
                        struct trace_steps *t, struct mvcc_txn_read **ret)
{
    struct mvcc_txn_read *x = arena_alloc(a, sizeof *x);

    ASSERT(r->n_success == 0 || r->success != NULL);
    if (x == NULL)
        return ERR_NOMEM;
    x->view = v;
    x->request = r;
    x->arena = a;
    x->trace = t;
    txn_guards_begin(&x->guards, &v->state, r);
    x->decided = false;
    x->result = (struct mvcc_txn_result){.revision = v->state.revision};
    x->at = 0;
    x->range = NULL;
    *ret = x;
    return 0;
}

/* The guards are decided: checks the chosen branch, and makes room for its answers. */
static int choose(struct mvcc_txn_read *x, bool hold)
{
    static const struct mvcc_hooks no_hooks;
    const struct txn_path path = {.succeeded = hold};
    int rc;

    x->decided = true;
    if (x->request->n_compare > 0)
        trace_step(x->trace, TRACE_COMPARE);
    trace_count(x->trace, 1);
    rc = txn_check(&x->view->state, &no_hooks, x->request, &path);
    if (rc != 0)
        return rc;
    trace_count(x->trace, 1); /* check requests */
    x->result.succeeded = hold;
    x->result.responses_n = txn_ops(x->request, hold, &x->ops);
    x->result.responses = arena_calloc(x->arena, x->result.responses_n,
                                       sizeof *x->result.responses);
    return x->result.responses == NULL && x->result.responses_n > 0 ? ERR_NOMEM : 0;
}

static int begin_range(struct mvcc_txn_read *x, uint64_t *units)
{
    const Etcdserverpb__RequestOp *op = x->ops[x->at];

    ASSERT(op->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE);
    range_spend(units, RANGE_SEEK_UNITS);
    trace_op_begin(x->trace);
    return mvcc_range_begin(x->view, op->request_range, x->arena, x->trace, &x->range);
}

/* Goes on with the range that is on its way, or begins the next one. */
static int go_on(struct mvcc_txn_read *x, uint64_t *units)
{
    int rc = x->range == NULL ? begin_range(x, units) : 0;

    if (rc == 0)
        rc = range_step(x->range, units);
    if (rc == 0 && x->range->phase != RANGE_READY)
        return 0;
    trace_op_end(x->trace);
    if (rc != 0)
        return rc;
    x->result.responses[x->at].op = MVCC_OP_RANGE;
    x->result.responses[x->at].range = x->range;
    x->range = NULL;
    x->at++;
    return 0;
}

static bool is_ready(const struct mvcc_txn_read *x)
{
    return x->decided && x->at == x->result.responses_n;
}

int mvcc_txn_read_step(struct mvcc_txn_read *x, uint64_t units, bool *ret_ready)
{
    bool hold;
    int rc = 0;

    if (!x->decided && txn_guards_step(&x->guards, &units, &hold))
        rc = choose(x, hold);
    while (rc == 0 && x->decided && !is_ready(x) && units > 0)
        rc = go_on(x, &units);
    if (rc == 0)
        *ret_ready = is_ready(x);
    return rc;
}

const struct mvcc_txn_result *mvcc_txn_read_result(const struct mvcc_txn_read *x)
{
    ASSERT(is_ready(x));
    return &x->result;
}

/* ---- what is ahead ---- */

static void add_ranges(const struct mvcc_txn_read *x, Etcdserverpb__RequestOp **ops, size_t from,
                       size_t n, struct mvcc_range_ahead *add)
{
    for (size_t i = from; i < n; i++) {
        struct mvcc_range_ahead one;

        range_ahead(&x->view->state, ops[i]->request_range, &one);
        add->keys += one.keys;
        add->units += RANGE_SEEK_UNITS + one.units;
        add->bytes += one.bytes;
        add->guessed |= one.guessed;
    }
}

/* Of both branches, before it is known which: whatever is more. */
static void add_branches(const struct mvcc_txn_read *x, struct mvcc_range_ahead *add)
{
    struct mvcc_range_ahead yes = {0}, no = {0};

    add_ranges(x, x->request->success, 0, x->request->n_success, &yes);
    add_ranges(x, x->request->failure, 0, x->request->n_failure, &no);
    add->keys += MAX(yes.keys, no.keys);
    add->units += MAX(yes.units, no.units);
    add->bytes += MAX(yes.bytes, no.bytes);
    add->guessed |= yes.guessed || no.guessed;
}

void mvcc_txn_read_ahead(const struct mvcc_txn_read *x, struct mvcc_range_ahead *ret)
{
    *ret = (struct mvcc_range_ahead){0};
    if (x->decided) {
        add_ranges(x, x->ops, x->at, x->result.responses_n, ret);
        return;
    }
    txn_guards_ahead(&x->guards, ret);
    add_branches(x, ret);
}

/* ---- whole ---- */

int mvcc_txn_read(const struct mvcc_view *v, const txn_request *r, struct arena *a,
                  struct mvcc_txn_result *ret)
{
    struct mvcc_txn_read *x;
    bool ready = false;
    int rc = mvcc_txn_read_begin(v, r, a, NULL, &x);

    if (rc == 0)
        rc = mvcc_txn_read_step(x, UINT64_MAX, &ready);
    if (rc != 0)
        return rc;
    ASSERT(ready);
    *ret = x->result;
    return 0;
}
