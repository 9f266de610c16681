/* watch_bench.c -- what watchers cost the apply thread, in processor time.
 *
 * fan-out   one put, a thousand equal watchers on one stream and on a hundred: nanoseconds per
 * event spread    100,000 watchers of one key each on one hundred streams; puts to random keys of
 * them prefixes  10,000 watchers of a prefix each; puts below random ones nobody    the same puts,
 * to keys that nobody watches
 */
#define _POSIX_C_SOURCE 200809L
#include <time.h>

#include "base/alloc.h"
#include "state/mvcc/watch.h"

#define STREAMS_MAX 100

static int64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct watch_sink sink;
static struct watch_stream streams[STREAMS_MAX];
static uint64_t notes;

/* The stream's side does nothing but give the batches back. */
static void deliver(struct watch_sink *k, struct watch_batch *first)
{
    (void) k;
    for (struct watch_batch *next; first != NULL; first = next) {
        next = first->next;
        notes += first->n;
        watch_batch_free(first);
    }
}

static bool no_prev(void *ctx, const struct mvcc_event *ev, struct bytes *ret)
{
    (void) ctx;
    (void) ev;
    (void) ret;
    return false;
}

struct text {
    char p[24];
};

static struct watch_hub *hub_with(struct watcher *w, const struct text *key, const struct text *end,
                                  size_t n, size_t streams_n)
{
    const struct watch_hub_config cfg = {
        .revision = 1, .compact_revision = -1, .prev_kv = no_prev, .hash_seed = {1, 2}};
    struct watch_hub *h = watch_hub_new(&cfg);

    watch_sink_init(&sink, deliver);
    for (size_t i = 0; i < streams_n; i++)
        watch_stream_init(&streams[i], &sink);
    for (size_t i = 0; i < n; i++) {
        struct watch_options o = {.key = bytes_str(key[i].p),
                                  .range_end = end == NULL ? BYTES_EMPTY : bytes_str(end[i].p)};

        if (!watcher_init(&w[i], &streams[i % streams_n], &o))
            abort();
        watch_join(h, &w[i]);
        if (i % 1000 == 999)
            watch_flush(h);
    }
    watch_flush(h);
    return h;
}

static void done(struct watch_hub *h, size_t streams_n)
{
    for (size_t i = 0; i < streams_n; i++)
        watch_stream_close(h, &streams[i]);
    watch_flush(h);
    watch_hub_free(h);
}

/* `turn` puts for each flush, `total` in all. */
static void run(const char *name, struct watch_hub *h, const struct text *keys, size_t keys_n,
                size_t total, size_t turn)
{
    static const uint8_t kv[300] = {0};
    uint64_t x = 1;
    int64_t begin = cpu_ns(), took;

    notes = 0;
    for (size_t i = 0; i < total; i++) {
        struct mvcc_event ev = {.main = (int64_t) i + 2, .kv = bytes_of(kv, sizeof kv)};

        x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        ev.key = bytes_str(keys[(x >> 33) % keys_n].p);
        watch_publish(h, ev.main, &ev, 1);
        if (i % turn == turn - 1)
            watch_flush(h);
    }
    watch_flush(h);
    took = cpu_ns() - begin;
    printf("%-28s %8zu puts, %10" PRIu64 " events: %8.1f ns per put, %6.1f ns per event\n", name,
           total, notes, (double) took / (double) total,
           notes == 0 ? 0.0 : (double) took / (double) notes);
}

static void fan_out(size_t streams_n, const char *name)
{
    static struct watcher w[1000];
    static struct text key[1000];
    struct watch_hub *h;

    for (size_t i = 0; i < 1000; i++)
        snprintf(key[i].p, sizeof key[i].p, "key");
    h = hub_with(w, key, NULL, 1000, streams_n);
    run(name, h, key, 1, 3000, 1);
    done(h, streams_n);
}

static void spread(size_t n, bool prefixes, const char *name)
{
    struct watcher *w = xmem_calloc(n, sizeof *w);
    struct text *key = xmem_calloc(n, sizeof *key), *end = xmem_calloc(n, sizeof *end),
                *put = xmem_calloc(n, sizeof *put);
    struct text nobody = {"nobody"};
    struct watch_hub *h;
    int64_t begin = cpu_ns();

    for (size_t i = 0; i < n; i++) {
        snprintf(key[i].p, sizeof key[i].p, "/dir/%08zu/", i);
        snprintf(end[i].p, sizeof end[i].p, "/dir/%08zu0", i);
        snprintf(put[i].p, sizeof put[i].p, prefixes ? "/dir/%08zu/x" : "/dir/%08zu/", i);
    }
    h = hub_with(w, key, prefixes ? end : NULL, n, STREAMS_MAX);
    printf("%-28s %8zu joins: %.0f ns each\n", name, n, (double) (cpu_ns() - begin) / (double) n);
    run(name, h, put, n, 1000000, 100);
    done(h, STREAMS_MAX);
    h = hub_with(w, key, prefixes ? end : NULL, n, STREAMS_MAX);
    run("  nobody watches the key", h, &nobody, 1, 1000000, 100);
    done(h, STREAMS_MAX);
    mem_free(w);
    mem_free(key);
    mem_free(end);
    mem_free(put);
}

int main(void)
{
    fan_out(1, "fan-out, 1 stream");
    fan_out(100, "fan-out, 100 streams");
    spread(100000, false, "spread, one key each");
    spread(10000, true, "spread, a prefix each");
    return 0;
}
