/* bolt_util.h -- what the tests of engine/bolt share: a database on a simulated disk, a check of
 * everything, and a model to compare with. */
#ifndef KETCH_TESTS_UNIT_ENGINE_BOLT_BOLT_UTIL_H
#define KETCH_TESTS_UNIT_ENGINE_BOLT_BOLT_UTIL_H

#include "lib/cm.h"

#include "base/alloc.h"
#include "engine/bolt/bolt.h"
#include "lib/simdisk.h"

#define DB_PATH "dir/db"

struct fixture {
    struct simdisk *sim;
    struct disk *disk;
    struct bolt_db *db;
    struct bolt_options opt;
};

/* Fails the test with the words of the error. */
#define OK(call, e)                                         \
    do {                                                    \
        int ok_rc = (call);                                 \
        if (ok_rc != 0)                                     \
            fail_msg("%s: %d: %s", #call, ok_rc, (e)->msg); \
    } while (0)

static inline void fixture_open(struct fixture *f)
{
    struct err e = ERR_INIT;

    OK(bolt_open(f->disk, DB_PATH, &f->opt, &f->db, &e), &e);
}

/* An empty database with small pages, in a directory. */
static inline void fixture_init(struct fixture *f, uint32_t page_bytes)
{
    *f = (struct fixture){.sim = simdisk_new(1)};
    f->disk = simdisk_disk(f->sim);
    f->opt = (struct bolt_options){.page_bytes = page_bytes,
                                   .initial_map_bytes = BOLT_MAP_SMALL,
                                   .reserve_bytes = UINT64_C(1) << 24};
    assert_int_equal(disk_mkdir(f->disk, "dir", 0700, NULL), 0);
    assert_int_equal(disk_sync_dir(f->disk, "/", NULL), 0);
    fixture_open(f);
}

/* Its file stays. */
static inline void fixture_close(struct fixture *f)
{
    bolt_close(f->db);
    f->db = NULL;
}

static inline void fixture_reopen(struct fixture *f)
{
    fixture_close(f);
    fixture_open(f);
}

static inline void fixture_done(struct fixture *f)
{
    bolt_close(f->db);
    simdisk_free(f->sim);
}

static UNUSED void finding_print(void *arg, const char *text)
{
    (void) arg;
    fprintf(stderr, "finding: %s\n", text);
}

/* Everything that can be checked, the allocator's lists in memory included. */
static inline void db_check(struct bolt_db *db)
{
    struct err e = ERR_INIT;
    struct bolt_tx *tx;

    OK(bolt_begin_read(db, &tx, &e), &e);
    OK(bolt_check(tx, finding_print, NULL, &e), &e);
    bolt_rollback(tx);
    OK(bolt_begin_write(db, &tx, &e), &e);
    OK(bolt_check(tx, finding_print, NULL, &e), &e);
    bolt_rollback(tx);
}

static inline struct bolt_tx *read_begin(struct bolt_db *db)
{
    struct err e = ERR_INIT;
    struct bolt_tx *tx;

    OK(bolt_begin_read(db, &tx, &e), &e);
    return tx;
}

static inline struct bolt_tx *write_begin(struct bolt_db *db)
{
    struct err e = ERR_INIT;
    struct bolt_tx *tx;

    OK(bolt_begin_write(db, &tx, &e), &e);
    return tx;
}

static inline void commit(struct bolt_tx *tx)
{
    struct err e = ERR_INIT;

    OK(bolt_commit(tx, &e), &e);
}

static inline struct bolt_bucket bucket(struct bolt_tx *tx, const char *name)
{
    struct err e = ERR_INIT;
    struct bolt_bucket b;

    if (bolt_is_writable(tx))
        OK(bolt_bucket_ensure(tx, bytes_str(name), &b, &e), &e);
    else
        OK(bolt_bucket_get(tx, bytes_str(name), &b, &e), &e);
    return b;
}

static inline void put(struct bolt_bucket *b, struct bytes key, struct bytes value)
{
    struct err e = ERR_INIT;

    OK(bolt_put(b, key, value, &e), &e);
}

/* One committed record, for tests that need some change. */
static inline void put_one(struct bolt_db *db, const char *name, const char *key, const char *value)
{
    struct bolt_tx *tx = write_begin(db);
    struct bolt_bucket b = bucket(tx, name);

    put(&b, bytes_str(key), bytes_str(value));
    commit(tx);
}

static inline uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

#endif
