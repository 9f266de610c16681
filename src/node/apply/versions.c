/* versions.c -- the cluster version: the leader raises it to the lowest release among the members
 * (etcd's server/version/monitor.go).
 *
 * The transport asks the others and reports.  While one has not answered, a version that is decided
 * stays; the first decision is then 3.0.0, after it has had its time to answer.
 */
#include "base/alloc.h"
#include "node/node_int.h"

#define OP_CLUSTER_VERSION_SET 1300

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

    if (cluster_view_member(cluster_view(a->cluster), r->id) == NULL)
        return; /* so the list is no longer than all members there have ever been */
    if (m == NULL) {
        a->versions = xmem_realloc(a->versions, (a->versions_n + 1) * sizeof *a->versions);
        m = &a->versions[a->versions_n++];
    }
    if (m->id != r->id || m->version != r->version)
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

/* The lowest release among the members; 0: somebody has not said lately. */
static cluster_version lowest(struct node *n)
{
    struct apply_actor *a = &n->apply;
    const struct cluster_view *v = cluster_view(a->cluster);
    cluster_version low = CLUSTER_VERSION(3, (unsigned) n->cfg.level % 10);

    for (size_t i = 0; i < v->members_n; i++) {
        struct member_version *m = find(a, v->members[i].id);

        if (v->members[i].id == n->member_id)
            continue;
        if (m == NULL || a->now - m->at > NODE_VERSION_FRESH_NS)
            return 0;
        low = MIN(low, m->version);
    }
    return low;
}

static void version_set(struct node *n, struct node_request *own)
{
    (void) own;
    atomic_store(&n->apply.setting_version, false);
}

void node__versions_monitor(struct node *n)
{
    struct apply_actor *a = &n->apply;
    cluster_version now = cluster_view(a->cluster)->version, to;
    Membershippb__ClusterVersionSetRequest m;
    char text[CLUSTER_VERSION_TEXT_BYTES];

    if (!a->is_primary || !atomic_load(&a->published) || atomic_load(&a->setting_version))
        return;
    to = lowest(n);
    if (to == 0 && now == 0 && a->now - a->primary_since >= NODE_MONITOR_NS)
        to = CLUSTER_VERSION(3, 0);
    if (to <= now)
        return;
    cluster_version_text(to, text);
    membershippb__cluster_version_set_request__init(&m);
    m.ver = text;
    atomic_store(&a->setting_version, true);
    node__propose_own(n, OP_CLUSTER_VERSION_SET, &m.base, version_set, NULL);
}
