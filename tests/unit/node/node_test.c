#include "base/alloc.h"
#include "unit/node/lone.h"

/* A first start elects itself in term 2, publishes its name and decides the cluster version: four
 * entries, as in etcd, and revision 1. */
static void a_first_start_is_etcds(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct member *m = lone_fresh(disk, 1);
    struct node_status st;

    (void) state;
    node_status(m->node, &st);
    assert_int_equal(st.member_id, UINT64_C(10276657743932975437));
    assert_int_equal(st.cluster_id, UINT64_C(14841639068965178418));
    assert_int_equal(st.term, 2);
    assert_int_equal(st.leader, st.member_id);
    assert_int_equal(st.commit, 4);
    assert_int_equal(st.applied, 4);
    assert_int_equal(st.cluster_version, 3 << 16 | 7);
    assert_true(st.ready);
    assert_int_equal(mvcc_revision(node_mvcc(m->node)), 1);
    lone_end(m, disk);
}

/* A put is answered with its revision, seen by readers at once, and there after a restart. */
static void puts_outlive_a_restart(void **state)
{
    struct simdisk *disk = simdisk_new(2);
    struct member *m = lone_fresh(disk, 2);
    struct err e = ERR_INIT;
    char value[64];
    int64_t mod;

    (void) state;
    assert_int_equal(member_put(m, "a", "1"), 2);
    assert_int_equal(member_put(m, "a", "2"), 3);
    assert_true(member_get(m, "a", value, sizeof value, &mod));
    assert_string_equal(value, "2");
    assert_int_equal(mod, 3);
    assert_true(node_read_now(m->node));
    member_close(m);
    assert_int_equal(member_open(m, &e), 0);
    assert_true(member_run(m, 1000, NULL));
    assert_true(member_get(m, "a", value, sizeof value, &mod));
    assert_string_equal(value, "2");
    assert_int_equal(mod, 3);
    assert_int_equal(member_put(m, "b", "3"), 4);
    lone_end(m, disk);
}

/* A request past the limit is refused with etcd's error and changes nothing. */
static void large_requests_are_refused(void **state)
{
    struct simdisk *disk = simdisk_new(4);
    struct member *m = lone_fresh(disk, 4);
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    uint8_t *big = test_calloc(1, 2 << 20);
    struct call *c;

    (void) state;
    put.key = wire_binary(BYTES_LIT("a"));
    put.value = wire_binary(bytes_of(big, 1572864));
    c = member_propose(m, 4, &put.base);
    assert_true(c->answered);
    assert_int_equal(c->r.result.err, API_REQUEST_TOO_LARGE);
    call_free(c);
    assert_int_equal(member_put(m, "a", "1"), 2);
    test_free(big);
    lone_end(m, disk);
}

/* A lease that nobody renews takes its keys with it, in one revision, when its time is up and not
 * before. */
static void leases_end_when_their_time_is_up(void **state)
{
    struct simdisk *disk = simdisk_new(5);
    struct member *m = lone_fresh(disk, 5);
    Etcdserverpb__LeaseGrantRequest grant = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct call *c;
    char value[64];
    int64_t mod;

    (void) state;
    grant.id = 77;
    grant.ttl = 5;
    c = member_propose(m, 8, &grant.base);
    assert_int_equal(c->r.result.err, API_OK);
    assert_int_equal(((Etcdserverpb__LeaseGrantResponse *) c->r.result.msg)->ttl, 5);
    call_free(c);
    c = member_propose(m, 8, &grant.base);
    assert_int_equal(c->r.result.err, API_LEASE_EXIST);
    call_free(c);
    put.key = wire_binary(BYTES_LIT("leased"));
    put.lease = 77;
    call_free(member_propose(m, 4, &put.base));
    assert_true(member_run(m, 4000, NULL));
    assert_true(member_get(m, "leased", value, sizeof value, &mod));
    c = member_ask(m, NODE_REQ_LEASE_KEEPALIVE, 77);
    assert_int_equal(((Etcdserverpb__LeaseKeepAliveResponse *) c->r.result.msg)->ttl, 5);
    call_free(c);
    assert_true(member_run(m, 4000, NULL));
    assert_true(member_get(m, "leased", value, sizeof value, &mod));
    assert_true(member_run(m, 3000, NULL));
    assert_false(member_get(m, "leased", value, sizeof value, &mod));
    c = member_ask(m, NODE_REQ_LEASE_TTL, 77);
    assert_int_equal(((Etcdserverpb__LeaseTimeToLiveResponse *) c->r.result.msg)->ttl, -1);
    call_free(c);
    put.lease = 78;
    c = member_propose(m, 4, &put.base);
    assert_int_equal(c->r.result.err, API_LEASE_NOT_FOUND);
    call_free(c);
    lone_end(m, disk);
}

/* A physical compaction answers when the file is rid of what went; older revisions are then
 * refused, and the same compaction again is refused, too. */
static void compaction_is_physical(void **state)
{
    struct simdisk *disk = simdisk_new(6);
    struct member *m = lone_fresh(disk, 6);
    Etcdserverpb__CompactionRequest compact = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    struct call *c;

    (void) state;
    for (int i = 0; i < 50; i++)
        assert_int_equal(member_put(m, "a", "x"), i + 2);
    compact.revision = 40;
    compact.physical = 1;
    c = member_propose(m, 7, &compact.base);
    assert_true(c->answered);
    assert_int_equal(c->r.result.err, API_OK);
    assert_int_equal(c->r.result.revision, 51);
    call_free(c);
    c = member_propose(m, 7, &compact.base);
    assert_int_equal(c->r.result.err, API_COMPACTED);
    call_free(c);
    compact.revision = 99;
    c = member_propose(m, 7, &compact.base);
    assert_int_equal(c->r.result.err, API_FUTURE_REV);
    call_free(c);
    c = member_ask(m, NODE_REQ_HASH_KV, 0);
    assert_int_equal(c->r.result.err, API_OK);
    assert_int_equal(((Etcdserverpb__HashKVResponse *) c->r.result.msg)->compact_revision, 40);
    call_free(c);
    c = member_ask(m, NODE_REQ_HASH_KV, 39);
    assert_int_equal(c->r.result.err, API_COMPACTED);
    call_free(c);
    lone_end(m, disk);
}

/* The members are one, with the name and URLs that it published. */
static void the_member_is_listed(void **state)
{
    struct simdisk *disk = simdisk_new(8);
    struct member *m = lone_fresh(disk, 8);
    struct call *c = member_ask(m, NODE_REQ_MEMBER_LIST, 0);
    Etcdserverpb__MemberListResponse *res = (void *) c->r.result.msg;

    (void) state;
    assert_int_equal(res->n_members, 1);
    assert_string_equal(res->members[0]->name, "m");
    assert_string_equal(res->members[0]->peerurls[0], "http://localhost:2380");
    assert_string_equal(res->members[0]->clienturls[0], "http://localhost:2379");
    call_free(c);
    lone_end(m, disk);
}

/* A transaction nested as deep as a client may send it is one level deeper in the log, and is
 * applied all the same. */
static void the_deepest_transaction_is_applied(void **state)
{
    static Etcdserverpb__TxnRequest txns[WIRE_DEPTH_MAX / 2];
    static Etcdserverpb__RequestOp ops[WIRE_DEPTH_MAX / 2], *op[WIRE_DEPTH_MAX / 2];
    struct simdisk *disk = simdisk_new(11);
    struct member *m = lone_fresh(disk, 11);
    Etcdserverpb__Compare compare = ETCDSERVERPB__COMPARE__INIT, *compares = &compare;
    Etcdserverpb__TxnRequest *decoded;
    struct call *c;

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(txns); i++) {
        etcdserverpb__txn_request__init(&txns[i]);
        etcdserverpb__request_op__init(&ops[i]);
        ops[i].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN;
        ops[i].request_txn = i + 1 < ARRAY_LEN(txns) ? &txns[i + 1] : NULL;
        op[i] = &ops[i];
        txns[i].success = &op[i];
        txns[i].n_success = i + 1 < ARRAY_LEN(txns) ? 1 : 0;
    }
    compare.key = wire_binary(BYTES_LIT("k"));
    txns[ARRAY_LEN(txns) - 1].compare = &compares;
    txns[ARRAY_LEN(txns) - 1].n_compare = 1;
    c = member_propose(m, 6, &txns[0].base);
    assert_string_equal(m->died, "");
    assert_true(c->answered);
    assert_int_equal(WIRE_DECODE(etcdserverpb__txn_request, c->r.body, c->r.arena, &decoded, NULL),
                     0);
    assert_int_equal(c->r.result.err, API_OK);
    call_free(c);
    lone_end(m, disk);
}

/* The same seed gives the same bytes on disk: nothing of the outside leaks in. */
static void the_same_seed_gives_the_same_files(void **state)
{
    uint8_t *log[2];
    size_t n[2];

    (void) state;
    for (int k = 0; k < 2; k++) {
        struct simdisk *disk = simdisk_new(11);
        struct member *m = lone_fresh(disk, 11);
        char key[16];

        for (int i = 0; i < 30; i++) {
            snprintf(key, sizeof key, "k%d", i % 7);
            assert_int_equal(member_put(m, key, "v"), i + 2);
        }
        member_close(m);
        log[k] = simdisk_get_file(disk, "/data/member/snap/db", &n[k]);
        test_free(m);
        simdisk_free(disk);
    }
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(log[0], log[1], n[0]);
    mem_free(log[0]);
    mem_free(log[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_start_is_etcds),
        cmocka_unit_test(puts_outlive_a_restart),
        cmocka_unit_test(large_requests_are_refused),
        cmocka_unit_test(leases_end_when_their_time_is_up),
        cmocka_unit_test(compaction_is_physical),
        cmocka_unit_test(the_member_is_listed),
        cmocka_unit_test(the_deepest_transaction_is_applied),
        cmocka_unit_test(the_same_seed_gives_the_same_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
