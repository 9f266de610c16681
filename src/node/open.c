/* open.c -- a member's beginning: its configuration, its queues, and whether it is new or was here
 * before (bootstrap.c, reopen.c).
 */
#include "node/open.h"
#include "base/alloc.h"

/* ---- configuration ---- */

static char *path_join(const char *a, const char *b)
{
    size_t n = strlen(a) + strlen(b) + 2;
    char *s = xmem_alloc(n);

    snprintf(s, n, "%s/%s", a, b);
    return s;
}

static void copy_config(struct node *n, const struct node_config *cfg)
{
    char *member = path_join(cfg->data_dir, "member");

    n->cfg = *cfg;
    n->name = xmem_strdup(cfg->name);
    n->data_dir = xmem_strdup(cfg->data_dir);
    n->snap_dir = path_join(member, "snap");
    n->wal_dir = cfg->wal_dir != NULL ? xmem_strdup(cfg->wal_dir) : path_join(member, "wal");
    n->db_path = path_join(n->snap_dir, "db");
    n->client_urls = xmem_calloc(cfg->client_urls_n + 1, sizeof *n->client_urls);
    for (size_t i = 0; i < cfg->client_urls_n; i++)
        n->client_urls[i] = xmem_strdup(cfg->client_urls[i]);
    mem_free(member);
}

static int make_dir(struct disk *d, const char *path, struct err *e)
{
    int rc = disk_mkdir(d, path, 0700, e);

    if (rc == ERR_EXISTS) {
        if (e != NULL)
            *e = ERR_INIT;
        return 0;
    }
    return rc;
}

int node__make_dirs(struct node *n, struct err *e)
{
    char *member = path_join(n->data_dir, "member");
    int rc = make_dir(n->env.disk, n->data_dir, e);

    if (rc == 0)
        rc = make_dir(n->env.disk, member, e);
    if (rc == 0)
        rc = make_dir(n->env.disk, n->snap_dir, e);
    if (rc == 0)
        rc = disk_sync_dir(n->env.disk, n->data_dir, e);
    mem_free(member);
    return rc;
}

int node__check_learners(const struct node *n, const struct cluster_view *v, struct err *e)
{
    return cluster_learners_fit(v, n->cfg.learners_max)
               ? 0
               : err_set(e, ERR_INVALID, CLUSTER_TOO_MANY_LEARNERS_TEXT);
}

/* ---- all together ---- */

static void init_queues(struct node *n)
{
    mpsc_init(&n->raft.requests);
    mpsc_init(&n->raft.reads);
    mpsc_init(&n->raft.stored_jobs);
    mpsc_init(&n->raft.applied_jobs);
    mpsc_init(&n->raft.markers);
    mpsc_init(&n->raft.messages);
    mpsc_init(&n->raft.reports);
    mpsc_init(&n->raft.sent);
    mpsc_init(&n->wal.jobs);
    mpsc_init(&n->apply.jobs);
    mpsc_init(&n->apply.requests);
    mpsc_init(&n->apply.store_done);
    mpsc_init(&n->apply.versions_in);
    mpsc_init(&n->apply.sendings);
    mpsc_init(&n->store.jobs);
    mpsc_init(&n->work.requests);
    list_init(&n->raft.by_age);
    list_init(&n->raft.blocked);
    list_init(&n->raft.riders);
    list_init(&n->raft.reads_next);
    list_init(&n->raft.transfers);
    heap_init(&n->apply.later);
    heap_init(&n->apply.later_entries);
    list_init(&n->raft.reads_round);
    list_init(&n->raft.reads_apply);
    list_init(&n->apply.awaited);
    list_init(&n->apply.to_store);
    list_init(&n->apply.physical);
    list_init(&n->store.work);
    list_init(&n->store.held);
    list_init(&n->work.queue);
    list_init(&n->work.pieces);
    map64_init(&n->raft.waiting);
    arena_init(&n->apply.scratch, MAX(n->cfg.request_bytes_max * 64, NODE_ENTRY_ARENA_BYTES_MIN));
    n->raft.batch = xmem_calloc(NODE_PROPOSE_BATCH_MAX, sizeof *n->raft.batch);
    n->raft.batch_requests = node__batch_new();
    node__raft_log_init(n);
}

static void first_ids(struct node *n, wall_ms wall)
{
    uint64_t id = (n->member_id & 0xffff) << 48 | ((uint64_t) wall & UINT64_C(0xffffffffff)) << 8;

    atomic_store(&n->next_id, id + 1);
}

int node_open(const struct node_config *cfg, const struct node_env *env, mono_ns now, wall_ms wall,
              struct node **ret, struct err *e)
{
    struct node *n = xmem_calloc(1, sizeof *n);
    int rc;

    n->env = *env;
    copy_config(n, cfg);
    init_queues(n);
    node__own_sink_init(n);
    n->apply.now = n->apply.last_seal = now;
    rc = wal_exists(env->disk, n->wal_dir) ? node__open_again(n, e) : node__open_new(n, wall, e);
    if (rc != 0) {
        node_close(n);
        return rc;
    }
    first_ids(n, wall);
    mvcc_publish(n->apply.mvcc);
    node__metrics_init(n);
    atomic_store(&n->pub.applied, n->apply.applied);
    atomic_store(&n->pub.commit, raft_get_commit(n->raft.raft));
    atomic_store(&n->pub.term, raft_get_term(n->raft.raft));
    LOG_INFO(env->log, "starting local etcd member", F_STR("member-name", n->name),
             F_HEX("local-member-id", n->member_id), F_HEX("cluster-id", n->cluster_id),
             F_U64("applied-index", n->apply.applied),
             F_U64("commit-index", raft_get_commit(n->raft.raft)));
    *ret = n;
    return 0;
}
