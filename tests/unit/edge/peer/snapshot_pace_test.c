#include "edge/peer/snapshot_pace.h"

#include "edge/peer/peer_limits.h"
#include "lib/cm.h"

#define MS INT64_C(1000000)
#define S (1000 * MS)
#define PIECES_PER_S_MIN \
    (PEER_SNAPSHOT_BESIDE_BYTES_MIN_PER_S / (int64_t) NODE_SNAPSHOT_PIECE_BYTES)

/* Pieces that leave in a second of which each takes `took`, when timers are `late`. */
static int64_t pieces_in_a_second(mono_ns took, mono_ns late)
{
    struct snapshot_pace p;
    mono_ns now = 5 * S;
    int64_t n = 0;

    snapshot_pace_init(&p, 1, now);
    for (; now < 6 * S; n++) {
        snapshot_pace_asked(&p, now);
        now += took;
        snapshot_pace_came(&p, now);
        if (p.due > now)
            now = p.due + late;
    }
    return n;
}

/* Nothing is written: it leaves as fast as it goes, from the first moment and again later. */
static void full_speed_while_nothing_is_written(void **state)
{
    struct snapshot_pace p;

    (void) state;
    snapshot_pace_init(&p, 7, 5 * S);
    assert_false(snapshot_pace_is_beside(&p, 7, 5 * S));
    assert_true(snapshot_pace_is_beside(&p, 8, 5 * S + MS));
    assert_true(snapshot_pace_is_beside(&p, 8, 5 * S + PEER_SNAPSHOT_BESIDE_NS));
    assert_false(snapshot_pace_is_beside(&p, 8, 5 * S + MS + PEER_SNAPSHOT_BESIDE_NS));
    assert_true(snapshot_pace_is_beside(&p, 9, 7 * S));
}

/* Pieces that come slowly do not slow it down beyond the least rate, with timers that are late,
 * too. */
static void the_least_rate_is_kept(void **state)
{
    (void) state;
    assert_in_range(pieces_in_a_second(2 * MS, 0), PIECES_PER_S_MIN, PIECES_PER_S_MIN + 1);
    assert_in_range(pieces_in_a_second(MS, 2 * MS), PIECES_PER_S_MIN - 1, PIECES_PER_S_MIN + 1);
}

/* A machine that reads quickly has short rests: a piece in a tenth of a millisecond leaves
 * every 1.6. */
static void rests_are_as_long_as_pieces_take(void **state)
{
    (void) state;
    assert_in_range(pieces_in_a_second(MS / 50, 0), 781, 783);
    assert_in_range(pieces_in_a_second(MS / 50, MS), 780, 783);
}

/* A long stand still is not made up for with a burst: one interval at most. */
static void no_burst_behind_a_stand_still(void **state)
{
    struct snapshot_pace p;

    (void) state;
    snapshot_pace_init(&p, 1, S);
    snapshot_pace_asked(&p, S);
    snapshot_pace_came(&p, S + MS);
    snapshot_pace_asked(&p, 20 * S);
    snapshot_pace_came(&p, 20 * S + MS);
    assert_int_equal(p.due, 20 * S);
    snapshot_pace_asked(&p, 20 * S + MS);
    snapshot_pace_came(&p, 20 * S + 2 * MS);
    assert_int_equal(p.due, 20 * S + S / PIECES_PER_S_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_speed_while_nothing_is_written),
        cmocka_unit_test(the_least_rate_is_kept),
        cmocka_unit_test(rests_are_as_long_as_pieces_take),
        cmocka_unit_test(no_burst_behind_a_stand_still),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
