/* server_methods.c -- the table of methods: which service answers a path. */
#define _GNU_SOURCE
#include "base/alloc.h"
#include "engine/net/server_int.h"

#define METHODS_CAP_MIN 64

/* FNV-1a, of the length and the last bytes only: paths differ there. */
static size_t path_hash(struct bytes p)
{
    uint64_t h = 14695981039346656037u ^ p.n;

    for (size_t i = p.n > 16 ? p.n - 16 : 0; i < p.n; i++)
        h = (h ^ p.p[i]) * 1099511628211u;
    return (size_t) (h ^ h >> 32);
}

static struct method_slot *slot_of(struct method_slot *t, size_t cap, struct bytes path)
{
    size_t i = path_hash(path) & (cap - 1);

    while (t[i].method != NULL && !bytes_eq(t[i].path, path))
        i = (i + 1) & (cap - 1);
    return &t[i];
}

const struct method_slot *server__method(const struct net_server *s, struct bytes path)
{
    const struct method_slot *m;

    if (s->methods_cap == 0)
        return NULL;
    m = slot_of(s->methods, s->methods_cap, path);
    return m->method == NULL ? NULL : m;
}

bool server__has_service(const struct net_server *s, struct bytes service)
{
    for (size_t i = 0; i < s->methods_cap; i++) {
        struct bytes p = s->methods[i].path;

        if (s->methods[i].method != NULL && p.n > service.n + 2 && p.p[service.n + 1] == '/' &&
            memcmp(p.p + 1, service.p, service.n) == 0)
            return true;
    }
    return false;
}

static int methods_grow(struct net_server *s, struct err *e)
{
    size_t cap = MAX(s->methods_cap * 2, (size_t) METHODS_CAP_MIN);
    struct method_slot *t = mem_calloc(cap, sizeof *t);

    if (t == NULL)
        return err_set(e, ERR_NOMEM, "add methods: out of memory");
    for (size_t i = 0; i < s->methods_cap; i++) {
        if (s->methods[i].method != NULL)
            *slot_of(t, cap, s->methods[i].path) = s->methods[i];
    }
    mem_free(s->methods);
    s->methods = t;
    s->methods_cap = cap;
    return 0;
}

int net_server_add(struct net_server *s, const struct net_method *m, size_t n, void *service,
                   struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        struct bytes path = bytes_str(m[i].path);
        struct method_slot *slot;

        ASSERT(path.n > 2);
        ASSERT(path.p[0] == '/');
        if (2 * (s->methods_n + 1) > s->methods_cap && methods_grow(s, e) != 0)
            return ERR_NOMEM;
        slot = slot_of(s->methods, s->methods_cap, path);
        if (slot->method != NULL)
            return err_set(e, ERR_EXISTS, "method %s is served twice", m[i].path);
        *slot = (struct method_slot){path, &m[i], service};
        s->methods_n++;
    }
    return 0;
}
