/* The history of one key or a few, along their own revisions in the index: cheaper than walking all
 * revisions when the keys changed rarely. */
#include "state/mvcc/history_int.h"
#include "state/mvcc/mvcc_int.h"

struct change {
    struct key_revision rev;
    const struct key_entry *entry;
};

struct changes {
    struct change *v;
    size_t n, cap;
};

static bool push(struct changes *x, const struct change *ch)
{
    if (x->n == x->cap) {
        size_t cap = x->cap == 0 ? 16 : x->cap * 2;
        struct change *v = mem_realloc(x->v, cap * sizeof *v);

        if (v == NULL)
            return false;
        x->v = v;
        x->cap = cap;
    }
    x->v[x->n++] = *ch;
    return true;
}

static bool wanted(const struct history_want *w, struct key_revision r)
{
    unsigned unwanted = key_revision_is_tombstone(r) ? WATCH_NODELETE : WATCH_NOPUT;

    return (w->watcher->filters & unwanted) == 0;
}

static bool spend(uint64_t *budget, uint64_t cost)
{
    if (*budget < cost)
        return false;
    *budget -= cost;
    return true;
}

/* The wanted changes of a key, as far as the result can hold them: those of the first revisions_max
 * revisions and of one more, to know where to go on.  False: over budget, or no memory (c->rc). */
static bool collect(struct history_call *c, const struct history_want *w, const struct key_entry *e,
                    struct changes *out, uint64_t *budget)
{
    uint32_t i = entry_revisions_upto(e, w->next_rev - 1), end = entry_revisions_upto(e, c->to);
    uint32_t revisions = 0;
    int64_t last = 0;

    for (; i < end; i++) {
        struct change ch = {entry_revision(e, i), e};
        bool want = wanted(w, ch.rev);

        if (!spend(budget, want ? HISTORY_FETCH_COST : 1))
            return false;
        if (!want)
            continue;
        ASSERT(ch.rev.main >= w->next_rev);
        ASSERT(ch.rev.main <= c->to);
        ASSERT(ch.rev.main >= last);
        if (ch.rev.main != last && revisions++ > c->limits.revisions_max)
            break;
        last = ch.rev.main;
        if (!push(out, &ch)) {
            c->rc = ERR_NOMEM;
            return false;
        }
    }
    return true;
}

static bool collect_range(struct history_call *c, const struct history_want *w, struct changes *out,
                          uint64_t *budget)
{
    const struct index_node *root = c->view->state.root;
    struct index_cursor cur;
    const struct key_entry *e;

    if (watch_span_single(&w->span)) {
        e = index_get(root, w->span.key);
        return e == NULL || collect(c, w, e, out, budget);
    }
    index_seek(&cur, root, w->span.key, false);
    while ((e = index_cursor_entry(&cur)) != NULL && watch_span_has(&w->span, entry_key(e))) {
        if (!spend(budget, 1) || !collect(c, w, e, out, budget))
            return false;
        index_cursor_next(&cur);
    }
    return true;
}

static int by_revision(const void *a, const void *b)
{
    const struct key_revision *x = &((const struct change *) a)->rev;
    const struct key_revision *y = &((const struct change *) b)->rev;

    if (x->main != y->main)
        return x->main < y->main ? -1 : 1;
    return x->sub_tombstone < y->sub_tombstone ? -1 : x->sub_tombstone > y->sub_tombstone;
}

static void give_all(struct history_call *c, struct history_want *w, const struct changes *x)
{
    for (size_t i = 0; i < x->n && !w->closed && c->rc == 0; i++) {
        const struct change *ch = &x->v[i];
        struct history_record r = {
            .main = ch->rev.main,
            .sub = key_revision_sub(ch->rev),
            .tombstone = key_revision_is_tombstone(ch->rev),
            .key = entry_key(ch->entry),
        };

        if (!r.tombstone)
            r.value = state_value(&c->view->state, r.main, r.sub);
        history__give(c, w, &r);
    }
}

uint64_t history__by_index(struct history_call *c, struct history_want *w, uint64_t budget)
{
    struct changes x = {0};
    uint64_t left = budget;

    ASSERT(!w->closed);
    ASSERT(w->events == NULL);
    if (collect_range(c, w, &x, &left) && c->rc == 0) {
        if (x.n > 1)
            qsort(x.v, x.n, sizeof *x.v, by_revision);
        give_all(c, w, &x);
        if (c->rc == 0 && !w->closed)
            history__close(c, w, HISTORY_DONE, c->to + 1);
    }
    mem_free(x.v);
    return budget - left;
}
