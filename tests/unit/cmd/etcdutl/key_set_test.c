#include "lib/cm.h"

#include "etcdutl/key_set.h"
#include "sys/random.h"

#define KEYS 3000

static char names[KEYS][16];

static struct bytes key(size_t i)
{
    return bytes_str(names[i]);
}

static int make_names(void **state)
{
    (void) state;
    for (size_t i = 0; i < KEYS; i++)
        snprintf(names[i], sizeof names[i], "k%zu", i);
    return 0;
}

/* A key that is added twice counts once, one that is removed no longer; an empty key is a key. */
static void counts_each_key_once(void **state)
{
    struct key_set s = KEY_SET_EMPTY;

    (void) state;
    key_set_remove(&s, key(1)); /* nothing is there */
    assert_true(key_set_add(&s, key(1)));
    assert_true(key_set_add(&s, key(1)));
    assert_true(key_set_add(&s, key(2)));
    assert_true(key_set_add(&s, BYTES_EMPTY));
    assert_int_equal(s.count, 3);
    key_set_remove(&s, key(2));
    key_set_remove(&s, key(2));
    key_set_remove(&s, BYTES_EMPTY);
    assert_int_equal(s.count, 1);
    key_set_done(&s);
}

/* Random additions and removals beside an array of flags: the numbers never differ, and in the end
 * each key is there exactly if its flag says so. */
static void follows_a_model(void **state)
{
    struct key_set s = KEY_SET_EMPTY;
    struct random_seeded seeded;
    struct random *r = random_seeded_init(&seeded, 7);
    bool there[KEYS] = {false};
    size_t count = 0;

    (void) state;
    for (size_t step = 0; step < 200000; step++) {
        size_t i = (size_t) random_below(r, KEYS);
        bool add = random_below(r, 5) <
                   (step / 20000 % 2 == 0 ? 4u : 1u); /* it grows, and shrinks */

        if (add)
            assert_true(key_set_add(&s, key(i)));
        else
            key_set_remove(&s, key(i));
        count += (size_t) (add && !there[i]) - (size_t) (!add && there[i]);
        there[i] = add;
        assert_int_equal(s.count, count);
    }
    for (size_t i = 0; i < KEYS; i++) {
        key_set_remove(&s, key(i));
        count -= there[i];
        assert_int_equal(s.count, count);
    }
    key_set_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_each_key_once),
        cmocka_unit_test(follows_a_model),
    };

    return cmocka_run_group_tests(tests, make_names, NULL);
}
