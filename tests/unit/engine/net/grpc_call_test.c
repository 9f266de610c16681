/* Calls through the whole of it: our client, loopback, our server. */
#define _GNU_SOURCE
#include <unistd.h>

#include "unit/engine/net/rig.h"

/* ---- services ---- */

struct service {
    int begun;
    int canceled;
    enum call_cancel_reason why;
    struct call *open; /* a call that waits for the test */
    bool cancel_seen;
    bool request_seen;
    bool half_closed;
    int pulls_done;
    char metadata[64];
    char peer[64];
    int hook_begins;
    int hook_ends;
    int hook_code;
    int stream_sent;
    int writable_runs;
    size_t queued_max;
    int messages;
};

static void echo(struct call *c, struct bytes m)
{
    struct net_piece p = net_piece_kept(m.p, m.n);

    call_reply(c, &p, 1);
}

static void failing(struct call *c, struct bytes m)
{
    (void) m;
    call_finish(c, 9, "100% wrong: \xc3\xa4\n");
}

static void on_cancel(struct call *c, enum call_cancel_reason why)
{
    struct service *s = call_service(c);

    s->canceled++;
    s->why = why;
    s->cancel_seen = true;
}

static void hang(struct call *c, struct bytes m)
{
    struct service *s = call_service(c);
    struct bytes v = BYTES_EMPTY;

    (void) m;
    s->begun++;
    s->open = c;
    s->request_seen = true;
    if (call_metadata(c, "token", &v))
        snprintf(s->metadata, sizeof s->metadata, "%.*s", (int) v.n, (const char *) v.p);
    snprintf(s->peer, sizeof s->peer, "%s", call_peer(c));
    call_on_cancel(c, on_cancel);
}

static bool fill_pattern(void *arg, uint8_t *out, size_t n)
{
    size_t *at = arg;

    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t) ((*at)++ * 7);
    return true;
}

static size_t pull_at;
static struct service *pull_service;

static void pull_done(void *arg)
{
    (void) arg;
    pull_service->pulls_done++;
}

#define PULLED_BYTES 3000001u

static void pulled(struct call *c, struct bytes m)
{
    (void) m;
    pull_at = 0;
    pull_service = call_service(c);
    call_reply_pull(c, PULLED_BYTES, (struct net_pull){fill_pattern, pull_done, &pull_at});
}

static bool fill_fails(void *arg, uint8_t *out, size_t n)
{
    size_t *at = arg;

    memset(out, 0, n);
    *at += n;
    return *at < 100000;
}

static void broken_pull(struct call *c, struct bytes m)
{
    (void) m;
    pull_at = 0;
    pull_service = call_service(c);
    call_reply_pull(c, PULLED_BYTES, (struct net_pull){fill_fails, pull_done, &pull_at});
}

static void count_to(struct call *c, struct bytes m)
{
    int n = atoi(m.n == 0 ? "0" : (const char[]){(char) m.p[0], '\0'});
    struct payload *shared = payload_new(10000);

    memset(shared->data, 'e', shared->bytes);
    for (int i = 0; i < n; i++) {
        uint8_t head = (uint8_t) i;
        struct net_piece v[2] = {net_piece_copied(&head, 1), net_piece_counted(shared)};

        assert_int_equal(call_send(c, v, 2), 0);
    }
    payload_unref(shared);
    call_finish(c, 0, NULL);
}

static void chat_open(struct call *c)
{
    struct service *s = call_service(c);

    s->open = c;
    s->begun++;
    call_on_cancel(c, on_cancel);
    call_send_headers(c);
}

static void chat_message(struct call *c, struct bytes m)
{
    struct service *s = call_service(c);
    struct net_piece p = net_piece_copied(m.p, m.n);

    s->messages++;
    if (bytes_eq(m, BYTES_LIT("pause")))
        call_pause(c);
    assert_int_equal(call_send(c, &p, 1), 0);
}

static void chat_half_closed(struct call *c)
{
    struct service *s = call_service(c);

    s->half_closed = true;
    call_finish(c, 0, NULL);
}

static void leave(struct call *c, enum call_cancel_reason why)
{
    assert_int_equal(why, CALL_CANCELED_BY_CLIENT);
    call_finish(c, 1, NULL);
}

static void quiet_open(struct call *c)
{
    call_on_cancel(c, leave);
}

#define FLOOD_MESSAGES 2000
#define FLOOD_BYTES 8192
#define FLOOD_MARK (64u << 10)

static void flood(struct call *c)
{
    struct service *s = call_service(c);
    static uint8_t block[FLOOD_BYTES];
    struct net_piece p = net_piece_copied(block, sizeof block);

    s->writable_runs++;
    while (s->stream_sent < FLOOD_MESSAGES && call_queued_bytes(c) < FLOOD_MARK) {
        assert_int_equal(call_send(c, &p, 1), 0);
        s->stream_sent++;
        s->queued_max = MAX(s->queued_max, call_queued_bytes(c));
    }
    if (s->stream_sent == FLOOD_MESSAGES)
        call_finish(c, 0, NULL);
}

static void flood_begin(struct call *c, struct bytes m)
{
    (void) m;
    call_on_writable(c, FLOOD_MARK, flood);
    flood(c);
}

static const struct net_method methods[] = {
    {.path = "/t.T/Echo", .kind = NET_UNARY, .request = echo},
    {.path = "/t.T/Fail", .kind = NET_UNARY, .request = failing},
    {.path = "/t.T/Hang", .kind = NET_UNARY, .request = hang},
    {.path = "/t.T/Pulled", .kind = NET_UNARY, .request = pulled},
    {.path = "/t.T/BrokenPull", .kind = NET_UNARY, .request = broken_pull},
    {.path = "/t.T/Count", .kind = NET_SERVER_STREAM, .request = count_to},
    {.path = "/t.T/Flood", .kind = NET_SERVER_STREAM, .request = flood_begin},
    {.path = "/t.T/Quiet", .kind = NET_BIDI, .open = quiet_open},
    {.path = "/t.T/Chat",
     .kind = NET_BIDI,
     .open = chat_open,
     .message = chat_message,
     .half_closed = chat_half_closed},
};

#define RIG(g, s)           \
    struct rig g;           \
    struct service s = {0}; \
    (void) state;           \
    rig_init(&g, methods, ARRAY_LEN(methods), &s, NULL)

/* ---- unary ---- */

/* A request comes back whole, whatever its size: empty, small, over several DATA frames, and at the
 * limit. */
static void echo_of_every_size(void **state)
{
    static const size_t sizes[] = {0, 1, 255, 16379, 16384, 100000, NET_RECV_MESSAGE_BYTES_MAX};
    RIG(g, s);

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        uint8_t *m = xmem_alloc(sizes[i] + 1);
        struct outcome o;

        for (size_t k = 0; k < sizes[i]; k++)
            m[k] = (uint8_t) (k * 31 + i);
        unary(&g, &o, "/t.T/Echo", bytes_of(m, sizes[i]));
        assert_int_equal(o.code, 0);
        assert_int_equal(o.response_n, sizes[i]);
        if (sizes[i] > 0)
            assert_memory_equal(o.response, m, sizes[i]);
        outcome_done(&o);
        mem_free(m);
    }
    rig_done(&g);
}

/* A message over the limit is refused with grpc-go's text before anything is allocated for it. */
static void too_large_is_refused(void **state)
{
    size_t n = NET_RECV_MESSAGE_BYTES_MAX + 1;
    uint8_t *m = xmem_calloc(1, n);
    struct outcome o;
    RIG(g, s);

    unary(&g, &o, "/t.T/Echo", bytes_of(m, n));
    assert_int_equal(o.code, 8);
    assert_string_equal(o.text, "grpc: received message larger than max (2097153 vs. 2097152)");
    unary(&g, &o, "/t.T/Echo", BYTES_LIT("still there"));
    assert_int_equal(o.code, 0);
    outcome_done(&o);
    mem_free(m);
    rig_done(&g);
}

/* A status travels with its text, percent-encoded on the wire and whole at the other end. */
static void status_text_survives(void **state)
{
    struct outcome o;
    RIG(g, s);

    unary(&g, &o, "/t.T/Fail", BYTES_LIT("x"));
    assert_int_equal(o.code, 9);
    assert_string_equal(o.text, "100% wrong: \xc3\xa4\n");
    rig_done(&g);
}

/* What is not served is Unimplemented, in grpc-go's words for each case. */
static void unknown_methods(void **state)
{
    struct outcome o;
    RIG(g, s);

    unary(&g, &o, "/t.T/Nope", BYTES_LIT(""));
    assert_int_equal(o.code, 12);
    assert_string_equal(o.text, "unknown method Nope for service t.T");
    unary(&g, &o, "/u.U/Nope", BYTES_LIT(""));
    assert_string_equal(o.text, "unknown service u.U");
    unary(&g, &o, "/foo", BYTES_LIT(""));
    assert_string_equal(o.text, "malformed method name: \"/foo\"");
    rig_done(&g);
}

/* The service sees the metadata and the client's address; an unset key is absent. */
static void metadata_and_peer(void **state)
{
    struct rpc_metadata md[] = {{"hasleader", BYTES_LIT("true")}, {"token", BYTES_LIT("abc.7")}};
    struct outcome o = {0};
    struct bytes v;
    RIG(g, s);
    struct rpc_options ro = {.path = "/t.T/Hang", .metadata = md, .metadata_n = 2, .user = &o};

    assert_non_null(rpc_unary(g.ch, &ro, BYTES_LIT("q"), on_unary_end));
    rig_wait(&g, &s.request_seen);
    assert_string_equal(s.metadata, "abc.7");
    assert_memory_equal(s.peer, "127.0.0.1:", 10);
    assert_false(call_metadata(s.open, "nothing", &v));
    assert_true(call_metadata(s.open, "hasleader", &v));
    assert_int_equal(v.n, 4);
    call_finish(s.open, 0, NULL);
    rig_wait(&g, &o.done);
    assert_int_equal(o.code, 13); /* OK without a message is no answer to a unary call */
    rig_done(&g);
}

/* A call canceled by the client is reported once; the service may end it long afterwards. */
static void cancel_reaches_the_service(void **state)
{
    struct outcome o;
    RIG(g, s);

    start_unary(&g, &o, "/t.T/Hang", BYTES_LIT("q"), 0);
    rig_wait(&g, &s.request_seen);
    rpc_cancel(o.r);
    rig_wait(&g, &o.done);
    assert_int_equal(o.code, 1);
    rig_wait(&g, &s.cancel_seen);
    rig_turn(&g, 20);
    assert_int_equal(s.canceled, 1);
    assert_int_equal(s.why, CALL_CANCELED_BY_CLIENT);
    assert_int_equal(call_canceled(s.open), CALL_CANCELED_BY_CLIENT);
    call_reply(s.open, NULL, 0);
    rig_done(&g);
}

/* A connection that dies cancels its calls, and the call outlives the connection. */
static void lost_connection_cancels(void **state)
{
    struct outcome o;
    RIG(g, s);

    start_unary(&g, &o, "/t.T/Hang", BYTES_LIT("q"), 0);
    rig_wait(&g, &s.request_seen);
    channel_free(g.ch);
    assert_true(o.done);
    assert_int_equal(o.code, 1);
    rig_wait(&g, &s.cancel_seen);
    assert_memory_equal(call_peer(s.open), "127.0.0.1:", 10);
    call_finish(s.open, 5, "late");
    rig_channel(&g);
    rig_done(&g);
}

/* The deadline of the client ends the call at both ends with the same status. */
static void deadline_ends_both(void **state)
{
    struct outcome o;
    RIG(g, s);

    unary(&g, &o, "/t.T/Echo", BYTES_LIT("q")); /* connecting may take longer than the deadline */
    outcome_done(&o);
    start_unary(&g, &o, "/t.T/Hang", BYTES_LIT("q"), 50);
    rig_wait(&g, &o.done);
    assert_int_equal(o.code, 4);
    assert_string_equal(o.text, "context deadline exceeded");
    rig_wait(&g, &s.cancel_seen);
    assert_int_equal(s.canceled, 1);
    call_finish(s.open, 0, NULL);
    rig_done(&g);
}

/* A large answer is made while it leaves, arrives whole, and its maker is told once that it is
 * over. */
static void pulled_answer(void **state)
{
    struct outcome o;
    RIG(g, s);

    unary(&g, &o, "/t.T/Pulled", BYTES_LIT(""));
    assert_int_equal(o.code, 0);
    assert_int_equal(o.response_n, PULLED_BYTES);
    for (size_t i = 0; i < PULLED_BYTES; i++)
        assert_int_equal(o.response[i], (uint8_t) (i * 7));
    assert_int_equal(s.pulls_done, 1);
    outcome_done(&o);
    rig_done(&g);
}

/* A maker that gives up in the middle resets the stream, never sends a short message, and is told.
 */
static void broken_pull_resets(void **state)
{
    struct outcome o;
    RIG(g, s);

    unary(&g, &o, "/t.T/BrokenPull", BYTES_LIT(""));
    assert_int_equal(o.code, 13);
    assert_string_equal(o.text, "stream terminated by RST_STREAM with error code: INTERNAL_ERROR");
    assert_int_equal(s.pulls_done, 1);
    unary(&g, &o, "/t.T/Echo", BYTES_LIT("next"));
    assert_int_equal(o.code, 0);
    outcome_done(&o);
    rig_done(&g);
}

/* A thousand calls at once on one connection all end, each with its own answer. */
static void many_calls_at_once(void **state)
{
    enum { N = 1000 };
    struct outcome *o = xmem_calloc(N, sizeof *o);
    RIG(g, s);

    for (int i = 0; i < N; i++)
        start_unary(&g, &o[i], "/t.T/Echo", bytes_of(&i, sizeof i), 5000);
    for (int i = 0; i < N; i++) {
        rig_wait(&g, &o[i].done);
        assert_int_equal(o[i].code, 0);
        assert_int_equal(o[i].response_n, sizeof i);
        assert_memory_equal(o[i].response, &i, sizeof i);
        outcome_done(&o[i]);
    }
    mem_free(o);
    rig_done(&g);
}

/* ---- streams ---- */

/* A small answer does not wait until a large one on the same connection has left. */
static void large_answers_take_turns(void **state)
{
    struct outcome large, small;
    RIG(g, s);

    unary(&g, &small, "/t.T/Echo", BYTES_LIT("connect first"));
    outcome_done(&small);
    start_unary(&g, &large, "/t.T/Pulled", BYTES_LIT(""), 0);
    start_unary(&g, &small, "/t.T/Echo", BYTES_LIT("me too"), 0);
    rig_wait(&g, &small.done);
    assert_false(large.done);
    rig_wait(&g, &large.done);
    assert_int_equal(large.response_n, PULLED_BYTES);
    outcome_done(&large);
    outcome_done(&small);
    rig_done(&g);
}

/* A server stream's messages arrive before its status, the shared block behind each private head.
 */
static void server_stream(void **state)
{
    struct outcome o;
    RIG(g, s);

    start_stream(&g, &o, "/t.T/Count", 0);
    send_text(&o, "9");
    rpc_half_close(o.r);
    rig_wait(&g, &o.done);
    assert_int_equal(o.code, 0);
    assert_int_equal(o.messages, 9);
    assert_int_equal(o.bytes, 9 * 10001);
    start_stream(&g, &o, "/t.T/Count", 0);
    send_text(&o, "0");
    rpc_half_close(o.r);
    rig_wait(&g, &o.done);
    assert_int_equal(o.code, 0);
    assert_int_equal(o.messages, 0);
    rig_done(&g);
}

/* A bidi stream: headers at once, each message answered, a clean end by half-closing. */
static void bidi_stream(void **state)
{
    struct outcome o;
    RIG(g, s);

    start_stream(&g, &o, "/t.T/Chat", 0);
    rig_wait(&g, &o.opened);
    for (int i = 0; i < 10; i++)
        send_text(&o, "hello");
    rig_turn(&g, 30);
    assert_int_equal(o.messages, 10);
    assert_int_equal(o.bytes, 50);
    rpc_half_close(o.r);
    rig_wait(&g, &o.done);
    assert_int_equal(o.code, 0);
    assert_true(s.half_closed);
    assert_int_equal(s.canceled, 0);
    rig_done(&g);
}

/* A service that ends a bidi stream by itself ends it for a client that has not half-closed. */
static void service_ends_bidi(void **state)
{
    struct outcome o;
    RIG(g, s);

    start_stream(&g, &o, "/t.T/Chat", 0);
    rig_wait(&g, &o.opened);
    call_finish(s.open, 1, "etcdserver: watch canceled");
    rig_wait(&g, &o.done);
    assert_int_equal(o.code, 1);
    assert_string_equal(o.text, "etcdserver: watch canceled");
    assert_int_equal(s.canceled, 0);
    rig_done(&g);
}

/* A paused call gets no message until it is resumed, and then all of them, and the end of the
 * stream. */
static void pause_holds_messages(void **state)
{
    struct outcome o;
    RIG(g, s);

    start_stream(&g, &o, "/t.T/Chat", 0);
    rig_wait(&g, &o.opened);
    send_text(&o, "pause");
    for (int i = 0; i < 100; i++)
        send_text(&o, "more");
    rpc_half_close(o.r);
    rig_turn(&g, 50);
    assert_int_equal(s.messages, 1);
    assert_false(s.half_closed);
    call_resume(s.open);
    rig_wait(&g, &o.done);
    assert_int_equal(s.messages, 101);
    assert_true(s.half_closed);
    rig_done(&g);
}

/* A client that pauses stops a flooding service at its mark; resumed, it gets everything, its
 * status last. */
static void slow_client_holds_back_the_service(void **state)
{
    struct outcome o;
    size_t at_pause;
    RIG(g, s);

    start_stream(&g, &o, "/t.T/Flood", 0);
    send_text(&o, "go");
    rpc_half_close(o.r);
    rig_turn(&g, 1);
    rpc_pause(o.r);
    rig_turn(&g, 200);
    at_pause = (size_t) s.stream_sent;
    assert_true(at_pause < FLOOD_MESSAGES);
    assert_true(s.queued_max <= FLOOD_MARK + FLOOD_BYTES + 5);
    rig_turn(&g, 50);
    assert_int_equal(s.stream_sent, at_pause);
    rpc_resume(o.r);
    rig_wait(&g, &o.done);
    assert_int_equal(o.code, 0);
    assert_int_equal(o.messages, FLOOD_MESSAGES);
    assert_int_equal(o.bytes, (size_t) FLOOD_MESSAGES * FLOOD_BYTES);
    assert_true(s.writable_runs > 1);
    rig_done(&g);
}

/* ---- hooks ---- */

static int hook_begin(struct call *c, void *user, const char **ret_text)
{
    struct service *s = user;
    struct bytes v;

    s->hook_begins++;
    if (!call_metadata(c, "hasleader", &v))
        return 0;
    *ret_text = "etcdserver: no leader";
    return 14;
}

static void hook_end(struct call *c, int code, void *user)
{
    struct service *s = user;

    (void) c;
    s->hook_ends++;
    s->hook_code = code;
}

/* The hooks see each call once, with its final status, and can refuse one before its service hears
 * of it. */
static void hooks_see_every_call(void **state)
{
    struct rpc_metadata md[] = {{"hasleader", BYTES_LIT("true")}};
    struct net_server_options so = {0};
    struct service s = {0};
    struct outcome o;
    struct rig g;
    struct rpc_options ro = {.path = "/t.T/Hang", .metadata = md, .metadata_n = 1, .user = &o};

    (void) state;
    net_limits_default(&so.limits);
    so.hooks = (struct net_call_hooks){hook_begin, hook_end, &s};
    rig_init(&g, methods, ARRAY_LEN(methods), &s, &so);
    unary(&g, &o, "/t.T/Echo", BYTES_LIT("a"));
    outcome_done(&o);
    assert_int_equal(s.hook_ends, 1);
    assert_int_equal(s.hook_code, 0);
    unary(&g, &o, "/t.T/Fail", BYTES_LIT("a"));
    assert_int_equal(s.hook_code, 9);
    memset(&o, 0, sizeof o);
    assert_non_null(rpc_unary(g.ch, &ro, BYTES_LIT("q"), on_unary_end));
    rig_wait(&g, &o.done);
    assert_int_equal(o.code, 14);
    assert_string_equal(o.text, "etcdserver: no leader");
    assert_int_equal(s.begun, 0);
    assert_int_equal(s.hook_code, 14);
    unary(&g, &o, "/t.T/Nope", BYTES_LIT("a"));
    assert_int_equal(s.hook_begins, 3);
    assert_int_equal(s.hook_ends, 3);
    rig_done(&g);
}

static struct outcome quiet[3];

/* Whoever is told first that all has left ends the others. */
static void end_the_others(struct rpc *r, void *user)
{
    (void) user;
    for (size_t i = 0; i < ARRAY_LEN(quiet); i++) {
        if (quiet[i].r != r)
            rpc_cancel(quiet[i].r);
    }
    quiet[0].writable = true;
}

/* A call that is told that all has left may end others that are to be told the same. */
static void writable_ends_others(void **state)
{
    static const struct rpc_stream_callbacks cb = {on_stream_open, on_stream_message,
                                                   end_the_others, on_unary_end};
    int canceled_n = 0;
    RIG(g, s);

    for (size_t i = 0; i < ARRAY_LEN(quiet); i++) {
        struct rpc_options ro = {.path = "/t.T/Quiet", .user = &quiet[i]};

        quiet[i] = (struct outcome){0};
        quiet[i].r = rpc_open(g.ch, &ro, &cb);
        send_text(&quiet[i], "x");
    }
    rig_wait(&g, &quiet[0].writable);
    rig_turn(&g, 5);
    for (size_t i = 0; i < ARRAY_LEN(quiet); i++)
        canceled_n += quiet[i].done && quiet[i].code == 1;
    assert_int_equal(canceled_n, 2);
    rig_done(&g);
}

/* ---- stopping, connecting ---- */

/* A graceful stop lets a call finish, refuses new connections meanwhile, and then reports that it
 * is done. */
static void graceful_stop(void **state)
{
    struct outcome o, refused;
    RIG(g, s);

    start_unary(&g, &o, "/t.T/Hang", BYTES_LIT("q"), 0);
    rig_wait(&g, &s.request_seen);
    net_server_stop(g.server, 10000, rig_stopped, &g);
    rig_turn(&g, 30);
    assert_false(g.stopped);
    assert_false(s.cancel_seen);
    unary(&g, &refused, "/t.T/Echo", BYTES_LIT("x"));
    assert_int_equal(refused.code, 14);
    call_reply(s.open, &(struct net_piece){.kind = NET_PIECE_COPIED, .bytes = BYTES_LIT("bye")}, 1);
    rig_wait(&g, &o.done);
    assert_int_equal(o.code, 0);
    assert_int_equal(o.response_n, 3);
    outcome_done(&o);
    rig_wait(&g, &g.stopped);
    channel_free(g.ch);
    net_server_free(g.server);
    loop_free(g.loop);
}

static void end_it(struct call *c, enum call_cancel_reason why)
{
    on_cancel(c, why);
    call_finish(c, 1, "etcdserver: watch canceled");
}

/* When the grace is over, calls are told so; whatever they say, clients hear that the server went,
 * which makes them try again. */
static void grace_ends(void **state)
{
    struct outcome o;
    RIG(g, s);

    start_unary(&g, &o, "/t.T/Hang", BYTES_LIT("q"), 0);
    rig_wait(&g, &s.request_seen);
    call_on_cancel(s.open, end_it);
    net_server_stop(g.server, 20, rig_stopped, &g);
    rig_wait(&g, &o.done);
    assert_int_equal(s.why, CALL_SERVER_STOPPING);
    assert_int_equal(o.code, 14);
    assert_string_equal(o.text, "transport is closing");
    rig_wait(&g, &g.stopped);
    channel_free(g.ch);
    net_server_free(g.server);
    loop_free(g.loop);
}

/* A second, shorter stop that comes when the first is over already leaves nothing behind. */
static void stop_again_after_the_end(void **state)
{
    RIG(g, s);

    net_server_stop(g.server, 1000, rig_stopped, &g);
    rig_wait(&g, &g.stopped);
    net_server_stop(g.server, 500, rig_stopped, &g);
    rig_turn(&g, 1);
    channel_free(g.ch);
    net_server_free(g.server);
    loop_free(g.loop); /* which looks for timers */
}

/* Nobody listening: Unavailable, with Go's words and the address. */
static void connection_refused(void **state)
{
    struct outcome o;
    char want[200];
    RIG(g, s);

    net_server_stop(g.server, 0, rig_stopped, &g);
    rig_wait(&g, &g.stopped);
    unary(&g, &o, "/t.T/Echo", BYTES_LIT("x"));
    assert_int_equal(o.code, 14);
    snprintf(want, sizeof want,
             "connection error: desc = \"transport: Error while dialing: dial tcp 127.0.0.1:%u: "
             "connect: connection refused\"",
             g.port);
    assert_string_equal(o.text, want);
    channel_free(g.ch);
    net_server_free(g.server);
    loop_free(g.loop);
}

/* Two servers on one port: the second says which address is taken. */
static void port_in_use(void **state)
{
    struct err e = ERR_INIT;
    struct net_listen where = {.host = "127.0.0.1"};
    char want[100];
    RIG(g, s);

    where.port = g.port;
    assert_int_equal(net_server_listen(g.server, &where, NULL, &e), ERR_NET_ADDR_IN_USE);
    snprintf(want, sizeof want, "listen tcp 127.0.0.1:%u: bind: address already in use", g.port);
    assert_string_equal(e.msg, want);
    rig_done(&g);
}

/* A unix socket serves as a port does, takes the place of one that was left behind, and is removed
 * at the end. */
static void unix_socket(void **state)
{
    char path[] = "/tmp/ketch-net-test-XXXXXX";
    struct channel_options co = {.unix_path = path, .tls = rig_tls.client};
    struct net_listen where = {.unix_path = path, .tls = rig_tls.server};
    struct err e = ERR_INIT;
    struct outcome o;
    RIG(g, s);
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    close(fd);
    unlink(path);
    assert_int_equal(net_server_listen(g.server, &where, NULL, &e), 0);
    net_server_start(g.server);
    channel_free(g.ch);
    assert_int_equal(channel_new(g.loop, &co, &g.ch, &e), 0);
    start_unary(&g, &o, "/t.T/Hang", BYTES_LIT("q"), 0);
    rig_wait(&g, &s.request_seen);
    assert_string_equal(s.peer, "@");
    call_finish(s.open, 7, "no");
    rig_wait(&g, &o.done);
    assert_int_equal(o.code, 7);
    rig_done(&g);
    assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echo_of_every_size),
        cmocka_unit_test(too_large_is_refused),
        cmocka_unit_test(status_text_survives),
        cmocka_unit_test(unknown_methods),
        cmocka_unit_test(metadata_and_peer),
        cmocka_unit_test(cancel_reaches_the_service),
        cmocka_unit_test(lost_connection_cancels),
        cmocka_unit_test(deadline_ends_both),
        cmocka_unit_test(pulled_answer),
        cmocka_unit_test(broken_pull_resets),
        cmocka_unit_test(many_calls_at_once),
        cmocka_unit_test(large_answers_take_turns),
        cmocka_unit_test(server_stream),
        cmocka_unit_test(bidi_stream),
        cmocka_unit_test(service_ends_bidi),
        cmocka_unit_test(writable_ends_others),
        cmocka_unit_test(pause_holds_messages),
        cmocka_unit_test(slow_client_holds_back_the_service),
        cmocka_unit_test(hooks_see_every_call),
        cmocka_unit_test(graceful_stop),
        cmocka_unit_test(grace_ends),
        cmocka_unit_test(stop_again_after_the_end),
        cmocka_unit_test(connection_refused),
        cmocka_unit_test(port_in_use),
        cmocka_unit_test(unix_socket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL) +
           cmocka_run_group_tests_name("over TLS", tests, rig_tls_on, rig_tls_off);
}
