/* endpoint.c -- what a user writes for an endpoint, and where it leads. */
#include <strings.h>

#include "client/client_int.h"

static char *dup_bytes(struct bytes b)
{
    char *s = mem_alloc(b.n + 1);

    if (s == NULL)
        return NULL;
    if (b.n > 0)
        memcpy(s, b.p, b.n);
    s[b.n] = 0;
    return s;
}

/* Cuts `prefix` off the front; false when it is not there. */
static bool cut(struct bytes *s, const char *prefix)
{
    size_t n = strlen(prefix);

    if (s->n < n || memcmp(s->p, prefix, n) != 0)
        return false;
    *s = bytes_of(s->p + n, s->n - n);
    return true;
}

/* The same without regard to case, as the scheme of a URL is read. */
static bool cut_scheme(struct bytes *s, const char *prefix)
{
    size_t n = strlen(prefix);

    if (s->n < n || strncasecmp((const char *) s->p, prefix, n) != 0)
        return false;
    *s = bytes_of(s->p + n, s->n - n);
    return true;
}

static struct bytes up_to(struct bytes s, char stop)
{
    const uint8_t *at = s.n == 0 ? NULL : memchr(s.p, stop, s.n);

    return at == NULL ? s : bytes_of(s.p, (size_t) (at - s.p));
}

/* The port behind the last colon; the colons of a bracketed IPv6 address are none of it. */
static bool split_host_port(struct bytes s, struct bytes *ret_host, uint16_t *ret_port)
{
    size_t colon = s.n;
    uint32_t port = 0;

    while (colon > 0 && s.p[colon - 1] != ':')
        colon--;
    if (colon == 0 || colon == s.n || colon + 5 < s.n)
        return false;
    for (size_t i = colon; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        port = port * 10 + (uint32_t) (s.p[i] - '0');
    }
    *ret_host = bytes_of(s.p, colon - 1);
    if (ret_host->n > 1 && ret_host->p[0] == '[' && ret_host->p[ret_host->n - 1] == ']')
        *ret_host = bytes_of(ret_host->p + 1, ret_host->n - 2);
    else if (memchr(ret_host->p, ':', ret_host->n) != NULL)
        return false;
    /* "host." is how DNS writes a whole name, as SRV records have it; files and certificates do
     * not. */
    if (ret_host->n > 1 && ret_host->p[ret_host->n - 1] == '.')
        *ret_host = bytes_of(ret_host->p, ret_host->n - 1);
    *ret_port = (uint16_t) port;
    return port <= UINT16_MAX && ret_host->n > 0;
}

static int parse_tcp(struct bytes s, const char *text, struct endpoint_address *a, struct err *e)
{
    struct bytes authority = up_to(s, '/');
    struct bytes host;

    if (!split_host_port(authority, &host, &a->port))
        return err_set(e, ERR_INVALID, "endpoint \"%s\" does not have the form host:port", text);
    a->host = dup_bytes(host);
    a->authority = dup_bytes(authority);
    if (a->host == NULL || a->authority == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    return 0;
}

static int parse_unix(struct bytes s, const char *text, struct endpoint_address *a, struct err *e)
{
    if (s.n == 0)
        return err_set(e, ERR_INVALID, "endpoint \"%s\" names no socket", text);
    a->unix_path = dup_bytes(s);
    a->authority = dup_bytes(s);
    if (a->unix_path == NULL || a->authority == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    return 0;
}

int endpoint_parse(const char *text, struct endpoint_address *ret, struct err *e)
{
    struct bytes s = bytes_str(text);
    struct endpoint_address a = {0};
    int rc;

    if (cut(&s, "unixs://") || cut(&s, "unixs:")) {
        a.tls = true;
        rc = parse_unix(s, text, &a, e);
    } else if (cut(&s, "unix://") || cut(&s, "unix:")) {
        rc = parse_unix(s, text, &a, e);
    } else {
        a.tls = cut_scheme(&s, "https://");
        a.plain = !a.tls && cut_scheme(&s, "http://");
        rc = parse_tcp(s, text, &a, e);
    }
    if (rc != 0) {
        endpoint_address_done(&a);
        return rc;
    }
    *ret = a;
    return 0;
}

void endpoint_address_done(struct endpoint_address *a)
{
    mem_free(a->host);
    mem_free(a->unix_path);
    mem_free(a->authority);
    *a = (struct endpoint_address){0};
}
