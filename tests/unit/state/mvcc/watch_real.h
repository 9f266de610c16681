/* watch_real.h -- the real key space under the model of watch_model.h: store on a simulated disk,
 * mvcc, hub, and streams that catch up with history_scan. */
#ifndef KETCH_TESTS_WATCH_REAL_H
#define KETCH_TESTS_WATCH_REAL_H

#include "lib/simdisk.h"
#include "state/mvcc/history.h"
#include "unit/state/mvcc/watch_model.h"
#include "wire/wire.h"

#define REAL_KEYS 10
#define REAL_TXN_MAX 4

struct real {
    struct simdisk *sim;
    struct store *store;
    struct mvcc *kv;
    struct mvcc_reader *reader, *hub_reader;
    struct model m;
    uint64_t rnd;
    bool pending; /* written and not yet published */
};

static uint64_t real_rnd(struct real *r, uint64_t below)
{
    r->rnd = r->rnd * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (r->rnd >> 33) % below;
}

static struct bytes real_key(size_t i)
{
    static const struct bytes keys[REAL_KEYS] = {
        {(const uint8_t *) "\0", 1},  {(const uint8_t *) "a", 1},  {(const uint8_t *) "a\0", 2},
        {(const uint8_t *) "aa", 2},  {(const uint8_t *) "ab", 2}, {(const uint8_t *) "abc", 3},
        {(const uint8_t *) "b", 1},   {(const uint8_t *) "ba", 2}, {(const uint8_t *) "c", 1},
        {(const uint8_t *) "\xff", 1}};

    return keys[i];
}

/* What the key held before the revision that is about to be logged. */
static struct bytes real_before(void *ctx, struct bytes key)
{
    struct real *r = ctx;

    for (int64_t rev = r->m.revision; rev > 0; rev--)
        for (size_t i = r->m.log[rev].n; i > 0; i--) {
            const struct model_event *e = &r->m.log[rev].ev[i - 1];

            if (bytes_eq(e->key, key))
                return e->is_delete ? BYTES_EMPTY : e->kv;
        }
    return BYTES_EMPTY;
}

static void real_events(void *ctx, int64_t main, const struct mvcc_event *ev, size_t n)
{
    struct real *r = ctx;

    model_log(&r->m, main, ev, n, real_before, r);
    watch_publish(r->m.hub, main, ev, n);
    r->pending = true;
}

static bool real_prev_kv(void *ctx, const struct mvcc_event *ev, struct bytes *ret)
{
    return mvcc_event_prev_kv(((struct real *) ctx)->kv, ev, ret);
}

static void real_init(struct real *r, uint64_t seed, struct watch_hub_config hub, bool close_gaps)
{
    const struct mvcc_hooks hooks = {.ctx = r, .events = real_events};
    const struct store_config cfg = {.path = "db"};
    struct store_config with_disk = cfg;
    struct err e = ERR_INIT;

    memset(r, 0, sizeof *r);
    r->rnd = seed;
    r->sim = simdisk_new(seed);
    with_disk.disk = simdisk_disk(r->sim);
    if (store_open(&with_disk, &r->store, &e) != 0 || mvcc_open(r->store, &hooks, &r->kv, &e) != 0)
        assert_fail(__FILE__, __LINE__, e.msg);
    r->reader = mvcc_reader_new(r->kv);
    r->hub_reader = mvcc_reader_new(r->kv);
    ASSERT(r->reader != NULL);
    ASSERT(r->hub_reader != NULL);
    hub.revision = mvcc_revision(r->kv);
    hub.compact_revision = mvcc_compact_revision(r->kv);
    hub.reader = close_gaps ? r->hub_reader : NULL;
    hub.prev_kv = real_prev_kv;
    hub.ctx = r;
    model_init(&r->m, &hub);
}

static void real_done(struct real *r)
{
    model_done(&r->m);
    mvcc_reader_free(r->reader);
    mvcc_reader_free(r->hub_reader);
    ASSERT(mvcc_idle(r->kv));
    mvcc_close(r->kv);
    store_close(r->store);
    simdisk_free(r->sim);
}

/* ---- writes ---- */

static void real_put(struct real *r, struct bytes key, size_t value_n)
{
    static const uint8_t value[4096] = {'v'};
    Etcdserverpb__PutRequest q = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct mvcc_put_result res;
    bool too_large;

    ASSERT(value_n <= sizeof value);
    q.key = wire_binary(key);
    q.value = wire_binary(bytes_of(value, value_n));
    ASSERT(mvcc_put(r->kv, &q, NULL, &res, &too_large) == 0);
}

static void real_delete(struct real *r, struct bytes key, struct bytes range_end)
{
    Etcdserverpb__DeleteRangeRequest q = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    struct mvcc_delete_result res;
    bool too_large;

    q.key = wire_binary(key);
    q.range_end = wire_binary(range_end);
    mvcc_delete_range(r->kv, &q, NULL, &res, &too_large);
}

/* Puts of distinct keys and a deletion of all from some key on, which may take some of them back.
 */
static void real_txn(struct real *r)
{
    Etcdserverpb__TxnRequest t = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__RequestOp op[REAL_TXN_MAX], *ops[REAL_TXN_MAX];
    Etcdserverpb__PutRequest put[REAL_TXN_MAX];
    Etcdserverpb__DeleteRangeRequest del = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    size_t n = 1 + real_rnd(r, REAL_TXN_MAX), first = real_rnd(r, REAL_KEYS);
    size_t delete_at = real_rnd(r, 2 * REAL_TXN_MAX);
    struct mvcc_txn_result res;
    bool too_large;

    for (size_t i = 0; i < n; i++) {
        etcdserverpb__request_op__init(&op[i]);
        etcdserverpb__put_request__init(&put[i]);
        put[i].key = wire_binary(real_key((first + i) % REAL_KEYS));
        op[i].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        op[i].request_put = &put[i];
        if (i == delete_at) {
            del.key = wire_binary(real_key(real_rnd(r, REAL_KEYS)));
            del.range_end = wire_binary(bytes_of("", 1));
            op[i].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
            op[i].request_delete_range = &del;
        }
        ops[i] = &op[i];
    }
    t.n_success = n;
    t.success = ops;
    ASSERT(mvcc_txn(r->kv, &t, NULL, &res, &too_large) == 0);
}

static void real_write(struct real *r)
{
    struct bytes key = real_key(real_rnd(r, REAL_KEYS));

    if (r->m.revision + 1 >= MODEL_REVISIONS_MAX)
        return;
    switch (real_rnd(r, 8)) {
    case 0:
        real_delete(r, key, real_rnd(r, 2) ? BYTES_EMPTY : real_key(real_rnd(r, REAL_KEYS)));
        break;
    case 1:
    case 2:
        real_txn(r);
        break;
    default:
        real_put(r, key, real_rnd(r, 16) == 0 ? 1000 : real_rnd(r, 8));
    }
}

/* ---- what the other actors do ---- */

/* The end of a batch of applied entries. */
static void real_turn(struct real *r)
{
    mvcc_publish(r->kv);
    r->pending = false;
    watch_flush(r->m.hub);
}

static void real_commit(struct real *r)
{
    store_seal(r->store);
    ASSERT(store_commit(r->store, NULL) == 0);
    real_turn(r);
}

static void real_compact(struct real *r, int64_t revision)
{
    struct mvcc_compaction *c;
    bool done = false;

    if (revision <= r->m.compact || revision > r->m.revision)
        return;
    ASSERT(mvcc_compact(r->kv, revision) == 0);
    model_compact(&r->m, revision);
    real_turn(r);
    while (mvcc_compact_index_step(r->kv, 2))
        continue;
    real_commit(r);
    c = mvcc_compaction_take(r->kv);
    ASSERT(c != NULL);
    while (!done)
        ASSERT(mvcc_compaction_step(c, 100, &done, NULL) == 0);
    mvcc_compaction_end(r->kv, c, true);
    real_turn(r);
}

/* ---- catching up ---- */

static struct model_watcher *real_model(struct real *r, const struct watcher *w)
{
    size_t i = 0;

    while (&r->m.watchers[i].w != w)
        i++;
    return &r->m.watchers[i];
}

/* What one scan says about one want is what the log says about [from, next_rev). */
static void real_judge(struct real *r, const struct history_want *w, int64_t from,
                       const struct mvcc_view *v, const struct history_limits *limits)
{
    struct model_watcher *mw = real_model(r, w->watcher);
    struct bytes got = w->events == NULL ? BYTES_EMPTY
                                         : bytes_of(w->events->data, w->events->bytes);

    if (w->end == HISTORY_COMPACTED) {
        ASSERT(from < mvcc_view_compact_revision(v));
        ASSERT(w->events == NULL);
        mw->state = MODEL_OVER;
        r->m.compacted_n++;
        return;
    }
    ASSERT(w->revisions_n <= limits->revisions_max);
    ASSERT((w->end == HISTORY_DONE) == (w->next_rev == mvcc_view_revision(v) + 1));
    ASSERT(w->next_rev >= from);
    model_told(&r->m, mw, w->next_rev - 1, mvcc_view_compact_revision(v), got, w->events_n);
    mw->w.next_rev = w->next_rev;
}

static void real_catch_up(struct real *r, const struct history_limits *limits, size_t at_once)
{
    const struct mvcc_view *v = mvcc_view_pin(r->reader);
    struct history_want wants[MODEL_WATCHERS];
    size_t n = 0;
    bool moved = false;

    for (size_t i = 0; i < MODEL_WATCHERS && n < at_once; i++) {
        struct model_watcher *mw = &r->m.watchers[i];

        if (mw->state == MODEL_BEHIND && !r->m.streams[mw->stream].closing)
            wants[n++] = (struct history_want){.watcher = &mw->w, .next_rev = mw->next};
    }
    ASSERT(history_scan(v, wants, n, limits, NULL) == 0);
    for (size_t i = 0; i < n; i++) {
        struct model_watcher *mw = real_model(r, wants[i].watcher);

        moved = moved || wants[i].end != HISTORY_MORE || wants[i].next_rev > mw->next;
        real_judge(r, &wants[i], mw->next, v, limits);
        if (wants[i].end == HISTORY_DONE)
            model_join(&r->m, mw);
        payload_unref(wants[i].events);
    }
    ASSERT(n == 0 || moved);
    mvcc_view_unpin(v);
}

static void real_settle(struct real *r, const struct history_limits *limits)
{
    bool again = true;

    while (again) {
        real_turn(r);
        model_take_all(&r->m);
        again = false;
        for (size_t i = 0; i < MODEL_WATCHERS; i++)
            again = again || r->m.watchers[i].state == MODEL_BEHIND;
        if (again)
            real_catch_up(r, limits, MODEL_WATCHERS);
    }
    model_settled(&r->m);
}

#endif
