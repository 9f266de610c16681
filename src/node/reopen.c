/* reopen.c -- a directory that a member (of ours or etcd's) left.
 *
 * The data file says what was applied (consistent_index); the log holds what comes after.
 * Membership is what the data file says now, as in etcd 3.7, so configuration changes up to that
 * index are not given to raft again.
 */
#include "base/alloc.h"
#include "node/open.h"

#define META_BYTES_MAX ((size_t) 64 << 20) /* arena for what start-up reads */

/* ---- a member that was here before ---- */

static int too_old(struct node *n, const struct wal_snapshot *at, const char *why, struct err *e)
{
    return err_set(e, ERR_CORRUPT,
                   "%s is at index %" PRIu64 ", older than the snapshot at %" PRIu64 ": %s",
                   n->db_path, n->apply.applied, at->index, why);
}

/* The data file must not be older than the snapshot the log begins at: where it is, that snapshot
 * came from a leader, and its own file waits to be renamed. */
static int check_data_file(struct node *n, const struct wal_snapshot *at, struct err *e)
{
    int rc;

    if (n->apply.applied >= at->index)
        return 0;
    if (!snap_db_exists(n->env.disk, n->snap_dir, at->index))
        return too_old(
            n, at, "failed to find database snapshot file (snap: snapshot file doesn't exist)", e);
    LOG_INFO(n->env.log, "Recovering from snapshot backend", F_U64("snapshot-index", at->index),
             F_U64("applied-index", n->apply.applied));
    store_close(n->apply.store);
    n->apply.store = NULL;
    rc = snap_db_install(n->env.disk, n->snap_dir, at->index, e);
    if (rc == 0)
        rc = node__open_store(n, e);
    if (rc == 0 && n->apply.applied < at->index)
        rc = too_old(n, at, "the data file that came with it is older, too", e);
    return rc;
}

/* The log reaches as far as it is known to be committed, and as the data file.  What
 * --force-new-cluster appends, too, must follow on its last entry. */
static int check_log_end(struct node *n, const struct wal_snapshot *at,
                         const struct wal_contents *c, struct err *e)
{
    raft_index last = at->index + c->entries.n;

    if (n->apply.applied > last)
        return err_set(e, ERR_CORRUPT,
                       "%s is at index %" PRIu64 ", but the write-ahead log ends at %" PRIu64,
                       n->db_path, n->apply.applied, last);
    if (c->hard_state.commit > last)
        return err_set(e, ERR_CORRUPT,
                       "the write-ahead log ends at index %" PRIu64
                       ", but says that entries up to %" PRIu64 " are committed",
                       last, c->hard_state.commit);
    return 0;
}

static int restore_raft(struct node *n, const struct wal_snapshot *at, struct wal_contents *c,
                        struct arena *a, struct err *e)
{
    struct raft_snapshot s = {.meta = {.index = at->index, .term = at->term}};
    struct raft_conf_state conf;
    struct raft_hard_state hard = c->hard_state;
    int rc = cluster_conf_state_of(cluster_view(n->apply.cluster), a, &conf);

    if (rc != 0)
        return err_set(e, rc, "out of memory");
    /* A commit index is not synced by itself; what is applied was committed. */
    hard.commit = MAX(hard.commit, n->apply.applied);
    if (at->index > 0)
        rc = raft_memory_storage_apply_snapshot(n->raft.log, &s);
    ASSERT(rc == 0);
    raft_memory_storage_set_conf_state(n->raft.log, &conf);
    raft_memory_storage_set_hard_state(n->raft.log, &hard);
    raft_memory_storage_append(n->raft.log, c->entries.v, c->entries.n);
    n->raft.hard = hard;
    n->raft.compacted = n->raft.remembered = n->raft.newest_marker = at->index;
    n->apply.last_disk_snapshot = at->index;
    return node__open_raft(n, n->apply.applied, e);
}

/* Requests to the v2 store that lie in the log although they are applied stop a real 3.7. */
static void look_for_v2(struct node *n, const struct wal_contents *c)
{
    for (size_t i = 0; i < c->entries.n; i++) {
        const struct raft_entry *x = &c->entries.v[i];

        if (x->type == RAFT_ENTRY_NORMAL && x->data.n != 0 && x->index <= n->apply.applied &&
            cluster_is_v2_request(x->data))
            n->apply.want_disk_snapshot = true;
    }
}

/* A first start that ended between the making of the log and its first save: no hard state is
 * there, so nothing was promised, and what entries there are may be written again. */
static bool never_began(const struct node *n, const struct wal_snapshot *at,
                        const struct wal_contents *c)
{
    return at->index == 0 && n->apply.applied == 0 && c->hard_state.term == 0 &&
           c->hard_state.commit == 0;
}

int node__open_again(struct node *n, struct err *e)
{
    struct wal_options wo = {.disk = n->env.disk,
                             .dir = n->wal_dir,
                             .segment_bytes = n->cfg.wal_segment_bytes,
                             .observer = node__wal_observer(n)};
    struct wal_contents contents = {0};
    struct wal_snapshot at; /* the newest with its marker */
    struct arena a;
    int rc;

    arena_init(&a, META_BYTES_MAX);
    rc = wal_newest_snapshot(n->env.disk, n->wal_dir, &a, &at, e);
    if (rc == 0)
        rc = snap_clean(n->env.disk, n->snap_dir, e);
    if (rc == 0)
        rc = node__open_store(n, e);
    if (rc == 0)
        rc = check_data_file(n, &at, e);
    if (rc == 0)
        rc = node__defrag_first(n, e);
    /* What is newer stays: the log may yet prove that it counts (a marker behind the commit index
     * that is known now). */
    if (rc == 0)
        node__forget_received(n, n->apply.applied + 1);
    if (rc == 0)
        rc = wal_open(&wo, at.index, at.term, &contents, &n->wal.wal, e);
    if (rc == 0) {
        n->member_id = contents.metadata.node_id;
        n->cluster_id = contents.metadata.cluster_id;
        if (contents.repaired)
            LOG_WARN(n->env.log, "repaired WAL: a torn record at its end was cut off",
                     F_STR("copy", contents.broken_name));
        look_for_v2(n, &contents);
        rc = check_log_end(n, &at, &contents, e);
    }
    if (rc == 0)
        rc = node__open_state(n, e);
    if (rc == 0 && n->cfg.force_new_cluster)
        rc = node__force_new_cluster(n, &contents, e);
    if (rc == 0)
        rc = node__open_log_memory(n, e);
    if (rc == 0)
        rc = never_began(n, &at, &contents) ? node__begin_again(n, e)
                                            : restore_raft(n, &at, &contents, &a, e);
    wal_contents_done(&contents);
    arena_done(&a);
    return rc;
}
