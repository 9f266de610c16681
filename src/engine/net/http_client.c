#define _GNU_SOURCE
#include "engine/net/http_client.h"

#include <unistd.h>

#include "base/alloc.h"
#include "engine/net/addr.h"
#include "engine/net/http_client_int.h"
#include "engine/net/tls.h"

#define ANSWER_ARENA_BYTES_MAX ((size_t) 1 << 20)

/* ---- the end of a request ---- */

void http_client__end(struct http_out *x, const char *why)
{
    if (x->ended)
        return;
    x->ended = true;
    x->failed = why != NULL;
    snprintf(x->why, sizeof x->why, "%s", why == NULL ? "" : why);
    loop_timer_stop(x->client->loop, &x->connect);
    loop_timer_stop(x->client->loop, &x->whole);
    loop_timer_stop(x->client->loop, &x->silence);
    if (x->dial != NULL)
        dial__cancel(x->dial);
    x->dial = NULL;
    if (x->hc != NULL)
        http_conn__drop(x->hc);
    ASSERT(x->hc == NULL);
    body_clear(&x->out);
    list_remove(&x->link);
    list_push(&x->client->ended, &x->link);
    loop_hook_arm(x->client->loop, &x->client->hook);
}

static void out_free(struct http_out *x)
{
    ASSERT(x->ended); /* invariant 14 */
    ASSERT(!loop_timer_active(&x->connect));
    ASSERT(!loop_timer_active(&x->whole));
    ASSERT(!loop_timer_active(&x->silence));
    list_remove(&x->link);
    arena_done(&x->arena);
    mem_free(x);
}

static void run_ended(struct http_client *c)
{
    struct list *l;

    while ((l = list_pop(&c->ended)) != NULL) {
        struct http_out *x = CONTAINER_OF(l, struct http_out, link);

        list_init(&x->link);
        c->calling = true;
        x->end(x, x->failed ? x->why : NULL);
        c->calling = false;
        out_free(x);
    }
}

static void on_hook(struct loop_hook *h)
{
    run_ended(CONTAINER_OF(h, struct http_client, hook));
}

void http_out_abort(struct http_out *x)
{
    http_client__end(x, "aborted");
    out_free(x);
}

/* ---- time ---- */

static void on_connect_late(struct loop_timer *t)
{
    struct http_out *x = CONTAINER_OF(t, struct http_out, connect);
    char target[128], why[HTTP_OUT_WHY_BYTES];

    if (x->client->unix_path != NULL)
        snprintf(target, sizeof target, "unix %s", x->client->unix_path);
    else
        addr__target_text(x->client->host, x->client->port, target, sizeof target);
    snprintf(why, sizeof why, "dial %s: i/o timeout", target);
    http_client__end(x, why);
}

static void on_late(struct loop_timer *t)
{
    http_client__end(CONTAINER_OF(t, struct http_out, whole), "context deadline exceeded");
}

static void on_silence(struct loop_timer *t)
{
    http_client__end(CONTAINER_OF(t, struct http_out, silence), "i/o timeout");
}

void http_client__progress(struct http_out *x)
{
    if (x->silence_ms != 0 && !x->ended &&
        loop_timer_start(x->client->loop, &x->silence, x->silence_ms) != 0)
        http_client__end(x, "out of memory");
}

/* ---- a request ---- */

static bool put_head(struct http_out *x, const struct http_out_options *o)
{
    struct buf b;
    struct net_piece body = net_piece_copied(o->body.p, o->body.n);
    bool ok;

    buf_init(&b, NET_HEADER_BYTES_MAX);
    buf_printf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", o->method, o->path, x->client->authority);
    for (size_t i = 0; i < o->fields_n; i++)
        buf_printf(&b, "%s: %s\r\n", o->fields[i].name, o->fields[i].value);
    if (o->streamed)
        buf_add_str(&b, "Transfer-Encoding: chunked\r\n");
    else if (o->body.n > 0 || strcmp(o->method, "GET") != 0)
        buf_printf(&b, "Content-Length: %zu\r\n", o->body.n);
    buf_add_str(&b, "\r\n");
    ok = !b.failed && body_add(&x->out, NULL, buf_bytes(&b), &body, o->body.n > 0 ? 1 : 0);
    buf_done(&b);
    return ok;
}

static void on_dialed(void *user, int fd, const char *why)
{
    struct http_out *x = user;
    struct http_conn *hc;
    struct err e = ERR_INIT;

    x->dial = NULL;
    if (fd < 0) {
        http_client__end(x, why);
        return;
    }
    if (x->client->tls == NULL)
        loop_timer_stop(x->client->loop, &x->connect); /* else it runs through the handshake */
    hc = http_conn__new(x->client, fd, &e);
    if (hc == NULL) {
        close(fd);
        http_client__end(x, e.msg);
        return;
    }
    http_conn__take(hc, x);
}

/* NULL: there is none. */
static struct http_conn *take_idle(struct http_client *c)
{
    struct list *l;

    while ((l = list_pop(&c->idle)) != NULL) {
        struct http_conn *hc = CONTAINER_OF(l, struct http_conn, link);

        c->idle_n--;
        if (hc->conn.state == CONN_OPEN)
            return hc;
        hc->client = NULL; /* the server has hung up in this turn */
    }
    return NULL;
}

/* An idle connection, or a new one. */
static int find_connection(struct http_client *c, struct http_out *x, struct err *e)
{
    struct http_conn *hc = take_idle(c);

    if (hc != NULL) {
        http_conn__take(hc, x);
        return 0;
    }
    x->dial = dial__start(c->loop, c->host, c->port, c->unix_path, on_dialed, x);
    if (x->dial == NULL || loop_timer_start(c->loop, &x->connect, c->connect_ms) != 0)
        return err_set(e, ERR_NOMEM, "connect: out of memory");
    return 0;
}

int http_client_request(struct http_client *c, const struct http_out_options *o,
                        struct http_out **ret, struct err *e)
{
    struct http_out *x;
    int rc = 0;

    if (c->closing)
        return err_set(e, ERR_CLOSED, "client closed");
    x = mem_calloc(1, sizeof *x);
    if (x == NULL)
        return err_set(e, ERR_NOMEM, "request: out of memory");
    x->client = c;
    x->head = o->head;
    x->data = o->data;
    x->end = o->end;
    x->user = o->user;
    x->silence_ms = o->silence_ms;
    x->streamed = o->streamed;
    x->finished = !o->streamed;
    body_init(&x->out);
    arena_init(&x->arena, ANSWER_ARENA_BYTES_MAX);
    loop_timer_init(&x->connect, on_connect_late);
    loop_timer_init(&x->whole, on_late);
    loop_timer_init(&x->silence, on_silence);
    list_push(&c->outs, &x->link);
    if (!put_head(x, o))
        rc = err_set(e, ERR_LIMIT, "request: the header is too large");
    if (rc == 0 && o->timeout_ms != 0 && loop_timer_start(c->loop, &x->whole, o->timeout_ms) != 0)
        rc = err_set(e, ERR_NOMEM, "request: out of memory");
    if (rc == 0)
        rc = find_connection(c, x, e);
    if (rc != 0) {
        http_out_abort(x);
        return rc;
    }
    *ret = x;
    return 0;
}

/* ---- a streamed body ---- */

int http_out_write(struct http_out *x, const struct net_piece *v, size_t vn)
{
    static const struct net_piece line_end = {
        NET_PIECE_COPIED, {(const uint8_t *) "\r\n", 2}, NULL};
    char head[20];
    size_t n = 0;
    int head_n;

    ASSERT(x->streamed && !x->finished);
    for (size_t i = 0; i < vn; i++)
        n += v[i].bytes.n;
    if (n == 0 || x->ended)
        return 0; /* an empty chunk would end the body */
    head_n = snprintf(head, sizeof head, "%zx\r\n", n);
    if (!body_add(&x->out, NULL, bytes_of(head, (size_t) head_n), v, vn))
        return ERR_NOMEM;
    if (!body_add(&x->out, NULL, BYTES_EMPTY, &line_end, 1)) {
        http_client__end(x, "out of memory"); /* half a chunk cannot be taken back */
        return 0;
    }
    if (x->hc != NULL)
        conn__dirty(&x->hc->conn);
    return 0;
}

void http_out_finish(struct http_out *x)
{
    ASSERT(x->streamed && !x->finished);
    x->finished = true;
    if (x->ended)
        return;
    if (!body_add(&x->out, NULL, BYTES_LIT("0\r\n\r\n"), NULL, 0))
        http_client__end(x, "out of memory");
    else if (x->hc != NULL)
        conn__dirty(&x->hc->conn);
}

size_t http_out_queued_bytes(const struct http_out *x)
{
    return (size_t) x->out.bytes + (x->hc == NULL ? 0 : conn__unwritten(&x->hc->conn));
}

void http_out_on_writable(struct http_out *x, size_t below_bytes, void (*fn)(struct http_out *x))
{
    x->writable_mark = below_bytes;
    x->on_writable = fn;
    if (x->hc != NULL)
        conn__dirty(&x->hc->conn);
}

/* ---- what is known of the answer ---- */

void *http_out_user(const struct http_out *x)
{
    return x->user;
}

int http_out_status(const struct http_out *x)
{
    return x->status;
}

bool http_out_header(const struct http_out *x, const char *name, struct bytes *ret)
{
    struct bytes want = bytes_str(name);

    for (const struct field *f = x->fields; f != NULL; f = f->next) {
        if (bytes_eq(f->name, want)) {
            *ret = f->value;
            return true;
        }
    }
    return false;
}

/* ---- life ---- */

static char *authority_of(const struct http_client_options *o)
{
    char text[512];
    bool v6 = o->host != NULL && strchr(o->host, ':') != NULL;

    if (o->unix_path != NULL)
        return xmem_strdup("localhost");
    snprintf(text, sizeof text, "%s%s%s:%u", v6 ? "[" : "", o->host, v6 ? "]" : "",
             (unsigned) o->port);
    return xmem_strdup(text);
}

struct http_client *http_client_new(struct loop *l, const struct http_client_options *o)
{
    struct http_client *c = xmem_calloc(1, sizeof *c);

    ASSERT(o->host != NULL || o->unix_path != NULL);
    c->loop = l;
    c->host = o->host == NULL ? NULL : xmem_strdup(o->host);
    c->unix_path = o->unix_path == NULL ? NULL : xmem_strdup(o->unix_path);
    c->authority = authority_of(o);
    c->tls = tls_ref(o->tls);
    c->port = o->port;
    c->connect_ms = o->connect_timeout_ms == 0 ? HTTP_CLIENT_CONNECT_MS : o->connect_timeout_ms;
    list_init(&c->outs);
    list_init(&c->ended);
    list_init(&c->idle);
    loop_hook_init(&c->hook, on_hook);
    return c;
}

void http_client_free(struct http_client *c)
{
    struct list *l;

    if (c == NULL)
        return;
    ASSERT(!c->calling);
    c->closing = true;
    while (!list_empty(&c->outs))
        http_client__end(CONTAINER_OF(c->outs.next, struct http_out, link), "client closed");
    run_ended(c);
    while ((l = list_pop(&c->idle)) != NULL) {
        struct http_conn *hc = CONTAINER_OF(l, struct http_conn, link);

        list_init(l);
        hc->client = NULL;
        conn__doom(&hc->conn, 0);
    }
    ASSERT(list_empty(&c->outs));
    ASSERT(list_empty(&c->ended));
    loop_hook_disarm(&c->hook);
    mem_free(c->host);
    mem_free(c->unix_path);
    mem_free(c->authority);
    tls_unref(c->tls);
    mem_free(c);
}
