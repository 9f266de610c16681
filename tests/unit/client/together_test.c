/* What a client that does many things at once needs: delays, streams by number, creations told,
 * single renewals that nobody waits for. */
#include "fake_server.h"

#define STREAMS_MAX 4

struct world {
    struct faked f;
    int fired[8];
    int fired_n;
    int created;
    int64_t seen[3]; /* revision of each watch's event */
    int seen_n;
    struct ketch_error error;
    int done;
};

static struct call *_Atomic streams[STREAMS_MAX];

static int setup(void **state)
{
    struct world *w = xmem_calloc(1, sizeof(*w));

    memset(streams, 0, sizeof(streams));
    fake_start(&w->f.fake, 0);
    w->f.client = fake_client(&w->f.fake, (struct ketch_options){.dial_timeout_ms = FAKE_DIAL_MS});
    *state = w;
    return 0;
}

/* ---- delays ---- */

static struct world *the_world;

static void fire(void *arg)
{
    struct world *w = the_world;

    w->fired[w->fired_n++] = *(const int *) arg;
    if (w->fired_n == 3)
        ketch_stop(w->f.client);
}

/* Three delays end in the order of their times, each once; a fourth, still to come, is dropped with
 * the client. */
static void delays_end_in_order(void **state)
{
    static const int numbers[] = {1, 2, 3, 4};
    struct world *w = the_world = *state;

    ketch_after(w->f.client, 40, fire, (void *) (uintptr_t) &numbers[2]);
    ketch_after(w->f.client, 0, fire, (void *) (uintptr_t) &numbers[0]);
    ketch_after(w->f.client, 20, fire, (void *) (uintptr_t) &numbers[1]);
    ketch_after(w->f.client, 60000, fire, (void *) (uintptr_t) &numbers[3]);
    ketch_run(w->f.client);
    assert_int_equal(w->fired_n, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(w->fired[i], i + 1);
}

/* ---- streams of watches ---- */

static void answer(struct call *c, int64_t id, bool created, int64_t revision)
{
    Etcdserverpb__WatchResponse r = ETCDSERVERPB__WATCH_RESPONSE__INIT;
    Etcdserverpb__ResponseHeader h = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Mvccpb__KeyValue kv = MVCCPB__KEY_VALUE__INIT;
    Mvccpb__Event ev = MVCCPB__EVENT__INIT;
    Mvccpb__Event *list = &ev;

    h.revision = revision;
    kv.mod_revision = revision;
    ev.kv = &kv;
    r.header = &h;
    r.watch_id = id;
    r.created = created;
    if (!created) {
        r.events = &list;
        r.n_events = 1;
    }
    fake_send(c, &r.base);
}

/* Created with the ids 2, 1, 0; then an event of revision 100 + id for each id upwards. */
static void three_watches(struct fake *f, struct call *c, int nth)
{
    (void) f;
    answer(c, 2 - nth, true, 10);
    for (int64_t id = 0; nth == 2 && id < 3; id++)
        answer(c, id, false, 100 + id);
}

struct one_watch {
    struct world *w;
    int index;
};

static void on_created(void *user)
{
    struct one_watch *o = user;

    assert_int_equal(o->w->created++, o->index);
}

static void on_event(const struct ketch_watch_event *ev, void *user)
{
    struct one_watch *o = user;

    if (ev->canceled)
        return;
    o->w->seen[o->index] = ev->events[0]->kv->mod_revision;
    if (++o->w->seen_n == 3)
        ketch_stop(o->w->f.client);
}

/* Each watch of a stream hears once that it was created, in the order of asking, and gets the event
 * with the id that it was given then. */
static void events_go_by_id(void **state)
{
    struct world *w = *state;
    struct ketch_watch_options o = {.on_created = on_created};
    struct one_watch user[3];
    Etcdserverpb__WatchCreateRequest r = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;

    w->f.fake.on_create = three_watches;
    r.key = wire_binary(BYTES_LIT("k"));
    for (int i = 0; i < 3; i++) {
        user[i] = (struct one_watch){w, i};
        assert_non_null(ketch_watch(w->f.client, &r, &o, on_event, &user[i]));
    }
    ketch_run(w->f.client);
    assert_int_equal(w->created, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(w->seen[i], 102 - i);
    ketch_close(w->f.client);
    w->f.client = NULL;
}

static void note_stream(struct fake *f, struct call *c, int nth)
{
    (void) f;
    streams[nth] = c;
    answer(c, nth, true, 10);
}

static void stop_at_three(void *user)
{
    struct world *w = user;

    if (++w->created == 3)
        ketch_stop(w->f.client);
}

static void ignore_event(const struct ketch_watch_event *ev, void *user)
{
    (void) ev;
    (void) user;
}

/* Watches with the same number share a stream; one with another number has its own. */
static void streams_by_number(void **state)
{
    struct world *w = *state;
    Etcdserverpb__WatchCreateRequest r = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    int distinct = 0;

    w->f.fake.on_create = note_stream;
    r.key = wire_binary(BYTES_LIT("k"));
    for (unsigned i = 0; i < 3; i++) {
        struct ketch_watch_options o = {.stream = i / 2, .on_created = stop_at_three};

        assert_non_null(ketch_watch(w->f.client, &r, &o, ignore_event, w));
    }
    ketch_run(w->f.client);
    for (int i = 0; i < 3; i++)
        for (int k = i + 1; k < 3; k++)
            distinct += streams[i] != streams[k];
    assert_int_equal(distinct, 2);
}

/* ---- single renewals ---- */

static void on_renewed(struct ketch_reply *reply, const struct ketch_error *e, void *user)
{
    struct world *w = user;

    w->error = *e;
    w->done++;
    if (reply != NULL) {
        const Etcdserverpb__LeaseKeepAliveResponse *r = (const void *) ketch_reply_message(reply);

        assert_int_equal(r->ttl, 30);
        ketch_stop(w->f.client);
    }
    ketch_reply_free(reply);
}

/* A renewal that nobody waits for tells its answer once; one that is under way when the client is
 * closed ends as canceled. */
static void renewals_without_waiting(void **state)
{
    struct world *w = *state;

    w->f.fake.ttls[0] = 30;
    assert_true(ketch_keep_alive_once_start(w->f.client, 7, on_renewed, w));
    assert_int_equal(w->done, 0);
    ketch_run(w->f.client);
    assert_int_equal(w->done, 1);
    assert_int_equal(w->error.code, KETCH_OK);
    assert_true(ketch_keep_alive_once_start(w->f.client, 7, on_renewed, w));
    ketch_close(w->f.client);
    w->f.client = NULL;
    assert_int_equal(w->done, 2);
    assert_int_equal(w->error.code, KETCH_CANCELED);
}

/* ---- answers that nobody reads ---- */

static void on_unread(struct ketch_reply *reply, const struct ketch_error *e, void *user)
{
    struct world *w = user;

    assert_null(reply);
    w->error = *e;
    w->done++;
    ketch_stop(w->f.client);
}

/* Who asks for no response learns all the same whether the call was done, and why not. */
static void unread_answers(void **state)
{
    struct world *w = *state;
    Etcdserverpb__PutRequest r = ETCDSERVERPB__PUT_REQUEST__INIT;

    r.key = wire_binary(BYTES_LIT("k"));
    assert_non_null(ketch_start_unread(w->f.client, KETCH_METHOD_put, &r.base, 0, on_unread, w));
    ketch_run(w->f.client);
    assert_int_equal(w->done, 1);
    assert_int_equal(w->error.code, KETCH_OK);
    assert_int_equal(w->f.fake.calls, 1);
    w->f.fake.text = "etcdserver: too many requests";
    w->f.fake.code = 8;
    assert_non_null(ketch_start_unread(w->f.client, KETCH_METHOD_put, &r.base, 0, on_unread, w));
    ketch_run(w->f.client);
    assert_int_equal(w->done, 2);
    assert_int_equal(w->error.code, 8);
    assert_string_equal(w->error.text, "etcdserver: too many requests");
    assert_non_null(ketch_start_unread(w->f.client, KETCH_METHOD_put, &r.base, -1, on_unread, w));
    ketch_run(w->f.client);
    assert_int_equal(w->error.code, KETCH_DEADLINE_EXCEEDED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(delays_end_in_order, setup, fake_teardown),
        cmocka_unit_test_setup_teardown(events_go_by_id, setup, fake_teardown),
        cmocka_unit_test_setup_teardown(streams_by_number, setup, fake_teardown),
        cmocka_unit_test_setup_teardown(renewals_without_waiting, setup, fake_teardown),
        cmocka_unit_test_setup_teardown(unread_answers, setup, fake_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
