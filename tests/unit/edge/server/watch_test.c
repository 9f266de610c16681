#include "world.h"

static struct flow w; /* the stream of most tests */

static int setup(void **state)
{
    (void) state;
    world_open(NULL);
    flow_open(&w, "/etcdserverpb.Watch/Watch");
    return 0;
}

/* The stream is still open at the end of a test: the client goes, the member stops all the same. */
static int teardown(void **state)
{
    (void) state;
    if (w.rpc != NULL)
        rpc_cancel(w.rpc);
    pause_ms(20);
    world_close();
    return 0;
}

static const Etcdserverpb__WatchCreateRequest create_init =
    ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;

static void create(struct flow *f, Etcdserverpb__WatchCreateRequest *c)
{
    Etcdserverpb__WatchRequest q = ETCDSERVERPB__WATCH_REQUEST__INIT;

    q.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    q.create_request = c;
    flow_send(f, &q.base);
}

static void create_simple(const char *key, const char *end, int64_t from)
{
    Etcdserverpb__WatchCreateRequest c = create_init;

    c.key = bin(key);
    c.range_end = bin(end);
    c.start_revision = from;
    create(&w, &c);
}

static void cancel(int64_t id)
{
    Etcdserverpb__WatchCancelRequest c = ETCDSERVERPB__WATCH_CANCEL_REQUEST__INIT;
    Etcdserverpb__WatchRequest q = ETCDSERVERPB__WATCH_REQUEST__INIT;

    c.watch_id = id;
    q.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CANCEL_REQUEST;
    q.cancel_request = &c;
    flow_send(&w, &q.base);
}

static void progress(void)
{
    Etcdserverpb__WatchProgressRequest c = ETCDSERVERPB__WATCH_PROGRESS_REQUEST__INIT;
    Etcdserverpb__WatchRequest q = ETCDSERVERPB__WATCH_REQUEST__INIT;

    q.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST;
    q.progress_request = &c;
    flow_send(&w, &q.base);
}

/* Message number i, waited for. */
static Etcdserverpb__WatchResponse *response(size_t i)
{
    Etcdserverpb__WatchResponse *m;

    flow_wait(&w, i + 1);
    assert_true(w.n > i);
    assert_int_equal(
        WIRE_DECODE(etcdserverpb__watch_response, w.messages[i], &world.arena, &m, NULL), 0);
    assert_non_null(m->header);
    return m;
}

static void check_event(const Mvccpb__Event *e, int type, const char *key, int64_t revision)
{
    assert_int_equal(e->type, type);
    assert_int_equal(e->kv->key.len, strlen(key));
    assert_memory_equal(e->kv->key.data, key, strlen(key));
    assert_int_equal(e->kv->mod_revision, revision);
}

/* A watch is answered with its id and the revision of now, then gets what happens in its range. */
static void test_live(void **state)
{
    Etcdserverpb__WatchResponse *m;

    (void) state;
    put("a", "0");
    create_simple("a", "b", 0);
    m = response(0);
    assert_true(m->created);
    assert_false(m->canceled);
    assert_int_equal(m->watch_id, 0);
    assert_int_equal(m->header->revision, 2);
    put("b", "out of range");
    put("a1", "1");
    del("a1");
    m = response(1);
    assert_int_equal(m->n_events, 1);
    check_event(m->events[0], MVCCPB__EVENT__EVENT_TYPE__PUT, "a1", 4);
    assert_int_equal(m->header->revision, 4);
    m = response(2);
    check_event(m->events[0], MVCCPB__EVENT__EVENT_TYPE__DELETE, "a1", 5);
    assert_int_equal(m->events[0]->kv->value.len, 0);
}

/* A watch from the past gets all of it in order, and then goes on live. */
static void test_history(void **state)
{
    size_t seen = 0, i = 1;

    (void) state;
    for (int k = 0; k < 50; k++)
        put("h", "x");
    create_simple("h", "", 2);
    assert_true(response(0)->created);
    while (seen < 50) {
        Etcdserverpb__WatchResponse *m = response(i++);

        for (size_t k = 0; k < m->n_events; k++)
            check_event(m->events[k], MVCCPB__EVENT__EVENT_TYPE__PUT, "h", 2 + (int64_t) seen++);
    }
    put("h", "live");
    check_event(response(i)->events[0], MVCCPB__EVENT__EVENT_TYPE__PUT, "h", 52);
}

/* A start below the compact revision: created, then canceled with the compact revision and no
 * words. */
static void test_compacted(void **state)
{
    Etcdserverpb__WatchResponse *m;

    (void) state;
    for (int k = 0; k < 10; k++)
        put("c", "x");
    compact(8);
    create_simple("c", "", 3);
    assert_true(response(0)->created);
    m = response(1);
    assert_true(m->canceled);
    assert_false(m->created);
    assert_int_equal(m->compact_revision, 8);
    assert_string_equal(m->cancel_reason, "");
    assert_int_equal(m->header->revision, 0);
    create_simple("c", "", 8);
    assert_true(response(2)->created);
    check_event(response(3)->events[0], MVCCPB__EVENT__EVENT_TYPE__PUT, "c", 8);
}

static void check_refused(size_t i, const char *reason)
{
    Etcdserverpb__WatchResponse *m = response(i);

    assert_true(m->created);
    assert_true(m->canceled);
    assert_int_equal(m->watch_id, -1);
    assert_string_equal(m->cancel_reason, reason);
}

/* Creations that cannot be are refused in order with etcd's reasons, and the stream goes on. */
static void test_refused(void **state)
{
    Etcdserverpb__WatchCreateRequest c = create_init;

    (void) state;
    c.key = bin("a");
    c.watch_id = 7;
    create(&w, &c);
    create(&w, &c);
    c.watch_id = 0;
    c.start_revision = -1;
    create(&w, &c);
    create_simple("b", "a", 0);
    create_simple("b", "c", 0);
    assert_int_equal(response(0)->watch_id, 7);
    check_refused(1, "mvcc: duplicate watch ID provided on the WatchStream");
    check_refused(2, "etcdserver: mvcc: required revision has been compacted");
    check_refused(3, "mvcc: watcher range is empty");
    assert_true(response(4)->created);
    assert_int_equal(response(4)->watch_id, 0);
}

/* A cancel is answered once and ends the events; its id may be used again; unknown ids are silent.
 */
static void test_cancel(void **state)
{
    Etcdserverpb__WatchCreateRequest c = create_init;
    Etcdserverpb__WatchResponse *m;

    (void) state;
    c.key = bin("a");
    c.watch_id = 5;
    create(&w, &c);
    assert_true(response(0)->created);
    cancel(99);
    cancel(5);
    m = response(1);
    assert_true(m->canceled);
    assert_false(m->created);
    assert_int_equal(m->watch_id, 5);
    assert_int_equal(m->header->revision, 1);
    put("a", "unseen");
    create(&w, &c);
    cancel(5);
    create(&w, &c);
    assert_true(response(2)->created);
    assert_true(response(3)->canceled);
    assert_true(response(4)->created);
    put("a", "seen");
    check_event(response(5)->events[0], MVCCPB__EVENT__EVENT_TYPE__PUT, "a", 3);
}

/* prev_kv and filters do what they say. */
static void test_options(void **state)
{
    Etcdserverpb__WatchCreateRequest c = create_init;
    Etcdserverpb__WatchCreateRequest__FilterType noput[] = {
        ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NOPUT};
    Etcdserverpb__WatchResponse *m;

    (void) state;
    c.key = bin("o");
    c.prev_kv = true;
    create(&w, &c);
    assert_true(response(0)->created);
    put("o", "1");
    assert_null(response(1)->events[0]->prev_kv);
    put("o", "2");
    m = response(2);
    assert_non_null(m->events[0]->prev_kv);
    assert_int_equal(m->events[0]->prev_kv->mod_revision, 2);
    c.filters = noput;
    c.n_filters = 1;
    create(&w, &c);
    assert_true(response(3)->created);
    del("o");
    for (size_t i = 4; i < 6; i++)
        check_event(response(i)->events[0], MVCCPB__EVENT__EVENT_TYPE__DELETE, "o", 4);
}

/* A progress request is answered for the whole stream once all its watches are in step. */
static void test_progress(void **state)
{
    Etcdserverpb__WatchResponse *m;

    (void) state;
    progress(); /* without a watch: nothing */
    pause_ms(20);
    assert_int_equal(w.n, 0);
    create_simple("p", "", 0);
    assert_true(response(0)->created);
    put("other", "x");
    progress();
    m = response(1);
    assert_int_equal(m->watch_id, -1);
    assert_int_equal(m->n_events, 0);
    assert_int_equal(m->header->revision, 2);
}

/* A watch that was cancelled right before does not stand in the way of a progress request. */
static void test_progress_after_cancel(void **state)
{
    (void) state;
    create_simple("p", "", 0);
    create_simple("q", "", 0);
    assert_true(response(1)->created);
    cancel(0);
    progress();
    assert_true(response(2)->canceled);
    assert_int_equal(response(3)->watch_id, -1);
    assert_int_equal(response(3)->n_events, 0);
    cancel(1);
    progress(); /* no watch is left: nothing */
    assert_true(response(4)->canceled);
    pause_ms(20);
    assert_int_equal(w.n, 5);
}

/* Watches that asked for it get a progress report each interval in which nothing happened to them.
 */
static void test_progress_timer(void **state)
{
    const char *const args[] = {"--watch-progress-notify-interval=100ms", NULL};
    Etcdserverpb__WatchCreateRequest c = create_init;
    Etcdserverpb__WatchResponse *m;

    (void) state;
    teardown(NULL);
    world_open(args);
    flow_open(&w, "/etcdserverpb.Watch/Watch");
    c.key = bin("p");
    c.progress_notify = true;
    create(&w, &c);
    assert_true(response(0)->created);
    m = response(1);
    assert_int_equal(m->watch_id, 0);
    assert_int_equal(m->n_events, 0);
    assert_false(m->created);
    assert_int_equal(m->header->revision, 1);
    assert_int_equal(response(2)->n_events, 0);
}

/* A response above the limit is cut between events when the watch asked for fragments. */
static void test_fragments(void **state)
{
    static char value[60000];
    Etcdserverpb__WatchCreateRequest c = create_init;
    size_t events = 0, i = 1;
    bool more = true;

    (void) state;
    memset(value, 'f', sizeof value - 1);
    for (int k = 0; k < 60; k++)
        put("f", value);
    c.key = bin("f");
    c.start_revision = 2;
    c.fragment = true;
    create(&w, &c);
    assert_true(response(0)->created);
    assert_true(response(1)->fragment);
    while (events < 60 || more) {
        Etcdserverpb__WatchResponse *m = response(i);

        assert_true(w.messages[i].n < 2097152);
        assert_true(m->n_events > 0);
        events += m->n_events;
        more = m->fragment;
        i++;
    }
    assert_int_equal(events, 60);
}

/* A client that does not read is not waited for: when it reads again it gets everything, once, in
 * order. */
static void test_slow_client(void **state)
{
    static char value[50000];
    int64_t next = 2;
    size_t i = 1;

    (void) state;
    memset(value, 's', sizeof value - 1);
    create_simple("s", "", 0);
    assert_true(response(0)->created);
    rpc_pause(w.rpc);
    for (int k = 0; k < 500; k++)
        put("s", value);
    rpc_resume(w.rpc);
    while (next < 502) {
        Etcdserverpb__WatchResponse *m = response(i++);

        for (size_t k = 0; k < m->n_events; k++)
            check_event(m->events[k], MVCCPB__EVENT__EVENT_TYPE__PUT, "s", next++);
    }
}

/* Many watches on one stream, in any order of creation, events and cancels, each see their own
 * keys. */
static void test_many(void **state)
{
    enum { N = 300 };
    size_t created = 0, events = 0, canceled = 0;
    char key[16];

    (void) state;
    for (int k = 0; k < N; k++) {
        snprintf(key, sizeof key, "m%03d", k);
        create_simple(key, "", 0);
    }
    flow_wait(&w, N);
    for (int k = 0; k < N; k++) {
        snprintf(key, sizeof key, "m%03d", k);
        put(key, "x");
        if (k % 2 == 0)
            cancel(k);
    }
    flow_wait(&w, N + N + N / 2);
    for (size_t i = 0; i < w.n; i++) {
        Etcdserverpb__WatchResponse *m = response(i);

        created += m->created;
        canceled += m->canceled;
        events += m->n_events;
        if (m->n_events == 1) {
            snprintf(key, sizeof key, "m%03d", (int) m->watch_id);
            check_event(m->events[0], MVCCPB__EVENT__EVENT_TYPE__PUT, key, 2 + m->watch_id);
        }
    }
    assert_int_equal(created, N);
    assert_int_equal(events, N);
    assert_int_equal(canceled, N / 2);
}

/* Half-closing does not end the stream; a request with nothing in it is passed over. */
static void test_half_close(void **state)
{
    Etcdserverpb__WatchRequest q = ETCDSERVERPB__WATCH_REQUEST__INIT;

    (void) state;
    flow_send(&w, &q.base);
    create_simple("a", "", 0);
    assert_true(response(0)->created);
    rpc_half_close(w.rpc);
    put("a", "x");
    assert_int_equal(response(1)->n_events, 1);
    assert_false(w.ended);
}

/* Bytes that are no request end the stream. */
static void test_garbage(void **state)
{
    struct net_piece piece = net_piece_copied("\x0a\x7f", 2);

    (void) state;
    assert_int_equal(rpc_send(w.rpc, &piece, 1), 0);
    flow_wait_end(&w);
    assert_int_equal(w.code, 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_live, setup, teardown),
        cmocka_unit_test_setup_teardown(test_history, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compacted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
        cmocka_unit_test_setup_teardown(test_options, setup, teardown),
        cmocka_unit_test_setup_teardown(test_progress, setup, teardown),
        cmocka_unit_test_setup_teardown(test_progress_after_cancel, setup, teardown),
        cmocka_unit_test_setup_teardown(test_progress_timer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fragments, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_client, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_half_close, setup, teardown),
        cmocka_unit_test_setup_teardown(test_garbage, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
