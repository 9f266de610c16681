/* spans.c -- the permissions of a user's roles, merged: a sorted array of disjoint spans, so that a
 * check is one binary search.
 *
 * A permission on one key is the span [key, key + 0x00), and spans that touch are one: "the union
 * covers it" is then "one span covers it".
 */
#include "state/auth/auth_int.h"

bool auth__is_open(struct bytes range_end)
{
    return range_end.n == 1 && range_end.p[0] == 0;
}

bool auth__grants(const struct auth_permission *p, enum auth_access access)
{
    if (p->type == AUTHPB__PERMISSION__TYPE__READWRITE)
        return true;
    return p->type ==
           (access == AUTH_READ ? AUTHPB__PERMISSION__TYPE__READ : AUTHPB__PERMISSION__TYPE__WRITE);
}

/* ---- merging ---- */

static struct bytes key_after(struct arena *mem, struct bytes key)
{
    uint8_t *p = arena_alloc(mem, key.n + 1);

    if (p == NULL)
        mem_exhausted("the permissions of a user");
    memcpy(p, key.p, key.n);
    p[key.n] = 0;
    return bytes_of(p, key.n + 1);
}

/* False: it holds no key.  Old releases let such ranges in. */
static bool span_of(const struct auth_permission *p, struct arena *mem, struct auth_span *ret)
{
    if (p->key.n == 0)
        return false;
    *ret = (struct auth_span){p->key, p->range_end, auth__is_open(p->range_end)};
    if (p->range_end.n == 0)
        ret->end = key_after(mem, p->key);
    return ret->open || bytes_cmp(ret->start, ret->end) < 0;
}

static size_t permissions_of(const struct auth_view *v, const struct auth_user *u)
{
    size_t n = 0;

    for (size_t i = 0; i < u->roles_n; i++) {
        const struct auth_role *r = auth__role(v, u->roles[i]);

        n += r == NULL ? 0 : r->permissions_n;
    }
    return n;
}

static size_t collect(const struct auth_view *v, const struct auth_user *u, enum auth_access access,
                      struct arena *mem, struct auth_span *ret)
{
    size_t n = 0;

    for (size_t i = 0; i < u->roles_n; i++) {
        const struct auth_role *r = auth__role(v, u->roles[i]);

        for (size_t k = 0; r != NULL && k < r->permissions_n; k++) {
            if (auth__grants(&r->permissions[k], access) &&
                span_of(&r->permissions[k], mem, &ret[n]))
                n++;
        }
    }
    return n;
}

static int by_start(const void *a, const void *b)
{
    return bytes_cmp(((const struct auth_span *) a)->start, ((const struct auth_span *) b)->start);
}

struct auth_spans auth__merge(const struct auth_view *v, const struct auth_user *u,
                              enum auth_access access, struct arena *mem)
{
    size_t n = permissions_of(v, u), last = 0;
    struct auth_spans s = {arena_alloc(mem, (n + 1) * sizeof *s.v), 0};

    if (s.v == NULL)
        mem_exhausted("the permissions of a user");
    n = collect(v, u, access, mem, s.v);
    if (n == 0)
        return s;
    qsort(s.v, n, sizeof *s.v, by_start);
    for (size_t i = 1; i < n; i++) {
        struct auth_span *to = &s.v[last];

        if (!to->open && bytes_cmp(to->end, s.v[i].start) < 0)
            s.v[++last] = s.v[i];
        else if (!to->open && (s.v[i].open || bytes_cmp(to->end, s.v[i].end) < 0))
            *to = (struct auth_span){to->start, s.v[i].end, s.v[i].open};
    }
    s.n = last + 1;
    return s;
}

/* ---- questions ---- */

/* The span that begins at `key` or is the last before it; NULL: all begin behind it. */
static const struct auth_span *span_at(const struct auth_spans *s, struct bytes key)
{
    size_t lo = 0, hi = s->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (bytes_cmp(s->v[mid].start, key) <= 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo == 0 ? NULL : &s->v[lo - 1];
}

bool auth__spans_have(const struct auth_spans *s, struct bytes key)
{
    const struct auth_span *x = span_at(s, key);

    return x != NULL && (x->open || bytes_cmp(key, x->end) < 0);
}

bool auth__spans_cover(const struct auth_spans *s, struct bytes key, struct bytes range_end)
{
    const struct auth_span *x = span_at(s, key);

    if (x == NULL || x->open)
        return x != NULL;
    return !auth__is_open(range_end) && bytes_cmp(key, x->end) < 0 &&
           bytes_cmp(range_end, x->end) <= 0;
}
