/* Keys under a prefix, and back. */
#include "lib/cm.h"

#include "edge/proxy/namespace.h"
#include "wire/wire.h"

struct fixture {
    struct arena arena;
    struct buf in, out;
};

static int setup(void **state)
{
    static struct fixture f;

    arena_init(&f.arena, 1 << 20);
    buf_init(&f.in, 1 << 20);
    buf_init(&f.out, 1 << 20);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    arena_done(&f->arena);
    buf_done(&f->in);
    buf_done(&f->out);
    return 0;
}

static ProtobufCBinaryData bin(const char *s)
{
    return wire_binary(bytes_str(s));
}

static enum ns_verdict map_with(struct fixture *f, ns_map *map, const char *prefix,
                                const ProtobufCMessage *m)
{
    buf_clear(&f->in);
    buf_clear(&f->out);
    assert_true(wire_encode(m, &f->in));
    return map(bytes_str(prefix), buf_bytes(&f->in), &f->arena, &f->out);
}

#define DECODE(f, lower, ret) \
    assert_int_equal(WIRE_DECODE(lower, buf_bytes(&(f)->out), &(f)->arena, ret, NULL), 0)

static void assert_bin(ProtobufCBinaryData b, const char *p, size_t n)
{
    assert_int_equal(b.len, n);
    assert_memory_equal(b.data, p, n);
}

/* Every shape of range_end: none, a key, "to the end of all keys"; prefixes that end in 0xff. */
static void test_ranges(void **state)
{
    static const struct {
        const char *prefix;
        const char *end;
        size_t end_n;
        const char *want;
        size_t want_n;
    } cases[] = {
        {"ns/", "", 0, "", 0},      {"ns/", "b", 1, "ns/b", 4},
        {"ns/", "\0", 1, "ns0", 3}, {"ns/", "\0\0", 2, "ns/\0\0", 5},
        {"a\xff", "\0", 1, "b", 1}, {"\xff\xff", "\0", 1, "\0", 1},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        Etcdserverpb__RangeRequest m = ETCDSERVERPB__RANGE_REQUEST__INIT, *got;

        m.key = bin("a");
        m.range_end = wire_binary(bytes_of(cases[i].end, cases[i].end_n));
        m.limit = 7;
        assert_int_equal(
            map_with(f, ns_request_map("/etcdserverpb.KV/Range"), cases[i].prefix, &m.base), NS_OK);
        DECODE(f, etcdserverpb__range_request, &got);
        assert_int_equal(got->key.len, strlen(cases[i].prefix) + 1);
        assert_memory_equal(got->key.data, cases[i].prefix, strlen(cases[i].prefix));
        assert_bin(got->range_end, cases[i].want, cases[i].want_n);
        assert_int_equal(got->limit, 7);
    }
}

/* A request without a key is refused, and so is one that is no message. */
static void test_refusals(void **state)
{
    struct fixture *f = *state;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    ns_map *map = ns_request_map("/etcdserverpb.KV/Put");

    assert_int_equal(map_with(f, map, "ns/", &put.base), NS_EMPTY_KEY);
    assert_int_equal(map(BYTES_LIT("ns/"), BYTES_LIT("\xff"), &f->arena, &f->out), NS_MALFORMED);
    assert_null(ns_request_map("/etcdserverpb.KV/Compact"));
    assert_null(ns_response_map("/v3lockpb.Lock/Lock"));
}

/* Conditions, operations and transactions within transactions are all mapped; so are their
 * answers. */
static void test_txn(void **state)
{
    struct fixture *f = *state;
    Etcdserverpb__Compare compare = ETCDSERVERPB__COMPARE__INIT, *compares[] = {&compare};
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RequestOp inner_op = ETCDSERVERPB__REQUEST_OP__INIT, *inner_ops[] = {&inner_op};
    Etcdserverpb__TxnRequest inner = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__RequestOp op = ETCDSERVERPB__REQUEST_OP__INIT, *ops[] = {&op};
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT, *got;

    compare.key = bin("c");
    put.key = bin("p");
    inner_op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    inner_op.request_put = &put;
    inner.failure = inner_ops;
    inner.n_failure = 1;
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN;
    op.request_txn = &inner;
    txn.compare = compares;
    txn.n_compare = 1;
    txn.success = ops;
    txn.n_success = 1;
    assert_int_equal(map_with(f, ns_request_map("/etcdserverpb.KV/Txn"), "ns/", &txn.base), NS_OK);
    DECODE(f, etcdserverpb__txn_request, &got);
    assert_bin(got->compare[0]->key, "ns/c", 4);
    assert_bin(got->success[0]->request_txn->failure[0]->request_put->key, "ns/p", 4);
}

/* Keys of answers lose the prefix; a lease's keys of other prefixes are not shown. */
static void test_answers(void **state)
{
    struct fixture *f = *state;
    ProtobufCBinaryData keys[] = {bin("ns/a"), bin("other"), bin("ns/")};
    Etcdserverpb__LeaseTimeToLiveResponse lease = ETCDSERVERPB__LEASE_TIME_TO_LIVE_RESPONSE__INIT,
                                          *got;
    Mvccpb__KeyValue kv = MVCCPB__KEY_VALUE__INIT;
    Etcdserverpb__PutResponse put = ETCDSERVERPB__PUT_RESPONSE__INIT, *got_put;

    lease.keys = keys;
    lease.n_keys = ARRAY_LEN(keys);
    assert_int_equal(
        map_with(f, ns_response_map("/etcdserverpb.Lease/LeaseTimeToLive"), "ns/", &lease.base),
        NS_OK);
    DECODE(f, etcdserverpb__lease_time_to_live_response, &got);
    assert_int_equal(got->n_keys, 2);
    assert_bin(got->keys[0], "a", 1);
    assert_int_equal(got->keys[1].len, 0);
    kv.key = bin("ns/k");
    put.prev_kv = &kv;
    assert_int_equal(map_with(f, ns_response_map("/etcdserverpb.KV/Put"), "ns/", &put.base), NS_OK);
    DECODE(f, etcdserverpb__put_response, &got_put);
    assert_bin(got_put->prev_kv->key, "k", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ranges, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_txn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
