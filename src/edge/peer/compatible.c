/* compatible.c -- may a member of this release join the cluster?  At least one of the others must
 * say which version the cluster has, and none one that is out of range (etcd's cluster_util.go). */
#include "edge/peer/once.h"

#define TIMEOUT_MS 7000
#define PAGE_BYTES_MAX 512
#define VERSION_MIN CLUSTER_VERSION(3, 0)

/* The page from the first URL of the member that gives it, as text.  False: from none. */
static bool page_of(struct peer_once *q, const struct cluster_member *m, const char *path,
                    char ret[PAGE_BYTES_MAX])
{
    for (size_t i = 0; i < m->peer_urls.n; i++) {
        struct peer_once_question ask = {
            .url = m->peer_urls.v[i], .path = path, .timeout_ms = TIMEOUT_MS};
        struct bytes body;

        if (!peer__once_get(q, &ask) || q->status != 200)
            continue;
        body = buf_bytes(&q->body);
        snprintf(ret, PAGE_BYTES_MAX, "%.*s", (int) MIN(body.n, PAGE_BYTES_MAX - 1),
                 (const char *) body.p);
        return true;
    }
    return false;
}

/* The first of the others that says so is believed. */
static bool downgrade_enabled(struct peer_once *q, const struct peer_discovered *f)
{
    char page[PAGE_BYTES_MAX];

    for (size_t i = 0; i < f->members_n; i++) {
        if (&f->members[i] != f->self && page_of(q, &f->members[i], "/downgrade/enabled", page) &&
            (strcmp(page, "true") == 0 || strcmp(page, "false") == 0))
            return page[0] == 't';
    }
    return false;
}

static void say_out_of_range(const struct peer_discovery *d, const struct cluster_member *m,
                             cluster_version v, bool low, cluster_version bound)
{
    char theirs[CLUSTER_VERSION_TEXT_BYTES], ours[CLUSTER_VERSION_TEXT_BYTES];

    cluster_version_text(v, theirs);
    cluster_version_text(bound, ours);
    LOG_WARN(d->log,
             low ? "cluster version of remote member is not compatible; too low"
                 : "cluster version of remote member is not compatible; too high",
             F_HEX("remote-member-id", m->id), F_STR("remote-member-cluster-version", theirs),
             F_STR(low ? "minimum-cluster-version-supported" : "maximum-cluster-version-supported",
                   ours));
}

int peer__check_versions(struct peer_once *q, const struct peer_discovery *d,
                         const struct peer_discovered *f, struct err *e)
{
    cluster_version low = VERSION_MIN, high, v;
    char page[PAGE_BYTES_MAX];
    bool ok = false, out = false;

    if (!cluster_version_parse(bytes_str(d->version), &high))
        UNREACHABLE();
    if (downgrade_enabled(q, f))
        low = ++high; /* this is the release that the cluster is on its way to */
    for (size_t i = 0; i < f->members_n && !out; i++) {
        const struct cluster_member *m = &f->members[i];

        if (m == f->self || !page_of(q, m, "/version", page) ||
            !peer__version_in(page, "etcdcluster", &v))
            continue;
        out = v < low || v > high;
        if (out)
            say_out_of_range(d, m, v, v < low, v < low ? low : high);
        ok = true;
    }
    return ok && !out ? 0 : err_set(e, ERR_INVALID, "incompatible with current running cluster");
}
