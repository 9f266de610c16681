#include "lib/node/stub.h"

static void on_members(void *ctx, const struct cluster_view *v)
{
    (void) ctx;
    (void) v;
}

static mono_ns active_since(void *ctx, raft_id id)
{
    (void) ctx;
    (void) id;
    return 1;
}

static void on_ask(void *ctx, struct node_question *q)
{
    (void) ctx;
    q->done(q, 0, BYTES_EMPTY);
}

struct node_transport
stub_transport(void (*send)(void *ctx, const struct raft_message *m, size_t n), void *ctx)
{
    return (struct node_transport){.send = send,
                                   .members = on_members,
                                   .active_since = active_since,
                                   .ask = on_ask,
                                   .ctx = ctx};
}

bool stub_answer(const struct raft_message *m, struct raft_message *ret)
{
    struct raft_message a = {.from = m->to, .to = m->from, .term = m->term};

    switch (m->type) {
    case RAFT_MSG_PRE_VOTE:
        a.type = RAFT_MSG_PRE_VOTE_RESP;
        break;
    case RAFT_MSG_VOTE:
        a.type = RAFT_MSG_VOTE_RESP;
        break;
    case RAFT_MSG_APP:
        a.type = RAFT_MSG_APP_RESP;
        a.index = m->index + m->entries_n;
        break;
    case RAFT_MSG_HEARTBEAT:
        a.type = RAFT_MSG_HEARTBEAT_RESP;
        a.context = m->context;
        break;
    default:
        return false;
    }
    *ret = a;
    return true;
}
