/* open_state.c -- the state and the consensus core over what the files hold. */
#include "base/alloc.h"
#include "node/open.h"

/* ---- the state ---- */

static bool hook_lease_exists(void *ctx, int64_t id)
{
    return lease_exists(((struct node *) ctx)->apply.lessor, id);
}

static void hook_lease_attach(void *ctx, int64_t id, struct bytes key)
{
    struct node *n = ctx;
    int rc = lease_attach(n->apply.lessor, id, key);

    /* In a file a key may name a lease that is gone; else mvcc has asked whether it exists. */
    if (rc != 0 && n->apply.hub != NULL && !atomic_load(&n->restoring))
        node__die(n, "a key was put on a lease that does not exist", NULL);
}

static void hook_lease_detach(void *ctx, struct bytes key)
{
    lease_detach(((struct node *) ctx)->apply.lessor, key);
}

static void hook_events(void *ctx, int64_t main, const struct mvcc_event *ev, size_t k)
{
    node__count_events(ctx, ev, k);
    watch_publish(((struct node *) ctx)->apply.hub, main, ev, k);
}

static bool hook_prev_kv(void *ctx, const struct mvcc_event *ev, struct bytes *ret)
{
    return mvcc_event_prev_kv(((struct node *) ctx)->apply.mvcc, ev, ret);
}

int node__open_leases(struct node *n, struct err *e)
{
    int64_t election_ms = (int64_t) n->cfg.election_ticks * n->cfg.tick_ms;
    struct lessor_config cfg = {
        .ttl_s_min = (3 * election_ms / 2 + 999) / 1000,
        .retry_ms = node__request_timeout_ns(n) / 1000000,
        .checkpoint_ms = n->cfg.lease_checkpoint ? NODE_LEASE_CHECKPOINT_MS : 0,
        .hash_seed = {random_u64(n->env.random), random_u64(n->env.random)},
    };

    return lessor_open(&cfg, n->apply.store, &n->apply.lessor, e);
}

/* A compaction that was cut short is resumed: mvcc has a job for it, taken when the actors run. */
bool node__compaction_unfinished(struct store *s)
{
    struct bytes scheduled, finished;

    if (!store_get(s, STORE_META, BYTES_LIT(STORE_META_SCHEDULED_COMPACT), &scheduled))
        return false;
    return !store_get(s, STORE_META, BYTES_LIT(STORE_META_FINISHED_COMPACT), &finished) ||
           bytes_cmp(scheduled, finished) > 0;
}

static int open_keys(struct node *n, struct err *e)
{
    struct apply_actor *a = &n->apply;
    struct mvcc_hooks hooks = {n, hook_lease_exists, hook_lease_attach, hook_lease_detach,
                               hook_events};
    struct watch_hub_config hub = {.prev_kv = hook_prev_kv, .ctx = n};
    int rc;

    a->compactions_queued = node__compaction_unfinished(a->store) ? 1 : 0;
    rc = mvcc_open(a->store, &hooks, &a->mvcc, e);
    if (rc != 0)
        return rc;
    a->reader = mvcc_reader_new(a->mvcc);
    n->work.reader = mvcc_reader_new(a->mvcc);
    hub.revision = mvcc_revision(a->mvcc);
    hub.compact_revision = mvcc_compact_revision(a->mvcc);
    hub.reader = a->reader;
    hub.hash_seed[0] = random_u64(n->env.random);
    hub.hash_seed[1] = random_u64(n->env.random);
    a->hub = watch_hub_new(&hub);
    if (a->hub == NULL || a->reader == NULL || n->work.reader == NULL)
        return err_set(e, ERR_NOMEM, "open the key space: out of memory");
    return 0;
}

int node__open_cluster(struct node *n, struct err *e)
{
    struct cluster_config cluster = {.cluster_id = n->cluster_id,
                                     .local_id = n->member_id,
                                     .learners_max = n->cfg.learners_max,
                                     .level = CLUSTER_VERSION(3, (unsigned) n->cfg.level % 10)};

    return cluster_open(&cluster, n->apply.store, &n->apply.cluster, e);
}

int node__open_state(struct node *n, struct err *e)
{
    int rc = node__open_cluster(n, e);

    if (rc == 0)
        rc = node__check_learners(n, cluster_view(n->apply.cluster), e);
    if (rc == 0)
        rc = node__open_auth(n, e);
    if (rc == 0)
        rc = node__open_leases(n, e);
    if (rc == 0)
        rc = open_keys(n, e);
    if (rc == 0)
        node__publish_cluster(n);
    return rc;
}

int node__open_store(struct node *n, struct err *e)
{
    struct store_config cfg = {.disk = n->env.disk,
                               .clock = n->env.clock,
                               .path = n->db_path,
                               .lock_memory = n->cfg.lock_memory,
                               .batch_ops_max = n->cfg.batch_ops_max,
                               .batch_interval_ms = n->cfg.batch_interval_ms};
    int rc = store_open(&cfg, &n->apply.store, e);

    if (rc == 0) {
        n->apply.applied = store_applied_index(n->apply.store);
        n->apply.applied_term = store_applied_term(n->apply.store);
    }
    return err_wrap(e, rc, "open the data file");
}

/* ---- the core ---- */

void node__wal_stamp(wall_ms wall, char ret[WAL_STAMP_BYTES + 1])
{
    /* Civil date from days since 1970 (H. Hinnant, "chrono-compatible low-level date algorithms").
     */
    int64_t s = wall / 1000, days = s / 86400, z = days + 719468, era = z / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    int day = (int) (doy - (153 * mp + 2) / 5 + 1), month = (int) (mp < 10 ? mp + 3 : mp - 9);
    int year = (int) (yoe + era * 400 + (month <= 2));

    snprintf(ret, WAL_STAMP_BYTES + 1, "%04d%02d%02d.%02d%02d%02d.%06d", year % 10000, month, day,
             (int) (s % 86400 / 3600), (int) (s % 3600 / 60), (int) (s % 60),
             (int) (wall % 1000) * 1000);
}

static uint64_t random_below_of(void *arg, uint64_t bound)
{
    return random_below(arg, bound);
}

static void raft_log_line(void *arg, enum raft_trace_level level, const char *text)
{
    static const enum log_level levels[] = {LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN,
                                            LOG_LEVEL_ERROR};

    LOG_AT_((struct log *) arg, levels[level], text);
}

int node__open_raft(struct node *n, raft_index applied, struct err *e)
{
    struct raft_config c = {
        .id = n->member_id,
        .election_tick = n->cfg.election_ticks,
        .heartbeat_tick = 1,
        .storage = raft_memory_storage_base(n->raft.log),
        .applied = applied,
        .msg_bytes_max = NODE_RAFT_MSG_BYTES_MAX,
        .inflight_max = NODE_RAFT_INFLIGHT_MAX,
        .check_quorum = true,
        .pre_vote = n->cfg.pre_vote,
        .async_storage_writes = true,
        .vote_requests_after_store = true,
        .random = {random_below_of, n->env.random},
    };
    struct log *l = log_named(n->env.log, "raft");

    c.trace = (struct raft_trace){RAFT_TRACE_INFO, l == NULL ? NULL : raft_log_line, l};
    n->raft.applied = applied;
    return raft_new(&c, &n->raft.raft, e);
}

int node__open_log_memory(struct node *n, struct err *e)
{
    struct raft_memory_options o = {0};

    n->raft.log = raft_memory_storage_new(&o);
    return n->raft.log == NULL ? err_set(e, ERR_NOMEM, "open the log: out of memory") : 0;
}
