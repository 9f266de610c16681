/* kv_driver.h -- runs the real key space and the naive one side by side through the operations that
 * a string of bytes spells out, and stops at the first difference.  The unit test feeds it random
 * bytes, the fuzz targets what the fuzzer makes. */
#ifndef KETCH_TESTS_KV_DRIVER_H
#define KETCH_TESTS_KV_DRIVER_H

#include "kv_driver_reads.h"
#include "state/mvcc/mvcc_check.h"
#include "state/mvcc/mvcc_int.h"

/* ---- events ---- */

/* The events of a transaction are the records that the model has gained by it, and tell of what was
 * before. */
static inline void driver_events(void *ctx, int64_t main, const struct mvcc_event *ev, size_t n)
{
    struct driver *d = ctx;

    ASSERT(main == d->m.rev + 1);
    ASSERT(n == d->m.n - d->events_from);
    ASSERT(n > 0);
    for (size_t i = 0; i < n; i++) {
        const struct naive_rec *r = &d->m.recs[d->events_from + i], *before;
        struct kv_fields f;
        struct bytes prev;

        before = naive_at(&d->m, r->key, main - 1);
        ASSERT(ev[i].type == (r->tombstone ? MVCC_DELETE : MVCC_PUT));
        ASSERT(ev[i].main == main);
        ASSERT(ev[i].sub == r->sub);
        ASSERT(bytes_eq(ev[i].key, r->key));
        ASSERT(ev[i].created == (!r->tombstone && r->create == main));
        ASSERT(kv_decode(ev[i].kv, &f));
        ASSERT(bytes_eq(f.key, r->key));
        ASSERT(f.mod_main == main);
        ASSERT(bytes_eq(f.value, r->value));
        ASSERT(f.version == r->version);
        if (!mvcc_event_prev_kv(d->kv, &ev[i], &prev)) {
            ASSERT(before == NULL || main - 1 < d->m.compact);
            continue;
        }
        ASSERT(before != NULL);
        ASSERT(kv_decode(prev, &f));
        ASSERT(f.mod_main == before->main);
        ASSERT(bytes_eq(f.value, before->value));
    }
    d->events = n;
}

/* ---- writes ---- */

static inline void step_begin(struct driver *d)
{
    d->events = 0;
    d->events_from = d->m.n;
    naive_begin(&d->m);
}

static inline void step_end(struct driver *d)
{
    ASSERT(d->events == d->m.n - d->events_from);
    naive_end(&d->m);
    ASSERT(mvcc_revision(d->kv) == d->m.rev);
    d->applied++;
    store_set_applied(d->store, d->applied, 1 + d->applied / 64);
}

static inline void step_put(struct driver *d)
{
    Etcdserverpb__PutRequest *r = take_put(d);
    const struct naive_rec *old = NULL;
    struct mvcc_put_result got;
    Etcdserverpb__PutResponse *x;
    enum naive_error want;
    bool too_large;
    int rc;

    step_begin(d);
    want = naive_check_lease(r, driver_lease_exists);
    if (want == NAIVE_OK)
        want = naive_check_key(&d->m, r);
    if (want == NAIVE_OK)
        old = naive_put(&d->m, r);
    rc = mvcc_put(d->kv, r, &d->a, &got, &too_large);
    ASSERT(rc == error_of(want));
    step_end(d);
    if (rc != 0)
        return;
    ASSERT(!too_large);
    DECODE(d, put_response, reply_bytes(d, mvcc_reply_put(&got, &driver_header, &d->a)), &x);
    ASSERT(x->header->revision == d->m.rev);
    ASSERT((x->prev_kv != NULL) == (r->prev_kv && old != NULL));
    if (x->prev_kv != NULL)
        same_kv(x->prev_kv, old, false, false);
}

static inline void step_delete(struct driver *d)
{
    Etcdserverpb__DeleteRangeRequest *r = take_delete(d);
    struct mvcc_delete_result got;
    Etcdserverpb__DeleteRangeResponse *x;
    struct naive_list l;
    bool too_large;

    step_begin(d);
    l = naive_delete(&d->m, r);
    mvcc_delete_range(d->kv, r, &d->a, &got, &too_large);
    step_end(d);
    ASSERT(!too_large);
    DECODE(d, delete_range_response, reply_bytes(d, mvcc_reply_delete(&got, &driver_header, &d->a)),
           &x);
    same_delete(x, &l, r->prev_kv, d->m.rev);
}

static inline void step_delete_keys(struct driver *d)
{
    struct bytes keys[3];
    size_t n = take(d) % 4, deleted = 0;

    step_begin(d);
    for (size_t i = 0; i < n; i++) {
        Etcdserverpb__DeleteRangeRequest r = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;

        r.key = take_key(d);
        keys[i] = wire_bytes(r.key);
        deleted += naive_delete(&d->m, &r).n;
    }
    ASSERT(mvcc_delete_keys(d->kv, keys, n) == deleted);
    step_end(d);
}

static inline void step_txn(struct driver *d)
{
    Etcdserverpb__TxnRequest *r = take_txn(d, 0, false);
    struct want_txn want;
    struct mvcc_txn_result got;
    Etcdserverpb__TxnResponse *x;
    enum naive_error error;
    bool too_large, answer = chance(d, 224);
    enum api_error refused;
    int rc;

    ASSERT(mvcc_check_txn(r, MVCC_TXN_OPS_DEFAULT, &d->a, &refused) == 0);
    if (refused != API_OK && refused != API_DUPLICATE_KEY)
        return; /* the same key written twice is executed in order all the same */
    step_begin(d);
    naive_choose(d, r, d->m.rev, &want);
    error = naive_precheck(d, &want, d->m.rev, d->m.compact);
    if (error == NAIVE_OK)
        naive_run(d, &want);
    rc = mvcc_txn(d->kv, r, answer ? &d->a : NULL, &got, &too_large);
    ASSERT(rc == error_of(error));
    step_end(d);
    if (rc != 0 || !answer)
        return;
    ASSERT(!too_large);
    DECODE(d, txn_response, reply_bytes(d, mvcc_reply_txn(&got, &driver_header, &d->a)), &x);
    ASSERT(x->header->revision == d->m.rev);
    same_txn(x, &want);
}

/* ---- compaction, commits, restarts ---- */

static inline void step_compact(struct driver *d)
{
    int64_t at = take_revision(d);
    int rc = mvcc_compact(d->kv, at);

    ASSERT(rc == (at <= d->m.compact ? ERR_MVCC_COMPACTED
                  : at > d->m.rev    ? ERR_MVCC_FUTURE_REV
                                     : 0));
    if (rc == 0)
        d->m.compact = at;
    d->applied++;
    store_set_applied(d->store, d->applied, 1 + d->applied / 64);
}

static inline void step_seal(struct driver *d)
{
    struct err e = ERR_INIT;

    if (store_seal(d->store))
        d->sealed = (struct driver_mark){d->applied, d->m.rev, d->m.compact};
    if (chance(d, 200)) {
        ASSERT(store_commit(d->store, &e) == 0);
        d->committed = d->sealed;
    }
}

/* The hash that a finished compaction leaves behind, when the one before it had finished. */
static inline void check_compact_hash(struct driver *d, const struct mvcc_compaction_info *info)
{
    struct mvcc_hash_result stored[MVCC_COMPACT_HASHES];
    const struct mvcc_view *v;
    size_t n;

    mvcc_publish(d->kv);
    v = mvcc_view_pin(d->reader);
    n = mvcc_view_compact_hashes(v, stored);
    if (n > 0 && stored[n - 1].hash_revision == info->revision)
        ASSERT(stored[n - 1].hash ==
               naive_compact_hash(&d->m, info->revision, stored[n - 1].compact_revision));
    mvcc_view_unpin(v);
}

static inline void step_job(struct driver *d)
{
    struct mvcc_compaction_info info;
    struct err e = ERR_INIT;
    bool done;

    if (d->job == NULL) {
        d->job = mvcc_compaction_take(d->kv);
        if (d->job == NULL)
            return;
        store_seal(d->store);
        ASSERT(store_commit(d->store, &e) == 0);
        d->sealed = d->committed = (struct driver_mark){d->applied, d->m.rev, d->m.compact};
    }
    ASSERT(mvcc_compaction_step(d->job, 1 + take(d) % 9, &done, &e) == 0);
    if (!done)
        return;
    mvcc_compaction_info(d->job, &info);
    mvcc_compaction_end(d->kv, d->job, true);
    d->job = NULL;
    check_compact_hash(d, &info);
}

static inline void step_pin(struct driver *d)
{
    struct driver_pin *pin = &d->pins[take(d) % DRIVER_PINS];

    mvcc_publish(d->kv);
    mvcc_view_unpin(pin->view);
    *pin = (struct driver_pin){mvcc_view_pin(d->reader), d->m.rev, d->m.compact};
}

static inline void step_read(struct driver *d, unsigned kind)
{
    struct driver_pin *pin = &d->pins[take(d) % DRIVER_PINS];

    if (pin->view == NULL)
        step_pin(d);
    if (pin->view == NULL)
        return;
    if (kind == 0)
        check_range_on(d, pin->view, pin->rev, pin->compact);
    else if (kind == 1)
        check_stream_on(d, pin->view, pin->rev, pin->compact);
    else if (kind == 2)
        check_txn_on(d, pin->view, pin->rev, pin->compact);
    else
        check_hash_on(d, pin->view, pin->rev, pin->compact);
}

static inline void driver_open(struct driver *d)
{
    struct store_config cfg = {.disk = simdisk_disk(d->sim), .path = "db", .map_bytes = 1 << 26};
    struct mvcc_hooks hooks = {
        .ctx = d, .lease_exists = driver_lease_exists, .events = driver_events};
    struct err e = ERR_INIT;

    ASSERT(store_open(&cfg, &d->store, &e) == 0);
    ASSERT(mvcc_open(d->store, &hooks, &d->kv, &e) == 0);
    index_check(d->kv->index);
    d->reader = mvcc_reader_new(d->kv);
}

static inline void driver_unpin(struct driver *d)
{
    for (size_t i = 0; i < DRIVER_PINS; i++) {
        mvcc_view_unpin(d->pins[i].view);
        d->pins[i].view = NULL;
    }
}

static inline void driver_close(struct driver *d)
{
    mvcc_compaction_end(d->kv, d->job, false);
    d->job = NULL;
    driver_unpin(d);
    mvcc_reader_free(d->reader);
    ASSERT(mvcc_idle(d->kv));
    mvcc_close(d->kv);
    store_close(d->store);
}

/* Stops and starts again; after a crash what was committed is there, and nothing else. */
static inline void step_restart(struct driver *d, bool crash)
{
    struct err e = ERR_INIT;
    struct driver_mark now = {d->applied, d->m.rev, d->m.compact};

    if (!crash) {
        store_seal(d->store);
        ASSERT(store_commit(d->store, &e) == 0);
        d->committed = now;
    } else {
        simdisk_crash(d->sim, take(d) & 1 ? SIM_CRASH_TEAR : SIM_CRASH_DROP);
        now = d->committed;
    }
    driver_close(d);
    driver_open(d);
    d->sealed = d->committed = now;
    d->applied = now.applied;
    d->m.rev = now.rev;
    d->m.compact = now.compact;
    while (d->m.n > 0 && d->m.recs[d->m.n - 1].main > now.rev)
        d->m.n--;
    ASSERT(store_applied_index(d->store) == now.applied);
    ASSERT(mvcc_revision(d->kv) == now.rev);
    ASSERT(mvcc_compact_revision(d->kv) == now.compact);
}

static inline void driver_step(struct driver *d)
{
    unsigned b = take(d);

    if (b < 80)
        step_put(d);
    else if (b < 100)
        step_delete(d);
    else if (b < 104)
        step_delete_keys(d);
    else if (b < 130)
        step_txn(d);
    else if (b < 160)
        step_read(d, 0);
    else if (b < 168)
        step_read(d, 1);
    else if (b < 178)
        step_read(d, 2);
    else if (b < 186)
        step_read(d, 3);
    else if (b < 196)
        step_pin(d);
    else if (b < 202)
        mvcc_publish(d->kv);
    else if (b < 214)
        step_seal(d);
    else if (b < 222)
        step_compact(d);
    else if (b < 236)
        mvcc_compact_index_step(d->kv, 1 + take(d) % 5);
    else if (b < 250)
        step_job(d);
    else if (b < 253)
        step_restart(d, false);
    else
        step_restart(d, true);
    arena_reset(&d->a);
}

static inline void driver_run(const uint8_t *p, size_t n, uint64_t seed,
                              void (*step)(struct driver *))
{
    struct driver *d = xmem_calloc(1, sizeof *d);

    d->p = p;
    d->n = n;
    d->sim = simdisk_new(seed);
    arena_init(&d->a, SIZE_MAX);
    naive_init(&d->m);
    driver_open(d);
    d->sealed = d->committed = (struct driver_mark){0, 1, -1};
    while (d->n > 0 && d->m.n < NAIVE_RECS_MAX / 2) {
        step(d);
        index_check(d->kv->index);
    }
    driver_close(d);
    naive_done(&d->m);
    arena_done(&d->a);
    simdisk_free(d->sim);
    mem_free(d);
}

#endif
