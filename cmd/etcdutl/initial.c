#include "etcdutl/initial.h"

#include "engine/net/same_urls.h"
#include "engine/net/url.h"
#include "etcdutl/utl.h"

#define LIST_BYTES_MAX 65536

struct reading {
    const struct initial_flags *flags;
    struct arena *arena;
    const char **own; /* --initial-advertise-peer-urls, sorted */
    size_t own_n;
    struct cluster_member *members; /* in the order of first mention, then by id */
    size_t n;
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "out of memory");
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static int by_id(const void *a, const void *b)
{
    const struct cluster_member *x = a, *y = b;

    return x->id < y->id ? -1 : x->id > y->id;
}

/* What stands before the next comma; *rest moves behind it. */
static struct bytes next_item(const char **rest)
{
    size_t n = strcspn(*rest, ",");
    struct bytes item = bytes_of(*rest, n);

    *rest += (*rest)[n] == ',' ? n + 1 : n;
    return item;
}

/* ---- the flags ---- */

static int read_url(struct reading *r, struct bytes item, const char **ret, struct err *e)
{
    const char *text = arena_printf(r->arena, "%.*s", (int) item.n, (const char *) item.p);
    struct url u;
    int rc = text == NULL ? no_memory(e) : url_parse(text, r->arena, &u, e);

    if (rc == 0)
        *ret = u.text;
    return rc;
}

static int read_own(struct reading *r, struct err *e)
{
    const char *rest = r->flags->peer_urls;
    int rc = 0;

    r->own = arena_calloc(r->arena, CLUSTER_URLS_MAX, sizeof *r->own);
    if (r->own == NULL)
        return no_memory(e);
    do { /* an empty flag is one empty URL */
        if (r->own_n == CLUSTER_URLS_MAX)
            return err_set(e, ERR_LIMIT, "more than %d URLs", CLUSTER_URLS_MAX);
        rc = read_url(r, next_item(&rest), &r->own[r->own_n++], e);
    } while (rc == 0 && *rest != 0);
    qsort(r->own, r->own_n, sizeof *r->own, by_text);
    return rc;
}

static struct cluster_member *member_named(struct reading *r, struct bytes name)
{
    for (size_t i = 0; i < r->n; i++) {
        if (bytes_eq(bytes_str(r->members[i].name), name))
            return &r->members[i];
    }
    return NULL;
}

static int add_member(struct reading *r, struct bytes name, struct cluster_member **ret,
                      struct err *e)
{
    struct cluster_member *m = &r->members[r->n];

    if (r->n == CLUSTER_MEMBERS_MAX)
        return err_set(e, ERR_LIMIT, "more than %d members", CLUSTER_MEMBERS_MAX);
    *m = (struct cluster_member){
        .name = arena_printf(r->arena, "%.*s", (int) name.n, (const char *) name.p)};
    if (m->name == NULL)
        return no_memory(e);
    r->n++;
    *ret = m;
    return 0;
}

/* A member rarely has more than one URL: the list is copied when it grows. */
static int add_url(struct reading *r, struct cluster_member *m, struct bytes text, struct err *e)
{
    const char **v = arena_calloc(r->arena, m->peer_urls.n + 1, sizeof *v);
    int rc;

    if (v == NULL)
        return no_memory(e);
    if (m->peer_urls.n == CLUSTER_URLS_MAX)
        return err_set(e, ERR_LIMIT, "more than %d URLs", CLUSTER_URLS_MAX);
    for (size_t i = 0; i < m->peer_urls.n; i++)
        v[i] = m->peer_urls.v[i];
    rc = read_url(r, text, &v[m->peer_urls.n], e);
    if (rc != 0)
        return rc;
    m->peer_urls.n++;
    qsort(v, m->peer_urls.n, sizeof *v, by_text);
    m->peer_urls.v = v;
    return 0;
}

static int read_cluster(struct reading *r, struct err *e)
{
    const char *rest = r->flags->cluster;
    int rc = 0;

    r->members = arena_calloc(r->arena, CLUSTER_MEMBERS_MAX, sizeof *r->members);
    if (r->members == NULL)
        return no_memory(e);
    while (rc == 0 && *rest != 0) {
        struct bytes item = next_item(&rest), name = item, url = BYTES_EMPTY;
        const uint8_t *equal = item.n == 0 ? NULL : memchr(item.p, '=', item.n);
        struct cluster_member *m;

        if (item.n == 0)
            continue;
        if (equal != NULL) {
            name.n = (size_t) (equal - item.p);
            url = bytes_of(equal + 1, item.n - name.n - 1);
        }
        m = member_named(r, name);
        if (m == NULL)
            rc = add_member(r, name, &m, e);
        if (rc == 0)
            rc = add_url(r, m, url, e);
    }
    return rc;
}

/* ---- what must agree ---- */

static bool listed(const char *const *v, size_t n, const char *s)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(v[i], s) == 0)
            return true;
    }
    return false;
}

/* "n1=URL" of each in v that is not in `others`, comma separated; without a prefix: URLs alone. */
static void put_missing(struct buf *out, const char *prefix, const struct cluster_strings *v,
                        const struct cluster_strings *others)
{
    for (size_t i = 0; i < v->n; i++) {
        if (!listed(others->v, others->n, v->v[i]))
            buf_printf(out, "%s%s%s", out->len > 0 ? "," : "", prefix, v->v[i]);
    }
}

static int disagreement(struct reading *r, const struct cluster_strings *initial,
                        const struct err *why, struct err *e)
{
    struct cluster_strings own = {r->own, r->own_n}, none = {NULL, 0};
    const char *prefix = arena_printf(r->arena, "%s=", r->flags->name);
    struct buf missing, all;

    if (prefix == NULL)
        return no_memory(e);
    buf_init(&missing, LIST_BYTES_MAX);
    buf_init(&all, LIST_BYTES_MAX);
    put_missing(&missing, prefix, initial, &own);
    if (missing.len > 0) {
        put_missing(&all, "", &own, &none);
        err_set(e, ERR_INVALID,
                "--initial-cluster has %s but missing from --initial-advertise-peer-urls=%s (%s)",
                buf_cstr(&missing), buf_cstr(&all), why->msg);
    } else {
        put_missing(&missing, "", &own, initial);
        put_missing(&all, prefix, &own, &none);
        err_set(e, ERR_INVALID,
                "--initial-advertise-peer-urls has %s but missing from --initial-cluster=%s",
                buf_cstr(&missing), buf_cstr(&all));
    }
    buf_done(&missing);
    buf_done(&all);
    return ERR_INVALID;
}

static int duplicate(struct reading *r, size_t urls, struct err *e)
{
    const char **pairs = arena_calloc(r->arena, urls, sizeof *pairs);
    size_t n = 0;
    struct buf all;

    if (pairs == NULL)
        return no_memory(e);
    for (size_t i = 0; i < r->n; i++) {
        for (size_t k = 0; k < r->members[i].peer_urls.n; k++) {
            pairs[n] = arena_printf(r->arena, "%s=%s", r->members[i].name,
                                    r->members[i].peer_urls.v[k]);
            if (pairs[n++] == NULL)
                return no_memory(e);
        }
    }
    qsort(pairs, n, sizeof *pairs, by_text);
    buf_init(&all, LIST_BYTES_MAX);
    for (size_t i = 0; i < n; i++)
        buf_printf(&all, "%s%s", i == 0 ? "" : ",", pairs[i]);
    err_set(e, ERR_INVALID, "initial cluster %s has duplicate url", buf_cstr(&all));
    buf_done(&all);
    return ERR_INVALID;
}

static int check_duplicates(struct reading *r, struct err *e)
{
    const char **all;
    size_t n = 0, k = 0;

    for (size_t i = 0; i < r->n; i++)
        n += r->members[i].peer_urls.n;
    all = arena_calloc(r->arena, n, sizeof *all);
    if (all == NULL)
        return no_memory(e);
    for (size_t i = 0; i < r->n; i++) {
        for (size_t j = 0; j < r->members[i].peer_urls.n; j++)
            all[k++] = r->members[i].peer_urls.v[j];
    }
    qsort(all, n, sizeof *all, by_text);
    for (size_t i = 1; i < n; i++) {
        if (strcmp(all[i - 1], all[i]) == 0)
            return duplicate(r, n, e);
    }
    return 0;
}

static int check(struct reading *r, struct err *e)
{
    struct cluster_member *self = member_named(r, bytes_str(r->flags->name));
    mono_ns until = clock_mono_ns(clock_posix()) + INT64_C(1000000) * NET_SAME_URLS_MS;
    struct err why = ERR_INIT;
    int rc;

    if (self == NULL)
        return err_set(e, ERR_INVALID,
                       "couldn't find local name \"%s\" in the initial cluster configuration",
                       r->flags->name);
    rc = net_same_urls((struct net_urls){r->own, r->own_n},
                       (struct net_urls){self->peer_urls.v, self->peer_urls.n}, until, utl_log,
                       r->arena, &why);
    if (rc == ERR_NOMEM)
        return no_memory(e);
    if (rc != 0)
        return disagreement(r, &self->peer_urls, &why, e);
    return check_duplicates(r, e);
}

/* ---- ids ---- */

static int identify(struct reading *r, struct initial *ret, struct err *e)
{
    uint64_t *ids = arena_calloc(r->arena, r->n, sizeof *ids);

    if (ids == NULL)
        return no_memory(e);
    for (size_t i = 0; i < r->n; i++)
        r->members[i].id = cluster_member_id(&r->members[i].peer_urls, r->flags->token, -1);
    qsort(r->members, r->n, sizeof *r->members, by_id);
    for (size_t i = 0; i < r->n; i++) {
        ids[i] = r->members[i].id;
        if (i > 0 && ids[i] == ids[i - 1])
            return err_set(e, ERR_INVALID, "member exists with identical ID %" PRIx64, ids[i]);
    }
    *ret = (struct initial){.members = r->members,
                            .n = r->n,
                            .self = member_named(r, bytes_str(r->flags->name)),
                            .cluster_id = cluster_id_of(ids, r->n)};
    return 0;
}

int initial_read(const struct initial_flags *f, struct arena *a, struct initial *ret, struct err *e)
{
    struct reading r = {.flags = f, .arena = a};
    int rc = read_own(&r, e);

    if (rc == 0)
        rc = read_cluster(&r, e);
    if (rc == 0)
        rc = check(&r, e);
    return rc == 0 ? identify(&r, ret, e) : rc;
}
