#include "lib/cm.h"

#include "kv_driver.h"
#include "sys/random.h"

typedef Etcdserverpb__RequestOp op;
typedef Etcdserverpb__TxnRequest txn;

static struct arena a;

static int setup(void **state)
{
    (void) state;
    arena_init(&a, SIZE_MAX);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    arena_done(&a);
    return 0;
}

/* ---- making requests ---- */

static op *put(const char *key)
{
    op *o = arena_alloc(&a, sizeof *o);

    etcdserverpb__request_op__init(o);
    o->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    o->request_put = arena_alloc(&a, sizeof *o->request_put);
    etcdserverpb__put_request__init(o->request_put);
    o->request_put->key = wire_binary(bytes_str(key));
    return o;
}

static op *del(const char *key, struct bytes end)
{
    op *o = arena_alloc(&a, sizeof *o);

    etcdserverpb__request_op__init(o);
    o->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    o->request_delete_range = arena_alloc(&a, sizeof *o->request_delete_range);
    etcdserverpb__delete_range_request__init(o->request_delete_range);
    o->request_delete_range->key = wire_binary(bytes_str(key));
    o->request_delete_range->range_end = wire_binary(end);
    return o;
}

static op **list(op *x, op *y, op *z, size_t *ret_n)
{
    op **v = arena_alloc(&a, 3 * sizeof *v);
    size_t n = 0;

    if (x != NULL)
        v[n++] = x;
    if (y != NULL)
        v[n++] = y;
    if (z != NULL)
        v[n++] = z;
    *ret_n = n;
    return v;
}

static txn *txn_of(op *x, op *y, op *z)
{
    txn *t = arena_alloc(&a, sizeof *t);

    etcdserverpb__txn_request__init(t);
    t->success = list(x, y, z, &t->n_success);
    return t;
}

static op *nested(op *then, op *then2, op *otherwise)
{
    op *o = arena_alloc(&a, sizeof *o);

    etcdserverpb__request_op__init(o);
    o->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN;
    o->request_txn = txn_of(then, then2, NULL);
    o->request_txn->failure = list(otherwise, NULL, NULL, &o->request_txn->n_failure);
    return o;
}

static op *empty_op(void)
{
    op *o = arena_alloc(&a, sizeof *o);

    etcdserverpb__request_op__init(o);
    return o;
}

static enum api_error check(const txn *t)
{
    enum api_error got;

    assert_int_equal(mvcc_check_txn(t, MVCC_TXN_OPS_DEFAULT, &a, &got), 0);
    return got;
}

static enum api_error check3(op *x, op *y, op *z)
{
    return check(txn_of(x, y, z));
}

/* ---- tests ---- */

static void single_requests_are_refused_in_etcds_order(void **state)
{
    /* Key first, then the other fields; unknown orders and targets have an error of their own. */
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__PutRequest p = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__DeleteRangeRequest d = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;

    (void) state;
    range.sort_order = (Etcdserverpb__RangeRequest__SortOrder) 3;
    assert_int_equal(mvcc_check_range(&range), API_EMPTY_KEY);
    range.key = wire_binary(BYTES_LIT("k"));
    assert_int_equal(mvcc_check_range(&range), API_INVALID_SORT_OPTION);
    range.sort_order = (Etcdserverpb__RangeRequest__SortOrder) -1;
    assert_int_equal(mvcc_check_range(&range), API_INVALID_SORT_OPTION);
    range.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    range.sort_target = (Etcdserverpb__RangeRequest__SortTarget) 5;
    assert_int_equal(mvcc_check_range(&range), API_INVALID_SORT_OPTION);
    range.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE;
    assert_int_equal(mvcc_check_range(&range), API_OK);

    p.ignore_value = p.ignore_lease = true;
    p.value = wire_binary(BYTES_LIT("v"));
    p.lease = 1;
    assert_int_equal(mvcc_check_put(&p), API_EMPTY_KEY);
    p.key = wire_binary(BYTES_LIT("k"));
    assert_int_equal(mvcc_check_put(&p), API_VALUE_PROVIDED);
    p.ignore_value = false;
    assert_int_equal(mvcc_check_put(&p), API_LEASE_PROVIDED);
    p.ignore_lease = false;
    assert_int_equal(mvcc_check_put(&p), API_OK);

    assert_int_equal(mvcc_check_delete_range(&d), API_EMPTY_KEY);
    d.key = wire_binary(BYTES_LIT("k"));
    assert_int_equal(mvcc_check_delete_range(&d), API_OK);
}

static void a_stream_takes_only_key_order_without_filters(void **state)
{
    /* An order of NONE passes whatever the target. */
    Etcdserverpb__RangeRequest r = ETCDSERVERPB__RANGE_REQUEST__INIT;

    (void) state;
    r.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE;
    assert_null(mvcc_check_range_stream(&r));
    r.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND;
    assert_string_equal(mvcc_check_range_stream(&r),
                        "RangeStream does not support custom sort orders");
    r.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY;
    assert_null(mvcc_check_range_stream(&r));
    r.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    assert_non_null(mvcc_check_range_stream(&r));
    r.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__NONE;
    r.max_create_revision = -1;
    assert_string_equal(mvcc_check_range_stream(&r),
                        "RangeStream does not support revision filters");
}

static void a_key_is_written_once_in_a_list(void **state)
{
    /* Each case was tried on a real etcd. */
    struct bytes none = BYTES_EMPTY, from_key = bytes_of("", 1);

    (void) state;
    assert_int_equal(check3(put("a"), put("b"), NULL), API_OK);
    assert_int_equal(check3(put("a"), put("a"), NULL), API_DUPLICATE_KEY);
    assert_int_equal(check3(put("a"), del("a", none), NULL), API_DUPLICATE_KEY);
    assert_int_equal(check3(del("a", none), put("a"), NULL), API_DUPLICATE_KEY);
    assert_int_equal(check3(put("b"), del("a", bytes_str("c")), NULL), API_DUPLICATE_KEY);
    assert_int_equal(check3(put("c"), del("a", bytes_str("c")), NULL), API_OK);
    assert_int_equal(check3(del("a", none), del("a", none), del("a", bytes_str("z"))), API_OK);
    /* From a key on, or backwards: covers nothing. */
    assert_int_equal(check3(put("b"), del("a", from_key), NULL), API_OK);
    assert_int_equal(check3(put("a"), del("a", from_key), NULL), API_OK);
    assert_int_equal(check3(put("b"), del("b", bytes_str("a")), NULL), API_OK);
}

static void nested_lists_count_for_their_parent(void **state)
{
    /* Each case was tried on a real etcd, the one that looks odd too: a put of one nested
     * transaction and a delete of a later one pass. */
    struct bytes none = BYTES_EMPTY;

    (void) state;
    assert_int_equal(check3(nested(put("a"), NULL, put("a")), NULL, NULL), API_OK);
    assert_int_equal(check3(nested(del("a", none), NULL, put("a")), NULL, NULL), API_OK);
    assert_int_equal(check3(nested(put("b"), NULL, NULL), nested(put("b"), NULL, NULL), NULL),
                     API_DUPLICATE_KEY);
    assert_int_equal(check3(nested(put("a"), NULL, NULL), nested(del("a", none), NULL, NULL), NULL),
                     API_OK);
    assert_int_equal(check3(nested(del("a", none), NULL, NULL), nested(put("a"), NULL, NULL), NULL),
                     API_DUPLICATE_KEY);
    assert_int_equal(check3(nested(del("a", none), NULL, NULL), put("a"), NULL), API_DUPLICATE_KEY);
    assert_int_equal(check3(put("a"), nested(del("a", none), NULL, NULL), NULL), API_DUPLICATE_KEY);
    assert_int_equal(check3(put("a"), nested(put("a"), NULL, NULL), NULL), API_DUPLICATE_KEY);
    assert_int_equal(check3(nested(put("b"), put("b"), put("b")), NULL, NULL), API_DUPLICATE_KEY);
}

static void the_failure_list_is_checked_too(void **state)
{
    /* Both lists, whichever will be chosen; they do not conflict with each other. */
    txn *t = txn_of(put("a"), NULL, NULL);

    (void) state;
    t->failure = list(put("a"), NULL, NULL, &t->n_failure);
    assert_int_equal(check(t), API_OK);
    t->failure = list(put("b"), put("b"), NULL, &t->n_failure);
    assert_int_equal(check(t), API_DUPLICATE_KEY);
}

static void an_operation_without_a_request_is_refused(void **state)
{
    /* As etcd: "key not found"; an empty key in a guard comes before it. */
    txn *t = txn_of(empty_op(), NULL, NULL);
    Etcdserverpb__Compare c = ETCDSERVERPB__COMPARE__INIT, *cp = &c;

    (void) state;
    assert_int_equal(check(t), API_KEY_NOT_FOUND);
    t->compare = &cp;
    t->n_compare = 1;
    assert_int_equal(check(t), API_EMPTY_KEY);
}

static txn *txn_of_n_puts(size_t n, op *last)
{
    txn *t = txn_of(NULL, NULL, NULL);

    t->success = arena_alloc(&a, (n + 1) * sizeof *t->success);
    for (size_t i = 0; i < n; i++)
        t->success[i] = put(arena_printf(&a, "key%zu", i));
    t->n_success = n;
    if (last != NULL)
        t->success[t->n_success++] = last;
    return t;
}

static void a_nested_transaction_has_what_its_parent_leaves(void **state)
{
    /* 128 in all: 63 and 1 outside leave 64 inside, 64 and 1 leave too few. */
    op *inner = nested(NULL, NULL, NULL);

    (void) state;
    assert_int_equal(check(txn_of_n_puts(128, NULL)), API_OK);
    assert_int_equal(check(txn_of_n_puts(129, NULL)), API_TOO_MANY_OPS);
    inner->request_txn = txn_of_n_puts(64, NULL);
    for (size_t i = 0; i < 64; i++)
        inner->request_txn->success[i] = put(arena_printf(&a, "inner%zu", i));
    assert_int_equal(check(txn_of_n_puts(63, inner)), API_OK);
    assert_int_equal(check(txn_of_n_puts(64, inner)), API_TOO_MANY_OPS);
}

static void without_memory_there_is_no_verdict(void **state)
{
    /* An arena that is used up is an error of its own, never an acceptance. */
    struct arena small;
    enum api_error got;
    txn *t = txn_of_n_puts(100, NULL);

    (void) state;
    arena_init(&small, 64);
    assert_int_equal(mvcc_check_txn(t, MVCC_TXN_OPS_DEFAULT, &small, &got), ERR_NOMEM);
    arena_done(&small);
}

static void the_kind_and_cost_of_a_transaction(void **state)
{
    /* Read-only: ranges alone, no nested transaction.  Cost: puts of the dearer list, nested ones
     * too. */
    txn *t = txn_of(NULL, NULL, NULL);
    op *range = empty_op();

    (void) state;
    assert_true(mvcc_txn_is_read_only(t));
    assert_true(mvcc_txn_is_serializable(t));
    range->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    range->request_range = arena_alloc(&a, sizeof *range->request_range);
    etcdserverpb__range_request__init(range->request_range);
    t = txn_of(range, NULL, NULL);
    assert_true(mvcc_txn_is_read_only(t));
    assert_false(mvcc_txn_is_serializable(t));
    range->request_range->serializable = true;
    assert_true(mvcc_txn_is_serializable(t));
    assert_false(mvcc_txn_is_read_only(txn_of(range, nested(NULL, NULL, NULL), NULL)));
    assert_int_equal(mvcc_txn_cost(t), 0);
    t = txn_of(put("abc"), nested(put("d"), NULL, put("efghi")), NULL);
    t->failure = list(put("x"), NULL, NULL, &t->n_failure);
    assert_int_equal(mvcc_txn_cost(t), 256 + 3 + 256 + 5);
}

/* ---- beside the obvious version ---- */

struct naive_writes {
    struct bytes puts[64];
    size_t puts_n;
    const Etcdserverpb__DeleteRangeRequest *dels[64];
    size_t dels_n;
};

static bool naive_covers(const struct naive_writes *w, struct bytes key)
{
    for (size_t i = 0; i < w->dels_n; i++) {
        struct bytes begin = wire_bytes(w->dels[i]->key), end = wire_bytes(w->dels[i]->range_end);

        if (end.n == 0 ? bytes_eq(key, begin)
                       : bytes_cmp(key, begin) >= 0 && bytes_cmp(key, end) < 0)
            return true;
    }
    return false;
}

static bool naive_has(const struct naive_writes *w, struct bytes key)
{
    for (size_t i = 0; i < w->puts_n; i++)
        if (bytes_eq(w->puts[i], key))
            return true;
    return false;
}

static bool naive_overlap(op **ops, size_t n, struct naive_writes *w)
{
    w->puts_n = w->dels_n = 0;
    for (size_t i = 0; i < n; i++)
        if (ops[i]->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE)
            w->dels[w->dels_n++] = ops[i]->request_delete_range;
    for (size_t i = 0; i < n; i++) {
        struct naive_writes then, otherwise;
        const txn *t = ops[i]->request_txn;

        if (ops[i]->request_case != ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN)
            continue;
        if (!naive_overlap(t->success, t->n_success, &then) ||
            !naive_overlap(t->failure, t->n_failure, &otherwise))
            return false;
        for (size_t k = 0; k < then.puts_n; k++) {
            if (naive_has(w, then.puts[k]) || naive_covers(w, then.puts[k]))
                return false;
            w->puts[w->puts_n++] = then.puts[k];
        }
        for (size_t k = 0; k < otherwise.puts_n; k++) {
            if ((naive_has(w, otherwise.puts[k]) && !naive_has(&then, otherwise.puts[k])) ||
                naive_covers(w, otherwise.puts[k]))
                return false;
            if (!naive_has(w, otherwise.puts[k])) /* a set: etcd has a map */
                w->puts[w->puts_n++] = otherwise.puts[k];
        }
        for (size_t k = 0; k < then.dels_n; k++)
            w->dels[w->dels_n++] = then.dels[k];
        for (size_t k = 0; k < otherwise.dels_n; k++)
            w->dels[w->dels_n++] = otherwise.dels[k];
    }
    for (size_t i = 0; i < n; i++) {
        struct bytes key;

        if (ops[i]->request_case != ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT)
            continue;
        key = wire_bytes(ops[i]->request_put->key);
        if (naive_has(w, key) || naive_covers(w, key))
            return false;
        w->puts[w->puts_n++] = key;
    }
    return true;
}

static void random_transactions_get_the_verdict_of_the_obvious_check(void **state)
{
    /* Nested to any depth that the generator makes, with keys that often meet. */
    struct random_seeded rnd;
    struct random *r = random_seeded_init(&rnd, 11);
    size_t refused = 0;

    (void) state;
    for (int i = 0; i < 20000; i++) {
        uint8_t data[200];
        struct driver d = {.p = data, .n = sizeof data, .m = {.rev = 9}};
        struct naive_writes w;
        enum api_error got;
        bool fine;
        txn *t;

        for (size_t k = 0; k < sizeof data; k++)
            data[k] = (uint8_t) random_u64(r);
        arena_init(&d.a, SIZE_MAX);
        t = take_txn(&d, 0, false);
        fine = naive_overlap(t->success, t->n_success, &w) &&
               naive_overlap(t->failure, t->n_failure, &w);
        assert_int_equal(mvcc_check_txn(t, MVCC_TXN_OPS_DEFAULT, &d.a, &got), 0);
        if (got != API_VALUE_PROVIDED && got != API_LEASE_PROVIDED)
            assert_int_equal(got, fine ? API_OK : API_DUPLICATE_KEY);
        refused += !fine;
        arena_done(&d.a);
    }
    assert_true(refused > 1000);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(single_requests_are_refused_in_etcds_order),
        TEST(a_stream_takes_only_key_order_without_filters),
        TEST(a_key_is_written_once_in_a_list),
        TEST(nested_lists_count_for_their_parent),
        TEST(the_failure_list_is_checked_too),
        TEST(an_operation_without_a_request_is_refused),
        TEST(a_nested_transaction_has_what_its_parent_leaves),
        TEST(without_memory_there_is_no_verdict),
        TEST(the_kind_and_cost_of_a_transaction),
        TEST(random_transactions_get_the_verdict_of_the_obvious_check),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
