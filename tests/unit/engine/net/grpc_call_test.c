/* Calls with one request and one answer through the whole of it: our client, loopback, our server.
 */
#define _GNU_SOURCE
#include "unit/engine/net/call_services.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echo_of_every_size),      cmocka_unit_test(too_large_is_refused),
        cmocka_unit_test(status_text_survives),    cmocka_unit_test(unknown_methods),
        cmocka_unit_test(metadata_and_peer),       cmocka_unit_test(cancel_reaches_the_service),
        cmocka_unit_test(lost_connection_cancels), cmocka_unit_test(deadline_ends_both),
        cmocka_unit_test(pulled_answer),           cmocka_unit_test(broken_pull_resets),
        cmocka_unit_test(many_calls_at_once),      cmocka_unit_test(large_answers_take_turns),
        cmocka_unit_test(hooks_see_every_call),
    };

    return cmocka_run_group_tests(tests, NULL, NULL) +
           cmocka_run_group_tests_name("over TLS", tests, rig_tls_on, rig_tls_off);
}
