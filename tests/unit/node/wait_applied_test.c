/* A leader that has committed more than it has applied: what it says of leases and members that it
 * does not know yet. */
#include "node/node_int.h"
#include "unit/node/lone.h"

#define LEASE 77
#define TTL_S 1000

/* A lease is committed, and its entry kept from the apply actor, which goes on otherwise. */
struct behind {
    struct simdisk *disk;
    struct member *m;
    struct call *grant;
    struct mpsc_node *jobs;
};

static void fall_behind(struct behind *b)
{
    Etcdserverpb__LeaseGrantRequest grant = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;

    b->disk = simdisk_new(1);
    b->m = lone_fresh(b->disk, 1);
    grant.id = LEASE;
    grant.ttl = TTL_S;
    b->m->held[NODE_APPLY] = true;
    b->grant = member_submit(b->m, NODE_OP_LEASE_GRANT, &grant.base);
    for (int i = 0; i < 50; i++) {
        while (member_turn(b->m)) {
        }
        b->m->now += 1000000;
    }
    b->jobs = mpsc_take(&b->m->node->apply.jobs);
    assert_non_null(b->jobs);
    assert_true(atomic_load(&b->m->node->pub.commit) > b->m->node->apply.applied);
    b->m->held[NODE_APPLY] = false;
}

static void catch_up(struct behind *b)
{
    for (struct mpsc_node *x = b->jobs, *next; x != NULL; x = next) {
        next = x->next;
        mpsc_push(&b->m->node->apply.jobs, x);
    }
    b->m->woken[NODE_APPLY] = true;
    assert_true(member_run(b->m, 50, &b->grant->answered));
    assert_int_equal(b->grant->r.result.err, API_OK);
}

static void end(struct behind *b)
{
    call_free(b->grant);
    lone_end(b->m, b->disk);
}

static struct call *asked(struct behind *b, enum node_request_kind kind,
                          struct cluster_change *change)
{
    struct call *c = test_calloc(1, sizeof *c);

    c->r = (struct node_request){.kind = kind,
                                 .sink = &b->m->sink,
                                 .arena = arena_new((size_t) 1 << 20),
                                 .lease_id = LEASE,
                                 .change = change};
    node_submit(b->m->node, &c->r);
    return c;
}

static void drop(struct call *c)
{
    arena_free(c->r.arena);
    test_free(c);
}

/* It waits a second, and then says that it does not know: a client that heard "there is none" would
 * give up a lease that lives. */
static void nobody_is_told_that_there_is_none(void **state)
{
    static const enum node_request_kind kinds[] = {NODE_REQ_LEASE_KEEPALIVE, NODE_REQ_LEASE_TTL,
                                                   NODE_REQ_MEMBER_CHANGE};
    struct cluster_change promote = {.type = RAFT_CONF_ADD_NODE, .promote = true};
    struct behind b;

    (void) state;
    promote.member.id = 5;
    fall_behind(&b);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct call *c = asked(&b, kinds[i], &promote);

        assert_true(member_run(b.m, 900, &c->answered));
        assert_false(c->answered);
        assert_true(member_run(b.m, 300, &c->answered));
        assert_true(c->answered);
        assert_int_equal(c->r.result.err, API_TIMEOUT_WAIT_APPLIED_INDEX);
        drop(c);
    }
    catch_up(&b);
    end(&b);
}

/* Once it has caught up within that second it answers, whatever is true then. */
static void what_comes_in_time_is_seen(void **state)
{
    struct cluster_change promote = {.type = RAFT_CONF_ADD_NODE, .promote = true};
    struct call *alive, *gone, *there;
    struct behind b;

    (void) state;
    promote.member.id = 5;
    fall_behind(&b);
    alive = asked(&b, NODE_REQ_LEASE_KEEPALIVE, NULL);
    there = asked(&b, NODE_REQ_LEASE_TTL, NULL);
    gone = asked(&b, NODE_REQ_MEMBER_CHANGE, &promote);
    assert_true(member_run(b.m, 500, NULL));
    catch_up(&b);
    assert_true(member_run(b.m, 50, NULL));
    assert_true(alive->answered);
    assert_int_equal(((Etcdserverpb__LeaseKeepAliveResponse *) alive->r.result.msg)->ttl, TTL_S);
    assert_true(there->answered);
    assert_int_equal(((Etcdserverpb__LeaseTimeToLiveResponse *) there->r.result.msg)->grantedttl,
                     TTL_S);
    assert_true(gone->answered);
    assert_int_equal(gone->r.result.err, API_MEMBER_NOT_FOUND);
    drop(alive);
    drop(there);
    drop(gone);
    end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_told_that_there_is_none),
        cmocka_unit_test(what_comes_in_time_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
