#include "sim/linear/linear.h"

#include "lib/cm.h"

/* A register: writes and reads of one number. */
struct reg_op {
    bool is_write;
    int value;
};

static bool reg_step(void *state, const void *data)
{
    const struct reg_op *op = data;
    int *v = state;

    if (op->is_write)
        *v = op->value;
    return *v == op->value;
}

static const struct linear_model reg = {sizeof(int), reg_step};

static enum linear_verdict judge(const struct linear_op *ops, size_t n)
{
    struct linear_result r;
    int start = 0;

    linear_check(ops, n, &reg, &start, &r);
    return r.verdict;
}

/* Operations that do not overlap must be in the order of the clock. */
static void test_in_turn(void **state)
{
    static const struct reg_op w1 = {true, 1}, r1 = {false, 1}, r0 = {false, 0};
    const struct linear_op good[] = {{0, 1, &w1}, {2, 3, &r1}},
                           stale[] = {{0, 1, &w1}, {2, 3, &r0}};

    (void) state;
    assert_int_equal(judge(NULL, 0), LINEAR_YES);
    assert_int_equal(judge(good, 2), LINEAR_YES);
    assert_int_equal(judge(stale, 2), LINEAR_NO);
}

/* A read beside a write may see either; two reads one after another may not see it come and go. */
static void test_overlap(void **state)
{
    static const struct reg_op w1 = {true, 1}, r1 = {false, 1}, r0 = {false, 0};
    const struct linear_op forth[] = {{0, 10, &w1}, {1, 2, &r0}, {3, 4, &r1}},
                           back[] = {{0, 10, &w1}, {1, 2, &r1}, {3, 4, &r0}};

    (void) state;
    assert_int_equal(judge(forth, 3), LINEAR_YES);
    assert_int_equal(judge(back, 3), LINEAR_NO);
}

/* What begins at the instant at which another ends is beside it. */
static void test_touch(void **state)
{
    static const struct reg_op w1 = {true, 1}, r0 = {false, 0};
    const struct linear_op ops[] = {{0, 5, &w1}, {5, 6, &r0}};

    (void) state;
    assert_int_equal(judge(ops, 2), LINEAR_YES);
}

/* A write of which nobody heard may take effect late, but only once. */
static void test_never_answered(void **state)
{
    static const struct reg_op w1 = {true, 1}, w2 = {true, 2}, r1 = {false, 1}, r2 = {false, 2};
    const struct linear_op late[] = {{0, LINEAR_NEVER, &w1}, {1, 2, &w2}, {3, 4, &r2}, {5, 6, &r1}},
                           twice[] = {{0, LINEAR_NEVER, &w1},
                                      {1, 2, &r1},
                                      {3, 4, &w2},
                                      {5, 6, &r2},
                                      {7, 8, &r1}};

    (void) state;
    assert_int_equal(judge(late, 4), LINEAR_YES);
    assert_int_equal(judge(twice, 5), LINEAR_NO);
}

/* The failure names the operation that fits nowhere. */
static void test_stuck(void **state)
{
    static const struct reg_op w1 = {true, 1}, r1 = {false, 1}, r7 = {false, 7};
    const struct linear_op ops[] = {{0, 1, &w1}, {2, 3, &r1}, {4, 5, &r7}, {6, 7, &r1}};
    struct linear_result r;
    int start = 0;

    (void) state;
    linear_check(ops, 4, &reg, &start, &r);
    assert_int_equal(r.verdict, LINEAR_NO);
    assert_int_equal(r.ordered, 2);
    assert_int_equal(r.stuck, 2);
}

/* ---- beside all orders ---- */

#define FEW 6

static bool in_some_order(const struct linear_op *ops, size_t n, unsigned done, int value)
{
    if (done == (1u << n) - 1)
        return true;
    for (size_t i = 0; i < n; i++) {
        const struct reg_op *op = ops[i].data;
        bool may = (done >> i & 1) == 0;

        for (size_t k = 0; k < n; k++)
            may &= (done >> k & 1) != 0 || k == i || ops[k].ret >= ops[i].call;
        if (may && (op->is_write || op->value == value) &&
            in_some_order(ops, n, done | 1u << i, op->value))
            return true;
    }
    return false;
}

static uint64_t rng;

static unsigned chance(unsigned bound)
{
    rng = rng * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (unsigned) (rng >> 33) % bound;
}

/* 20,000 random histories of a few operations: the verdict is that of trying all orders. */
static void test_all_orders(void **state)
{
    size_t yes = 0;

    (void) state;
    for (int round = 0; round < 20000; round++) {
        struct reg_op data[FEW];
        struct linear_op ops[FEW];
        size_t n = 1 + chance(FEW);
        bool expected;

        for (size_t i = 0; i < n; i++) {
            data[i] = (struct reg_op){chance(2) == 0, (int) chance(3)};
            ops[i].call = chance(12);
            ops[i].ret = chance(8) == 0 ? LINEAR_NEVER : ops[i].call + chance(6);
            ops[i].data = &data[i];
        }
        expected = in_some_order(ops, n, 0, 0);
        yes += expected;
        assert_int_equal(judge(ops, n), expected ? LINEAR_YES : LINEAR_NO);
    }
    assert_in_range(yes, 2000, 18000);
}

/* A long history with as many operations at once as there are clients is judged in a moment. */
static void test_long(void **state)
{
    enum { N = 4000 };
    static struct reg_op data[N];
    static struct linear_op ops[N];
    struct linear_result r;
    int start = 0, value = 0;

    (void) state;
    for (int i = 0; i < N; i++) {
        bool write = chance(2) == 0;

        value = write ? i : value;
        data[i] = (struct reg_op){write, value};
        ops[i] = (struct linear_op){10 * i - (int) chance(40), 10 * i + (int) chance(40), &data[i]};
    }
    linear_check(ops, N, &reg, &start, &r);
    assert_int_equal(r.verdict, LINEAR_YES);
    assert_in_range(r.steps, N, 1000 * N);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_turn), cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_touch),   cmocka_unit_test(test_never_answered),
        cmocka_unit_test(test_stuck),   cmocka_unit_test(test_all_orders),
        cmocka_unit_test(test_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
