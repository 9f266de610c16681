/* bolt_bench.c -- appends, random reads and deletions on a real file.
 *
 *     bolt_bench [directory [records]]
 *
 * Appends the records in ascending key order as etcd does (17-byte keys, 256-byte values, 10,000 a
 * commit, fill 90), reads single ones at random, walks over all, then deletes every second one in
 * batches of 1,000.  Prints operations per second of wall time, and CPU time per operation.
 */
#define _POSIX_C_SOURCE 200809L
#include <time.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "engine/bolt/bolt.h"
#include "sys/disk.h"

#define KEY_BYTES 17
#define VALUE_BYTES 256
#define BATCH 10000
#define DELETE_BATCH 1000

struct watch {
    struct timespec wall;
    struct timespec cpu;
};

static void watch_start(struct watch *w)
{
    clock_gettime(CLOCK_MONOTONIC, &w->wall);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &w->cpu);
}

static double since(clockid_t id, const struct timespec *t)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (double) (now.tv_sec - t->tv_sec) + (double) (now.tv_nsec - t->tv_nsec) * 1e-9;
}

static void watch_print(const struct watch *w, const char *what, uint64_t n)
{
    double wall = since(CLOCK_MONOTONIC, &w->wall), cpu = since(CLOCK_PROCESS_CPUTIME_ID, &w->cpu);

    printf("%-28s %10.0f ops/s  %8.3f us CPU per op\n", what, (double) n / wall,
           cpu / (double) n * 1e6);
}

static void must(int rc, const struct err *e)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%s\n", e->msg);
    exit(1);
}

static void key_make(uint8_t *key, uint64_t revision)
{
    memset(key, 0, KEY_BYTES);
    be64_put(key, revision);
    key[8] = '_';
}

static void bench_append(struct bolt_db *db, uint64_t records)
{
    static uint8_t keys[BATCH][KEY_BYTES], value[VALUE_BYTES];
    struct watch w;
    struct err e = ERR_INIT;
    struct bolt_bucket b;
    struct bolt_tx *tx;

    watch_start(&w);
    for (uint64_t i = 0; i < records; i += BATCH) {
        must(bolt_begin_write(db, &tx, &e), &e);
        must(bolt_bucket_ensure(tx, BYTES_LIT("key"), &b, &e), &e);
        bolt_bucket_set_fill(&b, 90);
        for (uint64_t k = 0; k < BATCH; k++) {
            key_make(keys[k], i + k);
            must(bolt_put(&b, bytes_of(keys[k], KEY_BYTES), bytes_of(value, sizeof value), &e), &e);
        }
        must(bolt_commit(tx, &e), &e);
    }
    watch_print(&w, "append, 10,000 per commit", records);
}

static void bench_get(struct bolt_db *db, uint64_t records)
{
    uint8_t key[KEY_BYTES];
    struct watch w;
    struct err e = ERR_INIT;
    struct bolt_bucket b;
    struct bolt_tx *tx;
    struct bytes v;
    uint64_t x = 1;

    must(bolt_begin_read(db, &tx, &e), &e);
    must(bolt_bucket_get(tx, BYTES_LIT("key"), &b, &e), &e);
    watch_start(&w);
    for (uint64_t i = 0; i < records; i++) {
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407u;
        key_make(key, (x >> 20) % records);
        must(bolt_get(&b, bytes_of(key, KEY_BYTES), &v, &e), &e);
    }
    watch_print(&w, "random get", records);
    bolt_rollback(tx);
}

static void bench_walk(struct bolt_db *db, uint64_t records)
{
    struct watch w;
    struct err e = ERR_INIT;
    struct bolt_bucket b;
    struct bolt_cursor c;
    struct bolt_tx *tx;
    struct bytes k, v;
    uint64_t n = 0;
    int rc;

    must(bolt_begin_read(db, &tx, &e), &e);
    must(bolt_bucket_get(tx, BYTES_LIT("key"), &b, &e), &e);
    watch_start(&w);
    bolt_cursor_init(&c, &b);
    for (rc = bolt_cursor_first(&c, &k, &v, &e); rc == 0; rc = bolt_cursor_next(&c, &k, &v, &e))
        n++;
    if (n != records)
        fprintf(stderr, "walked over %" PRIu64 " records\n", n);
    watch_print(&w, "cursor over all", records);
    bolt_rollback(tx);
}

static void bench_begin(struct bolt_db *db, uint64_t records)
{
    struct watch w;
    struct err e = ERR_INIT;
    struct bolt_tx *tx;

    watch_start(&w);
    for (uint64_t i = 0; i < records; i++) {
        must(bolt_begin_read(db, &tx, &e), &e);
        bolt_rollback(tx);
    }
    watch_print(&w, "begin and end a read", records);
}

static void bench_delete(struct bolt_db *db, uint64_t records)
{
    uint8_t key[KEY_BYTES];
    struct watch w;
    struct err e = ERR_INIT;
    struct bolt_bucket b;
    struct bolt_tx *tx;

    watch_start(&w);
    for (uint64_t i = 0; i < records; i += 2 * DELETE_BATCH) {
        must(bolt_begin_write(db, &tx, &e), &e);
        must(bolt_bucket_get(tx, BYTES_LIT("key"), &b, &e), &e);
        for (uint64_t k = 0; k < 2 * DELETE_BATCH && i + k < records; k += 2) {
            key_make(key, i + k);
            must(bolt_delete(&b, bytes_of(key, KEY_BYTES), &e), &e);
        }
        must(bolt_commit(tx, &e), &e);
    }
    watch_print(&w, "delete, 1,000 per commit", records / 2);
}

int main(int argc, char **argv)
{
    const char *dir = argc > 1 ? argv[1] : ".";
    uint64_t records = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000;
    char path[4096];
    struct err e = ERR_INIT;
    struct bolt_db *db;
    struct bolt_stats st;
    struct watch w;

    records = (records + BATCH - 1) / BATCH * BATCH;
    snprintf(path, sizeof path, "%s/bolt_bench.db", dir);
    if (disk_exists(disk_posix(), path))
        must(disk_remove(disk_posix(), path, &e), &e);
    must(bolt_open(disk_posix(), path, NULL, &db, &e), &e);
    bench_append(db, records);
    bolt_close(db);
    watch_start(&w);
    must(bolt_open(disk_posix(), path, NULL, &db, &e), &e);
    watch_print(&w, "open (per record)", records);
    bench_begin(db, records);
    bench_get(db, records);
    bench_walk(db, records);
    bench_delete(db, records);
    bolt_get_stats(db, &st);
    printf("%" PRIu64 " MiB used, %" PRIu64 " pages free\n", st.size_bytes >> 20, st.free_pages);
    bolt_close(db);
    must(disk_remove(disk_posix(), path, &e), &e);
    return 0;
}
