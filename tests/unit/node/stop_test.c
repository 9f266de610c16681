#include "base/alloc.h"
#include "unit/node/lone.h"

#define RECORDS 3000 /* more than one step of a copy or of a hash takes */
#define PUTS_EACH 100

static Etcdserverpb__PutRequest record[PUTS_EACH];
static Etcdserverpb__RequestOp ops[PUTS_EACH], *op[PUTS_EACH];
static char keys[PUTS_EACH][16];

static struct member *filled(struct simdisk *disk)
{
    struct member *m = lone_new(disk, 1);
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;

    m->cfg.compaction_batch = 10; /* so that one is not over in a few steps */
    lone_open(m);
    for (size_t i = 0; i < PUTS_EACH; i++) {
        snprintf(keys[i], sizeof keys[i], "key%zu", i);
        etcdserverpb__put_request__init(&record[i]);
        record[i].key = wire_binary(bytes_str(keys[i]));
        etcdserverpb__request_op__init(&ops[i]);
        ops[i].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        ops[i].request_put = &record[i];
        op[i] = &ops[i];
    }
    txn.success = op;
    txn.n_success = PUTS_EACH;
    for (size_t i = 0; i < RECORDS / PUTS_EACH; i++)
        call_free(member_propose(m, 6, &txn.base));
    assert_true(member_run(m, 1000, NULL));
    return m;
}

static struct call *call_new(struct member *m, enum node_request_kind kind)
{
    struct call *c = xmem_calloc(1, sizeof *c);

    c->r.kind = kind;
    c->r.sink = &m->sink;
    c->r.arena = arena_new((size_t) 1 << 20);
    return c;
}

static struct call *submit_change(struct member *m, enum node_request_kind kind,
                                  struct cluster_change *change)
{
    struct call *c = call_new(m, kind);

    c->r.change = change;
    node_submit(m->node, &c->r);
    return c;
}

static struct call *submit_keep_alive(struct member *m, int64_t lease_id)
{
    struct call *c = call_new(m, NODE_REQ_LEASE_KEEPALIVE);

    c->r.lease_id = lease_id;
    node_submit(m->node, &c->r);
    return c;
}

static struct call *submit(struct member *m, enum node_request_kind kind)
{
    return submit_change(m, kind, NULL);
}

/* Each actor's turn once, whatever it says of the next one. */
static void turns(struct member *m, int n)
{
    for (int i = 0; i < n; i++, m->now += 10000000) {
        for (int k = 0; k < NODE_ACTORS; k++)
            node_run(m->node, (enum node_actor) k, m->now, 0);
    }
}

/* Three of a kind, the first of them begun, come back within a few turns of the word that waits are
 * over; the member stops, and what it had is there at the next start. */
static void broken_off(enum node_request_kind kind)
{
    struct simdisk *disk = simdisk_new(1);
    struct member *m = filled(disk);
    struct call *c[3];

    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        c[i] = submit(m, kind);
    turns(m, 2);
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        assert_false(c[i]->answered);
    node_end_waits(m->node);
    turns(m, (int) ARRAY_LEN(c));
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        assert_true(c[i]->answered);
        assert_int_equal(c[i]->r.result.err, API_STOPPED);
        call_free(c[i]);
    }
    assert_false(disk_exists(m->disk, "/data/member/snap/db.tmp.defrag"));
    member_close(m);
    lone_open(m);
    assert_int_equal(member_put(m, "a", "x"), RECORDS / PUTS_EACH + 2);
    lone_end(m, disk);
}

/* A stop does not wait for the copy of a defragmentation, which takes minutes with gigabytes. */
static void a_stop_breaks_off_defragmentations(void **state)
{
    (void) state;
    broken_off(NODE_REQ_DEFRAGMENT);
}

/* Nor does a defragmentation that waits for a compaction to end, which takes as long. */
static void a_stop_breaks_off_a_defragmentation_behind_a_compaction(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct member *m = filled(disk);
    Etcdserverpb__CompactionRequest compact = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    struct call *c;

    (void) state;
    compact.revision = RECORDS / PUTS_EACH;
    call_free(member_propose(m, 7, &compact.base));
    turns(m, 5); /* it has begun */
    c = submit(m, NODE_REQ_DEFRAGMENT);
    turns(m, 5);
    assert_false(c->answered);
    node_end_waits(m->node);
    turns(m, 1);
    assert_true(c->answered);
    assert_int_equal(c->r.result.err, API_STOPPED);
    call_free(c);
    lone_end(m, disk);
}

/* Nor for hashes of the key space. */
static void a_stop_breaks_off_hashes_of_the_key_space(void **state)
{
    (void) state;
    broken_off(NODE_REQ_HASH_KV);
}

/* Nor for hashes of the file. */
static void a_stop_breaks_off_hashes_of_the_file(void **state)
{
    (void) state;
    broken_off(NODE_REQ_HASH);
}

/* A change of membership whose way to the log is behind it only when consensus has ended is
 * refused, in whatever order the actors have their last turns. */
static void a_stop_answers_a_late_change_of_membership(void **state)
{
    static const enum node_actor order[] = {NODE_RAFT, NODE_APPLY, NODE_WAL, NODE_STORE, NODE_WORK};
    struct simdisk *disk = simdisk_new(1);
    struct member *m = filled(disk);
    struct cluster_change change = {.type = RAFT_CONF_ADD_LEARNER_NODE,
                                    .member = {.id = 77, .name = "", .is_learner = true}};
    struct call *c;

    (void) state;
    node_stop(m->node);
    c = submit_change(m, NODE_REQ_MEMBER_CHANGE, &change);
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        node_run(m->node, order[i], m->now, 0);
    assert_true(node_stopped(m->node));
    assert_true(c->answered);
    assert_int_equal(c->r.result.err, API_STOPPED);
    call_free(c);
    lone_end(m, disk);
}

/* A piece of a snapshot that comes; the call's memory apart, all is the test's. */
static struct call *submit_piece(struct member *m, enum node_request_kind kind,
                                 struct node_receiving *v, struct node_snapshot *s,
                                 struct payload *piece)
{
    struct call *c = xmem_calloc(1, sizeof *c);

    c->r = (struct node_request){.kind = kind,
                                 .sink = &m->sink,
                                 .arena = arena_new((size_t) 1 << 16),
                                 .receiving = v,
                                 .snapshot = s,
                                 .piece = piece};
    node_submit(m->node, &c->r);
    return c;
}

/* A leader sends faster than the disk takes, so that pieces always wait: a stop refuses them, and
 * does not wait until all of it has come. */
static void a_stop_breaks_off_a_snapshot_that_comes(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct member *m = lone_fresh(disk, 1);
    struct node_receiving *v = node_receiving_new(1000);
    struct payload *piece = payload_new(1000);
    struct call *c[3];
    bool refused = false;
    size_t next = 0;

    (void) state;
    memset(piece->data, 0x5a, piece->bytes);
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        c[i] = submit_piece(m, NODE_REQ_RECEIVE_PIECE, v, NULL, piece);
    node_stop(m->node);
    for (int i = 0; i < 100 && !node_stopped(m->node); i++) {
        turns(m, 1);
        while (c[next] != NULL && c[next]->answered) {
            refused = refused || c[next]->r.result.code != GRPC_OK;
            call_free(c[next]);
            c[next] = refused ? NULL : submit_piece(m, NODE_REQ_RECEIVE_PIECE, v, NULL, piece);
            next = (next + 1) % ARRAY_LEN(c);
        }
    }
    assert_true(refused);
    assert_true(node_stopped(m->node));
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        assert_null(c[i]);
    node_receiving_free(v); /* which has no file any more */
    payload_unref(piece);
    lone_end(m, disk);
}

/* A member that takes a snapshot as fast as it is read is not waited for by a stop. */
static void a_stop_breaks_off_a_snapshot_that_leaves(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct member *m = filled(disk);
    struct call *asked = submit(m, NODE_REQ_SNAPSHOT), *piece;

    (void) state;
    turns(m, 3);
    assert_true(asked->answered);
    node_stop(m->node);
    piece = submit_piece(m, NODE_REQ_SNAPSHOT_PIECE, NULL, asked->r.result.snapshot, NULL);
    turns(m, 3);
    assert_true(piece->answered);
    assert_int_equal(piece->r.result.err, API_STOPPED);
    call_free(piece);
    node_snapshot_free(asked->r.result.snapshot);
    call_free(asked);
    lone_end(m, disk);
}

/* What is submitted while the member stops is answered, with "server stopped" if nothing better. */
static void a_stop_answers_everybody(void **state)
{
    struct simdisk *disk = simdisk_new(10);
    struct member *m = lone_fresh(disk, 10);
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct call *c[20];

    (void) state;
    put.key = wire_binary(BYTES_LIT("a"));
    for (int i = 0; i < 20; i++)
        c[i] = member_submit(m, 4, &put.base);
    member_close(m);
    for (int i = 0; i < 20; i++) {
        assert_true(c[i]->answered);
        assert_true(c[i]->r.result.err == API_OK || c[i]->r.result.err == API_STOPPED);
        call_free(c[i]);
    }
    test_free(m);
    simdisk_free(disk);
}

/* A keep-alive that waits for the end of a lease which cannot end (the CORRUPT alarm refuses its
 * revocation), and a compaction that waits for the file, come back as soon as waits are over. */
static void waits_end_before_the_stop(void **state)
{
    struct simdisk *disk = simdisk_new(13);
    struct member *m = lone_fresh(disk, 13);
    Etcdserverpb__LeaseGrantRequest grant = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    Etcdserverpb__AlarmRequest alarm = ETCDSERVERPB__ALARM_REQUEST__INIT;
    Etcdserverpb__CompactionRequest compact = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    struct call *c, *keep_alive, *physical;

    (void) state;
    grant.id = 7;
    grant.ttl = 1;
    call_free(member_propose(m, 8, &grant.base));
    assert_int_equal(member_put(m, "a", "x"), 2);
    assert_int_equal(member_put(m, "a", "x"), 3);
    compact.revision = 3;
    compact.physical = true;
    physical = member_submit(m, 7, &compact.base);
    lone_run_without_store(m, 100);
    alarm.action = ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__ACTIVATE;
    alarm.alarm = ETCDSERVERPB__ALARM_TYPE__CORRUPT;
    c = member_submit(m, 10, &alarm.base);
    lone_run_without_store(m, 8000);
    assert_true(c->answered);
    call_free(c);
    keep_alive = submit_keep_alive(m, 7);
    lone_run_without_store(m, 60000);
    assert_false(keep_alive->answered);
    assert_false(physical->answered);
    node_end_waits(m->node);
    lone_run_without_store(m, 100);
    assert_true(keep_alive->answered);
    assert_string_equal(keep_alive->r.result.text, "not a primary lessor");
    assert_true(physical->answered);
    assert_int_equal(physical->r.result.err, API_STOPPED);
    call_free(keep_alive);
    call_free(physical);
    lone_end(m, disk);
}

/* A compaction of the file that is under way when the member stops is broken off, and goes on at
 * the next start. */
static void a_stop_breaks_off_a_compaction(void **state)
{
    struct simdisk *disk = simdisk_new(14);
    struct member *m = lone_fresh(disk, 14);
    Etcdserverpb__CompactionRequest compact = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    struct call *c;

    (void) state;
    for (int i = 0; i < 20; i++)
        assert_int_equal(member_put(m, "a", "x"), i + 2);
    compact.revision = 15;
    c = member_submit(m, 7, &compact.base);
    lone_run_without_store(m, 100);
    assert_true(c->answered);
    assert_int_equal(c->r.result.err, API_OK);
    call_free(c);
    node_stop(m->node);
    lone_run_without_store(
        m, 20); /* all others have stopped when the store gives the compaction back */
    member_close(m);
    lone_open(m);
    assert_int_equal(mvcc_compact_revision(node_mvcc(m->node)), 15);
    assert_int_equal(member_put(m, "b", "x"), 22);
    lone_end(m, disk);
}

/* A snapshot that the store takes when all others have stopped goes into no log any more: its job
 * is freed (which the leak checker looks at), and the member starts again. */
static void a_stop_leaves_no_snapshot_behind(void **state)
{
    struct simdisk *disk = simdisk_new(15);
    struct member *m = lone_new(disk, 15);
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct call *c[12];

    (void) state;
    m->cfg.snapshot_count = 4 + ARRAY_LEN(c) - 1;
    lone_open(m);
    put.key = wire_binary(BYTES_LIT("a"));
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        c[i] = member_submit(m, 4, &put.base);
        lone_run_without_store(m, 5);
        assert_true(c[i]->answered);
        call_free(c[i]);
    }
    node_stop(m->node);
    lone_run_without_store(m, 20);
    member_close(m);
    assert_true(disk_exists(m->disk, "/data/member/snap/0000000000000002-0000000000000010.snap"));
    lone_open(m);
    assert_int_equal(member_put(m, "a", "x"), ARRAY_LEN(c) + 2);
    lone_end(m, disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stop_breaks_off_defragmentations),
        cmocka_unit_test(a_stop_breaks_off_a_defragmentation_behind_a_compaction),
        cmocka_unit_test(a_stop_breaks_off_hashes_of_the_key_space),
        cmocka_unit_test(a_stop_breaks_off_hashes_of_the_file),
        cmocka_unit_test(a_stop_answers_a_late_change_of_membership),
        cmocka_unit_test(a_stop_breaks_off_a_snapshot_that_comes),
        cmocka_unit_test(a_stop_breaks_off_a_snapshot_that_leaves),
        cmocka_unit_test(a_stop_answers_everybody),
        cmocka_unit_test(waits_end_before_the_stop),
        cmocka_unit_test(a_stop_breaks_off_a_compaction),
        cmocka_unit_test(a_stop_leaves_no_snapshot_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
