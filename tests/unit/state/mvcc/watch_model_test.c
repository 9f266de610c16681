/* Random histories of the hub: every note is compared with what a naive reading of the log says. */
#include "lib/cm.h"
#include "unit/state/mvcc/watch_ops.h"

/* Whatever the writes, joins, leaves, slow streams, compactions, progress requests, restored
 * snapshots and closed streams: each watcher is told its events once, in order, whole revisions at
 * a time. */
static void random_histories(void **state)
{
    static uint8_t choices[3000];
    uint64_t x = 1;

    (void) state;
    for (int run = 0; run < 600; run++) {
        size_t n = 200 + (size_t) run * 17 % (sizeof choices - 200);

        for (size_t i = 0; i < n; i++) {
            x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            choices[i] = (uint8_t) (x >> 40);
        }
        run_ops(bytes_of(choices, n));
    }
    /* The histories did go where it hurts. */
    assert_true(run_totals.events > 15000);
    assert_true(run_totals.behind > 4000);
    assert_true(run_totals.compacted > 1000);
    assert_true(run_totals.progress > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_histories)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
