/* The steps that reads and writes note, and how many etcd 3.7.1 has for the same requests (from its
 * lines, with its limit lowered to 0; steps before the store are left out). */
#include "unit/state/mvcc/kv_rig.h"

#define STEP_NS (10 * TRACE_SHORT_NS)

static mono_ns now;

static mono_ns stepping_mono(struct clock *c)
{
    (void) c;
    return now += STEP_NS;
}

static struct clock the_clock = {.mono = stepping_mono};
static struct trace_steps steps;
static char text[512];

static int setup(void **state)
{
    (void) state;
    kv_disk_new(3);
    kv_open(&(struct mvcc_hooks){0});
    mvcc_trace(kv, &steps);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    kv_close();
    kv_disk_free();
    return 0;
}

static void begin(void)
{
    trace_steps_begin(&steps, &the_clock, now);
}

/* "COUNT: step/op step/op ..." */
static const char *noted(void)
{
    static const char *const names[] = {
#define X(name, text) #name,
        TRACE_STEP_MAP(X)
#undef X
    };
    size_t n = (size_t) snprintf(text, sizeof text, "%u:", (unsigned) steps.count);

    for (size_t i = 0; i < steps.kept_n; i++)
        n += (size_t) snprintf(text + n, sizeof text - n, " %s/%u", names[steps.kept[i].step],
                               (unsigned) steps.kept[i].op);
    return text;
}

static Etcdserverpb__PutRequest put_of(const char *key)
{
    Etcdserverpb__PutRequest r = ETCDSERVERPB__PUT_REQUEST__INIT;

    r.key = wire_binary(bytes_str(key));
    return r;
}

static const char *put(const char *key, bool prev_kv)
{
    Etcdserverpb__PutRequest r = put_of(key);
    struct mvcc_put_result got;
    bool too_large;

    r.prev_kv = prev_kv;
    begin();
    assert_int_equal(mvcc_put(kv, &r, &a, &got, &too_large), 0);
    return noted();
}

/* A put is timed only where it reads what was there before. */
static void test_put(void **state)
{
    (void) state;
    assert_string_equal(put("foo", false), "3:");
    assert_string_equal(put("foo", false), "4:");
    assert_string_equal(put("foo", true), "5: PREVIOUS/0");
}

static Etcdserverpb__RangeRequest range_of(const char *key, const char *end)
{
    Etcdserverpb__RangeRequest r = ETCDSERVERPB__RANGE_REQUEST__INIT;

    r.key = wire_binary(bytes_str(key));
    r.range_end = wire_binary(bytes_str(end));
    return r;
}

static const char *range(Etcdserverpb__RangeRequest r)
{
    const struct mvcc_view *v;
    struct mvcc_range *g;

    mvcc_publish(kv);
    v = mvcc_view_pin(reader);
    begin();
    assert_int_equal(mvcc_range_traced(v, &r, &a, &steps, &g), 0);
    mvcc_view_unpin(v);
    return noted();
}

/* A range has the steps of etcd, and a single key is too quick to be timed. */
static void test_range(void **state)
{
    Etcdserverpb__RangeRequest r;

    (void) state;
    put("foo", false);
    put("fox", false);
    assert_string_equal(range(range_of("foo", "")), "4:");
    assert_string_equal(range(range_of("none", "")), "3:");
    assert_string_equal(range(range_of("f", "g")), "4: INDEX/0");
    assert_string_equal(range(range_of("g", "h")), "3: INDEX/0");
    r = range_of("f", "g");
    r.keys_only = true;
    assert_string_equal(range(r), "3: KEYS/0");
    r.keys_only = false;
    r.count_only = true;
    assert_string_equal(range(r), "3: COUNT/0");
    r.count_only = false;
    r.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE;
    assert_string_equal(range(r), "4: INDEX/0 SORT/0 RECORDS/0");
}

/* ---- transactions ---- */

#define OPS_MAX 4

static Etcdserverpb__RequestOp ops[OPS_MAX];
static Etcdserverpb__RequestOp *list[OPS_MAX];

static Etcdserverpb__RequestOp *op_of(size_t i, int kind)
{
    etcdserverpb__request_op__init(&ops[i]);
    ops[i].request_case = (Etcdserverpb__RequestOp__RequestCase) kind;
    list[i] = &ops[i];
    return &ops[i];
}

/* A transaction: its guards, then each range and put with its number, two marks for each counted;
 * a delete has none. */
static void test_txn(void **state)
{
    Etcdserverpb__TxnRequest r = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__DeleteRangeRequest del = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    Etcdserverpb__RangeRequest get = range_of("foo", "");
    Etcdserverpb__PutRequest a_put = put_of("a");
    struct mvcc_txn_result got;
    bool too_large;

    (void) state;
    put("foo", false);
    a_put.prev_kv = true;
    del.key = wire_binary(bytes_str("b"));
    op_of(0, ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE)->request_range = &get;
    op_of(1, ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE)->request_delete_range = &del;
    op_of(2, ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT)->request_put = &a_put;
    r.success = list;
    r.n_success = 3;
    begin();
    assert_int_equal(mvcc_txn(kv, &r, &a, &got, &too_large), 0);
    assert_string_equal(noted(), "15: RECORDS/1 PREVIOUS/2 STORE/2");
    r.success = &list[2]; /* etcd: 7 steps and 2 marks */
    r.n_success = 1;
    a_put.key = wire_binary(bytes_str("new"));
    begin();
    assert_int_equal(mvcc_txn(kv, &r, &a, &got, &too_large), 0);
    assert_string_equal(noted(), "9: PREVIOUS/1 STORE/1");
}

static const char *txn_read(const struct mvcc_view *v, const Etcdserverpb__TxnRequest *r,
                            uint64_t units)
{
    struct mvcc_txn_read *x;
    bool ready = false;

    begin();
    assert_int_equal(mvcc_txn_read_begin(v, r, &a, &steps, &x), 0);
    while (!ready)
        assert_int_equal(mvcc_txn_read_step(x, units, &ready), 0);
    return noted();
}

/* A transaction that only reads: 9 steps and 4 marks in etcd, in however many steps it is done. */
static void test_txn_read(void **state)
{
    Etcdserverpb__TxnRequest r = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__Compare guard = ETCDSERVERPB__COMPARE__INIT;
    Etcdserverpb__Compare *guards[] = {&guard};
    Etcdserverpb__RangeRequest first = range_of("foo", ""), second = range_of("x", "y");
    const struct mvcc_view *v;

    (void) state;
    put("foo", false);
    mvcc_publish(kv);
    guard.key = wire_binary(bytes_str("foo"));
    guard.result = ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER;
    r.compare = guards;
    r.n_compare = 1;
    op_of(0, ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE)->request_range = &first;
    op_of(1, ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE)->request_range = &second;
    r.success = list;
    r.n_success = 2;
    v = mvcc_view_pin(reader);
    assert_string_equal(txn_read(v, &r, UINT64_MAX), "13: COMPARE/0 INDEX/2");
    guard.range_end = wire_binary(bytes_str("g"));
    assert_string_equal(txn_read(v, &r, 1), "13: COMPARE/0 INDEX/2");
    mvcc_view_unpin(v);
}

/* Without a place for them no steps are noted, and no clock is read. */
static void test_nowhere(void **state)
{
    mono_ns before = now;

    (void) state;
    mvcc_trace(kv, NULL);
    begin();
    put("foo", true);
    assert_int_equal(steps.count, 0);
    assert_int_equal(now, before);
    mvcc_trace(kv, &steps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_put, setup, teardown),
        cmocka_unit_test_setup_teardown(test_range, setup, teardown),
        cmocka_unit_test_setup_teardown(test_txn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_txn_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nowhere, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
