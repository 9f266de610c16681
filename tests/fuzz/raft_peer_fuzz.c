/* raft_peer_fuzz.c -- one core among peers that send whatever they like.
 *
 * The input is a row of choices: ticks, messages of any bytes, each behind two bytes of length, and
 * messages whose numbers lie around the core's own, or at the ends of what there is.  Storage and
 * state machine are done at once, or lag behind.  Whatever comes, the core goes on, or
 * says that its log is lost; what it has committed stays, its term never falls, and its own checks
 * hold after every message (raft__check, which debug builds call). */
#include "base/arena.h"
#include "engine/raft/raft_int.h"
#include "fuzz/choices.h"

#define OWN_ID 1
#define MESSAGES_MAX 256 /* of one input */

static struct raft_memory_storage *memory;
static struct raft *core;

static uint64_t no_chance(void *arg, uint64_t bound)
{
    (void) arg;
    (void) bound;
    return 0;
}

static void begin(unsigned options)
{
    raft_id voters[] = {OWN_ID, 2, 3};
    struct raft_snapshot s = {
        .meta = {.index = 1, .term = 1, .conf_state.voters = {voters, ARRAY_LEN(voters)}}};
    struct raft_hard_state hard = {.term = 1, .commit = 1};
    struct raft_config c = {
        .id = OWN_ID,
        .election_tick = 5,
        .heartbeat_tick = 1,
        .applied = 1,
        .msg_bytes_max = (options & 1) != 0 ? 64 : 1 << 20,
        .inflight_max = (options & 2) != 0 ? 2 : 256,
        .check_quorum = (options & 4) != 0,
        .pre_vote = (options & 8) != 0,
        .async_storage_writes = true,
        .vote_requests_after_store = true,
        .random = {no_chance, NULL},
    };

    memory = raft_memory_storage_new(&(struct raft_memory_options){0});
    ASSERT(raft_memory_storage_apply_snapshot(memory, &s) == 0);
    raft_memory_storage_set_hard_state(memory, &hard);
    c.storage = raft_memory_storage_base(memory);
    ASSERT(raft_new(&c, &core, NULL) == 0);
}

static void end(void)
{
    raft_free(core);
    raft_memory_storage_free(memory);
}

/* A change that does not fit, or cannot be read, stops a member: here it is left out. */
static void apply_change(const struct raft_entry *e)
{
    struct raft_conf_change_single single;
    struct raft_conf_change v1;
    struct raft_conf_change_v2 v2 = {0};
    struct arena a;
    int rc;

    arena_init(&a, 1 << 20);
    if (e->type == RAFT_ENTRY_CONF_CHANGE) {
        rc = raft_conf_change_get(e->data, &v1, NULL);
        if (rc == 0)
            v2 = raft_conf_change_as_v2(&v1, &single);
    } else {
        rc = raft_conf_change_v2_get(e->data, &a, &v2, NULL);
    }
    if (rc == 0 && !raft_is_superseded(core, e->index))
        (void) !raft_apply_conf_change(core, &v2, NULL, NULL);
    arena_done(&a);
}

static void do_work(void)
{
    struct raft_update u;

    while (raft_has_update(core)) {
        raft_take_update(core, &u);
        if (u.snapshot != NULL)
            ASSERT(raft_memory_storage_apply_snapshot(memory, u.snapshot) == 0);
        raft_memory_storage_append(memory, u.entries, u.entries_n);
        for (size_t i = 0; i < u.after_store_n; i++)
            if (u.after_store[i].to == OWN_ID)
                ASSERT(raft_step(core, &u.after_store[i]) != ERR_RAFT_LOG_LOST);
        raft_stored(core, &u.stored);
        for (size_t i = 0; i < u.committed_n; i++)
            if (u.committed[i].type != RAFT_ENTRY_NORMAL)
                apply_change(&u.committed[i]);
        raft_applied(core, &u.applied);
    }
}

/* What the owner lets in (node/peers.c). */
static bool may_travel(const struct raft_message *m)
{
    switch (m->type) {
    case RAFT_MSG_STORAGE_APPEND:
    case RAFT_MSG_STORAGE_APPEND_RESP:
    case RAFT_MSG_STORAGE_APPLY:
    case RAFT_MSG_STORAGE_APPLY_RESP:
        return false;
    default:
        return m->from != OWN_ID || m->type == RAFT_MSG_PROP;
    }
}

/* False: the member would stop. */
static bool receive(struct choices *in)
{
    size_t n = (size_t) pick(in, 256) << 8;
    struct raft_message m;
    struct arena a;
    bool goes_on = true;

    n += pick(in, 256);
    n = MIN(n, (size_t) (in->end - in->p));
    arena_init(&a, (size_t) 8 << 20);
    if (raft_message_get(bytes_of(in->p, n), &a, &m, NULL) == 0 && may_travel(&m))
        goes_on = raft_step(core, &m) != ERR_RAFT_LOG_LOST;
    in->p += n;
    arena_done(&a);
    return goes_on;
}

/* ---- messages that come close ---- */

/* A little below, at, or a little above `x`; or where numbers end. */
static uint64_t near(struct choices *in, uint64_t x)
{
    static const uint64_t ends[] = {0, 1, RAFT_INDEX_MAX, RAFT_INDEX_MAX + 1, UINT64_MAX};
    unsigned c = pick(in, 16);

    return c < ARRAY_LEN(ends) ? ends[c] : x + c - 8;
}

static raft_id someone(struct choices *in)
{
    static const raft_id ids[] = {2, 3, 2, 3, 7, RAFT_NONE, RAFT_LOCAL_APPEND_THREAD, 130};

    return ids[pick(in, ARRAY_LEN(ids))];
}

#define ENTRIES_MAX 4
#define IDS_MAX 300

static size_t some_ids(struct choices *in, raft_id *v, raft_id from)
{
    size_t n = pick(in, 4) == 0 ? pick(in, 256) : pick(in, 4);

    for (size_t i = 0; i < n; i++)
        v[i] = from + i;
    return n;
}

/* False: the member would stop. */
static bool receive_near(struct choices *in)
{
    static raft_id ids[4][IDS_MAX];
    struct raft_entry v[ENTRIES_MAX] = {0};
    struct raft_snapshot s = {0};
    struct raft_conf_state *cs = &s.meta.conf_state;
    uint8_t context[8] = {(uint8_t) pick(in, 256)};
    raft_index last = raft_get_last_index(core);
    raft_term term = raft_get_term(core);
    struct raft_message m = {.type = (enum raft_message_type) pick(in, RAFT_MSG_END),
                             .from = someone(in),
                             .to = OWN_ID,
                             .term = near(in, term),
                             .log_term = near(in, term),
                             .index = near(in, last),
                             .commit = near(in, raft_get_commit(core)),
                             .reject = pick(in, 2) == 1,
                             .reject_hint = near(in, last),
                             .context = bytes_of(context, pick(in, 2) * sizeof context),
                             .entries = v,
                             .entries_n = pick(in, ENTRIES_MAX + 1)};

    for (size_t i = 0; i < m.entries_n; i++)
        v[i] = (struct raft_entry){.index = pick(in, 8) == 0 ? near(in, last) : m.index + 1 + i,
                                   .term = pick(in, 4) == 0 ? near(in, term) : m.term,
                                   .type = (enum raft_entry_type) pick(in, 3),
                                   .data = bytes_of(context, pick(in, 2))};
    if (m.type == RAFT_MSG_SNAP && pick(in, 8) != 0) {
        s.meta.index = near(in, last);
        s.meta.term = near(in, term);
        cs->voters = (struct raft_ids){ids[0], some_ids(in, ids[0], pick(in, 3))};
        cs->learners = (struct raft_ids){ids[1], some_ids(in, ids[1], pick(in, 256))};
        cs->voters_outgoing = (struct raft_ids){ids[2], some_ids(in, ids[2], pick(in, 256))};
        cs->learners_next = (struct raft_ids){ids[3], some_ids(in, ids[3], pick(in, 256))};
        m.snapshot = &s;
    }
    return !may_travel(&m) || raft_step(core, &m) != ERR_RAFT_LOG_LOST;
}

static bool one(struct choices *in)
{
    switch (pick(in, 8)) {
    case 0:
        raft_tick(core);
        return true;
    case 1:
        do_work();
        return true;
    case 2:
        (void) !raft_propose(core, &(struct raft_entry){.data = BYTES_LIT("x")}, 1);
        return true;
    case 3:
        (void) !raft_read_index(core, BYTES_LIT("readread"));
        return true;
    case 4:
        return receive(in);
    default:
        return receive_near(in);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct choices in = choices_of(data, size);
    raft_index committed = 1;
    raft_term term = 1;

    begin(pick(&in, 16));
    for (int i = 0; i < MESSAGES_MAX && !choices_over(&in) && one(&in); i++) {
        ASSERT(raft_get_commit(core) >= committed);
        ASSERT(raft_get_term(core) >= term);
        committed = raft_get_commit(core);
        term = raft_get_term(core);
    }
    end();
    return 0;
}
