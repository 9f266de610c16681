#include "edge/peer/once.h"

int peer__once_open(struct peer_once *q, struct tls *tls, struct err *e)
{
    *q = (struct peer_once){.tls = tls};
    buf_init(&q->body, PEER_ONCE_BYTES_MAX);
    return loop_new("once", &q->loop, e);
}

void peer__once_close(struct peer_once *q)
{
    buf_done(&q->body);
    loop_free(q->loop);
}

static void on_data(struct http_out *x, struct bytes part)
{
    struct peer_once *q = http_out_user(x);

    buf_add_bytes(&q->body, part);
}

static void on_end(struct http_out *x, const char *why)
{
    struct peer_once *q = http_out_user(x);
    struct bytes id;

    q->done = true;
    if (why == NULL && q->body.failed)
        why = "the answer is too long";
    if (why != NULL) {
        snprintf(q->why, sizeof q->why, "%s", why);
        return;
    }
    q->status = http_out_status(x);
    q->has_cluster_id = http_out_header(x, "x-etcd-cluster-id", &id) &&
                        cluster_id_parse(id, &q->cluster_id);
}

static void forget(struct peer_once *q)
{
    q->done = false;
    q->status = 0;
    q->has_cluster_id = false;
    q->why[0] = '\0';
    buf_clear(&q->body);
}

bool peer__once_get(struct peer_once *q, const struct peer_once_question *ask)
{
    struct http_client *c = peer__client_new(q->loop, ask->url, q->tls, ask->timeout_ms);
    const struct http_field f[] = {{"Content-Type", "application/json"},
                                   {"X-Etcd-Cluster-ID", ask->cluster_hex}};
    struct http_out_options o = {.method = "GET",
                                 .path = ask->path,
                                 .fields = f,
                                 .fields_n = ask->cluster_hex == NULL ? 0 : ARRAY_LEN(f),
                                 .body = ask->json,
                                 .timeout_ms = ask->timeout_ms,
                                 .data = on_data,
                                 .end = on_end,
                                 .user = q};
    struct http_out *x;
    struct err e = ERR_INIT;

    forget(q);
    if (c == NULL) {
        snprintf(q->why, sizeof q->why, "the URL cannot be reached by this version");
        return false;
    }
    if (http_client_request(c, &o, &x, &e) != 0)
        snprintf(q->why, sizeof q->why, "%s", e.msg);
    else
        loop_run_until(q->loop, &q->done);
    http_client_free(c);
    return q->status != 0;
}
