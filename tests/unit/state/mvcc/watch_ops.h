/* watch_ops.h -- histories of a watch hub, made from bytes: a fake key space writes, watchers come
 * and go, streams are slow, the store is compacted and replaced.  The model judges. */
#ifndef KETCH_TESTS_WATCH_OPS_H
#define KETCH_TESTS_WATCH_OPS_H

#include "unit/state/mvcc/watch_model.h"
#include "wire/pb.h"

#define FAKE_KEYS 8
#define FAKE_TXN_MAX 5

struct ops {
    const uint8_t *p, *end; /* choices; at the end of them all are 0 */
};

static bool ops_over(const struct ops *o)
{
    return o->p == o->end;
}

static unsigned pick(struct ops *o, unsigned below)
{
    return ops_over(o) ? 0 : *o->p++ % below;
}

static const struct bytes fake_keys[FAKE_KEYS] = {
    {(const uint8_t *) "\0", 1}, {(const uint8_t *) "a", 1},    {(const uint8_t *) "a\0", 2},
    {(const uint8_t *) "aa", 2}, {(const uint8_t *) "ab", 2},   {(const uint8_t *) "b", 1},
    {(const uint8_t *) "ba", 2}, {(const uint8_t *) "\xff", 1},
};

struct fake_key {
    struct bytes kv;     /* owned; empty: not there */
    struct bytes before; /* borrowed from the log: before the write under way */
    int64_t create;
    int64_t version;
};

struct fake {
    struct model m;
    struct fake_key key[FAKE_KEYS];
    struct buf made[FAKE_TXN_MAX]; /* kvs of the write under way */
    uint64_t prev_calls;
};

static size_t fake_at(struct bytes key)
{
    size_t i = 0;

    while (!bytes_eq(fake_keys[i], key))
        i++;
    return i;
}

static struct bytes fake_before(void *ctx, struct bytes key)
{
    return ((struct fake *) ctx)->key[fake_at(key)].before;
}

static bool fake_prev_kv(void *ctx, const struct mvcc_event *ev, struct bytes *ret)
{
    struct fake *f = ctx;

    f->prev_calls++;
    *ret = fake_before(f, ev->key);
    return ret->n != 0;
}

static struct bytes fake_encode(struct buf *b, struct bytes key, int64_t create, int64_t mod,
                                int64_t version, size_t value_n)
{
    static const uint8_t filler[256] = {'v'};
    uint8_t *p;

    buf_clear(b);
    p = buf_reserve(b, key.n + value_n + 64);
    ASSERT(p != NULL);
    b->len = (size_t) (pb_put_bytes(pb_put_u64(pb_put_u64(pb_put_u64(pb_put_bytes(p, 1, key), 2,
                                                                     (uint64_t) create),
                                                          3, (uint64_t) mod),
                                               4, (uint64_t) version),
                                    5, bytes_of(filler, value_n)) -
                       b->p);
    return buf_bytes(b);
}

/* One change of one key; false: nothing to delete. */
static bool fake_change(struct fake *f, int64_t main, size_t sub, size_t key, bool is_delete,
                        size_t value_n, struct mvcc_event *ret)
{
    struct fake_key *k = &f->key[key];

    if (is_delete && k->kv.n == 0)
        return false;
    if (k->kv.n == 0)
        k->create = main;
    k->version = is_delete ? 0 : k->kv.n == 0 ? 1 : k->version + 1;
    *ret = (struct mvcc_event){
        .type = is_delete ? MVCC_DELETE : MVCC_PUT,
        .main = main,
        .sub = (int64_t) sub,
        .created = !is_delete && k->create == main,
        .key = fake_keys[key],
        .kv = is_delete ? fake_encode(&f->made[sub], fake_keys[key], 0, main, 0, 0)
                        : fake_encode(&f->made[sub], fake_keys[key], k->create, main, k->version,
                                      value_n),
        .prev_main = k->before.n == 0 ? 0 : main - 1,
    };
    mem_free((void *) (uintptr_t) k->kv.p);
    k->kv = is_delete ? BYTES_EMPTY : model_own(ret->kv);
    return true;
}

static void fake_write_of(struct fake *f, struct ops *o, bool publish)
{
    struct mvcc_event ev[FAKE_TXN_MAX];
    struct bytes before[FAKE_KEYS];
    int64_t main = f->m.revision + 1;
    size_t want = pick(o, 3) != 0 ? 1 : 1 + pick(o, FAKE_TXN_MAX), n = 0;

    if (main >= MODEL_REVISIONS_MAX)
        return;
    for (size_t i = 0; i < FAKE_KEYS; i++)
        f->key[i].before = before[i] = model_own(f->key[i].kv);
    for (size_t i = 0; i < want; i++) {
        unsigned c = pick(o, 256);

        n += fake_change(f, main, n, c % FAKE_KEYS, c / FAKE_KEYS % 3 == 0,
                         c % 7 == 0 ? 200 : c % 4, &ev[n]);
    }
    if (n > 0) {
        model_log(&f->m, main, ev, n, fake_before, f);
        if (publish)
            watch_publish(f->m.hub, main, ev, n);
    }
    for (size_t i = 0; i < FAKE_KEYS; i++)
        mem_free((void *) (uintptr_t) before[i].p);
}

static struct model_watcher *some_watcher(struct fake *f, struct ops *o, enum model_state state)
{
    size_t at = pick(o, MODEL_WATCHERS);

    for (size_t i = 0; i < MODEL_WATCHERS; i++) {
        struct model_watcher *mw = &f->m.watchers[(at + i) % MODEL_WATCHERS];

        if (mw->state == state)
            return mw;
    }
    return NULL;
}

static void op_watch(struct fake *f, struct ops *o)
{
    struct model_watcher *mw = some_watcher(f, o, pick(o, 2) ? MODEL_FREE : MODEL_OVER);
    size_t stream = pick(o, MODEL_STREAMS);
    unsigned form = pick(o, 8), flags = pick(o, 16), start = pick(o, 4), back = pick(o, 12);
    struct watch_options opt = {
        .key = form == 0 ? BYTES_EMPTY : fake_keys[pick(o, FAKE_KEYS)],
        .range_end = form < 4 ? BYTES_EMPTY : fake_keys[form == 4 ? 0 : pick(o, FAKE_KEYS)],
        .filters = flags & 3,
        .prev_kv = (flags & 4) != 0,
        .progress_notify = (flags & 8) != 0,
    };

    if (start == 1)
        opt.start_rev = f->m.revision + 1 + pick(o, 4);
    if (start > 1)
        opt.start_rev = MAX(1, f->m.revision - back);
    if (mw != NULL && !f->m.streams[stream].closing)
        (void) !model_watch(&f->m, mw, stream, &opt);
}

/* The stream's side reads some of what is missing, here out of the model itself. */
static void op_catch_up(struct fake *f, struct model_watcher *mw, int64_t to)
{
    if (mw->next >= f->m.compact && to >= mw->next) {
        mw->next = to + 1;
        mw->w.next_rev = mw->next;
    }
    model_join(&f->m, mw);
}

static void op_progress(struct fake *f, struct ops *o)
{
    size_t stream = pick(o, MODEL_STREAMS), n = model_watchers_of(&f->m, stream);
    bool told;

    if (f->m.streams[stream].closing)
        return;
    told = watch_progress(f->m.hub, &f->m.streams[stream].s, n);
    for (size_t i = 0; told && i < MODEL_WATCHERS; i++) {
        const struct model_watcher *mw = &f->m.watchers[i];

        if (mw->state == MODEL_LIVE && mw->stream == stream)
            ASSERT(mw->w.state == WATCH_LIVE);
    }
}

static void op_restore(struct fake *f, struct ops *o)
{
    unsigned writes = pick(o, 6);
    int64_t behind = pick(o, 4);

    if (pick(o, 6) != 0)
        return;
    for (; writes > 0; writes--)
        fake_write_of(f, o, false);
    if (pick(o, 2) == 1)
        f->m.compact = MAX(f->m.compact, f->m.revision - behind);
    watch_restored(f->m.hub, f->m.revision, f->m.compact);
}

static void op_compact(struct fake *f, struct ops *o)
{
    int64_t to = f->m.revision - pick(o, 16);

    if (pick(o, 4) == 0 && to > f->m.compact)
        model_compact(&f->m, to);
}

static void op_close(struct fake *f, struct ops *o)
{
    size_t stream = pick(o, MODEL_STREAMS);

    if (pick(o, 4) != 0 || f->m.streams[stream].closing)
        return;
    f->m.streams[stream].closing = true;
    watch_stream_close(f->m.hub, &f->m.streams[stream].s);
}

static void op_leave(struct fake *f, struct ops *o)
{
    struct model_watcher *mw = some_watcher(f, o, pick(o, 4) ? MODEL_LIVE : MODEL_BEHIND);

    if (mw != NULL && !f->m.streams[mw->stream].closing)
        model_leave(&f->m, mw);
}

static void op_any(struct fake *f, struct ops *o)
{
    struct model_watcher *mw;
    size_t stream;

    switch (pick(o, 32)) {
    case 0:
    case 1:
    case 2:
        op_watch(f, o);
        break;
    case 3:
        op_leave(f, o);
        break;
    case 4:
    case 5:
        watch_flush(f->m.hub);
        break;
    case 6:
    case 7:
    case 8:
        stream = pick(o, MODEL_SINKS);
        for (unsigned n = pick(o, 6); n > 0 && model_take(&f->m, stream); n--)
            continue;
        break;
    case 9:
    case 10:
    case 11:
        mw = some_watcher(f, o, MODEL_BEHIND);
        if (mw != NULL && !f->m.streams[mw->stream].closing)
            op_catch_up(f, mw, f->m.revision - pick(o, 8) / 6);
        break;
    case 12:
        op_compact(f, o);
        break;
    case 13:
        op_progress(f, o);
        break;
    case 14:
        stream = pick(o, MODEL_STREAMS);
        if (!f->m.streams[stream].closing)
            watch_progress_each(f->m.hub, &f->m.streams[stream].s);
        break;
    case 15:
        op_restore(f, o);
        break;
    case 16:
        op_close(f, o);
        break;
    default:
        fake_write_of(f, o, true);
    }
}

static void fake_settle(struct fake *f)
{
    bool again = true;

    for (int round = 0; again; round++) {
        ASSERT(round < 4); /* nothing is written: one catching up is enough */
        model_take_all(&f->m);
        again = false;
        for (size_t i = 0; i < MODEL_WATCHERS; i++)
            if (f->m.watchers[i].state == MODEL_BEHIND) {
                op_catch_up(f, &f->m.watchers[i], f->m.revision);
                again = true;
            }
    }
    model_settled(&f->m);
}

static void fake_init(struct fake *f, const struct watch_hub_config *limits)
{
    struct watch_hub_config cfg = *limits;

    memset(f, 0, sizeof *f);
    for (size_t i = 0; i < FAKE_TXN_MAX; i++)
        buf_init(&f->made[i], 4096);
    cfg.revision = 1;
    cfg.compact_revision = -1;
    cfg.hash_seed[0] = 3;
    cfg.prev_kv = fake_prev_kv;
    cfg.ctx = f;
    model_init(&f->m, &cfg);
}

static void fake_done(struct fake *f)
{
    model_done(&f->m);
    for (size_t i = 0; i < FAKE_KEYS; i++)
        mem_free((void *) (uintptr_t) f->key[i].kv.p);
    for (size_t i = 0; i < FAKE_TXN_MAX; i++)
        buf_done(&f->made[i]);
}

/* What all runs of the process met. */
static struct {
    uint64_t events, behind, compacted, progress;
} run_totals;

/* The first bytes choose limits that are small enough to be met. */
static void run_ops(struct bytes choices)
{
    static struct fake f;
    struct ops o = {choices.p, choices.p + choices.n};
    const struct watch_hub_config limits = {
        .stream_notes_max = 1 + pick(&o, 64),
        .stream_bytes_max = 100 + 200 * pick(&o, 64),
        .hub_bytes_max = 1000 + 1000 * pick(&o, 64),
        .hits_max = 1 + pick(&o, 32),
    };

    fake_init(&f, &limits);
    for (unsigned step = 0; !ops_over(&o); step++) {
        op_any(&f, &o);
        if (step % 16 == 0)
            watch_hub_check(f.m.hub);
    }
    fake_settle(&f);
    run_totals.events += f.m.events_n;
    run_totals.behind += f.m.behind_n;
    run_totals.compacted += f.m.compacted_n;
    run_totals.progress += f.m.progress_n;
    fake_done(&f);
}

#endif
