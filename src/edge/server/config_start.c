/* config_start.c -- what is found out only while the member starts: retention, ciphers, and the
 * members that it is to begin with. */
#include "edge/server/config.h"
#include "edge/server/goparse.h"
#include "engine/net/tls.h"
#include "engine/net/url.h"
#include "obs/gofmt.h"

static int parse_retention(struct config *c, struct err *e)
{
    const char *s = c->auto_compaction_retention;
    bool periodic = strcmp(c->auto_compaction_mode, "periodic") == 0;
    int64_t v;

    c->retention_periodic = periodic;
    if (*s != 0 && s[strspn(s, "0123456789")] == 0 && go_int_parse(s, &v, NULL) == 0) {
        if (periodic && v > INT64_MAX / INT64_C(3600000000000))
            return err_set(e, ERR_INVALID, "error parsing CompactionRetention: value out of range");
        c->retention = periodic ? v * INT64_C(3600000000000) : v;
        return 0;
    }
    if (!go_duration_parse(s, &v)) {
        const char *unit = s + strspn(s, "+-0123456789.");

        if (*s != 0 && *unit == 0)
            return err_set(
                e, ERR_INVALID,
                "error parsing CompactionRetention: time: missing unit in duration \"%s\"", s);
        return err_set(e, ERR_INVALID,
                       "error parsing CompactionRetention: time: invalid duration \"%s\"", s);
    }
    /* etcd takes a negative duration and then compacts at once; nobody can mean that. */
    if (v < 0)
        return err_set(e, ERR_INVALID,
                       "error parsing CompactionRetention: time: invalid duration \"%s\"", s);
    c->retention = v;
    return 0;
}

/* "a=http://x:1,b=http://y:2" into pairs. */
static int parse_cluster(struct config *c, struct err *e)
{
    char *s = arena_dup(&c->arena, c->initial_cluster, strlen(c->initial_cluster) + 1);

    c->cluster_names = arena_calloc(&c->arena, CONFIG_LIST_MAX, sizeof *c->cluster_names);
    c->cluster_urls = arena_calloc(&c->arena, CONFIG_LIST_MAX, sizeof *c->cluster_urls);
    if (s == NULL || c->cluster_names == NULL || c->cluster_urls == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    c->cluster_n = 0;
    while (s != NULL && *s != 0) {
        char *comma = strchr(s, ','), *eq;
        struct url u;
        int rc;

        if (comma != NULL)
            *comma++ = 0;
        eq = strchr(s, '=');
        if (*s != 0) {
            if (c->cluster_n == CONFIG_LIST_MAX)
                return err_set(e, ERR_LIMIT, "error setting up initial cluster: too many members");
            rc = url_parse(eq == NULL ? "" : eq + 1, &c->arena, &u, e);
            if (rc != 0)
                return err_wrap(e, rc, "error setting up initial cluster");
            if (eq != NULL)
                *eq = 0;
            c->cluster_names[c->cluster_n] = s;
            c->cluster_urls[c->cluster_n++] = u.text;
        }
        s = comma;
    }
    return 0;
}

/* It must speak of this member. */
static int check_cluster(const struct config *c, struct err *e)
{
    if (c->cluster_n == 0)
        return err_set(e, ERR_INVALID, "initial cluster unset and no discovery endpoints found");
    for (size_t i = 0; i < c->cluster_n; i++) {
        if (strcmp(c->cluster_names[i], c->name) == 0)
            return 0;
    }
    return err_set(e, ERR_INVALID,
                   "couldn't find local name \"%s\" in the initial cluster configuration", c->name);
}

int config_check_start(struct config *c, bool initialized, struct err *e)
{
    int rc = parse_retention(c, e);

    if (rc == 0)
        rc = tls_cipher_suites_check((struct tls_names){c->cipher_suites.v, c->cipher_suites.n}, e);
    if (rc != 0 || initialized)
        return rc;
    rc = parse_cluster(c, e);
    return rc == 0 ? check_cluster(c, e) : rc;
}
