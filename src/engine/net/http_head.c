/* http_head.c -- what a handler reads of a request's head, and of the query in it. */
#define _GNU_SOURCE
#include "engine/net/http_int.h"

struct loop *http_loop(const struct http_req *r)
{
    return r->sc->conn.loop;
}

struct arena *http_arena(struct http_req *r)
{
    return r->arena;
}

void http_set_user(struct http_req *r, void *user)
{
    r->user = user;
}

void *http_user(const struct http_req *r)
{
    return r->user;
}

struct bytes http_method(const struct http_req *r)
{
    return r->method;
}

struct bytes http_path(const struct http_req *r)
{
    return r->path;
}

struct bytes http_query(const struct http_req *r)
{
    return r->query;
}

struct bytes http_host(const struct http_req *r)
{
    return r->host;
}

const char *http_peer(const struct http_req *r)
{
    return r->sc->conn.peer;
}

const char *http_common_name(const struct http_req *r)
{
    return r->sc->common_name;
}

bool http_over_tls(const struct http_req *r)
{
    return r->sc->conn.tls != NULL;
}

int http_version(const struct http_req *r)
{
    return r->version;
}

bool http_header(const struct http_req *r, const char *name, struct bytes *ret)
{
    struct bytes want = bytes_str(name);

    for (const struct field *f = r->fields; f != NULL; f = f->next) {
        if (bytes_eq(f->name, want)) {
            *ret = f->value;
            return true;
        }
    }
    return false;
}

bool http_header_at(const struct http_req *r, size_t i, struct bytes *ret_name,
                    struct bytes *ret_value)
{
    const struct field *f = r->fields;

    while (f != NULL && i-- > 0)
        f = f->next;
    if (f == NULL)
        return false;
    *ret_name = f->name;
    *ret_value = f->value;
    return true;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "%20" and "+" decoded; false: no memory. */
static bool unescape(struct bytes in, struct arena *a, struct bytes *ret)
{
    uint8_t *out = arena_alloc(a, in.n);
    size_t n = 0;

    if (out == NULL)
        return false;
    for (size_t i = 0; i < in.n; i++) {
        if (in.p[i] == '%' && i + 2 < in.n && hex_value(in.p[i + 1]) >= 0 &&
            hex_value(in.p[i + 2]) >= 0) {
            out[n++] = (uint8_t) (hex_value(in.p[i + 1]) << 4 | hex_value(in.p[i + 2]));
            i += 2;
        } else {
            out[n++] = in.p[i] == '+' ? ' ' : in.p[i];
        }
    }
    *ret = bytes_of(out, n);
    return true;
}

bool http_query_next(struct bytes query, const char *key, size_t *pos, struct arena *a,
                     struct bytes *ret)
{
    while (*pos < query.n) {
        const uint8_t *p = query.p + *pos;
        const uint8_t *amp = memchr(p, '&', query.n - *pos);
        size_t n = amp == NULL ? query.n - *pos : (size_t) (amp - p);
        const uint8_t *eq = n == 0 ? NULL : memchr(p, '=', n);
        size_t key_n = eq == NULL ? n : (size_t) (eq - p);
        struct bytes name;

        *pos += n + 1;
        if (n == 0 || !unescape(bytes_of(p, key_n), a, &name) || !bytes_eq(name, bytes_str(key)))
            continue;
        return unescape(eq == NULL ? BYTES_EMPTY : bytes_of(eq + 1, n - key_n - 1), a, ret);
    }
    return false;
}
