/* Quorum arithmetic against slow versions that say what is meant, over every small configuration.
 */
#include "lib/cm.h"

#include "engine/raft/quorum.h"

#define IDS 7 /* incoming out of 1-5, outgoing out of 3-7: apart, overlapping, equal */

struct world {
    uint8_t value[IDS + 1]; /* by id */
};

static struct raft_id_set set_of(unsigned mask, raft_id first)
{
    struct raft_id_set s = {0};

    for (unsigned i = 0; i < 5; i++)
        if ((mask >> i & 1) != 0)
            assert_true(raft__ids_add(&s, first + i));
    return s;
}

/* Steps through all assignments of `base` values to ids 1 to IDS; false after the last. */
static bool next_world(struct world *w, uint8_t base)
{
    for (int i = 1; i <= IDS; i++) {
        if (++w->value[i] < base)
            return true;
        w->value[i] = 0;
    }
    return false;
}

static bool irrelevant(const struct world *w, const struct raft_id_set *a,
                       const struct raft_id_set *b)
{
    for (raft_id i = 1; i <= IDS; i++)
        if (w->value[i] != 0 && !raft__ids_has(a, i) && !raft__ids_has(b, i))
            return true; /* differs from another world only in someone without a say */
    return false;
}

/* Checks every configuration of up to 5 + 5 voters, in every state of theirs out of `base` each. */
static void in_every_configuration(uint8_t base, void (*check)(const struct raft_id_set *a,
                                                               const struct raft_id_set *b,
                                                               const struct world *w))
{
    for (unsigned in = 0; in < 32; in++) {
        for (unsigned out = 0; out < 32; out++) {
            struct raft_id_set a = set_of(in, 1), b = set_of(out, 3);
            struct world w = {{0}};

            do {
                if (!irrelevant(&w, &a, &b))
                    check(&a, &b, &w);
            } while (next_world(&w, base));
        }
    }
}

/* ---- commit ---- */

static raft_index acked(const void *arg, raft_id id)
{
    const struct world *w = arg;

    return w->value[id];
}

static bool majority_has(const struct raft_id_set *s, const struct world *w, raft_index i)
{
    size_t n = 0;

    for (size_t k = 0; k < s->n; k++)
        n += w->value[s->v[k]] >= i;
    return s->n == 0 || 2 * n > s->n;
}

static raft_index slow_committed(const struct raft_id_set *a, const struct raft_id_set *b,
                                 const struct world *w)
{
    raft_index i = 3;

    if (a->n == 0 && b->n == 0)
        return RAFT_INDEX_INFINITE;
    while (!majority_has(a, w, i) || !majority_has(b, w, i))
        i--;
    return i;
}

static void check_committed(const struct raft_id_set *a, const struct raft_id_set *b,
                            const struct world *w)
{
    assert_int_equal(raft__joint_committed(a, b, acked, w), slow_committed(a, b, w));
}

/* The joint commit index is the largest one that a majority of each half has, for every
 * configuration of up to 5 + 5 voters and every state of their acknowledgements. */
static void committed_in_every_configuration(void **state)
{
    (void) state;
    in_every_configuration(3, check_committed);
}

/* ---- votes ---- */

static enum raft__vote voted(const void *arg, raft_id id)
{
    const struct world *w = arg;

    return (enum raft__vote) w->value[id];
}

/* Whether the election is won if everyone silent voted so. */
static bool won_if(const struct raft_id_set *s, const struct world *w, bool silent_say_yes)
{
    size_t n = 0;

    for (size_t k = 0; k < s->n; k++)
        n += w->value[s->v[k]] == RAFT_VOTE_YES ||
             (silent_say_yes && w->value[s->v[k]] == RAFT_VOTE_MISSING);
    return s->n == 0 || 2 * n > s->n;
}

static void check_vote(const struct raft_id_set *a, const struct raft_id_set *b,
                       const struct world *w)
{
    enum raft__vote_result slow = RAFT_VOTE_PENDING;

    if (won_if(a, w, false) && won_if(b, w, false))
        slow = RAFT_VOTE_WON;
    else if (!won_if(a, w, true) || !won_if(b, w, true))
        slow = RAFT_VOTE_LOST;
    assert_int_equal(raft__joint_vote(a, b, voted, w), slow);
}

/* An election is won when nobody silent could lose it, and lost when nobody silent could win it. */
static void votes_in_every_configuration(void **state)
{
    (void) state;
    in_every_configuration(3, check_vote);
}

/* ---- sets ---- */

/* Sets stay sorted and without duplicates, whatever the order of additions and removals. */
static void sets_stay_sorted(void **state)
{
    struct raft_id_set s = {0};
    uint64_t x = 1;

    (void) state;
    for (int i = 0; i < 5000; i++) {
        raft_id id;

        x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
        id = 1 + (x >> 40) % 200;
        if ((x >> 33 & 1) == 0)
            raft__ids_del(&s, id);
        else if (!raft__ids_add(&s, id))
            assert_int_equal(s.n, RAFT_MEMBERS_MAX);
        for (size_t k = 1; k < s.n; k++)
            assert_true(s.v[k - 1] < s.v[k]);
    }
}

/* A full set refuses another id and accepts one that it has. */
static void a_full_set_refuses(void **state)
{
    struct raft_id_set s = {0}, none = {0};

    (void) state;
    for (raft_id id = 1; id <= RAFT_MEMBERS_MAX; id++)
        assert_true(raft__ids_add(&s, id));
    assert_false(raft__ids_add(&s, RAFT_MEMBERS_MAX + 1));
    assert_true(raft__ids_add(&s, 1));
    assert_int_equal(raft__ids_difference(&s, &none), RAFT_MEMBERS_MAX);
    assert_int_equal(raft__ids_difference(&none, &s), RAFT_MEMBERS_MAX);
}

/* The union of two sets is in order and has each id once. */
static void unions_are_in_order(void **state)
{
    (void) state;
    for (unsigned in = 0; in < 32; in++) {
        for (unsigned out = 0; out < 32; out++) {
            struct raft_id_set a = set_of(in, 1), b = set_of(out, 3);
            raft_id all[2 * RAFT_MEMBERS_MAX];
            size_t n = raft__ids_union(&a, &b, all);

            for (size_t k = 0; k < n; k++) {
                assert_true(raft__ids_has(&a, all[k]) || raft__ids_has(&b, all[k]));
                if (k > 0)
                    assert_true(all[k - 1] < all[k]);
            }
            assert_int_equal(2 * n, a.n + b.n + raft__ids_difference(&a, &b));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(committed_in_every_configuration),
        cmocka_unit_test(votes_in_every_configuration),
        cmocka_unit_test(sets_stay_sorted),
        cmocka_unit_test(a_full_set_refuses),
        cmocka_unit_test(unions_are_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
