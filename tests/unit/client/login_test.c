/* Tokens: got once, sent with every call, and got again when a server refuses them. */
#include "fake_server.h"

#define TOGETHER 5

struct world {
    struct faked f;
    int done;
    int failed;
    char error[128];
};

static int setup(void **state)
{
    struct world *w = xmem_calloc(1, sizeof(*w));

    fake_start(&w->f.fake, 0);
    w->f.fake.wants_token = true;
    w->f.client = fake_client(&w->f.fake, (struct ketch_options){0});
    *state = w;
    return 0;
}

static int put(struct world *w, int64_t timeout_ms, struct ketch_error *e)
{
    Etcdserverpb__PutRequest req = ETCDSERVERPB__PUT_REQUEST__INIT;
    const Etcdserverpb__PutResponse *resp;
    struct ketch_reply *reply;
    int rc;

    req.key = wire_binary(BYTES_LIT("k"));
    rc = ketch_put(w->f.client, &req, timeout_ms, &reply, &resp, e);
    ketch_reply_free(reply);
    return rc;
}

static void log_in(struct world *w)
{
    struct ketch_error e;

    assert_int_equal(ketch_login(w->f.client, "root", "pw", 5000, &e), KETCH_OK);
}

/* One login serves many calls. */
static void test_login(void **state)
{
    struct world *w = *state;
    struct ketch_error e;

    log_in(w);
    for (int i = 0; i < 3; i++)
        assert_int_equal(put(w, 5000, &e), KETCH_OK);
    assert_int_equal(w->f.fake.logins, 1);
}

/* Without a name and a password a refusal is the answer, and no login is tried. */
static void test_no_credentials(void **state)
{
    struct world *w = *state;
    struct ketch_error e;

    ketch_set_token(w->f.client, "t0");
    assert_int_equal(put(w, 5000, &e), 16);
    assert_string_equal(e.text, FAKE_REFUSAL);
    assert_int_equal(w->f.fake.calls, 1);
    assert_int_equal(w->f.fake.logins, 0);
    assert_int_equal(ketch_login(w->f.client, "root", "", 5000, &e), KETCH_OK);
    assert_int_equal(w->f.fake.logins, 0);
}

/* A put whose token has expired is sent again with a new one: it had done nothing. */
static void test_expired(void **state)
{
    struct world *w = *state;
    struct ketch_error e;

    log_in(w);
    w->f.fake.dead_tokens = 1;
    assert_int_equal(put(w, 5000, &e), KETCH_OK);
    assert_int_equal(w->f.fake.logins, 2);
    assert_int_equal(w->f.fake.calls, 2);
}

/* A server without users gives no token, and calls go out without one. */
static void test_not_enabled(void **state)
{
    struct world *w = *state;
    struct ketch_error e;

    w->f.fake.login_error = "etcdserver: authentication is not enabled";
    w->f.fake.wants_token = false;
    log_in(w);
    assert_int_equal(put(w, 5000, &e), KETCH_OK);
    assert_int_equal(w->f.fake.logins, 1);
}

/* When the password is not good any more, its refusal is what the call ends with. */
static void test_login_fails(void **state)
{
    struct world *w = *state;
    struct ketch_error e;

    log_in(w);
    w->f.fake.dead_tokens = 1;
    w->f.fake.login_error = "etcdserver: authentication failed, invalid user ID or password";
    assert_int_equal(put(w, 5000, &e), 9);
    assert_string_equal(e.text, w->f.fake.login_error);
    assert_int_equal(w->f.fake.calls, 1);
}

/* A server that refuses every token is given up at the call's deadline. */
static void test_never_accepted(void **state)
{
    struct world *w = *state;
    struct ketch_error e;

    log_in(w);
    w->f.fake.dead_tokens = 1 << 20;
    assert_int_equal(put(w, 200, &e), KETCH_DEADLINE_EXCEEDED);
    assert_true(w->f.fake.logins >= 2);
}

static void on_done(struct ketch_reply *reply, const struct ketch_error *e, void *user)
{
    struct world *w = user;

    ketch_reply_free(reply);
    w->failed += e->code != KETCH_OK;
    if (++w->done == TOGETHER)
        ketch_stop(w->f.client);
}

static void start_some(struct world *w)
{
    Etcdserverpb__PutRequest req = ETCDSERVERPB__PUT_REQUEST__INIT;

    req.key = wire_binary(BYTES_LIT("k"));
    for (int i = 0; i < TOGETHER; i++)
        assert_non_null(ketch_start(w->f.client, KETCH_METHOD_put, &req.base, 0, on_done, w));
}

/* Calls that are refused together share one login. */
static void test_together(void **state)
{
    struct world *w = *state;

    log_in(w);
    w->f.fake.dead_tokens = 1;
    start_some(w);
    ketch_run(w->f.client);
    assert_int_equal(w->failed, 0);
    assert_int_equal(w->f.fake.logins, 2);
}

/* A client that is closed while its calls wait for a token ends each of them once. */
static void test_close_while_refused(void **state)
{
    struct world *w = *state;
    struct ketch_error e;

    log_in(w);
    w->f.fake.dead_tokens = 1 << 20;
    start_some(w);
    assert_int_equal(put(w, 100, &e), KETCH_DEADLINE_EXCEEDED);
    assert_int_equal(w->done, 0);
    ketch_close(w->f.client);
    w->f.client = NULL;
    assert_int_equal(w->done, TOGETHER);
    assert_int_equal(w->failed, TOGETHER);
}

static void create_running(struct fake *f, struct call *c, int nth)
{
    Etcdserverpb__WatchResponse r = ETCDSERVERPB__WATCH_RESPONSE__INIT;
    Etcdserverpb__ResponseHeader h = ETCDSERVERPB__RESPONSE_HEADER__INIT;

    (void) f;
    h.revision = 10;
    r.header = &h;
    r.created = true;
    r.watch_id = nth;
    fake_send(c, &r.base);
}

static void on_created(void *user)
{
    struct world *w = user;

    w->done++;
    ketch_stop(w->f.client);
}

static void on_watch(const struct ketch_watch_event *ev, void *user)
{
    struct world *w = user;

    if (!ev->canceled)
        return;
    w->failed++;
    snprintf(w->error, sizeof(w->error), "%s", ev->error);
    ketch_stop(w->f.client);
}

static void watch(struct world *w)
{
    Etcdserverpb__WatchCreateRequest req = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    struct ketch_watch_options o = {.on_created = on_created};

    w->f.fake.on_create = create_running;
    req.key = wire_binary(BYTES_LIT("k"));
    assert_non_null(ketch_watch(w->f.client, &req, &o, on_watch, w));
    ketch_run(w->f.client);
}

/* A watch that is refused for the token of its stream is asked for again over a new one. */
static void test_watch(void **state)
{
    struct world *w = *state;

    log_in(w);
    w->f.fake.dead_tokens = 1;
    watch(w);
    assert_int_equal(w->done, 1);
    assert_int_equal(w->failed, 0);
    assert_int_equal(w->f.fake.logins, 2);
}

/* A watch ends when no new token is to be had, in the words of the login. */
static void test_watch_login_fails(void **state)
{
    struct world *w = *state;

    log_in(w);
    w->f.fake.dead_tokens = 1;
    w->f.fake.login_error = "etcdserver: authentication failed, invalid user ID or password";
    watch(w);
    assert_int_equal(w->done, 0);
    assert_int_equal(w->failed, 1);
    assert_string_equal(w->error, w->f.fake.login_error);
}

/* So is a lease's renewal. */
static void test_keep_alive(void **state)
{
    struct world *w = *state;
    const Etcdserverpb__LeaseKeepAliveResponse *resp;
    struct ketch_reply *reply;
    struct ketch_error e;

    log_in(w);
    w->f.fake.dead_tokens = 1;
    w->f.fake.ttls[0] = 60;
    assert_int_equal(ketch_keep_alive_once(w->f.client, 7, &reply, &resp, &e), KETCH_OK);
    assert_int_equal(resp->ttl, 60);
    assert_int_equal(w->f.fake.logins, 2);
    ketch_reply_free(reply);
}

static bool on_piece(const ProtobufCMessage *message, void *user)
{
    const Etcdserverpb__SnapshotResponse *r = (const void *) message;
    struct world *w = user;

    assert_int_equal(r->remaining_bytes, 5);
    w->done++;
    return true;
}

static void on_end(const struct ketch_error *e, void *user)
{
    struct world *w = user;

    w->failed = e->code;
    snprintf(w->error, sizeof(w->error), "%s", e->text);
    ketch_stop(w->f.client);
}

static void snapshot(struct world *w)
{
    static const struct ketch_stream_callbacks cb = {.on_message = on_piece, .on_end = on_end};
    Etcdserverpb__SnapshotRequest req = ETCDSERVERPB__SNAPSHOT_REQUEST__INIT;

    assert_non_null(ketch_stream(w->f.client, KETCH_SNAPSHOT, &req.base, 5000, &cb, w));
    ketch_run(w->f.client);
}

/* An answer in many parts is begun again when it was refused for its token, and comes once. */
static void test_stream(void **state)
{
    struct world *w = *state;

    log_in(w);
    w->f.fake.dead_tokens = 1;
    snapshot(w);
    assert_int_equal(w->done, 1);
    assert_int_equal(w->failed, KETCH_OK);
    assert_int_equal(w->f.fake.logins, 2);
}

/* And ends in the words of the login when that fails. */
static void test_stream_login_fails(void **state)
{
    struct world *w = *state;

    log_in(w);
    w->f.fake.dead_tokens = 1;
    w->f.fake.login_error = "etcdserver: authentication failed, invalid user ID or password";
    snapshot(w);
    assert_int_equal(w->done, 0);
    assert_int_equal(w->failed, 9);
    assert_string_equal(w->error, w->f.fake.login_error);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fake_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_login),
        TEST(test_no_credentials),
        TEST(test_expired),
        TEST(test_not_enabled),
        TEST(test_login_fails),
        TEST(test_never_accepted),
        TEST(test_together),
        TEST(test_close_while_refused),
        TEST(test_watch),
        TEST(test_watch_login_fails),
        TEST(test_keep_alive),
        TEST(test_stream),
        TEST(test_stream_login_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
