/* discover.c -- a new member asks the members of an existing cluster who they are (GET /members),
 * and finds itself and its cluster in what they say (etcd's cluster_util.go and membership.go). */
#include "edge/peer/once.h"
#include "engine/net/same_urls.h"

#define ASK_TIMEOUT_MS 5000
#define ASK_AGAIN_TIMEOUT_MS 1000 /* whether it was started before: the others may not run yet */

/* ---- who is who ---- */

static struct net_urls urls_of(const struct cluster_member *m)
{
    return (struct net_urls){m->peer_urls.v, m->peer_urls.n};
}

/* The one of theirs with the URLs of ours: by text, else by address, as etcd has it; NULL: none. */
static const struct cluster_member *match_of(const struct cluster_member *ours,
                                             const struct peer_discovered *f, mono_ns until,
                                             struct log *log, struct arena *a)
{
    for (size_t k = 0; k < f->members_n; k++) {
        if (net_same_texts(urls_of(ours), urls_of(&f->members[k]), a))
            return &f->members[k];
    }
    for (size_t k = 0; k < f->members_n; k++) {
        struct err why = ERR_INIT;

        if (net_same_urls(urls_of(ours), urls_of(&f->members[k]), until, log, a, &why) == 0)
            return &f->members[k];
    }
    return NULL;
}

/* Every member of ours must be one of theirs, and the other way round. */
static int match(const struct peer_discovery *d, struct peer_discovered *f, struct arena *a,
                 struct err *e)
{
    mono_ns until = clock_mono_ns(clock_posix()) + (mono_ns) NET_SAME_URLS_MS * 1000000;

    if (d->members_n != f->members_n)
        return err_set(e, ERR_INVALID,
                       "error validating peerURLs: member count is unequal (%zu in "
                       "--initial-cluster, %zu in the cluster)",
                       d->members_n, f->members_n);
    f->self = NULL;
    for (size_t i = 0; i < d->members_n; i++) {
        const struct cluster_member *found = match_of(&d->members[i], f, until, d->log, a);

        if (found == NULL)
            return err_set(e, ERR_INVALID,
                           "error validating peerURLs: unmatched member while checking PeerURLs of "
                           "%s",
                           d->members[i].name);
        if (strcmp(d->members[i].name, d->name) == 0)
            f->self = found;
    }
    if (f->self == NULL)
        return err_set(e, ERR_INVALID,
                       "couldn't find local name \"%s\" in the initial cluster configuration",
                       d->name);
    return 0;
}

/* ---- the members that answer ---- */

/* True: *ret is what the member with this URL said. */
static bool members_of(struct peer_once *q, const char *url, int64_t timeout_ms, struct log *log,
                       struct arena *a, struct peer_discovered *ret)
{
    struct peer_once_question ask = {.url = url, .path = "/members", .timeout_ms = timeout_ms};
    struct err why = ERR_INIT;
    struct bytes text;

    if (!peer__once_get(q, &ask))
        err_set(&why, ERR_NOT_FOUND, "%s", q->why);
    else if (q->status != 200)
        err_set(&why, ERR_NOT_FOUND, "unexpected answer with status %d", q->status);
    else if (!q->has_cluster_id)
        err_set(&why, ERR_NOT_FOUND, "the answer names no cluster");
    text = buf_bytes(&q->body);
    while (text.n > 0 && text.p[text.n - 1] == '\n')
        text.n--;
    if (why.code == 0 &&
        cluster_members_parse(text, a, &ret->members, &ret->members_n, &why) == 0) {
        ret->cluster_id = q->cluster_id;
        return true;
    }
    LOG_WARN(log, "failed to get cluster response", F_STR("address", url), F_ERR(&why));
    return false;
}

/* The first that answers is believed. */
static int ask_all(struct peer_once *q, const struct peer_discovery *d, int64_t timeout_ms,
                   struct arena *a, struct peer_discovered *ret, struct err *e)
{
    for (size_t i = 0; i < d->members_n; i++) {
        const struct cluster_member *m = &d->members[i];

        for (size_t k = 0; strcmp(m->name, d->name) != 0 && k < m->peer_urls.n; k++) {
            if (members_of(q, m->peer_urls.v[k], timeout_ms, d->log, a, ret))
                return 0;
        }
    }
    return err_set(e, ERR_NOT_FOUND,
                   "cannot fetch cluster info from peer urls: could not retrieve cluster "
                   "information from the given URLs");
}

int peer_discover(const struct peer_discovery *d, struct arena *a, struct peer_discovered *ret,
                  struct err *e)
{
    struct peer_once q;
    int rc = peer__once_open(&q, d->tls, e);

    *ret = (struct peer_discovered){0};
    if (rc == 0)
        rc = ask_all(&q, d, ASK_TIMEOUT_MS, a, ret, e);
    if (rc == 0)
        rc = match(d, ret, a, e);
    if (rc == 0)
        rc = peer__check_versions(&q, d, ret, e);
    peer__once_close(&q);
    return rc;
}

bool peer_was_started(const struct peer_discovery *d, uint64_t own_id, struct arena *a)
{
    struct peer_discovery quiet = *d;
    struct peer_discovered f = {0};
    struct peer_once q;
    bool started = false;

    quiet.log = NULL; /* that the others do not run yet is no news */
    if (peer__once_open(&q, d->tls, NULL) == 0 &&
        ask_all(&q, &quiet, ASK_AGAIN_TIMEOUT_MS, a, &f, NULL) == 0) {
        for (size_t i = 0; i < f.members_n; i++)
            started |= f.members[i].id == own_id && f.members[i].client_urls.n > 0;
    }
    peer__once_close(&q);
    return started;
}
