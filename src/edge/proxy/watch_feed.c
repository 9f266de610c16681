/* watch_feed.c -- one watch at a member, and who gets its events. */
#include "base/hash.h"
#include "edge/proxy/watch_int.h"
#include "wire/pb.h"

/* Fields of WatchRequest and of the requests in it. */
enum { REQUEST_CREATE = 1, REQUEST_CANCEL = 2, CREATE_START_REVISION = 3, CANCEL_WATCH_ID = 1 };

#define REQUEST_BYTES_MAX ((size_t) PROXY_RECV_BYTES_MAX + 4096)

static void count(struct feed *f, size_t now)
{
    int64_t before = f->receivers_n > 1 ? (int64_t) f->receivers_n - 1 : 0;
    int64_t after = now > 1 ? (int64_t) now - 1 : 0;

    f->receivers_n = now;
    metric_add(f->source->proxy->m.watchers_coalescing, after - before);
}

/* ---- feeds of equal options ---- */

static bool index_add(struct feed *f)
{
    struct feed *first = map64_get(&f->source->same, f->hash);

    if (first == NULL)
        return map64_put(&f->source->same, f->hash, f);
    list_push(&first->same, &f->same);
    return true;
}

static void index_remove(struct feed *f)
{
    struct map64 *m = &f->source->same;

    if (map64_get(m, f->hash) == f) {
        map64_del(m, f->hash);
        if (!list_empty(&f->same)) {
            struct feed *next = CONTAINER_OF(f->same.next, struct feed, same);
            bool put = map64_put(m, f->hash, next); /* in the place that became free */

            ASSERT(put);
        }
    }
    list_remove(&f->same);
}

/* ---- life ---- */

struct feed *feed__new(struct source *s, struct buf *options, int64_t start_rev, bool mergeable)
{
    struct feed *f = mem_calloc(1, sizeof *f);

    if (f == NULL) {
        buf_done(options);
        return NULL;
    }
    f->source = s;
    f->options = *options;
    f->next_rev = start_rev;
    f->mergeable = mergeable;
    f->hash = hash_bytes(s->proxy->seed, buf_bytes(options));
    list_init(&f->link);
    list_init(&f->creating);
    list_init(&f->same);
    list_init(&f->receivers);
    if (!index_add(f)) {
        buf_done(&f->options);
        mem_free(f);
        return NULL;
    }
    list_push(&s->feeds, &f->link);
    return f;
}

void feed__free(struct feed *f)
{
    ASSERT(f->receivers_n == 0);
    if (f->state == FEED_RUNNING)
        map64_del(&f->source->running, (uint64_t) f->id + 1);
    index_remove(f);
    list_remove(&f->creating);
    list_remove(&f->link);
    buf_done(&f->options);
    mem_free(f);
}

/* ---- requests ---- */

static void put(struct buf *b, const uint8_t *p, const uint8_t *end)
{
    buf_add(b, p, (size_t) (end - p));
}

void feed__ask(struct feed *f)
{
    uint8_t start[2 * PB_VARINT_BYTES_MAX], head[2 * PB_VARINT_BYTES_MAX];
    uint8_t *start_end = pb_put_u64(start, CREATE_START_REVISION, (uint64_t) f->next_rev);
    size_t n = f->options.len + (size_t) (start_end - start);
    struct buf request;

    ASSERT(f->state == FEED_IDLE);
    buf_init(&request, REQUEST_BYTES_MAX);
    put(&request, head, pb_put_head(head, REQUEST_CREATE, n));
    buf_add_bytes(&request, buf_bytes(&f->options));
    put(&request, start, start_end);
    f->state = FEED_CREATING;
    list_push(&f->source->creating, &f->creating);
    source__send(f->source, &request);
}

static void ask_end(struct feed *f)
{
    uint8_t id[2 * PB_VARINT_BYTES_MAX], head[2 * PB_VARINT_BYTES_MAX];
    uint8_t *id_end = pb_put_u64(id, CANCEL_WATCH_ID, (uint64_t) f->id);
    struct buf request;

    buf_init(&request, REQUEST_BYTES_MAX);
    put(&request, head, pb_put_head(head, REQUEST_CANCEL, (size_t) (id_end - id)));
    put(&request, id, id_end);
    source__send(f->source, &request);
}

void feed__lost(struct feed *f)
{
    if (f->state == FEED_RUNNING)
        map64_del(&f->source->running, (uint64_t) f->id + 1);
    list_remove(&f->creating);
    f->state = FEED_IDLE;
    if (f->abandoned)
        feed__free(f);
}

/* ---- receivers ---- */

void feed__add(struct feed *f, struct watcher *w)
{
    w->feed = f;
    list_push(&f->receivers, &w->receiver);
    count(f, f->receivers_n + 1);
}

/* Nobody is left. */
static void drop(struct feed *f)
{
    if (f->state == FEED_CREATING) {
        f->abandoned = true;
        return;
    }
    if (f->state == FEED_RUNNING)
        ask_end(f);
    feed__free(f);
}

void feed__remove(struct watcher *w)
{
    struct feed *f = w->feed;

    list_remove(&w->receiver);
    w->feed = NULL;
    count(f, f->receivers_n - 1);
    if (f->receivers_n == 0)
        drop(f);
}

/* Has `to` been started, and is it not further than `f`?  Then nothing is missed by going over. */
static bool can_take(const struct feed *to, const struct feed *f)
{
    return to != f && to->state == FEED_RUNNING && to->mergeable && to->next_rev != 0 &&
           to->next_rev <= f->next_rev && to->receivers_n >= f->receivers_n &&
           bytes_eq(buf_bytes(&to->options), buf_bytes(&f->options));
}

static void go_over(struct feed *f, struct feed *to)
{
    struct list *it;

    while ((it = list_pop(&f->receivers)) != NULL) {
        struct watcher *w = CONTAINER_OF(it, struct watcher, receiver);

        w->next_rev = MAX(w->next_rev, f->next_rev);
        feed__add(to, w);
    }
    count(f, 0);
    drop(f);
}

static void merge(struct feed *f)
{
    if (!f->mergeable || f->next_rev == 0)
        return;
    LIST_EACH (it, &f->same) {
        struct feed *to = CONTAINER_OF(it, struct feed, same);

        if (can_take(to, f)) {
            go_over(f, to);
            return;
        }
    }
}

/* ---- answers ---- */

static void deliver_created(struct feed *f, const struct watch_note *n)
{
    LIST_EACH (it, &f->receivers) {
        struct watcher *w = CONTAINER_OF(it, struct watcher, receiver);

        if (w->announced)
            continue;
        w->announced = true;
        if (w->next_rev == 0)
            w->next_rev = n->revision + 1;
        stream__send(w->stream, w->id, n, n->payload->bytes);
    }
    if (f->next_rev == 0)
        f->next_rev = n->revision + 1;
    f->started = true;
}

static void deliver(struct feed *f, const struct watch_note *n)
{
    LIST_EACH (it, &f->receivers) {
        struct watcher *w = CONTAINER_OF(it, struct watcher, receiver);
        size_t from = n->head_bytes;

        if (n->events_n > 0 && w->next_rev > f->next_rev) {
            from = watch_note_from(n, w->next_rev);
            if (from == n->payload->bytes)
                continue;
        }
        stream__send(w->stream, w->id, n, from);
    }
    metric_add(f->source->proxy->m.events_coalescing,
               f->receivers_n > 1 ? (int64_t) f->receivers_n - 1 : 0);
    if (n->fragment || n->canceled)
        return;
    if (n->events_n == 0)
        f->next_rev = MAX(f->next_rev, n->revision + 1);
    else
        f->next_rev = MAX(f->next_rev, n->last_rev + 1);
}

/* The member has ended it, or never began. */
static void canceled(struct feed *f, const struct watch_note *n)
{
    struct list *it;

    while ((it = list_pop(&f->receivers)) != NULL) {
        struct watcher *w = CONTAINER_OF(it, struct watcher, receiver);

        /* To who has heard of the watch it is canceled; it was refused to the others. */
        stream__send(w->stream, w->announced || !n->created ? w->id : n->watch_id, n,
                     n->payload->bytes);
        w->feed = NULL;
        watcher__free(w);
    }
    count(f, 0);
    feed__free(f);
}

void feed__note(struct feed *f, const struct watch_note *n)
{
    if (n->canceled) {
        canceled(f, n);
        return;
    }
    if (n->created) {
        bool put = false;

        list_remove(&f->creating);
        f->id = n->watch_id;
        put = map64_put(&f->source->running, (uint64_t) f->id + 1, f);
        ASSERT(put);
        f->state = FEED_RUNNING;
        if (f->abandoned) {
            drop(f);
            return;
        }
        deliver_created(f, n);
    } else {
        deliver(f, n);
    }
    merge(f);
}
