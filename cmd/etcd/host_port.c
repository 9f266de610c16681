#define _GNU_SOURCE
#include "etcd/host_port.h"

#include <ctype.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* ---- text ---- */

bool host_port_split(const char *text, struct arena *a, struct host_port *ret)
{
    const char *colon = strrchr(text, ':');
    const char *host = text, *end = colon;

    if (colon == NULL)
        return false;
    if (text[0] == '[') {
        host = text + 1;
        end = strchr(text, ']');
        if (end == NULL || end + 1 != colon || memchr(host, '[', (size_t) (end - host)) != NULL)
            return false;
    } else if (strpbrk(text, "[]") != NULL || strchr(text, ':') != colon) {
        return false;
    }
    if (strpbrk(colon + 1, "[]") != NULL)
        return false;
    ret->host = arena_printf(a, "%.*s", (int) (end - host), host);
    ret->port = arena_printf(a, "%s", colon + 1);
    return ret->host != NULL && ret->port != NULL;
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
