/* Who is in the hub: joining, leaving, starts in the future, progress. */
#include "base/plant.h"
#include "state/mvcc/history.h"
#include "state/mvcc/watch_int.h"

#define GAP_RECORDS_MAX 1024
#define GAP_BYTES_MAX ((uint64_t) 1 << 20)

static const struct bytes zero_byte = {(const uint8_t *) "", 1};

static uint32_t variant_of(const struct watcher *w)
{
    return w->filters | (w->prev_kv ? 4u : 0);
}

bool watcher_init(struct watcher *w, struct watch_stream *s, const struct watch_options *o)
{
    struct bytes key = o->key.n == 0 ? zero_byte : o->key;
    bool no_end = bytes_eq(o->range_end, zero_byte);

    ASSERT(o->start_rev >= 0);
    if (o->range_end.n != 0 && !no_end && bytes_cmp(key, o->range_end) >= 0)
        return false;
    *w = (struct watcher){
        .stream = s,
        .key = key,
        .range_end = o->range_end,
        .filters = o->filters & (WATCH_NOPUT | WATCH_NODELETE),
        .prev_kv = o->prev_kv,
        .progress_notify = o->progress_notify,
        .start_rev = o->start_rev,
        .next_rev = o->start_rev,
        .state = WATCH_APART,
    };
    list_init(&w->in_group);
    list_init(&w->in_stream);
    heap_item_init(&w->wake);
    return true;
}

struct watch_hub *watch_hub_new(const struct watch_hub_config *cfg)
{
    struct watch_hub *h = xmem_calloc(1, sizeof *h);

    h->cfg = *cfg;
    if (cfg->stream_notes_max == 0)
        h->cfg.stream_notes_max = WATCH_STREAM_NOTES_MAX;
    if (cfg->stream_bytes_max == 0)
        h->cfg.stream_bytes_max = WATCH_STREAM_BYTES_MAX;
    if (cfg->hub_bytes_max == 0)
        h->cfg.hub_bytes_max = WATCH_HUB_BYTES_MAX;
    if (cfg->hits_max == 0)
        h->cfg.hits_max = WATCH_HITS_MAX;
    h->revision = cfg->revision;
    h->compact_revision = cfg->compact_revision;
    watch_index_init(&h->index, cfg->hash_seed);
    list_init(&h->groups);
    heap_init(&h->futures);
    list_init(&h->open);
    atomic_init(&h->queued_bytes, 0);
    return h;
}

void watch_hub_free(struct watch_hub *h)
{
    if (h == NULL)
        return;
    ASSERT(h->live_n == 0);
    ASSERT(h->futures.count == 0);
    ASSERT(list_empty(&h->open));
    ASSERT(list_empty(&h->groups));
    ASSERT(atomic_load(&h->queued_bytes) == 0);
    watch_index_done(&h->index);
    heap_done(&h->futures);
    mem_free(h->hits);
    mem_free(h->prevs);
    mem_free(h);
}

/* ---- groups ---- */

static struct watch_group *group_new(struct watch_hub *h, const struct watcher *w)
{
    struct watch_group *g = xmem_calloc(1, sizeof *g + w->key.n + w->range_end.n);

    memcpy(g->bytes, w->key.p, w->key.n);
    if (w->range_end.n != 0)
        memcpy(g->bytes + w->key.n, w->range_end.p, w->range_end.n);
    g->span = watch_span_of(bytes_of(g->bytes, w->key.n),
                            bytes_of(g->bytes + w->key.n, w->range_end.n), variant_of(w));
    list_init(&g->watchers);
    g->filters = w->filters;
    g->prev_kv = w->prev_kv;
    list_push(&h->groups, &g->link);
    ASSERT(watch_index_add(&h->index, &g->span)); /* memory: the apply path stops without it */
    return g;
}

static struct watch_group *group_for(struct watch_hub *h, const struct watcher *w)
{
    struct watch_span like = watch_span_of(w->key, w->range_end, variant_of(w));
    struct watch_span *s = watch_index_find(&h->index, &like);

    return s == NULL ? group_new(h, w) : CONTAINER_OF(s, struct watch_group, span);
}

void watch__group_drop_if_empty(struct watch_hub *h, struct watch_group *g)
{
    if (g->watchers_n != 0)
        return;
    ASSERT(list_empty(&g->watchers));
    if (!g->over)
        watch_index_remove(&h->index, &g->span);
    list_remove(&g->link);
    mem_free(g);
}

/* ---- in and out ---- */

static void go_live(struct watch_hub *h, struct watcher *w)
{
    w->group = group_for(h, w);
    w->state = WATCH_LIVE;
    list_push(&w->group->watchers, &w->in_group);
    w->group->watchers_n++;
    w->stream->live_n++;
    h->live_n++;
}

/* Its group may be left empty: the caller drops it. */
void watch__leave(struct watch_hub *h, struct watcher *w)
{
    if (w->state == WATCH_LIVE) {
        ASSERT(w->group->watchers_n > 0);
        list_remove(&w->in_group);
        w->group->watchers_n--;
        w->group = NULL;
        w->stream->live_n--;
        h->live_n--;
    } else {
        ASSERT(w->state == WATCH_FUTURE);
        heap_remove(&h->futures, &w->wake);
        w->stream->future_n--;
    }
    list_remove(&w->in_stream);
    w->state = WATCH_APART;
}

static void leave(struct watch_hub *h, struct watcher *w)
{
    struct watch_group *g = w->group;

    watch__leave(h, w);
    if (g != NULL)
        watch__group_drop_if_empty(h, g);
}

void watch__hand_back(struct watch_hub *h, struct watcher *w, int64_t next_rev, int64_t revision)
{
    watch__leave(h, w);
    w->next_rev = next_rev;
    watch__note(h, w->stream,
                &(struct watch_note){.watcher = w, .kind = WATCH_BEHIND, .revision = revision});
}

/* The last few revisions, read here: else a watcher might run after a busy store for ever. */
static bool close_gap(struct watch_hub *h, struct watcher *w, struct history_want *ret)
{
    const struct history_limits limits = {
        .revisions_max = WATCH_JOIN_GAP_MAX,
        .records_max = GAP_RECORDS_MAX,
        .bytes_max = GAP_BYTES_MAX,
        .scan_bytes_max = GAP_BYTES_MAX,
    };
    const struct mvcc_view *v;
    bool ok = false;

    if (h->cfg.reader == NULL || h->revision - w->next_rev >= WATCH_JOIN_GAP_MAX ||
        !watch__room(h, w->stream))
        return false;
    v = mvcc_view_pin(h->cfg.reader);
    *ret = (struct history_want){.watcher = w, .next_rev = w->next_rev};
    if (mvcc_view_revision(v) == h->revision && history_scan(v, ret, 1, &limits, NULL) == 0) {
        ok = ret->end == HISTORY_DONE;
        if (!ok)
            payload_unref(ret->events);
    }
    mvcc_view_unpin(v);
    return ok;
}

static enum watch_join_result let_in(struct watch_hub *h, struct watcher *w,
                                     const struct history_want *gap)
{
    struct watch_note n = {.watcher = w, .kind = WATCH_JOINED, .revision = h->revision};

    list_push(&w->stream->watchers, &w->in_stream);
    if (w->start_rev > h->revision) {
        w->state = WATCH_FUTURE;
        w->stream->future_n++;
        ASSERT(heap_push(&h->futures, &w->wake, w->start_rev));
    } else {
        go_live(h, w);
    }
    watch__note(h, w->stream, &n);
    if (gap != NULL && gap->events != NULL) {
        n.kind = WATCH_EVENTS;
        n.events = gap->events;
        n.events_n = gap->events_n;
        watch__note(h, w->stream, &n);
        payload_unref(gap->events);
        h->events_total += gap->events_n;
    }
    return WATCH_JOIN_SYNCED;
}

enum watch_join_result watch_join(struct watch_hub *h, struct watcher *w)
{
    struct watch_note n = {.watcher = w, .revision = h->revision};
    struct history_want gap;

    ASSERT(w->state == WATCH_APART);
    ASSERT(w->next_rev >= w->start_rev);
    if (w->next_rev == 0)
        w->next_rev = h->revision + 1;
    if (PLANTED(WATCH_GAP) && w->next_rev == h->revision)
        w->next_rev++;
    if (w->next_rev > h->revision) {
        ASSERT(w->next_rev == h->revision + 1 || w->next_rev == w->start_rev);
        return let_in(h, w, NULL);
    }
    if (w->next_rev < h->compact_revision) {
        n.kind = WATCH_COMPACTED;
        n.revision = h->compact_revision;
        watch__note(h, w->stream, &n);
        return WATCH_JOIN_COMPACTED;
    }
    if (close_gap(h, w, &gap))
        return let_in(h, w, &gap);
    n.kind = WATCH_BEHIND;
    watch__note(h, w->stream, &n);
    return WATCH_JOIN_BEHIND;
}

void watch_leave(struct watch_hub *h, struct watcher *w)
{
    if (w->state != WATCH_APART)
        leave(h, w);
    watch__note(h, w->stream,
                &(struct watch_note){.watcher = w, .kind = WATCH_LEFT, .revision = h->revision});
}

void watch_stream_close(struct watch_hub *h, struct watch_stream *s)
{
    while (!list_empty(&s->watchers))
        leave(h, CONTAINER_OF(s->watchers.next, struct watcher, in_stream));
    ASSERT(s->live_n == 0);
    ASSERT(s->future_n == 0);
    watch__note(h, s, &(struct watch_note){.kind = WATCH_CLOSED, .revision = h->revision});
}

void watch__wake_futures(struct watch_hub *h, int64_t main)
{
    struct heap_item *top;

    while ((top = heap_min(&h->futures)) != NULL && top->key <= main) {
        struct watcher *w = CONTAINER_OF(top, struct watcher, wake);

        ASSERT(w->state == WATCH_FUTURE);
        heap_remove(&h->futures, top);
        w->stream->future_n--;
        go_live(h, w);
    }
}

void watch_compacted(struct watch_hub *h, int64_t compact_revision)
{
    ASSERT(compact_revision >= h->compact_revision);
    ASSERT(compact_revision <= h->revision);
    h->compact_revision = compact_revision;
}

void watch_restored(struct watch_hub *h, int64_t revision, int64_t compact_revision)
{
    int64_t next_rev = h->revision + 1;
    struct heap_item *top;

    ASSERT(revision >= h->revision);
    ASSERT(compact_revision >= h->compact_revision);
    h->revision = revision;
    h->compact_revision = compact_revision;
    if (next_rev > revision)
        return; /* nobody missed anything */
    LIST_EACH_SAFE (at, &h->groups) {
        struct watch_group *g = CONTAINER_OF(at, struct watch_group, link);

        while (!list_empty(&g->watchers))
            watch__hand_back(h, CONTAINER_OF(g->watchers.next, struct watcher, in_group), next_rev,
                             revision);
        watch__group_drop_if_empty(h, g);
    }
    while ((top = heap_min(&h->futures)) != NULL && top->key <= revision) {
        struct watcher *w = CONTAINER_OF(top, struct watcher, wake);

        watch__hand_back(h, w, w->next_rev, revision);
    }
}

/* ---- progress ---- */

bool watch_progress(struct watch_hub *h, struct watch_stream *s, size_t watchers_n)
{
    if (watchers_n == 0 || s->live_n != watchers_n || !watch__room(h, s))
        return false;
    ASSERT(s->future_n == 0);
    watch__note(h, s, &(struct watch_note){.kind = WATCH_PROGRESS, .revision = h->revision});
    return true;
}

size_t watch_progress_each(struct watch_hub *h, struct watch_stream *s)
{
    size_t n = 0;

    LIST_EACH (at, &s->watchers) {
        struct watcher *w = CONTAINER_OF(at, struct watcher, in_stream);

        if (w->state != WATCH_LIVE || !w->progress_notify || !watch__room(h, s))
            continue;
        watch__note(
            h, s,
            &(struct watch_note){.watcher = w, .kind = WATCH_PROGRESS, .revision = h->revision});
        n++;
    }
    return n;
}

/* ---- numbers and checks ---- */

void watch_stats(const struct watch_hub *h, struct watch_stats *ret)
{
    *ret = (struct watch_stats){
        .watchers = h->live_n + h->futures.count,
        .groups = h->index.n,
        .events_total = h->events_total,
        .behind_total = h->behind_total,
        .queued_bytes = atomic_load_explicit(&h->queued_bytes, memory_order_relaxed),
    };
}

static void check_group(const struct watch_hub *h, const struct watch_group *g)
{
    size_t n = 0;

    ASSERT(watch_index_find(&h->index, &g->span) == &g->span);
    LIST_EACH (at, &g->watchers) {
        const struct watcher *w = CONTAINER_OF(at, struct watcher, in_group);

        ASSERT(w->state == WATCH_LIVE);
        ASSERT(w->group == g);
        ASSERT(w->start_rev <= h->revision);
        ASSERT(w->next_rev <= h->revision + 1);
        ASSERT(w->filters == g->filters);
        ASSERT(w->prev_kv == g->prev_kv);
        ASSERT(bytes_eq(w->key, g->span.key));
        ASSERT(bytes_eq(w->range_end, g->span.end));
        n++;
    }
    ASSERT(n > 0);
    ASSERT(n == g->watchers_n);
}

void watch_hub_check(const struct watch_hub *h)
{
    size_t live = 0, groups = 0;

    watch_index_check(&h->index);
    LIST_EACH (at, &h->groups) {
        const struct watch_group *g = CONTAINER_OF(at, struct watch_group, link);

        check_group(h, g);
        live += g->watchers_n;
        groups++;
    }
    ASSERT(live == h->live_n);
    ASSERT(groups == h->index.n);
    for (size_t i = 0; i < h->futures.count; i++) {
        const struct watcher *w = CONTAINER_OF(h->futures.items[i], struct watcher, wake);

        ASSERT(w->state == WATCH_FUTURE);
        ASSERT(w->start_rev > h->revision);
        ASSERT(w->group == NULL);
    }
}
