#include "etcd/join.h"

/* --initial-cluster, one member per name. */
static size_t initial_members(const struct config *c, struct cluster_member *members,
                              const char ***urls)
{
    size_t n = 0;

    for (size_t i = 0; i < c->cluster_n; i++) {
        size_t k = 0;

        while (k < n && strcmp(members[k].name, c->cluster_names[i]) != 0)
            k++;
        if (k == n)
            members[n++] = (struct cluster_member){.name = c->cluster_names[i]};
        urls[k][members[k].peer_urls.n++] = c->cluster_urls[i];
        members[k].peer_urls.v = urls[k];
    }
    return n;
}

int join_cluster(const struct config *c, struct tls *tls, struct log *log, struct arena *a,
                 struct node_config *nc, struct peer_discovered *ret, struct err *e)
{
    struct cluster_member *members = arena_calloc(a, c->cluster_n + 1, sizeof *members);
    const char ***urls = arena_calloc(a, c->cluster_n + 1, sizeof *urls);
    struct peer_discovery d = {.name = c->name, .members = members, .tls = tls, .log = log};
    int rc;

    for (size_t i = 0; urls != NULL && i < c->cluster_n; i++) {
        urls[i] = arena_calloc(a, c->cluster_n + 1, sizeof **urls);
        if (urls[i] == NULL)
            urls = NULL;
    }
    if (members == NULL || urls == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    d.members_n = initial_members(c, members, urls);
    rc = peer_discover(&d, a, ret, e);
    if (rc == 0) {
        nc->joined_member_id = ret->self->id;
        nc->joined_cluster_id = ret->cluster_id;
    }
    return rc;
}

void join_remotes(const struct peer_discovered *d, struct peer_server *peers)
{
    for (size_t i = 0; i < d->members_n; i++) {
        if (&d->members[i] != d->self)
            peer_add_remote(peers, &d->members[i]);
    }
}
