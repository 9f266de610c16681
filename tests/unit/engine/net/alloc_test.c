/* Every allocation fails once: in the server, the client and nghttp2, which share the loop here. */
#define _GNU_SOURCE
#include "unit/engine/net/rig.h"

static void echo(struct call *c, struct bytes m)
{
    struct net_piece p = net_piece_kept(m.p, m.n);

    call_reply(c, &p, 1);
}

static void on_cancel(struct call *c, enum call_cancel_reason why)
{
    (void) why;
    call_finish(c, 1, NULL);
}

static void chat_open(struct call *c)
{
    call_on_cancel(c, on_cancel);
}

static void chat(struct call *c, struct bytes m)
{
    struct net_piece p = net_piece_copied(m.p, m.n);

    if (call_send(c, &p, 1) == ERR_NOMEM)
        call_finish(c, 8, "out of memory");
}

static void chat_half_closed(struct call *c)
{
    call_finish(c, 0, NULL);
}

static const struct net_method methods[] = {
    {.path = "/t.T/Echo", .kind = NET_UNARY, .request = echo},
    {.path = "/t.T/Chat",
     .kind = NET_BIDI,
     .open = chat_open,
     .message = chat,
     .half_closed = chat_half_closed},
};

struct ended {
    bool done;
    int code;
};

/* Both calls have ended, or time is over. */
static bool round_over;
static int open_rpcs;

static void on_end(struct rpc *r, const struct rpc_result *res, void *user)
{
    struct ended *e = user;

    (void) r;
    e->done = true;
    e->code = res->code;
    if (--open_rpcs == 0)
        round_over = true;
}

static void on_time_over(struct loop_timer *t)
{
    (void) t;
    round_over = true;
}

static void on_message(struct rpc *r, struct bytes m, void *user)
{
    (void) m;
    (void) user;
    rpc_half_close(r);
}

static const struct rpc_stream_callbacks callbacks = {NULL, on_message, NULL, on_end};

/* One unary call and one stream, while the nth allocation fails; false: it was never reached. */
static bool one_round(struct rig *g, uint64_t nth)
{
    static const uint8_t request[20000];
    struct ended unary_end = {0}, stream_end = {0};
    struct rpc_options uo = {.path = "/t.T/Echo", .timeout_ms = 10000, .user = &unary_end};
    struct rpc_options so = {.path = "/t.T/Chat", .timeout_ms = 10000, .user = &stream_end};
    struct net_piece hello = net_piece_copied("hello", 5);
    struct loop_timer limit;
    struct rpc *s;
    uint64_t asked;

    loop_timer_init(&limit, on_time_over);
    assert_int_equal(loop_timer_start(g->loop, &limit, 2000), 0);
    round_over = false;
    open_rpcs = 2;
    mem_fail_after(nth, false);
    if (rpc_unary(g->ch, &uo, bytes_of(request, sizeof request), on_end) == NULL) {
        unary_end.done = true;
        open_rpcs--;
    }
    s = rpc_open(g->ch, &so, &callbacks);
    if (s == NULL) {
        stream_end.done = true;
        open_rpcs--;
    } else if (rpc_send(s, &hello, 1) == ERR_NOMEM) {
        rpc_cancel(s);
    }
    loop_run_until(g->loop, &round_over);
    loop_timer_stop(g->loop, &limit);
    asked = mem_fail_after(0, false);
    if (asked < nth) {
        assert_true(unary_end.done);
        assert_true(stream_end.done);
        assert_int_equal(unary_end.code, 0);
        assert_int_equal(stream_end.code, 0);
    }
    channel_free(g->ch); /* ends what did not end by itself */
    assert_true(unary_end.done);
    assert_true(stream_end.done);
    return asked >= nth;
}

/* Whatever allocation fails, calls end, nothing leaks, and the next client is served. */
static void every_allocation_fails_once(void **state)
{
    struct outcome o;
    bool reached = true;

    (void) state;
    mem_free(xmem_alloc(1));
    if (mem_alloc_count() == 0)
        skip(); /* this build cannot make allocations fail */
    for (uint64_t nth = 1; reached; nth++) {
        struct rig g;

        rig_init(&g, methods, ARRAY_LEN(methods), NULL, NULL);
        reached = one_round(&g, nth);
        rig_channel(&g);
        unary(&g, &o, "/t.T/Echo", BYTES_LIT("next"));
        assert_int_equal(o.code, 0);
        outcome_done(&o);
        rig_done(&g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_fails_once)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
