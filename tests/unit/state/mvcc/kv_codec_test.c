#include "lib/cm.h"
#include "state/mvcc/mvcc_int.h"

static struct bytes text(const char *s)
{
    return bytes_str(s);
}

static void same(const struct kv_fields *a, const struct kv_fields *b)
{
    assert_true(bytes_eq(a->key, b->key));
    assert_true(bytes_eq(a->value, b->value));
    assert_int_equal(a->create_main, b->create_main);
    assert_int_equal(a->mod_main, b->mod_main);
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->lease, b->lease);
}

/* What is encoded is decoded again, whichever fields are zero and however long the numbers are; cut
 * off anywhere inside a field it is none. */
static void encoded_is_decoded(void **state)
{
    static const int64_t numbers[] = {0, 1, 127, 128, 1 << 14, INT64_C(1) << 56, INT64_MAX, -1};
    uint8_t buf[128];

    (void) state;
    for (unsigned which = 0; which < 64; which++) {
        for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
            struct kv_fields in = {.key = text(which & 1 ? "a key" : ""),
                                   .value = text(which & 2 ? "some value" : ""),
                                   .create_main = which & 4 ? numbers[i] : 0,
                                   .mod_main = which & 8 ? numbers[i] : 0,
                                   .version = which & 16 ? numbers[i] : 0,
                                   .lease = which & 32 ? numbers[i] : 0};
            struct kv_fields out;
            size_t n = kv_encoded_bytes(&in);

            assert_true(n <= sizeof buf);
            kv_encode_exactly(&in, buf, n);
            assert_true(kv_decode(bytes_of(buf, n), &out));
            same(&in, &out);
            if (in.value.n != 0 && in.lease == 0)
                assert_false(kv_decode(bytes_of(buf, n - 1), &out));
        }
    }
}

/* Fields in any order, the last of a kind counting, zeros and unknown fields among them: another
 * program may have written that. */
static void other_forms_are_read(void **state)
{
    static const uint8_t odd[] = {0x28, 1, 0x2a, 1, 'v'};
    static const uint8_t form[] = {0x2a, 1,    'x',  0x0a, 1,    'k', 0x10, 0, 0x48, 5,
                                   0x20, 0x83, 0x80, 0x00, 0x18, 7,   0x2a, 2, 'v',  'w'};
    struct kv_fields want = {.key = text("k"), .value = text("vw"), .mod_main = 7, .version = 3},
                     got;

    (void) state;
    assert_true(kv_decode(bytes_of(form, sizeof form), &got));
    same(&want, &got);
    assert_false(kv_decode(bytes_of(odd, sizeof odd), &got)); /* a value that is a number */
    assert_true(kv_decode(BYTES_EMPTY, &got));
    same(&(struct kv_fields){.key = BYTES_EMPTY}, &got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoded_is_decoded),
        cmocka_unit_test(other_forms_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
