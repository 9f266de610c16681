/* What a follower does where nothing is as usual. */
#include "unit/engine/raft/owner.h"

/* A read answer of the wrong shape is not passed on. */
static void malformed_read_answer(void **state)
{
    static uint8_t context[RAFT_READ_CONTEXT_BYTES_MAX + 1];
    struct owner o;
    struct raft_entry e = {.data = {context, sizeof context}};
    struct raft_message m = {.type = RAFT_MSG_READ_INDEX_RESP, .from = 2, .term = 1, .index = 1};
    struct raft_update u;

    (void) state;
    owner_begin(&o, 3);
    step(&o, m);
    m.entries = &e;
    m.entries_n = 1;
    step(&o, m);
    raft_take_update(o.raft, &u);
    assert_int_equal(u.read_states_n, 0);
    e.data.n = 8;
    step(&o, m);
    raft_take_update(o.raft, &u);
    assert_int_equal(u.read_states_n, 1);
    owner_done(&o);
}

/* Messages gathered without anyone taking them are lost beyond a limit, as on a network. */
static void messages_are_bounded(void **state)
{
    struct owner o;
    struct raft_update u;

    (void) state;
    owner_init(&o, 3);
    o.config.trace.emit = NULL;
    owner_start(&o);
    heartbeat(&o, 2, 1);
    for (int i = 0; i < RAFT_MESSAGES_MAX + 10; i++)
        heartbeat(&o, 2, 1);
    raft_take_update(o.raft, &u);
    assert_int_equal(u.messages_n, RAFT_MESSAGES_MAX);
    owner_done(&o);
}

/* A leader that tells to commit what is not here had it acknowledged once: the log was lost.  As a
 * follower and as a candidate; nothing is committed, nothing answered. */
static void heartbeat_beyond_the_log(void **state)
{
    for (int campaigns = 0; campaigns < 2; campaigns++) {
        struct raft_message m = {.type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 2, .commit = 7};
        char text[RAFT_LOG_LOST_BYTES];
        struct owner o;
        struct raft_update u;

        (void) state;
        owner_begin(&o, 3);
        if (campaigns != 0)
            raft_campaign(o.raft);
        run(&o);
        assert_int_equal(raft_step(o.raft, &m), ERR_RAFT_LOG_LOST);
        assert_string_equal(raft_log_lost_text(o.raft, &m, text),
                            "tocommit(7) is out of range [lastIndex(1)]. Was the raft log "
                            "corrupted, truncated, or lost?");
        assert_int_equal(raft_get_commit(o.raft), 1);
        raft_take_update(o.raft, &u);
        assert_int_equal(u.messages_n, 0);
        m.commit = 1;
        step(&o, m);
        raft_take_update(o.raft, &u);
        assert_int_equal(u.messages_n, 1);
        owner_done(&o);
    }
}

/* A message that no member would send is lost: of nobody, with numbers at the end of what there is,
 * or with entries whose terms fall. */
static void forged_messages(void **state)
{
    struct raft_entry falling[] = {{.index = 2, .term = 4}, {.index = 3, .term = 2}};
    raft_id voters[] = {1, 2, 3};
    struct raft_snapshot far = {
        .meta = {.index = UINT64_MAX, .term = 1, .conf_state.voters = {voters, 3}}};
    struct raft_snapshot early = {
        .meta = {.index = 9, .term = 3, .conf_state.voters = {voters, 3}}};
    const struct raft_message forged[] = {
        {.type = RAFT_MSG_APP, .term = 1, .log_term = 1, .index = 1},
        {.type = RAFT_MSG_VOTE, .from = 2, .term = UINT64_MAX, .log_term = 1, .index = 1},
        {.type = RAFT_MSG_SNAP, .from = 2, .term = 1, .snapshot = &far},
        {.type = RAFT_MSG_SNAP, .from = 2, .term = 1, .snapshot = &early},
        {.type = RAFT_MSG_APP_RESP, .from = 2, .term = 1, .index = UINT64_MAX},
    };
    struct raft_message append = {.type = RAFT_MSG_APP,
                                  .from = 2,
                                  .term = 5,
                                  .log_term = 1,
                                  .index = 1,
                                  .entries = falling,
                                  .entries_n = 2};
    struct owner o;

    (void) state;
    owner_begin(&o, 3);
    for (size_t i = 0; i < ARRAY_LEN(forged); i++) {
        step(&o, forged[i]);
        assert_false(raft_has_update(o.raft));
    }
    step(&o, append);
    run(&o);
    assert_int_equal(raft_get_last_index(o.raft), 1);
    falling[1].term = 4;
    step(&o, append);
    run(&o);
    assert_int_equal(raft_get_last_index(o.raft), 3);
    owner_done(&o);
}

/* What 2 sends as the leader of term 1: entries behind the one that all have. */
static struct raft_message appends(struct raft_entry *v, size_t n)
{
    return (struct raft_message){.type = RAFT_MSG_APP,
                                 .from = 2,
                                 .term = 1,
                                 .log_term = 1,
                                 .index = 1,
                                 .entries = v,
                                 .entries_n = n};
}

/* A follower whose storage does not keep up ignores appends until it does, as if they were lost. */
static void unstable_log_is_bounded(void **state)
{
    static struct raft_entry v[4096];
    struct owner o;
    struct raft_message m = appends(v, 4096);

    (void) state;
    owner_init(&o, 3);
    o.config.trace.emit = NULL;
    owner_start(&o);
    while (raft_get_last_index(o.raft) == m.index) {
        for (size_t i = 0; i < 4096; i++)
            v[i] = (struct raft_entry){.term = 1, .index = m.index + 1 + i};
        step(&o, m);
        if (raft_get_last_index(o.raft) == m.index)
            break;
        m.index += 4096;
    }
    assert_int_equal(raft_get_last_index(o.raft), 1 + RAFT_UNSTABLE_ENTRIES_MAX);
    run(&o);
    step(&o, m);
    assert_int_equal(raft_get_last_index(o.raft), 1 + RAFT_UNSTABLE_ENTRIES_MAX + 4096);
    owner_done(&o);
}

/* A proposal is forwarded to the leader, unless that is switched off. */
static void forwarding_switched_off(void **state)
{
    struct owner o;

    (void) state;
    owner_init(&o, 3);
    o.config.disable_proposal_forwarding = true;
    owner_start(&o);
    assert_int_equal(propose(&o, 1), ERR_RAFT_PROPOSAL_DROPPED);
    heartbeat(&o, 2, 1);
    assert_int_equal(propose(&o, 1), ERR_RAFT_PROPOSAL_DROPPED);
    owner_done(&o);
}

/* Requests that need a leader go nowhere without one. */
static void nothing_to_forward_to(void **state)
{
    struct owner o;
    struct raft_entry e = {.data = BYTES_LIT("read")};

    (void) state;
    owner_begin(&o, 3);
    raft_transfer_leader(o.raft, 2);
    step(&o, (struct raft_message){
                 .type = RAFT_MSG_READ_INDEX, .from = 3, .entries = &e, .entries_n = 1});
    raft_forget_leader(o.raft);
    assert_false(raft_has_update(o.raft));
    owner_done(&o);
}

/* A snapshot whose members contradict one another, or that does not name this member, is refused.
 */
static void bad_snapshots(void **state)
{
    raft_id us[] = {1, 2, 3}, others[] = {2, 3}, one[] = {1};
    struct owner o;
    struct raft_snapshot s = {.meta = {.index = 9, .term = 1, .conf_state.voters = {others, 2}}};
    struct raft_message m = {.type = RAFT_MSG_SNAP, .from = 2, .term = 1, .snapshot = &s};

    (void) state;
    owner_begin(&o, 3);
    step(&o, m);
    s.meta.conf_state = (struct raft_conf_state){.learners = {one, 1}};
    step(&o, m);
    s.meta.conf_state = (struct raft_conf_state){.voters = {us, 3}, .learners_next = {one, 1}};
    step(&o, m);
    m.snapshot = NULL;
    step(&o, m);
    assert_int_equal(raft_get_commit(o.raft), 1);
    assert_false(raft_is_superseded(o.raft, 1));

    /* A good one replaces the log, and overtakes what was handed out before. */
    m.snapshot = &s;
    s.meta.conf_state = (struct raft_conf_state){.voters = {us, 3}};
    step(&o, m);
    assert_int_equal(raft_get_commit(o.raft), 9);
    assert_true(raft_is_superseded(o.raft, 9));
    assert_false(raft_is_superseded(o.raft, 10));
    raft_campaign(o.raft); /* not before the snapshot is installed */
    assert_int_equal(raft_get_state(o.raft), RAFT_FOLLOWER);

    /* As learner or outgoing voter it is meant, too. */
    s.meta.index = 12;
    s.meta.conf_state = (struct raft_conf_state){.voters = {others, 2}, .learners = {one, 1}};
    step(&o, m);
    assert_int_equal(raft_get_commit(o.raft), 12);
    s.meta.index = 15;
    s.meta.conf_state = (struct raft_conf_state){.voters = {others, 2},
                                                 .voters_outgoing = {one, 1}};
    step(&o, m);
    assert_int_equal(raft_get_commit(o.raft), 15);
    owner_done(&o);
}

/* A snapshot of what the log holds already only moves the commit index. */
static void snapshot_fast_forwards(void **state)
{
    raft_id us[] = {1, 2, 3};
    struct owner o;
    struct raft_entry v[2] = {{.term = 1, .index = 2}, {.term = 1, .index = 3}};
    struct raft_snapshot s = {.meta = {.index = 3, .term = 1, .conf_state.voters = {us, 3}}};

    (void) state;
    owner_begin(&o, 3);
    step(&o, appends(v, 2));
    step(&o, (struct raft_message){.type = RAFT_MSG_SNAP, .from = 2, .term = 1, .snapshot = &s});
    assert_int_equal(raft_get_commit(o.raft), 3);
    assert_null(o.raft->log.unstable.snapshot);
    owner_done(&o);
}

/* Entries of another leader replace those that storage has not acknowledged, from the first
 * difference on. */
static void conflict_in_the_unstable_log(void **state)
{
    struct owner o;
    struct raft_entry a[] = {
        {.term = 1, .index = 2}, {.term = 1, .index = 3}, {.term = 1, .index = 4}};
    struct raft_entry b[] = {{.term = 2, .index = 3}};
    struct raft_message m = appends(a, 3);
    struct raft_update u;
    raft_term t;

    (void) state;
    owner_begin(&o, 3);
    step(&o, m);
    raft_take_update(o.raft, &u);
    raft_memory_storage_append(o.memory, u.entries, u.entries_n);
    m = (struct raft_message){.type = RAFT_MSG_APP,
                              .from = 3,
                              .term = 2,
                              .log_term = 1,
                              .index = 2,
                              .entries = b,
                              .entries_n = 1};
    step(&o, m);
    assert_int_equal(raft_get_last_index(o.raft), 3);
    assert_int_equal(raft__log_term(&o.raft->log, 3, &t), 0);
    assert_int_equal(t, 2);
    /* The acknowledgement of the first job comes too late to count. */
    raft_stored(o.raft, &u.stored);
    assert_int_equal(o.raft->log.unstable.offset, 2);
    run(&o);
    assert_int_equal(o.raft->log.unstable.offset, 4);
    owner_done(&o);
}

/* Entries of a later term than their message are no append. */
static void entries_from_the_future(void **state)
{
    struct owner o;
    struct raft_entry v = {.term = 9, .index = 2};

    (void) state;
    owner_begin(&o, 3);
    step(&o, appends(&v, 1));
    assert_int_equal(raft_get_last_index(o.raft), 1);
    owner_done(&o);
}

/* A snapshot counts as installed although the term has changed while it was being stored. */
static void snapshot_stored_under_an_older_term(void **state)
{
    raft_id us[] = {1, 2, 3};
    struct owner o;
    struct raft_snapshot s = {.meta = {.index = 9, .term = 1, .conf_state.voters = {us, 3}}};
    struct raft_update u;

    (void) state;
    owner_begin(&o, 3);
    step(&o, (struct raft_message){.type = RAFT_MSG_SNAP, .from = 2, .term = 1, .snapshot = &s});
    raft_take_update(o.raft, &u);
    assert_int_equal(u.snapshot->meta.index, 9);
    assert_int_equal(raft_memory_storage_apply_snapshot(o.memory, u.snapshot), 0);
    heartbeat(&o, 3, 2);
    raft_stored(o.raft, &u.stored);
    assert_int_equal(raft_get_applied(o.raft), 9);
    assert_null(o.raft->log.unstable.snapshot);
    run(&o);
    owner_done(&o);
}

/* Candidates and pre-candidates are not hurried, and pre-votes of the past are refused. */
static void no_hurry(void **state)
{
    struct owner o;
    struct raft_update u;

    (void) state;
    for (int pre = 0; pre < 2; pre++) {
        owner_init(&o, 3);
        o.config.pre_vote = pre != 0;
        owner_start(&o);
        heartbeat(&o, 2, 4);
        raft_campaign(o.raft);
        step(&o, (struct raft_message){
                     .type = RAFT_MSG_TIMEOUT_NOW, .from = 2, .term = raft_get_term(o.raft)});
        assert_int_equal(raft_get_term(o.raft), pre != 0 ? 4 : 5);
        raft_take_update(o.raft, &u);
        step(&o, (struct raft_message){.type = RAFT_MSG_PRE_VOTE, .from = 3, .term = 2});
        raft_take_update(o.raft, &u);
        assert_int_equal(u.after_store_n, 1);
        assert_true(u.after_store[0].reject);
        assert_int_equal(u.after_store[0].term, raft_get_term(o.raft));
        owner_done(&o);
    }
}

/* A leader that a partition kept away is told of the new term, when members do not disturb it
 * otherwise. */
static void old_leader_is_told(void **state)
{
    struct owner o;
    struct raft_update u;

    (void) state;
    owner_init(&o, 3);
    o.config.pre_vote = true;
    owner_start(&o);
    heartbeat(&o, 2, 4);
    raft_take_update(o.raft, &u);
    step(&o, (struct raft_message){.type = RAFT_MSG_APP, .from = 3, .term = 3, .index = 7});
    step(&o, (struct raft_message){.type = RAFT_MSG_SNAP, .from = 3, .term = 3});
    raft_take_update(o.raft, &u);
    assert_int_equal(u.messages_n, 0);
    assert_int_equal(u.after_store_n, 1);
    assert_int_equal(u.after_store[0].type, RAFT_MSG_APP_RESP);
    assert_int_equal(u.after_store[0].term, 4);
    assert_int_equal(u.after_store[0].index, 0);
    owner_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_read_answer),
        cmocka_unit_test(messages_are_bounded),
        cmocka_unit_test(heartbeat_beyond_the_log),
        cmocka_unit_test(forged_messages),
        cmocka_unit_test(unstable_log_is_bounded),
        cmocka_unit_test(forwarding_switched_off),
        cmocka_unit_test(nothing_to_forward_to),
        cmocka_unit_test(bad_snapshots),
        cmocka_unit_test(snapshot_fast_forwards),
        cmocka_unit_test(conflict_in_the_unstable_log),
        cmocka_unit_test(entries_from_the_future),
        cmocka_unit_test(snapshot_stored_under_an_older_term),
        cmocka_unit_test(no_hurry),
        cmocka_unit_test(old_leader_is_told),
    };

    return cmocka_run_group_tests(tests, owner_loud, NULL) +
           cmocka_run_group_tests(tests, owner_mute, NULL);
}
