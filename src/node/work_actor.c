/* work_actor.c -- what takes long and hurries nobody: hashes over pinned data, the next WAL
 * segment, old files. */
#include "base/alloc.h"
#include "node/node_int.h"

/* ---- HashKV ---- */

static void hash_kv_failed(struct node *n, struct node_request *r, int rc)
{
    enum api_error api = mvcc_api_error(rc);

    if (api != API_OK)
        node__fail(n, &n->work.out, r, api);
    else
        node__fail_text(n, &n->work.out, r, GRPC_RESOURCE_EXHAUSTED, "out of memory");
}

static void hash_kv_answer(struct node *n, struct node_request *r)
{
    struct mvcc_hash_result h;
    Etcdserverpb__HashKVResponse *m;

    mvcc_hash_result(n->work.hash_kv, &h);
    m = (Etcdserverpb__HashKVResponse *) wire_new(&etcdserverpb__hash_kvresponse__descriptor,
                                                  r->arena);
    r->result = (struct node_result){.answer = NODE_ANSWER_MSG,
                                     .msg = (ProtobufCMessage *) m,
                                     .revision = h.current_revision,
                                     .raft_term = atomic_load(&n->pub.term)};
    if (m == NULL) {
        node__fail_text(n, &n->work.out, r, GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    m->hash = h.hash;
    m->compact_revision = h.compact_revision;
    m->hash_revision = n->cfg.level == NODE_LEVEL_3_5 ? 0 : h.hash_revision;
    node__finish(n, &n->work.out, r);
}

/* The answer of a member that is about to stop: it does not wait for hashes of gigabytes, of which
 * many may be in line. */
static void hash_stopped(struct node *n, struct node_request *r)
{
    if (r->kind == NODE_REQ_HASH) {
        store_hash_end(r->store_hash);
    } else if (n->work.hash_kv != NULL) { /* it was the first in line, and is */
        mvcc_hash_end(n->work.hash_kv);
        n->work.hash_kv = NULL;
    }
    node__fail(n, &n->work.out, r, API_STOPPED);
}

/* True when the request is answered. */
static bool step_hash_kv(struct node *n, struct node_request *r)
{
    struct work_actor *wa = &n->work;
    bool done = false;
    int rc;

    if (wa->hash_kv == NULL) {
        const struct mvcc_view *v = mvcc_view_pin(wa->reader);

        rc = mvcc_hash_begin(v, r->revision, &wa->hash_kv);
        mvcc_view_unpin(v);
        if (rc != 0) {
            wa->hash_kv = NULL;
            hash_kv_failed(n, r, rc);
            return true;
        }
    }
    rc = mvcc_hash_step(wa->hash_kv, NODE_STORE_STEP_RECORDS, &done);
    if (rc == 0 && !done)
        return false;
    if (rc != 0)
        hash_kv_failed(n, r, rc);
    else
        hash_kv_answer(n, r);
    mvcc_hash_end(wa->hash_kv);
    wa->hash_kv = NULL;
    return true;
}

/* ---- Hash ---- */

/* Begun on the store actor, which alone may pin what is committed; the request's arena carries it
 * here. */
void node__work_hash_begin(struct node *n, struct node_request *r)
{
    struct store_hash *h;
    struct err e = ERR_INIT;

    if (store_hash_begin(n->apply.store, &h, &e) != 0) {
        node__fail_text(n, &n->store.out, r, GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    r->store_hash = h;
    mpsc_push(&n->work.requests, &r->link);
    node__wake(n, NODE_WORK);
}

static bool step_hash(struct node *n, struct node_request *r)
{
    struct err e = ERR_INIT;
    bool done = false;

    if (store_hash_step(r->store_hash, NODE_STORE_STEP_RECORDS, &done, &e) != 0)
        node__die(n, "the data file cannot be read", &e);
    if (!done)
        return false;
    r->result.answer = NODE_ANSWER_NUMBER;
    r->result.number = store_hash_result(r->store_hash);
    store_hash_end(r->store_hash);
    node__finish(n, &n->work.out, r);
    return true;
}

/* ---- files ---- */

/* A failure harms nothing yet: the present segment has room.  It is not tried again at every write.
 */
static void prepare_segment(struct node *n, mono_ns now)
{
    struct err e = ERR_INIT;
    int rc;

    if (!wal_wants_prepare(n->wal.wal) || now < n->work.prepare_again)
        return;
    rc = wal_prepare(n->wal.wal, &e);
    node__disk_full(n, NODE_FULL_LOG, rc == ERR_NO_SPACE);
    if (rc == 0) {
        n->work.prepare_again = 0;
        node__wake(n, NODE_WAL); /* which may have stopped taking requests */
        return;
    }
    n->work.prepare_again = now + (rc == ERR_NO_SPACE ? NODE_FULL_RETRY_NS : NODE_PREPARE_RETRY_NS);
    if (rc != ERR_NO_SPACE)
        LOG_WARN(n->env.log, "failed to prepare the next WAL segment", F_ERR(&e));
}

/* INT64_MAX: nothing failed. */
static mono_ns next_prepare(const struct node *n)
{
    return n->work.prepare_again == 0 ? INT64_MAX : n->work.prepare_again;
}

/* One segment at a time, in pieces.  False: none is left to go. */
static bool purge_log(struct node *n, mono_ns now)
{
    struct work_actor *wa = &n->work;
    struct err e = ERR_INIT;

    if (wa->purged != NULL && now < wa->shed_again)
        return true;
    if (wa->purged != NULL && !file_shed(wa->purged, NODE_SHED_BYTES)) {
        file_close(wa->purged);
        wa->purged = NULL;
    }
    if (wa->purged == NULL && n->cfg.wals_max > 0 &&
        wal_purge(n->env.disk, n->wal_dir, n->cfg.wals_max, &wa->purged, &e) != 0)
        LOG_WARN(n->env.log, "failed to purge WAL files", F_ERR(&e));
    wa->shed_again = now + NODE_SHED_REST_NS;
    return wa->purged != NULL;
}

static void purge(struct node *n, mono_ns now)
{
    struct err e = ERR_INIT;
    size_t removed = 0;

    if (now < n->work.next_purge || purge_log(n, now))
        return;
    n->work.next_purge = now + NODE_PURGE_NS;
    if (n->cfg.snapshots_max > 0 &&
        snap_purge(n->env.disk, n->snap_dir, n->cfg.snapshots_max, &removed, &e) != 0)
        LOG_WARN(n->env.log, "failed to purge snapshot files", F_ERR(&e));
    node__forget_received(n, atomic_load(&n->pub.applied) + 1);
}

static void take_requests(struct work_actor *wa)
{
    for (struct mpsc_node *x = mpsc_take(&wa->requests), *next; x != NULL; x = next) {
        struct node_request *r = CONTAINER_OF(x, struct node_request, link);

        next = x->next;
        list_init(&r->age);
        list_push(r->kind == NODE_REQ_HASH_KV || r->kind == NODE_REQ_HASH ? &wa->queue
                                                                          : &wa->pieces,
                  &r->age);
    }
}

static void do_piece(struct node *n, struct node_request *r)
{
    if (r->kind == NODE_REQ_SNAPSHOT_PIECE)
        node__snapshot_piece(n, r);
    else
        node__receive(n, r);
}

static void step_hashes(struct node *n)
{
    struct work_actor *wa = &n->work;
    struct list *at = list_pop(&wa->queue);
    struct node_request *r;

    for (; at != NULL && atomic_load(&n->waits_over); at = list_pop(&wa->queue))
        hash_stopped(n, CONTAINER_OF(at, struct node_request, age));
    if (at == NULL)
        return;
    r = CONTAINER_OF(at, struct node_request, age);
    if (!(r->kind == NODE_REQ_HASH_KV ? step_hash_kv(n, r) : step_hash(n, r)))
        list_push_front(&wa->queue, at);
}

int64_t node__run_work(struct node *n, mono_ns now)
{
    struct work_actor *wa = &n->work;
    struct list *piece;

    node__raft_log_read(n);
    take_requests(wa);
    if ((piece = list_pop(&wa->pieces)) != NULL)
        do_piece(n, CONTAINER_OF(piece, struct node_request, age));
    step_hashes(n);
    prepare_segment(n, now);
    purge(n, now);
    node__outbox_flush(n, &wa->out);
    if (!list_empty(&wa->queue) || !list_empty(&wa->pieces))
        return 0;
    if (atomic_load(&n->stopping) && node__actor_stopped(n, NODE_STORE) &&
        mpsc_empty(&wa->requests))
        node__mark_stopped(n, NODE_WORK);
    return MAX(MIN(wa->purged == NULL ? wa->next_purge : wa->shed_again, next_prepare(n)) - now, 0);
}
