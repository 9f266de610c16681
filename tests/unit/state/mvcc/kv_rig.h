/* kv_rig.h -- a key space over a simulated disk, with a reader, as most tests of it begin. */
#ifndef KETCH_TESTS_KV_RIG_H
#define KETCH_TESTS_KV_RIG_H

#include "lib/cm.h"
#include "lib/simdisk.h"
#include "state/mvcc/mvcc.h"
#include "state/mvcc/mvcc_reply.h"
#include "wire/wire.h"

static struct simdisk *sim;
static struct store *s;
static struct mvcc *kv;
static struct mvcc_reader *reader;
static struct arena a;

static inline void kv_disk_new(uint64_t seed)
{
    sim = simdisk_new(seed);
    arena_init(&a, SIZE_MAX);
}

static inline void kv_disk_free(void)
{
    arena_done(&a);
    simdisk_free(sim);
}

/* On what the disk has. */
static inline void kv_open(const struct mvcc_hooks *hooks)
{
    struct store_config cfg = {.disk = simdisk_disk(sim), .path = "db", .map_bytes = 1 << 27};
    struct err e = ERR_INIT;

    assert_int_equal(store_open(&cfg, &s, &e), 0);
    assert_int_equal(mvcc_open(s, hooks, &kv, &e), 0);
    reader = mvcc_reader_new(kv);
}

static inline void kv_close(void)
{
    mvcc_reader_free(reader);
    mvcc_close(kv);
    store_close(s);
}

/* ---- the two writes that tests fill it by ---- */

static inline void put_key(const char *key, struct bytes value, int64_t lease)
{
    Etcdserverpb__PutRequest r = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct mvcc_put_result res;
    bool too_large;

    r.key = wire_binary(bytes_str(key));
    r.value = wire_binary(value);
    r.lease = lease;
    assert_int_equal(mvcc_put(kv, &r, NULL, &res, &too_large), 0);
}

static inline void delete_keys(const char *from, const char *to)
{
    Etcdserverpb__DeleteRangeRequest r = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    struct mvcc_delete_result got;
    bool too_large;

    r.key = wire_binary(bytes_str(from));
    r.range_end = wire_binary(bytes_str(to));
    mvcc_delete_range(kv, &r, NULL, &got, &too_large);
    assert_true(got.deleted > 0);
}

#endif
