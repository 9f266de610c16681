/* mvcc_bench.c -- what the key space costs per operation, without network, raft and log.
 *
 *   mvcc_bench [keys] [directory] [ordered]     keys arrive in random order, or ascending
 *
 * Puts go through index, batch and commits to a real file, commits on a thread of their own as in
 * the server; CPU is that of the whole process. */
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "state/mvcc/mvcc.h"
#include "state/mvcc/mvcc_reply.h"
#include "sys/clock.h"
#include "sys/thread.h"
#include "wire/wire.h"

#define VALUE_BYTES 256
#define ENTRIES_PER_PUBLISH 16 /* how many puts one applied batch has under load */

static struct store *s;
static struct mvcc *kv;
static struct arena arena;
static uint8_t value[VALUE_BYTES];
static struct waker waker;
static _Atomic bool stopping;
static _Atomic bool sealed;

static void check(int rc, const struct err *e)
{
    if (rc == 0)
        return;
    fprintf(stderr, "mvcc_bench: %s\n", e->msg);
    exit(1);
}

static void store_thread(void *arg)
{
    (void) arg;
    while (!atomic_load(&stopping)) {
        struct err e = ERR_INIT;

        waker_wait(&waker, -1);
        check(store_commit(s, &e), &e);
        atomic_store(&sealed, false);
    }
}

static double seconds(void)
{
    return (double) clock_mono_ns(clock_posix()) / 1e9;
}

static double cpu_seconds(void)
{
    struct rusage r;

    getrusage(RUSAGE_SELF, &r);
    return (double) (r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           (double) (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static struct {
    const char *name;
    double wall, cpu;
} run;

static void begin(const char *name)
{
    run.name = name;
    run.cpu = cpu_seconds();
    run.wall = seconds();
}

static void end(uint64_t n)
{
    double wall = seconds() - run.wall, cpu = cpu_seconds() - run.cpu;

    printf("%-34s %9.0f /s   wall %7.3f us   cpu %7.3f us\n", run.name, (double) n / wall,
           wall / (double) n * 1e6, cpu / (double) n * 1e6);
}

static bool ordered;

static size_t key_of(uint64_t i, char p[32])
{
    /* A fixed mixture: arrives in random order of keys. */
    uint64_t x = i * UINT64_C(0x9e3779b97f4a7c15);

    x = ordered ? i : x ^ x >> 32;
    return (size_t) snprintf(p, 32, "%08x", (unsigned) (x & 0xffffffffu));
}

static void seal(bool wait)
{
    while (atomic_load(&sealed))
        if (!wait)
            return;
    if (!store_seal(s))
        return;
    atomic_store(&sealed, true);
    waker_wake(&waker);
}

static void puts_all(uint64_t n)
{
    int64_t last_ms = clock_mono_ms(clock_posix());

    for (uint64_t i = 0; i < n; i++) {
        Etcdserverpb__PutRequest r = ETCDSERVERPB__PUT_REQUEST__INIT;
        struct mvcc_put_result ret;
        bool too_large;
        char key[32];

        r.key = wire_binary(bytes_of(key, key_of(i, key)));
        r.value = wire_binary(bytes_of(value, sizeof value));
        if (mvcc_put(kv, &r, NULL, &ret, &too_large) != 0)
            exit(1);
        store_set_applied(s, store_applied_index(s) + 1, 1);
        if (i % ENTRIES_PER_PUBLISH == 0) {
            int64_t now = clock_mono_ms(clock_posix());

            mvcc_publish(kv);
            if (store_batch_due(s, now - last_ms)) {
                last_ms = now;
                seal(false);
            }
            while (store_must_pause(s))
                ;
        }
    }
    mvcc_publish(kv);
    seal(true);
    seal(true);
    while (atomic_load(&sealed))
        ;
    mvcc_publish(kv);
}

static uint64_t read_range(const struct mvcc_view *v, const Etcdserverpb__RangeRequest *r)
{
    static uint8_t buf[65536];
    struct mvcc_header h = {1, 2, 0, 3};
    struct mvcc_reply *reply;
    struct mvcc_range *g;
    uint64_t bytes = 0;
    size_t n;

    if (mvcc_range(v, r, &arena, &g) != 0)
        exit(1);
    reply = mvcc_reply_range(g, &h, &arena);
    while ((n = mvcc_reply_read(reply, buf, sizeof buf)) > 0)
        bytes += n;
    arena_reset(&arena);
    return bytes;
}

/* The key behind the first 500. */
static struct bytes first_keys_end(const struct mvcc_view *v, char ret[32])
{
    Etcdserverpb__RangeRequest r = ETCDSERVERPB__RANGE_REQUEST__INIT;
    struct mvcc_range *g;
    struct bytes b;

    r.key = wire_binary(BYTES_LIT("0"));
    r.range_end = wire_binary(BYTES_LIT("z"));
    r.limit = 501;
    if (mvcc_range(v, &r, &arena, &g) != 0)
        exit(1);
    while (mvcc_range_next(g, &b))
        ;
    memcpy(ret, b.p + 2, b.p[1]); /* field 1, the key, is short */
    b = bytes_of(ret, b.p[1]);
    arena_reset(&arena);
    return b;
}

/* A range of the first 500 keys, sorted. */
static void sorted_pages(const struct mvcc_view *v, Etcdserverpb__RangeRequest r)
{
    static const char *const names[] = {"500 by key, down, per key", "500 by version, per key",
                                        "500 by creation, per key", "500 by revision, per key",
                                        "500 by value, per key"};
    char end_key[32];

    r.limit = 0;
    r.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    r.range_end = wire_binary(first_keys_end(v, end_key));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        r.sort_target = (Etcdserverpb__RangeRequest__SortTarget) i;
        begin(names[i]);
        for (int n = 0; n < 1000; n++)
            read_range(v, &r);
        end(1000 * 500);
    }
}

static void ranges(uint64_t keys)
{
    struct mvcc_reader *reader = mvcc_reader_new(kv);
    Etcdserverpb__RangeRequest r = ETCDSERVERPB__RANGE_REQUEST__INIT;
    const struct mvcc_view *v;
    char key[32];

    begin("range of one key, random");
    for (uint64_t i = 0; i < 500000; i++) {
        v = mvcc_view_pin(reader);
        r.key = wire_binary(bytes_of(key, key_of(i * 7 % keys, key)));
        read_range(v, &r);
        mvcc_view_unpin(v);
    }
    end(500000);
    v = mvcc_view_pin(reader);
    r.key = wire_binary(BYTES_LIT("0"));
    r.range_end = wire_binary(BYTES_LIT("z"));
    r.count_only = true;
    begin("count of all");
    for (uint64_t i = 0; i < 200000; i++)
        read_range(v, &r);
    end(200000);
    r.count_only = false;
    r.limit = 1;
    begin("limit 1 of all");
    for (uint64_t i = 0; i < 200000; i++)
        read_range(v, &r);
    end(200000);
    r.limit = 1000;
    begin("page of 1000, per key");
    for (uint64_t i = 0; i < 500; i++)
        read_range(v, &r);
    end(500 * 1000);
    sorted_pages(v, r);
    r.limit = 0;
    begin("range of all, per key");
    read_range(v, &r);
    end(keys);
    r.keys_only = true;
    begin("range of all, keys only, per key");
    read_range(v, &r);
    end(keys);
    mvcc_view_unpin(v);
    mvcc_reader_free(reader);
}

static void hash(uint64_t keys)
{
    struct mvcc_reader *reader = mvcc_reader_new(kv);
    const struct mvcc_view *v = mvcc_view_pin(reader);
    struct mvcc_hash *h;
    bool done = false;

    begin("HashKV, per record");
    if (mvcc_hash_begin(v, 0, &h) != 0)
        exit(1);
    while (!done)
        if (mvcc_hash_step(h, 1000, &done) != 0)
            exit(1);
    end(keys);
    mvcc_hash_end(h);
    mvcc_view_unpin(v);
    mvcc_reader_free(reader);
}

static void compact(uint64_t keys)
{
    struct mvcc_compaction *c;
    struct err e = ERR_INIT;
    bool done = false;

    if (mvcc_compact(kv, mvcc_revision(kv)) != 0)
        exit(1);
    begin("compaction of the index, per key");
    while (mvcc_compact_index_step(kv, MVCC_INDEX_STEP_DEFAULT))
        mvcc_publish(kv);
    end(keys);
    c = mvcc_compaction_take(kv);
    seal(true);
    while (atomic_load(&sealed))
        ;
    begin("compaction of the file, per record");
    while (!done) {
        check(mvcc_compaction_step(c, STORE_COMPACT_RECORDS_DEFAULT, &done, &e), &e);
        mvcc_publish(kv);
    }
    end(2 * keys);
    mvcc_compaction_end(kv, c, true);
    mvcc_publish(kv);
}

static void open_all(const char *path)
{
    struct store_config cfg = {.disk = disk_posix(), .path = path};
    struct err e = ERR_INIT;

    check(store_open(&cfg, &s, &e), &e);
    begin("start: index from the file");
    check(mvcc_open(s, NULL, &kv, &e), &e);
}

int main(int argc, char **argv)
{
    uint64_t keys = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
    const char *dir = argc > 2 ? argv[2] : "/tmp";
    struct thread *t;
    struct mvcc_stats st;
    struct err e = ERR_INIT;
    char path[4096];

    ordered = argc > 3 && strcmp(argv[3], "ordered") == 0;
    snprintf(path, sizeof path, "%s/mvcc_bench.%d.db", dir, (int) getpid());
    arena_init(&arena, SIZE_MAX);
    memset(value, 'v', sizeof value);
    waker_init(&waker);
    open_all(path);
    check(thread_start("store", store_thread, NULL, &t, &e), &e);
    begin("put, new keys");
    puts_all(keys);
    end(keys);
    mvcc_stats(kv, &st);
    printf("index: %.1f bytes per key of 8\n", (double) st.index_bytes / (double) keys);
    begin("put, existing keys");
    puts_all(keys);
    end(keys);
    mvcc_stats(kv, &st);
    printf("index: %.1f bytes per key with two revisions\n",
           (double) st.index_bytes / (double) keys);
    ranges(keys);
    hash(2 * keys);
    compact(keys);
    hash(keys);
    atomic_store(&stopping, true);
    waker_wake(&waker);
    thread_join(t);
    mvcc_close(kv);
    store_close(s);
    open_all(path);
    end(keys);
    mvcc_close(kv);
    store_close(s);
    arena_done(&arena);
    unlink(path);
    return 0;
}
