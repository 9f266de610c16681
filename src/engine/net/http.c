/* http.c -- a plain HTTP request over either transport: its body in, its answer out. */
#define _GNU_SOURCE
#include "engine/net/http.h"

#include "engine/net/http_int.h"

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What may as well be written without %XX (RFC 3986 6.2.2.2).  Not so the dot: Go's multiplexer
 * knows no ".." that is written otherwise. */
static bool needs_no_escape(int c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' ||
           c == '_' || c == '~';
}

/* In place.  All else stays as it came, and so is never a slash, a zero byte or the beginning of
 * another %XX to anybody: there is no route with such in its name.  False: malformed. */
static bool decode_path(struct bytes *path)
{
    uint8_t *out = (uint8_t *) (uintptr_t) path->p;
    size_t n = 0;

    for (size_t i = 0; i < path->n; i++) {
        int hi, lo;

        if (path->p[i] != '%') {
            out[n++] = path->p[i];
            continue;
        }
        hi = path->n - i > 2 ? hex_value(path->p[i + 1]) : -1;
        lo = path->n - i > 2 ? hex_value(path->p[i + 2]) : -1;
        if (hi < 0 || lo < 0)
            return false;
        if (needs_no_escape(hi << 4 | lo)) {
            out[n++] = (uint8_t) (hi << 4 | lo);
            i += 2;
        } else {
            out[n++] = '%';
        }
    }
    path->n = n;
    return true;
}

bool http__init(struct http_req *r, const struct http_ops *ops, struct server_conn *sc,
                struct arena *a, struct bytes target)
{
    const uint8_t *q = target.n == 0 ? NULL : memchr(target.p, '?', target.n);

    *r = (struct http_req){.ops = ops, .sc = sc, .arena = a};
    r->path = target;
    if (q != NULL) {
        r->path.n = (size_t) (q - target.p);
        r->query = bytes_of(q + 1, target.n - r->path.n - 1);
    }
    buf_init(&r->body, server__limits(sc)->http_body_bytes_max);
    return decode_path(&r->path);
}

void http__discard(struct http_req *r)
{
    r->ended = true;
    buf_done(&r->body);
    r->ops->forget(r);
}

void http__handle(struct http_req *r)
{
    const struct net_server_options *o = &r->sc->sl->server->options;

    loop__count(&r->sc->sl->counters.http_total, 1);
    o->http(r, o->http_user);
}

/* ---- the request's body ---- */

static void body_too_large(struct http_req *r)
{
    r->too_large = true;
    r->reading = HTTP_READ_NOTHING;
    r->on_body(r, BYTES_EMPTY, true);
}

void http__input(struct http_req *r, struct bytes in)
{
    if (r->ended || r->gone || in.n == 0)
        return;
    if (r->reading == HTTP_READ_STREAM)
        r->on_data(r, in);
    else if (r->reading == HTTP_READ_ALL && !buf_add_bytes(&r->body, in))
        body_too_large(r);
}

void http__input_end(struct http_req *r)
{
    enum http_reading reading = r->reading;

    if (r->input_done)
        return;
    r->input_done = true;
    if (r->ended || r->gone)
        return;
    r->reading = HTTP_READ_NOTHING;
    if (reading == HTTP_READ_ALL)
        r->on_body(r, buf_bytes(&r->body), false);
    else if (reading == HTTP_READ_STREAM)
        r->on_data_end(r);
}

static void ask(struct http_req *r)
{
    if (r->expects_100 && r->ops->continue_100 != NULL && !r->gone)
        r->ops->continue_100(r);
    r->expects_100 = false;
}

void http_read_all(struct http_req *r, size_t bytes_max,
                   void (*fn)(struct http_req *r, struct bytes body, bool too_large))
{
    ASSERT(r->reading == HTTP_READ_NOTHING);
    ASSERT(!r->input_done);
    r->reading = HTTP_READ_ALL;
    r->on_body = fn;
    buf_init(&r->body, MIN(bytes_max, (size_t) server__limits(r->sc)->http_body_bytes_max));
    ask(r);
}

void http_read_stream(struct http_req *r, void (*data)(struct http_req *r, struct bytes part),
                      void (*end)(struct http_req *r))
{
    ASSERT(r->reading == HTTP_READ_NOTHING);
    ASSERT(!r->input_done);
    r->reading = HTTP_READ_STREAM;
    r->on_data = data;
    r->on_data_end = end;
    ask(r);
}

void http_read_patiently(struct http_req *r)
{
    if (r->ops->patient != NULL && !r->gone)
        r->ops->patient(r);
}

void http_pause(struct http_req *r)
{
    if (!r->gone)
        r->ops->pause(r, true);
}

void http_resume(struct http_req *r)
{
    if (!r->gone)
        r->ops->pause(r, false);
}

/* ---- the answer ---- */

static bool never_has_body(const struct http_req *r, int status)
{
    return status == 204 || status == 304 || bytes_eq(r->method, BYTES_LIT("HEAD"));
}

static void begin(struct http_req *r, int status, const struct http_field *f, size_t fn,
                  int64_t length)
{
    struct http_head h = {status, f, fn, length, never_has_body(r, status)};

    ASSERT(!r->began);
    ASSERT(!r->ended);
    r->began = true;
    r->no_body = h.no_body;
    if (!r->gone)
        r->ops->begin(r, &h);
}

static void finish(struct http_req *r)
{
    ASSERT(!r->ended);
    r->ended = true;
    r->on_cancel = NULL;
    r->on_writable = NULL;
    buf_done(&r->body);
    if (!r->gone)
        r->ops->end(r);
    r->ops->forget(r);
}

void http_respond(struct http_req *r, int status, const struct http_field *f, size_t fn,
                  struct bytes body)
{
    struct net_piece p = net_piece_copied(body.p, body.n);

    begin(r, status, f, fn, (int64_t) body.n);
    if (body.n > 0 && !r->no_body && !r->gone && r->ops->write(r, &p, 1) != 0) {
        http_abort(r);
        return;
    }
    finish(r);
}

void http_error(struct http_req *r, int status, const char *text)
{
    static const struct http_field f[] = {
        {"Content-Type", "text/plain; charset=utf-8"},
        {"X-Content-Type-Options", "nosniff"},
    };
    struct net_piece p[2] = {net_piece_copied(text, strlen(text)), net_piece_copied("\n", 1)};

    begin(r, status, f, ARRAY_LEN(f), (int64_t) strlen(text) + 1);
    if (!r->no_body && !r->gone && r->ops->write(r, p, 2) != 0) {
        http_abort(r);
        return;
    }
    finish(r);
}

void http_begin(struct http_req *r, int status, const struct http_field *f, size_t fn)
{
    begin(r, status, f, fn, -1);
}

bool http_upgrade(struct http_req *r, const struct http_field *f, size_t fn)
{
    if (r->gone || r->ops->upgrade == NULL || !r->ops->upgrade(r))
        return false;
    begin(r, 101, f, fn, -1);
    return true;
}

int http_write(struct http_req *r, const struct net_piece *v, size_t vn)
{
    int rc;

    ASSERT(r->began);
    ASSERT(!r->ended);
    if (r->gone)
        return ERR_CANCELED;
    if (r->no_body)
        return 0;
    if (r->ops->queued(r) >= server__limits(r->sc)->conn_queued_bytes_max)
        return ERR_LIMIT;
    rc = r->ops->write(r, v, vn);
    if (r->on_writable != NULL && r->ops->queued(r) >= r->writable_mark)
        r->above_mark = true;
    return rc;
}

void http_end(struct http_req *r)
{
    ASSERT(r->began);
    finish(r);
}

void http_abort(struct http_req *r)
{
    ASSERT(!r->ended);
    if (!r->gone)
        r->ops->abort(r);
    r->gone = true;
    finish(r);
}

size_t http_queued_bytes(const struct http_req *r)
{
    return r->gone ? 0 : (size_t) r->ops->queued(r);
}

void http_on_writable(struct http_req *r, size_t below_bytes, void (*fn)(struct http_req *r))
{
    r->on_writable = fn;
    r->writable_mark = below_bytes;
    r->above_mark = fn != NULL && !r->gone && r->ops->queued(r) >= below_bytes;
}

void http__drained(struct http_req *r)
{
    if (!r->above_mark || r->ops->queued(r) >= r->writable_mark)
        return;
    r->above_mark = false;
    if (r->on_writable != NULL && !r->ended && !r->gone)
        r->on_writable(r);
}

void http_on_cancel(struct http_req *r, void (*fn)(struct http_req *r))
{
    r->on_cancel = fn;
}

bool http_canceled(const struct http_req *r)
{
    return r->gone;
}

void http__gone(struct http_req *r)
{
    void (*fn)(struct http_req *) = r->on_cancel;

    if (r->gone || r->ended)
        return;
    r->gone = true;
    r->on_cancel = NULL;
    if (fn != NULL)
        fn(r);
    else if (r->reading == HTTP_READ_ALL)
        http__discard(r); /* its handler would never hear of it */
}
