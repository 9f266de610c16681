/* What is answered without the log, and what a member asks and proposes of its own accord. */
#include "lib/node/others.h"
#include "node/node_int.h"
#include "unit/node/lone.h"

#define LEASE 77
#define LEASES 30
#define KEYS 100

static struct member *fresh(struct simdisk *disk, uint64_t seed, uint32_t request_bytes_max)
{
    struct member *m = lone_new(disk, seed);

    if (request_bytes_max != 0)
        m->cfg.request_bytes_max = request_bytes_max;
    lone_open(m);
    return m;
}

/* ---- an answer is whole, or there is none ---- */

static void fill(struct member *m)
{
    Etcdserverpb__LeaseGrantRequest grant = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    char key[16];

    grant.ttl = 1000;
    for (int i = 0; i < LEASES; i++) {
        grant.id = LEASE + i;
        call_free(member_propose(m, NODE_OP_LEASE_GRANT, &grant.base));
    }
    put.lease = LEASE;
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "key%d", i);
        put.key = wire_binary(bytes_str(key));
        call_free(member_propose(m, NODE_OP_PUT, &put.base));
    }
}

/* How much of it is there: members, leases, or keys of the lease; 0: it was refused. */
static size_t asked_with(struct member *m, enum node_request_kind kind, size_t arena_bytes)
{
    struct call c = {.r = {.kind = kind,
                           .sink = &m->sink,
                           .arena = arena_new(arena_bytes),
                           .lease_id = LEASE,
                           .keys = true}};
    const void *msg;
    size_t n = 0;

    assert_non_null(c.r.arena);
    node_submit(m->node, &c.r);
    assert_true(member_run(m, 1000, &c.answered));
    assert_true(c.answered);
    msg = c.r.result.msg;
    if (c.r.result.code != GRPC_OK)
        assert_int_equal(c.r.result.code, GRPC_RESOURCE_EXHAUSTED);
    else if (kind == NODE_REQ_MEMBER_LIST)
        n = ((const Etcdserverpb__MemberListResponse *) msg)->n_members;
    else if (kind == NODE_REQ_LEASE_LIST)
        n = ((const Etcdserverpb__LeaseLeasesResponse *) msg)->n_leases;
    else
        n = ((const Etcdserverpb__LeaseTimeToLiveResponse *) msg)->n_keys;
    if (c.r.result.code == GRPC_OK)
        assert_int_not_equal(n, 0);
    arena_free(c.r.arena);
    return n;
}

static void is_whole_or_refused(struct member *m, enum node_request_kind kind, size_t whole)
{
    size_t n = 0, refused = 0;

    for (size_t bytes = 64; n != whole; bytes += 64) {
        assert_true(bytes < 1 << 20);
        n = asked_with(m, kind, bytes);
        assert_true(n == 0 || n == whole);
        refused += n == 0;
    }
    assert_int_not_equal(refused, 0);
}

/* A list that does not fit into its call's memory is refused, whatever part of it did not: an empty
 * one would say that there is nothing. */
static void a_list_is_whole_or_refused(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct member *m = fresh(disk, 1, 0);

    (void) state;
    fill(m);
    is_whole_or_refused(m, NODE_REQ_MEMBER_LIST, 1);
    is_whole_or_refused(m, NODE_REQ_LEASE_LIST, LEASES);
    is_whole_or_refused(m, NODE_REQ_LEASE_TTL, KEYS);
    lone_end(m, disk);
}

/* ---- the leader is asked ---- */

static struct node_question *asked;

static void on_ask(void *ctx, struct node_question *q)
{
    (void) ctx;
    asked = q;
}

static int64_t time_to_answer_ms(struct others *o, struct node_request *r)
{
    int64_t ms;

    asked = NULL;
    r->sink = &o->m.sink;
    r->arena = arena_new((size_t) 1 << 20);
    node_submit(o->m.node, r);
    others_settle(o);
    assert_non_null(asked);
    ms = asked->timeout_ms;
    node_end_waits(o->m.node);
    asked->done(asked, 0, BYTES_EMPTY);
    others_settle(o);
    return ms;
}

/* The leader has as long to promote as the client has: a second question, after the first one was
 * given up and yet obeyed, would be told that there is no such learner. */
static void a_promotion_is_asked_for_once(void **state)
{
    struct raft_message heartbeat = {.type = RAFT_MSG_HEARTBEAT, .term = 100};
    struct cluster_change promote = {.type = RAFT_CONF_ADD_NODE, .promote = true};
    struct call c = {.r = {.kind = NODE_REQ_MEMBER_CHANGE, .change = &promote}};
    struct others *o = test_malloc(sizeof *o);

    (void) state;
    others_init(o, 2);
    o->transport.ask = on_ask;
    others_say(o, 0, &heartbeat);
    others_settle(o);
    assert_int_equal(node_leader(o->m.node), o->id[0]);
    promote.member.id = 5;
    assert_true(time_to_answer_ms(o, &c.r) > 5000);
    assert_true(c.answered);
    arena_free(c.r.arena);
    others_done(o);
    test_free(o);
}

/* ---- proposals of its own ---- */

/* What a client may send is no limit for what a member has to say: it publishes itself and decides
 * the version. */
static void its_own_proposals_are_no_clients(void **state)
{
    struct simdisk *disk = simdisk_new(3);
    struct member *m = fresh(disk, 3, 1);
    struct node_status st;

    (void) state;
    node_status(m->node, &st);
    assert_true(st.ready);
    assert_int_equal(st.cluster_version, 3 << 16 | 7);
    lone_end(m, disk);
}

/* Asking for all leases again and again, with no entry in between, gathers no memory. */
static void lists_leave_nothing_behind(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct member *m = fresh(disk, 1, 0);

    (void) state;
    fill(m);
    assert_int_equal(asked_with(m, NODE_REQ_LEASE_LIST, 1 << 20), LEASES);
    assert_int_equal(m->node->apply.scratch.used_bytes, 0);
    lone_end(m, disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_is_whole_or_refused),
        cmocka_unit_test(a_promotion_is_asked_for_once),
        cmocka_unit_test(its_own_proposals_are_no_clients),
        cmocka_unit_test(lists_leave_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
