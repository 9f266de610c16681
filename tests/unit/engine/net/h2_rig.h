/* h2_rig.h -- HTTP/2 by hand: a server with a few services, sockets that have said hello to it, and
 * how its tests begin and end.
 *
 * A test changes h2.options where it wants to, then calls h2_serve.  Its teardown,
 * h2_still_serving, shows that whatever one client did another is answered. */
#ifndef KETCH_TESTS_NET_H2_RIG_H
#define KETCH_TESTS_NET_H2_RIG_H

#include <nghttp2/nghttp2.h>

#include "base/alloc.h"
#include "unit/engine/net/raw.h"

static struct {
    struct raw w;
    struct net_server_options options;
    _Atomic int open_calls; /* of Hang and Chat */
} h2;

/* ---- the services ---- */

static inline void h2_echo(struct call *c, struct bytes m)
{
    struct net_piece p = net_piece_kept(m.p, m.n);

    call_reply(c, &p, 1);
}

static inline void h2_on_cancel(struct call *c, enum call_cancel_reason why)
{
    (void) why;
    h2.open_calls--;
    call_finish(c, 1, NULL);
}

static inline void h2_hang(struct call *c, struct bytes m)
{
    (void) m;
    h2.open_calls++;
    call_on_cancel(c, h2_on_cancel);
}

static inline bool h2_fill(void *arg, uint8_t *out, size_t n)
{
    (void) arg;
    memset(out, 'b', n);
    return true;
}

static inline void h2_big(struct call *c, struct bytes m)
{
    (void) m;
    call_reply_pull(c, 50u << 20, (struct net_pull){h2_fill, NULL, NULL});
}

static inline void h2_chat(struct call *c, struct bytes m)
{
    struct net_piece p = net_piece_copied(m.p, m.n);

    if (call_send(c, &p, 1) != 0)
        call_finish(c, 8, "full");
}

static inline void h2_chat_open(struct call *c)
{
    h2.open_calls++;
    call_on_cancel(c, h2_on_cancel);
}

static inline void h2_chat_half_closed(struct call *c)
{
    h2.open_calls--;
    call_finish(c, 0, NULL);
}

static const struct net_method h2_methods[] = {
    {.path = "/t.T/Echo", .kind = NET_UNARY, .request = h2_echo},
    {.path = "/t.T/Hang", .kind = NET_UNARY, .request = h2_hang},
    {.path = "/t.T/Big", .kind = NET_UNARY, .request = h2_big},
    {.path = "/t.T/Chat",
     .kind = NET_BIDI,
     .open = h2_chat_open,
     .message = h2_chat,
     .half_closed = h2_chat_half_closed},
};

/* ---- how a test begins ---- */

/* A setup: what a test does not change. */
static inline int h2_defaults(void **state)
{
    (void) state;
    memset(&h2.options, 0, sizeof h2.options);
    net_limits_default(&h2.options.limits);
    h2.open_calls = 0;
    return 0;
}

static inline void h2_serve(void)
{
    raw_init(&h2.w, h2_methods, ARRAY_LEN(h2_methods), &h2.options);
}

static inline int h2_hello_on(int fd)
{
    struct buf b;

    buf_init(&b, SIZE_MAX);
    raw_hello(&b);
    assert_true(raw_send(fd, b.p, b.len));
    buf_done(&b);
    return fd;
}

static inline int h2_hello(void)
{
    return h2_hello_on(raw_connect(&h2.w));
}

/* A connection: what it says next, and the frame that it got last. */
struct h2_client {
    int fd;
    struct buf b;
    struct raw_got f;
};

static inline void h2_client_open(struct h2_client *x)
{
    x->fd = h2_hello();
    buf_init(&x->b, SIZE_MAX);
}

static inline void h2_client_close(struct h2_client *x)
{
    buf_done(&x->b);
    close(x->fd);
}

static inline void h2_send(struct h2_client *x)
{
    assert_true(raw_send(x->fd, x->b.p, x->b.len));
    buf_clear(&x->b);
}

static inline void h2_await(struct h2_client *x, uint8_t type)
{
    assert_true(raw_await(x->fd, type, &x->f));
}

/* ---- what the server said ---- */

/* The fields of a header block, as "name: value\n" lines. */
static inline char *h2_fields(const struct raw_got *f)
{
    nghttp2_hd_inflater *in;
    struct buf out;
    size_t at = 0;
    char *text;

    assert_int_equal(nghttp2_hd_inflate_new(&in), 0);
    buf_init(&out, SIZE_MAX);
    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t n = nghttp2_hd_inflate_hd2(in, &nv, &flags, f->payload + at, f->n - at, 1);

        assert_true(n >= 0);
        at += (size_t) n;
        if (flags & NGHTTP2_HD_INFLATE_EMIT)
            buf_printf(&out, "%.*s: %.*s\n", (int) nv.namelen, (char *) nv.name, (int) nv.valuelen,
                       (char *) nv.value);
        if (flags & NGHTTP2_HD_INFLATE_FINAL)
            break;
    }
    nghttp2_hd_inflate_end_headers(in);
    nghttp2_hd_inflate_del(in);
    text = xmem_strdup(buf_cstr(&out));
    buf_done(&out);
    return text;
}

static inline void h2_expect_fields(const struct raw_got *f, const char *want)
{
    char *got = h2_fields(f);

    assert_string_equal(got, want);
    mem_free(got);
}

/* Waits for a GOAWAY with the code and debug text, and for the end of the connection. */
static inline void h2_expect_goaway(int fd, uint32_t code, const char *text)
{
    struct raw_got *f = xmem_alloc(sizeof *f);

    assert_true(raw_await(fd, RAW_GOAWAY, f));
    assert_int_equal(be32_get(f->payload + 4), code);
    if (text != NULL) {
        assert_int_equal(f->n, 8 + strlen(text));
        assert_memory_equal(f->payload + 8, text, strlen(text));
    }
    assert_false(raw_await(fd, RAW_GOAWAY, f));
    mem_free(f);
    close(fd);
}

/* ---- how a test ends ---- */

/* A teardown: the server answers a well-behaved client; then it is stopped. */
static inline int h2_still_serving(void **state)
{
    struct h2_client x;

    (void) state;
    h2_client_open(&x);
    raw_request(&x.b, 1, "/t.T/Echo", 0);
    raw_frame(&x.b, RAW_DATA, RAW_END_STREAM, 1, "\0\0\0\0\2ok", 7);
    h2_send(&x);
    h2_await(&x, RAW_DATA);
    assert_int_equal(x.f.n, 7);
    assert_memory_equal(x.f.payload, "\0\0\0\0\2ok", 7);
    h2_client_close(&x);
    raw_done(&h2.w);
    assert_int_equal(h2.open_calls, 0);
    return 0;
}

#endif
