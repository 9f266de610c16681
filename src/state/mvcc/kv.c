/* kv.c -- the key space as a whole: opening, closing, write transactions. */
#include "state/mvcc/mvcc_int.h"

int mvcc_open(struct store *s, const struct mvcc_hooks *hooks, struct mvcc **ret, struct err *e)
{
    struct mvcc *kv = xmem_calloc(1, sizeof *kv);
    int rc;

    ASSERT(s != NULL);
    kv->store = s;
    if (hooks != NULL)
        kv->hooks = *hooks;
    kv->revision = FIRST_REVISION;
    kv->compact_revision = kv->scheduled_compact = kv->finished_compact = NEVER_COMPACTED;
    list_init(&kv->views);
    list_init(&kv->ending);
    list_init(&kv->compactions);
    arena_init(&kv->event_arena, SIZE_MAX);
    rc = mvcc__restore(kv, e);
    if (rc != 0) {
        mvcc_close(kv);
        return err_wrap(e, rc, "build the index");
    }
    mvcc__views_init(kv);
    *ret = kv;
    return 0;
}

void mvcc_close(struct mvcc *kv)
{
    if (kv == NULL)
        return;
    ASSERT(!kv->txn.active);
    mvcc__views_done(kv);
    mvcc__compactions_done(kv);
    index_free(kv->index);
    arena_done(&kv->event_arena);
    mem_free(kv->events);
    mem_free(kv->scratch);
    mem_free(kv->cursor_key);
    mem_free(kv);
}

int64_t mvcc_revision(const struct mvcc *kv)
{
    return kv->revision;
}

int64_t mvcc_compact_revision(const struct mvcc *kv)
{
    return kv->compact_revision;
}

enum api_error mvcc_api_error(int rc)
{
    switch (rc) {
#define X(name, code, api, text) \
    case code:                   \
        return API_##api;
        MVCC_ERR_MAP(X)
#undef X
    default:
        return API_OK;
    }
}

struct kv_state mvcc__now(struct mvcc *kv, struct store_view *sv)
{
    ASSERT(kv->compact_revision <= kv->revision);
    store_view_peek(kv->store, sv);
    return (struct kv_state){kv->index->root, sv, mvcc__txn_revision(kv), kv->compact_revision};
}

struct bytes state_value(const struct kv_state *st, int64_t main, int64_t sub)
{
    struct bytes v;

    ASSERT(main <= st->revision);
    /* The index promises what the store does not have: this member's state cannot be right. */
    if (NEVER(!store_view_get(st->store, main, sub, &v)))
        assert_fail(__FILE__, __LINE__, "the store lacks a revision that the index has");
    return v;
}

struct key_entry *state_live(const struct kv_state *st, struct bytes key)
{
    struct key_entry *e = index_get(st->root, key);

    return e != NULL && entry_is_live(e) ? e : NULL;
}

int state_revision(const struct kv_state *st, int64_t asked, int64_t *ret)
{
    int64_t at = asked <= 0 ? st->revision : asked;

    if (asked > st->revision)
        return ERR_MVCC_FUTURE_REV;
    if (at < st->compact_revision)
        return ERR_MVCC_COMPACTED;
    ASSERT(at <= st->revision);
    *ret = at;
    return 0;
}

struct key_range key_range_of(struct bytes key, struct bytes range_end)
{
    struct key_range g = {.key = key, .end = range_end};

    g.single = range_end.n == 0;
    g.to_the_end = range_end.n == 1 && range_end.p[0] == 0;
    return g;
}

/* ---- write transactions ---- */

void mvcc_trace(struct mvcc *kv, struct trace_steps *t)
{
    ASSERT(!kv->txn.active);
    kv->trace = t;
}

void mvcc__txn_begin(struct mvcc *kv)
{
    ASSERT(!kv->txn.active);
    ASSERT(kv->events_n == 0);
    kv->txn = (struct write_txn){.active = true, .main = kv->revision + 1};
}

void mvcc__txn_end(struct mvcc *kv)
{
    ASSERT(kv->txn.active);
    ASSERT(kv->txn.main == kv->revision + 1); /* K1 */
    if (kv->txn.sub > 0) {
        kv->revision = kv->txn.main;
        if (kv->hooks.events != NULL)
            kv->hooks.events(kv->hooks.ctx, kv->revision, kv->events, kv->events_n);
    }
    kv->events_n = 0;
    kv->txn.active = false;
}

int64_t mvcc__txn_revision(const struct mvcc *kv)
{
    return kv->txn.active && kv->txn.sub > 0 ? kv->txn.main : kv->revision;
}

void mvcc__event_add(struct mvcc *kv, const struct mvcc_event *ev)
{
    ASSERT(kv->txn.active);
    ASSERT(ev->main == kv->txn.main);
    if (kv->hooks.events == NULL)
        return;
    if (kv->events_n == kv->events_cap) {
        kv->events_cap = MAX((size_t) 16, kv->events_cap * 2);
        kv->events = xmem_realloc(kv->events, kv->events_cap * sizeof *kv->events);
    }
    kv->events[kv->events_n++] = *ev;
}

bool mvcc_event_prev_kv(struct mvcc *kv, const struct mvcc_event *ev, struct bytes *ret_kv)
{
    struct store_view sv;
    struct kv_state st;

    ASSERT(ev->prev_main < ev->main);
    if (ev->prev_main == 0 || ev->main - 1 < kv->compact_revision)
        return false;
    st = mvcc__now(kv, &sv);
    *ret_kv = state_value(&st, ev->prev_main, ev->prev_sub);
    return true;
}

/* ---- answers ---- */

void *answer_alloc(struct answer *an, size_t n, size_t size)
{
    void *p;

    if (an->arena == NULL || an->too_large)
        return NULL;
    p = arena_calloc(an->arena, n, size);
    if (p == NULL)
        an->too_large = true;
    return p;
}

struct bytes answer_copy(struct answer *an, struct bytes b)
{
    void *p;

    if (an->arena == NULL || an->too_large)
        return BYTES_EMPTY;
    p = arena_dup(an->arena, b.p, b.n);
    if (p == NULL) {
        an->too_large = true;
        return BYTES_EMPTY;
    }
    return bytes_of(p, b.n);
}
