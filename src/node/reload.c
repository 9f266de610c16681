/* reload.c -- everything under state/ anew, from the data file that a snapshot has brought.
 *
 * The one place where it happens: what is added to state/ is reloaded here, too.  On the apply
 * thread, in etcd's order; the store actor does nothing meanwhile.
 */
#include "base/plant.h"
#include "node/open.h"

/* This member leads no more, or it would not have been sent a snapshot. */
static int reload_leases(struct node *n, struct err *e)
{
    struct apply_actor *a = &n->apply;

    if (a->is_primary)
        lessor_demote(a->lessor);
    a->is_primary = false;
    node__leases_end_waits(n);
    lessor_free(a->lessor);
    a->lessor = NULL;
    return node__open_leases(n, e);
}

static int reload_cluster(struct node *n, struct err *e)
{
    struct apply_actor *a = &n->apply;

    cluster_free(a->cluster);
    a->cluster = NULL;
    a->cluster_changed = true; /* the transport is told with the turn's end */
    return node__open_cluster(n, e);
}

int node__reload_state(struct node *n, struct mvcc_loaded *keys, struct err *e)
{
    struct apply_actor *a = &n->apply;
    int rc = reload_leases(n, e); /* before the keys, which are attached to them */

    if (rc != 0)
        return rc;
    mvcc_replace(a->mvcc, keys);
    rc = node__open_auth(n, e);
    if (rc == 0)
        rc = reload_cluster(n, e); /* with the alarms */
    if (rc != 0)
        return rc;
    if (!PLANTED(WATCH_NOT_RESTORED))
        watch_restored(a->hub, mvcc_revision(a->mvcc), mvcc_compact_revision(a->mvcc));
    mvcc_publish(a->mvcc); /* behind the watchers: who is told that it is behind finds a view */
    return 0;
}
