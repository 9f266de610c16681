/* Reads that a leader confirms: those of others, those that wait, and echoes that prove nothing. */
#include "unit/engine/raft/owner.h"

/* 2 asks for a read, with this for its context. */
static void forwards_read(struct owner *o, struct raft_entry *e)
{
    step(o, (struct raft_message){
                .type = RAFT_MSG_READ_INDEX, .from = 2, .entries = e, .entries_n = 1});
}

/* Reads that wait are bounded, and so is what identifies one. */
static void read_limits(void **state)
{
    static const uint8_t context[RAFT_READ_CONTEXT_BYTES_MAX + 1];
    struct owner o;
    struct raft_update u;
    struct raft_entry e = {.data = {context, sizeof context}};

    (void) state;
    owner_begin(&o, 3);
    assert_int_equal(raft_read_index(o.raft, bytes_of(context, 8)),
                     ERR_RAFT_READ_REFUSED); /* no leader */
    become_leader(&o);
    assert_int_equal(raft_read_index(o.raft, bytes_of(context, sizeof context)),
                     ERR_RAFT_READ_REFUSED);
    forwards_read(&o, &e);
    step(&o, (struct raft_message){.type = RAFT_MSG_READ_INDEX, .from = 2});
    assert_int_equal(o.raft->reads.n, 0);
    for (int i = 0; i < RAFT_READS_PENDING_MAX; i++) {
        assert_int_equal(raft_read_index(o.raft, bytes_of(context, 8)), 0);
        if (i % 1000 == 0)
            raft_take_update(o.raft, &u);
    }
    assert_int_equal(raft_read_index(o.raft, bytes_of(context, 8)), ERR_RAFT_READ_REFUSED);
    e.data.n = 8;
    forwards_read(&o, &e);
    assert_int_equal(o.raft->reads.n, RAFT_READS_PENDING_MAX);
    owner_done(&o);
}

/* An echo that is none of ours, or too short, proves nothing. */
static void false_echoes(void **state)
{
    static const uint8_t far[8] = {0xff, 0xff}, near[8] = {1};
    struct owner o;
    struct raft_message m = {.type = RAFT_MSG_HEARTBEAT_RESP, .from = 2};
    struct raft_update u;

    (void) state;
    owner_lead(&o, 3);
    run(&o);
    assert_int_equal(raft_read_index(o.raft, BYTES_LIT("read")), 0);
    m.term = raft_get_term(o.raft);
    m.context = bytes_of(far, 8);
    step(&o, m);
    m.context = bytes_of(near, 4);
    step(&o, m);
    raft_take_update(o.raft, &u);
    assert_int_equal(u.read_states_n, 0);
    m.context = bytes_of(near, 8);
    step(&o, m);
    raft_take_update(o.raft, &u);
    assert_int_equal(u.read_states_n, 1);
    assert_true(bytes_eq(u.read_states[0].context, BYTES_LIT("read")));
    owner_done(&o);
}

/* Reads that wait for the first commit of a term are bounded, too, and all answered after it. */
static void postponed_reads(void **state)
{
    struct owner o;
    struct raft_update u;
    struct raft_entry e = {.data = BYTES_LIT("r")};

    (void) state;
    owner_begin(&o, 3);
    raft_campaign(o.raft);
    raft_campaign(o.raft); /* term 2, of which nothing is committed yet */
    run(&o);
    grants_vote(&o, 2);
    run(&o);
    for (int i = 0; i < RAFT_READS_PENDING_MAX; i++)
        assert_int_equal(raft_read_index(o.raft, BYTES_LIT("r")), 0);
    assert_int_equal(raft_read_index(o.raft, BYTES_LIT("r")), ERR_RAFT_READ_REFUSED);
    forwards_read(&o, &e);
    assert_int_equal(o.raft->postponed.n, RAFT_READS_PENDING_MAX);
    acks(&o, 2, 2);
    assert_int_equal(o.raft->postponed.n, 0);
    assert_int_equal(o.raft->reads.n, RAFT_READS_PENDING_MAX);
    raft_take_update(o.raft, &u);
    owner_done(&o);
}

/* A read may do without a context. */
static void read_without_context(void **state)
{
    struct owner o;
    struct raft_update u;

    (void) state;
    for (size_t n = 1; n <= 3; n += 2) {
        static const uint8_t position[8] = {1};

        owner_lead(&o, n);
        assert_int_equal(raft_read_index(o.raft, BYTES_EMPTY), 0);
        if (n > 1)
            step(&o, (struct raft_message){.type = RAFT_MSG_HEARTBEAT_RESP,
                                           .from = 2,
                                           .term = 1,
                                           .context = {position, 8}});
        raft_take_update(o.raft, &u);
        assert_int_equal(u.read_states_n, 1);
        assert_int_equal(u.read_states[0].context.n, 0);
        owner_done(&o);
    }
}

/* With lease based reads echoes mean nothing. */
static void echoes_without_need(void **state)
{
    static const uint8_t position[8] = {1};
    struct owner o;

    (void) state;
    owner_init(&o, 3);
    o.config.check_quorum = true;
    o.config.read_only = RAFT_READ_ONLY_LEASE_BASED;
    owner_start(&o);
    become_leader(&o);
    step(&o, (struct raft_message){
                 .type = RAFT_MSG_HEARTBEAT_RESP, .from = 2, .term = 1, .context = {position, 8}});
    assert_int_equal(raft__tracker_get(&o.raft->tracker, 2)->read_acked, 0);
    owner_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_limits),         cmocka_unit_test(false_echoes),
        cmocka_unit_test(postponed_reads),     cmocka_unit_test(read_without_context),
        cmocka_unit_test(echoes_without_need),
    };

    return cmocka_run_group_tests(tests, owner_loud, NULL) +
           cmocka_run_group_tests(tests, owner_mute, NULL);
}
