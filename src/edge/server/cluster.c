/* The Cluster service. */
#include "edge/server/goparse.h"
#include "edge/server/server_int.h"

/* ---- list ---- */

/* The header of a Cluster method has no revision. */
static void members_done(struct req *r)
{
    const struct node_result *res = &r->node.result;
    struct mvcc_header h;

    if (reply_failed(r->call, res))
        return;
    ASSERT(res->answer == NODE_ANSWER_MSG);
    h = header_make(r->io->server, 0, res->raft_term);
    reply_message(r->call, &h, res->msg);
}

static void list(struct call *c, struct bytes message)
{
    Etcdserverpb__MemberListRequest *q;
    struct req *r;

    count_received(c, METHOD_MEMBER_LIST);
    if (!REQUEST_DECODE(c, etcdserverpb__member_list_request, message, &q))
        return;
    r = req_new(c, NODE_REQ_MEMBER_LIST, members_done);
    if (r == NULL)
        return;
    r->node.linearizable = q->linearizable;
    req_submit(r);
}

/* ---- changes: refused until this member can have peers ---- */

static void unsupported(struct call *c)
{
    call_finish(c, GRPC_UNIMPLEMENTED, "membership changes are not supported yet");
}

static bool urls_valid(struct call *c, char *const *urls, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct url u;

        if (url_parse(urls[i], call_arena(c), &u, NULL) != 0)
            return false;
    }
    return n > 0;
}

static void add(struct call *c, struct bytes message)
{
    Etcdserverpb__MemberAddRequest *q;

    count_received(c, METHOD_MEMBER_ADD);
    if (!REQUEST_DECODE(c, etcdserverpb__member_add_request, message, &q))
        return;
    if (!urls_valid(c, q->peerurls, q->n_peerurls))
        reply_error(c, API_MEMBER_BAD_URLS);
    else
        unsupported(c);
}

/* Of a cluster with one voter: itself cannot go, and nobody else is there. */
static void remove_member(struct call *c, struct bytes message)
{
    Etcdserverpb__MemberRemoveRequest *q;

    count_received(c, METHOD_MEMBER_REMOVE);
    if (!REQUEST_DECODE(c, etcdserverpb__member_remove_request, message, &q))
        return;
    if (q->id == call_server(c)->member_id)
        reply_error(c, API_MEMBER_NOT_ENOUGH_STARTED);
    else
        reply_error(c, API_MEMBER_NOT_FOUND);
}

static void update(struct call *c, struct bytes message)
{
    Etcdserverpb__MemberUpdateRequest *q;

    count_received(c, METHOD_MEMBER_UPDATE);
    if (!REQUEST_DECODE(c, etcdserverpb__member_update_request, message, &q))
        return;
    if (q->id != call_server(c)->member_id)
        reply_error(c, API_MEMBER_NOT_FOUND);
    else
        unsupported(c);
}

static void promote(struct call *c, struct bytes message)
{
    Etcdserverpb__MemberPromoteRequest *q;

    count_received(c, METHOD_MEMBER_PROMOTE);
    if (!REQUEST_DECODE(c, etcdserverpb__member_promote_request, message, &q))
        return;
    reply_error(c,
                q->id == call_server(c)->member_id ? API_MEMBER_NOT_LEARNER : API_MEMBER_NOT_FOUND);
}

const struct net_method cluster_methods[] = {
    METHOD_UNARY(MEMBER_ADD, add),         METHOD_UNARY(MEMBER_REMOVE, remove_member),
    METHOD_UNARY(MEMBER_UPDATE, update),   METHOD_UNARY(MEMBER_LIST, list),
    METHOD_UNARY(MEMBER_PROMOTE, promote),
};
const size_t cluster_methods_n = ARRAY_LEN(cluster_methods);
