#include "wire/raftpb.h"

#include "base/alloc.h"
#include "lib/cm.h"
#include "raft.pb-c.h"
#include "unit/wire/hex.h"
#include "wire/wire.h"

static struct bytes entry_bytes(struct arena *a, const struct raft_entry *en)
{
    size_t n = raft_entry_size(en);
    uint8_t *p = arena_alloc(a, n + 1);

    assert_ptr_equal(raft_entry_put(en, p), p + n);
    return bytes_of(p, n);
}

/* A leader's empty entry as 3.5 writes it (zeros spelled out) and as 3.7 does, which is also ours.
 */
static void entry_of_both_kinds(void **state)
{
    struct raft_entry en;
    struct arena a;

    (void) state;
    arena_init(&a, ARENA_MAX);
    assert_int_equal(raft_entry_get(from_hex(&a, "0800 1002 1804"), &en, NULL), 0);
    assert_int_equal(en.type, RAFT_ENTRY_NORMAL);
    assert_int_equal(en.term, 2);
    assert_int_equal(en.index, 4);
    assert_int_equal(en.data.n, 0);
    assert_int_equal(raft_entry_get(from_hex(&a, "1002 1802"), &en, NULL), 0);
    assert_int_equal(en.index, 2);
    assert_true(bytes_eq(entry_bytes(&a, &en), from_hex(&a, "1002 1802")));
    en = (struct raft_entry){
        .term = 1, .index = 3, .type = RAFT_ENTRY_CONF_CHANGE, .data = BYTES_LIT("ab")};
    assert_true(bytes_eq(entry_bytes(&a, &en), from_hex(&a, "0801 1001 1803 2202 6162")));
    arena_done(&a);
}

/* The tail that 3.5 puts into every message, an empty snapshot, is no snapshot; 3.6's zeros are
 * nothing either. */
static void message_tails(void **state)
{
    struct raft_message m;
    struct arena a;

    (void) state;
    arena_init(&a, ARENA_MAX);
    assert_int_equal(raft_message_get(from_hex(&a, "0808 1001 1802 2005 2800 3000 4003"
                                                   "4a0a12080a02280010001800 5000 5800 6202 0102"),
                                      &a, &m, NULL),
                     0);
    assert_int_equal(m.type, RAFT_MSG_HEARTBEAT);
    assert_int_equal(m.to, 1);
    assert_int_equal(m.from, 2);
    assert_int_equal(m.term, 5);
    assert_int_equal(m.commit, 3);
    assert_null(m.snapshot);
    assert_false(m.reject);
    assert_int_equal(m.context.n, 2);
    assert_int_equal(
        raft_message_get(from_hex(&a, "0809 1001 1802 2005 5000 5800 6800"), &a, &m, NULL), 0);
    assert_int_equal(m.type, RAFT_MSG_HEARTBEAT_RESP);
    assert_int_equal(m.vote, 0);
    arena_done(&a);
}

/* A message's size is checked before memory is taken: by the arena, and by a number of entries. */
static void limits(void **state)
{
    struct raft_message m;
    struct arena a;
    struct buf b;

    (void) state;
    arena_init(&a, 65536);
    buf_init(&b, 4 << 20);
    for (int i = 0; i < 5000; i++)
        assert_true(buf_add(&b, "\x3a\x00", 2));
    assert_int_equal(raft_message_get(buf_bytes(&b), &a, &m, NULL), ERR_LIMIT); /* the arena's */
    for (int i = 0; i <= RAFTPB_ENTRIES_MAX; i++)
        assert_true(buf_add(&b, "\x3a\x00", 2));
    assert_int_equal(raft_message_get(buf_bytes(&b), &a, &m, NULL), ERR_LIMIT);
    buf_done(&b);
    arena_done(&a);
}

/* Unknown types, and known fields of another wire type, are malformed; unknown fields are not. */
static void malformed(void **state)
{
    static const char *const bad[] = {"0818", "0a00", "4200", "3801", "4801", "5200", "6001", "10"};
    struct raft_message m;
    struct arena a;

    (void) state;
    arena_init(&a, ARENA_MAX);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(raft_message_get(from_hex(&a, bad[i]), &a, &m, NULL), ERR_CORRUPT);
    assert_int_equal(raft_message_get(from_hex(&a, "0803 7a00 f801 05"), &a, &m, NULL), 0);
    assert_int_equal(m.type, RAFT_MSG_APP);
    arena_done(&a);
}

/* ---- the same messages through protobuf-c's code ---- */

/* splitmix64; src/sys is not below src/wire. */
struct random {
    uint64_t state;
};

static uint64_t random_u64(struct random *r)
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint64_t random_below(struct random *r, uint64_t bound)
{
    return random_u64(r) % bound;
}

static uint64_t some(struct random *r)
{
    return random_below(r, 3) == 0 ? 0 : random_u64(r) >> random_below(r, 64);
}

static struct bytes some_bytes(struct random *r, struct arena *a)
{
    size_t n = (size_t) random_below(r, 40);
    uint8_t *p = arena_alloc(a, n + 1);

    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t) random_u64(r);
    return bytes_of(p, n);
}

static struct raft_ids some_ids(struct random *r, struct arena *a)
{
    struct raft_ids ids = {arena_alloc(a, 8 * sizeof(raft_id)), (size_t) random_below(r, 8)};

    for (size_t i = 0; i < ids.n; i++)
        ids.v[i] = some(r);
    return ids;
}

static struct raft_snapshot *some_snapshot(struct random *r, struct arena *a)
{
    struct raft_snapshot *s = arena_calloc(a, 1, sizeof *s);

    s->data = some_bytes(r, a);
    s->meta = (struct raft_snapshot_meta){
        .conf_state = {.voters = some_ids(r, a),
                       .learners = some_ids(r, a),
                       .voters_outgoing = some_ids(r, a),
                       .learners_next = some_ids(r, a),
                       .auto_leave = random_below(r, 2) != 0},
        .index = some(r) | 1,
        .term = some(r),
    };
    return s;
}

static struct raft_message some_message(struct random *r, struct arena *a)
{
    struct raft_message m = {
        .type = (enum raft_message_type) random_below(r, RAFT_MSG_END),
        .to = some(r),
        .from = some(r),
        .term = some(r),
        .log_term = some(r),
        .index = some(r),
        .entries_n = (size_t) random_below(r, 5),
        .commit = some(r),
        .vote = some(r),
        .reject = random_below(r, 2) != 0,
        .reject_hint = some(r),
        .context = some_bytes(r, a),
    };

    m.entries = arena_calloc(a, 5, sizeof *m.entries);
    for (size_t i = 0; i < m.entries_n; i++)
        m.entries[i] = (struct raft_entry){.type = (enum raft_entry_type) random_below(r, 3),
                                           .term = some(r),
                                           .index = some(r),
                                           .data = some_bytes(r, a)};
    if (random_below(r, 2) == 0)
        m.snapshot = some_snapshot(r, a);
    return m;
}

static void same_ids(const struct raft_ids *x, const uint64_t *v, size_t n)
{
    assert_int_equal(x->n, n);
    for (size_t i = 0; i < n; i++)
        assert_true(x->v[i] == v[i]);
}

/* What protobuf-c has read says what ours says. */
static void same(const struct raft_message *m, const Raftpb__Message *g)
{
    assert_int_equal(m->type, g->type);
    assert_true(m->to == g->to && m->from == g->from && m->term == g->term);
    assert_true(m->log_term == g->logterm && m->index == g->index && m->commit == g->commit);
    assert_true(m->vote == g->vote && m->reject_hint == g->rejecthint);
    assert_int_equal(m->reject, g->reject);
    assert_true(bytes_eq(m->context, wire_bytes(g->context)));
    assert_int_equal(m->entries_n, g->n_entries);
    for (size_t i = 0; i < m->entries_n; i++) {
        assert_int_equal(m->entries[i].type, g->entries[i]->type);
        assert_true(m->entries[i].term == g->entries[i]->term);
        assert_true(m->entries[i].index == g->entries[i]->index);
        assert_true(bytes_eq(m->entries[i].data, wire_bytes(g->entries[i]->data)));
    }
    assert_int_equal(m->snapshot != NULL, g->snapshot != NULL);
    if (m->snapshot != NULL) {
        const struct raft_conf_state *cs = &m->snapshot->meta.conf_state;
        const Raftpb__ConfState *gs = g->snapshot->metadata->conf_state;

        assert_true(bytes_eq(m->snapshot->data, wire_bytes(g->snapshot->data)));
        assert_true(m->snapshot->meta.index == g->snapshot->metadata->index);
        assert_true(m->snapshot->meta.term == g->snapshot->metadata->term);
        same_ids(&cs->voters, gs->voters, gs->n_voters);
        same_ids(&cs->learners, gs->learners, gs->n_learners);
        same_ids(&cs->voters_outgoing, gs->voters_outgoing, gs->n_voters_outgoing);
        same_ids(&cs->learners_next, gs->learners_next, gs->n_learners_next);
        assert_int_equal(cs->auto_leave, gs->auto_leave);
    }
}

/* Ten thousand random messages: protobuf-c reads what we write, we read what it writes, and both
 * agree on every field. */
static void agrees_with_generated_code(void **state)
{
    struct random seed = {7}, *r = &seed;

    (void) state;
    for (int i = 0; i < 10000; i++) {
        struct raft_message m, again;
        Raftpb__Message *g;
        struct arena a;
        struct buf b;
        uint8_t *p;
        size_t n;

        arena_init(&a, ARENA_MAX);
        buf_init(&b, ARENA_MAX);
        m = some_message(r, &a);
        n = raft_message_size(&m);
        p = arena_alloc(&a, n + 1);
        p[n] = 0xa5;
        assert_ptr_equal(raft_message_put(&m, p), p + n);
        assert_int_equal(p[n], 0xa5);
        assert_int_equal(WIRE_DECODE(raftpb__message, bytes_of(p, n), &a, &g, NULL), 0);
        same(&m, g);
        assert_true(wire_encode(&g->base, &b));
        assert_int_equal(raft_message_get(buf_bytes(&b), &a, &again, NULL), 0);
        same(&again, g);
        buf_done(&b);
        arena_done(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entry_of_both_kinds),
        cmocka_unit_test(message_tails),
        cmocka_unit_test(limits),
        cmocka_unit_test(malformed),
        cmocka_unit_test(agrees_with_generated_code),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
