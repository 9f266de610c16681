/* freelist_test.c -- allocation of runs, and the rule that says when a freed page may be used
 * again. */
#include "bolt_util.h"

#include "engine/bolt/freelist.h"

static struct freelist list_of(uint64_t pages, const uint64_t *free, size_t n)
{
    struct freelist f;

    freelist_init(&f);
    assert_int_equal(freelist_reserve(&f, pages), 0);
    for (size_t i = 0; i < n; i++)
        freelist_add(&f, free[i]);
    return f;
}

/* A run of n pages is found at the lowest place, across words of the bitmap, and given back. */
static void test_runs(void **state)
{
    static const uint64_t ids[] = {3, 5, 6, 9, 10, 11, 62, 63, 64, 65, 66};
    struct freelist f = list_of(200, ids, ARRAY_LEN(ids));

    (void) state;
    assert_int_equal(freelist_alloc(&f, 6), 0);
    assert_int_equal(freelist_alloc(&f, 5), 62);
    assert_int_equal(freelist_alloc(&f, 3), 9);
    assert_int_equal(freelist_alloc(&f, 1), 3);
    assert_int_equal(freelist_alloc(&f, 2), 5);
    assert_int_equal(f.free_count, 0);
    assert_int_equal(freelist_alloc(&f, 1), 0);
    freelist_give_back(&f, 62, 5);
    assert_int_equal(f.free_count, 5);
    assert_int_equal(freelist_alloc(&f, 2), 62);
    assert_int_equal(freelist_alloc(&f, 4), 0);
    assert_int_equal(freelist_alloc(&f, 3), 64);
    freelist_done(&f);
}

/* Random allocations and returns agree with a plain array of flags. */
static void test_model(void **state)
{
    enum { PAGES = 300 };
    bool is_free[PAGES] = {false};
    uint64_t held[PAGES], rng = 5;
    uint64_t sizes[PAGES];
    size_t count = 0;
    struct freelist f = list_of(PAGES, NULL, 0);

    (void) state;
    for (uint64_t id = 2; id < PAGES; id++) {
        is_free[id] = next_random(&rng) % 3 != 0;
        if (is_free[id])
            freelist_add(&f, id);
    }
    for (unsigned round = 0; round < 3000; round++) {
        if (count > 0 && next_random(&rng) % 2 == 0) {
            size_t i = (size_t) (next_random(&rng) % count);

            freelist_give_back(&f, held[i], sizes[i]);
            for (uint64_t k = 0; k < sizes[i]; k++)
                is_free[held[i] + k] = true;
            held[i] = held[--count];
            sizes[i] = sizes[count];
        } else {
            uint64_t n = 1 + next_random(&rng) % 20, id = freelist_alloc(&f, n), want = 0, run = 0;

            for (uint64_t k = 2; k < PAGES && want == 0; k++) {
                run = is_free[k] ? run + 1 : 0;
                if (run == n)
                    want = k + 1 - n;
            }
            assert_int_equal(id, want);
            if (id == 0)
                continue;
            for (uint64_t k = 0; k < n; k++)
                is_free[id + k] = false;
            held[count] = id;
            sizes[count++] = n;
        }
        for (uint64_t id = 0; id < PAGES; id++)
            assert_int_equal(freelist_has(&f, id), is_free[id]);
    }
    freelist_done(&f);
}

/* Pages freed by t wait for every reader older than t, and for no other. */
static void test_pending_waits_for_readers(void **state)
{
    struct freelist f = list_of(64, NULL, 0);

    (void) state;
    assert_int_equal(freelist_free(&f, 5, 10, 2), 0);
    assert_int_equal(freelist_free(&f, 6, 20, 1), 0);
    assert_int_equal(f.pending_count, 3);
    freelist_release(&f, (uint64_t[]){4, 9}, 2);
    assert_int_equal(f.pending_count, 3);
    freelist_release(&f, (uint64_t[]){5}, 1); /* sees what 5 did, not what 6 did */
    assert_true(freelist_has(&f, 10));
    assert_true(freelist_has(&f, 11));
    assert_false(freelist_has(&f, 20));
    freelist_release(&f, (uint64_t[]){6, 7}, 2);
    assert_true(freelist_has(&f, 20));
    assert_int_equal(f.pending_count, 0);
    freelist_done(&f);
}

/* A page that came and went between two readers is seen by neither: it is free again while both
 * live. (bbolt's release of ranges.) */
static void test_pending_between_readers(void **state)
{
    struct freelist f = list_of(64, NULL, 0);

    (void) state;
    freelist_release(&f, (uint64_t[]){3}, 1);
    freelist_note(&f, 10, 5); /* allocated by 5 */
    freelist_note(&f, 11, 5);
    assert_int_equal(freelist_free(&f, 7, 10, 1), 0);
    assert_int_equal(freelist_free(&f, 7, 30, 1), 0); /* allocated before anybody remembers */
    freelist_release(&f, (uint64_t[]){3, 5}, 2);
    assert_false(freelist_has(&f, 10)); /* reader 5 sees it */
    freelist_release(&f, (uint64_t[]){3, 7}, 2);
    assert_true(freelist_has(&f, 10));
    assert_false(freelist_has(&f, 30)); /* reader 3 may see it */
    assert_int_equal(freelist_free(&f, 9, 11, 1), 0);
    freelist_release(&f, (uint64_t[]){3, 8}, 2);
    assert_false(freelist_has(&f, 11));
    freelist_release(&f, NULL, 0);
    assert_true(freelist_has(&f, 11));
    assert_true(freelist_has(&f, 30));
    freelist_done(&f);
}

/* A rollback forgets what its transaction freed, and nothing of the ones before. */
static void test_rollback(void **state)
{
    struct freelist f = list_of(64, NULL, 0);

    (void) state;
    assert_int_equal(freelist_free(&f, 5, 10, 2), 0);
    assert_int_equal(freelist_free(&f, 6, 20, 4), 0);
    freelist_rollback(&f, 6);
    freelist_rollback(&f, 6);
    assert_int_equal(f.pending_count, 2);
    assert_int_equal(freelist_free(&f, 6, 20, 1), 0);
    freelist_release(&f, NULL, 0);
    assert_int_equal(f.free_count, 3);
    assert_false(freelist_has(&f, 21));
    freelist_done(&f);
}

/* Growing keeps what is there; new pages are not free. */
static void test_reserve(void **state)
{
    struct freelist f = list_of(10, (uint64_t[]){4, 9}, 2);

    (void) state;
    assert_int_equal(freelist_alloc(&f, 3), 0);
    assert_int_equal(freelist_reserve(&f, 5000), 0);
    assert_true(freelist_has(&f, 4));
    assert_false(freelist_has(&f, 4000));
    for (uint64_t id = 4000; id < 4003; id++)
        freelist_add(&f, id);
    freelist_release(&f, NULL, 0); /* searches begin anew */
    assert_int_equal(freelist_alloc(&f, 3), 4000);
    freelist_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_pending_waits_for_readers),
        cmocka_unit_test(test_pending_between_readers),
        cmocka_unit_test(test_rollback),
        cmocka_unit_test(test_reserve),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
