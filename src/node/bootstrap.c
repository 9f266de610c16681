/* bootstrap.c -- a new member.  Of a new cluster: its members are in the configuration, and each of
 * them begins with the same log, one ConfChange for every member.  Of an existing one: who asked
 * the others has put their answer into the configuration, and the log comes from the leader.
 */
#include "base/alloc.h"
#include "node/open.h"

/* --initial-cluster, one member per name. */
struct initial {
    struct cluster_member *members; /* ascending id */
    const char ***urls;             /* their peer_urls, ascending */
    size_t n;
    const struct cluster_member *self;
};

/* ---- from the configuration ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* The URLs that the configuration gives to one name.  Sorted, as etcd has them: they go into the
 * first entries, which all members must write alike however their flags put it. */
static const char **urls_of(const struct node_config *c, const char *name, size_t *ret_n)
{
    const char **v = xmem_calloc(c->initial_n + 1, sizeof *v);

    *ret_n = 0;
    for (size_t i = 0; i < c->initial_n; i++) {
        if (strcmp(c->initial_names[i], name) == 0)
            v[(*ret_n)++] = c->initial_urls[i];
    }
    qsort(v, *ret_n, sizeof *v, by_text);
    return v;
}

static bool is_first_of_name(const struct node_config *c, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (strcmp(c->initial_names[k], c->initial_names[i]) == 0)
            return false;
    }
    return true;
}

static int by_id(const void *a, const void *b)
{
    const struct cluster_member *x = a, *y = b;

    return x->id < y->id ? -1 : x->id > y->id;
}

static void initial_free(struct initial *in)
{
    for (size_t i = 0; i < in->n; i++)
        mem_free((void *) in->urls[i]);
    mem_free((void *) in->urls);
    mem_free(in->members);
}

/* Members are told apart by their names and known by their URLs and the token. */
static int initial_of(const struct node *n, struct initial *ret, struct err *e)
{
    const struct node_config *c = &n->cfg;

    *ret = (struct initial){.members = xmem_calloc(c->initial_n + 1, sizeof *ret->members),
                            .urls = xmem_calloc(c->initial_n + 1, sizeof *ret->urls)};
    for (size_t i = 0; i < c->initial_n; i++) {
        struct cluster_member *m = &ret->members[ret->n];

        if (!is_first_of_name(c, i))
            continue;
        m->name = c->initial_names[i];
        ret->urls[ret->n] = urls_of(c, m->name, &m->peer_urls.n);
        m->peer_urls.v = ret->urls[ret->n];
        m->id = cluster_member_id(&m->peer_urls, c->cluster_token, -1);
        ret->n++;
    }
    qsort(ret->members, ret->n, sizeof *ret->members, by_id);
    for (size_t i = 0; i < ret->n; i++) {
        if (i > 0 && ret->members[i].id == ret->members[i - 1].id)
            return err_set(
                e, ERR_INVALID,
                "error setting up initial cluster: found two identical members in member "
                "list");
        if (strcmp(ret->members[i].name, n->name) == 0)
            ret->self = &ret->members[i];
    }
    if (ret->self == NULL)
        return err_set(e, ERR_INVALID,
                       "couldn't find local name \"%s\" in the initial cluster configuration",
                       n->name);
    return 0;
}

static uint64_t cluster_id(const struct initial *in)
{
    uint64_t *ids = xmem_calloc(in->n, sizeof *ids), id;

    for (size_t i = 0; i < in->n; i++)
        ids[i] = in->members[i].id;
    id = cluster_id_of(ids, in->n);
    mem_free(ids);
    return id;
}

/* ---- the first entries ---- */

static int bootstrap_raft(struct node *n, const struct initial *in, struct err *e)
{
    struct raft_peer *peers = xmem_calloc(in->n, sizeof *peers);
    struct buf *contexts = xmem_calloc(in->n, sizeof *contexts);
    int rc = 0;

    for (size_t i = 0; i < in->n; i++) {
        struct cluster_change add = {.type = RAFT_CONF_ADD_NODE, .member = in->members[i]};

        buf_init(&contexts[i], CLUSTER_JSON_BYTES_MAX);
        if (!cluster_change_context_put(&add, &contexts[i]))
            rc = err_set(e, ERR_LIMIT, "the member's URLs are too long");
        peers[i] = (struct raft_peer){in->members[i].id, buf_bytes(&contexts[i])};
    }
    if (rc == 0)
        rc = raft_bootstrap(n->raft.raft, peers, in->n, e);
    for (size_t i = 0; i < in->n; i++)
        buf_done(&contexts[i]);
    mem_free(contexts);
    mem_free(peers);
    return rc;
}

/* ---- the directory ---- */

static int make_log(struct node *n, wall_ms wall, struct err *e)
{
    struct wal_options wo = {.disk = n->env.disk,
                             .dir = n->wal_dir,
                             .segment_bytes = n->cfg.wal_segment_bytes,
                             .observer = node__wal_observer(n)};
    struct wal_metadata meta = {n->member_id, n->cluster_id};
    char when[WAL_STAMP_BYTES + 1];

    node__wal_stamp(wall, when);
    return wal_create(&wo, &meta, when, &n->wal.wal, e);
}

static int open_files(struct node *n, wall_ms wall, struct err *e)
{
    int rc = node__make_dirs(n, e);

    if (rc == 0)
        rc = snap_clean(n->env.disk, n->snap_dir, e);
    if (rc == 0)
        rc = node__open_store(n, e);
    if (rc == 0 && n->apply.applied != 0)
        rc = err_set(e, ERR_INVALID,
                     "%s holds applied entries, but there is no write-ahead log beside it",
                     n->db_path);
    if (rc == 0)
        rc = node__open_state(n, e);
    if (rc == 0)
        rc = make_log(n, wall, e);
    if (rc == 0)
        rc = node__open_log_memory(n, e);
    return rc == 0 ? node__open_raft(n, 0, e) : rc;
}

int node__open_new(struct node *n, wall_ms wall, struct err *e)
{
    static const struct cluster_view nobody;
    struct initial in;
    int rc = node__check_learners(n, &nobody, e);

    if (rc != 0)
        return rc;
    if (n->cfg.initial_existing) {
        n->member_id = n->cfg.joined_member_id;
        n->cluster_id = n->cfg.joined_cluster_id;
        return n->member_id != 0
                   ? open_files(n, wall, e)
                   : err_set(e, ERR_INVALID, "joining a cluster needs the answer of its members");
    }
    rc = initial_of(n, &in, e);
    if (rc == 0) {
        n->member_id = in.self->id;
        n->cluster_id = cluster_id(&in);
        rc = open_files(n, wall, e);
    }
    if (rc == 0)
        rc = bootstrap_raft(n, &in, e);
    initial_free(&in);
    return rc;
}

int node__begin_again(struct node *n, struct err *e)
{
    struct initial in;
    int rc;

    if (n->cfg.initial_existing)
        return node__open_raft(n, 0, e);
    rc = initial_of(n, &in, e);
    if (rc == 0 && in.self->id != n->member_id)
        rc = err_set(e, ERR_INVALID,
                     "%s was made for another member by a start that did not end well: remove it",
                     n->data_dir);
    if (rc == 0)
        rc = node__open_raft(n, 0, e);
    if (rc == 0)
        rc = bootstrap_raft(n, &in, e);
    initial_free(&in);
    return rc;
}
