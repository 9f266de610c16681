/* versions.c -- the cluster version: the leader raises it to the lowest release among the members,
 * and lowers it by one minor while a downgrade is under way (etcd's server/version/monitor.go).
 * Every member then brings the version of its data file after it.
 *
 * The transport asks the others and reports.  While one has not answered, a version that is decided
 * stays; the first decision is then 3.0.0, after it has had its time to answer.
 */
#include "base/alloc.h"
#include "node/node_int.h"

#define STORAGE_VERSION_MIN CLUSTER_VERSION(3, 5) /* before it, files do not differ by release */

struct version_report {
    struct mpsc_node link;
    raft_id id;
    cluster_version version;
};

/* Any thread. */
void node_report_version(struct node *n, raft_id id, cluster_version v)
{
    struct version_report *r = xmem_calloc(1, sizeof *r);

    r->id = id;
    r->version = v;
    if (mpsc_push(&n->apply.versions_in, &r->link))
        node__wake(n, NODE_APPLY);
}

static struct member_version *find(struct apply_actor *a, raft_id id)
{
    for (size_t i = 0; i < a->versions_n; i++) {
        if (a->versions[i].id == id)
            return &a->versions[i];
    }
    return NULL;
}

static void note(struct apply_actor *a, const struct version_report *r)
{
    struct member_version *m = find(a, r->id);
    bool news = m == NULL || m->version != r->version;

    if (cluster_view_member(cluster_view(a->cluster), r->id) == NULL)
        return; /* so the list is no longer than all members there have ever been */
    if (m == NULL) {
        a->versions = xmem_realloc(a->versions, (a->versions_n + 1) * sizeof *a->versions);
        m = &a->versions[a->versions_n++];
    }
    if (news)
        a->monitor_again = 0;
    *m = (struct member_version){r->id, r->version, a->now};
}

void node__versions_take(struct node *n)
{
    struct apply_actor *a = &n->apply;

    for (struct mpsc_node *x = mpsc_take(&a->versions_in), *next; x != NULL; x = next) {
        struct version_report *r = CONTAINER_OF(x, struct version_report, link);

        next = x->next;
        note(a, r);
        mem_free(r);
    }
}

void node__versions_done(struct node *n)
{
    for (struct mpsc_node *x = mpsc_take(&n->apply.versions_in), *next; x != NULL; x = next) {
        next = x->next;
        mem_free(CONTAINER_OF(x, struct version_report, link));
    }
    mem_free(n->apply.versions);
}

static cluster_version own_level(const struct node *n)
{
    return CLUSTER_VERSION(3, (unsigned) n->cfg.level % 10);
}

/* The release of a member, this one or another; 0: it has not said lately. */
static cluster_version release_of(struct node *n, raft_id id)
{
    struct member_version *m = find(&n->apply, id);

    if (id == n->member_id)
        return own_level(n);
    return m == NULL || n->apply.now - m->at > NODE_VERSION_FRESH_NS ? 0 : m->version;
}

/* The lowest release among the members; 0: somebody has not said lately. */
static cluster_version lowest(struct node *n)
{
    const struct cluster_view *v = cluster_view(n->apply.cluster);
    cluster_version low = own_level(n);

    for (size_t i = 0; i < v->members_n; i++)
        low = MIN(low, release_of(n, v->members[i].id));
    return low;
}

/* ---- the leader decides ---- */

static bool one_minor_below(cluster_version target, cluster_version v)
{
    return target + 1 == v && (v & 0xffff) != 0;
}

/* During a downgrade; 0: stay. */
static cluster_version decide_lower(struct node *n, cluster_version now, cluster_version low)
{
    const char *text = cluster_view(n->apply.cluster)->downgrade.target;
    char seen[CLUSTER_VERSION_TEXT_BYTES];
    cluster_version target;

    if (!cluster_version_parse(bytes_str(text), &target) || target == now)
        return 0;
    if (one_minor_below(target, now) && one_minor_below(target, low))
        return target;
    if (!one_minor_below(target, now)) {
        cluster_version_text(now, seen);
        LOG_ERROR(n->env.log, "Cannot downgrade from cluster-version to downgrade-target",
                  F_STR("downgrade-target", text), F_STR("cluster-version", seen));
    } else {
        cluster_version_text(low, seen);
        LOG_ERROR(n->env.log, "Cannot downgrade from minimal-server-version to downgrade-target",
                  F_STR("downgrade-target", text), F_STR("minimal-server-version", seen));
    }
    return 0;
}

/* 0: stay. */
static cluster_version decide(struct node *n)
{
    struct apply_actor *a = &n->apply;
    const struct cluster_view *v = cluster_view(a->cluster);
    cluster_version low = lowest(n);

    if (v->version == 0 && low == 0)
        return a->now - a->primary_since >= NODE_MONITOR_NS ? CLUSTER_VERSION(3, 0) : 0;
    if (low == 0)
        return 0;
    if (v->version != 0 && v->downgrade.enabled)
        return decide_lower(n, v->version, low);
    return low > v->version ? low : 0;
}

static bool may_propose(struct node *n)
{
    struct apply_actor *a = &n->apply;

    return a->is_primary && atomic_load(&a->published) && !atomic_load(&a->setting_version);
}

/* NULL: it went well. */
static const char *failure(const struct node_request *own)
{
    const struct node_result *res = &own->result;

    if (res->err != API_OK)
        return api_error_text(res->err);
    return res->code != GRPC_OK ? res->text : NULL;
}

static void version_set(struct node *n, struct node_request *own)
{
    const char *why = failure(own);

    if (why != NULL)
        LOG_WARN(n->env.log, "failed to update cluster version", F_STR("error", why));
    else
        LOG_INFO(n->env.log, "cluster version is updated");
    atomic_store(&n->apply.setting_version, false);
}

static void say_setting(struct node *n, cluster_version to)
{
    cluster_version now = cluster_view(n->apply.cluster)->version;
    char text[24], old[24];

    snprintf(text, sizeof text, "%u.%u", to >> 16, to & 0xffff);
    snprintf(old, sizeof old, "%u.%u", now >> 16, now & 0xffff);
    if (now == 0)
        LOG_INFO(n->env.log, "setting up initial cluster version using v3 API",
                 F_STR("cluster-version", text));
    else
        LOG_INFO(n->env.log, "updating cluster version using v3 API", F_STR("from", old),
                 F_STR("to", text));
}

void node__versions_monitor(struct node *n)
{
    Membershippb__ClusterVersionSetRequest m;
    char text[CLUSTER_VERSION_TEXT_BYTES];
    cluster_version to = may_propose(n) ? decide(n) : 0;

    if (to == 0)
        return;
    say_setting(n, to);
    cluster_version_text(to, text);
    membershippb__cluster_version_set_request__init(&m);
    m.ver = text;
    atomic_store(&n->apply.setting_version, true);
    node__propose_own(n, NODE_OP_CLUSTER_VERSION_SET, &m.base, version_set, NULL);
}

/* ---- it is set ---- */

void node__version_apply(struct node *n, cluster_version v)
{
    struct apply_actor *a = &n->apply;
    cluster_version was = cluster_view(a->cluster)->version;
    char from[24], to[24];
    struct err err = ERR_INIT;

    if (cluster_apply_version(a->cluster, v, &err) != 0)
        node__die(n, "the cluster has left this member's version behind", &err);
    snprintf(from, sizeof from, "%u.%u", was >> 16, was & 0xffff);
    snprintf(to, sizeof to, "%u.%u", v >> 16, v & 0xffff);
    if (was == 0)
        LOG_INFO(n->env.log, "set initial cluster version", F_HEX("cluster-id", n->cluster_id),
                 F_HEX("local-member-id", n->member_id), F_STR("cluster-version", to));
    else
        LOG_INFO(n->env.log, "updated cluster version", F_HEX("cluster-id", n->cluster_id),
                 F_HEX("local-member-id", n->member_id), F_STR("from", from), F_STR("to", to));
    if (v < was) {
        LOG_INFO(n->env.log, "Cluster version downgrade detected, forcing snapshot",
                 F_STR("prev-cluster-version", from), F_STR("new-cluster-version", to));
        a->want_disk_snapshot = true;
    }
    a->cluster_changed = true;
    a->monitor_again = a->now;
}

/* ---- every member's data file follows ---- */

/* The log may hold what only the newer release can read, up to where the lowering was noticed: a
 * disk snapshot of that makes it unread for ever (etcd's schema/migration.go). */
static bool may_lower(struct node *n, cluster_version from, cluster_version to)
{
    struct apply_actor *a = &n->apply;

    if (from <= to) {
        a->storage_lower_at = 0;
        return false;
    }
    if (a->storage_lower_at == 0)
        a->storage_lower_at = a->applied;
    if (a->last_disk_snapshot >= a->storage_lower_at)
        return true;
    a->want_disk_snapshot = true;
    return false;
}

void node__storage_version_monitor(struct node *n)
{
    struct apply_actor *a = &n->apply;
    const struct cluster_view *v = cluster_view(a->cluster);
    cluster_version to = MIN(v->version, own_level(n));
    char text[CLUSTER_VERSION_TEXT_BYTES];

    if (atomic_load(&n->restoring) || to < STORAGE_VERSION_MIN ||
        !cluster_update_storage_version(a->cluster, may_lower(n, v->storage_version, to)))
        return;
    a->cluster_changed = true;
    a->storage_lower_at = 0;
    cluster_version_text(to, text);
    LOG_INFO(n->env.log, "updated storage version", F_STR("new-storage-version", text));
    v = cluster_view(a->cluster);
    if (!v->downgrade.enabled)
        return;
    cluster_version_text(own_level(n), text);
    LOG_INFO(n->env.log, "The server is ready to downgrade",
             F_STR("target-version", v->downgrade.target), F_STR("server-version", text));
}

/* ---- the end of a downgrade ---- */

static void downgrade_cancelled(struct node *n, struct node_request *own)
{
    const char *why = failure(own);

    if (why != NULL)
        LOG_WARN(n->env.log, "failed to cancel downgrade", F_STR("error", why));
    atomic_store(&n->apply.setting_version, false);
}

static bool all_run(struct node *n, cluster_version target)
{
    const struct cluster_view *v = cluster_view(n->apply.cluster);
    char theirs[CLUSTER_VERSION_TEXT_BYTES];

    for (size_t i = 0; i < v->members_n; i++) {
        cluster_version r = release_of(n, v->members[i].id);

        if (r != 0 && r != target) {
            cluster_version_text(r, theirs);
            LOG_WARN(n->env.log, "remotes server has mismatching etcd version",
                     F_HEX("remote-member-id", v->members[i].id),
                     F_STR("current-server-version", theirs),
                     F_STR("target-version", v->downgrade.target));
        }
        if (r != target)
            return false;
    }
    return true;
}

mono_ns node__downgrade_due(const struct node *n)
{
    const struct apply_actor *a = &n->apply;
    bool looks = n->cfg.downgrade_ns > 0 && a->is_primary &&
                 cluster_view(a->cluster)->downgrade.enabled;

    return looks ? a->downgrade_again : INT64_MAX;
}

void node__downgrade_monitor(struct node *n)
{
    struct apply_actor *a = &n->apply;
    const struct cluster_view *v = cluster_view(a->cluster);
    Membershippb__DowngradeInfoSetRequest m;
    cluster_version target;

    if (node__downgrade_due(n) > a->now)
        return;
    a->downgrade_again = a->now + n->cfg.downgrade_ns;
    if (!may_propose(n) || !cluster_version_parse(bytes_str(v->downgrade.target), &target) ||
        !all_run(n, target))
        return;
    LOG_INFO(n->env.log, "the cluster has been downgraded",
             F_STR("cluster-version", v->downgrade.target));
    membershippb__downgrade_info_set_request__init(&m);
    atomic_store(&a->setting_version, true);
    node__propose_own(n, NODE_OP_DOWNGRADE_INFO_SET, &m.base, downgrade_cancelled, NULL);
}
