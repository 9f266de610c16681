#include "sim/linear/store_model.h"

#include "lib/cm.h"

static void run(struct model_state *s, const struct model_op *op, size_t n,
                const uint64_t *expected)
{
    struct words w = {0};

    model_run(s, op, &w);
    assert_int_equal(w.n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(w.v[i], expected[i]);
    words_done(&w);
}

static struct model_op put(unsigned key, uint64_t value)
{
    return (struct model_op){
        .then_n = 1,
        .then[0] = {.kind = MODEL_PUT, .lo = key, .hi = key + 1, .value = value, .prev_kv = true}};
}

#define RUN(s, op, ...) \
    run(s, op, sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t), (uint64_t[]){__VA_ARGS__})

/* Puts count revisions and versions; a deletion ends the life of a key; without effect, no
 * revision. */
static void test_lives(void **state)
{
    struct model_state s = {.revision = 1};
    struct model_op p = put(3, 70), d = {.then_n = 1, .then[0] = {.kind = MODEL_DELETE, .hi = 12}};
    struct model_op g = {.then_n = 1, .then[0] = {.kind = MODEL_RANGE, .lo = 3, .hi = 4}};

    (void) state;
    RUN(&s, &p, 2, 0);
    RUN(&s, &p, 3, 1, 3, 2, 2, 1, 70, 0);
    RUN(&s, &g, 3, 1, 0, 1, 3, 2, 3, 2, 70, 0);
    RUN(&s, &d, 4, 1, 0);
    RUN(&s, &d, 4, 0, 0);
    RUN(&s, &g, 4, 0, 0, 0);
    RUN(&s, &p, 5, 0);
    assert_int_equal(s.keys[3].create, 5);
    assert_int_equal(s.keys[3].version, 1);
}

/* A range tells how many there are, and whether some are not shown. */
static void test_limit(void **state)
{
    struct model_state s = {.revision = 1};
    struct model_op a = put(1, 10), b = put(2, 20);
    struct model_op g = {.then_n = 1,
                         .then[0] = {.kind = MODEL_RANGE, .hi = 12, .limit = 1, .keys_only = true}};

    (void) state;
    RUN(&s, &a, 2, 0);
    RUN(&s, &b, 3, 0);
    RUN(&s, &g, 3, 2, 1, 1, 1, 2, 2, 1, 0, 0);
}

/* A transaction takes one revision, and its reads see its writes. */
static void test_txn(void **state)
{
    struct model_state s = {.revision = 1};
    struct model_op t = {.form = MODEL_TXN,
                         .compares_n = 1,
                         .compares[0] = {.target = MODEL_CREATE, .relation = MODEL_EQUAL, .key = 4},
                         .then_n = 3,
                         .then = {{.kind = MODEL_PUT, .lo = 4, .hi = 5, .value = 9},
                                  {.kind = MODEL_RANGE, .lo = 4, .hi = 5},
                                  {.kind = MODEL_DELETE, .lo = 5, .hi = 6}},
                         .other_n = 1,
                         .other[0] = {.kind = MODEL_RANGE, .lo = 0, .hi = 1}};

    (void) state;
    RUN(&s, &t, 2, 1, MODEL_PUT, 0, MODEL_RANGE, 1, 0, 1, 4, 2, 2, 1, 9, 0, MODEL_DELETE, 0, 0);
    RUN(&s, &t, 2, 0, MODEL_RANGE, 0, 0, 0);
}

/* The end of a lease takes its keys along, and no others. */
static void test_revoke(void **state)
{
    struct model_state s = {.revision = 1};
    struct model_op a = put(1, 10), b = put(2, 20), r = {.form = MODEL_REVOKE, .lease = 77};

    (void) state;
    a.then[0].lease = 77;
    RUN(&s, &a, 2, 0);
    RUN(&s, &b, 3, 0);
    RUN(&s, &r, 4);
    RUN(&s, &r, 4);
    assert_int_equal(s.keys[1].create, 0);
    assert_int_equal(s.keys[2].value, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lives),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_txn),
        cmocka_unit_test(test_revoke),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
