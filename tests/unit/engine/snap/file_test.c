#include "base/alloc.h"
#include "base/crc32c.h"
#include "engine/snap/snap.h"
#include "lib/cm.h"
#include "lib/simdisk.h"

#define DIR "member/snap"
#define ARENA_MAX ((size_t) 128 << 20)

static int set_up(void **state)
{
    struct simdisk *s = simdisk_new(1);

    *state = s;
    assert_int_equal(disk_mkdir(simdisk_disk(s), "member", 0700, NULL), 0);
    assert_int_equal(disk_mkdir(simdisk_disk(s), DIR, 0700, NULL), 0);
    assert_int_equal(disk_sync_dir(simdisk_disk(s), "member", NULL), 0);
    assert_int_equal(disk_sync_dir(simdisk_disk(s), ".", NULL), 0);
    return 0;
}

static int tear_down(void **state)
{
    simdisk_free(*state);
    return 0;
}

static struct raft_snapshot snapshot(raft_index index, raft_term term)
{
    static uint64_t voters[] = {1, 2, 3};

    return (struct raft_snapshot){
        .data = BYTES_LIT("{\"payload\":1}"),
        .meta = {.conf_state = {.voters = {voters, 3}}, .index = index, .term = term},
    };
}

static void save(struct simdisk *s, raft_index index, raft_term term)
{
    struct raft_snapshot x = snapshot(index, term);
    struct err e = ERR_INIT;

    if (snap_save(simdisk_disk(s), DIR, &x, &e) != 0)
        fail_msg("%s", e.msg);
}

/* A file is checksum and body, and reads back as what was saved, also after a power cut. */
static void save_and_read(void **state)
{
    struct simdisk *s = *state;
    struct raft_snapshot got;
    struct arena a;
    uint8_t *p;
    size_t n;

    save(s, 0x10, 2);
    simdisk_crash(s, SIM_CRASH_DROP);
    p = simdisk_get_file(s, DIR "/0000000000000002-0000000000000010.snap", &n);
    assert_non_null(p);
    assert_int_equal(p[0], 0x08);
    arena_init(&a, ARENA_MAX);
    assert_int_equal(
        snap_read(simdisk_disk(s), DIR "/0000000000000002-0000000000000010.snap", &a, &got, NULL),
        0);
    assert_int_equal(got.meta.index, 0x10);
    assert_int_equal(got.meta.term, 2);
    assert_int_equal(got.meta.conf_state.voters.n, 3);
    assert_true(bytes_eq(got.data, BYTES_LIT("{\"payload\":1}")));
    arena_done(&a);
    mem_free(p);
}

/* Any wrong bit, any missing end, and an empty file are refused as damage. */
static void damage(void **state)
{
    static const char path[] = DIR "/0000000000000002-0000000000000010.snap";
    struct simdisk *s = *state;
    struct raft_snapshot got;
    struct arena a;
    uint8_t *p;
    size_t n;

    save(s, 0x10, 2);
    p = simdisk_get_file(s, path, &n);
    arena_init(&a, ARENA_MAX);
    for (size_t i = 0; i < n * 8; i++) {
        simdisk_flip(s, path, i / 8, (uint8_t) (1 << i % 8));
        assert_int_equal(snap_read(simdisk_disk(s), path, &a, &got, NULL), ERR_CORRUPT);
        simdisk_flip(s, path, i / 8, (uint8_t) (1 << i % 8));
    }
    for (size_t k = 0; k < n; k++) {
        simdisk_put_file(s, path, p, k);
        assert_int_equal(snap_read(simdisk_disk(s), path, &a, &got, NULL), ERR_CORRUPT);
    }
    arena_done(&a);
    mem_free(p);
}

/* A file larger than any snapshot is refused before memory is taken for it. */
static void too_large(void **state)
{
    struct simdisk *s = *state;
    struct raft_snapshot got;
    struct file *f;
    struct arena a;

    assert_int_equal(disk_open(simdisk_disk(s), DIR "/x", DISK_WRITE | DISK_CREATE, 0600, &f, NULL),
                     0);
    assert_int_equal(file_truncate(f, SNAP_FILE_BYTES_MAX + 1, NULL), 0);
    file_close(f);
    arena_init(&a, ARENA_MAX);
    assert_int_equal(snap_read(simdisk_disk(s), DIR "/x", &a, &got, NULL), ERR_LIMIT);
    assert_int_equal(a.used_bytes, 0);
    arena_done(&a);
}

/* The newest file counts that has a marker in the log; files without one are passed over, damaged
 * ones set aside, and then the next older one is taken. */
static void newest_valid(void **state)
{
    static const struct snap_position valid[] = {{10, 2}, {20, 2}, {30, 3}};
    struct simdisk *s = *state;
    struct disk *d = simdisk_disk(s);
    struct raft_snapshot got;
    struct err e = ERR_INIT;
    struct arena a;
    size_t broken;

    arena_init(&a, ARENA_MAX);
    assert_int_equal(snap_load_newest(d, DIR, valid, 3, &a, &got, &broken, &e), ERR_NOT_FOUND);
    save(s, 10, 2);
    save(s, 20, 2);
    save(s, 30, 3);
    save(s, 40, 3); /* its marker was never written */
    simdisk_put_file(s, DIR "/db", "x", 1);
    assert_int_equal(snap_load_newest(d, DIR, valid, 3, &a, &got, &broken, &e), 0);
    assert_int_equal(got.meta.index, 30);
    assert_int_equal(broken, 0);
    simdisk_flip(s, DIR "/0000000000000003-000000000000001e.snap", 9, 1);
    assert_int_equal(snap_load_newest(d, DIR, valid, 3, &a, &got, &broken, &e), 0);
    assert_int_equal(got.meta.index, 20);
    assert_int_equal(broken, 1);
    assert_true(disk_exists(d, DIR "/0000000000000003-000000000000001e.snap.broken"));
    assert_false(disk_exists(d, DIR "/0000000000000003-000000000000001e.snap"));
    assert_int_equal(snap_load_newest(d, DIR, valid, 1, &a, &got, &broken, &e), 0);
    assert_int_equal(got.meta.index, 10);
    arena_done(&a);
}

/* An error of the disk is an error, not a reason to take an older snapshot. */
static void read_errors(void **state)
{
    static const struct snap_position valid[] = {{10, 2}, {20, 2}};
    struct simdisk *s = *state;
    struct raft_snapshot got;
    struct arena a;
    size_t broken;

    save(s, 10, 2);
    save(s, 20, 2);
    arena_init(&a, ARENA_MAX);
    simdisk_fail(s, SIM_READ, 1, ERR_IO, false);
    assert_int_equal(snap_load_newest(simdisk_disk(s), DIR, valid, 2, &a, &got, &broken, NULL),
                     ERR_IO);
    assert_int_equal(snap_load_newest(simdisk_disk(s), DIR, valid, 2, &a, &got, &broken, NULL), 0);
    assert_int_equal(got.meta.index, 20);
    arena_done(&a);
}

/* Saving fails when any of its calls does, and what was there before stays usable. */
static void every_nth_call_fails(void **state)
{
    static const struct snap_position valid[] = {{10, 2}, {20, 2}};
    int rc = ERR_IO;

    (void) state;
    for (uint64_t nth = 1; rc != 0; nth++) {
        void *fresh;
        struct raft_snapshot x = snapshot(20, 2), got;
        struct arena a;
        size_t broken;

        assert_int_equal(set_up(&fresh), 0);
        save(fresh, 10, 2);
        simdisk_fail(fresh, SIM_ALL, nth, ERR_IO, false);
        rc = snap_save(simdisk_disk(fresh), DIR, &x, NULL);
        simdisk_crash(fresh, rc == 0 ? SIM_CRASH_DROP : SIM_CRASH_TEAR);
        arena_init(&a, ARENA_MAX);
        assert_int_equal(
            snap_load_newest(simdisk_disk(fresh), DIR, valid, 2, &a, &got, &broken, NULL), 0);
        assert_true(rc != 0 || got.meta.index == 20);
        arena_done(&a);
        simdisk_free(fresh);
    }
}

/* What may be tried again has left nothing, at whichever call it was refused. */
static void refused_and_nothing_left(void **state)
{
    static const int codes[] = {ERR_AGAIN, ERR_NOMEM, ERR_NO_SPACE};

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        int rc = codes[i];

        for (uint64_t nth = 1; rc != 0; nth++) {
            struct raft_snapshot x = snapshot(20, 2);
            char **names;
            void *fresh;
            size_t n;

            assert_int_equal(set_up(&fresh), 0);
            simdisk_fail(fresh, SIM_ALL & ~(unsigned) SIM_REMOVE, nth, codes[i], true);
            rc = snap_save(simdisk_disk(fresh), DIR, &x, NULL);
            assert_true(rc == codes[i] || rc == 0);
            simdisk_fail(fresh, 0, 0, 0, false);
            assert_int_equal(disk_list(simdisk_disk(fresh), DIR, &names, &n, NULL), 0);
            assert_int_equal(n, rc == 0 ? 1 : 0);
            disk_list_free(names, n);
            simdisk_free(fresh);
        }
    }
}

/* The newest are kept, and all received databases, the oldest of which may be the one that is
 * needed; temporary files of unfinished work go at the start. */
static void purge_and_clean(void **state)
{
    struct simdisk *s = *state;
    struct disk *d = simdisk_disk(s);
    size_t removed;

    for (raft_index i = 1; i <= 7; i++)
        save(s, i, 1);
    simdisk_put_file(s, DIR "/0000000000000003.snap.db", "x", 1);
    simdisk_put_file(s, DIR "/0000000000000004.snap.db", "x", 1);
    simdisk_put_file(s, DIR "/tmp123", "x", 1);
    simdisk_put_file(s, DIR "/db.tmp.42", "x", 1);
    simdisk_put_file(s, DIR "/db", "x", 1);
    assert_int_equal(snap_purge(d, DIR, 5, &removed, NULL), 0);
    assert_int_equal(removed, 2);
    assert_false(disk_exists(d, DIR "/0000000000000001-0000000000000002.snap"));
    assert_true(disk_exists(d, DIR "/0000000000000001-0000000000000003.snap"));
    assert_int_equal(snap_purge(d, DIR, 1, &removed, NULL), 0);
    assert_int_equal(removed, 4);
    assert_true(disk_exists(d, DIR "/0000000000000003.snap.db"));
    assert_int_equal(snap_clean(d, DIR, NULL), 0);
    assert_false(disk_exists(d, DIR "/tmp123"));
    assert_false(disk_exists(d, DIR "/db.tmp.42"));
    assert_true(disk_exists(d, DIR "/db"));
    assert_true(disk_exists(d, DIR "/0000000000000004.snap.db"));
}

/* A received database gets its name only when it is whole and synced, and replaces `db` in one
 * step.
 */
static void received_database(void **state)
{
    struct simdisk *s = *state;
    struct disk *d = simdisk_disk(s);
    struct snap_db *db, *other;
    uint8_t *p;
    size_t n;

    simdisk_put_file(s, DIR "/db", "old", 3);
    assert_int_equal(snap_db_begin(d, DIR, 7, &db, NULL), 0);
    assert_int_equal(snap_db_begin(d, DIR, 8, &other, NULL), 0);
    assert_int_equal(snap_db_write(db, "ne", 2, NULL), 0);
    assert_int_equal(snap_db_write(db, "w", 1, NULL), 0);
    assert_int_equal(snap_db_bytes(db), 3);
    assert_false(snap_db_exists(d, DIR, 30));
    assert_int_equal(snap_db_commit(db, 30, NULL), 0);
    snap_db_abort(other);
    simdisk_crash(s, SIM_CRASH_DROP);
    assert_true(snap_db_exists(d, DIR, 30));
    assert_int_equal(snap_db_install(d, DIR, 29, NULL), ERR_NOT_FOUND);
    assert_int_equal(snap_db_install(d, DIR, 30, NULL), 0);
    simdisk_crash(s, SIM_CRASH_DROP);
    p = simdisk_get_file(s, DIR "/db", &n);
    assert_int_equal(n, 3);
    assert_memory_equal(p, "new", 3);
    mem_free(p);
    assert_false(snap_db_exists(d, DIR, 30));
    simdisk_put_file(s, DIR "/0000000000000003.snap.db", "x", 1);
    simdisk_put_file(s, DIR "/0000000000000004.snap.db", "x", 1);
    assert_int_equal(snap_db_release(d, DIR, 4, NULL), 0);
    assert_false(snap_db_exists(d, DIR, 3));
    assert_true(snap_db_exists(d, DIR, 4));
}

/* A reception that fails at any call leaves neither the name nor the temporary file. */
static void reception_fails(void **state)
{
    int rc = ERR_IO;

    (void) state;
    for (uint64_t nth = 1; rc != 0; nth++) {
        void *fresh;
        struct snap_db *db;
        struct disk *d;
        char **names;
        size_t n;

        assert_int_equal(set_up(&fresh), 0);
        d = simdisk_disk(fresh);
        assert_int_equal(snap_db_begin(d, DIR, 1, &db, NULL), 0);
        simdisk_fail(fresh, SIM_CHANGES, nth, ERR_IO, false);
        rc = snap_db_write(db, "abc", 3, NULL);
        if (rc != 0)
            snap_db_abort(db);
        else
            rc = snap_db_commit(db, 5, NULL);
        simdisk_fail(fresh, 0, 0, 0, false);
        assert_int_equal(disk_list(d, DIR, &names, &n, NULL), 0);
        for (size_t i = 0; i < n; i++)
            assert_int_not_equal(strncmp(names[i], "tmp", 3), 0);
        disk_list_free(names, n);
        simdisk_free(fresh);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        T(save_and_read),
        T(damage),
        T(too_large),
        T(newest_valid),
        T(read_errors),
        cmocka_unit_test(every_nth_call_fails),
        cmocka_unit_test(refused_and_nothing_left),
        T(purge_and_clean),
        T(received_database),
        cmocka_unit_test(reception_fails),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
