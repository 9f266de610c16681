/* members.c -- MemberList: clients that ask where the cluster is are told of the proxy, so that
 * they go on through it.  Without an advertised URL the members themselves are asked. */
#include "edge/proxy/proxy_int.h"

static void reply(struct call *c, const Etcdserverpb__MemberListResponse *m)
{
    struct buf out;
    struct net_piece piece;

    buf_init(&out, PROXY_RECV_BYTES_MAX);
    if (wire_encode(&m->base, &out)) {
        piece = net_piece_copied(out.p, out.len);
        call_reply(c, &piece, 1);
    } else {
        call_finish(c, GRPC_RESOURCE_EXHAUSTED, "out of memory");
    }
    buf_done(&out);
}

static void reply_self(struct call *c, const struct proxy *p)
{
    Etcdserverpb__MemberListResponse m = ETCDSERVERPB__MEMBER_LIST_RESPONSE__INIT;
    Etcdserverpb__Member self = ETCDSERVERPB__MEMBER__INIT, *members[] = {&self};
    char *urls[] = {(char *) (uintptr_t) p->options.advertise_url};

    self.name = (char *) (uintptr_t) p->options.hostname;
    self.clienturls = urls;
    self.n_clienturls = ARRAY_LEN(urls);
    m.members = members;
    m.n_members = ARRAY_LEN(members);
    reply(c, &m);
}

void members__list(struct call *c, struct bytes message)
{
    struct proxy *p = call_service(c);

    if (p->options.advertise_url[0] == 0)
        forward__request(c, message);
    else
        reply_self(c, p);
}
