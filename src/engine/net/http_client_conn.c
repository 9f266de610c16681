/* http_client_conn.c -- one connection of an HTTP/1.1 client: requests out, answers in. */
#define _GNU_SOURCE
#include "base/alloc.h"
#include "engine/net/http_client_int.h"
#include "engine/net/tls_conn.h"

static struct http_conn *of(h1_parser *p)
{
    return p->data;
}

/* ---- the answer's header ---- */

static int on_message_begin(h1_parser *p)
{
    struct http_conn *hc = of(p);

    buf_clear(&hc->name);
    buf_clear(&hc->value);
    hc->in_value = false;
    hc->head_bytes = hc->fields_n = 0;
    hc->message_done = false;
    return hc->x == NULL ? -1 : 0; /* an answer that nobody asked for */
}

static bool count(struct http_conn *hc, size_t n)
{
    hc->head_bytes += n;
    return hc->head_bytes <= NET_HEADER_BYTES_MAX;
}

static bool field_end(struct http_conn *hc)
{
    struct http_out *x = hc->x;
    struct field *f;
    uint8_t *p;

    if (hc->name.len == 0)
        return true;
    if (++hc->fields_n > NET_HEADER_FIELDS_MAX)
        return false;
    f = arena_alloc(&x->arena, sizeof *f + hc->name.len + hc->value.len);
    if (f == NULL)
        return false;
    p = (uint8_t *) (f + 1);
    for (size_t i = 0; i < hc->name.len; i++) {
        uint8_t ch = hc->name.p[i];

        p[i] = (uint8_t) (ch >= 'A' && ch <= 'Z' ? ch + 32 : ch);
    }
    if (hc->value.len > 0)
        memcpy(p + hc->name.len, hc->value.p, hc->value.len);
    *f = (struct field){x->fields, bytes_of(p, hc->name.len),
                        bytes_of(p + hc->name.len, hc->value.len)};
    x->fields = f;
    buf_clear(&hc->name);
    buf_clear(&hc->value);
    return true;
}

static int on_header_field(h1_parser *p, const char *at, size_t n)
{
    struct http_conn *hc = of(p);

    if (hc->x == NULL || (hc->in_value && !field_end(hc)))
        return -1;
    hc->in_value = false;
    return count(hc, n) && buf_add(&hc->name, at, n) ? 0 : -1;
}

static int on_header_value(h1_parser *p, const char *at, size_t n)
{
    struct http_conn *hc = of(p);

    hc->in_value = true;
    return hc->x != NULL && count(hc, n) && buf_add(&hc->value, at, n) ? 0 : -1;
}

static int on_headers_complete(h1_parser *p)
{
    struct http_conn *hc = of(p);
    struct http_out *x = hc->x;

    if (x == NULL || !field_end(hc))
        return -1;
    if (p->status_code / 100 == 1)
        return 0; /* 100 Continue: another head follows */
    x->status = (int) p->status_code;
    if (x->head != NULL)
        x->head(x, x->status);
    return 0;
}

/* ---- its body ---- */

static int on_body(h1_parser *p, const char *at, size_t n)
{
    struct http_out *x = of(p)->x;

    if (x != NULL && !x->ended && x->data != NULL)
        x->data(x, bytes_of(at, n));
    return 0;
}

static int on_message_complete(h1_parser *p)
{
    struct http_conn *hc = of(p);

    if (hc->x == NULL || hc->x->status == 0)
        return 0; /* given up meanwhile, or an interim answer */
    hc->message_done = true;
    hc->keep_alive = h1_keep_alive(p);
    h1_pause(p);
    return H1_PAUSED_RC;
}

static const h1_callbacks callbacks = {
    .on_message_begin = on_message_begin,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* ---- the connection ---- */

/* The answer is complete: the connection waits for the next request, or goes. */
static void answered(struct http_conn *hc, bool reusable)
{
    struct http_out *x = hc->x;
    struct http_client *c = hc->client;

    hc->x = NULL;
    x->hc = NULL;
    reusable = reusable && x->finished && x->out.bytes == 0 && hc->conn.state == CONN_OPEN &&
               c->idle_n < HTTP_CLIENT_IDLE_MAX;
    if (reusable) {
        h1_parser_init(&hc->parser, false, &callbacks);
        hc->parser.data = hc;
        list_push(&c->idle, &hc->link);
        c->idle_n++;
    } else {
        hc->client = NULL;
        conn__doom(&hc->conn, 0);
    }
    http_client__end(x, NULL);
}

static void fail(struct http_conn *hc, const char *why)
{
    struct http_out *x = hc->x;

    if (x != NULL)
        http_client__end(x, why); /* which drops this connection */
    else
        conn__doom(&hc->conn, ERR_NET_CONN_RESET);
}

static void on_input(struct conn *c, const uint8_t *p, size_t n)
{
    struct http_conn *hc = c->session;
    size_t k;

    if (hc->x != NULL)
        http_client__progress(hc->x);
    k = h1_parse(&hc->parser, &callbacks, p, n);
    if (hc->conn.state != CONN_OPEN)
        return;
    if (hc->message_done && hc->x != NULL)
        answered(hc, hc->keep_alive && k == n);
    else if (h1_failed(&hc->parser) || hc->x == NULL)
        fail(hc, "malformed HTTP response");
}

static void on_eof(struct conn *c)
{
    struct http_conn *hc = c->session;

    /* An answer without a length ends here. */
    if (hc->x != NULL) {
        h1_finish(&hc->parser, &callbacks);
        if (hc->message_done) {
            answered(hc, false);
            return;
        }
    }
    fail(hc, hc->x != NULL && hc->x->status != 0 ? "unexpected EOF" : "EOF");
}

static bool on_output(struct conn *c)
{
    struct http_conn *hc = c->session;
    struct http_out *x = hc->x;
    size_t n;

    if (x == NULL)
        return false;
    n = (size_t) MIN(x->out.bytes, (uint64_t) NET_OUT_HIGH_BYTES);
    if (n > 0)
        http_client__progress(x);
    if (x->ended)
        return false;
    if (body_take(&x->out, &c->out, n) != BODY_TAKEN) {
        fail(hc, "out of memory");
        return false;
    }
    if (x->on_writable != NULL && x->out.bytes < x->writable_mark) {
        void (*fn)(struct http_out *) = x->on_writable;

        x->on_writable = NULL;
        fn(x);
    }
    return hc->x != NULL && hc->x->out.bytes > 0;
}

static void on_closed(struct conn *c)
{
    struct http_conn *hc = c->session;

    if (hc->client != NULL && hc->x == NULL && !list_empty(&hc->link))
        hc->client->idle_n--;
    list_remove(&hc->link);
    if (hc->x != NULL) {
        struct http_out *x = hc->x;

        hc->x = NULL;
        x->hc = NULL;
        http_client__end(x, "connection reset by peer");
    }
    hc->client = NULL;
}

static void on_free(struct conn *c)
{
    struct http_conn *hc = c->session;

    buf_done(&hc->name);
    buf_done(&hc->value);
    mem_free(hc);
}

static const struct conn_ops ops = {on_input, on_eof, on_output, on_closed, on_free, NULL};

/* ---- TLS ---- */

static void on_tls_ready(struct conn *c, bool h2)
{
    struct http_conn *hc = c->session;

    (void) h2; /* we offer nothing */
    if (hc->x != NULL)
        loop_timer_stop(c->loop, &hc->x->connect);
}

static void on_tls_rejected(struct conn *c, const struct tls_rejected *r)
{
    fail(c->session, r->error);
}

static void on_tls_broken(struct conn *c, const char *why)
{
    fail(c->session, why);
}

static const struct tls_conn_ops tls_ops = {on_tls_ready, on_tls_rejected, on_tls_broken};

static bool conn_secure(struct http_conn *hc)
{
    struct http_client *c = hc->client;
    struct tls_attach a = {
        .tls = c->tls, .ops = &tls_ops, .host = c->host != NULL ? c->host : "localhost"};

    return a.tls == NULL || tls_conn__attach(&hc->conn, &a) == 0;
}

struct http_conn *http_conn__new(struct http_client *c, int fd, struct err *e)
{
    struct http_conn *hc = mem_calloc(1, sizeof *hc);

    if (hc == NULL) {
        (void) err_set(e, ERR_NOMEM, "out of memory");
        return NULL;
    }
    hc->client = c;
    list_init(&hc->link);
    buf_init(&hc->name, NET_HEADER_BYTES_MAX);
    buf_init(&hc->value, NET_HEADER_BYTES_MAX);
    h1_parser_init(&hc->parser, false, &callbacks);
    hc->parser.data = hc;
    conn__init(&hc->conn, c->loop, fd, &ops, hc);
    if (!conn_secure(hc) || conn__start(&hc->conn, e) != 0) {
        if (e->code == 0)
            (void) err_set(e, ERR_NOMEM, "out of memory");
        list_remove(&hc->conn.dirty_link);
        tls_conn__free(hc->conn.tls);
        mem_free(hc);
        return NULL;
    }
    return hc;
}

void http_conn__take(struct http_conn *hc, struct http_out *x)
{
    ASSERT(hc->x == NULL && x->hc == NULL);
    hc->x = x;
    x->hc = hc;
    hc->message_done = false;
    http_client__progress(x);
    conn__dirty(&hc->conn);
}

void http_conn__drop(struct http_conn *hc)
{
    hc->x->hc = NULL;
    hc->x = NULL;
    hc->client = NULL;
    conn__doom(&hc->conn, ERR_CANCELED);
}
