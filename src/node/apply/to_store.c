/* to_store.c -- jobs for the store actor: behind what was applied before them, and what becomes of
 * those that come back.
 */
#include "node/measure.h"

/* A member that stops cannot wait for room in the data file. */
static void give_up_jobs(struct node *n)
{
    struct list *x;

    while ((x = list_pop(&n->apply.to_store)) != NULL) {
        struct store_job *j = CONTAINER_OF(x, struct store_job, queue);

        if (j->work == STORE_WORK_SEND) {
            node__sending_give_up(n, j);
            continue;
        }
        if (j->work != STORE_WORK_REQUEST) {
            mpsc_push(&n->apply.store_done, &j->link);
            continue;
        }
        node__fail(n, &n->apply.out, j->request, API_STOPPED);
        node__store_job_free(j);
    }
    node__wake(n, NODE_APPLY);
}

/* What was applied before goes first: seal, even when the batch is not due.  While the data file's
 * disk is so slow that no more batches may wait, jobs wait here (N4 would not hold without that).
 */
void node__apply_hand_over(struct node *n)
{
    struct apply_actor *a = &n->apply;
    struct list *x;

    if (list_empty(&a->to_store) || atomic_load(&n->restoring))
        return;
    if (store_seal(a->store))
        a->last_seal = a->now;
    if (!store_all_sealed(a->store)) {
        if (atomic_load(&n->stopping) && (atomic_load(&n->pub.disk_full) & NODE_FULL_DATA) != 0)
            give_up_jobs(n);
        return;
    }
    while ((x = list_pop(&a->to_store)) != NULL)
        mpsc_push(&n->store.jobs, &CONTAINER_OF(x, struct store_job, queue)->link);
    node__wake(n, NODE_STORE);
}

void node__apply_to_store(struct node *n, struct store_job *j)
{
    list_push(&n->apply.to_store, &j->queue);
    node__apply_hand_over(n);
}

static void compaction_came_back(struct node *n, struct store_job *j)
{
    struct apply_actor *a = &n->apply;
    struct mvcc_compaction_info info;

    mvcc_compaction_info(j->compaction, &info);
    if (j->done)
        LOG_INFO(n->env.log, "finished scheduled compaction",
                 F_I64("compact-revision", info.revision),
                 F_U64("number-of-keys-compacted", info.records_removed), F_U64("hash", info.hash),
                 F_U64("current-db-size-bytes", store_db_size(a->store)),
                 F_U64("current-db-size-in-use-bytes", store_db_size_in_use(a->store)));
    if (j->done)
        node__measure_compacted(n, &info);
    mvcc_compaction_end(a->mvcc, j->compaction, j->done);
    a->compacting = false;
    a->compactions_done++;
    a->compactions_queued--;
    a->dirty = true;
    LIST_EACH_SAFE (x, &a->physical) {
        struct node_request *r = CONTAINER_OF(x, struct node_request, age);

        if (r->index <= a->compactions_done) {
            list_remove(x);
            node__finish(n, &a->out, r);
        }
    }
}

static void disk_snapshot_done(struct apply_actor *a, raft_index index)
{
    a->last_disk_snapshot = MAX(a->last_disk_snapshot,
                                index); /* a received one may have overtaken it */
    if (a->storage_lower_at != 0)
        a->monitor_again = a->now; /* it waits for just that */
}

void node__apply_store_done(struct node *n)
{
    struct apply_actor *a = &n->apply;

    for (struct mpsc_node *x = mpsc_take(&a->store_done), *next; x != NULL; x = next) {
        struct store_job *j = CONTAINER_OF(x, struct store_job, link);

        next = x->next;
        switch (j->work) {
        case STORE_WORK_COMPACTION:
            compaction_came_back(n, j);
            break;
        case STORE_WORK_DISK_SNAPSHOT:
            a->snapshot_under_way = false;
            if (j->done)
                disk_snapshot_done(a, j->snap.index);
            else
                a->snapshot_again = a->now + NODE_SNAPSHOT_RETRY_NS;
            break;
        case STORE_WORK_RESTORE:
            node__restore_finish(n, j);
            break;
        case STORE_WORK_REQUEST:
        case STORE_WORK_SEND:
            UNREACHABLE();
        }
        node__store_job_free(j);
    }
}
