/* discover.c -- a new member asks the members of an existing cluster who they are (GET /members),
 * and finds itself and its cluster in what they say (etcd's cluster_util.go and membership.go). */
#include "base/alloc.h"
#include "edge/peer/peer_int.h"

#define ANSWER_BYTES_MAX ((size_t) 4 << 20)
#define ASK_TIMEOUT_MS 5000

/* One question to one URL, on a loop of its own. */
struct asking {
    struct loop *loop;
    struct buf body;
    uint64_t cluster_id;
    bool done;
    bool ok;
    char why[200];
};

static void on_data(struct http_out *x, struct bytes part)
{
    struct asking *q = http_out_user(x);

    buf_add_bytes(&q->body, part);
}

static void on_end(struct http_out *x, const char *why)
{
    struct asking *q = http_out_user(x);
    struct bytes id;

    q->done = true;
    if (why != NULL)
        snprintf(q->why, sizeof q->why, "%s", why);
    else if (http_out_status(x) != 200 || q->body.failed)
        snprintf(q->why, sizeof q->why, "unexpected answer with status %d", http_out_status(x));
    else if (!http_out_header(x, "x-etcd-cluster-id", &id) || !cluster_id_parse(id, &q->cluster_id))
        snprintf(q->why, sizeof q->why, "the answer names no cluster");
    else
        q->ok = true;
}

static void ask(struct asking *q, const char *url)
{
    struct http_client *c = peer__client_new(q->loop, url, ASK_TIMEOUT_MS);
    struct http_out_options o = {.method = "GET",
                                 .path = "/members",
                                 .timeout_ms = ASK_TIMEOUT_MS,
                                 .data = on_data,
                                 .end = on_end,
                                 .user = q};
    struct http_out *x;
    struct err e = ERR_INIT;

    q->done = q->ok = false;
    buf_clear(&q->body);
    if (c == NULL) {
        snprintf(q->why, sizeof q->why, "the URL cannot be reached by this version");
        return;
    }
    if (http_client_request(c, &o, &x, &e) != 0)
        snprintf(q->why, sizeof q->why, "%s", e.msg);
    else
        loop_run_until(q->loop, &q->done);
    http_client_free(c);
}

/* ---- who is who ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static const char **sorted(const struct cluster_strings *s, struct arena *a)
{
    const char **v = arena_calloc(a, s->n + 1, sizeof *v);

    for (size_t i = 0; v != NULL && i < s->n; i++)
        v[i] = s->v[i];
    if (v != NULL)
        qsort((void *) v, s->n, sizeof *v, by_text);
    return v;
}

static bool same_urls(const struct cluster_strings *x, const struct cluster_strings *y,
                      struct arena *a)
{
    const char **p, **q;

    if (x->n != y->n)
        return false;
    p = sorted(x, a);
    q = sorted(y, a);
    for (size_t i = 0; i < x->n; i++) {
        if (p == NULL || q == NULL || strcmp(p[i], q[i]) != 0)
            return false;
    }
    return true;
}

/* Every member of ours must be one of theirs, and the other way round. */
static int match(const struct peer_discovery *d, struct peer_discovered *f, struct arena *a,
                 struct err *e)
{
    if (d->members_n != f->members_n)
        return err_set(e, ERR_INVALID,
                       "error validating peerURLs: member count is unequal (%zu in "
                       "--initial-cluster, %zu in the cluster)",
                       d->members_n, f->members_n);
    f->self = NULL;
    for (size_t i = 0; i < d->members_n; i++) {
        const struct cluster_member *found = NULL;

        for (size_t k = 0; k < f->members_n && found == NULL; k++) {
            if (same_urls(&d->members[i].peer_urls, &f->members[k].peer_urls, a))
                found = &f->members[k];
        }
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

/* The first that answers is believed. */
static int ask_all(struct asking *q, const struct peer_discovery *d, struct arena *a,
                   struct peer_discovered *ret, struct err *e)
{
    for (size_t i = 0; i < d->members_n; i++) {
        const struct cluster_member *m = &d->members[i];

        for (size_t k = 0; strcmp(m->name, d->name) != 0 && k < m->peer_urls.n; k++) {
            struct bytes text;
            struct err why = ERR_INIT;

            ask(q, m->peer_urls.v[k]);
            text = buf_bytes(&q->body);
            while (text.n > 0 && text.p[text.n - 1] == '\n')
                text.n--;
            if (q->ok &&
                cluster_members_parse(text, a, &ret->members, &ret->members_n, &why) == 0) {
                ret->cluster_id = q->cluster_id;
                return 0;
            }
            LOG_WARN(d->log, "failed to get cluster response", F_STR("address", m->peer_urls.v[k]),
                     F_STR("error", q->ok ? why.msg : q->why));
        }
    }
    return err_set(e, ERR_NOT_FOUND,
                   "cannot fetch cluster info from peer urls: could not retrieve cluster "
                   "information from the given URLs");
}

int peer_discover(const struct peer_discovery *d, struct arena *a, struct peer_discovered *ret,
                  struct err *e)
{
    struct asking q = {.done = false};
    int rc = loop_new("discover", &q.loop, e);

    *ret = (struct peer_discovered){0};
    if (rc != 0)
        return rc;
    buf_init(&q.body, ANSWER_BYTES_MAX);
    rc = ask_all(&q, d, a, ret, e);
    if (rc == 0)
        rc = match(d, ret, a, e);
    buf_done(&q.body);
    loop_free(q.loop);
    return rc;
}
