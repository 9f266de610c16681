#include "base/hash.h"

#include "lib/cm.h"

/* The published vector for the empty text under the key 00 01 .. 0f. */
static void matches_the_reference(void **state)
{
    const uint64_t seed[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};

    (void) state;
    assert_true(hash_bytes(seed, BYTES_EMPTY) == UINT64_C(0xabac0158050fc4dc));
}

/* Every byte and the length count: no two of many near texts collide, nor do seeds. */
static void tells_near_texts_apart(void **state)
{
    const uint64_t seed[2] = {1, 2}, other[2] = {1, 3};
    uint8_t text[24] = {0};
    uint64_t seen[24 * 8 + 24];
    size_t n = 0;

    (void) state;
    for (size_t len = 0; len < sizeof text; len++)
        seen[n++] = hash_bytes(seed, bytes_of(text, len));
    for (size_t bit = 0; bit < 8 * sizeof text; bit++) {
        text[bit / 8] ^= (uint8_t) (1u << bit % 8);
        seen[n++] = hash_bytes(seed, bytes_of(text, sizeof text));
        text[bit / 8] ^= (uint8_t) (1u << bit % 8);
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            assert_true(seen[i] != seen[j]);
    assert_true(hash_bytes(other, BYTES_EMPTY) != seen[0]);
}

/* A number's hash is that of its bytes. */
static void numbers_are_eight_bytes(void **state)
{
    const uint64_t seed[2] = {1, 2};
    static const uint8_t one_to_eight[] = {1, 2, 3, 4, 5, 6, 7, 8};

    (void) state;
    assert_true(hash_u64(seed, UINT64_C(0x0807060504030201)) ==
                hash_bytes(seed, bytes_of(one_to_eight, 8)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_the_reference),
        cmocka_unit_test(tells_near_texts_apart),
        cmocka_unit_test(numbers_are_eight_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
