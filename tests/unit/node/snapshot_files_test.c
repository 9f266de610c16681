/* Snapshot files: when they are written, and when they go. */
#include "unit/node/lone.h"

/* After every snapshot_count entries a snapshot file is written with its marker, and a start from
 * there works. */
static void snapshots_are_taken(void **state)
{
    struct simdisk *disk = simdisk_new(9);
    struct member *m = lone_new(disk, 9);
    struct err e = ERR_INIT;
    char **names, value[64];
    size_t n, snaps = 0;
    int64_t mod;

    (void) state;
    m->cfg.snapshot_count = 50;
    m->cfg.catchup_entries = 20;
    lone_open(m);
    for (int i = 0; i < 200; i++)
        assert_int_equal(member_put(m, "a", "x"), i + 2);
    assert_true(member_run(m, 500, NULL));
    assert_int_equal(disk_list(m->disk, "/data/member/snap", &names, &n, &e), 0);
    for (size_t i = 0; i < n; i++)
        snaps += strstr(names[i], ".snap") != NULL;
    disk_list_free(names, n);
    assert_in_range(snaps, 2, 5);
    member_close(m);
    assert_int_equal(member_open(m, &e), 0);
    assert_true(member_run(m, 1000, NULL));
    assert_true(member_get(m, "a", value, sizeof value, &mod));
    assert_int_equal(mod, 201);
    lone_end(m, disk);
}

/* While the data file's disk hangs nothing more is sealed; a snapshot that falls due then is not
 * taken before the file holds its index: the member would not start again. */
static void a_snapshot_waits_for_the_data_file(void **state)
{
    struct simdisk *disk = simdisk_new(12);
    struct member *m = lone_new(disk, 12);
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct err e = ERR_INIT;
    struct call *c[16];
    char value[64];
    int64_t mod;

    (void) state;
    member_may_die();
    m->cfg.snapshot_count = 4 + ARRAY_LEN(c) - 1;
    lone_open(m);
    put.key = wire_binary(BYTES_LIT("a"));
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        c[i] = member_submit(m, 4, &put.base);
        lone_run_without_store(m, i + 4 < ARRAY_LEN(c) ? 120 : 5);
        assert_true(c[i]->answered);
        call_free(c[i]);
    }
    /* The disk answers again; what the store then lets go of reaches the log before power is cut.
     */
    node_run(m->node, NODE_STORE, m->now, 0);
    node_run(m->node, NODE_RAFT, m->now, 0);
    node_run(m->node, NODE_WAL, m->now, 0);
    member_abandon(m);
    member_must_live();
    simdisk_crash(disk, SIM_CRASH_DROP);
    assert_int_equal(member_open(m, &e), 0);
    assert_true(member_run(m, 1000, NULL));
    assert_true(member_get(m, "a", value, sizeof value, &mod));
    assert_int_equal(mod, ARRAY_LEN(c) + 1);
    lone_end(m, disk);
}

/* Of databases that leaders have sent those are removed that the member is past, and no other,
 * however few are to be kept: a snapshot that is on its way through the log needs its own, be it
 * the oldest. */
static void received_databases_wait_for_their_snapshots(void **state)
{
    struct simdisk *disk = simdisk_new(16);
    struct member *m = lone_new(disk, 16);

    (void) state;
    m->cfg.snapshots_max = 1;
    lone_open(m);
    simdisk_put_file(disk, "/data/member/snap/0000000000000004.snap.db", "x", 1);
    simdisk_put_file(disk, "/data/member/snap/0000000000000100.snap.db", "x", 1);
    simdisk_put_file(disk, "/data/member/snap/0000000000000200.snap.db", "x", 1);
    assert_true(member_run(m, 60000, NULL));
    assert_false(disk_exists(m->disk, "/data/member/snap/0000000000000004.snap.db"));
    assert_true(disk_exists(m->disk, "/data/member/snap/0000000000000100.snap.db"));
    assert_true(disk_exists(m->disk, "/data/member/snap/0000000000000200.snap.db"));
    lone_end(m, disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshots_are_taken),
        cmocka_unit_test(a_snapshot_waits_for_the_data_file),
        cmocka_unit_test(received_databases_wait_for_their_snapshots),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
