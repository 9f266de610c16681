/* txn_guard.c -- whether the guards of a transaction hold.
 *
 * A guard with a range_end goes over every key of its range until one of them fails it, so it is
 * done in steps: the place in the index and whether there was a key are all that is kept between
 * them. */
#include "state/mvcc/txn_int.h"
#include "wire/wire.h"

typedef Etcdserverpb__Compare compare;

static int cmp_i64(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

/* An unknown relation holds. */
static bool relation_holds(int relation, int order)
{
    switch (relation) {
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL:
        return order == 0;
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__NOT_EQUAL:
        return order != 0;
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER:
        return order > 0;
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS:
        return order < 0;
    default:
        return true;
    }
}

/* The given number; 0 when the union holds something else than the target says. */
static int64_t given_number(const compare *c)
{
    switch (c->target) {
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION:
        return c->target_union_case == ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION ? c->version : 0;
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE:
        return c->target_union_case == ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION
                   ? c->create_revision
                   : 0;
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD:
        return c->target_union_case == ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION
                   ? c->mod_revision
                   : 0;
    default:
        return c->target_union_case == ETCDSERVERPB__COMPARE__TARGET_UNION_LEASE ? c->lease : 0;
    }
}

static struct bytes given_value(const compare *c)
{
    return c->target_union_case == ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE ? wire_bytes(c->value)
                                                                             : BYTES_EMPTY;
}

/* The index does not know what it asks for. */
static bool needs_record(const compare *c)
{
    return c->target == ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE ||
           c->target == ETCDSERVERPB__COMPARE__COMPARE_TARGET__LEASE;
}

/* How what is stored (of no key: all numbers are 0) orders against what is given. */
static int order_of(const compare *c, const struct kv_fields *f)
{
    switch (c->target) {
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION:
        return cmp_i64(f->version, given_number(c));
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE:
        return cmp_i64(f->create_main, given_number(c));
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD:
        return cmp_i64(f->mod_main, given_number(c));
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE:
        return bytes_cmp(f->value, given_value(c));
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__LEASE:
        return cmp_i64(f->lease, given_number(c));
    default:
        return 0; /* an unknown target compares equal */
    }
}

static bool holds_without_key(const compare *c)
{
    static const struct kv_fields none;

    /* A value cannot be compared with one that does not exist, not even as unequal. */
    if (c->target == ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE)
        return false;
    return relation_holds((int) c->result, order_of(c, &none));
}

static bool holds_for(const struct kv_state *st, const compare *c, const struct key_entry *e,
                      uint64_t *units)
{
    struct kv_fields f = {.key = BYTES_EMPTY};

    ASSERT(entry_is_live(e));
    f.version = entry_version(e);
    f.create_main = entry_create_main(e);
    f.mod_main = e->mod_main;
    if (needs_record(c)) {
        kv_decode_stored(state_value(st, e->mod_main, entry_mod(e).sub), &f);
        range_spend(units,
                    RANGE_RECORD_UNITS + MIN(f.value.n, given_value(c).n) / RANGE_COMPARED_BYTES);
    }
    return relation_holds((int) c->result, order_of(c, &f));
}

/* ---- one guard ---- */

enum guarded { GUARD_HOLDS, GUARD_FAILS, GUARD_PAUSES };

static enum guarded guarded_of(bool holds)
{
    return holds ? GUARD_HOLDS : GUARD_FAILS;
}

/* A unit for each key that is looked at. */
static enum guarded walk(struct txn_guards *g, const compare *c, uint64_t *units)
{
    const struct key_entry *e;

    for (; (e = index_cursor_entry(&g->cursor)) != NULL; index_cursor_next(&g->cursor)) {
        if (key_range_passed(&g->keys, entry_key(e)))
            break;
        if (*units == 0)
            return GUARD_PAUSES;
        --*units;
        if (!entry_is_live(e))
            continue;
        g->any = true;
        if (!holds_for(g->state, c, e, units))
            return GUARD_FAILS;
    }
    return guarded_of(g->any || holds_without_key(c));
}

static enum guarded single(const struct txn_guards *g, const compare *c, uint64_t *units)
{
    const struct key_entry *e = state_live(g->state, wire_bytes(c->key));

    return guarded_of(e == NULL ? holds_without_key(c) : holds_for(g->state, c, e, units));
}

static enum guarded decide(struct txn_guards *g, const compare *c, uint64_t *units)
{
    enum guarded how;

    ASSERT(c->key.len > 0);
    if (!g->walking) {
        if (*units == 0)
            return GUARD_PAUSES;
        range_spend(units, RANGE_SEEK_UNITS);
        g->keys = key_range_of(wire_bytes(c->key), wire_bytes(c->range_end));
        if (g->keys.single)
            return single(g, c, units);
        index_seek(&g->cursor, g->state->root, g->keys.key, true);
        g->walking = true;
        g->any = false;
    }
    how = walk(g, c, units);
    g->walking = how == GUARD_PAUSES;
    return how;
}

/* ---- all of them ---- */

void txn_guards_begin(struct txn_guards *g, const struct kv_state *st,
                      const Etcdserverpb__TxnRequest *r)
{
    g->state = st;
    g->request = r;
    g->at = 0;
    g->walking = false;
}

bool txn_guards_step(struct txn_guards *g, uint64_t *units, bool *ret_hold)
{
    const Etcdserverpb__TxnRequest *r = g->request;
    enum guarded how = GUARD_HOLDS;

    ASSERT(g->at <= r->n_compare);
    for (; g->at < r->n_compare; g->at++) {
        how = decide(g, r->compare[g->at], units);
        if (how != GUARD_HOLDS)
            break;
    }
    if (how == GUARD_PAUSES)
        return false;
    *ret_hold = how == GUARD_HOLDS;
    return true;
}

void txn_guards_ahead(const struct txn_guards *g, struct mvcc_range_ahead *add)
{
    for (size_t i = g->at; i < g->request->n_compare; i++) {
        const compare *c = g->request->compare[i];
        struct key_range keys = key_range_of(wire_bytes(c->key), wire_bytes(c->range_end));
        uint64_t n = keys.single ? 1 : range_live_keys(g->state, &keys);

        add->keys += n;
        add->units += RANGE_SEEK_UNITS + n * (1 + (needs_record(c) ? RANGE_RECORD_UNITS : 0));
    }
}
