/* call_local.c -- the end of a call that in other calls is an HTTP/2 stream. */
#define _GNU_SOURCE
#include "engine/net/call_local.h"

#include "base/alloc.h"
#include "engine/net/h2_server.h"
#include "engine/net/http_int.h"
#include "engine/net/kept.h"

#define TAKE_BYTES 16384 /* what a pull makes at once */

static void run(struct loop_task *t);

struct call_local *call_local_open(const struct call_local_options *o)
{
    struct call_local *l = mem_calloc(1, sizeof *l);
    struct call *c = l == NULL ? NULL : call__new(NULL, o->http->sc, 0);

    if (c == NULL) {
        mem_free(l);
        return NULL;
    }
    l->call = c;
    l->loop = c->sc->conn.loop;
    l->task.run = run;
    l->ready = o->ready;
    l->user = o->user;
    outq_init(&l->q);
    c->local = l;
    c->inner = true;
    c->queued_bytes = &l->queued_bytes;
    c->path = bytes_str(o->path);
    c->is_grpc = true;
    c->http_method = BYTES_LIT("POST");
    if (o->timeout != NULL) {
        char why[GRPC_TIMEOUT_WHY_BYTES];

        /* More digits than gRPC allows are more years than anybody waits. */
        if (!grpc_timeout_parse(bytes_str(o->timeout), &c->timeout_ns, why))
            c->timeout_ns = -1;
    }
    return l;
}

void call_local_free(struct call_local *l)
{
    struct call *c = l == NULL ? NULL : l->call;

    if (c == NULL)
        return;
    l->call = NULL;
    l->ready = NULL;
    outq_done(&l->q);
    call__stream_closed(c);
    if (!l->posted)
        mem_free(l);
}

bool call_local_timeout_ok(struct bytes text)
{
    if (text.n < 2 || memchr("HMSmun", text.p[text.n - 1], 6) == NULL)
        return false;
    for (size_t i = 0; i + 1 < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
    }
    return true;
}

bool call_local_metadata(struct call_local *l, struct bytes name, struct bytes value)
{
    return call__keep_field(l->call, name, value);
}

void call_local_start(struct call_local *l)
{
    call__begin(l->call);
}

/* ---- the request ---- */

bool call_local_send(struct call_local *l, struct bytes message)
{
    uint8_t *framed = mem_alloc(GRPC_HEAD_BYTES + message.n);

    if (framed == NULL)
        return false;
    grpc_head_put(framed, GRPC_PLAIN, (uint32_t) message.n);
    if (message.n > 0)
        memcpy(framed + GRPC_HEAD_BYTES, message.p, message.n);
    call__input(l->call, framed, GRPC_HEAD_BYTES + message.n);
    mem_free(framed);
    return true;
}

bool call_local_paused(const struct call_local *l)
{
    return l->call->paused && !l->call->answered;
}

void call_local_close_send(struct call_local *l)
{
    if (!l->call->remote_closed)
        call__input_end(l->call);
}

/* ---- the answer ---- */

void call_local__wake(struct call_local *l)
{
    if (l->posted)
        return;
    l->posted = true;
    loop_post(l->loop, &l->task);
}

static void run(struct loop_task *t)
{
    struct call_local *l = CONTAINER_OF(t, struct call_local, task);

    l->posted = false;
    if (l->call == NULL) {
        mem_free(l);
        return;
    }
    if (l->writable_due) {
        l->writable_due = false;
        call__run_writable(l->call);
    }
    if (l->ready != NULL)
        l->ready(l->user);
}

/* Some of the body, out of its pieces, into the queue.  False: it cannot be made. */
static bool take(struct call_local *l)
{
    struct call *c = l->call;
    uint64_t before = c->out.held_bytes;
    size_t n = (size_t) MIN((uint64_t) TAKE_BYTES, c->out.bytes);
    enum body_taken rc = body_take(&c->out, &l->q, n);

    l->queued_bytes += c->out.held_bytes - before;
    c->sc->took_ns = l->loop->now;
    kept__update(c);
    if (c->above_mark && c->out.bytes < c->writable_mark) {
        c->above_mark = false;
        l->writable_due = true;
        call_local__wake(l);
    }
    return rc == BODY_TAKEN;
}

/* The next bytes of the queue, as many as lie in a row, n at most. */
static struct bytes next_bytes(struct call_local *l, size_t n)
{
    struct iovec iov[4]; /* with fewer, outq_iov leaves out what it cannot show in order */
    int got = outq_iov(&l->q, iov, ARRAY_LEN(iov));

    ASSERT(got > 0);
    return bytes_of(iov[0].iov_base, MIN(iov[0].iov_len, n));
}

static void read_head(struct call_local *l)
{
    struct bytes b = next_bytes(l, GRPC_HEAD_BYTES - l->head_n);

    memcpy(l->head + l->head_n, b.p, b.n);
    l->head_n += b.n;
    outq_consume(&l->q, b.n);
    if (l->head_n == GRPC_HEAD_BYTES)
        l->left = (uint32_t) l->head[1] << 24 | (uint32_t) l->head[2] << 16 |
                  (uint32_t) l->head[3] << 8 | l->head[4];
}

enum call_local_got call_local_read(struct call_local *l, struct bytes *ret_part)
{
    struct call *c = l->call;

    outq_consume(&l->q, l->lent);
    l->left -= (uint32_t) l->lent;
    l->lent = 0;
    for (;;) {
        if (l->head_n == GRPC_HEAD_BYTES && l->left == 0) {
            l->head_n = 0;
            return CALL_LOCAL_MESSAGE;
        }
        if (l->q.bytes > 0 && l->head_n == GRPC_HEAD_BYTES) {
            *ret_part = next_bytes(l, l->left);
            l->lent = ret_part->n;
            return CALL_LOCAL_PART;
        }
        if (l->q.bytes > 0) {
            read_head(l);
        } else if (c->out.bytes == 0) {
            return c->answered ? CALL_LOCAL_ENDED : CALL_LOCAL_NOTHING;
        } else if (!take(l)) {
            l->broken = true;
            return CALL_LOCAL_ENDED;
        }
    }
}

int call_local_status(const struct call_local *l, const char **ret_text)
{
    const struct call *c = l->call;

    *ret_text = l->broken ? "cannot make the answer" : c->message == NULL ? "" : c->message;
    return l->broken ? GRPC_STATUS_INTERNAL : c->code;
}
