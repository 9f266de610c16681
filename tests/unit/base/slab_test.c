#include "base/slab.h"

#include "base/alloc.h"
#include "lib/cm.h"

#define OBJECTS 20000

struct object {
    uint8_t *p;
    size_t n;
};

static uint64_t rng = 1;

static uint64_t rnd(uint64_t below)
{
    rng = rng * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (rng >> 33) % below;
}

static void take(struct slab *s, struct object *x, uint8_t fill)
{
    x->n = rnd(8) == 0 ? rnd(SLAB_OBJECT_BYTES_MAX + 100) : 8 + rnd(60);
    x->p = slab_alloc(s, x->n);
    memset(x->p, fill, x->n);
}

static void give(struct slab *s, struct object *x, uint8_t fill)
{
    for (size_t i = 0; i < x->n; i++)
        assert_int_equal(x->p[i], fill);
    slab_free(s, x->p, x->n);
    *x = (struct object){0};
}

/* Objects of all sizes keep their bytes while others come and go in random order, and a slab that
 * holds nothing has given all of its memory back. */
static void test_objects_do_not_overlap(void **state)
{
    struct object *v = xmem_calloc(OBJECTS, sizeof *v);
    struct slab s;

    (void) state;
    slab_init(&s);
    for (size_t step = 0; step < 10 * OBJECTS; step++) {
        size_t i = rnd(OBJECTS);

        if (v[i].p == NULL)
            take(&s, &v[i], (uint8_t) i);
        else
            give(&s, &v[i], (uint8_t) i);
        if (step % 10000 == 0)
            slab_check(&s);
    }
    for (size_t i = 0; i < OBJECTS; i++)
        if (v[i].p != NULL)
            give(&s, &v[i], (uint8_t) i);
    slab_check(&s);
    assert_int_equal(s.block_bytes, 0);
    slab_done(&s);
    mem_free(v);
}

/* A million objects of 32 bytes take hardly more than 32 MB. */
static void test_overhead_is_small(void **state)
{
    struct slab s;

    (void) state;
    slab_init(&s);
    assert_int_equal(slab_object_bytes(32), 32);
    assert_int_equal(slab_object_bytes(33), 40);
    assert_int_equal(slab_object_bytes(129), 192);
    assert_int_equal(slab_object_bytes(5000), 5000);
#if !defined(__SANITIZE_ADDRESS__)
    for (size_t i = 0; i < 1000000; i++)
        memset(slab_alloc(&s, 32), 0, 32);
    slab_check(&s);
    assert_true(s.block_bytes < 34500000);
#endif
    slab_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects_do_not_overlap),
        cmocka_unit_test(test_overhead_is_small),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
