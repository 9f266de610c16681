#define _GNU_SOURCE
#include "etcd/host_port.h"

#include <ctype.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* ---- text ---- */

/* Behind the host in brackets that `text` begins with; NULL, and *ret_why says why. */
static const char *behind_brackets(const char *text, const char *last_colon, const char **ret_why)
{
    const char *end = strchr(text, ']');

    if (end == NULL)
        *ret_why = "missing ']' in address";
    else if (end[1] == ':' && end + 1 != last_colon)
        *ret_why = "too many colons in address";
    else if (end + 1 != last_colon)
        *ret_why = "missing port in address";
    return *ret_why == NULL ? end + 1 : NULL;
}

/* NULL, or why `text` has no host and port. */
static const char *take_apart(const char *text, struct bytes *ret_host, const char **ret_port)
{
    const char *colon = strrchr(text, ':'), *opened = text, *closed = text, *why = NULL;

    if (colon == NULL)
        return "missing port in address";
    if (text[0] == '[') {
        closed = behind_brackets(text, colon, &why);
        if (closed == NULL)
            return why;
        opened = text + 1;
        *ret_host = bytes_of(opened, (size_t) (closed - 1 - opened));
    } else if (strchr(text, ':') != colon) {
        return "too many colons in address";
    } else {
        *ret_host = bytes_of(text, (size_t) (colon - text));
    }
    *ret_port = colon + 1;
    if (strchr(opened, '[') != NULL)
        return "unexpected '[' in address";
    return strchr(closed, ']') != NULL ? "unexpected ']' in address" : NULL;
}

int host_port_split(const char *text, struct arena *a, struct host_port *ret, struct err *e)
{
    struct bytes host;
    const char *port, *why = take_apart(text, &host, &port);
    struct host_port hp;

    if (why != NULL)
        return err_set(e, ERR_INVALID, "address %s: %s", text, why);
    hp.host = arena_printf(a, "%.*s", (int) host.n, (const char *) host.p);
    hp.port = arena_printf(a, "%s", port);
    if (hp.host == NULL || hp.port == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    *ret = hp;
    return 0;
}

/* False: it is no number.  What is too large becomes UINT32_MAX. */
static bool number_of(const char *s, uint32_t *ret)
{
    uint64_t n = 0;

    if (*s == '+')
        s++;
    if (!isdigit((unsigned char) *s))
        return false;
    for (; isdigit((unsigned char) *s); s++)
        n = MIN(n * 10 + (uint64_t) (*s - '0'), UINT32_MAX);
    *ret = (uint32_t) n;
    return *s == 0;
}

int host_port_listen(const char *port, uint16_t *ret, struct err *e)
{
    struct servent *service;
    uint32_t n = 0;

    if (port[0] != 0 && !number_of(port, &n)) {
        if (port[0] == '-' && number_of(port + 1, &n))
            return err_set(e, ERR_INVALID, "listen tcp: address %s: invalid port", port);
        service = getservbyname(port, "tcp");
        if (service == NULL)
            return err_set(e, ERR_INVALID, "listen tcp: lookup tcp/%s: unknown port", port);
        n = ntohs((uint16_t) service->s_port);
    }
    if (n > UINT16_MAX)
        return err_set(e, ERR_INVALID, "listen tcp: address %s: invalid port", port);
    *ret = (uint16_t) n;
    return 0;
}

/* ---- hosts ---- */

bool host_look_up(const char *host, struct host_addresses *ret)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;

    ret->n = 0;
    if (host[0] == 0 || getaddrinfo(host, NULL, &hints, &list) != 0)
        return false;
    for (struct addrinfo *x = list; x != NULL && ret->n < HOST_ADDRESSES_MAX; x = x->ai_next)
        ret->n += getnameinfo(x->ai_addr, x->ai_addrlen, ret->v[ret->n], HOST_ADDRESS_BYTES, NULL,
                              0, NI_NUMERICHOST) == 0;
    freeaddrinfo(list);
    return ret->n > 0;
}
