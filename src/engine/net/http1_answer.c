/* http1_answer.c -- answers over HTTP/1: the transport's half of http.c. */
#define _GNU_SOURCE
#include <time.h>

#include "base/alloc.h"
#include "engine/net/http1_int.h"

static void dirty(struct http1 *h)
{
    conn__dirty(&h->sc->conn);
}

void http1__timer_set(struct http1 *h, int64_t ms)
{
    if (loop_timer_start(h->sc->conn.loop, &h->sc->timer, ms) != 0)
        conn__doom(&h->sc->conn, ERR_NOMEM);
}

static bool queue(struct http1 *h, const void *p, size_t n)
{
    struct net_piece x = net_piece_copied(p, n);

    dirty(h);
    if (body_add(&h->out, NULL, BYTES_EMPTY, &x, 1))
        return true;
    conn__doom(&h->sc->conn, ERR_NOMEM);
    return false;
}

void http1__refuse_with(struct http1 *h, int status, const char *why, const char *body)
{
    char text[384];
    int n = snprintf(text, sizeof text,
                     "HTTP/1.1 %d %s%s\r\nContent-Type: text/plain; charset=utf-8\r\n"
                     "Connection: close\r\n\r\n%s",
                     status, http__reason(status), why, body);

    h->broken = true;
    queue(h, text, (size_t) n);
    conn__close_soon(&h->sc->conn);
}

void http1__refuse(struct http1 *h, int status, const char *why)
{
    char body[128];

    snprintf(body, sizeof body, "%d %s%s", status, http__reason(status), why);
    http1__refuse_with(h, status, why, body);
}

static void date(char *out, size_t n)
{
    time_t now = (time_t) (clock_wall_ms(clock_posix()) / 1000);
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(out, n, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
}

static struct h1_req *h1_of(struct http_req *r)
{
    return CONTAINER_OF(r, struct h1_req, req);
}

static void h1_begin(struct http_req *r, const struct http_head *hd)
{
    struct h1_req *x = h1_of(r);
    struct http1 *h = x->h;
    struct buf b;
    char text[64];

    buf_init(&b, NET_HEADER_BYTES_MAX);
    buf_printf(&b, "HTTP/1.%d %d %s\r\n", r->version == 10 ? 0 : 1, hd->status,
               http__reason(hd->status));
    for (size_t i = 0; i < hd->fields_n; i++)
        buf_printf(&b, "%s: %s\r\n", hd->fields[i].name, hd->fields[i].value);
    date(text, sizeof text);
    buf_add_str(&b, text);
    if (hd->length >= 0 && hd->status != 204 && hd->status != 304)
        buf_printf(&b, "Content-Length: %" PRId64 "\r\n", hd->length);
    x->chunked = hd->length < 0 && !hd->no_body && r->version == 11 && !h->raw;
    if (hd->length < 0 && !hd->no_body && !x->chunked)
        h->keep_alive = false; /* the end of the connection is the end of the body */
    if (h->draining)
        h->keep_alive = false;
    if (!h->raw && h->keep_alive != (r->version == 11)) /* what the version does not say already */
        buf_printf(&b, "Connection: %s\r\n", h->keep_alive ? "keep-alive" : "close");
    if (x->chunked)
        buf_add_str(&b, "Transfer-Encoding: chunked\r\n");
    buf_add_str(&b, "\r\n");
    if (b.failed)
        conn__doom(&h->sc->conn, ERR_LIMIT);
    else
        queue(h, b.p, b.len);
    x->head_sent = true;
    buf_done(&b);
}

static int h1_write(struct http_req *r, const struct net_piece *v, size_t vn)
{
    struct h1_req *x = h1_of(r);
    struct http1 *h = x->h;
    size_t n = 0;
    char head[20];
    int head_n = 0;

    for (size_t i = 0; i < vn; i++)
        n += v[i].bytes.n;
    if (n == 0)
        return 0; /* an empty chunk would end the body */
    if (x->chunked)
        head_n = snprintf(head, sizeof head, "%zx\r\n", n);
    if (!body_add(&h->out, NULL, bytes_of(head, (size_t) head_n), v, vn))
        return ERR_NOMEM;
    dirty(h);
    if (x->chunked && !queue(h, "\r\n", 2))
        return ERR_NOMEM;
    return 0;
}

/* A body that the client still sends and nobody wants ends the connection after the answer. */
static void h1_end(struct http_req *r)
{
    struct h1_req *x = h1_of(r);
    struct http1 *h = x->h;

    if (x->chunked)
        queue(h, "0\r\n\r\n", 5);
    h->request_ended = true;
    dirty(h);
}

static void h1_abort(struct http_req *r)
{
    conn__doom(&h1_of(r)->h->sc->conn, ERR_CANCELED);
}

void http1__reading_update(struct http1 *h)
{
    conn__pause_reading(&h->sc->conn,
                        h->eof || h->handler_paused || h->pending.len >= HTTP1_PENDING_BYTES_MAX);
}

static void h1_pause_body(struct http_req *r, bool pause)
{
    struct http1 *h = h1_of(r)->h;

    h->handler_paused = pause;
    http1__reading_update(h);
    if (!pause)
        dirty(h); /* what is pending is parsed at the end of the turn */
}

static uint64_t h1_queued(const struct http_req *r)
{
    const struct h1_req *x = (const struct h1_req *) r; /* req is its first member */

    return x->h->out.bytes;
}

static void h1_continue(struct http_req *r)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

    queue(h1_of(r)->h, text, sizeof text - 1);
}

static void h1_patient(struct http_req *r)
{
    struct http1 *h = h1_of(r)->h;

    loop_timer_stop(h->sc->conn.loop, &h->sc->timer);
}

/* Only a request without a body can be followed by another protocol. */
static bool h1_upgrade(struct http_req *r)
{
    struct http1 *h = h1_of(r)->h;

    h->raw = r->version == 11 && h->in_parser && h1_upgrades(&h->parser);
    return h->raw;
}

static void h1_forget(struct http_req *r)
{
    struct h1_req *x = h1_of(r);
    struct server_conn *sc = r->sc;

    if (x->h != NULL) {
        x->h->busy = NULL;
        if (x->h->handler_paused) /* the next request is another handler's */
            h1_pause_body(r, false);
    }
    arena_done(&x->arena);
    mem_free(x);
    server__conn_unref(sc);
}

const struct http_ops http1__ops = {.begin = h1_begin,
                                    .write = h1_write,
                                    .end = h1_end,
                                    .abort = h1_abort,
                                    .pause = h1_pause_body,
                                    .queued = h1_queued,
                                    .continue_100 = h1_continue,
                                    .patient = h1_patient,
                                    .upgrade = h1_upgrade,
                                    .forget = h1_forget};
