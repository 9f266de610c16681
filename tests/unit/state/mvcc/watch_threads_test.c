/* The hub and its streams on threads of their own, over the real key space: for ThreadSanitizer,
 * and to see that slow and fast streams alike miss nothing. */
#define _POSIX_C_SOURCE 200809L
#include <time.h>

#include "base/endian.h"
#include "base/mpsc.h"
#include "lib/cm.h"
#include "lib/simdisk.h"
#include "state/mvcc/history.h"
#include "state/mvcc/watch_codec.h"
#include "sys/thread.h"
#include "wire/pb.h"
#include "wire/wire.h"

#define STREAMS 3
#define WATCHERS 6
#define KEYS 4
#define WRITES 6000
#define TURN_WRITES 8

enum request_kind { JOIN, LEAVE, CLOSE };

struct request {
    struct mpsc_node link;
    enum request_kind kind;
    struct client *client;
    struct watcher *watcher;
};

/* A watch: of all keys, which sees every revision, or of one key, whose values count up. */
struct watch {
    struct watcher w;
    struct request request;
    int64_t last_rev;
    uint64_t last_value;
    bool behind;
    bool live;
    uint64_t events;
};

struct handed {
    struct mpsc_node link;
    struct watch_batch *first;
};

struct client {
    struct watch_sink sink;
    struct watch_stream stream;
    struct mpsc inbox;
    struct waker waker;
    struct thread *thread;
    struct mvcc_reader *reader;
    struct watch watches[WATCHERS];
    struct request close;
    unsigned slow_us;
    bool closed;
    uint64_t behind_n;
};

static struct {
    struct store *store;
    struct mvcc *kv;
    struct watch_hub *hub;
    struct mpsc requests;
    struct client clients[STREAMS];
    _Atomic bool written; /* no more writes */
    _Atomic unsigned over;
} all;

static const char *const key_text[KEYS] = {"k0", "k1", "k2", "k3"};

/* ---- a stream's thread ---- */

static void nap(unsigned us)
{
    nanosleep(&(struct timespec){0, (long) us * 1000}, NULL);
}

static void deliver(struct watch_sink *k, struct watch_batch *first)
{
    struct client *c = CONTAINER_OF(k, struct client, sink);
    struct handed *h = xmem_alloc(sizeof *h);

    h->first = first;
    mpsc_push(&c->inbox, &h->link);
    waker_wake(&c->waker);
}

static void ask(struct client *c, struct request *r, enum request_kind kind, struct watcher *w)
{
    r->kind = kind;
    r->client = c;
    r->watcher = w;
    mpsc_push(&all.requests, &r->link);
}

static void check_kv(struct watch *x, struct bytes kv)
{
    struct pb_reader r = pb_reader_of(kv);
    struct pb_field f;
    int64_t mod = 0;
    uint64_t value = 0;

    while (pb_next(&r, &f)) {
        if (f.number == 3)
            mod = (int64_t) f.value;
        if (f.number == 5)
            value = be64_get(f.bytes.p);
    }
    ASSERT(mod > x->last_rev);
    if (x->w.range_end.n != 0 && x->last_rev != 0)
        ASSERT(mod == x->last_rev + 1); /* every revision has one event */
    if (x->w.range_end.n == 0 && x->last_value != 0)
        ASSERT(value == x->last_value + 1);
    x->last_rev = mod;
    x->last_value = value;
    x->events++;
}

static void check_events(struct watch *x, const struct payload *p, uint32_t n)
{
    struct bytes rest = bytes_of(p->data, p->bytes), one;

    for (; watch_events_next(&rest, &one); n--) {
        struct pb_reader outer = pb_reader_of(one), inner;
        struct pb_field f;

        ASSERT(pb_next(&outer, &f));
        inner = pb_reader_of(f.bytes);
        while (pb_next(&inner, &f))
            if (f.number == 2)
                check_kv(x, f.bytes);
    }
    ASSERT(n == 0);
}

static void take_note(struct client *c, const struct watch_note *n)
{
    struct watch *x = n->watcher == NULL ? NULL : CONTAINER_OF(n->watcher, struct watch, w);

    switch ((enum watch_note_kind) n->kind) {
    case WATCH_JOINED:
        x->live = true;
        break;
    case WATCH_EVENTS:
        check_events(x, n->events, n->events_n);
        break;
    case WATCH_BEHIND:
        x->live = false;
        x->behind = true;
        c->behind_n++;
        break;
    case WATCH_CLOSED:
        c->closed = true;
        break;
    default:
        UNREACHABLE(); /* nothing is compacted that is still wanted, nobody asks for progress */
    }
}

static void take_batches(struct client *c)
{
    for (struct mpsc_node *n = mpsc_take(&c->inbox), *next; n != NULL; n = next) {
        struct handed *h = CONTAINER_OF(n, struct handed, link);

        next = n->next;
        for (struct watch_batch *b = h->first, *b_next; b != NULL; b = b_next) {
            b_next = b->next;
            for (uint32_t i = 0; i < b->n; i++)
                take_note(c, &b->notes[i]);
            if (c->slow_us != 0)
                nap(c->slow_us);
            watch_batch_free(b);
        }
        mem_free(h);
    }
}

static void catch_up(struct client *c)
{
    const struct mvcc_view *v = mvcc_view_pin(c->reader);
    struct history_want wants[WATCHERS];
    size_t n = 0;

    for (size_t i = 0; i < WATCHERS; i++)
        if (c->watches[i].behind)
            wants[n++] = (struct history_want){.watcher = &c->watches[i].w,
                                               .next_rev = c->watches[i].w.next_rev};
    if (n != 0)
        ASSERT(history_scan(v, wants, n, NULL, NULL) == 0);
    for (size_t i = 0, k = 0; i < WATCHERS && k < n; i++) {
        struct watch *x = &c->watches[i];

        if (!x->behind)
            continue;
        ASSERT(wants[k].end != HISTORY_COMPACTED);
        if (wants[k].events != NULL)
            check_events(x, wants[k].events, wants[k].events_n);
        payload_unref(wants[k].events);
        x->w.next_rev = wants[k].next_rev;
        if (wants[k].end == HISTORY_DONE) {
            x->behind = false;
            ask(c, &x->request, JOIN, &x->w);
        }
        k++;
    }
    mvcc_view_unpin(v);
}

/* All that was written has been told. */
static bool finished(const struct client *c)
{
    if (!atomic_load(&all.written))
        return false;
    for (size_t i = 0; i < WATCHERS; i++)
        if (!c->watches[i].live ||
            (c->watches[i].w.range_end.n != 0 && c->watches[i].last_rev != WRITES + 1))
            return false;
    return true;
}

static void run_client(void *arg)
{
    struct client *c = arg;
    bool closing = false;

    for (size_t i = 0; i < WATCHERS; i++)
        ask(c, &c->watches[i].request, JOIN, &c->watches[i].w);
    while (!c->closed) {
        waker_wait(&c->waker, 2000000);
        take_batches(c);
        if (closing || c->closed)
            continue;
        catch_up(c);
        if (finished(c)) {
            closing = true;
            ask(c, &c->close, CLOSE, NULL);
        }
    }
    atomic_fetch_add(&all.over, 1);
}

/* ---- the apply thread ---- */

static void events(void *ctx, int64_t main, const struct mvcc_event *ev, size_t n)
{
    (void) ctx;
    watch_publish(all.hub, main, ev, n);
}

static void answer(void)
{
    for (struct mpsc_node *n = mpsc_take(&all.requests), *next; n != NULL; n = next) {
        struct request *r = CONTAINER_OF(n, struct request, link);

        next = n->next;
        if (r->kind == JOIN)
            watch_join(all.hub, r->watcher);
        else if (r->kind == LEAVE)
            watch_leave(all.hub, r->watcher);
        else
            watch_stream_close(all.hub, &r->client->stream);
    }
}

static void turn(void)
{
    mvcc_publish(all.kv);
    answer();
    watch_flush(all.hub);
}

static void write_one(uint64_t i)
{
    Etcdserverpb__PutRequest q = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct mvcc_put_result res;
    uint8_t value[8];
    bool too_large;

    be64_put(value, i / KEYS + 1);
    q.key = wire_binary(bytes_str(key_text[i % KEYS]));
    q.value = wire_binary(bytes_of(value, sizeof value));
    ASSERT(mvcc_put(all.kv, &q, NULL, &res, &too_large) == 0);
}

static void start_clients(void)
{
    for (size_t i = 0; i < STREAMS; i++) {
        struct client *c = &all.clients[i];

        watch_sink_init(&c->sink, deliver);
        watch_stream_init(&c->stream, &c->sink);
        mpsc_init(&c->inbox);
        waker_init(&c->waker);
        c->reader = mvcc_reader_new(all.kv);
        c->slow_us = i == 0 ? 0 : 300 * (unsigned) i;
        for (size_t k = 0; k < WATCHERS; k++) {
            struct watch_options o = {.key = bytes_str(key_text[k % KEYS]), .start_rev = 2};

            if (k >= KEYS) {
                o.key = bytes_str("k");
                o.range_end = k % 2 == 0 ? bytes_str("l") : bytes_of("", 1);
                o.start_rev = k % 2 == 0 ? 2 : 100;
            }
            ASSERT(watcher_init(&c->watches[k].w, &c->stream, &o));
        }
        ASSERT(thread_start("stream", run_client, c, &c->thread, NULL) == 0);
    }
}

/* Writers go on while streams of three speeds lag, catch up and come back; nobody misses anything,
 * hears anything twice or out of order. */
static void nobody_misses_anything(void **state)
{
    struct simdisk *sim = simdisk_new(1);
    struct store_config cfg = {.disk = simdisk_disk(sim), .path = "db"};
    const struct mvcc_hooks hooks = {.events = events};
    struct watch_hub_config hub = {.revision = 1, .compact_revision = -1, .stream_notes_max = 200};

    (void) state;
    assert_int_equal(store_open(&cfg, &all.store, NULL), 0);
    assert_int_equal(mvcc_open(all.store, &hooks, &all.kv, NULL), 0);
    hub.reader = mvcc_reader_new(all.kv);
    all.hub = watch_hub_new(&hub);
    mpsc_init(&all.requests);
    start_clients();
    for (uint64_t i = 0; i < WRITES; i++) {
        write_one(i);
        if (i % TURN_WRITES == 0)
            turn();
        if (i % 1000 == 999) {
            store_seal(all.store);
            assert_int_equal(store_commit(all.store, NULL), 0);
        }
        if (i % 64 == 0)
            nap(100);
    }
    turn();
    atomic_store(&all.written, true);
    while (atomic_load(&all.over) < STREAMS) {
        turn();
        nap(500);
    }
    for (size_t i = 0; i < STREAMS; i++) {
        struct client *c = &all.clients[i];

        thread_join(c->thread);
        mvcc_reader_free(c->reader);
        for (size_t k = 0; k < KEYS; k++)
            assert_int_equal(c->watches[k].events, WRITES / KEYS);
        assert_int_equal(c->watches[4].events, WRITES);
        assert_int_equal(c->watches[5].events, WRITES + 2 - 100);
    }
    assert_true(all.clients[STREAMS - 1].behind_n > WATCHERS);
    watch_hub_free(all.hub);
    mvcc_reader_free(hub.reader);
    assert_true(mvcc_idle(all.kv));
    mvcc_close(all.kv);
    store_close(all.store);
    simdisk_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nobody_misses_anything)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
