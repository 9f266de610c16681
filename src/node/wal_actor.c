/* wal_actor.c -- everything that gathered, in one write and one sync. */
#include "node/measure.h"

static size_t take_batch(struct wal_actor *wa, struct wal_job **jobs, struct wal_save *saves)
{
    size_t k = 0;

    while (wa->pending != NULL && k < NODE_WAL_BATCH_MAX) {
        struct wal_job *j = wa->pending;
        struct mpsc_node *next = j->link.next;

        wa->pending = next == NULL ? NULL : CONTAINER_OF(next, struct wal_job, link);
        saves[k] = (struct wal_save){.snapshot = j->has_marker ? &j->marker : NULL,
                                     .entries = j->entries.v,
                                     .entries_n = j->entries.n,
                                     .hard_state = j->has_hard ? &j->hard : NULL};
        jobs[k++] = j;
    }
    return k;
}

/* Received snapshots are files before their markers are.  0, or a refusal after which it is tried
 * again: ERR_NO_SPACE; without memory or a descriptor ERR_AGAIN. */
static int keep_received(struct node *n, struct wal_job *const *jobs, size_t k)
{
    struct err e = ERR_INIT;
    int rc = 0;

    for (size_t i = 0; i < k && rc == 0; i++)
        rc = jobs[i]->received == NULL ? 0 : node__restore_keep(n, jobs[i], &e);
    if (rc != 0 && rc != ERR_NO_SPACE && rc != ERR_NOMEM && rc != ERR_AGAIN)
        node__die(n, "failed to save a snapshot", &e);
    return rc == ERR_NOMEM ? ERR_AGAIN : rc;
}

/* A member that stops does not wait for room: nobody was promised what could not be written. */
static bool stopped_without_room(struct node *n)
{
    if (!atomic_load(&n->stopping) || !node__actor_stopped(n, NODE_APPLY))
        return false;
    node__mark_stopped(n, NODE_WAL);
    return true;
}

int64_t node__run_wal(struct node *n, mono_ns now)
{
    struct wal_actor *wa = &n->wal;
    struct wal_job *jobs[NODE_WAL_BATCH_MAX];
    struct wal_save saves[NODE_WAL_BATCH_MAX];
    bool last;
    size_t k;

    if (wa->pending == NULL) {
        struct mpsc_node *x = mpsc_take(&wa->jobs);

        wa->pending = x == NULL ? NULL : CONTAINER_OF(x, struct wal_job, link);
    }
    if (now < wa->again)
        return stopped_without_room(n) ? -1 : wa->again - now;
    k = take_batch(wa, jobs, saves);
    if (k != 0) {
        struct err e = ERR_INIT;
        int kept, rc;

        node__measure_write(n);
        node__log_write_begins(n, now);
        rc = kept = keep_received(n, jobs, k);
        if (rc == 0)
            rc = wal_append_batch(wa->wal, saves, k, &e);
        node__log_write_ends(n);
        if (rc == ERR_NO_SPACE || kept != 0) {
            wa->pending = jobs[0]; /* they are linked still */
            wa->again = now + NODE_FULL_RETRY_NS;
            node__disk_full(n, NODE_LOG_ENDS, rc == ERR_NO_SPACE);
            node__wake(n, NODE_WORK);
            return NODE_FULL_RETRY_NS;
        }
        if (rc != 0)
            node__die(n, "failed to save to the write-ahead log", &e);
        jobs[k - 1]->written = wal_position(wa->wal);
        for (size_t i = 0; i < k; i++) {
            if (jobs[i]->has_marker && !atomic_load(&n->log_kept))
                wal_release_to(wa->wal, jobs[i]->marker.index);
            mpsc_push(&n->raft.stored_jobs, &jobs[i]->link);
        }
        node__wake(n, NODE_RAFT);
        if (wal_wants_prepare(wa->wal))
            node__wake(n, NODE_WORK);
    }
    if (atomic_load_explicit(&n->pub.disk_full, memory_order_relaxed) != 0)
        node__log_room(n);
    last = atomic_load(&n->stopping) && node__actor_stopped(n, NODE_APPLY);
    if (wa->pending != NULL || !mpsc_empty(&wa->jobs))
        return 0;
    if (last)
        node__mark_stopped(n, NODE_WAL);
    return -1;
}
