/* restore.c -- a snapshot of the leader's takes the place of this member's state.
 *
 *   raft    MsgSnap accepted: the log is the snapshot's                  node__restore_save
 *   wal     .snap file, then the marker with the hard state, synced      node__restore_keep
 *   raft    promises leave; apply is told, behind all entries before     node__restore_stored
 *   apply   writes nothing more                                          node__restore_begin
 *   store   INDEX.snap.db is renamed over db and opened, its index built node__restore_file
 *   apply   takes all of it over, tells watchers, publishes              node__restore_finish
 *
 * This is etcd's order.  A crash before the marker: the snapshot never came.  Behind it: the start
 * finds a marker that is newer than db, and renames the file then (reopen.c).  Behind the rename:
 * db is at the marker.
 *
 * Readers of the old state keep its file and its index as long as they like.
 */
#include "base/alloc.h"
#include "node/measure.h"
#include "node/open.h"

struct received {
    struct raft_snapshot snapshot;
    struct arena arena; /* what it points to */
};

/* ---- the raft actor ---- */

static void copy_ids(struct raft_ids *ids, struct arena *a)
{
    if (ids->n > 0)
        ids->v = arena_dup(a, ids->v, ids->n * sizeof ids->v[0]);
}

static struct received *received_new(const struct raft_snapshot *s)
{
    struct received *r = xmem_calloc(1, sizeof *r);
    struct raft_conf_state *c = &r->snapshot.meta.conf_state;

    arena_init(&r->arena, SIZE_MAX);
    r->snapshot = *s;
    copy_ids(&c->voters, &r->arena);
    copy_ids(&c->learners, &r->arena);
    copy_ids(&c->voters_outgoing, &r->arena);
    copy_ids(&c->learners_next, &r->arena);
    r->snapshot.data = bytes_of(arena_dup(&r->arena, s->data.p, s->data.n), s->data.n);
    return r;
}

void node__received_free(struct received *r)
{
    if (r == NULL)
        return;
    arena_done(&r->arena);
    mem_free(r);
}

void node__restore_save(struct node *n, struct wal_job *j, const struct raft_snapshot *s)
{
    struct raft_actor *ra = &n->raft;
    struct received *r = received_new(s);

    if (raft_memory_storage_apply_snapshot(ra->log, &r->snapshot) != 0)
        UNREACHABLE(); /* it is behind what is committed, and so is every one before */
    ra->compacted = ra->remembered = s->meta.index;
    ra->newest_marker = s->meta.index;
    j->received = r;
    j->has_marker = true;
    j->marker = (struct wal_snapshot){.index = s->meta.index,
                                      .term = s->meta.term,
                                      .conf_state = r->snapshot.meta.conf_state,
                                      .has_conf_state = true};
}

void node__restore_stored(struct node *n, struct wal_job *w)
{
    struct apply_job *j = node__apply_job_new(n, 0);
    const struct raft_snapshot_meta *m = &w->received->snapshot.meta;

    j->snapshot_index = m->index;
    j->snapshot_term = m->term;
    j->mark = (struct raft_apply_mark){.index = m->index};
    j->term = raft_get_term(n->raft.raft);
    j->is_leader = n->raft.is_leader;
    mpsc_push(&n->apply.jobs, &j->link);
    node__wake(n, NODE_APPLY);
}

/* ---- the wal actor ---- */

/* 0, or what snap_save may be tried again for. */
int node__restore_keep(struct node *n, const struct wal_job *j, struct err *e)
{
    mono_ns began = node__measure_now(n);
    int rc = snap_save(n->env.disk, n->snap_dir, &j->received->snapshot, e);

    if (rc == 0)
        node__measure_snapshot(n, began);
    return rc;
}

/* ---- the apply actor begins ---- */

/* Of the file that goes. */
static void drop_jobs(struct node *n, struct list *jobs)
{
    LIST_EACH_SAFE (x, jobs) {
        struct store_job *j = CONTAINER_OF(x, struct store_job, queue);

        if (j->work == STORE_WORK_COMPACTION || j->work == STORE_WORK_DISK_SNAPSHOT) {
            list_remove(x);
            mpsc_push(&n->apply.store_done, &j->link);
        }
    }
}

void node__restore_begin(struct node *n, struct apply_job *job)
{
    struct apply_actor *a = &n->apply;
    struct store_job *j = node__store_job_new(STORE_WORK_RESTORE);

    LOG_INFO(n->env.log, "applying snapshot",
             F_U64("current-snapshot-index", a->last_disk_snapshot),
             F_U64("current-applied-index", a->applied),
             F_U64("incoming-leader-snapshot-index", job->snapshot_index),
             F_U64("incoming-leader-snapshot-term", job->snapshot_term));
    if (job->snapshot_index <= a->applied)
        node__die(n, "unexpected leader snapshot from outdated index", NULL);
    node__measure_restoring(n, true);
    atomic_store(&n->restoring, true);
    drop_jobs(n, &a->to_store);
    j->snap.index = job->snapshot_index;
    j->snap.term = job->snapshot_term;
    mpsc_push(&n->store.jobs, &j->link); /* what is not sealed will never be */
    node__wake(n, NODE_STORE);
}

/* ---- the store actor ---- */

/* Received files that are older than what the data file holds are of no use any more.  One that
 * cannot be removed costs room only. */
void node__forget_received(struct node *n, raft_index index)
{
    struct err e = ERR_INIT;

    if (snap_db_release(n->env.disk, n->snap_dir, index, &e) != 0)
        LOG_WARN(n->env.log, "failed to remove received snapshots", F_ERR(&e));
}

/* A defragmentation begins anew, with the other file. */
static void stop_work(struct node *n)
{
    LIST_EACH (x, &n->store.work) {
        struct store_job *j = CONTAINER_OF(x, struct store_job, queue);

        store_defrag_end(j->defrag);
        j->defrag = NULL;
    }
    drop_jobs(n, &n->store.work);
    drop_jobs(n, &n->store.held);
}

void node__restore_file(struct node *n, struct store_job *j)
{
    struct store_view view;
    struct err e = ERR_INIT;
    int rc;

    stop_work(n);
    rc = snap_db_install(n->env.disk, n->snap_dir, j->snap.index, &e);
    if (rc == 0)
        rc = store_replace(n->apply.store, &e);
    if (rc != 0)
        node__die(n, "failed to open snapshot backend", &e);
    LOG_INFO(n->env.log, "applySnapshot: opened snapshot backend",
             F_U64("snapshot-index", j->snap.index));
    store_replacement_view(n->apply.store, &view);
    if (mvcc_load(&view, &j->loaded, &e) != 0)
        node__die(n, "failed to restore mvcc store", &e);
    node__forget_received(n, j->snap.index);
    n->store.replaced++;
    mpsc_push(&n->apply.store_done, &j->link);
    node__wake(n, NODE_APPLY);
}

/* ---- the apply actor goes on ---- */

/* Who waits for the file to be rid of what was compacted: the new one is, or resumes it. */
static void compactions_again(struct node *n)
{
    struct apply_actor *a = &n->apply;
    bool unfinished = node__compaction_unfinished(a->store);

    a->compactions_done += a->compactions_queued;
    a->compactions_queued = unfinished ? 1 : 0;
    a->compacting = false;
    LIST_EACH_SAFE (x, &a->physical) {
        struct node_request *r = CONTAINER_OF(x, struct node_request, age);

        r->index = a->compactions_done + 1;
        if (!unfinished) {
            list_remove(x);
            node__finish(n, &a->out, r);
        }
    }
}

void node__restore_finish(struct node *n, struct store_job *j)
{
    struct apply_actor *a = &n->apply;
    struct err e = ERR_INIT;

    ASSERT(atomic_load(&n->restoring));
    if (store_take_over(a->store, &e) != 0)
        node__die(n, "failed to open snapshot backend", &e);
    ASSERT(store_applied_index(a->store) == j->snap.index); /* receiving.c has seen to it */
    compactions_again(n);
    if (node__reload_state(n, j->loaded, &e) != 0)
        node__die(n, "failed to restore from a snapshot", &e);
    j->loaded = NULL;
    a->applied = j->snap.index;
    a->applied_term = j->snap.term;
    LOG_INFO(n->env.log, "applied snapshot", F_U64("current-snapshot-index", j->snap.index),
             F_U64("current-applied-index", a->applied),
             F_U64("incoming-leader-snapshot-index", j->snap.index),
             F_U64("incoming-leader-snapshot-term", j->snap.term));
    a->last_disk_snapshot = j->snap.index;
    a->dirty = true;
    node__attributes_restored(n);
    node__measure_restoring(n, false);
    atomic_fetch_add(&n->taken_over, 1);
    atomic_store(&n->restoring, false);
    node__wake(n, NODE_STORE);
}
