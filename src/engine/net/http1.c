#define _GNU_SOURCE
#include "base/alloc.h"
#include "engine/net/http1_int.h"
#include "engine/net/turn.h"

#define REQUEST_ARENA_BYTES_MAX (8u << 20)

static void parse(struct http1 *h, const uint8_t *p, size_t n);
static void resume_pending(struct http1 *h);

/* ---- requests ---- */

static bool head_count(struct http1 *h, size_t n)
{
    h->head_bytes += (uint32_t) MIN(n, (size_t) UINT32_MAX / 2);
    return h->head_bytes <= server__limits(h->sc)->header_bytes_max;
}

static void head_reset(struct http1 *h)
{
    arena_done(&h->head);
    arena_init(&h->head, REQUEST_ARENA_BYTES_MAX);
    buf_done(&h->url);
    buf_done(&h->name);
    buf_done(&h->value);
    buf_init(&h->url, server__limits(h->sc)->header_bytes_max);
    buf_init(&h->name, server__limits(h->sc)->header_bytes_max);
    buf_init(&h->value, server__limits(h->sc)->header_bytes_max);
    h->in_value = false;
    h->head_bytes = h->fields_n = 0;
    h->fields = NULL;
    h->fields_end = &h->fields;
}

static int on_message_begin(h1_parser *p)
{
    struct http1 *h = p->data;

    head_reset(h);
    h->state = HTTP1_READING;
    http1__timer_set(h, server__limits(h->sc)->http_header_ms);
    return 0;
}

static int on_url(h1_parser *p, const char *at, size_t n)
{
    struct http1 *h = p->data;

    return head_count(h, n) && buf_add(&h->url, at, n) ? 0 : -1;
}

/* The field that was read last is complete. */
static bool field_end(struct http1 *h)
{
    size_t n = h->name.len + h->value.len;
    struct field *f;
    uint8_t *p;

    if (h->name.len == 0)
        return true;
    if (++h->fields_n > NET_HEADER_FIELDS_MAX)
        return false;
    f = arena_alloc(&h->head, sizeof *f + n);
    if (f == NULL)
        return false;
    p = (uint8_t *) (f + 1);
    for (size_t i = 0; i < h->name.len; i++)
        p[i] = (uint8_t) (h->name.p[i] >= 'A' && h->name.p[i] <= 'Z' ? h->name.p[i] + 32
                                                                     : h->name.p[i]);
    if (h->value.len > 0)
        memcpy(p + h->name.len, h->value.p, h->value.len);
    *f = (struct field){NULL, bytes_of(p, h->name.len), bytes_of(p + h->name.len, h->value.len)};
    *h->fields_end = f;
    h->fields_end = &f->next;
    buf_clear(&h->name);
    buf_clear(&h->value);
    return true;
}

static int on_header_field(h1_parser *p, const char *at, size_t n)
{
    struct http1 *h = p->data;

    if (h->in_value && !field_end(h))
        return -1;
    h->in_value = false;
    return head_count(h, n + (h->name.len == 0 ? 32 : 0)) && buf_add(&h->name, at, n) ? 0 : -1;
}

static int on_header_value(h1_parser *p, const char *at, size_t n)
{
    struct http1 *h = p->data;

    h->in_value = true;
    return head_count(h, n) && buf_add(&h->value, at, n) ? 0 : -1;
}

/* NULL: no memory, or refused. */
static struct h1_req *request_new(struct http1 *h)
{
    struct h1_req *x = mem_calloc(1, sizeof *x);
    struct bytes target, host = BYTES_EMPTY;
    uint8_t *method;
    bool ok;

    if (x == NULL)
        return NULL;
    x->h = h;
    x->arena = h->head;
    arena_init(&h->head, REQUEST_ARENA_BYTES_MAX);
    target.n = h->url.len;
    target.p = arena_dup(&x->arena, h->url.p, h->url.len);
    method = arena_dup(&x->arena, h->method, h->method_n);
    if (target.p == NULL || method == NULL) {
        arena_done(&x->arena);
        mem_free(x);
        return NULL;
    }
    ok = http1__split_target(&target, &host);
    ok = http__init(&x->req, &http1__ops, h->sc, &x->arena, target) && ok;
    x->req.method = bytes_of(method, h->method_n);
    x->req.fields = h->fields;
    /* Trailers are nobody's: they come when the request, and its arena, may be gone. */
    h->fields = NULL;
    h->fields_end = &h->fields;
    x->req.version = h->parser.http_major * 10 + h->parser.http_minor;
    server__conn_ref(h->sc);
    if (!ok || !http1__head_ok(h, &x->req)) {
        if (!ok)
            http1__refuse(h, 400, "");
        http__discard(&x->req);
        return NULL;
    }
    x->req.host = host;
    if (host.n == 0)
        (void) http_header(&x->req, "host", &x->req.host);
    return x;
}

static int on_headers_complete(h1_parser *p)
{
    struct http1 *h = p->data;
    struct h1_req *x;

    if (!field_end(h))
        return -1;
    x = request_new(h);
    if (x == NULL)
        return -1;
    h->busy = x;
    h->state = HTTP1_BUSY;
    h->message_done = h->request_ended = false;
    h->keep_alive = h1_keep_alive(p);
    http__handle(&x->req);
    return 0;
}

static int on_body(h1_parser *p, const char *at, size_t n)
{
    struct http1 *h = p->data;

    if (h->busy != NULL)
        http__input(&h->busy->req, bytes_of(at, n));
    return 0;
}

/* Stops the parser: what follows is another request, whose turn comes when this one is answered. */
static int on_message_complete(h1_parser *p)
{
    struct http1 *h = p->data;

    h->message_done = !h->raw;
    loop_timer_stop(h->sc->conn.loop, &h->sc->timer);
    if (h->busy != NULL && !h->raw)
        http__input_end(&h->busy->req);
    h1_pause(p);
    return H1_PAUSED_RC;
}

static const h1_callbacks callbacks = {
    .on_message_begin = on_message_begin,
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* Whether the parser may have more input now. */
static bool may_parse(const struct http1 *h)
{
    return !h->broken && !h->handler_paused && !(h->state == HTTP1_BUSY && h->message_done);
}

/* Bytes that are no longer HTTP. */
static size_t pass(struct http1 *h, const uint8_t *p, size_t n)
{
    if (h->handler_paused)
        return 0;
    if (h->busy != NULL)
        http__input(&h->busy->req, bytes_of(p, n));
    return n;
}

size_t http1__execute(struct http1 *h, const uint8_t *p, size_t n)
{
    size_t k;

    h->in_parser = true;
    k = h1_parse(&h->parser, &callbacks, p, n);
    h->in_parser = false;
    return k;
}

static void parse_failed(struct http1 *h)
{
    bool large = h->head_bytes > server__limits(h->sc)->header_bytes_max ||
                 h->fields_n > NET_HEADER_FIELDS_MAX || h1_head_too_large(&h->parser);
    struct h1_req *x = h->busy;

    if (h->state != HTTP1_BUSY) {
        http1__refuse(h, large ? 431 : 400, "");
    } else if (x == NULL || x->head_sent) {
        conn__doom(&h->sc->conn, ERR_NET_PROTOCOL);
    } else { /* in the middle of a body, to which nothing has been said yet */
        x->h = NULL;
        h->busy = NULL;
        http1__refuse(h, 400, "");
        http__gone(&x->req);
    }
}

static void parse(struct http1 *h, const uint8_t *p, size_t n)
{
    size_t k = 0;

    if (h->raw) {
        k = pass(h, p, n);
    } else if (may_parse(h)) {
        if (!h->method_done)
            k = http1__take_method(h, p, n);
        if (h->method_done && k < n)
            k += http1__execute(h, p + k, n - k);
        if (h1_failed(&h->parser) && !h->broken && h->sc->conn.state == CONN_OPEN) {
            parse_failed(h);
            return;
        }
        if (h->raw && k < n)
            k += pass(h, p + k, n - k);
    }
    if (k < n && !h->broken && !buf_add(&h->pending, p + k, n - k))
        conn__doom(&h->sc->conn, ERR_LIMIT);
    http1__reading_update(h);
}

/* ---- the connection ---- */

static void on_input(struct conn *c, const uint8_t *p, size_t n)
{
    struct http1 *h = ((struct server_conn *) c->session)->http1;

    resume_pending(h); /* came before, and may not have had its round of output yet */
    if (c->state == CONN_OPEN)
        parse(h, p, n);
}

static void on_eof(struct conn *c)
{
    struct http1 *h = ((struct server_conn *) c->session)->http1;

    /* Half closed: an answer that is under way may still be wanted, an endless one is not. */
    if (h->state != HTTP1_BUSY || !h->message_done ||
        (h->busy != NULL && h->busy->req.on_cancel != NULL)) {
        conn__doom(c, 0);
        return;
    }
    h->eof = true;
    h->keep_alive = false;
    http1__reading_update(h);
}

/* The answer has left: the next request, or the end. */
static void next_request(struct http1 *h)
{
    struct buf pending = h->pending;

    if (!h->keep_alive || h->draining || !h->message_done) {
        conn__close_soon(&h->sc->conn);
        return;
    }
    h->state = HTTP1_IDLE;
    h->message_done = h->request_ended = h->method_done = false;
    h->method_n = 0;
    http1__timer_set(h, server__limits(h->sc)->http_idle_ms);
    h1_unpause(&h->parser);
    buf_init(&h->pending, pending.bytes_max);
    if (pending.len > 0)
        parse(h, pending.p, pending.len);
    buf_done(&pending);
    http1__reading_update(h);
}

/* A body that was held back by http_pause. */
static void resume_pending(struct http1 *h)
{
    struct buf pending = h->pending;

    if (pending.len == 0 || (h->raw ? h->handler_paused : !may_parse(h)))
        return;
    buf_init(&h->pending, pending.bytes_max);
    parse(h, pending.p, pending.len);
    buf_done(&pending);
}

static bool on_output(struct conn *c)
{
    struct http1 *h = ((struct server_conn *) c->session)->http1;
    size_t n, most = turn__round_bytes(c);

    turn__slice_begin(c);
    resume_pending(h);
    do {
        n = (size_t) MIN(h->out.bytes, (uint64_t) (most - c->out.bytes));
        if (body_take(&h->out, &c->out, n) != BODY_TAKEN) {
            conn__doom(c, ERR_NOMEM);
            return false;
        }
        if (h->busy != NULL)
            http__drained(&h->busy->req);
        if (h->state == HTTP1_BUSY && h->request_ended && h->out.bytes == 0 && !c->close_soon)
            next_request(h);
    } while (h->out.bytes > 0 && c->out.bytes < most && c->state == CONN_OPEN &&
             !turn__slice_over(c->loop));
    return h->out.bytes > 0;
}

static void on_closed(struct conn *c)
{
    struct server_conn *sc = c->session;
    struct http1 *h = sc->http1;
    struct h1_req *busy = h->busy;

    if (busy != NULL) {
        busy->h = NULL;
        h->busy = NULL;
    }
    body_clear(&h->out);
    buf_done(&h->pending);
    buf_done(&h->url);
    buf_done(&h->name);
    buf_done(&h->value);
    arena_done(&h->head);
    mem_free(h);
    sc->http1 = NULL;
    server__conn_closed(sc);
    if (busy != NULL)
        http__gone(&busy->req);
}

static const struct conn_ops ops = {on_input,          on_eof, on_output, on_closed,
                                    server__conn_free, NULL};

static void on_late(struct loop_timer *t)
{
    struct server_conn *sc = CONTAINER_OF(t, struct server_conn, timer);

    conn__doom(&sc->conn, ERR_TIMEOUT);
}

bool http1__attach(struct server_conn *sc)
{
    struct http1 *h = mem_calloc(1, sizeof *h);

    if (h == NULL)
        return false;
    h->sc = sc;
    h->keep_alive = true;
    buf_init(&h->pending, HTTP1_PENDING_BYTES_MAX + NET_READ_BYTES);
    head_reset(h);
    h1_parser_init(&h->parser, true, &callbacks);
    h->parser.data = h;
    sc->http1 = h;
    sc->conn.ops = &ops;
    loop_timer_stop(sc->conn.loop, &sc->timer);
    loop_timer_init(&sc->timer, on_late);
    http1__timer_set(h, server__limits(sc)->http_header_ms);
    return true;
}

void http1__drain(struct http1 *h)
{
    h->draining = true;
    if (h->state != HTTP1_BUSY)
        conn__doom(&h->sc->conn, 0);
}
