/* store_actor.c -- the only one that writes the data file: sealed batches first, then one step of
 * each longer piece of work, so that no batch waits for more than a step.
 */
#include "base/alloc.h"
#include "node/measure.h"

/* ---- work in steps: true when it is over ---- */

static bool step_compaction(struct node *n, struct store_job *j, mono_ns now)
{
    mono_ns began = node__measure_now(n);
    struct err e = ERR_INIT;
    int rc;

    if (now < j->not_before && !atomic_load(&n->stopping)) /* a stop does not wait for its rest */
        return false;
    rc = mvcc_compaction_step(j->compaction, n->cfg.compaction_batch, &j->done, &e);
    if (rc != 0 && rc != ERR_NO_SPACE)
        node__die(n, "failed to compact the data file", &e);
    node__measure_compaction_step(n, began, j->not_before == 0, j->done);
    j->not_before = now + (rc == 0 ? n->cfg.compaction_sleep_ms * 1000000 : NODE_FULL_RETRY_NS);
    atomic_store(&n->apply.committed, true);
    if (!j->done && !atomic_load(&n->stopping)) {
        node__wake(n, NODE_APPLY);
        return false;
    }
    mpsc_push(&n->apply.store_done, &j->link);
    node__wake(n, NODE_APPLY);
    return true;
}

static bool end_defragment(struct node *n, struct store_job *j, const struct err *e)
{
    struct node_request *r = j->request;

    store_defrag_end(j->defrag);
    atomic_store(&n->apply.committed, true);
    node__wake(n, NODE_APPLY);
    if (e == NULL) {
        LOG_INFO(n->env.log, "finished defragmenting directory", F_STR("path", n->db_path),
                 F_U64("current-db-size-bytes", store_db_size(n->apply.store)),
                 F_U64("current-db-size-in-use-bytes", store_db_size_in_use(n->apply.store)));
        node__finish(n, &n->store.out, r);
    } else {
        node__fail_text(n, &n->store.out, r, GRPC_UNKNOWN, arena_printf(r->arena, "%s", e->msg));
    }
    node__store_job_free(j);
    return true;
}

/* A member that stops does not wait for a copy of gigabytes: what there is of it goes. */
static bool break_off_defragment(struct node *n, struct store_job *j)
{
    if (j->defrag != NULL) {
        store_defrag_end(j->defrag);
        atomic_store(&n->apply.committed, true);
        node__wake(n, NODE_APPLY);
    }
    node__fail(n, &n->store.out, j->request, API_STOPPED);
    node__store_job_free(j);
    return true;
}

static bool step_defragment(struct node *n, struct store_job *j, mono_ns now)
{
    struct err e = ERR_INIT;
    bool done = false;

    if (atomic_load(&n->waits_over))
        return break_off_defragment(n, j);
    if (now < j->not_before)
        return false;
    j->not_before = now + NODE_DEFRAG_REST_NS;
    if (j->defrag == NULL && store_defrag_begin(n->apply.store, &j->defrag, &e) != 0)
        return end_defragment(n, j, &e);
    if (store_defrag_step(j->defrag, NODE_STORE_STEP_RECORDS, &done, &e) != 0)
        return end_defragment(n, j, &e);
    return done ? end_defragment(n, j, NULL) : false;
}

static bool step_request(struct node *n, struct store_job *j, mono_ns now)
{
    struct node_request *r = j->request;

    if (r->kind == NODE_REQ_DEFRAGMENT)
        return step_defragment(n, j, now);
    if (r->kind == NODE_REQ_SNAPSHOT) {
        node__snapshot_begin(n, r);
    } else {
        ASSERT(r->kind == NODE_REQ_HASH);
        node__work_hash_begin(n, r);
    }
    node__store_job_free(j);
    return true;
}

/* The file holds everything up to the snapshot's index: now the .snap may be written, then its
 * marker. */
static bool save_disk_snapshot(struct node *n, struct store_job *j)
{
    struct raft_snapshot s = {
        .data = j->snap.payload,
        .meta = {.conf_state = j->snap.conf_state, .index = j->snap.index, .term = j->snap.term}};
    mono_ns began = node__measure_now(n);
    struct err e = ERR_INIT;
    int rc = snap_save(n->env.disk, n->snap_dir, &s, &e);

    if (rc == ERR_NO_SPACE || rc == ERR_NOMEM || rc == ERR_AGAIN) {
        LOG_WARN(n->env.log, "no room for a snapshot; will try again", F_ERR(&e));
        mpsc_push(&n->apply.store_done, &j->link);
        node__wake(n, NODE_APPLY);
        return true;
    }
    if (rc != 0)
        node__die(n, "failed to save a snapshot", &e);
    node__measure_snapshot(n, began);
    node__forget_received(n, j->snap.index);
    mpsc_push(&n->raft.markers, &j->link);
    node__wake(n, NODE_RAFT);
    return true;
}

static bool step(struct node *n, struct store_job *j, mono_ns now)
{
    switch (j->work) {
    case STORE_WORK_COMPACTION:
        return step_compaction(n, j, now);
    case STORE_WORK_REQUEST:
        return step_request(n, j, now);
    case STORE_WORK_DISK_SNAPSHOT:
        return save_disk_snapshot(n, j);
    case STORE_WORK_SEND:
        return node__sending_begin(n, j);
    case STORE_WORK_RESTORE:
        break; /* does not wait its turn */
    }
    UNREACHABLE();
}

/* A compaction and a defragmentation exclude each other: the first in line goes on, others like it
 * wait, but for a defragmentation that will not be made any more. */
static void step_all(struct node *n, mono_ns now)
{
    bool over = atomic_load(&n->waits_over), long_work = false;

    LIST_EACH_SAFE (x, &n->store.work) {
        struct store_job *j = CONTAINER_OF(x, struct store_job, queue);
        bool is_defrag = j->work == STORE_WORK_REQUEST && j->request->kind == NODE_REQ_DEFRAGMENT;
        bool is_long = j->work == STORE_WORK_COMPACTION || is_defrag;

        if (is_long && long_work && !(is_defrag && over))
            continue;
        long_work |= is_long;
        list_remove(x);
        if (!step(n, j, now))
            list_insert_before(x_next, x);
    }
}

/* Whether the jobs that were taken before it may begin: all that was sealed ahead of them is in the
 * file. */
static bool commit(struct node *n, mono_ns now)
{
    struct store_actor *sa = &n->store;
    struct err e = ERR_INIT;
    uint64_t before = store_commits(n->apply.store);
    mono_ns began = clock_mono_ns(n->env.clock);
    int rc;

    if (sa->waiting && now < sa->ask_again)
        return false;
    rc = store_commit(n->apply.store, &e);
    if (rc != 0 && rc != ERR_NO_SPACE)
        node__die(n, "failed to commit to the data file", &e);
    sa->waiting = rc == ERR_NO_SPACE;
    if (sa->waiting)
        sa->ask_again = now + NODE_FULL_RETRY_NS;
    if (store_commits(n->apply.store) != before) {
        node__count_commit(n, clock_mono_ns(n->env.clock) - began);
        atomic_store(&n->apply.committed, true);
        node__wake(n, NODE_APPLY);
    }
    return !sa->waiting;
}

/* While nothing is committed nobody else finds out that there is room again; and at start, that
 * there is none. */
static void ask_room(struct node *n, mono_ns now)
{
    struct store *store = n->apply.store;
    struct err e = ERR_INIT;

    if ((store_low_on_space(store) && now >= n->store.ask_again) || !n->store.asked) {
        int rc = store_ask_room(store, &e);

        if (rc != 0 && rc != ERR_NO_SPACE)
            node__die(n, "failed to extend the data file", &e);
        n->store.ask_again = now + NODE_FULL_RETRY_NS;
        n->store.asked = true;
    }
    node__disk_full(n, NODE_FULL_DATA, store_low_on_space(store));
}

/* A member that stops cannot wait for room. */
static void give_up(struct node *n, struct store_job *j)
{
    if (j->work == STORE_WORK_SEND) {
        node__sending_give_up(n, j);
        return;
    }
    if (j->work != STORE_WORK_REQUEST) {
        mpsc_push(&n->apply.store_done, &j->link);
        node__wake(n, NODE_APPLY);
        return;
    }
    node__fail(n, &n->store.out, j->request, API_STOPPED);
    node__store_job_free(j);
}

/* Jobs begin behind the commit of what came before them; only a defragmentation, which may make
 * room, does not wait while that fails. */
static void begin_jobs(struct node *n, bool committed)
{
    bool stopping = atomic_load(&n->stopping);

    LIST_EACH_SAFE (x, &n->store.held) {
        struct store_job *j = CONTAINER_OF(x, struct store_job, queue);

        if (committed ||
            (j->work == STORE_WORK_REQUEST && j->request->kind == NODE_REQ_DEFRAGMENT)) {
            list_remove(x);
            list_push(&n->store.work, x);
        } else if (stopping) {
            list_remove(x);
            give_up(n, j);
        }
    }
}

/* A snapshot's file takes the place of this one before anything else, committed or not. */
static void take_jobs(struct node *n)
{
    struct store_job *restore = NULL;

    for (struct mpsc_node *x = mpsc_take(&n->store.jobs), *next; x != NULL; x = next) {
        struct store_job *j = CONTAINER_OF(x, struct store_job, link);

        next = x->next;
        if (j->work == STORE_WORK_RESTORE)
            restore = j;
        else
            list_push(&n->store.held, &j->queue);
    }
    if (restore != NULL)
        node__restore_file(n, restore);
}

/* Counted, for when apply has taken over it may have begun with the next one before this actor ran.
 */
static bool awaits_apply(struct node *n)
{
    return n->store.replaced != atomic_load(&n->taken_over);
}

static void shed(struct node *n, mono_ns now)
{
    struct store_actor *sa = &n->store;

    if (sa->shedding && now < sa->shed_again)
        return;
    sa->shedding = store_shed(n->apply.store, NODE_SHED_BYTES);
    sa->shed_again = now + NODE_SHED_REST_NS;
}

/* The sooner of two times to run again; negative means never. */
static int64_t sooner(int64_t a, int64_t b)
{
    if (a < 0 || b < 0)
        return MAX(a, b);
    return MIN(a, b);
}

static int64_t next_step(const struct node *n, mono_ns now)
{
    int64_t due = store_low_on_space(n->apply.store) ? MAX(n->store.ask_again - now, 0) : -1;

    if (n->store.shedding)
        due = sooner(due, MAX(n->store.shed_again - now, 0));
    LIST_EACH (x, &n->store.work) {
        struct store_job *j = CONTAINER_OF(x, struct store_job, queue);

        due = sooner(due, MAX(j->not_before - now, 0));
    }
    return due;
}

int64_t node__run_store(struct node *n, mono_ns now)
{
    struct store_actor *sa = &n->store;

    if (awaits_apply(n))
        return -1;
    /* Jobs are taken before the commit: what was sealed ahead of each of them is then in it. */
    take_jobs(n);
    if (awaits_apply(n))
        return -1;
    begin_jobs(n, commit(n, now));
    step_all(n, now);
    shed(n, now);
    ask_room(n, now);
    node__outbox_flush(n, &sa->out);
    if (atomic_load(&n->stopping) && node__actor_stopped(n, NODE_APPLY) && list_empty(&sa->work) &&
        list_empty(&sa->held) && mpsc_empty(&sa->jobs))
        node__mark_stopped(n, NODE_STORE);
    return next_step(n, now);
}
