#include "lib/cm.h"
#include "lib/node/others.h"
#include "node/node_int.h"

#define LEASE 77
#define TTL_S 5

static void grant(struct others *o)
{
    Etcdserverpb__LeaseGrantRequest m = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    struct call *c;

    m.id = LEASE;
    m.ttl = TTL_S;
    c = member_propose(&o->m, 8, &m.base);
    assert_true(c->answered);
    assert_int_equal(c->r.result.err, API_OK);
    call_free(c);
}

static struct call *keep_alive(struct others *o)
{
    struct call *c = test_calloc(1, sizeof *c);

    c->r = (struct node_request){.kind = NODE_REQ_LEASE_KEEPALIVE,
                                 .sink = &o->m.sink,
                                 .arena = arena_new((size_t) 1 << 20),
                                 .lease_id = LEASE};
    node_submit(o->m.node, &c->r);
    return c;
}

/* A leader with a lease stands still until the lease's time is over, and the others are gone. */
static struct others *stands_still(uint64_t seed)
{
    struct others *o = test_malloc(sizeof *o);

    others_init(o, seed);
    others_elect(o);
    grant(o);
    assert_true(member_run(&o->m, 1000, NULL));
    o->silent = true;
    o->kept_n = 0;
    o->m.now += (TTL_S + 1) * INT64_C(1000000000);
    return o;
}

static void end(struct others *o, struct call *c)
{
    others_done(o);
    if (c != NULL) {
        arena_free(c->r.arena);
        test_free(c);
    }
    test_free(o);
}

/* What it is asked first waits until a quorum has answered: then it does lead, and the lease has
 * new time. */
static void a_leader_that_stood_still_proves_that_it_leads(void **state)
{
    struct others *o = stands_still(1);
    struct call *c = keep_alive(o);

    (void) state;
    others_settle(o);
    assert_false(c->answered);
    assert_true(others_got(o, RAFT_MSG_HEARTBEAT, NULL) > 0);
    o->silent = false;
    assert_true(member_run(&o->m, 2000, &c->answered));
    assert_true(c->answered);
    assert_int_equal(c->r.result.err, API_OK);
    end(o, c);
}

/* Meanwhile it ends no lease, however late that one is: the next leader has given it new time.
 * With the proof it does. */
static void it_ends_no_lease_meanwhile(void **state)
{
    struct others *o = stands_still(2);

    (void) state;
    for (int i = 0; i < 5; i++) {
        assert_true(member_run(&o->m, 100, NULL));
        assert_int_equal(atomic_load(&o->m.node->apply.revokes), 0);
    }
    assert_int_equal(lessor_count(o->m.node->apply.lessor), 1);
    o->silent = false;
    assert_true(member_run(&o->m, 2000, NULL));
    assert_int_equal(lessor_count(o->m.node->apply.lessor), 0);
    end(o, NULL);
}

/* The others have another leader by then: whoever asked hears nothing from the one of yesterday. */
static void a_leader_of_yesterday_keeps_nothing_alive(void **state)
{
    struct others *o = stands_still(3);
    struct call *c = keep_alive(o);
    struct raft_message m = {.type = RAFT_MSG_HEARTBEAT, .term = 100};

    (void) state;
    others_settle(o);
    assert_false(c->answered);
    others_say(o, 0, &m);
    others_settle(o);
    assert_int_equal(node_leader(o->m.node), o->id[0]);
    assert_true(member_run(&o->m, 20000, &c->answered));
    assert_true(c->answered);
    assert_int_not_equal(c->r.result.err, API_OK);
    end(o, c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leader_that_stood_still_proves_that_it_leads),
        cmocka_unit_test(it_ends_no_lease_meanwhile),
        cmocka_unit_test(a_leader_of_yesterday_keeps_nothing_alive),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
