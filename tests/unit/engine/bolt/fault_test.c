/* fault_test.c -- power cuts, failing calls and failing allocations at every point of a commit. */
#include "bolt_util.h"

#define KEYS 120
#define FIRST_COMMITS 6

static uint8_t keys[KEYS][8];
static uint8_t filler[6000];

static int setup(void **state)
{
    (void) state;
    for (unsigned i = 0; i < KEYS; i++)
        snprintf((char *) keys[i], sizeof keys[i], "k%05u", i);
    for (size_t i = 0; i < sizeof filler; i++)
        filler[i] = (uint8_t) (i * 2654435761u >> 11);
    return 0;
}

/* Round r changes the two buckets in a way that follows from r alone. */
static bool round_has(unsigned round, unsigned i)
{
    return (i * 7 + round * 13) % 5 != 0;
}

static struct bytes round_value(unsigned round, unsigned i)
{
    return bytes_of(filler + (round * 17 + i) % 256, i % 40 == 7 ? 5000 : (i * 11 + round) % 90);
}

static int round_apply(struct bolt_tx *tx, unsigned round, struct err *e)
{
    static const char *const names[] = {"key", "meta"};
    struct bolt_bucket b;
    int rc = 0;

    for (unsigned k = 0; k < 2 && rc == 0; k++) {
        unsigned n = k == 0 ? KEYS : 6;

        rc = bolt_bucket_ensure(tx, bytes_str(names[k]), &b, e);
        for (unsigned i = 0; i < n && rc == 0; i++) {
            if (round_has(round, i))
                rc = bolt_put(&b, bytes_of(keys[i], 6), round_value(round, i), e);
            else
                rc = bolt_delete(&b, bytes_of(keys[i], 6), e);
            if (rc == ERR_NOT_FOUND)
                rc = 0;
        }
    }
    return rc;
}

static int round_commit(struct bolt_db *db, unsigned round, struct err *e)
{
    struct bolt_tx *tx;
    int rc = bolt_begin_write(db, &tx, e);

    if (rc != 0)
        return rc;
    rc = round_apply(tx, round, e);
    if (rc == 0)
        return bolt_commit(tx, e);
    bolt_rollback(tx);
    return rc;
}

/* Whether the database is in the state of this round (0: nothing was ever committed). */
static bool round_is(struct bolt_tx *tx, unsigned round)
{
    struct err e = ERR_INIT;
    struct bolt_bucket b;
    struct bytes v;
    int rc = bolt_bucket_get(tx, BYTES_LIT("key"), &b, &e);

    if (rc == ERR_NOT_FOUND)
        return round == 0;
    OK(rc, &e);
    for (unsigned i = 0; i < KEYS; i++) {
        rc = bolt_get(&b, bytes_of(keys[i], 6), &v, &e);
        if (rc != 0 && rc != ERR_NOT_FOUND)
            fail_msg("%s", e.msg);
        if ((rc == 0) != round_has(round, i))
            return false;
        if (rc == 0 && !bytes_eq(v, round_value(round, i)))
            return false;
    }
    return true;
}

/* The round that the database is in, after a check of everything. */
static unsigned round_find(struct bolt_db *db)
{
    struct bolt_tx *tx;
    unsigned round = 0;

    db_check(db);
    tx = read_begin(db);
    while (!round_is(tx, round)) {
        round++;
        assert_true(round <= FIRST_COMMITS + 1);
    }
    bolt_rollback(tx);
    return round;
}

static void fixture_rounds(struct fixture *f, unsigned rounds)
{
    struct err e = ERR_INIT;

    fixture_init(f, 1024);
    for (unsigned r = 1; r <= rounds; r++)
        OK(round_commit(f->db, r, &e), &e);
}

/* Cuts the power at the nth change of the disk during one more commit, and looks at what is there
 * afterwards.  Returns false when the commit came through before the cut. */
static bool cut_commit(unsigned rounds, uint64_t nth, enum simdisk_crash_mode mode, uint64_t seed)
{
    struct fixture f;
    struct err e = ERR_INIT;
    unsigned found;
    int rc;

    fixture_rounds(&f, rounds);
    simdisk_seed(f.sim, seed);
    simdisk_cut_after(f.sim, nth);
    rc = round_commit(f.db, rounds + 1, &e);
    simdisk_crash(f.sim, mode);
    fixture_reopen(&f);
    found = round_find(f.db);
    if (rc == 0)
        assert_int_equal(found, rounds + 1);
    else
        assert_true(found == rounds || found == rounds + 1);
    /* And it can be written to again. */
    OK(round_commit(f.db, found + 1, &e), &e);
    db_check(f.db);
    fixture_done(&f);
    return rc != 0;
}

/* A power cut at any write, sync or truncate of a commit leaves the state before it or, when its
 * meta page came through, the state after it: whole in both cases. */
static void test_power_cut_in_commit(void **state)
{
    (void) state;
    for (unsigned rounds = 0; rounds <= FIRST_COMMITS; rounds += 2) {
        for (uint64_t n = 1; cut_commit(rounds, n, SIM_CRASH_DROP, 1); n++)
            ;
        for (uint64_t n = 1; cut_commit(rounds, n, SIM_CRASH_KEEP, 1); n++)
            ;
    }
}

/* The same when sectors that were not synced survive at random. */
static void test_power_cut_tears_writes(void **state)
{
    (void) state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        for (uint64_t n = 1; cut_commit(FIRST_COMMITS, n, SIM_CRASH_TEAR, seed); n++)
            ;
        for (uint64_t n = 1; cut_commit(0, n, SIM_CRASH_TEAR, seed); n++)
            ;
    }
}

static bool cut_open(uint64_t nth, enum simdisk_crash_mode mode, uint64_t seed)
{
    struct fixture f;
    struct err e = ERR_INIT;
    int rc;

    fixture_init(&f, 1024);
    fixture_close(&f);
    assert_int_equal(disk_remove(f.disk, DB_PATH, NULL), 0);
    assert_int_equal(disk_sync_dir(f.disk, "dir", NULL), 0);
    simdisk_seed(f.sim, seed);
    simdisk_cut_after(f.sim, nth);
    rc = bolt_open(f.disk, DB_PATH, &f.opt, &f.db, &e);
    if (rc == 0)
        rc = round_commit(f.db, 1, &e);
    simdisk_crash(f.sim, mode);
    fixture_reopen(&f);
    if (rc == 0)
        assert_int_equal(round_find(f.db), 1);
    else
        assert_true(round_find(f.db) <= 1);
    fixture_done(&f);
    return rc != 0;
}

/* A power cut while the file is created, or in its first commit, never leaves a file that cannot be
 * opened; what was committed is there, the name of the file included. */
static void test_power_cut_in_creation(void **state)
{
    (void) state;
    for (uint64_t n = 1; cut_open(n, SIM_CRASH_DROP, 1); n++)
        ;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        for (uint64_t n = 1; cut_open(n, SIM_CRASH_TEAR, seed); n++)
            ;
    }
}

/* Fails the nth call of a kind during a commit.  Returns false when none failed. */
static bool fail_commit(unsigned calls, uint64_t nth, int code)
{
    struct fixture f;
    struct err e = ERR_INIT;
    struct bolt_tx *tx;
    int rc;

    fixture_rounds(&f, FIRST_COMMITS);
    simdisk_fail(f.sim, calls, nth, code, false);
    rc = round_commit(f.db, FIRST_COMMITS + 1, &e);
    simdisk_fail(f.sim, 0, 0, 0, false);
    if (rc != 0) {
        assert_int_equal(rc, ERR_IO);
        assert_int_equal(e.code, ERR_IO);
        assert_non_null(strstr(e.msg, "commit: "));
        /* Readers go on with the state before. */
        tx = read_begin(f.db);
        assert_true(round_is(tx, FIRST_COMMITS));
        bolt_rollback(tx);
        assert_int_equal(bolt_begin_write(f.db, &tx, &e), ERR_CLOSED);
        fixture_reopen(&f);
        assert_true(round_find(f.db) >= FIRST_COMMITS);
        rc = ERR_IO;
    }
    fixture_done(&f);
    return rc != 0;
}

/* Any failing write or sync fails the commit and closes the database for writing, because nobody
 * knows what the disk holds; it is never taken for a refusal that changed nothing, whatever the
 * disk calls it; the process is meant to stop, and the next one finds a whole file. */
static void test_failed_write_or_sync(void **state)
{
    static const int codes[] = {ERR_IO, ERR_NO_SPACE, ERR_NOMEM};

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        uint64_t n = 1;

        while (fail_commit(SIM_WRITE | SIM_SYNC, n, codes[i]))
            n++;
        assert_true(n > 4);
    }
}

/* A refused extension of the file changes nothing: the database stays usable. */
static void test_refused_extension(void **state)
{
    struct fixture f;
    struct err e = ERR_INIT;

    (void) state;
    fixture_init(&f, 1024);
    simdisk_set_capacity(f.sim, 4096);
    assert_int_equal(round_commit(f.db, 1, &e), ERR_NO_SPACE);
    assert_int_equal(round_find(f.db), 0);
    simdisk_set_capacity(f.sim, 0);
    OK(round_commit(f.db, 1, &e), &e);
    assert_int_equal(round_find(f.db), 1);
    fixture_done(&f);
}

/* Skips the test in builds without them. */
static void needs_failing_allocations(void)
{
#ifndef KETCH_ALLOC_TEST
    print_message("skipped: the build cannot make allocations fail\n");
    skip();
#endif
}

/* Fails the nth allocation of one more commit.  Returns false when none failed. */
static bool starve_commit(uint64_t nth, bool sticky)
{
    struct fixture f;
    struct err e = ERR_INIT;
    unsigned found;
    int rc;

    fixture_rounds(&f, FIRST_COMMITS);
    mem_fail_after(nth, sticky);
    rc = round_commit(f.db, FIRST_COMMITS + 1, &e);
    mem_fail_after(0, false);
    if (rc != 0)
        assert_int_equal(rc, ERR_NOMEM);
    found = round_find(f.db);
    assert_int_equal(found, rc == 0 ? FIRST_COMMITS + 1 : FIRST_COMMITS);
    OK(round_commit(f.db, found + 1, &e), &e);
    db_check(f.db);
    fixture_done(&f);
    return rc != 0;
}

/* Without memory, wherever it runs out, a commit fails, changes nothing, and can be repeated. */
static void test_failed_allocation_in_commit(void **state)
{
    uint64_t n = 1;

    (void) state;
    needs_failing_allocations();
    while (starve_commit(n, false))
        n++;
    assert_true(n > 5);
    for (n = 1; starve_commit(n, true); n++)
        ;
}

static bool starve_open(uint64_t nth)
{
    struct fixture f;
    struct err e = ERR_INIT;
    struct bolt_tx *tx = NULL;
    int rc;

    fixture_rounds(&f, 2);
    fixture_close(&f);
    mem_fail_after(nth, false);
    rc = bolt_open(f.disk, DB_PATH, &f.opt, &f.db, &e);
    if (rc == 0)
        rc = bolt_begin_read(f.db, &tx, &e);
    mem_fail_after(0, false);
    if (rc == 0) {
        assert_true(round_is(tx, 2));
        bolt_rollback(tx);
    } else {
        assert_int_equal(rc, ERR_NOMEM);
        fixture_close(&f);
        fixture_open(&f);
    }
    fixture_done(&f);
    return rc != 0;
}

/* Opening and beginning a read fail cleanly without memory. */
static void test_failed_allocation_in_open(void **state)
{
    uint64_t n = 1;

    (void) state;
    needs_failing_allocations();
    while (starve_open(n))
        n++;
    assert_true(n > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power_cut_in_commit),
        cmocka_unit_test(test_power_cut_tears_writes),
        cmocka_unit_test(test_power_cut_in_creation),
        cmocka_unit_test(test_failed_write_or_sync),
        cmocka_unit_test(test_refused_extension),
        cmocka_unit_test(test_failed_allocation_in_commit),
        cmocka_unit_test(test_failed_allocation_in_open),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
