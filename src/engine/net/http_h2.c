/* http_h2.c -- plain HTTP requests that came as HTTP/2 streams.  The stream is a struct call whose
 * body carries no gRPC framing and whose answer has no trailers. */
#define _GNU_SOURCE
#include "base/alloc.h"
#include "engine/net/h2_server.h"
#include "engine/net/http_int.h"
#include "engine/net/kept.h"

#define FIELDS_MAX 32

struct h2_req {
    struct http_req req;
    struct call *call;
};

static struct call *call_of(const struct http_req *r)
{
    return ((const struct h2_req *) r)->call; /* req is its first member */
}

static nghttp2_nv nv_of(struct arena *a, const char *name, const char *value)
{
    size_t n = strlen(name);
    char *lower = arena_alloc(a, n + 1);

    for (size_t i = 0; lower != NULL && i <= n; i++)
        lower[i] = (char) (name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i]);
    return (nghttp2_nv){(uint8_t *) lower, (uint8_t *) (uintptr_t) value, lower == NULL ? 0 : n,
                        strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static void h2_begin(struct http_req *r, const struct http_head *h)
{
    struct call *c = call_of(r);
    nghttp2_nv nv[FIELDS_MAX + 2];
    char status[12], length[24];
    size_t n = 0;

    ASSERT(h->fields_n <= FIELDS_MAX);
    snprintf(status, sizeof status, "%d", h->status);
    nv[n++] = nv_of(r->arena, ":status", status);
    for (size_t i = 0; i < h->fields_n; i++)
        nv[n++] = nv_of(r->arena, h->fields[i].name, h->fields[i].value);
    if (h->length >= 0 && h->status != 204 && h->status != 304) {
        snprintf(length, sizeof length, "%" PRId64, h->length);
        nv[n++] = nv_of(r->arena, "content-length", length);
    }
    if (!h2_server__submit_http(c, nv, n, h->no_body || h->length == 0))
        conn__doom(&c->sc->conn, ERR_NOMEM);
}

static int h2_write(struct http_req *r, const struct net_piece *v, size_t vn)
{
    struct call *c = call_of(r);
    uint64_t before = c->out.held_bytes;

    if (!body_add(&c->out, NULL, BYTES_EMPTY, v, vn))
        return ERR_NOMEM;
    c->h2->queued_bytes += c->out.held_bytes - before;
    kept__update(c);
    c->above_mark = true;
    h2_server__resume(c);
    return 0;
}

static void h2_end(struct http_req *r)
{
    struct call *c = call_of(r);

    c->answered = true;
    h2_server__resume(c);
}

static void h2_abort(struct http_req *r)
{
    struct call *c = call_of(r);

    c->answered = true;
    h2_server__submit_reset(c, NGHTTP2_INTERNAL_ERROR);
}

/* Unread input is bounded by the stream's window, which is only given back while not paused. */
static void h2_pause(struct http_req *r, bool pause)
{
    struct call *c = call_of(r);
    struct buf b = c->backlog;

    if (c->paused == pause)
        return;
    c->paused = pause;
    if (pause)
        return;
    buf_init(&c->backlog, b.bytes_max);
    h2_server__consume_stream(c, b.len);
    http__input(r, buf_bytes(&b));
    buf_done(&b);
    if (c->remote_closed && c->http != NULL && !c->paused)
        http__input_end(c->http);
}

static uint64_t h2_queued(const struct http_req *r)
{
    return call_of(r)->out.bytes;
}

static void h2_forget(struct http_req *r)
{
    struct call *c = call_of(r);

    c->http = NULL;
    c->owned = false;
    call__maybe_free(c);
}

static const struct http_ops h2_ops = {.begin = h2_begin,
                                       .write = h2_write,
                                       .end = h2_end,
                                       .abort = h2_abort,
                                       .pause = h2_pause,
                                       .queued = h2_queued,
                                       .forget = h2_forget};

static void on_drained(struct call *c)
{
    c->above_mark = c->out.bytes > 0;
    if (c->http != NULL)
        http__drained(c->http);
}

/* The one field of gRPC's that was read already, and that a gateway wants to see. */
static bool restore_timeout(struct call *c)
{
    const char *text = c->bad_text != NULL ? "malformed"
                       : c->timeout_ns < 0
                           ? NULL
                           : arena_printf(&c->arena, "%" PRId64 "m", c->timeout_ns / 1000000);

    if (text == NULL)
        return c->timeout_ns < 0;
    return call__keep_field(c, BYTES_LIT("grpc-timeout"), bytes_str(text));
}

/* nghttp2 has checked that the field is a number. */
bool http__h2_body_is_short(const struct call *c)
{
    struct bytes v;
    uint64_t n = 0;

    if (!call_metadata(c, "content-length", &v))
        return false;
    for (size_t i = 0; i < v.n && n <= NET_UNREAD_BYTES_MAX; i++)
        n = n * 10 + (uint64_t) (v.p[i] - '0');
    return n <= NET_UNREAD_BYTES_MAX;
}

void http__h2_begin(struct call *c)
{
    struct h2_req *x = arena_alloc(&c->arena, sizeof *x);

    c->plain = true;
    kept__base(c, call__own_bytes(c));
    if (x == NULL || !restore_timeout(c)) {
        c->answered = true;
        h2_server__submit_reset(c, NGHTTP2_ENHANCE_YOUR_CALM);
        return;
    }
    x->call = c;
    if (!http__init(&x->req, &h2_ops, c->sc, &c->arena, c->path)) {
        c->answered = true;
        h2_server__submit_reset(c, NGHTTP2_PROTOCOL_ERROR);
        return;
    }
    x->req.method = c->http_method;
    x->req.fields = c->fields;
    x->req.host = c->authority;
    if (x->req.host.n == 0)
        (void) http_header(&x->req, "host", &x->req.host);
    x->req.version = 20;
    c->short_body = http__h2_body_is_short(c);
    c->http = &x->req;
    /* Whenever something has left, on_drained hears of it; http.c knows the handler's mark. */
    c->owned = true;
    c->on_writable = on_drained;
    c->writable_mark = SIZE_MAX;
    http__handle(&x->req);
}

void http__h2_input(struct call *c, struct bytes in)
{
    if (c->paused && !c->answered) {
        h2_server__consume_conn(c, in.n);
        if (!buf_add_bytes(&c->backlog, in))
            h2_server__submit_reset(c, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    http__input(c->http, in);
    h2_server__consume(c, in.n);
}

void http__h2_input_end(struct call *c)
{
    if (!c->paused)
        http__input_end(c->http);
}

void http__h2_closed(struct call *c)
{
    http__gone(c->http);
}
