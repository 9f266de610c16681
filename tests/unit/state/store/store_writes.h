/* store_writes.h -- what tests write to a store (store_rig.h), and how they look at what came of
 * it. */
#ifndef KETCH_TESTS_STORE_WRITES_H
#define KETCH_TESTS_STORE_WRITES_H

#include "engine/bolt/bolt.h"
#include "unit/state/store/store_rig.h"

static inline void append(int64_t main, const char *value)
{
    uint8_t *p = store_key_append(s, main, 0, false, strlen(value));

    memcpy(p, value, strlen(value));
}

static inline void commit(void)
{
    store_seal(s);
    assert_int_equal(store_commit(s, &e), 0);
}

/* Lets go of old snapshots, as every mvcc_publish does. */
static inline void adopt(void)
{
    struct store_view v;

    store_view_take(s, &v);
    store_view_release(s, &v);
}

static inline void check_get(const struct store_view *v, int64_t main, const char *want)
{
    struct bytes got;
    bool found = store_view_get(v, main, 0, &got);

    assert_int_equal(found, want != NULL);
    if (want != NULL) {
        assert_int_equal(got.n, strlen(want));
        assert_memory_equal(got.p, want, got.n);
    }
}

static inline void check_whole(const char *path)
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

static inline uint32_t hash_all(void)
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

static inline enum store_keep keep_none(void *ctx, const struct store_record *r)
{
    (void) ctx;
    (void) r;
    return STORE_REMOVE;
}

/* 600 records of which the first 500 are compacted away. */
static inline void make_holes(void)
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

#endif
