/* Which server the next connection goes to: what RFC 2782 promises of priorities and weights. */
#include "edge/tcpproxy/remotes.h"
#include "lib/cm.h"

#define PICKS 100000

static struct random_seeded seeded;

static struct random *chance(void)
{
    return random_seeded_init(&seeded, 11);
}

static struct remotes of(struct remote *v, size_t n)
{
    return (struct remotes){.v = v, .n = n};
}

/* How often each of at most 4 was picked. */
static void count(struct remotes *r, size_t counts[4])
{
    struct random *random = chance();

    memset(counts, 0, 4 * sizeof counts[0]);
    for (size_t i = 0; i < PICKS; i++) {
        size_t k = remotes_pick(r, random);

        assert_in_range(k, 0, r->n - 1);
        counts[k]++;
    }
}

/* Shows that servers without weights take turns, from the first one on, and inactive ones are left
 * out. */
static void test_turns(void **state)
{
    struct remote v[3] = {{.host = "a"}, {.host = "b"}, {.host = "c"}};
    static const size_t all[] = {0, 1, 2, 0, 1}, two[] = {2, 0, 2, 0};
    struct remotes r = of(v, 3);

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        assert_int_equal(remotes_pick(&r, chance()), all[i]);
    v[1].inactive = true;
    for (size_t i = 0; i < ARRAY_LEN(two); i++)
        assert_int_equal(remotes_pick(&r, chance()), two[i]);
}

/* Shows that a server of a worse priority gets a connection only when all better ones are inactive,
 * and that there is none when all are. */
static void test_priorities(void **state)
{
    struct remote v[4] = {
        {.priority = 20}, {.priority = 10}, {.priority = 10}, {.priority = UINT16_MAX}};
    struct remotes r = of(v, 4);

    (void) state;
    assert_int_equal(remotes_pick(&r, chance()), 1);
    assert_int_equal(remotes_pick(&r, chance()), 2);
    assert_int_equal(remotes_pick(&r, chance()), 1);
    v[1].inactive = v[2].inactive = true;
    assert_int_equal(remotes_pick(&r, chance()), 0);
    v[0].inactive = true;
    assert_int_equal(remotes_pick(&r, chance()), 3);
    v[3].inactive = true;
    assert_int_equal(remotes_pick(&r, chance()), REMOTES_NONE);
    r.n = 0;
    assert_int_equal(remotes_pick(&r, chance()), REMOTES_NONE);
}

/* Shows that connections are spread in proportion to the weights, within the best priority. */
static void test_weights(void **state)
{
    struct remote v[4] = {
        {.weight = 1}, {.weight = 3}, {.priority = 1, .weight = 1000}, {.weight = 6}};
    struct remotes r = of(v, 4);
    size_t counts[4];

    (void) state;
    count(&r, counts);
    assert_in_range(counts[0], PICKS / 10 - 1000, PICKS / 10 + 1000);
    assert_in_range(counts[1], PICKS * 3 / 10 - 1000, PICKS * 3 / 10 + 1000);
    assert_int_equal(counts[2], 0);
    assert_in_range(counts[3], PICKS * 6 / 10 - 1000, PICKS * 6 / 10 + 1000);
    v[3].inactive = true;
    count(&r, counts);
    assert_in_range(counts[0], PICKS / 4 - 1000, PICKS / 4 + 1000);
    assert_int_equal(counts[3], 0);
}

/* Shows that equal weights mean equal shares: neither the first nor the last is favoured. */
static void test_equal_weights(void **state)
{
    struct remote v[2] = {{.weight = 1}, {.weight = 1}};
    struct remotes r = of(v, 2);
    size_t counts[4];

    (void) state;
    count(&r, counts);
    assert_in_range(counts[0], PICKS / 2 - 1000, PICKS / 2 + 1000);
}

/* Shows that a server without weight has a small chance, not none, beside one that has a weight. */
static void test_no_weight_beside_weights(void **state)
{
    struct remote v[3] = {{.weight = 0}, {.weight = 5}, {.weight = 0}};
    struct remotes r = of(v, 3);
    size_t counts[4];

    (void) state;
    count(&r, counts);
    assert_in_range(counts[0] + counts[2], PICKS / 100 - 300, PICKS / 100 + 300);
    assert_in_range(counts[0] - counts[2] + 1, 0, 2); /* these two take turns */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_priorities),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_equal_weights),
        cmocka_unit_test(test_no_weight_beside_weights),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
