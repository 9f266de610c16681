/* From one write to the notes about it: match every event against the groups, encode for each group
 * that was hit what its watchers are told, put a note on each watcher's stream.
 *
 * The encoding is done once for a group, and a write with one event (nearly all of them) is encoded
 * once for all groups that agree on prev_kv; not at all for a group whose streams have no room.
 *
 * A write of many events that hit many groups is bounded by a number of hits.  Past it each group
 * that is hit leaves the index at once, so that no later event finds it, and all its watchers go
 * behind from this write on.  What was counted of it before is forgotten: they read all of it. */
#include "state/mvcc/watch_codec.h"
#include "state/mvcc/watch_int.h"

static bool passes(const struct watch_group *g, const struct mvcc_event *ev)
{
    return (g->filters & (ev->type == MVCC_DELETE ? WATCH_NODELETE : WATCH_NOPUT)) == 0;
}

static uint32_t hit_new(struct watch_hub *h)
{
    if (h->hits_n == h->hits_cap) {
        h->hits_cap = MIN(h->hits_cap == 0 ? 64 : h->hits_cap * 2, h->hits_max);
        h->hits = xmem_realloc(h->hits, h->hits_cap * sizeof *h->hits);
    }
    ASSERT(h->hits_n < WATCH_HIT_NONE);
    h->hits[h->hits_n] = (struct watch_hit){h->ev_at, WATCH_HIT_NONE};
    return (uint32_t) h->hits_n++;
}

static void hit(void *ctx, struct watch_span *s)
{
    struct watch_hub *h = ctx;
    struct watch_group *g = CONTAINER_OF(s, struct watch_group, span);
    uint32_t at;

    if (!passes(g, &h->ev[h->ev_at]))
        return;
    if (g->round != h->round) {
        g->round = h->round;
        g->hits_n = 0;
        g->next_hit = NULL;
        *h->hit_tail = g;
        h->hit_tail = &g->next_hit;
    }
    if (h->hits_n == h->hits_max) {
        g->over = true;
        g->next_over = h->over;
        h->over = g;
        return;
    }
    at = hit_new(h);
    if (g->hits_n++ == 0)
        g->hit_first = at;
    else
        h->hits[g->hit_last].next = at;
    g->hit_last = at;
}

/* Not while they are being matched. */
static void leave_index(struct watch_hub *h)
{
    for (; h->over != NULL; h->over = h->over->next_over)
        watch_index_remove(&h->index, &h->over->span);
}

/* What the event replaced; looked up once for each event, whoever asks. */
static struct bytes prev_of(struct watch_hub *h, uint32_t i)
{
    struct watch_prev *p;

    if (!h->prevs_ready) {
        if (h->prevs_cap < h->ev_n) {
            h->prevs_cap = h->ev_n;
            h->prevs = xmem_realloc(h->prevs, h->prevs_cap * sizeof *h->prevs);
        }
        memset(h->prevs, 0, h->ev_n * sizeof *h->prevs);
        h->prevs_ready = true;
    }
    p = &h->prevs[i];
    if (!p->looked) {
        p->looked = true;
        if (h->ev[i].created || h->ev[i].prev_main == 0 ||
            !h->cfg.prev_kv(h->cfg.ctx, &h->ev[i], &p->kv))
            p->kv = BYTES_EMPTY;
    }
    return p->kv;
}

static struct watch_event event_of(struct watch_hub *h, const struct watch_group *g, uint32_t i)
{
    return (struct watch_event){
        .is_delete = h->ev[i].type == MVCC_DELETE,
        .kv = h->ev[i].kv,
        .prev_kv = g->prev_kv ? prev_of(h, i) : BYTES_EMPTY,
    };
}

/* All events that hit the group, in order.  NULL: no memory. */
static struct payload *encode(struct watch_hub *h, const struct watch_group *g)
{
    size_t bytes = 0;
    struct payload *p;
    uint8_t *end;

    for (uint32_t at = g->hit_first; at != WATCH_HIT_NONE; at = h->hits[at].next) {
        struct watch_event ev = event_of(h, g, h->hits[at].event);

        bytes += watch_event_size(&ev);
    }
    p = payload_new(bytes);
    if (p == NULL)
        return NULL;
    end = p->data;
    for (uint32_t at = g->hit_first; at != WATCH_HIT_NONE; at = h->hits[at].next) {
        struct watch_event ev = event_of(h, g, h->hits[at].event);

        end = watch_event_put(end, &ev);
    }
    ASSERT(end == p->data + bytes);
    return p;
}

/* The caller's reference. */
static struct payload *encoded(struct watch_hub *h, const struct watch_group *g)
{
    struct payload **kept = &h->single[g->prev_kv];

    if (h->ev_n != 1)
        return encode(h, g);
    if (*kept == NULL)
        *kept = encode(h, g);
    return payload_ref(*kept);
}

static void tell(struct watch_hub *h, struct watch_group *g)
{
    struct payload *p = NULL;
    bool lost = g->over;

    LIST_EACH_SAFE (at, &g->watchers) {
        struct watcher *w = CONTAINER_OF(at, struct watcher, in_group);
        bool room = !lost && watch__room(h, w->stream);

        ASSERT(w->next_rev <= h->main);
        if (room && p == NULL) {
            p = encoded(h, g);
            lost = p == NULL;
        }
        if (!room || lost) {
            watch__hand_back(h, w, h->main, h->main);
            h->behind_total++;
            continue;
        }
        watch__note(h, w->stream,
                    &(struct watch_note){
                        .watcher = w,
                        .events = p,
                        .revision = h->main,
                        .events_n = g->hits_n,
                        .kind = WATCH_EVENTS,
                    });
        h->events_total += g->hits_n;
    }
    payload_unref(p);
    watch__group_drop_if_empty(h, g);
}

/* A write of a million events leaves no million-sized scratch behind. */
static void drop_scratch(struct watch_hub *h)
{
    for (int i = 0; i < 2; i++) {
        payload_unref(h->single[i]);
        h->single[i] = NULL;
    }
    h->prevs_ready = false;
    if (h->hits_cap > WATCH_HITS_KEEP) {
        mem_free(h->hits);
        h->hits = NULL;
        h->hits_cap = 0;
    }
    if (h->prevs_cap > WATCH_HITS_KEEP) {
        mem_free(h->prevs);
        h->prevs = NULL;
        h->prevs_cap = 0;
    }
}

void watch_publish(struct watch_hub *h, int64_t main, const struct mvcc_event *ev, size_t n)
{
    struct watch_group *g, *next;

    ASSERT(main > h->revision);
    ASSERT(n > 0);
    watch__wake_futures(h, main);
    h->revision = h->main = main;
    if (h->live_n == 0)
        return;
    h->round++;
    h->ev = ev;
    h->ev_n = n;
    h->hits_n = 0;
    h->hits_max = MAX((size_t) h->cfg.hits_max, h->index.n);
    h->hit_groups = NULL;
    h->hit_tail = &h->hit_groups;
    for (size_t i = 0; i < n; i++) {
        ASSERT(ev[i].main == main);
        h->ev_at = (uint32_t) i;
        watch_index_match(&h->index, ev[i].key, hit, h);
        leave_index(h);
    }
    for (g = h->hit_groups; g != NULL; g = next) {
        next = g->next_hit;
        tell(h, g);
    }
    drop_scratch(h);
}
