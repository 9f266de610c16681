/* owner.h -- one core under test, and an owner that stores and applies at once.  Messages to others
 * are lost; theirs are made up by the test. */
#ifndef KETCH_TESTS_UNIT_ENGINE_RAFT_OWNER_H
#define KETCH_TESTS_UNIT_ENGINE_RAFT_OWNER_H

#include "lib/cm.h"

#include "engine/raft/raft_int.h"

/* A program's tests run twice, with and without a sink for the core's log lines: the setups of
 * their groups. */
static bool owner_muted;

static inline int owner_loud(void **state)
{
    (void) state;
    owner_muted = false;
    return 0;
}

static inline int owner_mute(void **state)
{
    (void) state;
    owner_muted = true;
    return 0;
}

struct owner {
    struct raft_memory_storage *memory;
    struct raft *raft;
    struct raft_config config;
    size_t applied; /* entries */
    size_t lines;   /* traced */
};

static inline uint64_t owner_random(void *arg, uint64_t bound)
{
    (void) arg;
    (void) bound;
    return 0;
}

static inline void count_line(void *arg, enum raft_trace_level level, const char *text)
{
    struct owner *o = arg;

    assert_in_range(level, RAFT_TRACE_DEBUG, RAFT_TRACE_ERROR);
    assert_true(strlen(text) > 0);
    o->lines++;
}

static inline struct raft_config a_config(struct owner *o)
{
    return (struct raft_config){
        .id = 1,
        .election_tick = 10,
        .heartbeat_tick = 1,
        .storage = raft_memory_storage_base(o->memory),
        .msg_bytes_max = 1 << 20,
        .inflight_max = 256,
        .async_storage_writes = true,
        .random.below = owner_random,
        .trace = {RAFT_TRACE_DEBUG, owner_muted ? NULL : count_line, o},
    };
}

/* Members 1 to n, by a snapshot at index 1. */
static inline void owner_init(struct owner *o, size_t n)
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

static inline void owner_start(struct owner *o)
{
    struct err e = ERR_INIT;

    assert_int_equal(raft_new(&o->config, &o->raft, &e), 0);
}

/* One of n, with nothing out of the ordinary. */
static inline void owner_begin(struct owner *o, size_t n)
{
    owner_init(o, n);
    owner_start(o);
}

static inline void owner_done(struct owner *o)
{
    if (o->raft != NULL)
        raft__check(o->raft);
    raft_free(o->raft);
    raft_memory_storage_free(o->memory);
}

static inline void apply(struct owner *o, const struct raft_entry *v, size_t n)
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
static inline void run(struct owner *o)
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

static inline void step(struct owner *o, struct raft_message m)
{
    assert_int_equal(raft_step(o->raft, &m), 0);
}

/* ---- what others say ---- */

static inline void heartbeat(struct owner *o, raft_id from, raft_term term)
{
    step(o, (struct raft_message){.type = RAFT_MSG_HEARTBEAT, .from = from, .term = term});
}

static inline void grants_vote(struct owner *o, raft_id from)
{
    step(o, (struct raft_message){
                .type = RAFT_MSG_VOTE_RESP, .from = from, .term = raft_get_term(o->raft)});
}

/* It has the leader's entries up to the index. */
static inline void acks(struct owner *o, raft_id from, raft_index index)
{
    step(o, (struct raft_message){.type = RAFT_MSG_APP_RESP,
                                  .from = from,
                                  .term = raft_get_term(o->raft),
                                  .index = index});
}

/* It has not what goes before an append, whose index this is; perhaps up to the hint. */
static inline void rejects(struct owner *o, raft_id from, raft_index index, raft_index hint)
{
    step(o, (struct raft_message){.type = RAFT_MSG_APP_RESP,
                                  .from = from,
                                  .term = raft_get_term(o->raft),
                                  .reject = true,
                                  .index = index,
                                  .reject_hint = hint});
}

/* ---- a leader ---- */

/* 2 votes for it and has its first entry. */
static inline void become_leader(struct owner *o)
{
    raft_campaign(o->raft);
    run(o);
    if (o->raft->state != RAFT_LEADER)
        grants_vote(o, 2);
    run(o);
    assert_int_equal(o->raft->state, RAFT_LEADER);
    if (!raft_is_single_voter(o->raft))
        acks(o, 2, raft_get_last_index(o->raft));
    run(o);
}

/* The leader of n, with nothing out of the ordinary. */
static inline void owner_lead(struct owner *o, size_t n)
{
    owner_begin(o, n);
    become_leader(o);
}

static inline int propose(struct owner *o, size_t bytes)
{
    static uint8_t data[4096];

    return raft_propose(o->raft, &(struct raft_entry){.data = {data, bytes}}, 1);
}

#endif
