/* history_bench.c -- what catching up costs, in processor time of the thread that does it.
 *
 *   history_bench FILE     a data file to make (it is removed first)
 *
 * 500,000 puts over 10,000 keys, 200 bytes each.  Then: one watcher of everything from the first
 * revision on; 512 watchers of one key each, together; one key alone, by the index; a prefix of ten
 * keys. */
#define _POSIX_C_SOURCE 200809L
#include <time.h>

#include "base/alloc.h"
#include "state/mvcc/history.h"
#include "wire/wire.h"

#define PUTS 500000
#define KEYS 10000

static int64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct store *store;
static struct mvcc *kv;
static struct mvcc_reader *reader;
static struct watch_stream stream;
static struct watch_sink sink;

static void check(int rc, const struct err *e)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%s\n", e->msg);
    exit(1);
}

static struct bytes key_of(size_t i, char text[32])
{
    snprintf(text, 32, "/registry/thing/%06zu", i);
    return bytes_str(text);
}

static void fill(void)
{
    static const uint8_t value[200] = {1};
    struct err e = ERR_INIT;
    int64_t begin = cpu_ns();
    uint64_t x = 1;

    for (size_t i = 0; i < PUTS; i++) {
        Etcdserverpb__PutRequest q = ETCDSERVERPB__PUT_REQUEST__INIT;
        struct mvcc_put_result res;
        bool too_large;
        char text[32];

        x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        q.key = wire_binary(key_of((x >> 33) % KEYS, text));
        q.value = wire_binary(bytes_of(value, sizeof value));
        check(mvcc_put(kv, &q, NULL, &res, &too_large), &e);
        if (i % 100 == 99)
            mvcc_publish(kv);
        if (i % 10000 == 9999) {
            store_seal(store);
            check(store_commit(store, &e), &e);
        }
    }
    mvcc_publish(kv);
    printf("%-34s %8.0f ns per put, commits included\n", "fill",
           (double) (cpu_ns() - begin) / PUTS);
}

static void catch_up(const char *name, struct watcher *w, size_t n)
{
    struct history_want *wants = xmem_calloc(n, sizeof *wants);
    const struct mvcc_view *v = mvcc_view_pin(reader);
    struct err e = ERR_INIT;
    uint64_t events = 0, bytes = 0, calls = 0;
    int64_t begin = cpu_ns(), took, longest = 0;
    bool more = true;

    for (size_t i = 0; i < n; i++)
        wants[i] = (struct history_want){.watcher = &w[i], .next_rev = 2};
    while (more) {
        int64_t at = cpu_ns();

        check(history_scan(v, wants, n, NULL, &e), &e);
        longest = MAX(longest, cpu_ns() - at);
        calls++;
        more = false;
        for (size_t i = 0; i < n; i++) {
            events += wants[i].events_n;
            bytes += wants[i].events == NULL ? 0 : wants[i].events->bytes;
            payload_unref(wants[i].events);
            more = more || wants[i].end == HISTORY_MORE;
        }
    }
    took = cpu_ns() - begin;
    mvcc_view_unpin(v);
    printf("%-34s %8.1f ms, %" PRIu64 " events, %.0f ns per event, %.0f MB; %" PRIu64
           " calls, longest %.2f ms\n",
           name, (double) took / 1e6, events, events == 0 ? 0.0 : (double) took / (double) events,
           (double) bytes / 1e6, calls, (double) longest / 1e6);
    mem_free(wants);
}

static void watch(struct watcher *w, struct bytes key, struct bytes range_end)
{
    struct watch_options o = {.key = key, .range_end = range_end, .start_rev = 2};

    if (!watcher_init(w, &stream, &o))
        abort();
}

static void measure(void)
{
    static struct watcher w[512];
    static char text[512][32];

    watch_stream_init(&stream, &sink);
    watch(&w[0], bytes_of("", 1), bytes_of("", 1));
    catch_up("everything, one watcher", w, 1);
    for (size_t i = 0; i < 512; i++)
        watch(&w[i], key_of(i * 17, text[i]), BYTES_EMPTY);
    catch_up("512 single keys together", w, 512);
    catch_up("one key", w, 1);
    watch(&w[0], bytes_str("/registry/thing/00001"), bytes_str("/registry/thing/00002"));
    catch_up("a prefix of ten keys", w, 1);
}

int main(int argc, char **argv)
{
    struct store_config cfg = {.disk = disk_posix(), .path = argc > 1 ? argv[1] : ""};
    struct err e = ERR_INIT;

    if (argc != 2) {
        fprintf(stderr, "usage: %s FILE\n", argv[0]);
        return 2;
    }
    if (disk_exists(cfg.disk, argv[1]))
        check(disk_remove(cfg.disk, argv[1], &e), &e);
    check(store_open(&cfg, &store, &e), &e);
    check(mvcc_open(store, NULL, &kv, &e), &e);
    reader = mvcc_reader_new(kv);
    fill();
    measure();
    mvcc_reader_free(reader);
    mvcc_close(kv);
    store_close(store);
    return 0;
}
