/* The Lock service against a whole member; texts and revisions are those of a real 3.7.1. */
#include "unit/edge/server/contest.h"
#include "v3lock.pb-c.h"

#define CONTENDERS 12

static void lock_begin(struct flow *f, const char *name, int64_t lease)
{
    V3lockpb__LockRequest q = V3LOCKPB__LOCK_REQUEST__INIT;

    q.name = bin(name);
    q.lease = lease;
    begin(f, "/v3lockpb.Lock/Lock", &q.base);
}

static V3lockpb__LockResponse *lock_end(struct flow *f)
{
    return end_ok(f, &v3lockpb__lock_response__descriptor);
}

static V3lockpb__LockResponse *lock(const char *name, int64_t lease)
{
    static struct flow f;

    lock_begin(&f, name, lease);
    return lock_end(&f);
}

static int64_t unlock(ProtobufCBinaryData key)
{
    V3lockpb__UnlockRequest q = V3LOCKPB__UNLOCK_REQUEST__INIT;
    V3lockpb__UnlockResponse *res;

    q.key = key;
    ask_ok("/v3lockpb.Lock/Unlock", &q.base, &v3lockpb__unlock_response__descriptor, &res);
    return res->header->revision;
}

/* A lock that nobody holds is had at once: its key is the name and the lease, its header the put's;
 * asked for again under the same lease it is the same; without a lease one of 60 s is made. */
static void test_lock_free(void **state)
{
    V3lockpb__LockResponse *res;

    (void) state;
    grant(0x3e8, 60);
    grant(-3, 60);
    res = lock("a", 0x3e8);
    assert_true(is(res->key, "a/3e8"));
    assert_int_equal(res->header->revision, 2);
    assert_true(res->header->cluster_id != 0);
    assert_int_equal(res->header->raft_term, 2);
    assert_int_equal(put("x", "y"), 3);
    res = lock("a", 0x3e8);
    assert_int_equal(res->header->revision, 3);
    assert_int_equal(under("a/")->kvs[0]->create_revision, 2);
    assert_true(is(lock("b", -3)->key, "b/-3"));
    assert_true(is(lock("", 0x3e8)->key, "/3e8"));
    assert_int_equal(leases(), 2);
    res = lock("c", 0);
    assert_int_equal(leases(), 3);
    assert_int_equal(under("c/")->kvs[0]->lease,
                     strtoll((const char *) res->key.data + 2, NULL, 16));
    assert_int_equal(unlock(res->key), 7);
    assert_int_equal(unlock(bin("nothing")), 7);
}

/* Refusals are those of an in-process client: code Unknown, with the text of the error. */
static void test_lock_refused(void **state)
{
    V3lockpb__UnlockRequest q = V3LOCKPB__UNLOCK_REQUEST__INIT;
    static struct flow f;

    (void) state;
    lock_begin(&f, "a", 999);
    ends_with(&f, UNKNOWN, "etcdserver: requested lease not found");
    ask_fails("/v3lockpb.Lock/Unlock", &q.base, UNKNOWN, "etcdserver: key is not provided");
}

/* Who waits gets the lock in the order of coming, each when the one before lets go, with the header
 * of a read that sees this. */
static void test_lock_queue(void **state)
{
    static struct flow f[CONTENDERS];
    V3lockpb__LockResponse *res;
    int64_t gone;

    (void) state;
    for (int i = 0; i < CONTENDERS; i++) {
        grant(100 + i, 60);
        lock_begin(&f[i], "q", 100 + i);
        wait_keys("q/", i + 1);
    }
    for (int i = 0; i < CONTENDERS; i++) {
        res = lock_end(&f[i]);
        for (int k = i + 1; k < CONTENDERS; k++)
            assert_false(f[k].ended);
        if (i > 0)
            assert_true(res->header->revision >= gone);
        gone = unlock(res->key);
    }
    assert_int_equal(under("q/")->count, 0);
}

/* One that gives up in the middle of the queue takes its key with it; the next waits for the one
 * that is before both. */
static void test_lock_given_up(void **state)
{
    static struct flow second, third;
    V3lockpb__LockResponse *first;

    (void) state;
    for (int64_t id = 1; id <= 3; id++)
        grant(id, 60);
    first = lock("g", 1);
    lock_begin(&second, "g", 2);
    wait_keys("g/", 2);
    lock_begin(&third, "g", 3);
    wait_keys("g/", 3);
    rpc_cancel(second.rpc);
    ends_with(&second, 1, "context canceled");
    wait_keys("g/", 2);
    pause_ms(50);
    assert_false(third.ended);
    unlock(first->key);
    assert_true(is(lock_end(&third)->key, "g/3"));
}

/* A deadline is a giving up, too. */
static void test_lock_deadline(void **state)
{
    V3lockpb__LockRequest q = V3LOCKPB__LOCK_REQUEST__INIT;
    struct answer a = {0};
    struct rpc_options o = {.path = "/v3lockpb.Lock/Lock", .timeout_ms = 200, .user = &a};

    (void) state;
    grant(1, 60);
    grant(2, 60);
    lock("d", 1);
    q.name = bin("d");
    q.lease = 2;
    assert_non_null(rpc_unary(world.channel, &o, encoded(&q.base), answer_end));
    loop_run_until(world.loop, &a.done);
    assert_int_equal(a.code, 4);
    wait_keys("d/", 1);
    assert_true(is(under("d/")->kvs[0]->key, "d/1"));
}

/* A lease that ends while its call waits: the call goes on waiting and is told when its turn comes.
 * A holder whose lease ends is the same as one that unlocks. */
static void test_lock_lease_ends(void **state)
{
    static struct flow second, third;

    (void) state;
    for (int64_t id = 1; id <= 3; id++)
        grant(id, 60);
    lock("l", 1);
    lock_begin(&second, "l", 2);
    wait_keys("l/", 2);
    lock_begin(&third, "l", 3);
    wait_keys("l/", 3);
    end_lease(2);
    pause_ms(50);
    assert_false(second.ended);
    assert_false(third.ended);
    end_lease(1);
    ends_with(&second, UNKNOWN, "mutex: session is expired");
    assert_true(is(lock_end(&third)->key, "l/3"));
}

/* ---- very many keys under the name ---- */

/* Whoever put them, and before whom: the lock is had when all that came before are gone, and by its
 * holder at once. */
static void test_lock_crowd(void **state)
{
    static struct flow second;
    V3lockpb__LockResponse *first;

    (void) state;
    grant(1, 60);
    grant(2, 60);
    first = lock("m", 1);
    put_crowd("m");
    assert_true(is(lock("m", 1)->key, "m/1"));
    lock_begin(&second, "m", 2);
    wait_keys("m/", CROWD + 2);
    unlock(first->key);
    del_under("m/x0");
    del_under("m/x1");
    pause_ms(50);
    assert_false(second.ended);
    del_under("m/x");
    assert_true(is(lock_end(&second)->key, "m/2"));
}

/* Others are served while one looks; it goes on after them. */
static void test_lock_looks_long(void **state)
{
    static struct flow f;

    (void) state;
    grant(1, 60);
    put_crowd("m");
    hold_looks();
    lock_begin(&f, "m", 1);
    wait_looking(1);
    assert_true(is(lock("free", 1)->key, "free/1"));
    del_under("m/x");
    put_crowd("m"); /* came later */
    let_looks_go_on("m");
    assert_true(is(lock_end(&f)->key, "m/1"));
}

/* One that gives up while it looks takes its key with it: when it looks how it stood, and when it
 * looks again because the one before it has gone. */
static void test_lock_given_up_looking(void **state)
{
    static struct flow f;

    (void) state;
    grant(1, 60);
    put_crowd("m");
    hold_looks();
    lock_begin(&f, "m", 1);
    cancel_looking(&f, CROWD);

    lock_begin(&f, "m", 1);
    wait_keys("m/", CROWD + 1);
    pause_ms(50); /* until it follows: if it does not yet, it looks only once */
    hold_looks();
    del_under("m/x9"); /* all that came last */
    cancel_looking(&f, CROWD - CROWD_TXN);
}

/* One that found its key and gives up before it knows how it stands leaves it: another call may
 * hold the lock by it. */
static void test_lock_found_given_up_looking(void **state)
{
    static struct flow f;

    (void) state;
    grant(1, 60);
    lock("m", 1);
    put_crowd("m");
    hold_looks();
    lock_begin(&f, "m", 1);
    wait_looking(1);
    rpc_cancel(f.rpc);
    ends_with(&f, 1, "context canceled");
    wait_none_looks();
    put("then", "v"); /* behind whatever it may have sent to the log */
    assert_int_equal(under("m/")->count, CROWD + 1);
    let_looks_go_on("m");
    assert_true(is(lock("m", 1)->key, "m/1"));
}

/* A deadline that passes in the middle of a look, and a connection that is lost, are a giving up,
 * too. */
static void test_lock_lost_looking(void **state)
{
    V3lockpb__LockRequest q = V3LOCKPB__LOCK_REQUEST__INIT;

    (void) state;
    q.name = bin("m");
    q.lease = 1;
    lose_looking("/v3lockpb.Lock/Lock", &q.base);
}

/* While the NOSPACE alarm's cause lasts a lock is refused like a put, and the alarm is on. */
static void test_lock_no_space(void **state)
{
    const char *const args[] = {"--quota-backend-bytes=1000", NULL};
    Etcdserverpb__AlarmRequest q = ETCDSERVERPB__ALARM_REQUEST__INIT;
    Etcdserverpb__AlarmResponse *res;
    static struct flow f;

    (void) state;
    world_close();
    world_open(args);
    lock_begin(&f, "n", 5);
    ends_with(&f, UNKNOWN, "etcdserver: mvcc: database space exceeded");
    ASK_OK("/etcdserverpb.Maintenance/Alarm", &q.base, alarm_response, &res);
    assert_int_equal(res->n_alarms, 1);
}

/* The series of these methods are there from their first use on. */
static void test_lock_metrics(void **state)
{
    const char *page;

    (void) state;
    assert_null(strstr(http_ask("GET", "/metrics", ""), "v3lockpb"));
    grant(1, 60);
    lock("m", 1);
    page = http_ask("GET", "/metrics", "");
    assert_non_null(strstr(page, "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Lock\","
                                 "grpc_service=\"v3lockpb.Lock\",grpc_type=\"unary\"} 1\n"));
    assert_non_null(strstr(page, "grpc_server_started_total{grpc_method=\"Lock\","
                                 "grpc_service=\"v3lockpb.Lock\",grpc_type=\"unary\"} 1\n"));
    assert_null(strstr(page, "Unlock"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lock_free, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_lock_refused, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_lock_queue, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_lock_given_up, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_lock_deadline, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_lock_lease_ends, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_lock_crowd, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_lock_looks_long, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_lock_given_up_looking, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_lock_found_given_up_looking, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(test_lock_lost_looking, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_lock_no_space, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_lock_metrics, world_setup, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
