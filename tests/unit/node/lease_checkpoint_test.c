/* What leases have left is recorded through the log, and the next leader begins with that. */
#include "lib/node/pair.h"
#include "node/node_int.h"
#include "unit/node/lone.h"

#define LEASE 77
#define TTL_S 3600
#define INTERVAL_S (NODE_LEASE_CHECKPOINT_MS / 1000)

static void with_gate(struct node_config *c)
{
    c->lease_checkpoint = true;
}

/* ---- another leader ---- */

static void grant(struct pair *p, int64_t id, int64_t ttl_s)
{
    Etcdserverpb__LeaseGrantRequest m = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    struct call *c;

    m.id = id;
    m.ttl = ttl_s;
    c = member_submit(&p->side[0].m, NODE_OP_LEASE_GRANT, &m.base);
    pair_run(p, 20000, &c->answered);
    assert_true(c->answered);
    assert_int_equal(c->r.result.err, API_OK);
    call_free(c);
}

static struct call *asked(struct pair *p, int side, enum node_request_kind kind)
{
    struct call *c = xmem_calloc(1, sizeof *c);
    struct member *m = &p->side[side].m;

    c->r = (struct node_request){.kind = kind,
                                 .sink = &m->sink,
                                 .arena = arena_new((size_t) 1 << 20),
                                 .lease_id = LEASE,
                                 .target = p->side[1 - side].id};
    node_submit(m->node, &c->r);
    pair_run(p, 20000, &c->answered);
    assert_true(c->answered);
    assert_int_equal(c->r.result.err, API_OK);
    assert_int_equal(c->r.result.code, GRPC_OK);
    return c;
}

static void hand_over(struct pair *p, int from)
{
    call_free(asked(p, from, NODE_REQ_MOVE_LEADER));
    pair_run(p, 100, NULL);
    assert_true(p->side[1 - from].m.node->apply.is_primary);
}

static int64_t left_s(struct pair *p, int side)
{
    struct call *c = asked(p, side, NODE_REQ_LEASE_TTL);
    int64_t ttl = ((Etcdserverpb__LeaseTimeToLiveResponse *) c->r.result.msg)->ttl;

    call_free(c);
    return ttl;
}

static struct pair *two(uint64_t seed, void (*configure)(struct node_config *c))
{
    struct pair *p = test_malloc(sizeof *p);

    pair_init(p, seed, 1, 10, configure);
    pair_add(p, PAIR_VOTER);
    assert_true(pair_start(p));
    assert_true(pair_agree(p, 20000));
    return p;
}

static void end(struct pair *p)
{
    pair_done(p);
    test_free(p);
}

/* A lease of an hour, ten minutes and a half later: the next leader gives it what was left at the
 * last record, the one after that begins there, too; and what lasts no longer than the interval is
 * not recorded. */
static void the_next_leader_goes_on_where_the_last_one_was(void **state)
{
    struct pair *p = two(1, with_gate);

    (void) state;
    grant(p, LEASE, TTL_S);
    grant(p, LEASE + 1, INTERVAL_S);
    pair_run(p, (2 * INTERVAL_S + 30) * INT64_C(1000), NULL);
    assert_in_range(left_s(p, 0), TTL_S - 2 * INTERVAL_S - 31, TTL_S - 2 * INTERVAL_S - 29);
    hand_over(p, 0);
    assert_in_range(left_s(p, 1), TTL_S - 2 * INTERVAL_S - 1, TTL_S - 2 * INTERVAL_S + 1);
    hand_over(p, 1);
    assert_in_range(left_s(p, 0), TTL_S - 2 * INTERVAL_S - 1, TTL_S - 2 * INTERVAL_S + 1);
    end(p);
}

/* Who keeps it alive has all of it again, at this leader and at the next. */
static void a_keep_alive_forgets_the_record(void **state)
{
    struct pair *p = two(2, with_gate);

    (void) state;
    grant(p, LEASE, TTL_S);
    pair_run(p, (INTERVAL_S + 30) * INT64_C(1000), NULL);
    call_free(asked(p, 0, NODE_REQ_LEASE_KEEPALIVE));
    assert_in_range(left_s(p, 0), TTL_S - 1, TTL_S);
    hand_over(p, 0);
    assert_in_range(left_s(p, 1), TTL_S - 1, TTL_S + 1);
    end(p);
}

/* Without the gate, as without the gate in etcd: the next leader begins anew, and the log holds
 * nothing of it. */
static void without_the_gate_nothing_is_recorded(void **state)
{
    struct pair *p = two(3, NULL);
    raft_index before;

    (void) state;
    grant(p, LEASE, TTL_S);
    before = p->side[0].m.node->apply.applied;
    pair_run(p, (INTERVAL_S + 30) * INT64_C(1000), NULL);
    assert_int_equal(p->side[0].m.node->apply.applied, before);
    hand_over(p, 0);
    assert_in_range(left_s(p, 1), TTL_S - 1, TTL_S + 1);
    end(p);
}

/* ---- many leases ---- */

/* Leases that are due within seconds go into few entries, of LEASE_CHECKPOINT_MAX each at most. */
static void many_leases_take_few_entries(void **state)
{
    struct simdisk *disk = simdisk_new(4);
    struct member *m = lone_new(disk, 4);
    Etcdserverpb__LeaseGrantRequest g = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    struct lease_info info;
    raft_index before;

    (void) state;
    m->cfg.lease_checkpoint = true;
    lone_open(m);
    g.ttl = TTL_S;
    for (g.id = 1; g.id <= 2 * LEASE_CHECKPOINT_MAX + 1; g.id++)
        call_free(member_propose(m, NODE_OP_LEASE_GRANT, &g.base));
    before = m->node->apply.applied;
    assert_true(member_run(m, (INTERVAL_S + 30) * INT64_C(1000), NULL));
    assert_in_range(m->node->apply.applied - before, 3, 20);
    for (g.id = 1; g.id <= 2 * LEASE_CHECKPOINT_MAX + 1; g.id++) {
        assert_int_equal(lease_lookup(m->node->apply.lessor, g.id, m->now / 1000000, &info), 0);
        assert_in_range(info.remaining_ttl_s, TTL_S - INTERVAL_S - 2, TTL_S - INTERVAL_S + 1);
    }
    lone_end(m, disk);
}

/* ---- on disk ---- */

static int64_t recorded_after_a_start(uint64_t seed, enum node_level level, bool persist)
{
    struct simdisk *disk = simdisk_new(seed);
    struct member *m = lone_new(disk, seed);
    Etcdserverpb__LeaseGrantRequest g = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    struct lease_info info;

    m->cfg.level = level;
    m->cfg.lease_checkpoint = true;
    m->cfg.lease_checkpoint_persist = persist;
    lone_open(m);
    g.id = LEASE;
    g.ttl = TTL_S;
    call_free(member_propose(m, NODE_OP_LEASE_GRANT, &g.base));
    assert_true(member_run(m, (INTERVAL_S + 30) * INT64_C(1000), NULL));
    member_close(m);
    lone_open(m);
    assert_int_equal(lease_lookup(m->node->apply.lessor, LEASE, m->now / 1000000, &info), 0);
    lone_end(m, disk);
    return info.remaining_ttl_s;
}

/* From cluster version 3.6 on the record is on disk, below that where the second gate says so. */
static void the_record_outlives_a_stop(void **state)
{
    (void) state;
    assert_in_range(recorded_after_a_start(5, NODE_LEVEL_3_7, false), TTL_S - INTERVAL_S - 1,
                    TTL_S - INTERVAL_S + 1);
    assert_int_equal(recorded_after_a_start(6, NODE_LEVEL_3_5, false), 0);
    assert_in_range(recorded_after_a_start(7, NODE_LEVEL_3_5, true), TTL_S - INTERVAL_S - 1,
                    TTL_S - INTERVAL_S + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_leader_goes_on_where_the_last_one_was),
        cmocka_unit_test(a_keep_alive_forgets_the_record),
        cmocka_unit_test(without_the_gate_nothing_is_recorded),
        cmocka_unit_test(many_leases_take_few_entries),
        cmocka_unit_test(the_record_outlives_a_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
