/* apply.c -- the apply thread: committed entries in order, one published view per turn.
 *
 * A turn applies what has gathered (at most NODE_APPLY_TURN_ENTRIES_MAX entries), answers queries,
 * publishes one view, and only then lets anybody know: results, watch notes and the acknowledgement
 * to raft all come after the view that shows what they speak of.
 */
#include "node/node_int.h"

static void take_jobs(struct apply_actor *a)
{
    for (struct mpsc_node *x = mpsc_take(&a->jobs), *next; x != NULL; x = next) {
        struct apply_job *j = CONTAINER_OF(x, struct apply_job, link);

        next = x->next;
        j->link.next = NULL;
        if (a->queue_first == NULL)
            a->queue_first = j;
        else
            a->queue_last->link.next = &j->link;
        a->queue_last = j;
    }
}

static struct apply_job *next_job(struct apply_actor *a)
{
    struct apply_job *j = a->queue_first;

    if (j == NULL)
        return NULL;
    a->queue_first = j->link.next == NULL ? NULL
                                          : CONTAINER_OF(j->link.next, struct apply_job, link);
    a->current_at = 0;
    a->term = j->term;
    a->is_leader = j->is_leader;
    return j;
}

/* A job that is a snapshot has no entries: it takes as long as its file.  True: all is done. */
static bool restored(struct node *n, struct apply_job *j)
{
    if (j->snapshot_index == 0)
        return true;
    if (n->apply.current_at == 0) {
        n->apply.current_at = 1;
        node__restore_begin(n, j);
    }
    return !atomic_load(&n->restoring);
}

/* Applies until the turn is full or nothing is left; jobs that are done are linked by *ret_done. */
static void apply_some(struct node *n, struct apply_job **ret_done)
{
    struct apply_actor *a = &n->apply;
    struct apply_job **end = ret_done;
    size_t count = 0;

    *ret_done = NULL;
    while (count < NODE_APPLY_TURN_ENTRIES_MAX) {
        if (a->current == NULL)
            a->current = next_job(a);
        if (a->current == NULL || !restored(n, a->current) ||
            (a->current->entries.n > 0 && store_must_pause(a->store)))
            break;
        while (a->current_at < a->current->entries.n && count < NODE_APPLY_TURN_ENTRIES_MAX) {
            size_t i = a->current_at++;

            node__apply_entry(n, &a->current->entries.v[i], a->current->waiters[i], a->current);
            count++;
        }
        if (a->current_at < a->current->entries.n)
            break;
        *end = a->current;
        a->current->done_next = NULL;
        end = &a->current->done_next;
        a->current = NULL;
    }
    a->dirty |= count != 0;
}

static void give_back(struct node *n, struct apply_job *done)
{
    if (done == NULL)
        return;
    while (done != NULL) {
        struct apply_job *next = done->done_next;

        mpsc_push(&n->raft.applied_jobs, &done->link);
        done = next;
    }
    node__wake(n, NODE_RAFT);
}

/* In their order, until the turn is full: entries do not wait for all that was asked. */
static void answer_queries(struct node *n)
{
    struct apply_actor *a = &n->apply;

    a->query_units = 0;
    while (a->query_units < NODE_APPLY_TURN_QUERY_UNITS_MAX) {
        struct mpsc_node *x = a->queries == NULL ? mpsc_take(&a->requests) : a->queries;

        if (x == NULL)
            return;
        a->queries = x->next;
        a->query_units++;
        node__apply_query(n, CONTAINER_OF(x, struct node_request, link));
    }
}

/* Makes the turn's changes visible, then everything that speaks of them. */
static void publish(struct node *n)
{
    struct apply_actor *a = &n->apply;

    /* First who may see it, then what is new. */
    node__auth_publish(n);
    if (atomic_exchange(&a->committed, false) || a->dirty || mvcc_reclaiming(a->mvcc))
        mvcc_publish(a->mvcc);
    a->dirty = false;
    atomic_store(&n->pub.applied, a->applied);
    watch_flush(a->hub);
}

static void seal_when_due(struct node *n)
{
    struct apply_actor *a = &n->apply;
    int64_t open_ms = (a->now - a->last_seal) / 1000000;

    if (atomic_load(&n->restoring) || !store_batch_due(a->store, open_ms))
        return;
    if (store_seal(a->store))
        node__wake(n, NODE_STORE);
    a->last_seal = a->now;
}

static bool apply_idle(struct node *n)
{
    struct apply_actor *a = &n->apply;

    return a->current == NULL && a->queue_first == NULL && mpsc_empty(&a->jobs) &&
           a->queries == NULL && mpsc_empty(&a->requests) && list_empty(&a->to_store) &&
           !a->out.any;
}

int64_t node__run_apply(struct node *n, mono_ns now, wall_ms wall)
{
    struct apply_actor *a = &n->apply;
    struct apply_job *done;

    a->now = now;
    a->wall = wall;
    node__apply_store_done(n);
    take_jobs(a);
    apply_some(n, &done);
    answer_queries(n);
    node__sendings_take(n);
    node__apply_monitor(n);
    node__apply_background(n);
    publish(n);
    give_back(n, done);
    node__outbox_flush(n, &a->out);
    node__apply_hand_over(n);
    seal_when_due(n);
    if (atomic_load(&n->stopping) && node__actor_stopped(n, NODE_RAFT) && apply_idle(n))
        node__mark_stopped(n, NODE_APPLY);
    if (a->queries != NULL || !mpsc_empty(&a->requests))
        return 0;
    if ((a->current != NULL || a->queue_first != NULL) && !store_must_pause(a->store) &&
        !atomic_load(&n->restoring))
        return 0;
    return node__apply_next_due(n);
}
