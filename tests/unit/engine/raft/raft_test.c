/* The interface of the core: what it refuses, and the ways of its owner. */
#include "unit/engine/raft/owner.h"

/* A configuration that cannot work is refused with words. */
static void bad_configurations(void **state)
{
    struct owner o;
    struct raft *r = NULL;
    struct err e = ERR_INIT;

    (void) state;
    owner_init(&o, 3);
#define REFUSES(change)                                          \
    do {                                                         \
        struct raft_config c = o.config;                         \
        change;                                                  \
        assert_int_equal(raft_new(&c, &r, &e), ERR_RAFT_CONFIG); \
        assert_true(strlen(e.msg) > 0);                          \
        assert_null(r);                                          \
    } while (0)
    REFUSES(c.id = RAFT_NONE);
    REFUSES(c.id = RAFT_LOCAL_APPLY_THREAD);
    REFUSES(c.heartbeat_tick = 0);
    REFUSES(c.election_tick = 1);
    REFUSES(c.storage = NULL);
    REFUSES(c.random.below = NULL);
    REFUSES(c.inflight_max = 0);
    REFUSES(c.inflight_max = RAFT_INFLIGHT_MAX + 1u);
    REFUSES(c.inflight_bytes_max = 1);
    REFUSES(c.read_only = RAFT_READ_ONLY_LEASE_BASED);
    REFUSES(c.applied = 2);
    assert_int_equal(raft_memory_storage_create_snapshot(o.memory, 1, NULL, BYTES_EMPTY),
                     ERR_RAFT_SNAPSHOT_OUT_OF_DATE);
    owner_done(&o);
}

/* Members that storage names and that contradict one another are refused. */
static void bad_members_in_storage(void **state)
{
    struct owner o;
    struct raft *r = NULL;
    raft_id learners[] = {1};
    struct raft_snapshot s = {
        .meta = {.index = 1, .term = 1, .conf_state.learners = {learners, 1}}};

    (void) state;
    owner_init(&o, 0);
    assert_int_equal(raft_memory_storage_apply_snapshot(o.memory, &s), 0);
    assert_int_equal(raft_new(&o.config, &r, NULL), ERR_RAFT_CONFIG);
    owner_done(&o);
}

/* A new cluster of one member comes into being, elects itself after its timeout and commits. */
static void a_cluster_of_one(void **state)
{
    struct owner o;
    struct raft_peer self = {1, BYTES_LIT("member")};
    struct raft_update u;

    (void) state;
    owner_begin(&o, 0);
    assert_int_equal(raft_bootstrap(o.raft, NULL, 0, NULL), ERR_RAFT_CONFIG);
    assert_int_equal(raft_bootstrap(o.raft, &self, 1, NULL), 0);
    assert_int_equal(raft_bootstrap(o.raft, &self, 1, NULL), ERR_RAFT_CONFIG);
    raft_take_update(o.raft, &u);
    assert_true(u.hard_changed);
    assert_int_equal(u.hard.commit, 1);
    assert_int_equal(u.entries_n, 1);
    assert_true(u.must_sync);
    assert_true(raft_update_stores(&u));
    raft_memory_storage_append(o.memory, u.entries, u.entries_n);
    raft_stored(o.raft, &u.stored);
    run(&o);
    assert_int_equal(o.applied, 1);
    for (int i = 0; i < 9; i++)
        raft_tick(o.raft);
    assert_int_equal(raft_get_state(o.raft), RAFT_FOLLOWER);
    raft_tick(o.raft);
    run(&o);
    assert_int_equal(raft_get_state(o.raft), RAFT_LEADER);
    assert_true(raft_is_single_voter(o.raft));
    assert_int_equal(propose(&o, 10), 0);
    run(&o);
    assert_int_equal(o.applied, 3);
    assert_int_equal(raft_get_commit(o.raft), 3);
    assert_int_equal(raft_get_applied(o.raft), 3);
    owner_done(&o);
}

/* Too many founding members are refused. */
static void too_many_founders(void **state)
{
    struct owner o;
    struct raft_peer peers[RAFT_MEMBERS_MAX + 1];
    struct err e = ERR_INIT;

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(peers); i++)
        peers[i] = (struct raft_peer){.id = i + 1};
    owner_begin(&o, 0);
    assert_int_equal(raft_bootstrap(o.raft, peers, ARRAY_LEN(peers), &e), ERR_RAFT_CONF_CHANGE);
    owner_done(&o);
}

/* Local types from outside, answers of strangers and messages without a term change nothing. */
static void strange_messages(void **state)
{
    static const enum raft_message_type local[] = {RAFT_MSG_HUP,
                                                   RAFT_MSG_BEAT,
                                                   RAFT_MSG_UNREACHABLE,
                                                   RAFT_MSG_SNAP_STATUS,
                                                   RAFT_MSG_CHECK_QUORUM,
                                                   RAFT_MSG_STORAGE_APPEND,
                                                   RAFT_MSG_STORAGE_APPEND_RESP,
                                                   RAFT_MSG_STORAGE_APPLY,
                                                   RAFT_MSG_STORAGE_APPLY_RESP};
    struct raft_message m = {.from = 2, .to = 1, .term = 5};
    static const uint8_t huge[RAFT_CONTEXT_BYTES_MAX + 1];
    struct owner o;

    (void) state;
    owner_begin(&o, 3);
    for (size_t i = 0; i < ARRAY_LEN(local); i++) {
        m.type = local[i];
        assert_int_equal(raft_step(o.raft, &m), ERR_RAFT_STEP_LOCAL);
    }
    m = (struct raft_message){.type = RAFT_MSG_VOTE_RESP, .from = 9, .term = 5};
    assert_int_equal(raft_step(o.raft, &m), ERR_RAFT_PEER_NOT_FOUND);
    for (int t = 0; t < RAFT_MSG_END; t++) {
        m = (struct raft_message){.type = (enum raft_message_type) t, .from = 2};
        if (t != RAFT_MSG_PROP)
            (void) !raft_step(o.raft, &m);
    }
    m = (struct raft_message){
        .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 5, .context = {huge, sizeof huge}};
    assert_int_equal(raft_step(o.raft, &m), 0);
    assert_int_equal(raft_get_term(o.raft), 0);
    assert_false(raft_has_update(o.raft));
    owner_done(&o);
}

/* A member that lost its last terms in a power cut asks for pre-votes again; the answer to what it
 * asked before, for a higher term than the next, is counted and stops nothing. */
static void pre_vote_of_an_earlier_life(void **state)
{
    struct owner o;

    (void) state;
    owner_init(&o, 3);
    o.config.pre_vote = true;
    owner_start(&o);
    raft_campaign(o.raft);
    run(&o);
    assert_int_equal(raft_get_state(o.raft), RAFT_PRE_CANDIDATE);
    step(&o, (struct raft_message){
                 .type = RAFT_MSG_PRE_VOTE_RESP, .from = 2, .term = raft_get_term(o.raft) + 3});
    assert_int_equal(raft_get_state(o.raft), RAFT_CANDIDATE);
    assert_int_equal(raft_get_term(o.raft), 1);
    owner_done(&o);
}

/* A request for votes leaves when the term, the vote and the log that it names are stored, if the
 * owner wants it so; that of a transfer keeps its context beyond the update that it came with. */
static void vote_requests_wait(void **state)
{
    struct raft_message kept[3];
    struct raft_update u;
    struct owner o;

    (void) state;
    owner_init(&o, 3);
    o.config.vote_requests_after_store = true;
    owner_start(&o);
    step(&o, (struct raft_message){.type = RAFT_MSG_TIMEOUT_NOW, .from = 2, .term = 1});
    assert_int_equal(raft_get_state(o.raft), RAFT_CANDIDATE);
    raft_take_update(o.raft, &u);
    assert_int_equal(u.messages_n, 0);
    assert_int_equal(u.after_store_n, 3);
    assert_true(u.must_sync);
    memcpy(kept, u.after_store, sizeof kept);
    raft_stored(o.raft, &u.stored);
    step(&o, kept[0].to == 1 ? kept[0] : kept[1].to == 1 ? kept[1] : kept[2]);
    raft_tick(o.raft);
    run(&o);
    for (size_t i = 0; i < 3; i++) {
        bool asks = kept[i].to != 1;

        assert_int_equal(kept[i].type, asks ? RAFT_MSG_VOTE : RAFT_MSG_VOTE_RESP);
        if (asks)
            assert_true(bytes_eq(kept[i].context, BYTES_LIT("CampaignTransfer")));
    }
    owner_done(&o);
}

/* With synchronous writes raft_advance acknowledges, and steps what is addressed to oneself. */
static void synchronous(void **state)
{
    struct owner o;
    struct raft_update u;

    (void) state;
    owner_init(&o, 1);
    o.config.async_storage_writes = false;
    owner_start(&o);
    raft_campaign(o.raft);
    while (raft_has_update(o.raft)) {
        raft_take_update(o.raft, &u);
        raft_memory_storage_append(o.memory, u.entries, u.entries_n);
        apply(&o, u.committed, u.committed_n);
        raft_advance(o.raft);
    }
    assert_int_equal(raft_get_applied(o.raft), 2);
    owner_done(&o);
}

/* The acknowledgements may also come as messages of the storage threads. */
static void acknowledged_by_messages(void **state)
{
    struct owner o;
    struct raft_update u;
    struct raft_message m;

    (void) state;
    owner_begin(&o, 1);
    raft_campaign(o.raft);
    while (raft_has_update(o.raft)) {
        raft_take_update(o.raft, &u);
        raft_memory_storage_append(o.memory, u.entries, u.entries_n);
        for (size_t i = 0; i < u.after_store_n; i++)
            step(&o, u.after_store[i]);
        m = (struct raft_message){.type = RAFT_MSG_STORAGE_APPEND_RESP,
                                  .from = RAFT_LOCAL_APPEND_THREAD,
                                  .term = u.stored.term,
                                  .index = u.stored.index,
                                  .log_term = u.stored.log_term};
        step(&o, m);
        m = (struct raft_message){.type = RAFT_MSG_STORAGE_APPLY_RESP,
                                  .from = RAFT_LOCAL_APPLY_THREAD,
                                  .entries = (struct raft_entry *) (uintptr_t) u.committed,
                                  .entries_n = u.committed_n};
        step(&o, m);
    }
    assert_int_equal(raft_get_applied(o.raft), 2);
    owner_done(&o);
}

/* What cannot be applied is refused with etcd's words; a change with node id 0 changes nothing. */
static void applying_changes(void **state)
{
    struct owner o;
    struct raft_conf_change_single v[] = {{RAFT_CONF_REMOVE_NODE, 2}, {RAFT_CONF_ADD_NODE, 0}};
    struct raft_conf_change_v2 leave = {0}, none = {.changes = v + 1, .changes_n = 1};
    struct raft_conf_state cs;
    struct err e = ERR_INIT;

    (void) state;
    owner_begin(&o, 2);
    assert_int_equal(raft_apply_conf_change(o.raft, &leave, &cs, &e), ERR_RAFT_CONF_CHANGE);
    assert_string_equal(e.msg, "can't leave a non-joint config");
    assert_int_equal(raft_apply_conf_change(o.raft, &none, &cs, &e), 0);
    assert_int_equal(cs.voters.n, 2);
    owner_done(&o);
}

/* A member reports itself as it is. */
static void status(void **state)
{
    struct owner o;
    struct raft_status s;
    struct raft_peer_status p;

    (void) state;
    owner_lead(&o, 3);
    raft_get_status(o.raft, &s);
    assert_int_equal(s.id, 1);
    assert_int_equal(s.lead, 1);
    assert_int_equal(s.state, RAFT_LEADER);
    assert_int_equal(s.first_index, 2);
    assert_int_equal(s.last_index, 2);
    assert_int_equal(s.vote, 1);
    raft_get_peer(o.raft, 1, &p);
    assert_int_equal(p.id, 2);
    assert_int_equal(p.match, 2);
    assert_int_equal(p.state, RAFT_REPLICATE);
    assert_int_equal(raft_get_id(o.raft), 1);
    assert_false(raft_is_single_voter(o.raft));
    assert_int_equal(o.lines > 0, !owner_muted);
    for (int code = ERR_RAFT_PROPOSAL_DROPPED; code >= ERR_RAFT_READ_REFUSED; code--)
        assert_null(strstr(raft_err_text(code), "error"));
    assert_string_equal(raft_err_text(ERR_RAFT_COMPACTED),
                        "requested index is unavailable due to compaction");
    assert_string_equal(raft_err_text(ERR_NOMEM), "out of memory");
    owner_done(&o);
}

/* A member cannot have applied less than its snapshot. */
static void applied_before_the_snapshot(void **state)
{
    struct owner o;
    raft_id voters[] = {1};
    struct raft_snapshot s = {.meta = {.index = 9, .term = 1, .conf_state.voters = {voters, 1}}};
    struct raft *r = NULL;

    (void) state;
    owner_init(&o, 1);
    assert_int_equal(raft_memory_storage_apply_snapshot(o.memory, &s), 0);
    assert_int_equal(raft_new(&o.config, &r, NULL), ERR_RAFT_CONFIG);
    owner_done(&o);
}

static void propose_batches(struct owner *o, struct raft_entry *v, size_t n, int batches)
{
    for (int i = 0; i < batches; i++) {
        assert_int_equal(raft_propose(o->raft, v, n), 0);
        assert_int_equal(raft_read_index(o->raft, BYTES_LIT("a read")), 0);
        run(o);
        if (i % 16 == 0)
            (void) !raft_memory_storage_compact(o->memory, raft_get_applied(o->raft) - 1);
    }
}

/* Once the load is steady nothing is allocated (counted in builds with KETCH_ALLOC_TEST). */
static void steady_state_allocates_nothing(void **state)
{
    struct owner o;
    struct payload *block = payload_new(64);
    struct raft_entry v[16];
    uint64_t before;

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(v); i++)
        v[i] = (struct raft_entry){.data = bytes_of(block->data + 4 * i, 4), .owner = block};
    memset(block->data, 'x', block->bytes);
    owner_lead(&o, 1);
    propose_batches(&o, v, ARRAY_LEN(v), 500);
    before = mem_alloc_count();
    propose_batches(&o, v, ARRAY_LEN(v), 500);
    assert_int_equal(mem_alloc_count() - before, 0);
    assert_int_equal(o.applied, 1 + 1000 * ARRAY_LEN(v));
    owner_done(&o);
    assert_int_equal(atomic_load(&block->refs), 1);
    payload_unref(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_configurations),
        cmocka_unit_test(bad_members_in_storage),
        cmocka_unit_test(a_cluster_of_one),
        cmocka_unit_test(too_many_founders),
        cmocka_unit_test(strange_messages),
        cmocka_unit_test(pre_vote_of_an_earlier_life),
        cmocka_unit_test(vote_requests_wait),
        cmocka_unit_test(synchronous),
        cmocka_unit_test(acknowledged_by_messages),
        cmocka_unit_test(applying_changes),
        cmocka_unit_test(status),
        cmocka_unit_test(applied_before_the_snapshot),
        cmocka_unit_test(steady_state_allocates_nothing),
    };

    return cmocka_run_group_tests(tests, owner_loud, NULL) +
           cmocka_run_group_tests(tests, owner_mute, NULL);
}
