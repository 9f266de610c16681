/* Requests in log lines, against what a real etcd 3.7.1 wrote with --warning-apply-duration=1ns. */
#include "wire/request_text.h"

#include "lib/cm.h"
#include "wire/wire.h"

static struct buf b;

static int setup(void **state)
{
    (void) state;
    buf_init(&b, 1u << 20);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    buf_done(&b);
    return 0;
}

static ProtobufCBinaryData bin(const char *s)
{
    return (ProtobufCBinaryData){strlen(s), (uint8_t *) (uintptr_t) s};
}

static void says(const char *want)
{
    assert_string_equal(buf_cstr(&b), want);
    buf_clear(&b);
}

static Etcdserverpb__RequestHeader header(void)
{
    Etcdserverpb__RequestHeader h = ETCDSERVERPB__REQUEST_HEADER__INIT;

    h.id = UINT64_C(7587899153203490308);
    return h;
}

/* The value of a put is its size; a lease and flags follow when they are set. */
static void test_put(void **state)
{
    Etcdserverpb__InternalRaftRequest q = ETCDSERVERPB__INTERNAL_RAFT_REQUEST__INIT;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RequestHeader h = header();

    (void) state;
    q.header = &h;
    q.put = &put;
    put.key = bin("foo");
    put.value = bin("bar");
    put.prev_kv = true;
    raft_request_text(&b, &q);
    says("header:<ID:7587899153203490308> put:<key:\"foo\" value_size:3 prev_kv:true >");
    put.prev_kv = false;
    put.lease = 153;
    put_text(&b, &put);
    says("key:\"foo\" value_size:3 lease:153 ");
}

/* A transaction shows compares and operations; compared and put values are sizes. */
static void test_txn(void **state)
{
    Etcdserverpb__TxnRequest q = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__Compare c[3] = {ETCDSERVERPB__COMPARE__INIT, ETCDSERVERPB__COMPARE__INIT,
                                  ETCDSERVERPB__COMPARE__INIT};
    Etcdserverpb__Compare *cs[] = {&c[0], &c[1], &c[2]};
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RangeRequest get = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RequestOp op[2] = {ETCDSERVERPB__REQUEST_OP__INIT,
                                     ETCDSERVERPB__REQUEST_OP__INIT};
    Etcdserverpb__RequestOp *ops[] = {&op[0], &op[1]};

    (void) state;
    for (int i = 0; i < 3; i++)
        c[i].key = bin("foo");
    c[0].result = ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER;
    c[0].target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION;
    c[1].target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE;
    c[1].target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE;
    c[1].value = bin("x");
    c[2].result = ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS;
    c[2].target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD;
    c[2].target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION;
    c[2].mod_revision = 3;
    q.compare = cs;
    q.n_compare = 3;
    put.key = bin("a");
    put.value = bin("1");
    get.key = bin("foo");
    op[0].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op[0].request_put = &put;
    op[1].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    op[1].request_range = &get;
    q.success = ops;
    q.n_success = 2;
    txn_text(&b, &q);
    says("compare:<result:GREATER  key:\"foo\"  version:0 target:VALUE key:\"foo\" value_size:1  "
         "result:LESS  target:MOD  key:\"foo\"  mod_revision:3> success:<request_put:<key:\"a\" "
         "value_size:1 > request_range:{key:\"foo\"}> failure:<>");
}

/* Leases show their id in hex, deletions and compactions are shown whole. */
static void test_others(void **state)
{
    Etcdserverpb__InternalRaftRequest q = ETCDSERVERPB__INTERNAL_RAFT_REQUEST__INIT;
    Etcdserverpb__LeaseGrantRequest grant = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    Etcdserverpb__DeleteRangeRequest del = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    Etcdserverpb__AlarmRequest alarm = ETCDSERVERPB__ALARM_REQUEST__INIT;
    Etcdserverpb__RequestHeader h = header();

    (void) state;
    q.header = &h;
    q.lease_grant = &grant;
    grant.ttl = 50;
    grant.id = 3;
    raft_request_text(&b, &q);
    says("header:<ID:7587899153203490308> lease_grant:<ttl:50-second id:0000000000000003>");
    q.lease_grant = NULL;
    q.delete_range = &del;
    del.key = bin("foo");
    del.range_end = bin("f0");
    del.prev_kv = true;
    raft_request_text(&b, &q);
    says("header:{ID:7587899153203490308}  delete_range:{key:\"foo\"  range_end:\"f0\"  "
         "prev_kv:true}");
    q.delete_range = NULL;
    q.alarm = &alarm;
    raft_request_text(&b, &q);
    says("header:{ID:7587899153203490308}  alarm:{}");
}

/* Passwords are in no text. */
static void test_no_passwords(void **state)
{
    Etcdserverpb__InternalRaftRequest q = ETCDSERVERPB__INTERNAL_RAFT_REQUEST__INIT;
    Etcdserverpb__AuthUserAddRequest add = ETCDSERVERPB__AUTH_USER_ADD_REQUEST__INIT;

    (void) state;
    q.auth_user_add = &add;
    add.name = (char *) (uintptr_t) "u";
    add.password = (char *) (uintptr_t) "secret";
    add.hashedpassword = (char *) (uintptr_t) "secret";
    raft_request_text(&b, &q);
    says("header:<> auth_user_add:<name:u>");
}

/* Quotes, control bytes and what is no UTF-8 are escaped; repeated and enumerated fields show. */
static void test_escapes(void **state)
{
    Etcdserverpb__RangeRequest q = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__WatchCreateRequest w = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    Etcdserverpb__WatchCreateRequest__FilterType filters[] = {
        ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NODELETE,
        ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NOPUT};

    (void) state;
    q.key = bin("a\"\\\n\x01\xc3\xa9");
    q.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    message_text(&b, &q.base);
    says("key:\"a\\\"\\\\\\n\\x01\xc3\xa9\"  sort_order:DESCEND");
    q.key = bin("\xff");
    q.sort_order = 0;
    q.limit = -1;
    message_text(&b, &q.base);
    says("key:\"\\xff\"  limit:-1");
    q.limit = 0;
    q.key = bin("\xc3\xa9\xff\xc2\x85\t\xc3");
    message_text(&b, &q.base);
    says("key:\"\xc3\xa9\\xff\\u0085\\t\\xc3\"");
    w.filters = filters;
    w.n_filters = 2;
    message_text(&b, &w.base);
    says("filters:NODELETE  filters:NOPUT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_put, setup, teardown),
        cmocka_unit_test_setup_teardown(test_txn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_passwords, setup, teardown),
        cmocka_unit_test_setup_teardown(test_escapes, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
