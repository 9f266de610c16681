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

/* ---- ends ---- */

int auth__end_cmp(const struct auth_span *s, struct bytes key)
{
    int c = s->open ? 1 : bytes_cmp(s->end, key);

    if (s->open || !s->after || c > 0)
        return c;
    if (c == 0)
        return 1;
    /* `key` is above `end`, so it is not below `end` with a zero byte: is it that? */
    return key.n == s->end.n + 1 && key.p[s->end.n] == 0 && memcmp(key.p, s->end.p, s->end.n) == 0
               ? 0
               : -1;
}

/* Does `a` end before `b` does? */
static bool ends_before(const struct auth_span *a, const struct auth_span *b)
{
    if (a->open || b->open)
        return !a->open;
    if (!b->after)
        return auth__end_cmp(a, b->end) < 0;
    return a->after ? bytes_cmp(a->end, b->end) < 0 : auth__end_cmp(b, a->end) > 0;
}

/* ---- merging ---- */

/* False: it holds no key.  Old releases let such ranges in. */
static bool span_of(const struct auth_permission *p, struct auth_span *ret)
{
    bool single = p->range_end.n == 0;

    if (p->key.n == 0)
        return false;
    *ret = (struct auth_span){p->key, single ? p->key : p->range_end, auth__is_open(p->range_end),
                              single};
    return auth__end_cmp(ret, ret->start) > 0;
}

size_t auth__permissions_of(const struct auth_view *v, const struct auth_user *u)
{
    size_t n = 0;

    for (size_t i = 0; i < u->roles_n; i++) {
        const struct auth_role *r = auth__role(v, u->roles[i]);

        n += r == NULL ? 0 : r->permissions_n;
    }
    return n;
}

static size_t collect(const struct auth_view *v, const struct auth_user *u, enum auth_access access,
                      struct auth_span *ret)
{
    size_t n = 0;

    for (size_t i = 0; i < u->roles_n; i++) {
        const struct auth_role *r = auth__role(v, u->roles[i]);

        for (size_t k = 0; r != NULL && k < r->permissions_n; k++) {
            if (auth__grants(&r->permissions[k], access) && span_of(&r->permissions[k], &ret[n]))
                n++;
        }
    }
    return n;
}

static int by_start(const void *a, const void *b)
{
    return bytes_cmp(((const struct auth_span *) a)->start, ((const struct auth_span *) b)->start);
}

size_t auth__merge(const struct auth_view *v, const struct auth_user *u, enum auth_access access,
                   struct auth_span *ret)
{
    size_t n = collect(v, u, access, ret), last = 0;

    if (n == 0)
        return 0;
    qsort(ret, n, sizeof *ret, by_start);
    for (size_t i = 1; i < n; i++) {
        struct auth_span *to = &ret[last], next = ret[i];

        if (auth__end_cmp(to, next.start) < 0) {
            ret[++last] = next;
        } else if (ends_before(to, &next)) {
            next.start = to->start;
            *to = next;
        }
    }
    return last + 1;
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

    return x != NULL && auth__end_cmp(x, key) > 0;
}

bool auth__spans_cover(const struct auth_spans *s, struct bytes key, struct bytes range_end)
{
    const struct auth_span *x = span_at(s, key);

    if (x == NULL || x->open)
        return x != NULL;
    return !auth__is_open(range_end) && auth__end_cmp(x, key) > 0 &&
           auth__end_cmp(x, range_end) >= 0;
}
