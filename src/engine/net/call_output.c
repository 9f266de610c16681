/* call_output.c -- what leaves on a call: messages, framed and perhaps compressed, on their way
 * into its body. */
#define _GNU_SOURCE
#include "engine/net/call_int.h"
#include "engine/net/h2_server.h"
#include "engine/net/kept.h"

/* ---- the body, and who fills it ---- */

/* Keeps the connection's sum in step with a change of the body. */
static void queued_moved(struct call *c, uint64_t held_before)
{
    *c->queued_bytes += c->out.held_bytes - held_before;
}

void call__body_drop(struct call *c)
{
    *c->queued_bytes -= c->out.held_bytes;
    body_clear(&c->out);
}

enum body_taken call__take(struct call *c, struct outq *q, size_t n)
{
    uint64_t before = c->out.held_bytes;
    enum body_taken rc = body_take(&c->out, q, n);

    queued_moved(c, before);
    c->sc->took_ns = c->sc->conn.loop->now;
    kept__update(c);
    if (c->above_mark && call__unsent(c) < c->writable_mark) {
        c->above_mark = false;
        if (list_empty(&c->writable_link))
            list_push(&c->h2->writable, &c->writable_link);
    }
    return rc;
}

void call__run_writable(struct call *c)
{
    if (c->owned && c->stream_open && c->on_writable != NULL)
        c->on_writable(c);
}

/* ---- messages into the body ---- */

static uint64_t pieces_bytes(const struct net_piece *v, size_t vn)
{
    uint64_t n = 0;

    for (size_t i = 0; i < vn; i++)
        n += v[i].bytes.n;
    return n;
}

/* A message of n bytes was added to the body, which held so much before; or there was no memory. */
static int queued(struct call *c, bool added, uint64_t n, uint64_t held_before)
{
    if (!added)
        return ERR_NOMEM;
    queued_moved(c, held_before);
    c->bytes_out += n;
    loop__count(&c->sc->sl->counters.grpc_bytes_out, n);
    return 0;
}

/* Takes `z`: a message, compressed; NULL: there was no memory for it. */
static bool queue_deflated(struct call *c, struct arena *a, struct payload *z)
{
    uint8_t head[GRPC_HEAD_BYTES];
    struct net_piece piece;
    bool added;

    if (z == NULL)
        return false;
    piece = net_piece_counted(z);
    grpc_head_put(head, GRPC_COMPRESSED, (uint32_t) z->bytes);
    added = body_add(&c->out, a, bytes_of(head, sizeof head), &piece, 1);
    payload_unref(z);
    return added;
}

/* Queues a message, unless it is too large; a: as body_add. */
static int queue(struct call *c, struct arena *a, const struct net_piece *v, size_t vn)
{
    uint64_t n = pieces_bytes(v, vn);
    uint64_t before = c->out.held_bytes;
    uint8_t head[GRPC_HEAD_BYTES];
    bool added;

    if (n > NET_SEND_MESSAGE_BYTES_MAX)
        return ERR_LIMIT;
    grpc_head_put(head, GRPC_PLAIN, (uint32_t) n);
    if (UNLIKELY(c->gzip) && call__deflates_later(c, n))
        added = call__deflate_later(c, v, vn, n);
    else if (UNLIKELY(c->gzip) && n > 0)
        added = queue_deflated(c, a, call__deflate(v, vn, n));
    else
        added = body_add(&c->out, a, bytes_of(head, sizeof head), v, vn);
    return queued(c, added, n, before);
}

static bool queue_deflated_pull(struct call *c, struct arena *a, uint64_t n,
                                const struct net_pull *pull)
{
    bool added = queue_deflated(c, a, call__deflate_pull(n, pull));

    if (added && pull->done != NULL)
        pull->done(pull->arg);
    return added;
}

static int queue_pull(struct call *c, struct arena *a, uint64_t n, const struct net_pull *pull)
{
    uint64_t before = c->out.held_bytes;
    uint8_t head[GRPC_HEAD_BYTES];
    bool added;

    if (n > NET_SEND_MESSAGE_BYTES_MAX)
        return ERR_LIMIT;
    grpc_head_put(head, GRPC_PLAIN, (uint32_t) n);
    if (UNLIKELY(c->gzip) && call__deflates_later(c, n))
        added = call__deflate_pull_later(c, n, pull);
    else if (UNLIKELY(c->gzip) && n > 0 && n <= CALL_DEFLATED_BYTES_MAX)
        added = queue_deflated_pull(c, a, n, pull);
    else
        added = body_add_pull(&c->out, a, bytes_of(head, sizeof head), n, pull);
    return queued(c, added, n, before);
}

static bool nobody_listens(const struct call *c)
{
    return c->answered || !c->stream_open || c->given_up;
}

/* ---- the answer of a call that has one ---- */

/* The end of a call whose answer of n bytes could not be queued; in grpc-go's words. */
static void end_unsent(struct call *c, uint64_t n)
{
    char text[96];

    snprintf(text, sizeof text, "grpc: trying to send message larger than max (%" PRIu64 " vs. %u)",
             n, NET_SEND_MESSAGE_BYTES_MAX);
    call__end(c, GRPC_STATUS_RESOURCE_EXHAUSTED,
              n > NET_SEND_MESSAGE_BYTES_MAX ? text : "out of memory");
}

void call_reply(struct call *c, const struct net_piece *v, size_t vn)
{
    ASSERT(c->owned);
    if (nobody_listens(c) || queue(c, &c->arena, v, vn) == 0)
        call__end(c, GRPC_STATUS_OK, NULL);
    else
        end_unsent(c, pieces_bytes(v, vn));
}

void call_reply_pull(struct call *c, uint64_t bytes, struct net_pull pull)
{
    ASSERT(c->owned);
    if (!nobody_listens(c) && queue_pull(c, &c->arena, bytes, &pull) == 0) {
        call__end(c, GRPC_STATUS_OK, NULL);
        return;
    }
    if (pull.done != NULL)
        pull.done(pull.arg);
    end_unsent(c, bytes);
}

/* ---- streams ---- */

/* After a message was queued on a stream. */
static void stream_queued(struct call *c)
{
    kept__update(c);
    if (c->on_writable != NULL && call__unsent(c) >= c->writable_mark)
        c->above_mark = true;
    if (c->local != NULL)
        call_local__wake(c->local);
    else if (c->headers_sent)
        h2_server__resume(c);
    else
        h2_server__submit_headers(c);
}

static int may_send(const struct call *c)
{
    ASSERT(c->owned);
    if (nobody_listens(c))
        return ERR_CANCELED;
    return *c->queued_bytes >= server__limits(c->sc)->conn_queued_bytes_max ? ERR_LIMIT : 0;
}

int call_send(struct call *c, const struct net_piece *v, size_t vn)
{
    int rc = may_send(c);

    if (rc == 0)
        rc = queue(c, NULL, v, vn);
    if (rc == 0)
        stream_queued(c);
    return rc;
}

int call_send_pull(struct call *c, uint64_t bytes, struct net_pull pull)
{
    int rc = may_send(c);

    if (rc == 0)
        rc = queue_pull(c, NULL, bytes, &pull);
    if (rc == 0)
        stream_queued(c);
    else if (pull.done != NULL)
        pull.done(pull.arg);
    return rc;
}

void call_give_up(struct call *c)
{
    ASSERT(c->stream_open); /* else its pulls are done */
    c->given_up = true;
    call__deflate_drop(c);
    call__body_drop(c);
    kept__update(c);
    if (c->local == NULL) {
        h2_server__submit_reset(c, NGHTTP2_INTERNAL_ERROR);
    } else {
        c->local->broken = true;
        call_local__wake(c->local);
    }
}

void call_send_headers(struct call *c)
{
    ASSERT(c->owned);
    if (!nobody_listens(c) && !c->headers_sent && c->local == NULL)
        h2_server__submit_headers(c);
}

size_t call_queued_bytes(const struct call *c)
{
    return (size_t) call__unsent(c);
}

void call_on_writable(struct call *c, size_t below_bytes, void (*fn)(struct call *c))
{
    ASSERT(c->owned);
    c->on_writable = fn;
    c->writable_mark = below_bytes;
    c->above_mark = fn != NULL && call__unsent(c) >= below_bytes;
}
