/* The Election service against a whole member; texts and revisions are those of a real 3.7.1. */
#include "unit/edge/server/contest.h"
#include "v3election.pb-c.h"

#define BUSY_ROUNDS 10

static void campaign_begin(struct flow *f, const char *name, int64_t lease, const char *value)
{
    V3electionpb__CampaignRequest q = V3ELECTIONPB__CAMPAIGN_REQUEST__INIT;

    q.name = bin(name);
    q.lease = lease;
    q.value = bin(value);
    begin(f, "/v3electionpb.Election/Campaign", &q.base);
}

static V3electionpb__CampaignResponse *campaign_end(struct flow *f)
{
    return end_ok(f, &v3electionpb__campaign_response__descriptor);
}

static V3electionpb__CampaignResponse *campaign(const char *name, int64_t lease, const char *value)
{
    static struct flow f;

    campaign_begin(&f, name, lease, value);
    return campaign_end(&f);
}

/* ---- campaign, proclaim, resign ---- */

static V3electionpb__LeaderKey key_of(const V3electionpb__CampaignResponse *res)
{
    return *res->leader;
}

static struct answer proclaim(V3electionpb__LeaderKey *leader, const char *value)
{
    V3electionpb__ProclaimRequest q = V3ELECTIONPB__PROCLAIM_REQUEST__INIT;

    q.leader = leader;
    q.value = bin(value);
    return ask_with("/v3electionpb.Election/Proclaim", encoded(&q.base), NULL, 0);
}

static struct answer resign(V3electionpb__LeaderKey *leader)
{
    V3electionpb__ResignRequest q = V3ELECTIONPB__RESIGN_REQUEST__INIT;

    q.leader = leader;
    return ask_with("/v3electionpb.Election/Resign", encoded(&q.base), NULL, 0);
}

static void told(struct answer a, int code, const char *text)
{
    assert_string_equal(a.text, text);
    assert_int_equal(a.code, code);
}

/* Who campaigns alone leads at once; the answer names key, create revision and lease.  Campaigning
 * again keeps the key, and changes its value when that is another. */
static void test_campaign(void **state)
{
    V3electionpb__LeaderRequest q = V3ELECTIONPB__LEADER_REQUEST__INIT;
    V3electionpb__LeaderResponse *leader;
    V3electionpb__CampaignResponse *res;

    (void) state;
    grant(0x3e8, 60);
    q.name = bin("e");
    ask_fails("/v3electionpb.Election/Leader", &q.base, UNKNOWN, "election: no leader");
    res = campaign("e", 0x3e8, "v1");
    assert_int_equal(res->header->revision, 2);
    assert_true(is(res->leader->name, "e"));
    assert_true(is(res->leader->key, "e/3e8"));
    assert_int_equal(res->leader->rev, 2);
    assert_int_equal(res->leader->lease, 0x3e8);
    assert_int_equal(campaign("e", 0x3e8, "v1")->header->revision, 2);
    res = campaign("e", 0x3e8, "v2");
    assert_int_equal(res->header->revision, 2); /* of the answer that found the key */
    assert_int_equal(res->leader->rev, 2);
    ask_ok("/v3electionpb.Election/Leader", &q.base, &v3electionpb__leader_response__descriptor,
           &leader);
    assert_int_equal(leader->header->revision, 3);
    assert_true(is(leader->kv->value, "v2"));
    assert_int_equal(leader->kv->version, 2);
}

/* Proclaim and Resign act while the key has the create revision of the leader key, and need one. */
static void test_proclaim_and_resign(void **state)
{
    V3electionpb__LeaderKey leader, other, empty = V3ELECTIONPB__LEADER_KEY__INIT;

    (void) state;
    grant(1, 60);
    leader = key_of(campaign("p", 1, "v1"));
    told(proclaim(&leader, "v2"), 0, "");
    assert_true(is(under("p/")->kvs[0]->value, "v2"));
    other = leader;
    other.rev--;
    told(proclaim(&other, "v3"), UNKNOWN, "election: not leader");
    told(resign(&other), 0, "");
    assert_int_equal(under("p/")->count, 1);
    other = leader;
    other.lease = 77;
    told(proclaim(&other, "v3"), UNKNOWN, "etcdserver: requested lease not found");
    told(proclaim(NULL, "v3"), UNKNOWN, "\"leader\" field must be provided");
    told(resign(NULL), UNKNOWN, "\"leader\" field must be provided");
    told(proclaim(&empty, "v3"), UNKNOWN, "etcdserver: key is not provided");
    told(resign(&empty), UNKNOWN, "etcdserver: key is not provided");
    assert_int_equal(leases(), 3); /* each made one */
    other.lease = 0;
    told(proclaim(&other, "v4"), 0, "");
    assert_true(under("p/")->kvs[0]->lease != 1);
    told(resign(&leader), 0, "");
    assert_int_equal(under("p/")->count, 0);
}

/* The next leads when the leader resigns, with the header of its own put; one whose lease ended
 * meanwhile is told the same, as etcd does. */
static void test_campaign_queue(void **state)
{
    static struct flow second, third, fourth;
    V3electionpb__LeaderKey first;

    (void) state;
    for (int64_t id = 1; id <= 4; id++)
        grant(id, 60);
    first = key_of(campaign("c", 1, "one"));
    campaign_begin(&second, "c", 2, "two");
    wait_keys("c/", 2);
    campaign_begin(&third, "c", 3, "three");
    wait_keys("c/", 3);
    campaign_begin(&fourth, "c", 4, "four");
    wait_keys("c/", 4);
    rpc_cancel(third.rpc);
    ends_with(&third, 1, "context canceled");
    wait_keys("c/", 3);
    end_lease(2);
    pause_ms(50);
    assert_false(second.ended);
    told(resign(&first), 0, "");
    assert_int_equal(campaign_end(&second)->header->revision, 3);
    assert_int_equal(campaign_end(&fourth)->leader->rev, 5);
}

/* ---- campaign among very many keys ---- */

/* Others are served while one looks for who is before it; then it waits for that one. */
static void test_campaign_looks_long(void **state)
{
    static struct flow f;

    (void) state;
    grant(1, 60);
    grant(2, 60);
    put_crowd("m");
    hold_looks();
    campaign_begin(&f, "m", 1, "v");
    wait_looking(1);
    campaign("free", 2, "w");
    let_looks_go_on("m");
    del_under("m/x0");
    pause_ms(50);
    assert_false(f.ended);
    del_under("m/x");
    assert_true(is(campaign_end(&f)->leader->key, "m/1"));
}

/* One that gives up while it looks takes its key with it, also one that it has found; and so does
 * one that has looked, and waits. */
static void test_campaign_given_up_looking(void **state)
{
    static struct flow f, again;

    (void) state;
    grant(1, 60);
    put_crowd("m");
    hold_looks();
    campaign_begin(&f, "m", 1, "v");
    wait_looking(1);
    campaign_begin(&again, "m", 1, "w"); /* looks when it has changed the value */
    wait_looking(2);
    assert_int_equal(under("m/")->count, CROWD + 1);
    rpc_cancel(again.rpc);
    ends_with(&again, 1, "context canceled");
    wait_keys("m/", CROWD);
    rpc_cancel(f.rpc);
    ends_with(&f, 1, "context canceled");
    wait_none_looks();
    campaign_begin(&f, "m", 1, "v");
    wait_looking(1);
    let_looks_go_on("m");
    wait_none_looks();
    pause_ms(20);
    assert_false(f.ended);
    rpc_cancel(f.rpc);
    wait_keys("m/", CROWD);
    flow_wait_end(&f);
}

/* A deadline that passes in the middle of a look, and a connection that is lost, are a giving up,
 * too. */
static void test_campaign_lost_looking(void **state)
{
    V3electionpb__CampaignRequest q = V3ELECTIONPB__CAMPAIGN_REQUEST__INIT;

    (void) state;
    q.name = bin("m");
    q.lease = 1;
    lose_looking("/v3electionpb.Election/Campaign", &q.base);
}

/* ---- observe ---- */

static const V3electionpb__LeaderResponse *observed(struct flow *f, size_t i)
{
    ProtobufCMessage *m;

    flow_wait(f, i + 1);
    assert_true(f->n > i);
    assert_int_equal(wire_decode(&v3electionpb__leader_response__descriptor, f->messages[i],
                                 &world.arena, &m, NULL),
                     0);
    return (const V3electionpb__LeaderResponse *) m;
}

static void observe_begin(struct flow *f, const char *name)
{
    V3electionpb__LeaderRequest q = V3ELECTIONPB__LEADER_REQUEST__INIT;

    q.name = bin(name);
    begin(f, "/v3electionpb.Election/Observe", &q.base);
}

/* An observer sees who leads, each value proclaimed, and who leads next, but not those who wait. */
static void test_observe(void **state)
{
    static struct flow before, after, second;
    V3electionpb__LeaderKey first;

    (void) state;
    grant(1, 60);
    grant(2, 60);
    observe_begin(&before, "o");
    pause_ms(20);
    first = key_of(campaign("o", 1, "one"));
    assert_true(is(observed(&before, 0)->kv->value, "one"));
    assert_int_equal(observed(&before, 0)->header->revision, 2);
    observe_begin(&after, "o");
    assert_true(is(observed(&after, 0)->kv->value, "one"));
    told(proclaim(&first, "uno"), 0, "");
    campaign_begin(&second, "o", 2, "two");
    wait_keys("o/", 2);
    told(resign(&first), 0, "");
    campaign_end(&second);
    end_lease(2);
    campaign("o", 1, "again");
    for (size_t i = 1; i <= 3; i++) {
        const char *const values[] = {"one", "uno", "two", "again"};

        assert_true(is(observed(&before, i)->kv->value, values[i]));
        assert_true(is(observed(&after, i)->kv->value, values[i]));
    }
    assert_int_equal(before.n, 4);
    rpc_cancel(before.rpc);
    rpc_cancel(after.rpc);
    flow_wait_end(&before);
    flow_wait_end(&after);
}

/* An observer gets every one of many values that were proclaimed while other keys changed, in
 * order. */
static void test_observe_many(void **state)
{
    static struct flow f;
    V3electionpb__LeaderKey leader;
    char value[16];

    (void) state;
    grant(1, 60);
    leader = key_of(campaign("m", 1, "0"));
    observe_begin(&f, "m");
    observed(&f, 0);
    for (int i = 1; i <= 300; i++) {
        snprintf(value, sizeof value, "%d", i);
        told(proclaim(&leader, value), 0, "");
        put("other", value);
    }
    for (size_t i = 0; i <= 300; i++) {
        snprintf(value, sizeof value, "%zu", i);
        assert_true(is(observed(&f, i)->kv->value, value));
    }
    rpc_cancel(f.rpc);
    flow_wait_end(&f);
}

static void put_ended(struct rpc *r, const struct rpc_result *res, void *user)
{
    size_t *left = user;

    (void) r;
    assert_int_equal(res->code, 0);
    --*left;
}

static void put_begin(size_t *left)
{
    Etcdserverpb__PutRequest q = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct rpc_options o = {.path = "/etcdserverpb.KV/Put", .user = left};

    q.key = bin("busy");
    ++*left;
    assert_non_null(rpc_unary(world.channel, &o, encoded(&q.base), put_ended));
}

/* Observers that come while the store is busy read what they missed from history: each is told of
 * the leader and of the value proclaimed then. */
static void test_observe_busy_store(void **state)
{
    static struct flow f[BUSY_ROUNDS];
    V3electionpb__LeaderKey leader;
    size_t left = 0;
    char value[16];

    (void) state;
    grant(1, 60);
    leader = key_of(campaign("b", 1, "0"));
    for (size_t i = 0; i < BUSY_ROUNDS; i++) {
        for (size_t k = 0; k < 400; k++)
            put_begin(&left);
        observe_begin(&f[i], "b");
        for (size_t k = 0; k < 400; k++)
            put_begin(&left);
        observed(&f[i], 0);
        snprintf(value, sizeof value, "%zu", i + 1);
        told(proclaim(&leader, value), 0, "");
    }
    for (size_t i = 0; i < BUSY_ROUNDS; i++) {
        for (size_t k = 0; k < BUSY_ROUNDS - i; k++) {
            snprintf(value, sizeof value, "%zu", i + k);
            assert_true(is(observed(&f[i], k)->kv->value, value));
        }
        rpc_cancel(f[i].rpc);
        flow_wait_end(&f[i]);
    }
    while (left > 0)
        pause_ms(1);
}

/* Among very many keys the next leader is looked for in slices, during which others are served;
 * what becomes of the keys meanwhile is told afterwards, each change once and in order. */
static void test_observe_looks_long(void **state)
{
    const char *const keys[] = {"l/1", "l/x000", "l/x000", "l/x001", "l/x001", "l/x001", "l/x002"};
    const char *const values[] = {"one", "", "a", "", "b", "c", ""};
    static struct flow f;
    V3electionpb__LeaderKey first;

    (void) state;
    grant(1, 60);
    first = key_of(campaign("l", 1, "one"));
    put_crowd("l");
    observe_begin(&f, "l");
    observed(&f, 0);
    told(resign(&first), 0, "");
    observed(&f, 1);
    put("l/x000", "a");
    observed(&f, 2);
    hold_looks();
    del("l/x000");
    wait_looking(1);
    put("l/x001", "b");
    put("l/x500", "not the leader's");
    put("l/x001", "c");
    del("l/x001");
    let_looks_go_on("l");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        assert_true(is(observed(&f, i)->kv->key, keys[i]));
        assert_true(is(observed(&f, i)->kv->value, values[i]));
    }
    pause_ms(50);
    assert_int_equal(f.n, ARRAY_LEN(keys));
    rpc_cancel(f.rpc);
    flow_wait_end(&f);
}

/* Canceled, or with its connection: in the first look and in a later one. */
static void test_observe_lost_looking(void **state)
{
    V3electionpb__LeaderRequest q = V3ELECTIONPB__LEADER_REQUEST__INIT;
    static struct flow begins, follows, lost;
    struct channel *own;

    (void) state;
    put_crowd("l");
    observe_begin(&follows, "l");
    observed(&follows, 0);
    pause_ms(20); /* until it follows: if it does not yet, it looks only once */
    hold_looks();
    observe_begin(&begins, "l");
    wait_looking(1);
    del("l/x000");
    wait_looking(2);
    q.name = bin("l");
    own = begin_alone(&lost, "/v3electionpb.Election/Observe", &q.base);
    wait_looking(3);
    rpc_cancel(begins.rpc);
    flow_wait_end(&begins);
    wait_looking(2);
    rpc_cancel(follows.rpc);
    flow_wait_end(&follows);
    wait_looking(1);
    channel_free(own);
    wait_none_looks();
    let_looks_go_on("l");
    assert_int_equal(begins.n, 0);
    assert_int_equal(follows.n, 1);
}

/* A deadline that passes in the middle of a look ends the stream in the words of any deadline: the
 * gateway's client has none of its own. */
static void test_observe_deadline_looking(void **state)
{
    const char *answer;

    (void) state;
    put_crowd("l");
    hold_looks();
    answer = http_ask("POST", "/v3/election/observe",
                      "Grpc-Timeout: 100m\r\nContent-Length: 15\r\n\r\n{\"name\":\"bA==\"}");
    assert_non_null(strstr(answer, "context deadline exceeded"));
    wait_none_looks();
    let_looks_go_on("l");
}

/* The member stops while one campaigns and another observes: both end, and it does. */
static void test_stop_while_waiting(void **state)
{
    static struct flow campaigning, observing;
    const char *const args[] = {"--election-timeout=100", "--heartbeat-interval=10", NULL};

    (void) state;
    world_close();
    world_open(args);
    grant(1, 60);
    grant(2, 60);
    campaign("s", 1, "x");
    campaign_begin(&campaigning, "s", 2, "y");
    observe_begin(&observing, "s");
    observed(&observing, 0);
    rpc_cancel(campaigning.rpc);
    rpc_cancel(observing.rpc);
    flow_wait_end(&observing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_campaign, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_proclaim_and_resign, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_campaign_queue, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_observe, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_observe_many, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_observe_busy_store, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_campaign_looks_long, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_campaign_given_up_looking, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(test_campaign_lost_looking, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_observe_looks_long, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_observe_lost_looking, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_observe_deadline_looking, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_stop_while_waiting, world_setup, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
