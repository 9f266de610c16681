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

/* ---- many at once ---- */

/* So many queries at once are answered in their order, in several turns, so that what is committed
 * meanwhile does not wait for all of them. */
static void many_queries(void **state)
{
    enum { ALL = 2 * NODE_APPLY_TURN_QUERY_UNITS_MAX + 10 };
    struct simdisk *disk = simdisk_new(3);
    struct member *m = fresh(disk, 3, 0);
    struct call *all = xmem_calloc(ALL, sizeof *all);
    size_t first = m->answered;
    size_t turns = 0;

    (void) state;
    for (size_t i = 0; i < ALL; i++) {
        all[i].r = (struct node_request){
            .kind = NODE_REQ_WAIT_APPLIED, .sink = &m->sink, .target = 1};
        node_submit(m->node, &all[i].r);
    }
    while (m->answered - first < ALL) {
        size_t before = m->answered;

        node_run(m->node, NODE_APPLY, m->now, 0);
        turns++;
        assert_true(m->answered - before <= NODE_APPLY_TURN_QUERY_UNITS_MAX);
        assert_true(m->answered > before);
    }
    assert_int_equal(turns, 3);
    mem_free(all);
    lone_end(m, disk);
}

/* A thousand that wait for entries to come, each with its own, come back in the order of the
 * entries, and those whose entry does not come when their time is over. */
static void many_that_wait(void **state)
{
    enum { ALL = 1000 };
    struct simdisk *disk = simdisk_new(4);
    struct member *m = fresh(disk, 4, 0);
    struct call *all = xmem_calloc(ALL, sizeof *all);
    size_t first = m->answered;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct node_status st;

    (void) state;
    put.key = wire_binary(bytes_str("k"));
    node_status(m->node, &st);
    for (size_t i = 0; i < ALL; i++) {
        all[i].r = (struct node_request){.kind = NODE_REQ_WAIT_APPLIED,
                                         .sink = &m->sink,
                                         .target = i % 2 == 0 ? UINT64_MAX : st.applied + 1 + i};
        node_submit(m->node, &all[i].r);
    }
    member_run(m, 10, NULL);
    assert_int_equal(m->answered, first);
    for (size_t i = 0; i < 10; i++)
        call_free(member_propose(m, NODE_OP_PUT, &put.base));
    for (size_t i = 0; i < 12; i++)
        assert_int_equal(all[i].answered, i % 2 == 1 && i < 10);
    member_run(m, 10000, NULL);
    for (size_t i = 0; i < ALL; i++)
        assert_int_equal(all[i].r.result.err,
                         i % 2 == 1 && i < 10 ? API_OK : API_TIMEOUT_WAIT_APPLIED_INDEX);
    mem_free(all);
    lone_end(m, disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_is_whole_or_refused),
        cmocka_unit_test(a_promotion_is_asked_for_once),
        cmocka_unit_test(its_own_proposals_are_no_clients),
        cmocka_unit_test(lists_leave_nothing_behind),
        cmocka_unit_test(many_queries),
        cmocka_unit_test(many_that_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
