/* open.c -- from files to a running member: a new directory, or one that a member (of ours or
 * etcd's) left.
 *
 * The data file says what was applied (consistent_index); the log holds what comes after.
 * Membership is what the data file says now, as in etcd 3.7, so configuration changes up to that
 * index are not given to raft again.
 */
#include "base/alloc.h"
#include "node/node_int.h"

#define META_BYTES_MAX ((size_t) 64 << 20) /* arena for what start-up reads */

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

static int make_dirs(struct node *n, struct err *e)
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

/* ---- the state ---- */

static bool hook_lease_exists(void *ctx, int64_t id)
{
    return lease_exists(((struct node *) ctx)->apply.lessor, id);
}

static void hook_lease_attach(void *ctx, int64_t id, struct bytes key)
{
    struct node *n = ctx;
    int rc = lease_attach(n->apply.lessor, id, key);

    /* At start a key may name a lease that is gone; afterwards mvcc has asked whether it exists. */
    if (rc != 0 && n->apply.hub != NULL)
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

static int open_leases(struct node *n, struct err *e)
{
    int64_t election_ms = (int64_t) n->cfg.election_ticks * n->cfg.tick_ms;
    struct lessor_config cfg = {
        .ttl_s_min = (3 * election_ms / 2 + 999) / 1000,
        .retry_ms = node__request_timeout_ns(n) / 1000000,
        .hash_seed = {random_u64(n->env.random), random_u64(n->env.random)},
    };

    return lessor_open(&cfg, n->apply.store, &n->apply.lessor, e);
}

/* A compaction that was cut short is resumed: mvcc has a job for it, taken when the actors run. */
static bool compaction_unfinished(struct store *s)
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

    a->compactions_queued = compaction_unfinished(a->store) ? 1 : 0;
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

static int refuse_auth(struct node *n, struct err *e)
{
    struct bytes v;

    if (store_get(n->apply.store, STORE_AUTH, BYTES_LIT("authEnabled"), &v) && v.n == 1 &&
        v.p[0] == 1)
        return err_set(e, ERR_UNSUPPORTED,
                       "%s: users and roles are enabled in this directory, which this version does "
                       "not support yet",
                       n->data_dir);
    return 0;
}

static int open_state(struct node *n, struct err *e)
{
    struct cluster_config cluster = {.cluster_id = n->cluster_id,
                                     .local_id = n->member_id,
                                     .level = CLUSTER_VERSION(3, (unsigned) n->cfg.level % 10)};
    int rc = cluster_open(&cluster, n->apply.store, &n->apply.cluster, e);

    if (rc == 0)
        rc = refuse_auth(n, e);
    if (rc == 0)
        rc = open_leases(n, e);
    if (rc == 0)
        rc = open_keys(n, e);
    if (rc == 0)
        node__publish_cluster(n);
    return rc;
}

static int open_store(struct node *n, struct err *e)
{
    struct store_config cfg = {.disk = n->env.disk,
                               .path = n->db_path,
                               .batch_ops_max = n->cfg.batch_ops_max,
                               .batch_interval_ms = n->cfg.batch_interval_ms};
    int rc = store_open(&cfg, &n->apply.store, e);

    if (rc == 0) {
        n->apply.applied = store_applied_index(n->apply.store);
        n->apply.applied_term = store_applied_term(n->apply.store);
    }
    return err_wrap(e, rc, "open the data file");
}

/* ---- the log ---- */

static void stamp(wall_ms wall, char ret[WAL_STAMP_BYTES + 1])
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

static int open_raft(struct node *n, raft_index applied, struct err *e)
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
        .random = {random_below_of, n->env.random},
    };
    struct log *l = log_named(n->env.log, "raft");

    c.trace = (struct raft_trace){RAFT_TRACE_INFO, l == NULL ? NULL : raft_log_line, l};
    n->raft.applied = applied;
    return raft_new(&c, &n->raft.raft, e);
}

static int new_log_memory(struct node *n, struct err *e)
{
    struct raft_memory_options o = {0};

    n->raft.log = raft_memory_storage_new(&o);
    return n->raft.log == NULL ? err_set(e, ERR_NOMEM, "open the log: out of memory") : 0;
}

/* ---- a new member ---- */

/* --initial-cluster as one list of URLs for each name. */
static int own_urls(const struct node *n, const char ***ret, size_t *ret_n, struct err *e)
{
    const struct node_config *c = &n->cfg;
    const char **urls = xmem_calloc(c->initial_n + 1, sizeof *urls);
    size_t k = 0, others = 0;

    for (size_t i = 0; i < c->initial_n; i++) {
        if (strcmp(c->initial_names[i], n->name) == 0)
            urls[k++] = c->initial_urls[i];
        else
            others++;
    }
    if (k > 0 && others == 0) {
        *ret = urls;
        *ret_n = k;
        return 0;
    }
    mem_free((void *) urls);
    if (k == 0)
        return err_set(e, ERR_INVALID,
                       "couldn't find local name \"%s\" in the initial cluster "
                       "configuration",
                       n->name);
    return err_set(
        e, ERR_UNSUPPORTED,
        "the initial cluster has more than one member, which this version does not support "
        "yet");
}

static int bootstrap_raft(struct node *n, const struct cluster_strings *urls, struct err *e)
{
    struct cluster_change self = {
        .type = RAFT_CONF_ADD_NODE,
        .member = {.id = n->member_id, .peer_urls = *urls, .name = n->name}};
    struct raft_peer peer = {.id = n->member_id};
    struct buf context;
    int rc;

    buf_init(&context, CLUSTER_JSON_BYTES_MAX);
    if (!cluster_change_context_put(&self, &context)) {
        buf_done(&context);
        return err_set(e, ERR_LIMIT, "the member's URLs are too long");
    }
    peer.context = buf_bytes(&context);
    rc = raft_bootstrap(n->raft.raft, &peer, 1, e);
    buf_done(&context);
    return rc;
}

static int open_new(struct node *n, wall_ms wall, struct err *e)
{
    struct wal_options wo = {.disk = n->env.disk,
                             .dir = n->wal_dir,
                             .segment_bytes = n->cfg.wal_segment_bytes,
                             .observer = node__wal_observer(n)};
    struct wal_metadata meta;
    struct cluster_strings urls;
    const char **own = NULL;
    size_t own_n = 0;
    char when[WAL_STAMP_BYTES + 1];
    int rc;

    if (n->cfg.initial_existing)
        return err_set(e, ERR_UNSUPPORTED,
                       "joining an existing cluster is not supported by this version yet");
    rc = own_urls(n, &own, &own_n, e);
    if (rc != 0)
        return rc;
    urls = (struct cluster_strings){own, own_n};
    n->member_id = cluster_member_id(&urls, n->cfg.cluster_token, -1);
    n->cluster_id = cluster_id_of(&n->member_id, 1);
    meta = (struct wal_metadata){n->member_id, n->cluster_id};
    stamp(wall, when);
    rc = make_dirs(n, e);
    if (rc == 0)
        rc = snap_clean(n->env.disk, n->snap_dir, e);
    if (rc == 0)
        rc = open_store(n, e);
    if (rc == 0 && n->apply.applied != 0)
        rc = err_set(e, ERR_INVALID,
                     "%s holds applied entries, but there is no write-ahead log beside it",
                     n->db_path);
    if (rc == 0)
        rc = open_state(n, e);
    if (rc == 0)
        rc = wal_create(&wo, &meta, when, &n->wal.wal, e);
    if (rc == 0)
        rc = new_log_memory(n, e);
    if (rc == 0)
        rc = open_raft(n, 0, e);
    if (rc == 0)
        rc = bootstrap_raft(n, &urls, e);
    mem_free((void *) own);
    return rc;
}

/* ---- a member that was here before ---- */

/* Where the log is opened: behind the newest snapshot that has its marker. */
static int newest_snapshot(struct node *n, struct arena *a, struct wal_snapshot *ret, struct err *e)
{
    struct wal_snapshot *v;
    size_t k;
    int rc = wal_valid_snapshots(n->env.disk, n->wal_dir, a, &v, &k, e);

    if (rc == 0)
        *ret = k == 0 ? (struct wal_snapshot){0} : v[k - 1];
    return rc;
}

/* The data file must not be older than the snapshot the log begins at. */
static int check_data_file(struct node *n, const struct wal_snapshot *at, struct err *e)
{
    int rc;

    if (n->apply.applied >= at->index)
        return 0;
    if (!snap_db_exists(n->env.disk, n->snap_dir, at->index))
        return err_set(e, ERR_CORRUPT,
                       "%s is at index %" PRIu64 ", older than the snapshot at %" PRIu64
                       ", and the database of that snapshot is missing",
                       n->db_path, n->apply.applied, at->index);
    store_close(n->apply.store);
    n->apply.store = NULL;
    rc = snap_db_install(n->env.disk, n->snap_dir, at->index, e);
    return rc == 0 ? open_store(n, e) : rc;
}

static int restore_raft(struct node *n, const struct wal_snapshot *at, struct wal_contents *c,
                        struct arena *a, struct err *e)
{
    struct raft_snapshot s = {.meta = {.index = at->index, .term = at->term}};
    struct raft_conf_state conf;
    struct raft_hard_state hard = c->hard_state;
    raft_index last = at->index + c->entries.n;
    int rc = cluster_conf_state_of(cluster_view(n->apply.cluster), a, &conf);

    if (rc != 0)
        return err_set(e, rc, "out of memory");
    if (n->apply.applied > last)
        return err_set(e, ERR_CORRUPT,
                       "%s is at index %" PRIu64 ", but the write-ahead log ends at %" PRIu64,
                       n->db_path, n->apply.applied, last);
    /* A commit index is not synced by itself; what is applied was committed. */
    hard.commit = MAX(hard.commit, n->apply.applied);
    if (at->index > 0)
        rc = raft_memory_storage_apply_snapshot(n->raft.log, &s);
    ASSERT(rc == 0);
    raft_memory_storage_set_conf_state(n->raft.log, &conf);
    raft_memory_storage_set_hard_state(n->raft.log, &hard);
    raft_memory_storage_append(n->raft.log, c->entries.v, c->entries.n);
    n->raft.hard = hard;
    n->raft.compacted = at->index;
    n->apply.last_disk_snapshot = at->index;
    return open_raft(n, n->apply.applied, e);
}

static int refuse_many(struct node *n, struct err *e)
{
    if (cluster_view(n->apply.cluster)->members_n > 1)
        return err_set(
            e, ERR_UNSUPPORTED,
            "%s belongs to a cluster of more than one member, which this version does not "
            "support yet",
            n->data_dir);
    return 0;
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

static int begin_again(struct node *n, struct err *e)
{
    struct cluster_strings urls;
    const char **own = NULL;
    size_t own_n = 0;
    int rc = own_urls(n, &own, &own_n, e);

    if (rc != 0)
        return rc;
    urls = (struct cluster_strings){own, own_n};
    if (cluster_member_id(&urls, n->cfg.cluster_token, -1) != n->member_id)
        rc = err_set(e, ERR_INVALID,
                     "%s was made for another member by a start that did not end well: remove it",
                     n->data_dir);
    if (rc == 0)
        rc = open_raft(n, 0, e);
    if (rc == 0)
        rc = bootstrap_raft(n, &urls, e);
    mem_free((void *) own);
    return rc;
}

static int open_again(struct node *n, struct err *e)
{
    struct wal_options wo = {.disk = n->env.disk,
                             .dir = n->wal_dir,
                             .segment_bytes = n->cfg.wal_segment_bytes,
                             .observer = node__wal_observer(n)};
    struct wal_contents contents = {0};
    struct wal_snapshot at;
    struct arena a;
    int rc;

    arena_init(&a, META_BYTES_MAX);
    rc = newest_snapshot(n, &a, &at, e);
    if (rc == 0)
        rc = snap_clean(n->env.disk, n->snap_dir, e);
    if (rc == 0)
        rc = open_store(n, e);
    if (rc == 0)
        rc = check_data_file(n, &at, e);
    if (rc == 0)
        rc = wal_open(&wo, at.index, at.term, &contents, &n->wal.wal, e);
    if (rc == 0) {
        n->member_id = contents.metadata.node_id;
        n->cluster_id = contents.metadata.cluster_id;
        if (contents.repaired)
            LOG_WARN(n->env.log, "repaired WAL: a torn record at its end was cut off",
                     F_STR("copy", contents.broken_name));
        look_for_v2(n, &contents);
        rc = open_state(n, e);
    }
    if (rc == 0)
        rc = refuse_many(n, e);
    if (rc == 0)
        rc = new_log_memory(n, e);
    if (rc == 0)
        rc = never_began(n, &at, &contents) ? begin_again(n, e)
                                            : restore_raft(n, &at, &contents, &a, e);
    wal_contents_done(&contents);
    arena_done(&a);
    return rc;
}

/* ---- all together ---- */

static void init_queues(struct node *n)
{
    mpsc_init(&n->raft.requests);
    mpsc_init(&n->raft.stored_jobs);
    mpsc_init(&n->raft.applied_jobs);
    mpsc_init(&n->raft.markers);
    mpsc_init(&n->wal.jobs);
    mpsc_init(&n->apply.jobs);
    mpsc_init(&n->apply.requests);
    mpsc_init(&n->apply.store_done);
    mpsc_init(&n->store.jobs);
    mpsc_init(&n->work.requests);
    list_init(&n->raft.by_age);
    list_init(&n->raft.blocked);
    list_init(&n->raft.reads_next);
    list_init(&n->raft.reads_round);
    list_init(&n->raft.reads_apply);
    list_init(&n->apply.awaited);
    list_init(&n->apply.to_store);
    list_init(&n->apply.physical);
    list_init(&n->store.work);
    list_init(&n->work.queue);
    list_init(&n->work.pieces);
    map64_init(&n->raft.waiting);
    arena_init(&n->apply.scratch, MAX(n->cfg.request_bytes_max * 64, NODE_ENTRY_ARENA_BYTES_MIN));
    n->raft.batch = xmem_calloc(NODE_PROPOSE_BATCH_MAX, sizeof *n->raft.batch);
    n->raft.batch_requests = node__batch_new();
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
    rc = wal_exists(env->disk, n->wal_dir) ? open_again(n, e) : open_new(n, wall, e);
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

/* ---- the end ---- */

/* What is applied becomes part of the file, so that the next start has nothing to do again. */
static void commit_all(struct node *n)
{
    struct err e = ERR_INIT;

    do {
        if (store_commit(n->apply.store, &e) != 0)
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
}

static void save_last_state(struct node *n)
{
    struct wal_save save = {.hard_state = &n->raft.hard};
    struct err e = ERR_INIT;

    if (n->raft.raft == NULL)
        return;
    if (n->raft.lazy_hard && wal_append_batch(n->wal.wal, &save, 1, &e) != 0)
        node__die(n, "failed to save to the write-ahead log", &e);
    if (wal_sync(n->wal.wal, &e) != 0)
        node__die(n, "failed to sync the write-ahead log", &e);
}

void node_close(struct node *n)
{
    struct apply_actor *a;

    if (n == NULL)
        return;
    a = &n->apply;
    drop_queues(n);
    if (n->wal.wal != NULL)
        save_last_state(n);
    watch_hub_free(a->hub);
    if (a->mvcc != NULL) {
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
    if (a->lessor != NULL)
        lessor_free(a->lessor);
    cluster_free(a->cluster);
    store_close(a->store);
    raft_free(n->raft.raft);
    raft_memory_storage_free(n->raft.log);
    wal_close(n->wal.wal);
    node__jobs_done(n);
    map64_done(&n->raft.waiting);
    arena_done(&a->scratch);
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
