#include "lib/cm.h"

#include "kv_driver.h"
#include "sys/random.h"

static void run(uint64_t seed, size_t n)
{
    struct random_seeded rnd;
    struct random *r = random_seeded_init(&rnd, seed);
    uint8_t *p = xmem_alloc(n);

    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t) random_u64(r);
    driver_run(p, n, seed, driver_step);
    mem_free(p);
}

static void random_operations_give_what_the_naive_key_space_gives(void **state)
{
    /* Writes, reads on old and new views, hashes, compactions, commits, restarts and power cuts in
     * random order: every answer, event and restart agrees with a list of records that is searched
     * from end to end. */
    (void) state;
    for (uint64_t seed = 1; seed <= 150; seed++)
        run(seed, 4000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_give_what_the_naive_key_space_gives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
