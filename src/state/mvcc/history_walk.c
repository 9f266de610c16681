/* history_walk.c -- walking bucket `key` in order of revision for many watchers at once: which of
 * them a record is for, and what they have got of it. */
#include "state/mvcc/history_int.h"
#include "state/mvcc/watch_codec.h"
#include "wire/pb.h"

#define EVENTS_FIRST_BYTES 1024
#define MATCH_BY_INDEX_MIN 8 /* wants from which on an index of them pays */

void history__close(struct history_call *c, struct history_want *w, enum history_end end,
                    int64_t next_rev)
{
    ASSERT(!w->closed);
    ASSERT(c->open_n > 0);
    ASSERT(end == HISTORY_COMPACTED || next_rev >= w->next_rev);
    w->closed = true;
    w->end = end;
    w->next_rev = next_rev;
    c->open_n--;
}

/* ---- one event ---- */

/* Room for `more` bytes behind what is there; the block is not shared yet, so it may move. */
static bool make_room(struct history_want *w, size_t more)
{
    size_t used = w->events == NULL ? 0 : w->events->bytes;
    size_t cap = MAX(w->cap, EVENTS_FIRST_BYTES);
    struct payload *p = w->events;

    if (p != NULL && used + more <= w->cap)
        return true;
    while (cap < used + more)
        cap *= 2;
    if (p == NULL) {
        p = payload_new(cap);
        if (p != NULL)
            p->bytes = 0;
    } else {
        p = mem_realloc(p, sizeof *p + cap);
    }
    if (p == NULL)
        return false;
    w->events = p;
    w->cap = cap;
    return true;
}

/* A put that began a life of its key replaced nothing. */
static bool created(struct bytes kv)
{
    struct pb_reader r = pb_reader_of(kv);
    struct pb_field f;
    uint64_t create = 0, mod = 0;

    while (pb_next(&r, &f)) {
        if (f.number == 2)
            create = f.value;
        if (f.number == 3)
            mod = f.value;
        if (f.number > 3)
            break;
    }
    return create == mod;
}

static struct bytes prev_of(struct history_call *c, struct history_record *r)
{
    int64_t before = r->main - 1;

    if (!r->prev_looked) {
        r->prev_looked = true;
        if (before < mvcc_view_compact_revision(c->view) || (!r->tombstone && created(r->value)) ||
            !mvcc_view_get(c->view, r->key, before, &r->prev_kv))
            r->prev_kv = BYTES_EMPTY;
    }
    return r->prev_kv;
}

static bool deleted_kv(struct history_call *c, const struct history_record *r, struct bytes *ret)
{
    size_t n = watch_deleted_kv_size(r->key, r->main);
    uint8_t *p;

    buf_clear(&c->deleted);
    p = buf_reserve(&c->deleted, n);
    if (p == NULL)
        return false;
    watch_deleted_kv_put(p, r->key, r->main);
    *ret = bytes_of(p, n);
    return true;
}

static bool add(struct history_call *c, struct history_want *w, struct history_record *r)
{
    struct watch_event ev = {.is_delete = r->tombstone, .kv = r->value};
    size_t n;

    if (r->tombstone && !deleted_kv(c, r, &ev.kv))
        return false;
    if (w->watcher->prev_kv)
        ev.prev_kv = prev_of(c, r);
    n = watch_event_size(&ev);
    if (!make_room(w, n))
        return false;
    watch_event_put(w->events->data + w->events->bytes, &ev);
    w->events->bytes += n;
    w->events_n++;
    c->bytes += n;
    return true;
}

/* Is the want's result full, now that another revision begins? */
static bool full(const struct history_call *c, const struct history_want *w)
{
    return w->revisions_n >= c->limits.revisions_max ||
           (w->events != NULL && w->events->bytes >= c->limits.bytes_max);
}

/* ---- too much of one revision ---- */

static bool in_revision(const struct history_want *w, int64_t main)
{
    return !w->closed && w->last_rev == main;
}

/* The want has nothing of the revision `main`, and gets it in another call.  Returns its bytes. */
static uint64_t give_back(struct history_call *c, struct history_want *w, int64_t main)
{
    uint64_t bytes = w->events->bytes - w->last_at;
    struct payload *less;

    w->events->bytes = w->last_at;
    w->events_n = w->last_n;
    w->revisions_n--;
    if (w->last_at == 0) {
        payload_unref(w->events);
        w->events = NULL;
        w->cap = 0;
    } else {
        less = mem_realloc(w->events, sizeof *less + w->last_at);
        w->events = less == NULL ? w->events : less;
    }
    history__close(c, w, HISTORY_MORE, main);
    return bytes;
}

/* The later wants give back what they have of the revision, until half of its bytes are gone or one
 * want is left. */
static void thin(struct history_call *c, int64_t main)
{
    uint64_t all = 0, gone = 0;
    size_t first = c->n;

    for (size_t i = c->n; i-- > 0;) {
        if (in_revision(&c->wants[i], main)) {
            all += c->wants[i].events->bytes - c->wants[i].last_at;
            first = i;
        }
    }
    for (size_t i = c->n; i-- > first + 1 && gone < all / 2;) {
        if (in_revision(&c->wants[i], main))
            gone += give_back(c, &c->wants[i], main);
    }
    c->bytes -= gone;
    c->thinned = true;
    c->bytes_most = MAX(c->bytes_most, c->bytes + c->limits.scan_bytes_max);
}

void history__give(struct history_call *c, struct history_want *w, struct history_record *r)
{
    unsigned unwanted = r->tombstone ? WATCH_NODELETE : WATCH_NOPUT;

    if (w->closed || r->main < w->next_rev || (w->watcher->filters & unwanted) != 0)
        return;
    if (r->main != w->last_rev) {
        ASSERT(r->main > w->last_rev);
        if (full(c, w)) {
            history__close(c, w, HISTORY_MORE, r->main);
            return;
        }
        w->last_rev = r->main;
        w->last_at = w->events == NULL ? 0 : w->events->bytes;
        w->last_n = w->events_n;
        w->revisions_n++;
    }
    if (!add(c, w, r))
        c->rc = ERR_NOMEM;
    else if (c->bytes > c->bytes_most)
        thin(c, r->main);
}

/* ---- the scan ---- */

struct scan {
    struct history_call *c;
    struct watch_index index;
    bool use_index;
    struct history_record *record;
};

static void matched(void *ctx, struct watch_span *s)
{
    struct scan *x = ctx;

    history__give(x->c, CONTAINER_OF(s, struct history_want, span), x->record);
}

static void match_all(struct scan *x)
{
    if (x->use_index) {
        watch_index_match(&x->index, x->record->key, matched, x);
        return;
    }
    for (size_t i = 0; i < x->c->n; i++) {
        struct history_want *w = &x->c->wants[i];

        if (!w->closed && watch_span_has(&w->span, x->record->key))
            history__give(x->c, w, x->record);
    }
}

/* A large revision goes on for long: those that have given it back are matched no more. */
static void forget_closed(struct scan *x)
{
    struct history_call *c = x->c;

    c->thinned = false;
    for (size_t i = 0; x->use_index && i < c->n; i++) {
        struct history_want *w = &c->wants[i];

        if (w->indexed && w->closed)
            watch_index_remove(&x->index, &w->span);
        w->indexed = w->indexed && !w->closed;
    }
}

/* The key is the first field of a stored KeyValue; etcdutl's --bump-revision leaves an empty record
 * behind, which is nobody's event. */
static bool key_of(struct bytes kv, struct bytes *ret)
{
    struct pb_reader r = pb_reader_of(kv);
    struct pb_field f;

    *ret = BYTES_EMPTY;
    if (kv.n == 0)
        return true;
    if (!pb_next(&r, &f) || f.number != 1 || f.type != PB_LEN)
        return false;
    *ret = f.bytes;
    return true;
}

static void close_rest(struct history_call *c, enum history_end end, int64_t next_rev)
{
    for (size_t i = 0; i < c->n; i++)
        if (!c->wants[i].closed)
            history__close(c, &c->wants[i], end, MAX(next_rev, c->wants[i].next_rev));
}

static int walk(struct scan *x, struct store_cursor *cur)
{
    struct history_call *c = x->c;
    struct store_record r;
    uint64_t records = 0, bytes_max = c->bytes + c->limits.scan_bytes_max;
    int64_t last = 0;

    c->bytes_most = bytes_max + c->limits.scan_bytes_max;
    /* The first revision passes for one want at least: every call gets somewhere. */
    while (c->open_n > 0 && store_cursor_next(cur, &r) && r.main <= c->to) {
        struct history_record h = {
            .main = r.main, .sub = r.sub, .tombstone = r.tombstone, .value = r.value};

        if (r.main != last && (records >= c->limits.records_max || c->bytes >= bytes_max)) {
            close_rest(c, HISTORY_MORE, r.main);
            return 0;
        }
        if (!key_of(r.value, &h.key))
            return ERR_CORRUPT;
        last = r.main;
        records++;
        x->record = &h;
        match_all(x);
        if (c->thinned)
            forget_closed(x);
        if (c->rc != 0)
            return c->rc;
    }
    close_rest(c, HISTORY_DONE, c->to + 1);
    return 0;
}

int history__walk(struct history_call *c, int64_t from)
{
    static const uint64_t seed[2]; /* the table lives for one call: nobody can prepare for it */
    struct scan x = {.c = c, .use_index = c->open_n >= MATCH_BY_INDEX_MIN};
    void *mem = mem_alloc(store_cursor_bytes());
    int rc = mem == NULL ? ERR_NOMEM : 0;

    watch_index_init(&x.index, seed);
    for (size_t i = 0; rc == 0 && x.use_index && i < c->n; i++) {
        struct history_want *w = &c->wants[i];

        w->indexed = !w->closed && watch_index_add(&x.index, &w->span);
        if (!w->closed && !w->indexed)
            rc = ERR_NOMEM;
    }
    if (rc == 0) {
        struct store_cursor *cur = store_cursor_init(mem, mvcc_view_store(c->view));

        store_cursor_seek(cur, from, 0);
        rc = walk(&x, cur);
    }
    watch_index_done(&x.index);
    mem_free(mem);
    return rc;
}
