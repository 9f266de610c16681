/* What a leader sends to those that are behind: entries that have to be read back first, snapshots,
 * and no more than may be on the way. */
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
        cmocka_unit_test(snapshots_that_are_not_sent),
        cmocka_unit_test(reading_back_takes_time),
        cmocka_unit_test(what_was_read_goes_on_at_once),
        cmocka_unit_test(reading_on_waits_for_answers),
        cmocka_unit_test(snapshot_is_being_made),
        cmocka_unit_test(broken_reader),
        cmocka_unit_test(inflight_bytes),
    };

    return cmocka_run_group_tests(tests, owner_loud, NULL) +
           cmocka_run_group_tests(tests, owner_mute, NULL);
}
