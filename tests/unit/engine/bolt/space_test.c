/* space_test.c -- a disk that becomes full, and copies that are synced only at their end. */
#include "bolt_util.h"

#define MIB (1u << 20)

static uint8_t value[MIB];

static int put_mib(struct bolt_db *db, unsigned i, struct err *e)
{
    struct bolt_tx *tx;
    struct bolt_bucket b;
    char key[8];
    int rc = bolt_begin_write(db, &tx, e);

    if (rc != 0)
        return rc;
    snprintf(key, sizeof key, "k%03u", i);
    rc = bolt_bucket_ensure(tx, BYTES_LIT("key"), &b, e);
    if (rc == 0)
        rc = bolt_put(&b, bytes_of(key, 4), bytes_of(value, sizeof value), e);
    if (rc == 0)
        return bolt_commit(tx, e);
    bolt_rollback(tx);
    return rc;
}

static void delete_one(struct bolt_db *db, unsigned i)
{
    struct bolt_tx *tx = write_begin(db);
    struct bolt_bucket b = bucket(tx, "key");
    struct err e = ERR_INIT;
    char key[8];

    snprintf(key, sizeof key, "k%03u", i);
    OK(bolt_delete(&b, bytes_of(key, 4), &e), &e);
    commit(tx);
}

static unsigned records(struct bolt_db *db)
{
    struct bolt_tx *tx = read_begin(db);
    struct bolt_bucket b = bucket(tx, "key");
    struct bolt_cursor c;
    struct bytes k, v;
    unsigned n = 0;
    int rc;

    bolt_cursor_init(&c, &b);
    for (rc = bolt_cursor_first(&c, &k, &v, NULL); rc == 0; rc = bolt_cursor_next(&c, &k, &v, NULL))
        n++;
    bolt_rollback(tx);
    return n;
}

static bool is_low(struct bolt_db *db)
{
    struct bolt_stats st;

    bolt_get_stats(db, &st);
    return st.low_on_space;
}

/* A database whose file grows as a large one's. */
static void fixture_large(struct fixture *f)
{
    fixture_init(f, 4096);
    f->opt.initial_map_bytes = UINT64_C(64) * MIB;
    f->opt.reserve_bytes = UINT64_C(128) * MIB;
    fixture_reopen(f);
}

/* While the disk is full commits go on in the room asked for ahead, and say so; when that is used
 * up they are refused whole, what is deleted makes room for others, and nothing has to be reopened
 * when the disk has room again. */
static void test_reserve(void **state)
{
    struct fixture f;
    struct err e = ERR_INIT;
    unsigned i = 0, in_reserve = 0;

    (void) state;
    fixture_large(&f);
    for (; i < 4; i++)
        OK(put_mib(f.db, i, &e), &e);
    assert_false(is_low(f.db));
    simdisk_set_full(f.sim, "db");
    for (; put_mib(f.db, i, &e) == 0; i++)
        in_reserve += is_low(f.db);
    assert_int_equal(e.code, ERR_NO_SPACE);
    assert_in_range(in_reserve, BOLT_SPACE_RESERVE_BYTES / MIB - 2, 16);
    assert_int_equal(records(f.db), i);
    db_check(f.db);
    delete_one(f.db, 0);
    delete_one(f.db, 1);
    OK(put_mib(f.db, i++, &e), &e);
    assert_true(is_low(f.db));
    assert_int_equal(bolt_ask_room(f.db, &e), ERR_NO_SPACE);
    simdisk_set_full(f.sim, NULL);
    OK(bolt_ask_room(f.db, &e), &e);
    for (unsigned k = 0; k < 20; k++)
        OK(put_mib(f.db, i++, &e), &e);
    assert_false(is_low(f.db));
    db_check(f.db);
    fixture_reopen(&f);
    assert_int_equal(records(f.db), i - 2);
    fixture_done(&f);
}

/* Room that was given but could not be synced is no refusal: the database takes no more writes. */
static void test_room_not_synced(void **state)
{
    struct fixture f;
    struct err e = ERR_INIT;
    struct bolt_tx *tx;
    unsigned i = 0;

    (void) state;
    fixture_large(&f);
    OK(put_mib(f.db, i++, &e), &e);
    simdisk_set_full(f.sim, "db");
    while (!is_low(f.db))
        OK(put_mib(f.db, i++, &e), &e);
    simdisk_set_full(f.sim, NULL);
    simdisk_fail(f.sim, SIM_SYNC, 1, ERR_NO_SPACE, false);
    assert_int_equal(bolt_ask_room(f.db, &e), ERR_IO);
    assert_int_equal(bolt_begin_write(f.db, &tx, &e), ERR_CLOSED);
    assert_int_equal(records(f.db), i);
    fixture_reopen(&f);
    assert_int_equal(records(f.db), i);
    fixture_done(&f);
}

/* A file that was made longer without room (bbolt does) is given room before it is written to,
 * where a refusal still changes nothing. */
static void test_holes(void **state)
{
    struct fixture f;
    struct err e = ERR_INIT;
    struct file *file;

    (void) state;
    fixture_init(&f, 4096);
    put_one(f.db, "key", "a", "1");
    bolt_close(f.db);
    OK(disk_open(f.disk, DB_PATH, DISK_READ | DISK_WRITE, 0, &file, &e), &e);
    OK(file_truncate(file, 4 * MIB, &e), &e);
    file_close(file);
    fixture_open(&f);
    simdisk_set_full(f.sim, "db");
    assert_int_equal(put_mib(f.db, 1, &e), ERR_NO_SPACE);
    assert_int_equal(records(f.db), 1);
    put_one(f.db, "key", "a", "2"); /* in pages that were used before */
    simdisk_set_full(f.sim, NULL);
    OK(put_mib(f.db, 1, &e), &e);
    db_check(f.db);
    fixture_done(&f);
}

/* Without syncs nothing is promised and nothing waits; bolt_sync makes all of it durable, and from
 * then on every commit is. */
static void test_unsynced(void **state)
{
    struct fixture f;
    struct err e = ERR_INIT;
    uint64_t syncs;

    (void) state;
    fixture_init(&f, 4096);
    bolt_close(f.db);
    OK(disk_remove(f.disk, DB_PATH, &e), &e);
    f.opt.unsynced = true;
    fixture_open(&f);
    OK(put_mib(f.db, 1, &e), &e);
    OK(put_mib(f.db, 2, &e), &e);
    OK(bolt_sync(f.db, &e), &e);
    OK(disk_sync_dir(f.disk, "dir", &e), &e);
    syncs = simdisk_calls(f.sim, SIM_SYNC);
    OK(put_mib(f.db, 3, &e), &e);
    assert_true(simdisk_calls(f.sim, SIM_SYNC) >= syncs + 2);
    simdisk_crash(f.sim, SIM_CRASH_DROP);
    f.opt.unsynced = false;
    fixture_reopen(&f);
    assert_int_equal(records(f.db), 3);
    db_check(f.db);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reserve),
        cmocka_unit_test(test_room_not_synced),
        cmocka_unit_test(test_holes),
        cmocka_unit_test(test_unsynced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
