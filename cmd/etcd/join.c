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

/* The others say who this member is. */
static int join_existing(const struct peer_discovery *d, struct arena *a, struct node_config *nc,
                         struct peer_discovered *ret, struct err *e)
{
    int rc = peer_discover(d, a, ret, e);
    struct cluster_view theirs = {.members = ret->members, .members_n = ret->members_n};

    if (rc == 0 && !cluster_learners_fit(&theirs, nc->learners_max))
        rc = err_set(e, ERR_INVALID, CLUSTER_TOO_MANY_LEARNERS_TEXT);
    if (rc == 0) {
        nc->joined_member_id = ret->self->id;
        nc->joined_cluster_id = ret->cluster_id;
    }
    return rc;
}

/* A member whose directory was lost must not begin anew under its old name: it has voted. */
static int check_new(const struct peer_discovery *d, const struct node_config *nc, struct arena *a,
                     struct err *e)
{
    for (size_t i = 0; i < d->members_n; i++) {
        uint64_t id = cluster_member_id(&d->members[i].peer_urls, nc->cluster_token, -1);

        if (strcmp(d->members[i].name, d->name) == 0 && peer_was_started(d, id, a))
            return err_set(e, ERR_INVALID, "member %" PRIx64 " has already been bootstrapped", id);
    }
    return 0;
}

int join_cluster(const struct config *c, struct tls *tls, struct log *log, struct arena *a,
                 struct node_config *nc, struct peer_discovered *ret, struct err *e)
{
    struct cluster_member *members = arena_calloc(a, c->cluster_n + 1, sizeof *members);
    const char ***urls = arena_calloc(a, c->cluster_n + 1, sizeof *urls);
    struct peer_discovery d = {
        .name = c->name, .members = members, .version = config_version(c), .tls = tls, .log = log};

    for (size_t i = 0; urls != NULL && i < c->cluster_n; i++) {
        urls[i] = arena_calloc(a, c->cluster_n + 1, sizeof **urls);
        if (urls[i] == NULL)
            urls = NULL;
    }
    if (members == NULL || urls == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    d.members_n = initial_members(c, members, urls);
    return nc->initial_existing ? join_existing(&d, a, nc, ret, e) : check_new(&d, nc, a, e);
}

void join_remotes(const struct peer_discovered *d, struct peer_server *peers)
{
    for (size_t i = 0; i < d->members_n; i++) {
        if (&d->members[i] != d->self)
            peer_add_remote(peers, &d->members[i]);
    }
}
