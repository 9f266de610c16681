/* stm_lock.c -- one lock for all transactions, made of keys or asked of the server's lock service.
 *
 * Of keys: who wants the lock creates STM_LOCK_NAME/LEASE.  The one created first has the lock;
 * each other waits for the deletion of the one before it, so that no deletion wakes more than one.
 */
#include <v3lock.pb-c.h>

#include "base/alloc.h"
#include "benchmark/stm.h"

static void on_kept(const Etcdserverpb__LeaseKeepAliveResponse *r, const struct ketch_error *e,
                    void *user)
{
    (void) user;
    if (r == NULL)
        bench_die("the lease of a lock is gone: %s", e->text);
}

int stm_lock_prepare(struct stm_worker *s)
{
    struct bench *b = &s->run->bench;
    struct ketch_client *c = bench_conn(b, (size_t) (s - s->run->workers));
    Etcdserverpb__LeaseGrantRequest r = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    const Etcdserverpb__LeaseGrantResponse *granted;
    struct ketch_reply *reply;

    r.ttl = STM_LOCK_TTL_S;
    if (ketch_lease_grant(c, &r, 0, &reply, &granted, &b->error) != KETCH_OK)
        return bench_fail("Failed to grant a lease: %s", b->error.text);
    s->lease = granted->id;
    ketch_reply_free(reply);
    s->keep_alive = ketch_keep_alive(c, s->lease, on_kept, s);
    return BENCH_OK;
}

void stm_lock_done(struct stm_worker *s)
{
    if (s->keep_alive != NULL)
        ketch_keep_alive_stop(s->keep_alive);
    mem_free(s->lock_key.data);
    s->lock_key = binary_of(NULL, 0);
}

static void send(struct stm_worker *s, enum ketch_method m, const ProtobufCMessage *request,
                 ketch_done_fn *done)
{
    if (ketch_start(s->w->client, m, request, 0, done, s) == NULL)
        bench_die("out of memory");
}

static void must(const struct ketch_error *e)
{
    if (e->code != KETCH_OK)
        bench_die("lock: %s", e->text);
}

static void take_key(struct stm_worker *s, const void *key, size_t n)
{
    mem_free(s->lock_key.data);
    s->lock_key = binary_of(xmem_dup(key, n), n);
}

/* ---- of keys ---- */

static void find_before(struct stm_worker *s);

static void on_deleted(const struct ketch_watch_event *ev, void *user)
{
    struct stm_worker *s = user;
    bool gone = ev->canceled;

    for (size_t i = 0; i < ev->event_count; i++)
        gone = gone || ev->events[i]->type == MVCCPB__EVENT__EVENT_TYPE__DELETE;
    if (!gone || s->waiting == NULL)
        return;
    if (!ev->canceled)
        ketch_watch_cancel(s->waiting);
    s->waiting = NULL;
    find_before(s);
}

static void on_before(struct ketch_reply *reply, const struct ketch_error *e, void *user)
{
    struct stm_worker *s = user;
    Etcdserverpb__WatchCreateRequest w = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    const Etcdserverpb__RangeResponse *r;

    must(e);
    r = (const void *) ketch_reply_message(reply);
    if (r->n_kvs == 0) {
        ketch_reply_free(reply);
        stm_locked(s);
        return;
    }
    w.key = r->kvs[0]->key;
    w.start_revision = r->header->revision + 1;
    s->waiting = ketch_watch(s->w->client, &w, NULL, on_deleted, s);
    if (s->waiting == NULL)
        bench_die("out of memory");
    ketch_reply_free(reply);
}

/* The youngest of those that were there before us. */
static void find_before(struct stm_worker *s)
{
    Etcdserverpb__RangeRequest r = ETCDSERVERPB__RANGE_REQUEST__INIT;

    r.key = binary_of(STM_LOCK_NAME "/", sizeof(STM_LOCK_NAME));
    r.range_end = binary_of(STM_LOCK_NAME "0", sizeof(STM_LOCK_NAME)); /* '0' follows '/' */
    r.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE;
    r.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    r.max_create_revision = s->lock_revision - 1;
    r.limit = 1;
    send(s, KETCH_METHOD_range, &r.base, on_before);
}

static void on_entered(struct ketch_reply *reply, const struct ketch_error *e, void *user)
{
    struct stm_worker *s = user;

    must(e);
    s->lock_revision =
        ((const Etcdserverpb__PutResponse *) (const void *) ketch_reply_message(reply))
            ->header->revision;
    ketch_reply_free(reply);
    find_before(s);
}

static void lock_by_keys(struct stm_worker *s)
{
    Etcdserverpb__PutRequest r = ETCDSERVERPB__PUT_REQUEST__INIT;
    char key[STM_LOCK_KEY_BYTES_MAX];
    int n = snprintf(key, sizeof(key), STM_LOCK_NAME "/%" PRIx64, (uint64_t) s->lease);

    take_key(s, key, (size_t) n);
    r.key = s->lock_key;
    r.lease = s->lease;
    send(s, KETCH_METHOD_put, &r.base, on_entered);
}

/* ---- of the server ---- */

static void on_server_locked(struct ketch_reply *reply, const struct ketch_error *e, void *user)
{
    struct stm_worker *s = user;
    const V3lockpb__LockResponse *r;

    must(e);
    r = (const void *) ketch_reply_message(reply);
    take_key(s, r->key.data, r->key.len);
    ketch_reply_free(reply);
    stm_locked(s);
}

/* ---- both ---- */

void stm_lock(struct stm_worker *s)
{
    V3lockpb__LockRequest r = V3LOCKPB__LOCK_REQUEST__INIT;

    if (s->run->locker == STM_LOCK_CLIENT) {
        lock_by_keys(s);
        return;
    }
    r.name = binary_of(STM_LOCK_NAME, sizeof(STM_LOCK_NAME) - 1);
    r.lease = s->lease;
    send(s, KETCH_METHOD_lock, &r.base, on_server_locked);
}

static void on_unlocked(struct ketch_reply *reply, const struct ketch_error *e, void *user)
{
    struct stm_worker *s = user;

    must(e);
    ketch_reply_free(reply);
    load_done(s->w, s->error[0] == 0 ? NULL : s->error);
}

void stm_unlock(struct stm_worker *s)
{
    V3lockpb__UnlockRequest unlock = V3LOCKPB__UNLOCK_REQUEST__INIT;
    Etcdserverpb__DeleteRangeRequest del = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;

    unlock.key = del.key = s->lock_key;
    if (s->run->locker == STM_LOCK_RPC)
        send(s, KETCH_METHOD_unlock, &unlock.base, on_unlocked);
    else
        send(s, KETCH_METHOD_delete_range, &del.base, on_unlocked);
}
