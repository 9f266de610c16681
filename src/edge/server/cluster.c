/* The Cluster service. */
#include "edge/server/permit.h"
#include "edge/server/server_int.h"
#include "engine/net/url.h"

/* ---- list ---- */

/* The header of a Cluster method has no revision. */
static void members_done(struct req *r)
{
    const struct node_result *res = &r->node.result;
    struct mvcc_header h;

    if (reply_failed(r->call, res))
        return;
    if (call_method(r->call)->tag == METHOD_MEMBER_LIST &&
        !permitted(r->call, permit_known(r->call)))
        return;
    ASSERT(res->answer == NODE_ANSWER_MSG);
    h = header_make(r->io->server, 0, res->raft_term);
    reply_message(r->call, &h, res->msg);
}

/* A read index has been reached, where one was asked for. */
static void list_run(struct req *r)
{
    struct req *ask;

    if (reply_failed(r->call, &r->node.result))
        return;
    ask = req_new(r->call, NODE_REQ_MEMBER_LIST, members_done);
    if (ask != NULL)
        req_submit(ask);
}

static void list(struct call *c, struct bytes message)
{
    Etcdserverpb__MemberListRequest *q;

    count_received(c, METHOD_MEMBER_LIST);
    if (REQUEST_DECODE(c, etcdserverpb__member_list_request, message, &q))
        read_when(c, !q->linearizable, NULL, list_run);
}

/* ---- changes ---- */

/* A promotion may have to be asked of the leader, who wants to see it, too. */
static const char *token_copy(struct call *c, struct arena *a)
{
    struct bytes t;

    if (!call_metadata(c, "token", &t) && !call_metadata(c, "authorization", &t))
        return NULL;
    return arena_printf(a, "%.*s", (int) t.n, (const char *) t.p);
}

static void submit_change(struct call *c, const struct cluster_change *ch)
{
    struct req *r;

    if (!permitted(c, permit_admin(c)))
        return;
    r = req_new(c, NODE_REQ_MEMBER_CHANGE, members_done);
    if (r == NULL)
        return;
    r->node.token = token_copy(c, r->node.arena);
    r->node.change = arena_dup(r->node.arena, ch, sizeof *ch);
    if (r->node.change == NULL) {
        call_finish(c, GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    req_submit(r);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* In ascending order, as etcd keeps them.  False: the call has been answered. */
static bool take_urls(struct call *c, char **urls, size_t n, struct cluster_strings *ret)
{
    int rc = n > 0 ? 0 : ERR_INVALID;

    for (size_t i = 0; i < n && rc == 0; i++) {
        struct url u;

        rc = url_parse(urls[i], call_arena(c), &u, NULL);
        if (rc == 0)
            urls[i] = (char *) (uintptr_t) u.text;
    }
    if (rc != 0) {
        if (rc == ERR_NOMEM)
            reply_no_memory(c);
        else
            reply_error(c, API_MEMBER_BAD_URLS);
        return false;
    }
    qsort(urls, n, sizeof *urls, by_text);
    *ret = (struct cluster_strings){(const char *const *) urls, n};
    return true;
}

static void add(struct call *c, struct bytes message)
{
    struct cluster_change ch = {.member = {.name = ""}};
    Etcdserverpb__MemberAddRequest *q;

    count_received(c, METHOD_MEMBER_ADD);
    if (!REQUEST_DECODE(c, etcdserverpb__member_add_request, message, &q) ||
        !take_urls(c, q->peerurls, q->n_peerurls, &ch.member.peer_urls))
        return;
    ch.type = q->islearner ? RAFT_CONF_ADD_LEARNER_NODE : RAFT_CONF_ADD_NODE;
    ch.member.is_learner = q->islearner;
    submit_change(c, &ch);
}

static void remove_member(struct call *c, struct bytes message)
{
    struct cluster_change ch = {.type = RAFT_CONF_REMOVE_NODE, .member = {.name = ""}};
    Etcdserverpb__MemberRemoveRequest *q;

    count_received(c, METHOD_MEMBER_REMOVE);
    if (!REQUEST_DECODE(c, etcdserverpb__member_remove_request, message, &q))
        return;
    ch.member.id = q->id;
    submit_change(c, &ch);
}

static void update(struct call *c, struct bytes message)
{
    struct cluster_change ch = {.type = RAFT_CONF_UPDATE_NODE, .member = {.name = ""}};
    Etcdserverpb__MemberUpdateRequest *q;

    count_received(c, METHOD_MEMBER_UPDATE);
    if (!REQUEST_DECODE(c, etcdserverpb__member_update_request, message, &q) ||
        !permitted(c, permit_admin(c)) || /* before the URLs, of which etcd checks none here */
        !take_urls(c, q->peerurls, q->n_peerurls, &ch.member.peer_urls))
        return;
    ch.member.id = q->id;
    submit_change(c, &ch);
}

static void promote(struct call *c, struct bytes message)
{
    struct cluster_change ch = {
        .type = RAFT_CONF_ADD_NODE, .promote = true, .member = {.name = ""}};
    Etcdserverpb__MemberPromoteRequest *q;

    count_received(c, METHOD_MEMBER_PROMOTE);
    if (!REQUEST_DECODE(c, etcdserverpb__member_promote_request, message, &q))
        return;
    ch.member.id = q->id;
    submit_change(c, &ch);
}

const struct net_method cluster_methods[] = {
    METHOD_UNARY(MEMBER_ADD, add),         METHOD_UNARY(MEMBER_REMOVE, remove_member),
    METHOD_UNARY(MEMBER_UPDATE, update),   METHOD_UNARY(MEMBER_LIST, list),
    METHOD_UNARY(MEMBER_PROMOTE, promote),
};
const size_t cluster_methods_n = ARRAY_LEN(cluster_methods);
