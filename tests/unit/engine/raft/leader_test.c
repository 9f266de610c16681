/* What a leader does where nothing is as usual: limits, absurd messages, members that go. */
#include "unit/engine/raft/owner.h"

/* A reader that needs time at every other call. */
static int busy_once(void *arg, raft_index lo, raft_index hi, uint64_t max,
                     struct raft_entry_list *ret)
{
    size_t *calls = arg;

    (void) max;
    if ((*calls)++ % 2 == 0)
        return ERR_AGAIN;
    for (; lo < hi; lo++)
        raft_entry_list_add(ret, &(struct raft_entry){.term = 1, .index = lo});
    return 0;
}

static size_t appends_to(const struct raft_update *u, raft_id id)
{
    size_t n = 0;

    for (size_t i = 0; i < u->messages_n; i++)
        n += u->messages[i].type == RAFT_MSG_APP && u->messages[i].to == id &&
             u->messages[i].entries_n > 0;
    return n;
}

/* A leader takes nothing amiss: stale, absurd and unknown messages leave it as it was. */
static void strange_messages_to_a_leader(void **state)
{
    struct owner o;
    raft_term t;
    raft_index last;

    (void) state;
    owner_lead(&o, 3);
    t = raft_get_term(o.raft);
    last = raft_get_last_index(o.raft);
    acks(&o, 3, last + 100);
    step(&o, (struct raft_message){.type = RAFT_MSG_APP, .from = 2, .term = t, .index = last});
    step(&o, (struct raft_message){.type = RAFT_MSG_TRANSFER_LEADER, .from = 77, .term = t});
    step(&o, (struct raft_message){.type = RAFT_MSG_READ_INDEX_RESP, .from = 2, .term = t});
    raft_report_snapshot(o.raft, 2, true); /* none is on its way */
    raft_forget_leader(o.raft);
    assert_int_equal(raft_step(o.raft, &(struct raft_message){.type = RAFT_MSG_PROP, .from = 2}),
                     ERR_RAFT_PROPOSAL_DROPPED);
    assert_int_equal(raft_get_state(o.raft), RAFT_LEADER);
    assert_int_equal(raft_get_commit(o.raft), last);
    assert_int_equal(raft__tracker_get(&o.raft->tracker, 3)->match, 0);
    owner_done(&o);
}

/* A forwarded change of members that cannot be read is dropped, with the whole batch. */
static void unreadable_change(void **state)
{
    struct owner o;
    struct raft_entry v[2] = {
        {.data = BYTES_LIT("fine")},
        {.type = RAFT_ENTRY_CONF_CHANGE_V2, .data = BYTES_LIT("\xff\xff\xff")}};
    raft_index last;

    (void) state;
    owner_lead(&o, 3);
    last = raft_get_last_index(o.raft);
    assert_int_equal(raft_propose(o.raft, v, 2), ERR_RAFT_PROPOSAL_DROPPED);
    v[1].type = RAFT_ENTRY_CONF_CHANGE;
    assert_int_equal(raft_propose(o.raft, v, 2), ERR_RAFT_PROPOSAL_DROPPED);
    assert_int_equal(raft_get_last_index(o.raft), last);
    owner_done(&o);
}

/* Of a batch with two changes of members the second becomes an empty entry. */
static void one_change_at_a_time(void **state)
{
    struct owner o;
    struct raft_conf_change c = {.type = RAFT_CONF_ADD_NODE, .node_id = 4};
    uint8_t data[64];
    struct raft_entry v[3] = {{.type = RAFT_ENTRY_CONF_CHANGE},
                              {.data = BYTES_LIT("x")},
                              {.type = RAFT_ENTRY_CONF_CHANGE}};
    struct raft_entry_list l = {0};
    raft_index last;

    (void) state;
    owner_lead(&o, 3);
    last = raft_get_last_index(o.raft);
    v[0].data = v[2].data = bytes_of(data, (size_t) (raft_conf_change_put(&c, data) - data));
    assert_int_equal(raft_propose(o.raft, v, 3), 0);
    assert_int_equal(raft__log_slice(&o.raft->log, last + 1, last + 4, UINT64_MAX, &l), 0);
    assert_int_equal(l.v[0].type, RAFT_ENTRY_CONF_CHANGE);
    assert_int_equal(l.v[1].data.n, 1);
    assert_int_equal(l.v[2].type, RAFT_ENTRY_NORMAL);
    assert_int_equal(l.v[2].data.n, 0);
    raft_entry_list_done(&l);
    owner_done(&o);
}

static enum raft_entry_type last_type(struct owner *o)
{
    struct raft_entry_list l = {0};
    raft_index last = raft_get_last_index(o->raft);
    enum raft_entry_type type;

    assert_int_equal(raft__log_slice(&o->raft->log, last, last + 1, UINT64_MAX, &l), 0);
    type = l.v[0].type;
    raft_entry_list_done(&l);
    return type;
}

/* What no member could apply does not get into the log, whoever proposes it: one member more than
 * there may be, and the removal of the last voter. */
static void changes_that_do_not_fit(void **state)
{
    struct raft_conf_change c = {.type = RAFT_CONF_ADD_LEARNER_NODE};
    struct owner o;

    (void) state;
    owner_lead(&o, 1);
    for (c.node_id = 2; c.node_id <= RAFT_MEMBERS_MAX; c.node_id++) {
        assert_int_equal(raft_propose_conf_change(o.raft, &c), 0);
        assert_int_equal(last_type(&o), RAFT_ENTRY_CONF_CHANGE);
        run(&o);
    }
    assert_int_equal(raft_propose_conf_change(o.raft, &c), 0);
    assert_int_equal(last_type(&o), RAFT_ENTRY_NORMAL);
    run(&o);
    c.type = RAFT_CONF_REMOVE_NODE;
    c.node_id = 1;
    assert_int_equal(raft_propose_conf_change(o.raft, &c), 0);
    assert_int_equal(last_type(&o), RAFT_ENTRY_NORMAL);
    run(&o);
    c.type = RAFT_CONF_ADD_NODE; /* a learner becomes a voter: nobody more */
    c.node_id = 2;
    assert_int_equal(raft_propose_conf_change(o.raft, &c), 0);
    assert_int_equal(last_type(&o), RAFT_ENTRY_CONF_CHANGE);
    run(&o);
    owner_done(&o);
}

/* Uncommitted data is bounded: a single large proposal passes, more are dropped until it is
 * applied. */
static void uncommitted_limit(void **state)
{
    struct owner o;

    (void) state;
    owner_init(&o, 3);
    o.config.uncommitted_bytes_max = 100;
    owner_start(&o);
    become_leader(&o);
    assert_int_equal(propose(&o, 4000), 0);
    assert_int_equal(raft_get_uncommitted_bytes(o.raft), 4000);
    assert_int_equal(propose(&o, 1), ERR_RAFT_PROPOSAL_DROPPED);
    assert_int_equal(propose(&o, 0), 0);
    run(&o);
    acks(&o, 2, raft_get_last_index(o.raft));
    run(&o);
    assert_int_equal(raft_get_uncommitted_bytes(o.raft), 0);
    assert_int_equal(propose(&o, 60), 0);
    assert_int_equal(propose(&o, 40), 0);
    assert_int_equal(propose(&o, 1), ERR_RAFT_PROPOSAL_DROPPED);
    owner_done(&o);
}

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

/* A transfer ends when its target is removed. */
static void transfer_target_removed(void **state)
{
    struct owner o;
    struct raft_conf_change_single remove = {RAFT_CONF_REMOVE_NODE, 3};
    struct raft_conf_change_v2 c = {.changes = &remove, .changes_n = 1};
    struct raft_status s;

    (void) state;
    owner_lead(&o, 3);
    raft_transfer_leader(o.raft, 3);
    raft_get_status(o.raft, &s);
    assert_int_equal(s.lead_transferee, 3);
    assert_int_equal(raft_apply_conf_change(o.raft, &c, NULL, NULL), 0);
    raft_get_status(o.raft, &s);
    assert_int_equal(s.lead_transferee, 0);
    assert_int_equal(s.peers_n, 2);
    owner_done(&o);
}

/* While leadership is being transferred the automatic leave of a joint configuration waits. */
static void auto_leave_waits_for_transfer(void **state)
{
    struct owner o;
    struct raft_conf_change_single v[] = {{RAFT_CONF_ADD_LEARNER_NODE, 4},
                                          {RAFT_CONF_ADD_LEARNER_NODE, 5}};
    struct raft_conf_change_v2 c = {.changes = v, .changes_n = 2};
    raft_index last;

    (void) state;
    owner_lead(&o, 3);
    assert_int_equal(raft_propose_conf_change_v2(o.raft, &c), 0);
    run(&o);
    last = raft_get_last_index(o.raft);
    assert_int_equal(raft_apply_conf_change(o.raft, &c, NULL, NULL), 0);
    raft_transfer_leader(o.raft, 3);
    acks(&o, 2, last);
    raft_applied(o.raft, &(struct raft_apply_mark){.index = last});
    assert_int_equal(raft_get_last_index(o.raft), last);
    owner_done(&o);
}

/* A leader without a quorum steps down after its election timeout, when it is to check. */
static void steps_down_without_a_quorum(void **state)
{
    struct owner o;

    (void) state;
    owner_init(&o, 3);
    o.config.check_quorum = true;
    owner_start(&o);
    become_leader(&o);
    for (int i = 0; i < 10; i++)
        raft_tick(o.raft);
    assert_int_equal(raft_get_state(o.raft), RAFT_LEADER); /* 2 was heard of */
    for (int i = 0; i < 10; i++)
        raft_tick(o.raft);
    assert_int_equal(raft_get_state(o.raft), RAFT_FOLLOWER);
    assert_int_equal(raft_get_lead(o.raft), 0);
    owner_done(&o);
}

/* A follower that was never heard of gets no snapshot, and one that is past the snapshot gets none,
 * either. */
static void snapshots_that_are_not_sent(void **state)
{
    struct owner o;
    struct raft_update u;

    (void) state;
    owner_lead(&o, 3);
    for (int i = 0; i < 5; i++)
        assert_int_equal(propose(&o, 10), 0);
    run(&o);
    acks(&o, 2, 4);
    run(&o);
    assert_int_equal(raft_memory_storage_compact(o.memory, 6), 0);
    raft_take_update(o.raft, &u);
    /* 3 never answered: probing it finds nothing to send but a snapshot. */
    raft__tracker_get(&o.raft->tracker, 3)->next = 2;
    raft__tracker_get(&o.raft->tracker, 3)->flow_paused = false;
    assert_false(raft__maybe_send_append(o.raft, 3, true));
    /* 2 has more than the snapshot, which is of index 1. */
    raft__progress_become_probe(raft__tracker_get(&o.raft->tracker, 2));
    assert_false(raft__maybe_send_append(o.raft, 2, true));
    owner_done(&o);
}

/* One of two, whose entries 2 to `last` are read by `reader`; it has 2 to 4 to apply. */
static void reading_init(struct owner *o, raft_index last, struct raft_log_reader reader)
{
    struct raft_memory_options mo = {.entries_max = 1, .reader = reader};
    raft_id voters[] = {1, 2};
    struct raft_snapshot s = {.meta = {.index = 1, .term = 1, .conf_state.voters = {voters, 2}}};

    *o = (struct owner){.memory = raft_memory_storage_new(&mo)};
    assert_int_equal(raft_memory_storage_apply_snapshot(o->memory, &s), 0);
    for (raft_index i = 2; i <= last; i++)
        raft_memory_storage_append(o->memory, &(struct raft_entry){.term = 1, .index = i}, 1);
    raft_memory_storage_set_hard_state(o->memory, &(struct raft_hard_state){1, 0, 4});
    o->config = a_config(o);
    o->config.applied = 1;
    owner_start(o);
}

static size_t take_committed(struct owner *o)
{
    struct raft_update u;

    raft_take_update(o->raft, &u);
    if (u.committed_n > 0)
        raft_applied(o->raft, &u.applied);
    return u.committed_n;
}

/* It leads, and 2 has only what the snapshot has. */
static void reading_lead(struct owner *o)
{
    struct raft_update u;

    raft_campaign(o->raft);
    raft_take_update(o->raft, &u);
    step(o, u.after_store[0]);
    grants_vote(o, 2);
    assert_int_equal(o->raft->state, RAFT_LEADER);
    raft_take_update(o->raft, &u);
    step(o, (struct raft_message){.type = RAFT_MSG_APP_RESP,
                                  .from = 2,
                                  .term = 2,
                                  .reject = true,
                                  .index = raft_get_last_index(o->raft) - 1,
                                  .reject_hint = 1,
                                  .log_term = 1});
}

static size_t take_appends(struct owner *o)
{
    struct raft_update u;

    raft_take_update(o->raft, &u);
    return appends_to(&u, 2);
}

/* Entries that are being read back reach a follower after the next heartbeat, and the state machine
 * after the next tick. */
static void reading_back_takes_time(void **state)
{
    size_t calls = 0;
    struct owner o;

    (void) state;
    reading_init(&o, 5, (struct raft_log_reader){busy_once, &calls});
    assert_int_equal(take_committed(&o), 0);
    assert_false(raft_has_update(o.raft));
    raft_tick(o.raft);
    assert_true(raft_has_update(o.raft));
    assert_int_equal(take_committed(&o), 3);
    reading_lead(&o);
    assert_int_equal(take_appends(&o), 0);
    step(&o, (struct raft_message){.type = RAFT_MSG_HEARTBEAT_RESP, .from = 2, .term = 2});
    assert_int_equal(take_appends(&o), 1);
    owner_done(&o);
}

/* Or at once, when the owner says that they are there. */
static void what_was_read_goes_on_at_once(void **state)
{
    size_t calls = 0;
    struct owner o;

    (void) state;
    reading_init(&o, 5, (struct raft_log_reader){busy_once, &calls});
    assert_int_equal(take_committed(&o), 0);
    raft_entries_arrived(o.raft);
    assert_int_equal(take_committed(&o), 3);
    reading_lead(&o);
    assert_int_equal(take_appends(&o), 0);
    raft_entries_arrived(o.raft);
    assert_int_equal(take_appends(&o), 1);
    raft_entries_arrived(o.raft); /* nobody waits for any */
    assert_false(raft_has_update(o.raft));
    owner_done(&o);
}

/* One entry for each message, and time for each other one. */
static int one_at_a_time(void *arg, raft_index lo, raft_index hi, uint64_t max,
                         struct raft_entry_list *ret)
{
    (void) hi;
    return busy_once(arg, lo, lo + 1, max, ret);
}

/* A follower that answers nothing is not sent all that can be read. */
static void reading_on_waits_for_answers(void **state)
{
    size_t calls = 1, sent = 0;
    struct owner o;

    (void) state;
    reading_init(&o, 3 * RAFT_READ_BACK_INFLIGHT_MAX,
                 (struct raft_log_reader){one_at_a_time, &calls});
    while (take_committed(&o) > 0 || o.raft->log.read_back_pending)
        raft_entries_arrived(o.raft);
    reading_lead(&o);
    assert_int_equal(take_appends(&o), 0);
    acks(&o, 2, 1);
    for (int i = 0; i < 4 * RAFT_READ_BACK_INFLIGHT_MAX; i++) {
        sent += take_appends(&o);
        raft_entries_arrived(o.raft);
    }
    assert_int_equal(sent, RAFT_READ_BACK_INFLIGHT_MAX);
    owner_done(&o);
}

/* Removing a member may make a majority of what was none: the leader commits, and tells the others.
 */
static void removal_commits(void **state)
{
    struct owner o;
    struct raft_conf_change_single remove = {RAFT_CONF_REMOVE_NODE, 4};
    struct raft_conf_change_v2 c = {.changes = &remove, .changes_n = 1};
    raft_index last;

    (void) state;
    owner_begin(&o, 4);
    raft_campaign(o.raft);
    run(&o);
    for (raft_id id = 2; id <= 3; id++)
        grants_vote(&o, id);
    run(&o);
    assert_int_equal(propose(&o, 5), 0);
    run(&o);
    last = raft_get_last_index(o.raft);
    acks(&o, 2, last);
    run(&o);
    assert_int_equal(raft_get_commit(o.raft), 1);
    assert_int_equal(raft_apply_conf_change(o.raft, &c, NULL, NULL), 0);
    assert_int_equal(raft_get_commit(o.raft), last);
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

/* What storage has not acknowledged is bounded: proposals are dropped, whatever their size. */
static void unstable_log_of_a_leader(void **state)
{
    static struct raft_entry v[4096];
    struct owner o;
    raft_index last;

    (void) state;
    owner_init(&o, 3);
    o.config.trace.emit = NULL;
    owner_start(&o);
    become_leader(&o);
    for (unsigned i = 0; i < RAFT_UNSTABLE_ENTRIES_MAX / 4096 - 1; i++)
        assert_int_equal(raft_propose(o.raft, v, 4096), 0);
    assert_int_equal(raft_propose(o.raft, v, 4096), 0);
    last = raft_get_last_index(o.raft);
    assert_int_equal(raft_propose(o.raft, v, 1), ERR_RAFT_PROPOSAL_DROPPED);
    assert_int_equal(raft_get_last_index(o.raft), last);
    owner_done(&o);
}

/* A proposal larger than the whole limit waits until nothing else does. */
static void larger_than_the_limit(void **state)
{
    struct owner o;

    (void) state;
    owner_init(&o, 3);
    o.config.uncommitted_bytes_max = 100;
    owner_start(&o);
    become_leader(&o);
    assert_int_equal(propose(&o, 1), 0);
    assert_int_equal(propose(&o, 101), ERR_RAFT_PROPOSAL_DROPPED);
    owner_done(&o);
}

static int no_snapshot(struct raft_storage *s, struct raft_snapshot *ret)
{
    (void) s;
    (void) ret;
    return ERR_RAFT_SNAPSHOT_UNAVAILABLE;
}

/* A snapshot that is still being made is asked for again with the next answer of the follower. */
static void snapshot_is_being_made(void **state)
{
    struct owner o;
    struct raft_storage *s;
    const struct raft_storage_ops *good;
    struct raft_storage_ops busy;
    struct raft_progress *p;

    (void) state;
    owner_lead(&o, 3);
    assert_int_equal(raft_memory_storage_create_snapshot(o.memory, 2, NULL, BYTES_EMPTY), 0);
    assert_int_equal(raft_memory_storage_compact(o.memory, 2), 0);
    s = raft_memory_storage_base(o.memory);
    good = s->ops;
    busy = *good;
    busy.snapshot = no_snapshot;
    s->ops = &busy;
    p = raft__tracker_get(&o.raft->tracker, 3);
    rejects(&o, 3, 1, 0);
    assert_int_equal(p->state, RAFT_PROBE);
    s->ops = good;
    step(&o, (struct raft_message){.type = RAFT_MSG_HEARTBEAT_RESP, .from = 3, .term = 1});
    assert_int_equal(p->state, RAFT_SNAPSHOT);

    /* An answer that is still behind the log does not end it, one that connects does. */
    assert_int_equal(propose(&o, 3), 0);
    run(&o);
    p->recent_active = false;
    acks(&o, 3, 1);
    assert_int_equal(p->state, RAFT_SNAPSHOT);
    acks(&o, 3, 2);
    assert_int_equal(p->state, RAFT_REPLICATE);
    owner_done(&o);
}

static int broken(void *arg, raft_index lo, raft_index hi, uint64_t max,
                  struct raft_entry_list *ret)
{
    (void) arg;
    (void) lo;
    (void) hi;
    (void) max;
    (void) ret;
    return ERR_IO;
}

/* Entries that cannot be read back are replaced by a snapshot; without one nothing is sent. */
static void broken_reader(void **state)
{
    struct raft_memory_options mo = {.entries_max = 2, .reader = {.entries = broken}};
    raft_id voters[] = {1, 2};
    struct owner o = {.memory = raft_memory_storage_new(&mo)};
    struct raft_conf_state cs = {.voters = {voters, 2}};
    struct raft_peer peers[] = {{.id = 1}, {.id = 2}};
    struct raft_progress *p;

    (void) state;
    o.config = a_config(&o);
    owner_start(&o);
    assert_int_equal(raft_bootstrap(o.raft, peers, 2, NULL), 0);
    run(&o);
    raft_campaign(o.raft);
    run(&o);
    grants_vote(&o, 2);
    run(&o);
    rejects(&o, 2, 2, 0);
    p = raft__tracker_get(&o.raft->tracker, 2);
    assert_int_equal(p->state, RAFT_PROBE);
    assert_int_equal(raft_memory_storage_create_snapshot(o.memory, 2, &cs, BYTES_EMPTY), 0);
    step(&o, (struct raft_message){.type = RAFT_MSG_HEARTBEAT_RESP, .from = 2, .term = 2});
    assert_int_equal(p->state, RAFT_SNAPSHOT);
    assert_int_equal(p->pending_snapshot, 2);
    owner_done(&o);
}

/* A leader does not campaign, and the bytes on the way to a follower are bounded when asked for. */
static void inflight_bytes(void **state)
{
    struct owner o;
    struct raft_progress *p;

    (void) state;
    owner_init(&o, 3);
    o.config.msg_bytes_max = 100;
    o.config.inflight_bytes_max = 100;
    owner_start(&o);
    become_leader(&o);
    raft_campaign(o.raft);
    assert_int_equal(raft_get_term(o.raft), 1);
    p = raft__tracker_get(&o.raft->tracker, 2);
    assert_int_equal(propose(&o, 60), 0);
    assert_false(raft__progress_paused(p));
    assert_int_equal(propose(&o, 60), 0);
    assert_true(raft__progress_paused(p));
    owner_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strange_messages_to_a_leader),
        cmocka_unit_test(unreadable_change),
        cmocka_unit_test(one_change_at_a_time),
        cmocka_unit_test(changes_that_do_not_fit),
        cmocka_unit_test(uncommitted_limit),
        cmocka_unit_test(read_limits),
        cmocka_unit_test(false_echoes),
        cmocka_unit_test(transfer_target_removed),
        cmocka_unit_test(auto_leave_waits_for_transfer),
        cmocka_unit_test(steps_down_without_a_quorum),
        cmocka_unit_test(snapshots_that_are_not_sent),
        cmocka_unit_test(reading_back_takes_time),
        cmocka_unit_test(what_was_read_goes_on_at_once),
        cmocka_unit_test(reading_on_waits_for_answers),
        cmocka_unit_test(removal_commits),
        cmocka_unit_test(postponed_reads),
        cmocka_unit_test(read_without_context),
        cmocka_unit_test(echoes_without_need),
        cmocka_unit_test(unstable_log_of_a_leader),
        cmocka_unit_test(larger_than_the_limit),
        cmocka_unit_test(snapshot_is_being_made),
        cmocka_unit_test(broken_reader),
        cmocka_unit_test(inflight_bytes),
    };

    return cmocka_run_group_tests(tests, owner_loud, NULL) +
           cmocka_run_group_tests(tests, owner_mute, NULL);
}
