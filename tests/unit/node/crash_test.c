/* A power cut, or a disk that fails: what was acknowledged is there afterwards. */
#include "unit/node/lone.h"

/* Power is cut at every point of a run of puts: after the restart every acknowledged one is there,
 * at its revision, and the store goes on. */
static void nothing_acknowledged_is_lost(void **state)
{
    (void) state;
    member_may_die();
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct simdisk *disk = simdisk_new(seed);
        struct member *m = lone_fresh(disk, seed);
        int64_t acked[40] = {0}, mod;
        struct err e = ERR_INIT;
        char key[16], value[64];
        size_t n = 0;

        simdisk_cut_after(disk, 1 + seed * 3 % 90);
        for (; n < ARRAY_LEN(acked); n++) {
            snprintf(key, sizeof key, "k%zu", n);
            acked[n] = member_put(m, key, "v");
            if (acked[n] == 0)
                break;
        }
        if (n < ARRAY_LEN(acked))
            assert_string_not_equal(m->died, "");
        member_abandon(m);
        simdisk_crash(disk, seed % 2 == 0 ? SIM_CRASH_DROP : SIM_CRASH_TEAR);
        assert_int_equal(member_open(m, &e), 0);
        assert_true(member_run(m, 2000, NULL));
        for (size_t i = 0; i < n; i++) {
            snprintf(key, sizeof key, "k%zu", i);
            assert_true(member_get(m, key, value, sizeof value, &mod));
            assert_int_equal(mod, acked[i]);
        }
        assert_true(member_put(m, "after", "x") > (n == 0 ? 1 : acked[n - 1]));
        lone_end(m, disk);
    }
    member_must_live();
}

/* A failed sync of the log stops the member with words that say so, and the put is not
 * acknowledged. */
static void a_failed_sync_stops_the_member(void **state)
{
    struct simdisk *disk = simdisk_new(3);
    struct member *m;

    (void) state;
    member_may_die();
    m = lone_fresh(disk, 3);
    assert_true(member_run(m, 1000, NULL));
    simdisk_fail(disk, SIM_SYNC, 1, ERR_IO, true);
    assert_int_equal(member_put(m, "a", "1"), 0);
    assert_non_null(strstr(m->died, "failed to save to the write-ahead log"));
    member_abandon(m);
    simdisk_crash(disk, SIM_CRASH_KEEP);
    test_free(m);
    simdisk_free(disk);
    member_must_live();
}

/* Power is cut at every point of a first start: the next one ends in a member that takes writes. */
static void a_first_start_can_be_cut_short(void **state)
{
    (void) state;
    for (uint64_t cut = 1; cut <= 80; cut++) {
        struct simdisk *disk = simdisk_new(cut);
        struct member *m = lone_new(disk, cut);
        struct err e = ERR_INIT;

        member_may_die();
        simdisk_cut_after(disk, cut);
        if (member_open(m, &e) == 0) {
            member_run(m, 3000, NULL);
            member_abandon(m);
        }
        member_must_live();
        simdisk_crash(disk, cut % 2 == 0 ? SIM_CRASH_DROP : SIM_CRASH_TEAR);
        lone_open(m);
        assert_int_equal(member_put(m, "a", "1"), 2);
        lone_end(m, disk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_acknowledged_is_lost),
        cmocka_unit_test(a_failed_sync_stops_the_member),
        cmocka_unit_test(a_first_start_can_be_cut_short),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
