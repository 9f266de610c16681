/* config_peers.c -- what --initial-cluster says of this member, against
 * --initial-advertise-peer-urls (etcd's config.go, VerifyBootstrap and VerifyJoinExisting). */
#include "base/buf.h"
#include "edge/server/config.h"
#include "engine/net/same_urls.h"

#define TEXT_BYTES_MAX ((size_t) 1 << 16)

static bool is_listed(struct net_urls list, const char *url)
{
    for (size_t i = 0; i < list.n; i++)
        if (strcmp(list.v[i], url) == 0)
            return true;
    return false;
}

/* Those of x that are not in y, each behind the prefix, with commas between. */
static void put_missing(struct buf *out, const char *prefix, struct net_urls x, struct net_urls y)
{
    for (size_t i = 0; i < x.n; i++)
        if (!is_listed(y, x.v[i]))
            buf_printf(out, "%s%s%s", out->len == 0 ? "" : ",", prefix, x.v[i]);
}

/* Words for two lists that are not the same; `why` is of net_same_urls. */
static int disagreement(const struct config *c, struct net_urls advertised, struct net_urls listed,
                        const struct err *why, struct err *e)
{
    static const struct net_urls none = {NULL, 0};
    struct buf missing, all, prefix;

    buf_init(&missing, TEXT_BYTES_MAX);
    buf_init(&all, TEXT_BYTES_MAX);
    buf_init(&prefix, TEXT_BYTES_MAX);
    buf_printf(&prefix, "%s=", c->name);
    put_missing(&missing, buf_cstr(&prefix), listed, advertised);
    if (missing.len > 0) {
        put_missing(&all, "", advertised, none);
        err_set(e, ERR_INVALID,
                "--initial-cluster has %s but missing from --initial-advertise-peer-urls=%s (%s)",
                buf_cstr(&missing), buf_cstr(&all), why->msg);
        goto out;
    }
    put_missing(&missing, "", advertised, listed);
    put_missing(&all, buf_cstr(&prefix), advertised, none);
    if (missing.len > 0)
        err_set(e, ERR_INVALID,
                "--initial-advertise-peer-urls has %s but missing from --initial-cluster=%s",
                buf_cstr(&missing), buf_cstr(&all));
    else /* one is there twice */
        err_set(e, ERR_INVALID, "failed to resolve %s to match --initial-cluster=%s (%s)",
                advertised.v[0], buf_cstr(&all), why->msg);
out:
    buf_done(&missing);
    buf_done(&all);
    buf_done(&prefix);
    return ERR_INVALID;
}

/* Of a member that begins a cluster: both flags must name the same places. */
static int check_advertised(struct config *c, struct log *log, int64_t time_ms, struct err *e)
{
    const char **own = arena_calloc(&c->arena, c->cluster_n + 1, sizeof *own);
    mono_ns until = clock_mono_ns(clock_posix()) + time_ms * 1000000;
    struct net_urls listed = {own, 0}, advertised;
    struct err why = ERR_INIT;
    int rc;

    if (own == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < c->cluster_n; i++)
        if (strcmp(c->cluster_names[i], c->name) == 0)
            own[listed.n++] = c->cluster_urls[i];
    listed.v = net_urls_sorted(listed, &c->arena);
    advertised = (struct net_urls){c->initial_advertise_peer_urls.v,
                                   c->initial_advertise_peer_urls.n};
    advertised.v = net_urls_sorted(advertised, &c->arena);
    if (listed.v == NULL || advertised.v == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    rc = net_same_urls(advertised, listed, until, log, &c->arena, &why);
    return rc == 0 ? 0 : disagreement(c, advertised, listed, &why, e);
}

static int check_duplicates(struct config *c, struct err *e)
{
    const char **pairs = arena_calloc(&c->arena, c->cluster_n + 1, sizeof *pairs);
    bool twice = false;
    struct buf all;

    if (pairs == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < c->cluster_n; i++) {
        struct net_urls before = {c->cluster_urls, i};

        twice = twice || is_listed(before, c->cluster_urls[i]);
        pairs[i] = arena_printf(&c->arena, "%s=%s", c->cluster_names[i], c->cluster_urls[i]);
        if (pairs[i] == NULL)
            return err_set(e, ERR_NOMEM, "out of memory");
    }
    if (!twice)
        return 0;
    pairs = net_urls_sorted((struct net_urls){pairs, c->cluster_n}, &c->arena);
    if (pairs == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    buf_init(&all, TEXT_BYTES_MAX);
    for (size_t i = 0; i < c->cluster_n; i++)
        buf_printf(&all, "%s%s", i == 0 ? "" : ",", pairs[i]);
    err_set(e, ERR_INVALID, "initial cluster %s has duplicate url", buf_cstr(&all));
    buf_done(&all);
    return ERR_INVALID;
}

int config_check_peers(struct config *c, struct log *log, int64_t time_ms, struct err *e)
{
    int rc = 0;

    if (strcmp(c->initial_cluster_state, "existing") != 0)
        rc = check_advertised(c, log, time_ms, e);
    return rc == 0 ? check_duplicates(c, e) : rc;
}
