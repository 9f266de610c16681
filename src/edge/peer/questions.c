/* questions.c -- what the node asks another member's peer port. */
#include "base/alloc.h"
#include "edge/peer/peer_int.h"

struct asking {
    struct node_question *q;
    struct buf answer;
};

static void over(struct asking *a, int status)
{
    struct node_question *q = a->q;

    q->done(q, a->answer.failed ? 0 : status, buf_bytes(&a->answer));
    buf_done(&a->answer);
    mem_free(a);
}

static void on_data(struct http_out *x, struct bytes part)
{
    struct asking *a = http_out_user(x);

    buf_add_bytes(&a->answer, part);
}

static void on_end(struct http_out *x, const char *why)
{
    over(http_out_user(x), why == NULL ? http_out_status(x) : 0);
}

static void ask(struct peer_server *ps, struct node_question *q)
{
    bool get = q->method == NODE_QUESTION_GET;
    const struct http_field f[] = {
        {"Content-Type", get ? "application/json" : "application/protobuf"},
        {"X-Etcd-Cluster-ID", ps->cluster_hex},
        {"Authorization", q->authorization}};
    struct asking *a = xmem_calloc(1, sizeof *a);
    struct peer *p = ps->stopping ? NULL : peer__find(ps, q->to);
    struct http_client *c = p == NULL ? NULL : peer__client(p);
    struct http_out_options o = {.method = get ? "GET" : "POST",
                                 .path = q->path,
                                 .fields = f,
                                 .fields_n = ARRAY_LEN(f) - (q->authorization == NULL),
                                 .body = q->body,
                                 .timeout_ms = q->timeout_ms,
                                 .data = on_data,
                                 .end = on_end,
                                 .user = a};
    struct http_out *x;

    a->q = q;
    buf_init(&a->answer, PEER_ANSWER_BYTES_MAX);
    if (c == NULL || http_client_request(c, &o, &x, NULL) != 0)
        over(a, 0);
}

static void on_take(struct loop_task *t)
{
    struct peer_server *ps = CONTAINER_OF(t, struct peer_server, take_questions);

    atomic_store(&ps->questions_posted, false);
    for (struct mpsc_node *x = mpsc_take(&ps->questions), *next; x != NULL; x = next) {
        next = x->next;
        ask(ps, CONTAINER_OF(x, struct node_question, link));
    }
}

static void on_ask(void *ctx, struct node_question *q)
{
    struct peer_server *ps = ctx;

    mpsc_push(&ps->questions, &q->link);
    if (!atomic_exchange(&ps->questions_posted, true))
        loop_post(ps->loop, &ps->take_questions);
}

void peer__questions_open(struct peer_server *ps)
{
    mpsc_init(&ps->questions);
    ps->take_questions.run = on_take;
    ps->transport.ask = on_ask;
}
