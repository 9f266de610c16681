#include "lib/cm.h"

#include "base/alloc.h"
#include "engine/bolt/bolt.h"
#include "engine/snap/snap.h"
#include "engine/wal/wal.h"
#include "etcdutl/restore.h"
#include "etcdutl/utl.h"
#include "lib/simdisk.h"
#include "state/store/store.h"
#include "sys/digest.h"

/* A restore on a simulated disk: whatever fails, and whenever the power is cut, there is no
 * directory that a server would take for a member, or a whole one. */

#define SNAPSHOT "backup.db"
#define DATA "var/m1"
#define WAL_BELOW "var/m1/member/wal"
#define WAL_ELSEWHERE "log/m1"
#define SEGMENT_BYTES 65536
#define FAULTS_MAX 10000 /* more calls than a restore makes */
#define KEY_RECORDS 40

struct log *utl_log; /* silent */

static struct arena arena;
static struct initial initial;
static uint8_t *snapshot; /* with its hash */
static size_t snapshot_n;

/* ---- a snapshot ---- */

static void fill_bucket(struct bolt_tx *tx, struct arena *a)
{
    struct bolt_bucket b;

    for (enum store_bucket i = 0; i < STORE_BUCKETS; i++)
        assert_int_equal(bolt_bucket_create(tx, store_bucket_name(i), &b, NULL), 0);
    assert_int_equal(bolt_bucket_get(tx, store_bucket_name(STORE_KEY), &b, NULL), 0);
    for (int64_t i = 0; i < KEY_RECORDS; i++) {
        uint8_t *k = arena_alloc(a, STORE_REV_KEY_BYTES_MAX);
        size_t n = store_rev_key_put(k, i + 2, 0, false);

        assert_int_equal(bolt_put(&b, bytes_of(k, n), BYTES_LIT("\x0a\x01k"), NULL), 0);
    }
    assert_int_equal(bolt_bucket_get(tx, store_bucket_name(STORE_MEMBERS), &b, NULL), 0);
    assert_int_equal(bolt_put(&b, BYTES_LIT("abc"), BYTES_LIT("{\"id\":2748}"), NULL), 0);
}

static int make_snapshot(void **state)
{
    struct initial_flags flags = {"m1", "m1=http://127.0.0.1:1,m2=http://127.0.0.1:2", "tok",
                                  "http://127.0.0.1:1"};
    struct bolt_options opt = {.initial_map_bytes = BOLT_MAP_SMALL};
    struct simdisk *s = simdisk_new(1);
    struct bolt_db *db;
    struct bolt_tx *tx;
    struct bolt_copy c;
    size_t got, n = 0;

    (void) state;
    arena_init(&arena, (size_t) 64 << 20);
    assert_int_equal(initial_read(&flags, &arena, &initial, NULL), 0);
    assert_int_equal(bolt_open(simdisk_disk(s), "db", &opt, &db, NULL), 0);
    assert_int_equal(bolt_begin_write(db, &tx, NULL), 0);
    fill_bucket(tx, &arena);
    assert_int_equal(bolt_commit(tx, NULL), 0);
    assert_int_equal(bolt_begin_read(db, &tx, NULL), 0);
    bolt_copy_init(&c, tx);
    snapshot_n = (size_t) c.total_bytes + SHA256_BYTES;
    snapshot = mem_alloc(snapshot_n);
    while (bolt_copy_next(&c, snapshot + n, snapshot_n - n, &got, NULL) == 0 && got > 0)
        n += got;
    assert_int_equal(n + SHA256_BYTES, snapshot_n);
    sha256(snapshot, n, snapshot + n);
    bolt_rollback(tx);
    bolt_close(db);
    simdisk_free(s);
    return 0;
}

static int drop_snapshot(void **state)
{
    (void) state;
    mem_free(snapshot);
    arena_done(&arena);
    return 0;
}

/* ---- a restore, and what it left ---- */

static struct simdisk *new_disk(uint64_t seed)
{
    struct simdisk *s = simdisk_new(seed);

    simdisk_put_file(s, SNAPSHOT, snapshot, snapshot_n);
    return s;
}

static int restore_to(struct simdisk *s, const char *wal_dir, uint64_t bump, struct err *e)
{
    struct restore_config c = {.disk = simdisk_disk(s),
                               .snapshot = SNAPSHOT,
                               .data_dir = DATA,
                               .wal_dir = wal_dir,
                               .initial = &initial,
                               .bump = bump,
                               .segment_bytes = SEGMENT_BYTES};
    int rc = restore_check_dirs(&c, e);

    return rc == 0 ? restore_run(&c, e) : rc;
}

static int restore(struct simdisk *s, const char *wal_dir, struct err *e)
{
    return restore_to(s, wal_dir, 0, e);
}

static void check_database(struct disk *d, int64_t last)
{
    struct bolt_options opt = {.read_only = true};
    struct bolt_bucket b;
    struct bolt_cursor c;
    struct bolt_db *db;
    struct bolt_tx *tx;
    struct bytes k, v;
    struct err e = ERR_INIT;
    int64_t main, sub;
    bool tombstone;
    size_t n = 0;

    if (bolt_open(d, DATA "/member/snap/db", &opt, &db, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(bolt_begin_read(db, &tx, NULL), 0);
    assert_int_equal(bolt_check(tx, NULL, NULL, NULL), 0);
    assert_int_equal(bolt_bucket_get(tx, store_bucket_name(STORE_MEMBERS), &b, NULL), 0);
    bolt_cursor_init(&c, &b);
    for (int rc = bolt_cursor_first(&c, &k, &v, NULL); rc == 0;
         rc = bolt_cursor_next(&c, &k, &v, NULL))
        n++;
    assert_int_equal(n, initial.n); /* those of old are gone */
    assert_int_equal(bolt_bucket_get(tx, store_bucket_name(STORE_KEY), &b, NULL), 0);
    bolt_cursor_init(&c, &b);
    assert_int_equal(bolt_cursor_last(&c, &k, &v, NULL), 0);
    assert_true(store_rev_key_get(k, &main, &sub, &tombstone));
    assert_int_equal(main, last);
    bolt_rollback(tx);
    bolt_close(db);
}

static void check_log(struct disk *d, const char *wal_dir)
{
    struct snap_position at = {initial.n, 1};
    struct raft_snapshot snap;
    struct wal_contents c;
    struct err e = ERR_INIT;
    struct arena a;
    size_t broken;

    if (wal_read(d, wal_dir, initial.n, 1, &c, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(c.metadata.node_id, initial.self->id);
    assert_int_equal(c.metadata.cluster_id, initial.cluster_id);
    assert_int_equal(c.hard_state.commit, initial.n);
    assert_int_equal(c.hard_state.vote, initial.members[0].id);
    assert_true(c.snapshot_found);
    wal_contents_done(&c);
    assert_int_equal(wal_read(d, wal_dir, 0, 0, &c, &e), 0);
    assert_int_equal(c.entries.n, initial.n);
    wal_contents_done(&c);
    arena_init(&a, (size_t) 1 << 20);
    assert_int_equal(snap_load_newest(d, DATA "/member/snap", &at, 1, &a, &snap, &broken, &e), 0);
    assert_int_equal(snap.meta.conf_state.voters.n, initial.n);
    assert_int_equal(broken, 0);
    arena_done(&a);
}

static void check_member(struct simdisk *s, const char *wal_dir)
{
    check_database(simdisk_disk(s), KEY_RECORDS + 1);
    check_log(simdisk_disk(s), wal_dir);
}

/* Nothing but the snapshot and the directories in which things are to be. */
static void check_nothing(struct simdisk *s)
{
    struct disk *d = simdisk_disk(s);

    assert_false(disk_exists(d, "var"));
    assert_false(disk_exists(d, "log"));
    assert_true(disk_exists(d, SNAPSHOT));
}

/* ---- the tests ---- */

/* What is restored is a member with the snapshot's records, the new members, and a log that names
 * them; durable when the call returns. */
static void restores(void **state)
{
    static const char *const wal_dirs[] = {WAL_BELOW, WAL_ELSEWHERE, DATA "/member/log/here"};

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(wal_dirs); i++) {
        struct simdisk *s = new_disk(i);
        struct err e = ERR_INIT;

        if (restore(s, wal_dirs[i], &e) != 0)
            fail_msg("%s", e.msg);
        check_member(s, wal_dirs[i]);
        simdisk_crash(s, SIM_CRASH_DROP);
        check_member(s, wal_dirs[i]);
        assert_int_equal(restore(s, wal_dirs[i], &e), ERR_EXISTS); /* nothing is overwritten */
        check_member(s, wal_dirs[i]);
        simdisk_free(s);
    }
}

/* A raised revision is the last one; one that would pass the largest is refused. */
static void raises_the_revision(void **state)
{
    struct simdisk *s = new_disk(1);
    struct err e = ERR_INIT;

    (void) state;
    assert_int_equal(restore_to(s, WAL_BELOW, (uint64_t) INT64_MAX - KEY_RECORDS, &e), ERR_LIMIT);
    check_nothing(s);
    assert_int_equal(restore_to(s, WAL_BELOW, 1000, &e), 0);
    check_database(simdisk_disk(s), KEY_RECORDS + 1 + 1000);
    simdisk_free(s);
}

/* Every call in turn fails, once: the restore fails and takes back what it made, or it does not
 * need that call; the next try succeeds. */
static void survives_every_failing_call(void **state)
{
    static const char *const wal_dirs[] = {WAL_BELOW, WAL_ELSEWHERE};

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(wal_dirs); i++) {
        uint64_t nth = 1, failures = 0;

        for (bool hit = true; hit && nth < FAULTS_MAX; nth++) {
            struct simdisk *s = new_disk(nth);
            uint64_t before = simdisk_calls(s, SIM_ALL);
            struct err e = ERR_INIT;
            int rc;

            simdisk_fail(s, SIM_ALL, nth, ERR_IO, false);
            rc = restore(s, wal_dirs[i], &e);
            hit = simdisk_calls(s, SIM_ALL) - before >= nth;
            simdisk_fail(s, 0, 0, 0, false);
            if (rc != 0) {
                failures++;
                assert_true(e.msg[0] != 0);
                check_nothing(s);
                assert_int_equal(restore(s, wal_dirs[i], &e), 0);
            }
            check_member(s, wal_dirs[i]);
            simdisk_free(s);
        }
        assert_true(failures > 40);
        assert_true(nth < FAULTS_MAX);
    }
}

/* The disk becomes full at every possible number of bytes, in steps: refused, and nothing is left.
 */
static void survives_a_full_disk(void **state)
{
    bool made = false;

    (void) state;
    for (uint64_t room = 512; !made; room += 4096) {
        struct simdisk *s = new_disk(room);
        struct err e = ERR_INIT;

        simdisk_set_capacity(s, simdisk_used(s) + room);
        made = restore(s, WAL_ELSEWHERE, &e) == 0;
        if (!made)
            check_nothing(s);
        simdisk_free(s);
    }
}

/* The power is cut before every change, and all, nothing or some of what was not synced is there
 * afterwards: a directory `member` is a whole one with its log, and without it the next restore
 * succeeds, unless the log alone has got its name, which it then says. */
static void survives_power_cuts(void **state)
{
    static const char *const wal_dirs[] = {WAL_BELOW, WAL_ELSEWHERE};
    static const enum simdisk_crash_mode modes[] = {SIM_CRASH_KEEP, SIM_CRASH_DROP, SIM_CRASH_TEAR};

    (void) state;
    for (size_t k = 0; k < ARRAY_LEN(wal_dirs) * ARRAY_LEN(modes); k++) {
        const char *wal_dir = wal_dirs[k % 2];
        bool cut = true;

        for (uint64_t nth = 1; cut; nth++) {
            struct simdisk *s = new_disk(nth * 7 + k);
            struct disk *d = simdisk_disk(s);
            struct err e = ERR_INIT;

            simdisk_cut_after(s, nth);
            cut = restore(s, wal_dir, &e) != 0;
            simdisk_crash(s, modes[k / 2]);
            if (!disk_exists(d, DATA "/member")) {
                if (disk_exists(d, wal_dir)) {
                    assert_int_equal(restore(s, wal_dir, &e), ERR_EXISTS);
                    assert_int_equal(tree_remove(d, wal_dir, &e), 0);
                }
                assert_int_equal(restore(s, wal_dir, &e), 0);
            }
            check_member(s, wal_dir);
            simdisk_free(s);
        }
    }
}

/* A hash that differs, no hash, too short a file: refused before anything is made. */
static void refuses_bad_files(void **state)
{
    struct simdisk *s = new_disk(1);
    struct err e = ERR_INIT;

    (void) state;
    simdisk_flip(s, SNAPSHOT, 5000, 1);
    assert_int_equal(restore(s, WAL_BELOW, &e), ERR_CORRUPT);
    assert_int_equal(strncmp(e.msg, "expected sha256 [", 17), 0);
    check_nothing(s);
    simdisk_put_file(s, SNAPSHOT, snapshot, snapshot_n - SHA256_BYTES);
    assert_int_equal(restore(s, WAL_BELOW, &e), ERR_CORRUPT);
    assert_string_equal(e.msg, "snapshot missing hash but --skip-hash-check=false");
    check_nothing(s);
    simdisk_put_file(s, SNAPSHOT, snapshot, 31);
    assert_int_equal(restore(s, WAL_BELOW, &e), ERR_TRUNCATED);
    check_nothing(s);
    simdisk_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(restores),
        cmocka_unit_test(raises_the_revision),
        cmocka_unit_test(survives_every_failing_call),
        cmocka_unit_test(survives_a_full_disk),
        cmocka_unit_test(survives_power_cuts),
        cmocka_unit_test(refuses_bad_files),
    };

    return cmocka_run_group_tests(tests, make_snapshot, drop_snapshot);
}
