/* Unary calls against a server that answers as told: attempts, deadlines, endpoints. */
#include "fake_server.h"

struct world {
    struct faked f;
    int attempts;                /* reported by on_attempt */
    struct ketch_call *given_up; /* canceled by it */
    struct ketch_attempt last;
    char last_text[256];
};

static void on_attempt(const struct ketch_attempt *a, void *user)
{
    struct world *w = user;

    w->attempts++;
    w->last = *a;
    snprintf(w->last_text, sizeof(w->last_text), "%s", a->text);
    if (w->given_up != NULL)
        ketch_cancel(w->given_up);
    w->given_up = NULL;
}

static void connect_to(struct world *w, const char *const *endpoints, size_t n)
{
    struct ketch_options o = {.endpoints = endpoints,
                              .endpoint_count = n,
                              .token = "secret",
                              .on_attempt = on_attempt,
                              .user = w};
    struct ketch_error e;

    assert_int_equal(ketch_open(&o, &w->f.client, &e), KETCH_OK);
}

static int setup(void **state)
{
    struct world *w = xmem_calloc(1, sizeof(*w));
    const char *endpoint;

    fake_start(&w->f.fake, 0);
    endpoint = w->f.fake.endpoint;
    connect_to(w, &endpoint, 1);
    *state = w;
    return 0;
}

static ProtobufCBinaryData data(const char *s)
{
    return wire_binary(bytes_str(s));
}

/* One put; returns the code, and the header's revision of a good answer. */
static int put(struct world *w, int64_t timeout_ms, int64_t *ret_revision, struct ketch_error *e)
{
    Etcdserverpb__PutRequest req = ETCDSERVERPB__PUT_REQUEST__INIT;
    const Etcdserverpb__PutResponse *resp;
    struct ketch_reply *reply;
    int rc;

    req.key = data("k");
    req.value = data("v");
    rc = ketch_put(w->f.client, &req, timeout_ms, &reply, &resp, e);
    if (rc == KETCH_OK)
        *ret_revision = resp->header->revision;
    ketch_reply_free(reply);
    return rc;
}

static int range(struct world *w, int64_t timeout_ms, struct ketch_error *e)
{
    Etcdserverpb__RangeRequest req = ETCDSERVERPB__RANGE_REQUEST__INIT;
    const Etcdserverpb__RangeResponse *resp;
    struct ketch_reply *reply;
    int rc;

    req.key = data("k");
    rc = ketch_range(w->f.client, &req, timeout_ms, &reply, &resp, e);
    ketch_reply_free(reply);
    return rc;
}

/* A put comes back decoded, and carried the token. */
static void puts_once(void **state)
{
    struct world *w = *state;
    struct ketch_error e;
    int64_t revision = 0;

    assert_int_equal(put(w, 5000, &revision, &e), KETCH_OK);
    assert_int_equal(revision, 1);
    assert_int_equal(put(w, 0, &revision, &e), KETCH_OK);
    assert_int_equal(revision, 2);
    assert_true(w->f.fake.saw_token);
    assert_int_equal(w->attempts, 0);
}

/* A read is repeated while the server answers Unavailable; each failed attempt is reported. */
static void repeats_reads(void **state)
{
    struct world *w = *state;
    struct ketch_error e;

    w->f.fake.unavailable = 3;
    assert_int_equal(range(w, 5000, &e), KETCH_OK);
    assert_int_equal(w->f.fake.calls, 4);
    assert_int_equal(w->attempts, 3);
    assert_int_equal(w->last.attempt, 2);
    assert_string_equal(w->last.method, "/etcdserverpb.KV/Range");
    assert_string_equal(w->last.peer, w->f.fake.endpoint);
    assert_string_equal(w->last_text,
                        "rpc error: code = Unavailable desc = etcdserver: leader changed");
}

/* A write that may have reached the server is never repeated. */
static void never_repeats_writes(void **state)
{
    struct world *w = *state;
    struct ketch_error e;
    int64_t revision;

    w->f.fake.unavailable = 1;
    assert_int_equal(put(w, 5000, &revision, &e), KETCH_UNAVAILABLE);
    assert_string_equal(e.text, "etcdserver: leader changed");
    assert_int_equal(w->f.fake.calls, 1);
    assert_int_equal(w->attempts, 1);
}

/* Other errors are final for reads too. */
static void does_not_repeat_refusals(void **state)
{
    struct world *w = *state;
    struct ketch_error e;

    w->f.fake.text = "etcdserver: mvcc: required revision has been compacted";
    w->f.fake.code = 11;
    assert_int_equal(range(w, 5000, &e), 11);
    assert_string_equal(e.text, "etcdserver: mvcc: required revision has been compacted");
    assert_int_equal(w->f.fake.calls, 1);
}

/* A silent server costs no more than the time of the call; a time that is over costs nothing. */
static void keeps_deadlines(void **state)
{
    struct world *w = *state;
    struct ketch_error e;
    int64_t revision;
    mono_ms began = clock_mono_ms(clock_posix());

    w->f.fake.silent = true;
    assert_int_equal(put(w, 80, &revision, &e), KETCH_DEADLINE_EXCEEDED);
    assert_string_equal(e.text, "context deadline exceeded");
    assert_in_range(clock_mono_ms(clock_posix()) - began, 75, 20000);
    assert_int_equal(put(w, -1, &revision, &e), KETCH_DEADLINE_EXCEEDED);
    assert_int_equal(w->f.fake.calls, 1);
}

/* A request beyond the limit is not sent. */
static void refuses_large_requests(void **state)
{
    struct world *w = *state;
    Etcdserverpb__PutRequest req = ETCDSERVERPB__PUT_REQUEST__INIT;
    const Etcdserverpb__PutResponse *resp;
    struct ketch_reply *reply;
    struct ketch_error e;

    req.key = data("k");
    req.value.len = (size_t) 2 << 20;
    req.value.data = xmem_calloc(1, req.value.len);
    assert_int_equal(ketch_put(w->f.client, &req, 5000, &reply, &resp, &e), 8);
    assert_string_equal(e.text, "rpc error: code = ResourceExhausted desc = trying to send message "
                                "larger than max (2097160 vs. 2097152)");
    assert_int_equal(w->f.fake.calls, 0);
    mem_free(req.value.data);
}

/* With one dead endpoint before a living one, a call goes to the living one. */
static void finds_the_living_endpoint(void **state)
{
    struct world *w = *state;
    struct world two = {0};
    const char *endpoints[] = {"127.0.0.1:1", w->f.fake.endpoint};
    struct ketch_error e;
    int64_t revision;

    connect_to(&two, endpoints, 2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(put(&two, 5000, &revision, &e), KETCH_OK);
    ketch_close(two.f.client);
    assert_int_equal(w->f.fake.calls, 3);
}

/* A put that a learner refuses goes to the next endpoint; to a lone learner it is not sent again.
 */
static void passes_learners_over(void **state)
{
    struct world *w = *state;
    struct world two = {0};
    struct fake voter = {0};
    struct ketch_error e;
    int64_t revision;

    fake_start(&voter, 0);
    w->f.fake.text = "etcdserver: rpc not supported for learner";
    w->f.fake.code = 9;
    assert_int_equal(put(w, 5000, &revision, &e), 9);
    assert_int_equal(w->f.fake.calls, 1);
    const char *endpoints[] = {w->f.fake.endpoint, voter.endpoint};
    connect_to(&two, endpoints, 2);
    for (int i = 0; i < 6; i++)
        assert_int_equal(put(&two, 5000, &revision, &e), KETCH_OK);
    assert_int_equal(voter.calls, 6);
    assert_int_equal(w->f.fake.calls, 1 + two.attempts);
    ketch_close(two.f.client);
    fake_stop(&voter);
}

/* Reads that one of two endpoints answers Unavailable to are answered by the other. */
static void asks_the_next_endpoint(void **state)
{
    struct world *w = *state;
    struct world two = {0};
    struct fake other = {0};
    struct ketch_error e;
    const char *endpoints[2];

    fake_start(&other, 0);
    w->f.fake.unavailable = 1 << 20;
    endpoints[0] = w->f.fake.endpoint;
    endpoints[1] = other.endpoint;
    connect_to(&two, endpoints, 2);
    for (int i = 0; i < 6; i++)
        assert_int_equal(range(&two, 5000, &e), KETCH_OK);
    assert_int_equal(other.calls, 6);
    ketch_close(two.f.client);
    fake_stop(&other);
}

/* When nobody listens, a call waits for its time and says why in the report of its attempt. */
static void waits_for_an_endpoint(void **state)
{
    struct world *w = *state;
    struct world none = {0};
    const char *endpoint = "127.0.0.1:1";
    struct ketch_error e;
    int64_t revision;

    (void) w;
    connect_to(&none, &endpoint, 1);
    assert_int_equal(put(&none, 150, &revision, &e), KETCH_DEADLINE_EXCEEDED);
    assert_string_equal(e.text, "context deadline exceeded");
    assert_int_equal(none.attempts, 1);
    assert_null(none.last.peer);
    assert_non_null(strstr(none.last_text, "latest balancer error: "));
    assert_non_null(strstr(none.last_text, "connection refused"));
    ketch_close(none.f.client);
}

/* A server that comes back on its port is found again, also by a call that waited for it. */
static void reconnects(void **state)
{
    struct world *w = *state;
    struct ketch_error e;
    int64_t revision;
    uint16_t port = w->f.fake.port;

    assert_int_equal(put(w, 5000, &revision, &e), KETCH_OK);
    fake_stop(&w->f.fake);
    assert_int_equal(range(w, 300, &e), KETCH_DEADLINE_EXCEEDED);
    fake_start(&w->f.fake, port);
    assert_int_equal(put(w, 5000, &revision, &e), KETCH_OK);
}

static void count_end(struct ketch_reply *reply, const struct ketch_error *e, void *user)
{
    int *codes = user;

    ketch_reply_free(reply);
    codes[0]++;
    codes[1] = e->code;
}

/* Closing a client ends its calls, sent and waiting ones, with one callback each. */
static void closing_ends_calls(void **state)
{
    struct world *w = *state;
    struct world both = {0};
    Etcdserverpb__PutRequest req = ETCDSERVERPB__PUT_REQUEST__INIT;
    const char *endpoints[] = {w->f.fake.endpoint};
    struct ketch_error e;
    int64_t revision;
    int sent[2] = {0};
    int refused[2] = {0};

    req.key = data("k");
    connect_to(&both, endpoints, 1);
    assert_int_equal(put(&both, 5000, &revision, &e), KETCH_OK);
    w->f.fake.silent = true;
    assert_non_null(ketch_start(both.f.client, KETCH_METHOD_put, &req.base, 0, count_end, sent));
    assert_non_null(
        ketch_start(both.f.client, KETCH_METHOD_put, &req.base, -1, count_end, refused));
    assert_int_equal(sent[0] + refused[0], 0);
    ketch_close(both.f.client);
    assert_int_equal(sent[0], 1);
    assert_int_equal(sent[1], KETCH_CANCELED);
    assert_int_equal(refused[0], 1);
}

struct stopper {
    struct ketch_client *client;
    int codes[2];
};

static void stop_after(struct ketch_reply *reply, const struct ketch_error *e, void *user)
{
    struct stopper *s = user;

    count_end(reply, e, s->codes);
    ketch_stop(s->client);
}

/* A canceled call ends once, as canceled. */
static void cancels_calls(void **state)
{
    struct world *w = *state;
    Etcdserverpb__RangeRequest req = ETCDSERVERPB__RANGE_REQUEST__INIT;
    struct stopper s = {.client = w->f.client};
    struct ketch_call *call;
    struct ketch_error e;
    int64_t revision;

    req.key = data("k");
    assert_int_equal(put(w, 5000, &revision, &e), KETCH_OK);
    w->f.fake.silent = true;
    call = ketch_start(w->f.client, KETCH_METHOD_range, &req.base, 0, stop_after, &s);
    ketch_cancel(call);
    ketch_run(w->f.client);
    assert_int_equal(s.codes[0], 1);
    assert_int_equal(s.codes[1], KETCH_CANCELED);
}

/* A call that is canceled when its attempt has failed already is not repeated. */
static void cancels_between_attempts(void **state)
{
    struct world *w = *state;
    Etcdserverpb__RangeRequest req = ETCDSERVERPB__RANGE_REQUEST__INIT;
    struct stopper s = {.client = w->f.client};

    req.key = data("k");
    w->f.fake.unavailable = 3;
    w->given_up = ketch_start(w->f.client, KETCH_METHOD_range, &req.base, 0, stop_after, &s);
    ketch_run(w->f.client);
    assert_int_equal(s.codes[0], 1);
    assert_int_equal(s.codes[1], KETCH_CANCELED);
    assert_int_equal(w->f.fake.calls, 1);
    assert_int_equal(w->attempts, 1);
}

/* What cannot be a client is refused at once, with the words that etcdctl shows. */
static void refuses_bad_options(void **state)
{
    struct ketch_options o = {0};
    struct ketch_client *c;
    struct ketch_error e;
    const char *bad = "nonsense";
    const char *tls = "https://127.0.0.1:1";

    (void) state;
    assert_int_equal(ketch_open(&o, &c, &e), KETCH_E_NO_ENDPOINTS);
    assert_string_equal(e.text, "etcdclient: no available endpoints");
    o.request_bytes_max = 200;
    o.response_bytes_max = 100;
    o.endpoints = &tls;
    o.endpoint_count = 1;
    assert_int_equal(ketch_open(&o, &c, &e), KETCH_E_BAD_OPTIONS);
    assert_string_equal(e.text, "gRPC message recv limit (100 bytes) must be greater than send "
                                "limit (200 bytes)");
    o.request_bytes_max = 0;
    o.endpoint_count = 1;
    o.endpoints = &bad;
    assert_int_equal(ketch_open(&o, &c, &e), KETCH_E_BAD_ENDPOINT);
    o.endpoints = &tls;
    o.tls.ca_file = "/nowhere/ca.pem";
    assert_int_equal(ketch_open(&o, &c, &e), KETCH_E_TLS);
    assert_string_equal(e.text, "open /nowhere/ca.pem: no such file or directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(puts_once, setup, fake_teardown),
        cmocka_unit_test_setup_teardown(repeats_reads, setup, fake_teardown),
        cmocka_unit_test_setup_teardown(never_repeats_writes, setup, fake_teardown),
        cmocka_unit_test_setup_teardown(does_not_repeat_refusals, setup, fake_teardown),
        cmocka_unit_test_setup_teardown(keeps_deadlines, setup, fake_teardown),
        cmocka_unit_test_setup_teardown(refuses_large_requests, setup, fake_teardown),
        cmocka_unit_test_setup_teardown(finds_the_living_endpoint, setup, fake_teardown),
        cmocka_unit_test_setup_teardown(passes_learners_over, setup, fake_teardown),
        cmocka_unit_test_setup_teardown(asks_the_next_endpoint, setup, fake_teardown),
        cmocka_unit_test_setup_teardown(waits_for_an_endpoint, setup, fake_teardown),
        cmocka_unit_test_setup_teardown(reconnects, setup, fake_teardown),
        cmocka_unit_test_setup_teardown(closing_ends_calls, setup, fake_teardown),
        cmocka_unit_test_setup_teardown(cancels_calls, setup, fake_teardown),
        cmocka_unit_test_setup_teardown(cancels_between_attempts, setup, fake_teardown),
        cmocka_unit_test(refuses_bad_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
