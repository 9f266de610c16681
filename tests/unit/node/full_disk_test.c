/* full_disk_test.c -- a whole member whose disk has no room: nothing stops, nothing is lost, and it
 * ends by itself. */
#include "base/alloc.h"
#include "state/store/store.h"
#include "unit/node/lone.h"

#define OP_DELETE_RANGE 5
#define OP_COMPACTION 7
#define VALUE_BYTES 20000

static char value[VALUE_BYTES + 1];

static struct member *fresh(struct simdisk *disk, uint64_t seed)
{
    struct member *m = lone_new(disk, seed);

    memset(value, 'v', VALUE_BYTES);
    m->cfg.compaction_batch = 20;
    lone_open(m);
    return m;
}

static void reopen(struct member *m)
{
    struct err e = ERR_INIT;

    if (member_open(m, &e) != 0)
        fail_msg("does not start: %s%s", e.msg, m->died);
    assert_true(member_run(m, 1500, NULL));
}

static int64_t put_numbered(struct member *m, int i)
{
    char key[16];

    snprintf(key, sizeof key, "k%d", i);
    return member_put(m, key, value);
}

static bool has(struct member *m, int i)
{
    static char got[VALUE_BYTES + 1];
    char key[16];
    int64_t mod;

    snprintf(key, sizeof key, "k%d", i);
    return member_get(m, key, got, sizeof got, &mod) && strcmp(got, value) == 0;
}

/* Puts until the member would refuse them to a client; returns how many there are. */
static int fill(struct member *m, int from)
{
    while (node_quota_fits(m->node, 1)) {
        if (put_numbered(m, from) == 0)
            fail_msg("put %d: %s", from, m->died);
        from++;
        assert_true(from < 20000);
    }
    return from;
}

/* The data file cannot grow; returns how many puts were taken all the same. */
static int fill_beyond_the_reserve(struct member *m, struct simdisk *disk)
{
    int n;

    put_numbered(m, 0);
    assert_true(member_run(m, 500, NULL));
    simdisk_set_full(disk, "snap/db");
    n = fill(m, 1);
    for (int i = 0; i < 600; i++) /* more than the reserve holds: some must wait in memory */
        assert_true(put_numbered(m, n++) > 0);
    return n;
}

static enum api_error delete_key(struct member *m, const char *key)
{
    Etcdserverpb__DeleteRangeRequest q = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    struct call *c;
    enum api_error err;

    q.key = wire_binary(bytes_str(key));
    c = member_propose(m, OP_DELETE_RANGE, &q.base);
    assert_true(c->answered);
    err = c->r.result.err;
    call_free(c);
    return err;
}

static enum api_error compact(struct member *m, int64_t revision)
{
    Etcdserverpb__CompactionRequest q = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    struct call *c;
    enum api_error err;

    q.revision = revision;
    q.physical = true;
    c = member_propose(m, OP_COMPACTION, &q.base);
    assert_true(c->answered);
    err = c->r.result.err;
    call_free(c);
    return err;
}

static void wait_for_room(struct member *m)
{
    for (int i = 0; i < 50 && node_disk_full(m->node); i++)
        assert_true(member_run(m, 100, NULL));
    assert_false(node_disk_full(m->node));
}

/* When no further segment of the log can be made puts are refused while the present one still has
 * room; deletes and compactions go on in it; when it ends they are refused too, and reads go on. */
static void the_log_finds_no_room(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct member *m = fresh(disk, 1);
    int n, deleted = 0;

    (void) state;
    simdisk_set_full(disk, "/wal/");
    n = fill(m, 0);
    assert_true(n > 1);
    assert_int_equal(delete_key(m, "k0"), API_OK);
    assert_int_equal(compact(m, mvcc_revision(node_mvcc(m->node))), API_OK);
    assert_false(has(m, 0));
    assert_true(has(m, n - 1));
    while (delete_key(m, "nothing") == API_OK)
        assert_true(++deleted < 100000);
    assert_true(deleted > 10);
    assert_int_equal(delete_key(m, "k1"), API_NO_SPACE);
    assert_true(node_read_now(m->node));
    assert_true(has(m, 1));
    assert_true(member_run(m, 5000, NULL));
    simdisk_set_full(disk, NULL);
    wait_for_room(m);
    assert_true(put_numbered(m, n) > 0);
    member_close(m);
    reopen(m);
    for (int i = 1; i <= n; i++)
        assert_true(has(m, i));
    lone_end(m, disk);
}

/* When the data file cannot grow puts are refused while there is a reserve; what was taken before
 * is kept in memory and in the log, over a stop and a power cut on the full disk, too. */
static void the_data_file_finds_no_room(void **state)
{
    struct simdisk *disk = simdisk_new(2);
    struct member *m = fresh(disk, 2);
    int n;

    (void) state;
    n = fill_beyond_the_reserve(m, disk);
    assert_true(member_run(m, 3000, NULL));
    assert_false(node_quota_fits(m->node, 1));
    assert_true(node_quota_fits(m->node, 0));
    member_close(m);
    member_may_die(); /* it is abandoned */
    reopen(m);
    for (int i = 0; i < n; i += 7)
        assert_true(has(m, i));
    member_abandon(m);
    member_must_live();
    simdisk_crash(disk, SIM_CRASH_DROP);
    reopen(m);
    simdisk_set_full(disk, NULL);
    wait_for_room(m);
    assert_true(member_run(m, 3000, NULL));
    assert_int_equal(put_numbered(m, n), n + 2);
    for (int i = 0; i <= n; i++)
        assert_true(has(m, i));
    lone_end(m, disk);
}

/* A question that waits for room in the data file is answered at a stop, in whatever order the
 * actors have their last turns. */
static void a_stop_answers_who_waits_for_room(void **state)
{
    static const enum node_actor order[] = {NODE_RAFT, NODE_APPLY, NODE_WAL, NODE_STORE, NODE_WORK};
    struct simdisk *disk = simdisk_new(5);
    struct member *m = fresh(disk, 5);
    struct call c = {.r = {.kind = NODE_REQ_HASH, .sink = &m->sink, .arena = arena_new(1 << 20)}};
    int n;

    (void) state;
    n = fill_beyond_the_reserve(m, disk);
    for (int i = 0; i < STORE_BATCHES_MAX; i++) { /* and more batches than may wait for it */
        assert_true(put_numbered(m, n++) > 0);
        assert_true(member_run(m, 200, NULL));
    }
    node_submit(m->node, &c.r);
    assert_true(member_run(m, 3000, NULL));
    assert_false(c.answered);
    node_stop(m->node);
    for (int i = 0; i < 100 && !node_stopped(m->node); i++) {
        for (size_t k = 0; k < ARRAY_LEN(order); k++)
            node_run(m->node, order[k], m->now, 0);
    }
    assert_true(node_stopped(m->node));
    assert_true(c.answered);
    assert_int_equal(c.r.result.err, API_STOPPED);
    arena_free(c.r.arena);
    lone_end(m, disk);
}

/* On a disk that stays full a compaction of the file makes room in it, and puts are taken again. */
static void compaction_ends_it(void **state)
{
    struct simdisk *disk = simdisk_new(3);
    struct member *m = fresh(disk, 3);
    struct node_status st;
    uint64_t in_use;
    int n;

    (void) state;
    for (int i = 0; i < 100; i++)
        assert_true(member_put(m, "same", value) > 0);
    assert_true(member_run(m, 500, NULL));
    simdisk_set_full(disk, "snap/db");
    n = fill(m, 0);
    node_status(m->node, &st);
    in_use = st.db_in_use_bytes;
    assert_int_equal(compact(m, mvcc_revision(node_mvcc(m->node))), API_OK);
    assert_true(member_run(m, 3000, NULL));
    node_status(m->node, &st);
    assert_true(st.db_in_use_bytes + 90 * VALUE_BYTES < in_use);
    assert_true(has(m, n - 1));
    lone_end(m, disk);
}

static size_t snapshots(struct member *m)
{
    struct err e = ERR_INIT;
    char **names;
    size_t n, snaps = 0;

    assert_int_equal(disk_list(m->disk, "/data/member/snap", &names, &n, &e), 0);
    for (size_t i = 0; i < n; i++)
        snaps += strstr(names[i], ".snap") != NULL;
    disk_list_free(names, n);
    return snaps;
}

/* A snapshot that finds no room is left out and taken later; the log is kept until then. */
static void a_snapshot_finds_no_room(void **state)
{
    struct simdisk *disk = simdisk_new(4);
    struct member *m = lone_new(disk, 4);

    (void) state;
    memset(value, 'v', VALUE_BYTES);
    m->cfg.snapshot_count = 10;
    lone_open(m);
    simdisk_set_full(disk, ".snap");
    for (int i = 0; i < 30; i++)
        assert_true(member_put(m, "a", "small") > 0);
    assert_true(member_run(m, 3000, NULL));
    assert_int_equal(snapshots(m), 0);
    simdisk_set_full(disk, NULL);
    assert_true(member_run(m, 20000, NULL));
    assert_true(snapshots(m) > 0);
    lone_end(m, disk);
}

/* So is one for which there is no descriptor: of the process, or of the system. */
static void a_snapshot_finds_no_descriptor(void **state)
{
    struct simdisk *disk = simdisk_new(4);
    struct member *m = lone_new(disk, 4);

    (void) state;
    m->cfg.snapshot_count = 10;
    lone_open(m);
    simdisk_fail(disk, SIM_OPEN, 1, ERR_AGAIN, true);
    for (int i = 0; i < 30; i++)
        assert_true(member_put(m, "a", "small") > 0);
    assert_true(member_run(m, 3000, NULL));
    assert_int_equal(snapshots(m), 0);
    simdisk_fail(disk, 0, 0, 0, false);
    assert_true(member_run(m, 20000, NULL));
    assert_true(snapshots(m) > 0);
    lone_end(m, disk);
}

/* However much room there is when it ends, byte for byte: every acknowledged put is there after a
 * power cut, and the member starts. */
static void any_amount_of_room(void **state)
{
    int refused = 0;

    (void) state;
    member_may_die();
    for (uint64_t kib = 300; kib < 1800; kib += 53) {
        struct simdisk *disk = simdisk_new(kib);
        struct member *m = lone_new(disk, kib);
        int n = 0;

        memset(value, 'v', VALUE_BYTES);
        lone_open(m);
        simdisk_set_full(disk, NULL);
        simdisk_set_capacity(disk, UINT64_C(16777216) + 24576 + kib * 1024);
        while (n < 150 && put_numbered(m, n) > 0)
            n++;
        assert_string_equal(m->died, "");
        refused += n < 150;
        member_abandon(m);
        simdisk_crash(disk, SIM_CRASH_TEAR);
        simdisk_set_capacity(disk, 0);
        reopen(m);
        for (int i = 0; i < n; i++)
            assert_true(has(m, i));
        assert_true(put_numbered(m, n) > 0);
        lone_end(m, disk);
    }
    assert_true(refused > 5);
    member_must_live();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_log_finds_no_room),
        cmocka_unit_test(the_data_file_finds_no_room),
        cmocka_unit_test(a_stop_answers_who_waits_for_room),
        cmocka_unit_test(compaction_ends_it),
        cmocka_unit_test(a_snapshot_finds_no_room),
        cmocka_unit_test(a_snapshot_finds_no_descriptor),
        cmocka_unit_test(any_amount_of_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
