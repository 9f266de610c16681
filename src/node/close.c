/* close.c -- a member's end: what is applied is committed, what was decided is logged. */
#include "base/alloc.h"
#include "node/node_int.h"

/* ---- the end ---- */

/* What is applied becomes part of the file, so that the next start has nothing to do again. */
static void commit_all(struct node *n)
{
    struct err e = ERR_INIT;

    do {
        int rc = store_commit(n->apply.store, &e);

        if (rc == ERR_NO_SPACE)
            return; /* the log has it */
        if (rc != 0)
            node__die(n, "failed to commit to the data file", &e);
    } while (store_seal(n->apply.store));
}

static void drop_queues(struct node *n)
{
    struct mpsc_node *x, *next;

    for (x = mpsc_take(&n->raft.stored_jobs); x != NULL; x = next) {
        next = x->next;
        node__wal_job_free(n, CONTAINER_OF(x, struct wal_job, link));
    }
    while (n->wal.pending != NULL) { /* there was no room for them */
        struct wal_job *j = n->wal.pending;

        n->wal.pending = j->link.next == NULL ? NULL
                                              : CONTAINER_OF(j->link.next, struct wal_job, link);
        node__wal_job_free(n, j);
    }
    for (x = mpsc_take(&n->wal.jobs); x != NULL; x = next) {
        next = x->next;
        node__wal_job_free(n, CONTAINER_OF(x, struct wal_job, link));
    }
    for (x = mpsc_take(&n->raft.applied_jobs); x != NULL; x = next) {
        next = x->next;
        node__apply_job_free(n, CONTAINER_OF(x, struct apply_job, link));
    }
    for (x = mpsc_take(&n->apply.jobs); x != NULL; x = next) {
        next = x->next;
        node__apply_job_free(n, CONTAINER_OF(x, struct apply_job, link));
    }
    for (x = mpsc_take(&n->raft.markers); x != NULL; x = next) { /* raft had stopped before */
        next = x->next;
        node__store_job_free(CONTAINER_OF(x, struct store_job, link));
    }
}

static void save_last_state(struct node *n)
{
    struct wal_save save = {.hard_state = &n->raft.hard};
    struct err e = ERR_INIT;
    int rc;

    if (n->raft.raft == NULL)
        return;
    rc = n->raft.lazy_hard ? wal_append_batch(n->wal.wal, &save, 1, &e) : 0;
    if (rc != 0 && rc != ERR_NO_SPACE) /* a commit index may be lost */
        node__die(n, "failed to save to the write-ahead log", &e);
    if (wal_sync(n->wal.wal, &e) != 0)
        node__die(n, "failed to sync the write-ahead log", &e);
}

/* N11 */
static void check_requests(struct node *n)
{
    struct raft_actor *ra = &n->raft;
    struct apply_actor *a = &n->apply;

    ASSERT(mpsc_empty(&ra->requests));
    ASSERT(mpsc_empty(&ra->reads));
    ASSERT(ra->waiting.count == 0);
    ASSERT(list_empty(&ra->by_age));
    ASSERT(list_empty(&ra->blocked));
    ASSERT(list_empty(&ra->riders));
    ASSERT(list_empty(&ra->transfers));
    ASSERT(list_empty(&ra->reads_next));
    ASSERT(list_empty(&ra->reads_round));
    ASSERT(list_empty(&ra->reads_apply));
    ASSERT(mpsc_empty(&a->requests));
    ASSERT(a->queries == NULL);
    ASSERT(a->later.count == 0);
    ASSERT(a->later_entries.count == 0);
    ASSERT(list_empty(&a->awaited));
    ASSERT(list_empty(&a->physical));
    ASSERT(mpsc_empty(&n->work.requests));
    ASSERT(list_empty(&n->work.queue));
    ASSERT(list_empty(&n->work.pieces));
    ASSERT(!ra->out.any);
    ASSERT(!a->out.any);
    ASSERT(!n->store.out.any);
    ASSERT(!n->work.out.any);
}

void node_close(struct node *n)
{
    struct apply_actor *a;

    if (n == NULL)
        return;
    a = &n->apply;
    check_requests(n);
    drop_queues(n);
    node__sendings_drop(n);
    node__peers_drop(n);
    if (n->wal.wal != NULL)
        save_last_state(n);
    watch_hub_free(a->hub);
    if (a->mvcc != NULL) {
        node__apply_store_done(n); /* what the store gave back when apply had stopped */
        if (n->raft.raft != NULL)
            commit_all(n);
        mvcc_publish(a->mvcc);
        node__metrics_done(n);
        if (a->reader != NULL)
            mvcc_reader_free(a->reader);
        if (n->work.reader != NULL)
            mvcc_reader_free(n->work.reader);
        mvcc_close(a->mvcc);
    }
    auth_free(a->auth);
    if (a->lessor != NULL)
        lessor_free(a->lessor);
    node__versions_done(n);
    node__checks_done(n);
    cluster_free(a->cluster);
    store_close(a->store);
    raft_free(n->raft.raft);
    raft_memory_storage_free(n->raft.log);
    wal_close(n->wal.wal);
    file_close(n->work.purged);
    node__jobs_done(n);
    map64_done(&n->raft.waiting);
    arena_done(&a->scratch);
    heap_done(&a->later);
    heap_done(&a->later_entries);
    mem_free(n->raft.outgoing);
    mem_free(n->raft.batch);
    mem_free(n->raft.batch_requests);
    for (size_t i = 0; i < n->cfg.client_urls_n; i++)
        mem_free(n->client_urls[i]);
    mem_free(n->client_urls);
    mem_free(n->name);
    mem_free(n->data_dir);
    mem_free(n->snap_dir);
    mem_free(n->wal_dir);
    mem_free(n->db_path);
    mem_free(n);
}
