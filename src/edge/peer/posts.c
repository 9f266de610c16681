/* posts.c -- messages by POST /raft: to members that have not dialed a stream, and from such. */
#include "base/alloc.h"
#include "edge/peer/peer_int.h"

/* ---- to a member ---- */

static void post_start(struct peer *p);

static void post_free(struct peer_post *x)
{
    list_remove(&x->link);
    payload_unref(x->body);
    mem_free(x);
}

static void post_failed(struct peer_post *x, const char *why)
{
    struct peer *p = x->peer;

    peer__url_failed(p, x->url);
    peer__deactivate(p, "post Raft message on pipeline", why);
    metric_inc(p->metrics.sent_failures);
    node_report_unreachable(p->ps->node, p->id);
}

static void on_end(struct http_out *out, const char *why)
{
    struct peer_post *x = http_out_user(out);
    struct peer *p = x->peer;
    int status = http_out_status(out);
    char text[64];

    p->posts_n--;
    if (why == NULL && status == 204) {
        peer__activate(p);
        metric_add(p->metrics.sent_bytes, (int64_t) x->body->bytes);
    } else if (why == NULL && status == 403) {
        node_report_removed(p->ps->node);
        post_failed(x, "the member has been permanently removed from the cluster");
    } else {
        snprintf(text, sizeof text, "unexpected http status code %d", status);
        post_failed(x, why == NULL ? text : why);
    }
    post_free(x);
    post_start(p);
}

/* True: it is under way. */
static bool post_send(struct peer_post *x)
{
    struct peer *p = x->peer;
    struct http_client *c = peer__client(p);
    struct peer_fields fields;
    struct http_out_options o = {.method = "POST",
                                 .path = "/raft",
                                 .body = bytes_of(x->body->data, x->body->bytes),
                                 .timeout_ms = PEER_POST_TIMEOUT_MS,
                                 .end = on_end,
                                 .user = x};
    struct err e = ERR_INIT;

    x->url = p->url;
    if (c == NULL) {
        peer__url_failed(p, p->url);
        return false;
    }
    peer__fields(p->ps, NULL, &fields);
    fields.f[fields.n++] = (struct http_field){"Content-Type", "application/protobuf"};
    o.fields = fields.f;
    o.fields_n = fields.n;
    return http_client_request(c, &o, &x->out, &e) == 0;
}

static void post_start(struct peer *p)
{
    while (p->posts_n < PEER_POSTS_MAX && !list_empty(&p->posts_waiting)) {
        struct peer_post *x = CONTAINER_OF(list_pop(&p->posts_waiting), struct peer_post, link);

        p->posts_waiting_n--;
        list_init(&x->link);
        if (post_send(x)) {
            list_push(&p->posts, &x->link);
            p->posts_n++;
        } else {
            post_failed(x, "no connection can be made");
            post_free(x);
        }
    }
}

bool peer__post(struct peer *p, const struct raft_message *m)
{
    struct peer_post *x;
    size_t n = raft_message_size(m);

    if (p->posts_waiting_n >= PEER_POSTS_WAITING_MAX || n > PEER_POST_BYTES_MAX)
        return false;
    x = mem_calloc(1, sizeof *x);
    if (x == NULL)
        return false;
    x->peer = p;
    x->body = payload_new(n);
    if (x->body == NULL) {
        mem_free(x);
        return false;
    }
    raft_message_put(m, x->body->data);
    list_push(&p->posts_waiting, &x->link);
    p->posts_waiting_n++;
    post_start(p);
    return true;
}

void peer__posts_close(struct peer *p)
{
    struct list *l;

    while ((l = list_pop(&p->posts)) != NULL) {
        struct peer_post *x = CONTAINER_OF(l, struct peer_post, link);

        list_init(l);
        http_out_abort(x->out);
        post_free(x);
    }
    while ((l = list_pop(&p->posts_waiting)) != NULL) {
        list_init(l);
        post_free(CONTAINER_OF(l, struct peer_post, link));
    }
    p->posts_n = p->posts_waiting_n = 0;
}

/* ---- from a member ---- */

void peer__answer_taken(struct http_req *r, const struct peer_server *ps)
{
    const struct http_field f[] = {{"X-Server-Version", ps->o.version},
                                   {"X-Etcd-Cluster-ID", ps->cluster_hex}};

    http_respond(r, 204, f, ARRAY_LEN(f), BYTES_EMPTY);
}

const char *peer__misdirected(struct peer_server *ps, const struct raft_message *m)
{
    if (ps->view != NULL && cluster_view_is_removed(ps->view, m->from)) {
        LOG_WARN(ps->o.log, "rejected Raft message from removed member",
                 F_STR("local-member-id", ps->hex), F_HEX("removed-member-id", m->from));
        return "cannot process message from removed member";
    }
    if (m->to != ps->id) {
        LOG_WARN(ps->o.log, "rejected Raft message to mismatch member",
                 F_STR("local-member-id", ps->hex), F_HEX("mismatch-member-id", m->to));
        return "cannot process message to mismatch member";
    }
    return NULL;
}

/* A message of somebody who is no peer of ours yet: it belongs to nobody's account. */
static void release_stray(struct node_message *x)
{
    peer_message_free(x);
}

static void deliver(struct http_req *r, struct peer_server *ps, struct node_message *x,
                    size_t bytes)
{
    struct peer *p = peer__find(ps, x->m.from);

    if (p == NULL) {
        x->release = release_stray;
        x->link.next = NULL;
    } else if (!peer__received(p, x, bytes)) {
        peer__answer(r, ps, 503, "receiving buffer is full");
        return;
    }
    node_receive(ps->node, x);
    peer__answer_taken(r, ps);
}

static void on_body(struct http_req *r, struct bytes body, bool too_large)
{
    struct peer_server *ps = http_user(r);
    struct node_message *x;
    struct err e = ERR_INIT;

    if (too_large) {
        peer__answer(r, ps, 400, "error reading raft message");
        return;
    }
    if (peer_message_new(body, &x, &e) != 0) {
        LOG_WARN(ps->o.log, "failed to unmarshal Raft message", F_STR("local-member-id", ps->hex),
                 F_ERR(&e));
        peer__answer(r, ps, 400, "error unmarshalling raft message");
        return;
    }
    if (peer__misdirected(ps, &x->m) != NULL) {
        peer_message_free(x);
        peer__answer(r, ps, 500, "error processing raft message");
    } else {
        deliver(r, ps, x, body.n);
    }
}

bool peer__is_post(struct http_req *r)
{
    const struct http_field f[] = {{"Allow", "POST"},
                                   {"Content-Type", "text/plain; charset=utf-8"}};

    if (bytes_eq(http_method(r), BYTES_LIT("POST")))
        return true;
    http_respond(r, 405, f, ARRAY_LEN(f), BYTES_LIT("Method Not Allowed\n"));
    return false;
}

void peer__raft_page(struct http_req *r, struct peer_server *ps)
{
    if (!peer__is_post(r) || !peer__compatible(r, ps))
        return;
    peer__note_sender(r, ps);
    http_set_user(r, ps);
    http_read_all(r, PEER_POST_BYTES_MAX, on_body);
}
