/* The core's interface: what it refuses, its limits, and the ways of its owner. */
#include "lib/cm.h"

#include "engine/raft/raft_int.h"

struct owner {
    struct raft_memory_storage *memory;
    struct raft *raft;
    struct raft_config config;
    size_t applied; /* entries */
    size_t lines;   /* traced */
};

static uint64_t lowest(void *arg, uint64_t bound)
{
    (void) arg;
    (void) bound;
    return 0;
}

static void count_line(void *arg, enum raft_trace_level level, const char *text)
{
    struct owner *o = arg;

    assert_in_range(level, RAFT_TRACE_DEBUG, RAFT_TRACE_ERROR);
    assert_true(strlen(text) > 0);
    o->lines++;
}

static struct raft_config a_config(struct owner *o)
{
    return (struct raft_config){
        .id = 1,
        .election_tick = 10,
        .heartbeat_tick = 1,
        .storage = raft_memory_storage_base(o->memory),
        .msg_bytes_max = 1 << 20,
        .inflight_max = 256,
        .async_storage_writes = true,
        .random.below = lowest,
        .trace = {RAFT_TRACE_DEBUG, count_line, o},
    };
}

/* Members 1 to n, by a snapshot at index 1. */
static void owner_init(struct owner *o, size_t n)
{
    raft_id voters[RAFT_MEMBERS_MAX];
    struct raft_snapshot s = {.meta = {.index = 1, .term = 1, .conf_state.voters = {voters, n}}};

    *o = (struct owner){.memory = raft_memory_storage_new(&(struct raft_memory_options){0})};
    for (size_t i = 0; i < n; i++)
        voters[i] = i + 1;
    if (n > 0)
        assert_int_equal(raft_memory_storage_apply_snapshot(o->memory, &s), 0);
    o->config = a_config(o);
    o->config.applied = n > 0 ? 1 : 0;
}

static void owner_start(struct owner *o)
{
    struct err e = ERR_INIT;

    assert_int_equal(raft_new(&o->config, &o->raft, &e), 0);
}

static void owner_done(struct owner *o)
{
    if (o->raft != NULL)
        raft__check(o->raft);
    raft_free(o->raft);
    raft_memory_storage_free(o->memory);
}

static void apply(struct owner *o, const struct raft_entry *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct raft_conf_change_single single;
        struct raft_conf_change c;
        struct raft_conf_change_v2 v2;

        o->applied++;
        if (v[i].type != RAFT_ENTRY_CONF_CHANGE)
            continue;
        assert_int_equal(raft_conf_change_get(v[i].data, &c, NULL), 0);
        v2 = raft_conf_change_as_v2(&c, &single);
        assert_int_equal(raft_apply_conf_change(o->raft, &v2, NULL, NULL), 0);
    }
}

/* Everything is stored and applied at once; messages to others are lost. */
static void run(struct owner *o)
{
    struct raft_update u;

    while (raft_has_update(o->raft)) {
        raft_take_update(o->raft, &u);
        raft_memory_storage_append(o->memory, u.entries, u.entries_n);
        for (size_t i = 0; i < u.after_store_n; i++)
            if (u.after_store[i].to == o->config.id)
                assert_int_equal(raft_step(o->raft, &u.after_store[i]), 0);
        raft_stored(o->raft, &u.stored);
        apply(o, u.committed, u.committed_n);
        raft_applied(o->raft, &u.applied);
    }
}

static void step(struct owner *o, struct raft_message m)
{
    assert_int_equal(raft_step(o->raft, &m), 0);
}

/* 2 votes for it and has its first entry. */
static void become_leader(struct owner *o)
{
    raft_campaign(o->raft);
    run(o);
    if (o->raft->state != RAFT_LEADER)
        step(o,
             (struct raft_message){.type = RAFT_MSG_VOTE_RESP, .from = 2, .term = o->raft->term});
    run(o);
    assert_int_equal(o->raft->state, RAFT_LEADER);
    if (!raft_is_single_voter(o->raft))
        step(o, (struct raft_message){.type = RAFT_MSG_APP_RESP,
                                      .from = 2,
                                      .term = o->raft->term,
                                      .index = raft_get_last_index(o->raft)});
    run(o);
}

static int propose(struct owner *o, size_t bytes)
{
    static uint8_t data[4096];

    return raft_propose(o->raft, &(struct raft_entry){.data = {data, bytes}}, 1);
}

/* ---- beginning ---- */

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
    owner_init(&o, 0);
    owner_start(&o);
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
    owner_init(&o, 0);
    owner_start(&o);
    assert_int_equal(raft_bootstrap(o.raft, peers, ARRAY_LEN(peers), &e), ERR_RAFT_CONF_CHANGE);
    owner_done(&o);
}

/* ---- messages that nobody should send ---- */

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
    owner_init(&o, 3);
    owner_start(&o);
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

/* A leader takes nothing amiss: stale, absurd and unknown messages leave it as it was. */
static void strange_messages_to_a_leader(void **state)
{
    struct owner o;
    raft_term t;
    raft_index last;

    (void) state;
    owner_init(&o, 3);
    owner_start(&o);
    become_leader(&o);
    t = raft_get_term(o.raft);
    last = raft_get_last_index(o.raft);
    step(&o, (struct raft_message){
                 .type = RAFT_MSG_APP_RESP, .from = 3, .term = t, .index = last + 100});
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
    owner_init(&o, 3);
    owner_start(&o);
    become_leader(&o);
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
    owner_init(&o, 3);
    owner_start(&o);
    become_leader(&o);
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

/* ---- limits ---- */

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
    step(&o, (struct raft_message){.type = RAFT_MSG_APP_RESP,
                                   .from = 2,
                                   .term = raft_get_term(o.raft),
                                   .index = raft_get_last_index(o.raft)});
    run(&o);
    assert_int_equal(raft_get_uncommitted_bytes(o.raft), 0);
    assert_int_equal(propose(&o, 60), 0);
    assert_int_equal(propose(&o, 40), 0);
    assert_int_equal(propose(&o, 1), ERR_RAFT_PROPOSAL_DROPPED);
    owner_done(&o);
}

/* Reads that wait are bounded, and so is what identifies one. */
static void read_limits(void **state)
{
    static const uint8_t context[RAFT_READ_CONTEXT_BYTES_MAX + 1];
    struct owner o;
    struct raft_update u;
    struct raft_entry e = {.data = {context, sizeof context}};

    (void) state;
    owner_init(&o, 3);
    owner_start(&o);
    assert_int_equal(raft_read_index(o.raft, bytes_of(context, 8)),
                     ERR_RAFT_READ_REFUSED); /* no leader */
    become_leader(&o);
    assert_int_equal(raft_read_index(o.raft, bytes_of(context, sizeof context)),
                     ERR_RAFT_READ_REFUSED);
    step(&o, (struct raft_message){
                 .type = RAFT_MSG_READ_INDEX, .from = 2, .entries = &e, .entries_n = 1});
    step(&o, (struct raft_message){.type = RAFT_MSG_READ_INDEX, .from = 2});
    assert_int_equal(o.raft->reads.n, 0);
    for (int i = 0; i < RAFT_READS_PENDING_MAX; i++) {
        assert_int_equal(raft_read_index(o.raft, bytes_of(context, 8)), 0);
        if (i % 1000 == 0)
            raft_take_update(o.raft, &u);
    }
    assert_int_equal(raft_read_index(o.raft, bytes_of(context, 8)), ERR_RAFT_READ_REFUSED);
    e.data.n = 8;
    step(&o, (struct raft_message){
                 .type = RAFT_MSG_READ_INDEX, .from = 2, .entries = &e, .entries_n = 1});
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
    owner_init(&o, 3);
    owner_start(&o);
    become_leader(&o);
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

/* A read answer of the wrong shape is not passed on. */
static void malformed_read_answer(void **state)
{
    static uint8_t context[RAFT_READ_CONTEXT_BYTES_MAX + 1];
    struct owner o;
    struct raft_entry e = {.data = {context, sizeof context}};
    struct raft_message m = {.type = RAFT_MSG_READ_INDEX_RESP, .from = 2, .term = 1, .index = 1};
    struct raft_update u;

    (void) state;
    owner_init(&o, 3);
    owner_start(&o);
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
    step(&o, (struct raft_message){.type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1});
    for (int i = 0; i < RAFT_MESSAGES_MAX + 10; i++)
        step(&o, (struct raft_message){.type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1});
    raft_take_update(o.raft, &u);
    assert_int_equal(u.messages_n, RAFT_MESSAGES_MAX);
    owner_done(&o);
}

/* A follower whose storage does not keep up ignores appends until it does, as if they were lost. */
static void unstable_log_is_bounded(void **state)
{
    static struct raft_entry v[4096];
    struct owner o;
    struct raft_message m = {.type = RAFT_MSG_APP,
                             .from = 2,
                             .term = 1,
                             .log_term = 1,
                             .index = 1,
                             .entries = v,
                             .entries_n = 4096};

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

/* A follower far behind whose entries are being read back gets them after the next heartbeat. */
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

/* ... for a follower, and for what is to be applied, which is asked for again after a tick. */
static void reading_back_takes_time(void **state)
{
    size_t calls = 0;
    struct raft_memory_options mo = {.entries_max = 1, .reader = {busy_once, &calls}};
    raft_id voters[] = {1, 2};
    struct raft_snapshot s = {.meta = {.index = 1, .term = 1, .conf_state.voters = {voters, 2}}};
    struct owner o = {.memory = raft_memory_storage_new(&mo)};
    struct raft_update u;
    struct raft_message heartbeat_resp = {.type = RAFT_MSG_HEARTBEAT_RESP, .from = 2};

    (void) state;
    assert_int_equal(raft_memory_storage_apply_snapshot(o.memory, &s), 0);
    for (raft_index i = 2; i <= 5; i++)
        raft_memory_storage_append(o.memory, &(struct raft_entry){.term = 1, .index = i}, 1);
    raft_memory_storage_set_hard_state(o.memory, &(struct raft_hard_state){1, 0, 4});
    o.config = a_config(&o);
    o.config.applied = 1;
    owner_start(&o);
    raft_take_update(o.raft, &u);
    assert_int_equal(u.committed_n, 0);
    assert_false(raft_has_update(o.raft));
    raft_tick(o.raft);
    assert_true(raft_has_update(o.raft));
    raft_take_update(o.raft, &u);
    assert_int_equal(u.committed_n, 3);
    raft_applied(o.raft, &u.applied);

    raft_campaign(o.raft);
    raft_take_update(o.raft, &u);
    step(&o, u.after_store[0]);
    step(&o, (struct raft_message){.type = RAFT_MSG_VOTE_RESP, .from = 2, .term = 2});
    assert_int_equal(o.raft->state, RAFT_LEADER);
    raft_take_update(o.raft, &u);
    heartbeat_resp.term = 2;
    step(&o, (struct raft_message){.type = RAFT_MSG_APP_RESP,
                                   .from = 2,
                                   .term = 2,
                                   .reject = true,
                                   .index = 5,
                                   .reject_hint = 1,
                                   .log_term = 1});
    raft_take_update(o.raft, &u);
    assert_int_equal(appends_to(&u, 2), 0);
    step(&o, heartbeat_resp);
    raft_take_update(o.raft, &u);
    assert_int_equal(appends_to(&u, 2), 1);
    owner_done(&o);
}

/* ---- the owner's ways ---- */

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
    owner_init(&o, 1);
    owner_start(&o);
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

/* A proposal is forwarded to the leader, unless that is switched off. */
static void forwarding_switched_off(void **state)
{
    struct owner o;

    (void) state;
    owner_init(&o, 3);
    o.config.disable_proposal_forwarding = true;
    owner_start(&o);
    assert_int_equal(propose(&o, 1), ERR_RAFT_PROPOSAL_DROPPED);
    step(&o, (struct raft_message){.type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1});
    assert_int_equal(propose(&o, 1), ERR_RAFT_PROPOSAL_DROPPED);
    owner_done(&o);
}

/* Requests that need a leader go nowhere without one. */
static void nothing_to_forward_to(void **state)
{
    struct owner o;
    struct raft_entry e = {.data = BYTES_LIT("read")};

    (void) state;
    owner_init(&o, 3);
    owner_start(&o);
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
    owner_init(&o, 3);
    owner_start(&o);
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
    owner_init(&o, 3);
    owner_start(&o);
    step(&o, (struct raft_message){.type = RAFT_MSG_APP,
                                   .from = 2,
                                   .term = 1,
                                   .log_term = 1,
                                   .index = 1,
                                   .entries = v,
                                   .entries_n = 2});
    step(&o, (struct raft_message){.type = RAFT_MSG_SNAP, .from = 2, .term = 1, .snapshot = &s});
    assert_int_equal(raft_get_commit(o.raft), 3);
    assert_null(o.raft->log.unstable.snapshot);
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
    owner_init(&o, 2);
    owner_start(&o);
    assert_int_equal(raft_apply_conf_change(o.raft, &leave, &cs, &e), ERR_RAFT_CONF_CHANGE);
    assert_string_equal(e.msg, "can't leave a non-joint config");
    assert_int_equal(raft_apply_conf_change(o.raft, &none, &cs, &e), 0);
    assert_int_equal(cs.voters.n, 2);
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
    owner_init(&o, 3);
    owner_start(&o);
    become_leader(&o);
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
    owner_init(&o, 3);
    owner_start(&o);
    become_leader(&o);
    assert_int_equal(raft_propose_conf_change_v2(o.raft, &c), 0);
    run(&o);
    last = raft_get_last_index(o.raft);
    assert_int_equal(raft_apply_conf_change(o.raft, &c, NULL, NULL), 0);
    raft_transfer_leader(o.raft, 3);
    step(&o,
         (struct raft_message){
             .type = RAFT_MSG_APP_RESP, .from = 2, .term = raft_get_term(o.raft), .index = last});
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
    owner_init(&o, 3);
    owner_start(&o);
    become_leader(&o);
    for (int i = 0; i < 5; i++)
        assert_int_equal(propose(&o, 10), 0);
    run(&o);
    step(&o, (struct raft_message){
                 .type = RAFT_MSG_APP_RESP, .from = 2, .term = raft_get_term(o.raft), .index = 4});
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

/* A member reports itself as it is. */
static void status(void **state)
{
    struct owner o;
    struct raft_status s;
    struct raft_peer_status p;

    (void) state;
    owner_init(&o, 3);
    owner_start(&o);
    become_leader(&o);
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
    assert_true(o.lines > 0);
    assert_string_equal(raft_err_text(ERR_RAFT_COMPACTED),
                        "requested index is unavailable due to compaction");
    assert_string_equal(raft_err_text(ERR_NOMEM), "out of memory");
    owner_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_configurations),
        cmocka_unit_test(bad_members_in_storage),
        cmocka_unit_test(a_cluster_of_one),
        cmocka_unit_test(too_many_founders),
        cmocka_unit_test(strange_messages),
        cmocka_unit_test(strange_messages_to_a_leader),
        cmocka_unit_test(unreadable_change),
        cmocka_unit_test(one_change_at_a_time),
        cmocka_unit_test(uncommitted_limit),
        cmocka_unit_test(read_limits),
        cmocka_unit_test(false_echoes),
        cmocka_unit_test(malformed_read_answer),
        cmocka_unit_test(messages_are_bounded),
        cmocka_unit_test(unstable_log_is_bounded),
        cmocka_unit_test(reading_back_takes_time),
        cmocka_unit_test(synchronous),
        cmocka_unit_test(acknowledged_by_messages),
        cmocka_unit_test(forwarding_switched_off),
        cmocka_unit_test(nothing_to_forward_to),
        cmocka_unit_test(bad_snapshots),
        cmocka_unit_test(snapshot_fast_forwards),
        cmocka_unit_test(applying_changes),
        cmocka_unit_test(transfer_target_removed),
        cmocka_unit_test(auto_leave_waits_for_transfer),
        cmocka_unit_test(steps_down_without_a_quorum),
        cmocka_unit_test(snapshots_that_are_not_sent),
        cmocka_unit_test(status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
