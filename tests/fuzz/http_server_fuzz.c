/* http_server_fuzz.c -- a server's connection without a socket, fed with arbitrary bytes.
 *
 * The first byte of the input says how the rest is cut into reads.  Whatever comes: no crash, what
 * goes out is well-formed, and when the connection is gone nothing of it is left behind. */
#define _GNU_SOURCE
#include "base/alloc.h"
#include "base/buf.h"
#include "engine/net/call.h"
#include "engine/net/http.h"
#include "engine/net/server_int.h"
#include "fuzz/conn_output.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WAITING_MAX 64

static struct loop *loop;
static struct net_server *server;

/* Calls that wait, so that they outlive what the client does meanwhile. */
static struct call *waiting[WAITING_MAX];
static size_t waiting_n;

static void echo(struct call *c, struct bytes m)
{
    struct net_piece p = net_piece_kept(m.p, m.n);

    call_reply(c, &p, 1);
}

static void wait_for_end(struct call *c, struct bytes m)
{
    (void) m;
    if (waiting_n == WAITING_MAX)
        call_finish(c, 8, "enough");
    else
        waiting[waiting_n++] = c;
}

static bool fill(void *arg, uint8_t *out, size_t n)
{
    (void) arg;
    memset(out, 'p', n);
    return true;
}

static void pulled(struct call *c, struct bytes m)
{
    call_reply_pull(c, m.n * 1000, (struct net_pull){fill, NULL, NULL});
}

static void on_cancel(struct call *c, enum call_cancel_reason why)
{
    ASSERT(why != CALL_NOT_CANCELED);
    call_finish(c, 1, NULL);
}

static void chat_open(struct call *c)
{
    call_on_cancel(c, on_cancel);
}

static void chat(struct call *c, struct bytes m)
{
    struct net_piece p = net_piece_copied(m.p, m.n);

    if (m.n == 1 && m.p[0] == 'p')
        call_pause(c);
    if (m.n == 1 && m.p[0] == 'e') {
        call_finish(c, 3, "as you like: \xff%");
        return;
    }
    (void) !call_send(c, &p, 1);
}

static void chat_half_closed(struct call *c)
{
    call_finish(c, 0, NULL);
}

static const struct net_method methods[] = {
    {.path = "/f.F/Echo", .kind = NET_UNARY, .request = echo},
    {.path = "/f.F/Wait", .kind = NET_UNARY, .request = wait_for_end},
    {.path = "/f.F/Pull", .kind = NET_SERVER_STREAM, .request = pulled},
    {.path = "/f.F/Chat",
     .kind = NET_BIDI,
     .open = chat_open,
     .message = chat,
     .half_closed = chat_half_closed},
};

static void on_body(struct http_req *r, struct bytes body, bool too_large)
{
    if (too_large)
        http_error(r, 413, "request body too large");
    else
        http_respond(r, 200, NULL, 0, body);
}

static void on_part(struct http_req *r, struct bytes part)
{
    struct net_piece p = net_piece_copied(part.p, part.n);

    (void) !http_write(r, &p, 1);
}

static void on_parts_end(struct http_req *r)
{
    http_end(r);
}

static void on_http_cancel(struct http_req *r)
{
    ASSERT(http_canceled(r));
    http_abort(r);
}

static void on_http(struct http_req *r, void *user)
{
    struct bytes v = BYTES_EMPTY;
    size_t pos = 0;

    (void) user;
    while (http_query_next(http_query(r), "a", &pos, http_arena(r), &v))
        ASSERT(v.n <= http_query(r).n);
    if (bytes_eq(http_path(r), BYTES_LIT("/body"))) {
        http_on_cancel(r, on_http_cancel);
        http_read_all(r, 100, on_body);
    } else if (bytes_eq(http_path(r), BYTES_LIT("/parts"))) {
        http_on_cancel(r, on_http_cancel);
        http_begin(r, 200, NULL, 0);
        http_read_stream(r, on_part, on_parts_end);
    } else {
        http_error(r, 404, "404 page not found");
    }
}

static void begin(void)
{
    struct net_server_options o = {.loops = &loop, .loops_n = 1, .http = on_http};
    int rc = loop_new("fuzz", &loop, NULL);

    ASSERT(rc == 0);
    net_limits_default(&o.limits);
    o.limits.recv_message_bytes_max = 4096;
    o.limits.header_bytes_max = 2048;
    o.limits.conn_streams_max = 40;
    rc = net_server_new(&o, &server, NULL);
    ASSERT(rc == 0);
    rc = net_server_add(server, methods, ARRAY_LEN(methods), NULL, NULL);
    ASSERT(rc == 0);
}

static struct server_conn *connect_nothing(void)
{
    struct server_loop *sl = &server->loops[0];
    struct server_conn *sc = server__conn_new(sl, NULL, -1, "nowhere",
                                              NET_SERVES_GRPC | NET_SERVES_HTTP | NET_SERVES_HTTP2);
    int rc;

    ASSERT(sc != NULL);
    loop__count(&sl->counters.connections_open, 1);
    list_push(&sl->conns, &sc->link);
    rc = conn__start(&sc->conn, NULL);
    ASSERT(rc == 0);
    return sc;
}

/* Ends half of the calls that wait, so that some end before and some after their stream. */
static void end_waiting(size_t keep)
{
    while (waiting_n > keep) {
        struct net_piece p = net_piece_copied("done", 4);

        call_reply(waiting[--waiting_n], &p, 1);
    }
}

/* One turn: what is to be written is taken; false: the connection is gone. */
static bool turn(struct buf *out)
{
    struct list *conns = &server->loops[0].conns;
    struct server_conn *sc;

    loop__turn_end(loop);
    if (list_empty(conns))
        return false;
    sc = CONTAINER_OF(conns->next, struct server_conn, link);
    if (sc->conn.state != CONN_OPEN)
        return false;
    conn_output_take(&sc->conn, out);
    conn__dirty(&sc->conn);
    loop__turn_end(loop);
    return !list_empty(conns) && sc->conn.state == CONN_OPEN;
}

static bool preface(const uint8_t *data, size_t size)
{
    static const char p[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    return size >= sizeof p - 1 && memcmp(data, p, sizeof p - 1) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct net_counters n;
    struct server_conn *sc;
    struct buf out;
    size_t step;
    bool open = true;

    if (size < 2)
        return 0;
    if (server == NULL)
        begin();
    buf_init(&out, SIZE_MAX);
    step = data[0] == 0 ? size : data[0];
    data++;
    size--;
    sc = connect_nothing();
    for (size_t at = 0; at < size && open; at += step) {
        conn__feed(&sc->conn, data + at, MIN(step, size - at));
        open = turn(&out);
        if (at / step % 3 == 2)
            end_waiting(waiting_n / 2);
    }
    for (int i = 0; i < 64 && open; i++)
        open = turn(&out);
    if (open && preface(data, size))
        conn_output_check_frames(&out, 0);
    if (out.len > 0 && !preface(data, size))
        ASSERT(out.len >= 7 && memcmp(out.p, "HTTP/1.", 7) == 0);
    if (open) {
        conn__doom(&sc->conn, 0);
        loop__turn_end(loop);
    }
    end_waiting(0);
    loop__turn_end(loop);
    net_server_counters(server, &n);
    ASSERT(n.connections_open == 0);
    ASSERT(n.calls_open == 0);
    ASSERT(atomic_load(&server->held_bytes) == 0);
    ASSERT(list_empty(&server->loops[0].conns));
    buf_done(&out);
    return 0;
}
