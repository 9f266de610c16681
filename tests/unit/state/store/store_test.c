#include "base/alloc.h"
#include "engine/bolt/bolt.h"
#include "unit/state/store/store_rig.h"

static void append(int64_t main, const char *value)
{
    uint8_t *p = store_key_append(s, main, 0, false, strlen(value));

    memcpy(p, value, strlen(value));
}

static void commit(void)
{
    store_seal(s);
    assert_int_equal(store_commit(s, &e), 0);
}

/* Lets go of old snapshots, as every mvcc_publish does. */
static void adopt(void)
{
    struct store_view v;

    store_view_take(s, &v);
    store_view_release(s, &v);
}

static void check_get(const struct store_view *v, int64_t main, const char *want)
{
    struct bytes got;
    bool found = store_view_get(v, main, 0, &got);

    assert_int_equal(found, want != NULL);
    if (want != NULL) {
        assert_int_equal(got.n, strlen(want));
        assert_memory_equal(got.p, want, got.n);
    }
}

static void check_whole(const char *path)
{
    struct bolt_options opt = {.read_only = true, .lock = BOLT_LOCK_NONE};
    struct bolt_db *db;
    struct bolt_tx *tx;

    assert_int_equal(bolt_open(simdisk_disk(sim), path, &opt, &db, &e), 0);
    assert_int_equal(bolt_begin_read(db, &tx, &e), 0);
    assert_int_equal(bolt_check(tx, NULL, NULL, &e), 0);
    bolt_rollback(tx);
    bolt_close(db);
}

static void an_empty_store_is_as_large_as_etcds(void **state)
{
    /* Five pages ever used, four of them in use, however many small commits came before: what
     * etcd's Status shows for a fresh member. */
    (void) state;
    for (uint64_t i = 1; i <= 6; i++) {
        store_put(s, STORE_MEMBERS, BYTES_LIT("8e9e05c52164694d"), BYTES_LIT("{\"id\":1}"));
        store_set_applied(s, i, 2);
        commit();
        adopt();
    }
    assert_int_equal(store_db_size(s), 20480);
    assert_int_equal(store_db_size_in_use(s), 16384);
}

static void records_are_seen_from_the_batch_and_from_the_file(void **state)
{
    /* A view sees what was written before it was taken, whether it is open, sealed or committed by
     * now, and nothing later. */
    struct store_view v1, v2, v3;

    (void) state;
    append(2, "two");
    store_view_take(s, &v1);
    append(3, "three");
    store_seal(s);
    append(4, "four");
    store_view_take(s, &v2);
    assert_int_equal(store_commit(s, &e), 0);
    append(5, "five");
    store_view_take(s, &v3);
    for (int round = 0; round < 2; round++) {
        check_get(&v1, 2, "two");
        check_get(&v1, 3, NULL);
        check_get(&v2, 3, "three");
        check_get(&v2, 4, "four");
        check_get(&v2, 5, NULL);
        check_get(&v3, 2, "two");
        check_get(&v3, 5, "five");
        commit();
        adopt();
    }
    store_view_release(s, &v2);
    check_get(&v1, 2, "two");
    store_view_release(s, &v1);
    store_view_release(s, &v3);
}

static void a_cursor_goes_through_file_and_batches_in_order(void **state)
{
    /* From any place on, every record once, tombstones too. */
    struct store_view v;
    struct store_cursor *c = xmem_alloc(store_cursor_bytes());
    struct store_record r;

    (void) state;
    for (int64_t main = 2; main <= 40; main++) {
        if (main % 3 == 0)
            assert_non_null(store_key_append(s, main, 0, true, 0));
        else
            append(main, "x");
        if (main == 10)
            commit();
        if (main == 20 || main == 30)
            store_seal(s);
    }
    store_view_take(s, &v);
    for (int64_t from = 0; from <= 42; from++) {
        int64_t want = from < 2 ? 2 : from;

        store_cursor_init(c, &v);
        store_cursor_seek(c, from, 0);
        for (; store_cursor_next(c, &r); want++) {
            assert_int_equal(r.main, want);
            assert_int_equal(r.tombstone, want % 3 == 0);
        }
        assert_int_equal(want, from > 41 ? from : 41);
    }
    store_view_release(s, &v);
    mem_free(c);
}

static void a_cursor_finds_single_records_in_any_order(void **state)
{
    /* Forwards, backwards and in leaps; a tombstone is no value. */
    struct store_view v;
    struct store_cursor *c = xmem_alloc(store_cursor_bytes());
    struct bytes got;

    (void) state;
    for (int64_t main = 2; main < 1000; main++) {
        if (main == 500)
            assert_non_null(store_key_append(s, main, 0, true, 0));
        else
            append(main, "value of some length");
        if (main == 800)
            commit();
    }
    store_view_take(s, &v);
    store_cursor_init(c, &v);
    for (int64_t i = 0; i < 5000; i++) {
        int64_t main = i < 1000 ? 2 + i % 998 : 2 + i * 7919 % 998;

        assert_int_equal(store_cursor_get(c, main, 0, &got), main != 500);
    }
    assert_false(store_cursor_get(c, 2, 1, &got));
    assert_false(store_cursor_get(c, 1000, 0, &got));
    store_view_release(s, &v);
    mem_free(c);
}

static void small_buckets_read_back_what_is_not_committed(void **state)
{
    /* The newest change counts: open batch, sealed batches, then the file. */
    struct bytes got;

    (void) state;
    assert_false(store_get(s, STORE_LEASE, BYTES_LIT("a"), &got));
    store_put(s, STORE_LEASE, BYTES_LIT("a"), BYTES_LIT("1"));
    assert_true(store_get(s, STORE_LEASE, BYTES_LIT("a"), &got));
    commit();
    adopt();
    assert_true(store_get(s, STORE_LEASE, BYTES_LIT("a"), &got));
    assert_memory_equal(got.p, "1", 1);
    store_put(s, STORE_LEASE, BYTES_LIT("a"), BYTES_LIT("2"));
    store_seal(s);
    assert_true(store_get(s, STORE_LEASE, BYTES_LIT("a"), &got));
    assert_memory_equal(got.p, "2", 1);
    assert_false(store_get(s, STORE_ALARM, BYTES_LIT("a"), &got));
    store_delete(s, STORE_LEASE, BYTES_LIT("a"));
    store_delete(s, STORE_LEASE, BYTES_LIT("absent"));
    assert_false(store_get(s, STORE_LEASE, BYTES_LIT("a"), &got));
    commit();
    adopt();
    assert_false(store_get(s, STORE_LEASE, BYTES_LIT("a"), &got));
}

static int count_pairs(void *ctx, struct bytes key, struct bytes value)
{
    (void) key;
    (void) value;
    ++*(int *) ctx;
    return 0;
}

static int stop_at_first(void *ctx, struct bytes key, struct bytes value)
{
    (void) ctx;
    (void) key;
    (void) value;
    return 42;
}

static void a_scan_gives_each_committed_pair_until_told_to_stop(void **state)
{
    /* In order, and the callback's own number comes back. */
    int n = 0;

    (void) state;
    store_put(s, STORE_AUTH_USERS, BYTES_LIT("u1"), BYTES_LIT("x"));
    store_put(s, STORE_AUTH_USERS, BYTES_LIT("u2"), BYTES_LIT(""));
    assert_int_equal(store_scan(s, STORE_AUTH_USERS, count_pairs, &n, &e), 0);
    assert_int_equal(n, 0);
    commit();
    assert_int_equal(store_scan(s, STORE_AUTH_USERS, count_pairs, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_int_equal(store_scan(s, STORE_AUTH_USERS, stop_at_first, &n, &e), 42);
}

static void applied_index_and_data_survive_a_power_cut_together(void **state)
{
    /* Whatever call the power fails at, the file holds the state of one sealed batch, with its
     * index. */
    (void) state;
    for (uint64_t nth = 1; nth < 40; nth++) {
        struct store_view v;
        struct bytes got;
        uint64_t index;

        simdisk_cut_after(sim, nth);
        for (uint64_t i = 1; i <= 4; i++) {
            append((int64_t) (store_applied_index(s) + 2), "value");
            store_set_applied(s, store_applied_index(s) + 1, 3);
            store_seal(s);
            if (store_commit(s, &e) != 0)
                break;
        }
        simdisk_crash(sim, SIM_CRASH_TEAR);
        store_close(s);
        open_store();
        index = store_applied_index(s);
        assert_int_equal(store_applied_term(s), index == 0 ? 0 : 3);
        store_view_take(s, &v);
        assert_int_equal(store_view_get(&v, (int64_t) index + 1, 0, &got), index > 0);
        assert_false(store_view_get(&v, (int64_t) index + 2, 0, &got));
        store_view_release(s, &v);
        check_whole("snap/db");
    }
    assert_true(store_applied_index(s) > 40);
}

static void a_failed_write_is_an_error_of_the_commit(void **state)
{
    /* The caller learns that it has to stop. */
    (void) state;
    append(2, "x");
    store_seal(s);
    simdisk_fail(sim, SIM_SYNC, 1, ERR_IO, true);
    assert_int_equal(store_commit(s, &e), ERR_IO);
    assert_non_null(strstr(e.msg, "commit batch"));
    simdisk_fail(sim, SIM_SYNC, 0, 0, false);
}

static void batches_are_due_by_number_and_by_time(void **state)
{
    /* At 10,000 operations at once, else after 100 ms if there is anything at all. */
    (void) state;
    assert_false(store_batch_due(s, 1000));
    append(2, "x");
    assert_false(store_batch_due(s, 99));
    assert_true(store_batch_due(s, 100));
    for (int64_t i = 3; i < STORE_BATCH_OPS_DEFAULT + 2; i++)
        append(i, "x");
    assert_true(store_batch_due(s, 0));
    commit();
    assert_false(store_batch_due(s, 1000));
}

static void sealing_stops_while_too_many_batches_wait(void **state)
{
    /* The open batch then goes on growing; after a commit sealing works again and nothing is lost.
     */
    int64_t main = 2;
    struct store_view v;

    (void) state;
    for (;; main++) {
        append(main, "x");
        if (!store_seal(s))
            break;
    }
    assert_int_equal(main, 2 + STORE_BATCHES_MAX - 2);
    assert_false(store_batch_due(s, 1000));
    append(++main, "x");
    store_view_take(s, &v);
    for (int64_t i = 2; i <= main; i++)
        check_get(&v, i, "x");
    store_view_release(s, &v);
    assert_int_equal(store_commit(s, &e), 0);
    assert_true(store_seal(s));
    assert_int_equal(store_commit(s, &e), 0);
    store_view_take(s, &v);
    assert_int_equal(v.batches_n, 0);
    check_get(&v, main, "x");
    store_view_release(s, &v);
}

static void apply_is_told_to_pause_when_too_much_is_pending(void **state)
{
    /* Past STORE_PENDING_BYTES_MAX, until a commit has caught up. */
    int64_t main = 2;

    (void) state;
    while (!store_must_pause(s)) {
        uint8_t *p = store_key_append(s, main++, 0, false, 16 << 20);

        p[0] = 0;
        assert_true(main < 30);
    }
    assert_true(store_pending_bytes(s) > STORE_PENDING_BYTES_MAX);
    assert_true(main > 15);
    /* Not committed: 256 MiB on the simulated disk would prove nothing more. */
}

static mono_ns test_now;

static mono_ns test_mono(struct clock *c)
{
    (void) c;
    return test_now;
}

static void a_view_that_is_kept_is_told(void **state)
{
    /* From the commit that made it old until it is let go of: since when, and how many bytes wait
     * for it; of the newest view nothing is said, however old it is. */
    struct clock clock = {.mono = test_mono};
    struct store_config cfg = {
        .disk = simdisk_disk(sim), .path = "snap/db", .map_bytes = 1 << 26, .clock = &clock};
    struct store_commit_times times;
    struct store_view old;

    (void) state;
    store_close(s);
    test_now = 5;
    assert_int_equal(store_open(&cfg, &s, &e), 0);
    append(2, "two");
    commit();
    adopt();
    store_view_take(s, &old);
    test_now = 70;
    assert_int_equal(store_commit(s, &e), 0); /* nothing to do: the view stays the newest */
    assert_int_equal(store_held_since_ns(s), 0);
    append(3, "three");
    commit();
    adopt();
    test_now = 90;
    for (int64_t main = 4; main < 8; main++) {
        append(main, "more");
        commit();
        adopt();
    }
    assert_int_equal(store_held_since_ns(s), 70);
    assert_true(store_held_bytes(s) > 0);
    store_last_commit(s, &times);
    assert_int_equal(times.write_ns, 0); /* by this clock */
    store_view_release(s, &old);
    append(9, "last");
    commit();
    adopt();
    append(10, "and one");
    commit();
    adopt();
    assert_int_equal(store_commit(s, &e), 0);
    assert_true(store_held_since_ns(s) == 0 || store_held_since_ns(s) == 90);
    cfg.clock = NULL;
    store_close(s);
    open_store();
}

/* ---- compaction ---- */

static enum store_keep keep_even(void *ctx, const struct store_record *r)
{
    int *stops = ctx;

    if (r->main == 50 && *stops > 0) {
        --*stops;
        return STORE_STOP;
    }
    return r->main % 2 == 0 ? STORE_KEEP : STORE_REMOVE;
}

static void compaction_removes_in_small_steps_and_says_when_it_is_done(void **state)
{
    /* Up to main_max only; a record that is not decided yet is asked about again;
     * finishedCompactRev comes with the last step; a view from before sees everything. */
    int stops = 2;
    struct store_compact c = {.main_max = 90, .records = 7, .decide = keep_even, .ctx = &stops};
    struct store_view old, new;
    struct bytes got;
    bool done = false;
    int steps = 0;

    (void) state;
    for (int64_t main = 2; main <= 100; main++)
        append(main, "value");
    commit();
    store_view_take(s, &old);
    for (; !done; steps++) {
        assert_false(store_get(s, STORE_META, BYTES_LIT(STORE_META_FINISHED_COMPACT), &got));
        assert_int_equal(store_compact_step(s, &c, &done, &e), 0);
        adopt();
    }
    assert_true(steps > 90 / 7);
    assert_int_equal(c.scanned, 89);
    assert_int_equal(c.removed, 44);
    assert_true(store_get(s, STORE_META, BYTES_LIT(STORE_META_FINISHED_COMPACT), &got));
    assert_int_equal(got.n, STORE_REV_KEY_BYTES);
    store_view_take(s, &new);
    for (int64_t main = 2; main <= 100; main++) {
        check_get(&old, main, "value");
        check_get(&new, main, main > 90 || main % 2 == 0 ? "value" : NULL);
    }
    store_view_release(s, &old);
    store_view_release(s, &new);
    check_whole("snap/db");
}

/* ---- defragmentation, copy, hash ---- */

static uint32_t hash_all(void)
{
    struct store_hash *h;
    bool done = false;
    uint32_t crc;

    assert_int_equal(store_hash_begin(s, &h, &e), 0);
    while (!done)
        assert_int_equal(store_hash_step(h, 3, &done, &e), 0);
    crc = store_hash_result(h);
    store_hash_end(h);
    return crc;
}

static enum store_keep keep_none(void *ctx, const struct store_record *r)
{
    (void) ctx;
    (void) r;
    return STORE_REMOVE;
}

/* 600 records of which the first 500 are compacted away. */
static void make_holes(void)
{
    struct store_compact c = {.main_max = 501, .records = 100, .decide = keep_none};
    bool done = false;

    for (int64_t main = 2; main <= 601; main++)
        append(main, "a value that takes some room in its page so that there are many pages");
    store_put(s, STORE_LEASE, BYTES_LIT("l"), BYTES_LIT("lease"));
    store_set_applied(s, 601, 4);
    commit();
    while (!done) {
        adopt();
        assert_int_equal(store_compact_step(s, &c, &done, &e), 0);
    }
    adopt();
}

static void defragmentation_goes_on_between_commits(void **state)
{
    /* Views and commits work during the steps; afterwards the file is small, holds the same, and
     * goes on taking commits; an old view still reads from the old file. */
    struct store_defrag *d;
    struct store_view before, after;
    bool done = false;
    int64_t main = 602;
    uint64_t size;
    uint32_t hash;

    (void) state;
    make_holes();
    size = store_db_size(s);
    store_view_take(s, &before);
    assert_int_equal(store_defrag_begin(s, &d, &e), 0);
    assert_int_equal(store_defrag_begin(s, &d, &e), ERR_AGAIN);
    while (!done) {
        if (main < 620) {
            append(main++, "new");
            store_put(s, STORE_AUTH, BYTES_LIT("authRevision"), BYTES_LIT("12345678"));
            store_set_applied(s, store_applied_index(s) + 1, 5);
            commit();
        }
        hash = hash_all();
        assert_int_equal(store_defrag_step(d, 20, &done, &e), 0);
    }
    store_defrag_end(d);
    assert_int_equal(hash_all(), hash);
    assert_true(store_db_size(s) < size / 2);
    check_get(&before, 601,
              "a value that takes some room in its page so that there are many pages");
    check_get(&before, 602, NULL);
    append(main, "last");
    commit();
    store_view_take(s, &after);
    check_get(&after, 502, "a value that takes some room in its page so that there are many pages");
    check_get(&after, 603, "new");
    check_get(&after, main, "last");
    store_view_release(s, &before);
    store_view_release(s, &after);
    check_whole("snap/db");
    store_close(s);
    open_store();
    store_view_take(s, &after);
    check_get(&after, main, "last");
    store_view_release(s, &after);
    assert_false(disk_exists(simdisk_disk(sim), "snap/db.tmp.defrag"));
}

static void defragment(void)
{
    struct store_defrag *d;
    bool done = false;

    assert_int_equal(store_defrag_begin(s, &d, &e), 0);
    while (!done)
        assert_int_equal(store_defrag_step(d, 1000, &done, &e), 0);
    store_defrag_end(d);
}

static void what_a_defragmentation_replaced_goes_in_pieces(void **state)
{
    /* The old file keeps its room while a view reads it, and gives it back page by page when none
     * does any more; the file in use loses nothing, not when the store is closed in the middle
     * either. */
    struct store_view v;
    uint64_t size, pages = 0;

    (void) state;
    make_holes();
    append(602, "new");
    commit();
    store_view_take(s, &v);
    size = store_db_size(s);
    defragment();
    assert_false(store_shed(s, 4096));
    check_get(&v, 602, "new");
    store_view_release(s, &v);
    adopt();
    append(603, "newer");
    commit();
    while (store_shed(s, 4096))
        pages++;
    assert_true(pages >= size / 4096 - 1);
    defragment();
    adopt();
    append(604, "newest");
    commit();
    assert_true(store_shed(s, 4096));
    check_whole("snap/db");
    store_close(s);
    open_store();
    check_whole("snap/db");
    store_view_take(s, &v);
    check_get(&v, 603, "newer");
    check_get(&v, 604, "newest");
    store_view_release(s, &v);
    assert_false(store_shed(s, 4096));
}

static void a_defragmentation_that_fails_or_is_cut_off_changes_nothing(void **state)
{
    /* Each call to the disk fails once; then the power is cut at each one: the data is the same. */
    uint32_t hash;

    (void) state;
    make_holes();
    hash = hash_all();
    for (uint64_t nth = 1; nth < 60; nth++) {
        struct store_defrag *d = NULL;
        bool done = false;
        int rc;

        if (nth % 2 == 0)
            simdisk_cut_after(sim, nth / 2);
        else
            simdisk_fail(sim, SIM_CHANGES & ~(unsigned) SIM_SYNC_DIR, nth / 2 + 1, ERR_IO, false);
        rc = store_defrag_begin(s, &d, &e);
        while (rc == 0 && !done) {
            if (nth % 2 == 0 && simdisk_calls(sim, SIM_RENAME) > 0)
                break; /* a directory that cannot be synced stops the process: not here */
            rc = store_defrag_step(d, 30, &done, &e);
        }
        simdisk_fail(sim, 0, 0, 0, false);
        store_defrag_end(d);
        if (nth % 2 == 0) {
            simdisk_crash(sim, SIM_CRASH_TEAR);
            store_close(s);
            open_store();
        }
        assert_int_equal(hash_all(), hash);
        if (done)
            break;
    }
}

static void leftovers_of_a_defragmentation_go_at_start(void **state)
{
    /* db.tmp* of the same directory, ours or etcd's; nothing else. */
    (void) state;
    store_close(s);
    simdisk_put_file(sim, "snap/db.tmp.1234567", "x", 1);
    simdisk_put_file(sim, "snap/db.tmp.defrag", "x", 1);
    simdisk_put_file(sim, "snap/0000000000000002-0000000000000003.snap", "x", 1);
    open_store();
    assert_false(disk_exists(simdisk_disk(sim), "snap/db.tmp.1234567"));
    assert_false(disk_exists(simdisk_disk(sim), "snap/db.tmp.defrag"));
    assert_true(disk_exists(simdisk_disk(sim), "snap/0000000000000002-0000000000000003.snap"));
}

static void a_refused_opening_takes_no_leftovers(void **state)
{
    /* Whoever cannot have the file may not remove the copy that its owner is just making. */
    struct store_config cfg = {.disk = simdisk_disk(sim), .path = "snap/db"};
    struct store *other = NULL;

    (void) state;
    simdisk_put_file(sim, "snap/db.tmp.defrag", "x", 1);
    assert_int_equal(store_open(&cfg, &other, &e), ERR_LOCKED);
    assert_true(disk_exists(simdisk_disk(sim), "snap/db.tmp.defrag"));
}

static void a_copy_is_the_file_at_one_moment(void **state)
{
    /* Pulled in odd pieces while commits go on, it opens as a store with the state at the
     * beginning. */
    struct store_copy *c;
    uint8_t *p;
    size_t n = 0, got;
    uint32_t hash;

    (void) state;
    make_holes();
    hash = hash_all();
    assert_int_equal(store_copy_begin(s, &c, &e), 0);
    p = xmem_alloc(store_copy_bytes(c));
    do {
        assert_int_equal(
            store_copy_read(c, p + n, MIN((size_t) 3001, store_copy_bytes(c) - n), &got, &e), 0);
        n += got;
        append(602 + (int64_t) n, "later");
        commit();
        adopt();
    } while (got > 0 && n < store_copy_bytes(c));
    assert_int_equal(n, store_copy_bytes(c));
    store_copy_end(c);
    store_close(s);
    simdisk_put_file(sim, "snap/db", p, n);
    mem_free(p);
    open_store();
    assert_int_equal(hash_all(), hash);
    assert_int_equal(store_applied_index(s), 601);
}

static void the_hash_leaves_out_what_differs_between_members(void **state)
{
    /* consistent_index, term and storageVersion do not count, everything else does. */
    uint32_t hash;

    (void) state;
    append(2, "x");
    store_set_applied(s, 1, 1);
    commit();
    hash = hash_all();
    store_put(s, STORE_META, BYTES_LIT(STORE_META_STORAGE_VERSION), BYTES_LIT("3.7.0"));
    store_set_applied(s, 9, 9);
    commit();
    assert_int_equal(hash_all(), hash);
    store_put(s, STORE_META, BYTES_LIT(STORE_META_CONF_STATE), BYTES_LIT("{}"));
    commit();
    assert_int_not_equal(hash_all(), hash);
}

static void revision_keys_have_one_form(void **state)
{
    /* 17 bytes, 18 for a tombstone; everything else is refused. */
    uint8_t p[STORE_REV_KEY_BYTES_MAX];
    int64_t main, sub;
    bool tombstone;

    (void) state;
    assert_int_equal(store_rev_key_put(p, 0x0102030405060708, 9, false), 17);
    assert_memory_equal(p, "\x01\x02\x03\x04\x05\x06\x07\x08_\0\0\0\0\0\0\0\x09", 17);
    assert_true(store_rev_key_get(bytes_of(p, 17), &main, &sub, &tombstone));
    assert_int_equal(main, 0x0102030405060708);
    assert_int_equal(sub, 9);
    assert_false(tombstone);
    assert_int_equal(store_rev_key_put(p, 3, 0, true), 18);
    assert_int_equal(p[17], 't');
    assert_true(store_rev_key_get(bytes_of(p, 18), &main, &sub, &tombstone));
    assert_true(tombstone);
    assert_false(store_rev_key_get(bytes_of(p, 16), &main, &sub, &tombstone));
    p[17] = 'x';
    assert_false(store_rev_key_get(bytes_of(p, 18), &main, &sub, &tombstone));
    p[8] = '-';
    assert_false(store_rev_key_get(bytes_of(p, 17), &main, &sub, &tombstone));
    p[8] = '_';
    p[0] = 0x80;
    assert_false(store_rev_key_get(bytes_of(p, 17), &main, &sub, &tombstone));
}

static void a_file_whose_last_key_is_no_revision_is_refused(void **state)
{
    /* Opening says what is wrong instead of building on it. */
    struct store_config cfg = {.disk = simdisk_disk(sim), .path = "snap/db", .map_bytes = 1 << 26};
    struct bolt_bucket b;
    struct bolt_db *db;
    struct bolt_tx *tx;

    (void) state;
    store_close(s);
    assert_int_equal(bolt_open(simdisk_disk(sim), "snap/db", NULL, &db, &e), 0);
    assert_int_equal(bolt_begin_write(db, &tx, &e), 0);
    assert_int_equal(bolt_bucket_get(tx, BYTES_LIT("key"), &b, &e), 0);
    assert_int_equal(bolt_put(&b, BYTES_LIT("nonsense"), BYTES_LIT(""), &e), 0);
    assert_int_equal(bolt_commit(tx, &e), 0);
    bolt_close(db);
    s = NULL;
    assert_int_equal(store_open(&cfg, &s, &e), ERR_STORE_BAD_REVISION_KEY);
}

static void reading_only_leaves_the_file_alone(void **state)
{
    /* Tools open a file that nothing may be written to. */
    struct store_config cfg = {
        .disk = simdisk_disk(sim), .path = "snap/db", .map_bytes = 1 << 26, .read_only = true};
    struct store_view v;
    uint64_t changes;

    (void) state;
    append(2, "x");
    commit();
    store_close(s);
    changes = simdisk_calls(sim, SIM_CHANGES);
    assert_int_equal(store_open(&cfg, &s, &e), 0);
    store_view_take(s, &v);
    check_get(&v, 2, "x");
    store_view_release(s, &v);
    assert_int_equal(simdisk_calls(sim, SIM_CHANGES), changes);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_store_is_as_large_as_etcds),
        TEST(records_are_seen_from_the_batch_and_from_the_file),
        TEST(a_cursor_goes_through_file_and_batches_in_order),
        TEST(a_cursor_finds_single_records_in_any_order),
        TEST(small_buckets_read_back_what_is_not_committed),
        TEST(a_scan_gives_each_committed_pair_until_told_to_stop),
        TEST(applied_index_and_data_survive_a_power_cut_together),
        TEST(a_failed_write_is_an_error_of_the_commit),
        TEST(batches_are_due_by_number_and_by_time),
        TEST(sealing_stops_while_too_many_batches_wait),
        TEST(apply_is_told_to_pause_when_too_much_is_pending),
        TEST(a_view_that_is_kept_is_told),
        TEST(compaction_removes_in_small_steps_and_says_when_it_is_done),
        TEST(defragmentation_goes_on_between_commits),
        TEST(what_a_defragmentation_replaced_goes_in_pieces),
        TEST(a_defragmentation_that_fails_or_is_cut_off_changes_nothing),
        TEST(leftovers_of_a_defragmentation_go_at_start),
        TEST(a_refused_opening_takes_no_leftovers),
        TEST(a_copy_is_the_file_at_one_moment),
        TEST(the_hash_leaves_out_what_differs_between_members),
        TEST(revision_keys_have_one_form),
        TEST(a_file_whose_last_key_is_no_revision_is_refused),
        TEST(reading_only_leaves_the_file_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
