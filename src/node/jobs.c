/* jobs.c -- jobs are made once and used again: no allocation in the steady state. */
#include "base/alloc.h"
#include "node/node_int.h"

struct wal_job *node__wal_job_new(struct node *n)
{
    struct wal_job *j = n->raft.idle_wal;

    if (j == NULL)
        return xmem_calloc(1, sizeof *j);
    n->raft.idle_wal = j->link.next == NULL ? NULL
                                            : CONTAINER_OF(j->link.next, struct wal_job, link);
    return j;
}

void node__wal_job_after(struct wal_job *j, const struct raft_message *m, size_t k)
{
    if (j->after_n + k > j->after_cap) {
        j->after_cap = MAX(j->after_cap * 2, j->after_n + k);
        j->after = xmem_realloc(j->after, j->after_cap * sizeof *j->after);
    }
    for (size_t i = 0; i < k; i++) {
        /* Promises carry neither entries nor a snapshot; the context of a request for votes is a
         * constant, those of answers are of no use (raft.h). */
        ASSERT(m[i].entries_n == 0);
        ASSERT(m[i].snapshot == NULL);
        j->after[j->after_n] = m[i];
        if (m[i].type != RAFT_MSG_VOTE)
            j->after[j->after_n].context = BYTES_EMPTY;
        j->after_n++;
    }
}

void node__wal_job_free(struct node *n, struct wal_job *j)
{
    if (j->behind != NULL)
        node__wal_job_free(n, j->behind);
    j->behind = NULL;
    raft_entry_list_clear(&j->entries);
    j->has_hard = j->has_marker = j->has_mark = false;
    j->after_n = 0;
    j->written.off = 0;
    if (j->marker_job != NULL)
        node__store_job_free(j->marker_job);
    j->marker_job = NULL;
    node__received_free(j->received);
    j->received = NULL;
    j->link.next = n->raft.idle_wal == NULL ? NULL : &n->raft.idle_wal->link;
    n->raft.idle_wal = j;
}

struct apply_job *node__apply_job_new(struct node *n, size_t entries)
{
    struct apply_job *j = n->raft.idle_apply;

    if (j == NULL)
        j = xmem_calloc(1, sizeof *j);
    else
        n->raft.idle_apply = j->link.next == NULL
                                 ? NULL
                                 : CONTAINER_OF(j->link.next, struct apply_job, link);
    if (entries > j->waiters_cap) {
        j->waiters_cap = MAX(j->waiters_cap * 2, entries);
        j->waiters = xmem_realloc(j->waiters, j->waiters_cap * sizeof *j->waiters);
    }
    return j;
}

void node__apply_job_free(struct node *n, struct apply_job *j)
{
    raft_entry_list_clear(&j->entries);
    j->confs_n = 0;
    j->snapshot_index = 0;
    j->link.next = n->raft.idle_apply == NULL ? NULL : &n->raft.idle_apply->link;
    n->raft.idle_apply = j;
}

struct store_job *node__store_job_new(enum store_work work)
{
    struct store_job *j = xmem_calloc(1, sizeof *j);

    j->work = work;
    list_init(&j->queue);
    arena_init(&j->arena, SNAP_V2_BYTES_MAX * 2);
    return j;
}

void node__store_job_free(struct store_job *j)
{
    arena_done(&j->arena);
    mem_free(j);
}

void node__jobs_done(struct node *n)
{
    node__raft_log_done(n);
    while (n->raft.idle_wal != NULL) {
        struct wal_job *j = node__wal_job_new(n);

        raft_entry_list_done(&j->entries);
        mem_free(j->after);
        mem_free(j);
    }
    while (n->raft.idle_apply != NULL) {
        struct apply_job *j = node__apply_job_new(n, 0);

        raft_entry_list_done(&j->entries);
        mem_free(j->waiters);
        mem_free(j->confs);
        mem_free(j);
    }
}
