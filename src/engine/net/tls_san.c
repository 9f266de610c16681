/* tls_san.c -- is a peer's certificate valid for the address that it comes from?  As etcd asks it:
 *
 *   1. A certificate without addresses and names is accepted.
 *   2. One of its addresses is the peer's.
 *   3. The name that DNS has for the peer's address is one of its names, or ends as a name "*.x".
 *   4. One of its names leads to the peer's address.
 *
 * Look-ups run on libuv's pool; a check that was canceled meanwhile is freed when they end.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netdb.h>

#include "base/alloc.h"
#include "engine/net/addr.h"
#include "engine/net/tls_conn.h"
#include "engine/net/tls_int.h"

#define WHY_BYTES 512
#define IP_BYTES 64

struct san_check {
    struct loop *loop;
    void (*done)(void *user, bool ok, const char *why); /* NULL: canceled */
    void *user;
    char ip[IP_BYTES];
    struct tls_peer_names names;
    size_t next; /* of the names, to be looked up */
    uv_getnameinfo_t reverse;
    uv_getaddrinfo_t forward;
};

static void finish(struct san_check *s, bool ok)
{
    char why[WHY_BYTES];
    size_t n = (size_t) snprintf(why, sizeof why, "tls: \"%s\" does not match any of DNSNames [",
                                 s->ip);

    for (size_t i = 0; i < s->names.names_n && n < sizeof why; i++)
        n += (size_t) snprintf(why + n, sizeof why - n, "%s\"%s\"", i > 0 ? " " : "",
                               s->names.names[i]);
    if (n < sizeof why)
        snprintf(why + n, sizeof why - n, "]");
    if (s->done != NULL) {
        loop__turn_begin(s->loop);
        s->done(s->user, ok, why);
    }
    tls__names_done(&s->names);
    mem_free(s);
}

/* ---- a name's addresses ---- */

static void forward_next(struct san_check *s);

static void on_forward(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct san_check *s = req->data;
    bool found = false;

    for (struct addrinfo *x = list; status == 0 && x != NULL && !found; x = x->ai_next) {
        char text[ADDR_TEXT_BYTES], ip[IP_BYTES];

        addr__text(x->ai_addr, text);
        addr__host_of(text, ip, sizeof ip);
        found = strcmp(ip, s->ip) == 0;
    }
    uv_freeaddrinfo(list);
    if (found || s->done == NULL)
        finish(s, found);
    else
        forward_next(s);
}

static void forward_next(struct san_check *s)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

    while (s->next < s->names.names_n) {
        const char *name = s->names.names[s->next++];

        if (strncmp(name, "*.", 2) == 0)
            continue;
        s->forward.data = s;
        if (uv_getaddrinfo(&s->loop->uv, &s->forward, on_forward, name, NULL, &hints) == 0)
            return;
    }
    finish(s, false);
}

/* ---- an address's name ---- */

static bool is_one_of(const struct tls_peer_names *names, const char *host)
{
    size_t n = strlen(host);

    for (size_t i = 0; i < names->names_n; i++) {
        const char *name = names->names[i];
        size_t k = strlen(name);

        if (strncmp(name, "*.", 2) != 0 ? strcmp(name, host) == 0
                                        : n >= k - 1 && strcmp(host + n - (k - 1), name + 1) == 0)
            return true;
    }
    return false;
}

static void on_reverse(uv_getnameinfo_t *req, int status, const char *host, const char *service)
{
    struct san_check *s = req->data;

    (void) service;
    if (s->done == NULL)
        finish(s, false);
    else if (status == 0 && is_one_of(&s->names, host))
        finish(s, true);
    else
        forward_next(s);
}

static bool reverse(struct san_check *s)
{
    struct sockaddr_storage sa;

    s->reverse.data = s;
    return (uv_ip4_addr(s->ip, 0, (struct sockaddr_in *) &sa) == 0 ||
            uv_ip6_addr(s->ip, 0, (struct sockaddr_in6 *) &sa) == 0) &&
           uv_getnameinfo(&s->loop->uv, &s->reverse, on_reverse, (const struct sockaddr *) &sa,
                          NI_NAMEREQD) == 0;
}

int san_check(struct loop *l, const void *cert, const char *peer,
              void (*done)(void *user, bool ok, const char *why), void *user,
              struct san_check **ret, char *why, size_t why_n)
{
    X509 *x = (X509 *) (uintptr_t) cert;
    struct tls_peer_names names;
    char ip[IP_BYTES];
    struct san_check *s;
    int ok = -1;

    tls__names_of(x, &names);
    if (names.ips_n == 0 && names.names_n == 0)
        return 1;
    if (!addr__host_of(peer, ip, sizeof ip)) {
        snprintf(why, why_n, "address %s: missing port in address", peer);
        ok = 0;
    } else if (names.ips_n > 0 && tls__valid_for(x, ip)) {
        ok = 1;
    } else if (names.names_n == 0) {
        (void) tls__verify_text(X509_V_ERR_IP_ADDRESS_MISMATCH, x, ip, why, why_n);
        ok = 0;
    }
    if (ok >= 0) {
        tls__names_done(&names);
        return ok;
    }
    s = xmem_calloc(1, sizeof *s);
    s->loop = l;
    s->done = done;
    s->user = user;
    s->names = names;
    snprintf(s->ip, sizeof s->ip, "%s", ip);
    if (reverse(s)) {
        *ret = s;
        return -1;
    }
    snprintf(why, why_n, "lookup %s: cannot be made", ip);
    tls__names_done(&s->names);
    mem_free(s);
    return 0;
}

void san_check_cancel(struct san_check *s)
{
    s->done = NULL;
}
