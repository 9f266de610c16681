#include "base/alloc.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/payload.h"
#include "lib/cm.h"

/* Everything an arena hands out is aligned, distinct and writable, across chunks. */
static void arena_hands_out_distinct_memory(void **state)
{
    struct arena a;
    uint8_t *p[300];

    (void) state;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(p); i++) {
        p[i] = arena_alloc(&a, i * 7 % 900);
        assert_non_null(p[i]);
        assert_int_equal((uintptr_t) p[i] % 16, 0);
        memset(p[i], (int) i, i * 7 % 900);
    }
    for (size_t i = 0; i < ARRAY_LEN(p); i++) {
        for (size_t k = 0; k < i * 7 % 900; k++)
            assert_int_equal(p[i][k], (uint8_t) i);
    }
    arena_done(&a);
}

/* An arena refuses what would pass its maximum, and serves again after a reset. */
static void arena_keeps_its_maximum(void **state)
{
    struct arena a;

    (void) state;
    arena_init(&a, 1000);
    assert_non_null(arena_alloc(&a, 600));
    assert_null(arena_alloc(&a, 600));
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_calloc(&a, SIZE_MAX / 2, 4));
    assert_non_null(arena_alloc(&a, 300));
    arena_reset(&a);
    assert_int_equal(a.used_bytes, 0);
    assert_non_null(arena_alloc(&a, 900));
    arena_done(&a);
}

/* A self-hosted arena survives a reset: its own header is not handed out. */
static void arena_can_live_in_itself(void **state)
{
    struct arena *a = arena_new(1 << 16);

    (void) state;
    for (int i = 0; i < 20; i++)
        memset(arena_alloc(a, 3000), 0xff, 3000);
    arena_reset(a);
    memset(arena_alloc(a, 3000), 0xff, 3000);
    assert_int_equal(a->bytes_max, 1 << 16);
    assert_string_equal(arena_printf(a, "%d-%s", 7, "x"), "7-x");
    arena_free(a);
    arena_free(NULL);
}

/* A buffer grows to its maximum and no further; a refused append leaves it as it was. */
static void buf_grows_to_its_maximum(void **state)
{
    struct buf b;

    (void) state;
    buf_init(&b, 100);
    for (int i = 0; i < 25; i++)
        assert_true(buf_add(&b, "abcd", 4));
    assert_false(buf_add_char(&b, 'x'));
    assert_true(b.failed);
    assert_int_equal(b.len, 100);
    buf_consume(&b, 98);
    assert_memory_equal(b.p, "cd", 2);
    buf_clear(&b);
    assert_false(b.failed);
    assert_true(buf_printf(&b, "%s %d", "one", 2));
    assert_string_equal(buf_cstr(&b), "one 2");
    assert_int_equal(b.len, 5);
    buf_done(&b);
}

/* What buf_steal gives away is no longer the buffer's. */
static void buf_can_be_stolen(void **state)
{
    struct buf b;
    size_t n;
    uint8_t *p;

    (void) state;
    buf_init(&b, 100);
    assert_true(buf_add_str(&b, "hello"));
    p = buf_steal(&b, &n);
    assert_int_equal(n, 5);
    assert_memory_equal(p, "hello", 5);
    assert_int_equal(b.len, 0);
    mem_free(p);
    buf_done(&b);
}

/* A payload lives until its last holder lets go. */
static void payload_is_counted(void **state)
{
    struct payload *p = payload_new(3);

    (void) state;
    if (p == NULL)
        abort();
    memcpy(p->data, "abc", 3);
    assert_ptr_equal(payload_ref(p), p);
    payload_unref(p);
    assert_memory_equal(p->data, "abc", 3);
    payload_unref(p);
    payload_unref(NULL);
    assert_null(payload_new(SIZE_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_hands_out_distinct_memory),
        cmocka_unit_test(arena_keeps_its_maximum),
        cmocka_unit_test(arena_can_live_in_itself),
        cmocka_unit_test(buf_grows_to_its_maximum),
        cmocka_unit_test(buf_can_be_stolen),
        cmocka_unit_test(payload_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
