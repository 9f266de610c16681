#include "lib/cm.h"

#include "benchmark/keys.h"

/* A key is its number as a zig-zag varint in front of zeros, as etcd's benchmark writes it. */
static void numbers_in_front(void **state)
{
    struct key_space k = {.size = 1000000, .key_bytes = 8};
    uint8_t key[8];

    (void) state;
    memset(key, 0xee, sizeof(key));
    key_write(&k, 0, key);
    assert_memory_equal(key, "\0\0\0\0\0\0\0\0", 8);
    key_write(&k, 1, key);
    assert_memory_equal(key, "\x02\0\0\0\0\0\0\0", 8);
    key_write(&k, 64, key);
    assert_memory_equal(key, "\x80\x01\0\0\0\0\0\0", 8);
    key_write(&k, 999999, key);
    assert_memory_equal(key, "\xfe\x88\x7a\0\0\0\0\0", 8);
}

/* Different numbers of a space have different keys of the least size that it allows. */
static void least_size_tells_all_apart(void **state)
{
    static const int64_t sizes[] = {1, 64, 65, 8192, 8193};
    static const size_t least[] = {1, 1, 2, 2, 3};

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct key_space k = {.size = sizes[i], .key_bytes = key_bytes_least(sizes[i])};
        static bool seen[1 << 24];
        uint8_t key[4] = {0};

        assert_int_equal(k.key_bytes, least[i]);
        memset(seen, 0, sizeof(seen));
        for (int64_t n = 0; n < k.size; n++) {
            key_write(&k, n, key);
            uint32_t at = key[0] | (uint32_t) key[1] << 8 | (uint32_t) key[2] << 16;
            assert_false(seen[at]);
            seen[at] = true;
        }
    }
}

/* Sequential numbers go round; those by chance stay below the size, reach all of a small space, and
 * are the same again with the same seed. */
static void numbers_of_a_space(void **state)
{
    struct random_seeded a, b;
    struct key_space round = {.size = 3, .key_bytes = 1, .sequential = true};
    struct key_space x = {.size = 10, .key_bytes = 1, .chance = random_seeded_init(&a, 5)};
    struct key_space y = {.size = 10, .key_bytes = 1, .chance = random_seeded_init(&b, 5)};
    unsigned reached = 0;

    (void) state;
    for (int i = 0; i < 7; i++)
        assert_int_equal(key_next(&round), i % 3);
    for (int i = 0; i < 1000; i++) {
        int64_t n = key_next(&x);

        assert_in_range(n, 0, 9);
        assert_int_equal(key_next(&y), n);
        reached |= 1U << n;
    }
    assert_int_equal(reached, 0x3ff);
}

/* Exactly the bytes asked for are filled, whatever the rest of a division by eight. */
static void fills_exactly(void **state)
{
    struct random_seeded r;

    (void) state;
    random_seeded_init(&r, 9);
    for (size_t n = 0; n < 20; n++) {
        uint8_t bytes[24];
        size_t zeros = 0;

        memset(bytes, 0, sizeof(bytes));
        random_fill(&r.random, bytes, n);
        for (size_t i = n; i < sizeof(bytes); i++)
            zeros += bytes[i] == 0;
        assert_int_equal(zeros, sizeof(bytes) - n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_in_front),
        cmocka_unit_test(least_size_tells_all_apart),
        cmocka_unit_test(numbers_of_a_space),
        cmocka_unit_test(fills_exactly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
