#define _DEFAULT_SOURCE /* resolv.h */
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <resolv.h>

/* sys/param.h, which the above bring along, has them too. */
#undef MIN
#undef MAX

#include "engine/net/srv.h"

#define ANSWER_BYTES_MAX 65535 /* of DNS over TCP */
#define FIXED_BYTES 6          /* priority, weight, port; then the target */

static const char no_such_host[] = "no such host";

static const char *error_words(int h_error)
{
    switch (h_error) {
    case HOST_NOT_FOUND:
    case NO_DATA:
        return no_such_host;
    case TRY_AGAIN:
        return "i/o timeout";
    default:
        return "server misbehaving";
    }
}

/* False: not an SRV record, or a damaged one. */
static bool record_get(ns_msg *msg, int i, struct arena *a, struct net_srv *ret)
{
    char target[NS_MAXDNAME];
    const uint8_t *p;
    ns_rr rr;

    if (ns_parserr(msg, ns_s_an, i, &rr) != 0 || ns_rr_type(rr) != ns_t_srv ||
        ns_rr_rdlen(rr) <= FIXED_BYTES)
        return false;
    p = ns_rr_rdata(rr);
    if (dn_expand(ns_msg_base(*msg), ns_msg_end(*msg), p + FIXED_BYTES, target, sizeof target) <= 0)
        return false;
    *ret = (struct net_srv){.priority = (uint16_t) ns_get16(p),
                            .weight = (uint16_t) ns_get16(p + 2),
                            .port = (uint16_t) ns_get16(p + 4),
                            .target = arena_dup(a, target, strlen(target) + 1)};
    return ret->target != NULL;
}

/* A stable order: few records, and the order of equals is the server's. */
static void sort(struct net_srv *v, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct net_srv x = v[i];
        size_t k = i;

        for (; k > 0 && v[k - 1].priority > x.priority; k--)
            v[k] = v[k - 1];
        v[k] = x;
    }
}

void net_srv_parse(struct bytes message, struct arena *a, struct net_srv_answer *ret)
{
    struct net_srv *v;
    ns_msg msg;

    ret->v = NULL;
    ret->n = 0;
    if (message.n > ANSWER_BYTES_MAX || ns_initparse(message.p, (int) message.n, &msg) != 0) {
        ret->error = "cannot unmarshal DNS message";
        return;
    }
    v = arena_calloc(a, (size_t) ns_msg_count(msg, ns_s_an) + 1, sizeof *v);
    for (int i = 0; v != NULL && i < ns_msg_count(msg, ns_s_an); i++)
        ret->n += record_get(&msg, i, a, &v[ret->n]);
    sort(v, ret->n);
    ret->v = v;
    ret->error = ret->n == 0 ? no_such_host : NULL;
}

static void name_server(const struct __res_state *r, char *ret, size_t bytes)
{
    char ip[INET6_ADDRSTRLEN] = "";

    inet_ntop(AF_INET, &r->nsaddr_list[0].sin_addr, ip, sizeof ip);
    snprintf(ret, bytes, "%s:%u", ip, ntohs(r->nsaddr_list[0].sin_port));
}

void net_srv_look_up(const char *name, struct arena *a, struct net_srv_answer *ret)
{
    struct __res_state r = {0};
    uint8_t *answer = arena_alloc(a, ANSWER_BYTES_MAX);
    int len;

    *ret = (struct net_srv_answer){.error = "server misbehaving"};
    if (answer == NULL || res_ninit(&r) != 0)
        return;
    name_server(&r, ret->server, sizeof ret->server);
    len = res_nquery(&r, name, ns_c_in, ns_t_srv, answer, ANSWER_BYTES_MAX);
    if (len < 0)
        ret->error = error_words(r.res_h_errno);
    else
        net_srv_parse(bytes_of(answer, (size_t) (len < ANSWER_BYTES_MAX ? len : ANSWER_BYTES_MAX)),
                      a, ret);
    res_nclose(&r);
}
