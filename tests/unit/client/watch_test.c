/* Watches and lease renewals against a server that answers as told. */
#include "fake_server.h"

#define SEEN_MAX 32

struct seen {
    struct ketch_client *client;
    int stop_at; /* ketch_stop when so many callbacks ran */
    int n;
    struct {
        int64_t revision; /* of the first event, or the header */
        size_t events;
        bool progress;
        bool canceled;
        char error[128];
    } ev[SEEN_MAX];
};

static void on_watch(const struct ketch_watch_event *ev, void *user)
{
    struct seen *s = user;
    int i = s->n++;

    assert_true(i < SEEN_MAX);
    s->ev[i].events = ev->event_count;
    s->ev[i].progress = ev->progress;
    s->ev[i].canceled = ev->canceled;
    if (ev->event_count > 0)
        s->ev[i].revision = ev->events[0]->kv->mod_revision;
    else if (ev->header != NULL)
        s->ev[i].revision = ev->header->revision;
    if (ev->error != NULL)
        snprintf(s->ev[i].error, sizeof(s->ev[i].error), "%s", ev->error);
    if (s->n == s->stop_at)
        ketch_stop(s->client);
}

static void created(struct call *c, int64_t id, int64_t revision, const char *refusal)
{
    Etcdserverpb__WatchResponse r = ETCDSERVERPB__WATCH_RESPONSE__INIT;
    Etcdserverpb__ResponseHeader h = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    char *reason = refusal == NULL ? NULL : xmem_strdup(refusal);

    h.revision = revision;
    r.header = &h;
    r.created = true;
    r.watch_id = id;
    if (reason != NULL) {
        r.canceled = true;
        r.cancel_reason = reason;
    }
    fake_send(c, &r.base);
    mem_free(reason);
}

static void event(struct call *c, int64_t id, int64_t revision)
{
    Etcdserverpb__WatchResponse r = ETCDSERVERPB__WATCH_RESPONSE__INIT;
    Etcdserverpb__ResponseHeader h = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Mvccpb__KeyValue kv = MVCCPB__KEY_VALUE__INIT;
    Mvccpb__Event ev = MVCCPB__EVENT__INIT;
    Mvccpb__Event *list[] = {&ev};

    h.revision = revision;
    kv.key = wire_binary(BYTES_LIT("k"));
    kv.mod_revision = revision;
    ev.kv = &kv;
    r.header = &h;
    r.watch_id = id;
    r.n_events = 1;
    r.events = list;
    fake_send(c, &r.base);
}

struct world {
    struct faked f;
    struct seen seen;
};

static int setup(void **state)
{
    struct world *w = xmem_calloc(1, sizeof(*w));

    fake_start(&w->f.fake, 0);
    w->f.client = fake_client(&w->f.fake, (struct ketch_options){.dial_timeout_ms = FAKE_DIAL_MS});
    w->seen.client = w->f.client;
    *state = w;
    return 0;
}

static struct ketch_watch *watch(struct world *w, int64_t from, struct seen *s)
{
    struct ketch_watch_options o = {.require_leader = true};
    Etcdserverpb__WatchCreateRequest r = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    struct ketch_watch *ret;

    r.key = wire_binary(BYTES_LIT("k"));
    r.start_revision = from;
    ret = ketch_watch(w->f.client, &r, &o, on_watch, s);
    assert_non_null(ret);
    return ret;
}

/* The first stream breaks behind revision 11, the second delivers 12. */
static void break_once(struct fake *f, struct call *c, int nth)
{
    (void) f;
    created(c, nth, 10, NULL);
    event(c, nth, nth == 0 ? 11 : 12);
    if (nth == 0)
        call_finish(c, KETCH_UNAVAILABLE, "transport is closing");
}

/* After the stream broke, the watch goes on behind what it delivered. */
static void resumes(void **state)
{
    struct world *w = *state;

    w->f.fake.on_create = break_once;
    w->seen.stop_at = 2;
    watch(w, 0, &w->seen);
    ketch_run(w->f.client);
    assert_int_equal(w->seen.ev[0].revision, 11);
    assert_int_equal(w->seen.ev[1].revision, 12);
    assert_int_equal(w->f.fake.creates, 2);
    assert_int_equal(w->f.fake.created_from[0], 0);
    assert_int_equal(w->f.fake.created_from[1], 12);
    assert_true(w->f.fake.saw_leader);
}

/* Nothing is delivered before the first break: the second request starts behind the revision at
 * which the watch was created, so that nothing is missed. */
static void break_before_events(struct fake *f, struct call *c, int nth)
{
    (void) f;
    created(c, 0, 10, NULL);
    if (nth == 0)
        call_finish(c, KETCH_UNAVAILABLE, "transport is closing");
    else
        event(c, 0, 11);
}

/* A watch from "now" remembers what now was. */
static void resumes_from_now(void **state)
{
    struct world *w = *state;

    w->f.fake.on_create = break_before_events;
    w->seen.stop_at = 1;
    watch(w, 0, &w->seen);
    ketch_run(w->f.client);
    assert_int_equal(w->f.fake.created_from[1], 11);
}

static void refuse_second(struct fake *f, struct call *c, int nth)
{
    (void) f;
    if (nth == 1)
        created(c, -1, 0, "mvcc: watcher range is empty");
    else
        created(c, 5, 10, NULL);
    if (nth == 1)
        event(c, 5, 11);
}

/* A refused watch hears why; the other watch of the stream goes on. */
static void refusal_is_its_own(void **state)
{
    struct world *w = *state;
    struct seen refused = {.client = w->f.client};

    w->f.fake.on_create = refuse_second;
    w->seen.stop_at = 1;
    watch(w, 0, &w->seen);
    watch(w, 0, &refused);
    ketch_run(w->f.client);
    assert_int_equal(refused.n, 1);
    assert_true(refused.ev[0].canceled);
    assert_string_equal(refused.ev[0].error, "mvcc: watcher range is empty");
    assert_int_equal(w->seen.ev[0].revision, 11);
    assert_false(w->seen.ev[0].canceled);
}

static void compacted(struct fake *f, struct call *c, int nth)
{
    Etcdserverpb__WatchResponse r = ETCDSERVERPB__WATCH_RESPONSE__INIT;

    (void) f;
    (void) nth;
    created(c, 0, 10, NULL);
    r.canceled = true;
    r.compact_revision = 9;
    fake_send(c, &r.base);
}

/* A watch from a compacted revision is canceled with etcd's words. */
static void hears_of_compaction(void **state)
{
    struct world *w = *state;

    w->f.fake.on_create = compacted;
    w->seen.stop_at = 1;
    watch(w, 5, &w->seen);
    ketch_run(w->f.client);
    assert_true(w->seen.ev[0].canceled);
    assert_string_equal(w->seen.ev[0].error,
                        "etcdserver: mvcc: required revision has been compacted");
}

static void no_leader(struct fake *f, struct call *c, int nth)
{
    (void) f;
    created(c, nth, 10, NULL);
    call_finish(c, KETCH_UNAVAILABLE, "etcdserver: no leader");
}

/* A watch that insists on a leader ends when there is none, although Unavailable is transient. */
static void ends_without_leader(void **state)
{
    struct world *w = *state;

    w->f.fake.on_create = no_leader;
    w->seen.stop_at = 1;
    watch(w, 0, &w->seen);
    ketch_run(w->f.client);
    assert_true(w->seen.ev[0].canceled);
    assert_string_equal(w->seen.ev[0].error, "etcdserver: no leader");
    assert_int_equal(w->f.fake.creates, 1);
}

static void create_only(struct fake *f, struct call *c, int nth)
{
    (void) f;
    created(c, nth, 10, NULL);
    if (nth == 1)
        event(c, 1, 11);
}

/* Progress, once asked for, reaches every watch of the client. */
static void progress_reaches_all(void **state)
{
    struct world *w = *state;
    struct seen second = {.client = w->f.client, .stop_at = 1};

    w->f.fake.on_create = create_only;
    watch(w, 0, &w->seen);
    watch(w, 0, &second);
    ketch_run(w->f.client);
    second.stop_at = 2;
    ketch_watch_progress(w->f.client);
    ketch_run(w->f.client);
    assert_int_equal(w->seen.n, 1);
    assert_true(w->seen.ev[0].progress);
    assert_int_equal(w->seen.ev[0].revision, 42);
    assert_true(second.ev[1].progress);
}

struct canceling {
    struct seen seen;
    struct ketch_watch *self;
};

static void cancel_self(const struct ketch_watch_event *ev, void *user)
{
    struct canceling *c = user;

    on_watch(ev, &c->seen);
    ketch_watch_cancel(c->self);
}

static void two_events(struct fake *f, struct call *c, int nth)
{
    (void) f;
    created(c, nth, 10, NULL);
    event(c, nth, 11);
    event(c, nth, 12);
}

/* A watch may be canceled from its own callback: it is the last one. */
static void cancels_from_within(void **state)
{
    struct world *w = *state;
    struct canceling c = {.seen = {.client = w->f.client}};
    Etcdserverpb__WatchCreateRequest r = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;

    w->f.fake.on_create = two_events;
    r.key = wire_binary(BYTES_LIT("k"));
    c.self = ketch_watch(w->f.client, &r, NULL, cancel_self, &c);
    w->seen.stop_at = 2;
    watch(w, 0, &w->seen);
    ketch_run(w->f.client);
    assert_int_equal(c.seen.n, 1);
    assert_int_equal(c.seen.ev[0].revision, 11);
}

/* ---- leases ---- */

struct renewals {
    struct ketch_client *client;
    int renewed;
    int ended;
    int code;
};

static void on_renewal(const Etcdserverpb__LeaseKeepAliveResponse *r, const struct ketch_error *e,
                       void *user)
{
    struct renewals *k = user;

    if (r != NULL) {
        assert_int_equal(r->id, 7);
        k->renewed++;
        return;
    }
    k->ended++;
    k->code = e->code;
    ketch_stop(k->client);
}

/* Renewals go on every third of the TTL until the server says that the lease is gone. */
static void keeps_a_lease(void **state)
{
    struct world *w = *state;
    struct renewals k = {.client = w->f.client};

    w->f.fake.ttls[0] = 3; /* or it might be over on a busy machine */
    w->f.fake.ttls[1] = 3;
    assert_non_null(ketch_keep_alive(w->f.client, 7, on_renewal, &k));
    ketch_run(w->f.client);
    assert_int_equal(k.renewed, 2);
    assert_int_equal(k.ended, 1);
    assert_int_equal(k.code, KETCH_OK);
    assert_int_equal(w->f.fake.renewals, 3);
}

/* One renewal gives its answer; a lease that is gone is an error. */
static void renews_once(void **state)
{
    struct world *w = *state;
    const Etcdserverpb__LeaseKeepAliveResponse *resp;
    struct ketch_reply *reply;
    struct ketch_error e;

    w->f.fake.ttls[0] = 30;
    assert_int_equal(ketch_keep_alive_once(w->f.client, 7, &reply, &resp, &e), KETCH_OK);
    assert_int_equal(resp->ttl, 30);
    ketch_reply_free(reply);
    assert_int_equal(ketch_keep_alive_once(w->f.client, 7, &reply, &resp, &e), 5);
    assert_string_equal(e.text, "etcdserver: requested lease not found");
    assert_null(reply);
}

/* When nobody answers, the lease is given up after the time for dialling and a second. */
static void gives_a_lease_up(void **state)
{
    struct world *w = *state;
    struct ketch_options o = {.endpoint_count = 1, .dial_timeout_ms = 100};
    const char *endpoint = "127.0.0.1:1";
    struct ketch_error e;
    struct renewals k = {0};
    mono_ms began = clock_mono_ms(clock_posix());

    (void) w;
    o.endpoints = &endpoint;
    assert_int_equal(ketch_open(&o, &k.client, &e), KETCH_OK);
    assert_non_null(ketch_keep_alive(k.client, 7, on_renewal, &k));
    ketch_run(k.client);
    assert_int_equal(k.ended, 1);
    assert_in_range(clock_mono_ms(clock_posix()) - began, 1050, 20000);
    ketch_close(k.client);
}

static void until_closed(const Etcdserverpb__LeaseKeepAliveResponse *r, const struct ketch_error *e,
                         void *user)
{
    struct renewals *k = user;

    if (r != NULL) {
        k->renewed++;
        ketch_stop(k->client);
        return;
    }
    k->ended++;
    k->code = e->code;
}

/* Who keeps a lease hears that the client was closed, whether a stream had been opened or not. */
static void hears_of_the_close(void **state)
{
    struct world *w = *state;
    struct renewals open = {0}, waiting = {0};
    struct ketch_options o = {.endpoint_count = 1};
    const char *endpoint = "127.0.0.1:1";
    struct ketch_error e;

    open.client = w->f.client;
    w->f.fake.ttls[0] = 30;
    assert_non_null(ketch_keep_alive(w->f.client, 7, until_closed, &open));
    ketch_run(w->f.client);
    assert_int_equal(open.renewed, 1);
    ketch_close(w->f.client);
    w->f.client = NULL;
    assert_int_equal(open.ended, 1);
    assert_int_equal(open.code, KETCH_CANCELED);
    o.endpoints = &endpoint;
    assert_int_equal(ketch_open(&o, &waiting.client, &e), KETCH_OK);
    assert_non_null(ketch_keep_alive(waiting.client, 7, until_closed, &waiting));
    ketch_close(waiting.client);
    assert_int_equal(waiting.ended, 1);
    assert_int_equal(waiting.code, KETCH_CANCELED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(resumes, setup, fake_teardown),
        cmocka_unit_test_setup_teardown(resumes_from_now, setup, fake_teardown),
        cmocka_unit_test_setup_teardown(refusal_is_its_own, setup, fake_teardown),
        cmocka_unit_test_setup_teardown(hears_of_compaction, setup, fake_teardown),
        cmocka_unit_test_setup_teardown(ends_without_leader, setup, fake_teardown),
        cmocka_unit_test_setup_teardown(progress_reaches_all, setup, fake_teardown),
        cmocka_unit_test_setup_teardown(cancels_from_within, setup, fake_teardown),
        cmocka_unit_test_setup_teardown(keeps_a_lease, setup, fake_teardown),
        cmocka_unit_test_setup_teardown(renews_once, setup, fake_teardown),
        cmocka_unit_test_setup_teardown(gives_a_lease_up, setup, fake_teardown),
        cmocka_unit_test_setup_teardown(hears_of_the_close, setup, fake_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
