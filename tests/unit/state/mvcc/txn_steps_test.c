/* Transactions that only read, in steps, over more keys than a naive key space can have: the same
 * bytes in steps of any size as on the apply thread, and steps as long as their units say. */
#include "base/alloc.h"
#include "state/mvcc/range_int.h"
#include "sys/random.h"
#include "unit/state/mvcc/kv_rig.h"

#define KEYS 2000
#define VALUES 50
#define LONG_KEYS 16 /* with values that are long, and equal */
#define LONG_BYTES (64 * 1024)
#define GUARDS_MAX 4
#define OPS_MAX 3

typedef Etcdserverpb__Compare compare;
typedef Etcdserverpb__RangeRequest range_request;
typedef Etcdserverpb__TxnRequest txn_request;

static const struct mvcc_view *view;
static int64_t compacted;
static int64_t middle; /* a revision at which a part of the keys had been put */
static struct random *rnd;
static uint8_t long_value[LONG_BYTES];

static uint64_t below(uint64_t n)
{
    return random_u64(rnd) % n;
}

static bool lease_exists(void *ctx, int64_t id)
{
    (void) ctx;
    (void) id;
    return true;
}

static void put(uint64_t i)
{
    char key[16], value[16];

    snprintf(key, sizeof key, "k%05u", (unsigned) i);
    snprintf(value, sizeof value, "%02u", (unsigned) below(VALUES));
    put_key(key, bytes_str(value), (int64_t) below(3));
}

/* At their end, and in between, are some that are gone: a walk looks at them, too. */
static void put_mortal_ones(void)
{
    char key[16];

    for (unsigned i = 0; i < 60; i++) {
        snprintf(key, sizeof key, "m%02u", i);
        put_key(key, bytes_str("07"), 1);
    }
    delete_keys("m10", "m15");
    delete_keys("m50", "n");
}

static void fill(void)
{
    char key[16];

    for (uint64_t i = 0; i < KEYS; i++)
        put(i * 7 % KEYS);
    compacted = mvcc_revision(kv) / 2;
    assert_int_equal(mvcc_compact(kv, compacted), 0);
    middle = mvcc_revision(kv);
    for (int i = 0; i < KEYS; i++)
        put(below(KEYS));
    for (unsigned i = 0; i < LONG_KEYS; i++) {
        snprintf(key, sizeof key, "long%u", i);
        put_key(key, bytes_of(long_value, LONG_BYTES), 0);
    }
    put_mortal_ones();
}

static int setup(void **state)
{
    static struct random_seeded seeded;

    (void) state;
    rnd = random_seeded_init(&seeded, 5);
    kv_disk_new(11);
    kv_open(&(struct mvcc_hooks){.lease_exists = lease_exists});
    fill();
    mvcc_publish(kv);
    view = mvcc_view_pin(reader);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    mvcc_view_unpin(view);
    kv_close();
    kv_disk_free();
    return 0;
}

/* ---- requests ---- */

static txn_request *txn_new(void)
{
    txn_request *r = arena_alloc(&a, sizeof *r);

    etcdserverpb__txn_request__init(r);
    r->compare = arena_calloc(&a, GUARDS_MAX, sizeof *r->compare);
    r->success = arena_calloc(&a, OPS_MAX, sizeof *r->success);
    r->failure = arena_calloc(&a, OPS_MAX, sizeof *r->failure);
    return r;
}

static compare *guard(txn_request *r, const char *key, const char *end, int target, int relation)
{
    compare *c = arena_alloc(&a, sizeof *c);

    etcdserverpb__compare__init(c);
    c->key = wire_binary(bytes_str(key));
    c->range_end = wire_binary(bytes_str(end));
    c->target = (Etcdserverpb__Compare__CompareTarget) target;
    c->result = (Etcdserverpb__Compare__CompareResult) relation;
    r->compare[r->n_compare++] = c;
    return c;
}

static void given_value(compare *c, struct bytes value)
{
    c->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE;
    c->value = wire_binary(value);
}

/* A guard that holds for all keys from k on, and finds the record of each. */
static void guard_of_values(txn_request *r)
{
    given_value(guard(r, "k", "l", ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE,
                      ETCDSERVERPB__COMPARE__COMPARE_RESULT__NOT_EQUAL),
                bytes_str("none has it"));
}

static range_request *range_op(txn_request *r, bool success, const char *key, const char *end)
{
    Etcdserverpb__RequestOp *op = arena_alloc(&a, sizeof *op);
    range_request *q = arena_alloc(&a, sizeof *q);

    etcdserverpb__request_op__init(op);
    etcdserverpb__range_request__init(q);
    q->key = wire_binary(bytes_str(key));
    q->range_end = wire_binary(bytes_str(end));
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    op->request_range = q;
    if (success)
        r->success[r->n_success++] = op;
    else
        r->failure[r->n_failure++] = op;
    return q;
}

/* A single key, or a range, of many keys or none. */
static const char *any_end(void)
{
    static const char *const ends[] = {"l", "k00900", "k01200", "n", "m13", "a"};

    return below(3) == 0 ? "" : ends[below(ARRAY_LEN(ends))];
}

static const char *any_key(void)
{
    static const char *const keys[] = {"k", "k00001", "k00800", "k01100",
                                       "m", "m48",    "none",   "long3"};

    return keys[below(ARRAY_LEN(keys))];
}

/* Many hold for all keys, or for all but few: else most would be decided by their first key. */
static void any_guard(txn_request *r)
{
    static const char *const values[] = {"", "07", "none", "99"};
    compare *c = guard(r, any_key(), any_end(), (int) below(6), (int) below(5));
    int64_t number = below(2) == 0 ? (int64_t) below(4) : (int64_t) below(2) * INT64_MAX / 2;

    if (below(16) == 0)
        c->range_end = wire_binary(bytes_of("", 1)); /* all from the key on */
    c->target_union_case = (Etcdserverpb__Compare__TargetUnionCase) (4 + below(5));
    if (c->target_union_case == ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE)
        c->value = wire_binary(bytes_str(values[below(ARRAY_LEN(values))]));
    else
        c->version = number; /* all numbers lie in the same place */
}

static void any_range(txn_request *r, bool success)
{
    range_request *q = range_op(r, success, any_key(), any_end());
    int64_t newest = mvcc_view_revision(view);

    q->sort_order = (Etcdserverpb__RangeRequest__SortOrder) below(3);
    q->sort_target = (Etcdserverpb__RangeRequest__SortTarget) below(5);
    q->keys_only = below(4) == 0;
    q->count_only = below(8) == 0;
    q->limit = below(2) == 0 ? (int64_t) below(20) : 0;
    if (below(3) == 0)
        q->revision = middle + (int64_t) below((uint64_t) (newest - middle));
    if (below(12) == 0)
        q->revision = below(2) == 0 ? newest + 1 : compacted - 1;
    if (below(4) == 0)
        q->min_mod_revision = (int64_t) below((uint64_t) newest);
}

static txn_request *any_txn(void)
{
    txn_request *r = txn_new();

    for (uint64_t n = below(GUARDS_MAX + 1); n > 0; n--)
        any_guard(r);
    for (uint64_t n = below(OPS_MAX + 1); n > 0; n--)
        any_range(r, true);
    for (uint64_t n = below(OPS_MAX + 1); n > 0; n--)
        any_range(r, false);
    return r;
}

/* ---- running them ---- */

/* In steps of so many units; *ret_steps is how many. */
static int run(const txn_request *r, uint64_t units, uint64_t *ret_steps,
               const struct mvcc_txn_result **ret)
{
    struct mvcc_txn_read *x;
    bool ready = false;
    int rc = mvcc_txn_read_begin(view, r, &a, NULL, &x);

    for (*ret_steps = 0; rc == 0 && !ready; ++*ret_steps)
        rc = mvcc_txn_read_step(x, units, &ready);
    if (rc == 0)
        *ret = mvcc_txn_read_result(x);
    return rc;
}

static uint64_t steps_of(const txn_request *r, uint64_t units)
{
    const struct mvcc_txn_result *res;
    uint64_t steps;

    assert_int_equal(run(r, units, &steps, &res), 0);
    return steps;
}

static struct bytes answer_of(const struct mvcc_txn_result *res)
{
    struct mvcc_reply *reply = mvcc_reply_txn(res, &(struct mvcc_header){.member_id = 1}, &a);
    size_t n = (size_t) mvcc_reply_bytes(reply);
    uint8_t *p = arena_alloc(&a, n);

    assert_int_equal(mvcc_reply_read(reply, p, n), n);
    return bytes_of(p, n);
}

/* ---- the tests ---- */

static void steps_of_any_size_give_what_the_apply_thread_gives(void **state)
{
    /* Random guards of all targets, relations and ranges before ranges of both branches, unit by
     * unit and in larger steps: bytes and errors are those of the same transaction applied. */
    unsigned failed = 0, succeeded = 0, long_ones = 0;

    (void) state;
    for (int i = 0; i < 1500; i++) {
        const txn_request *r = any_txn();
        struct mvcc_txn_result applied;
        const struct mvcc_txn_result *got;
        uint64_t steps;
        bool too_large;
        int rc = mvcc_txn(kv, r, &a, &applied, &too_large);

        assert_int_equal(run(r, i % 3 == 0 ? 1 : 1 + below(1000), &steps, &got), rc);
        if (rc == 0) {
            assert_true(bytes_eq(answer_of(got), answer_of(&applied)));
            succeeded += applied.succeeded;
        }
        failed += rc != 0;
        long_ones += steps > 500;
        arena_reset(&a);
    }
    assert_in_range(failed, 50, 750);
    assert_in_range(succeeded, 300, 1200);
    assert_true(long_ones > 100);
}

static void a_guard_takes_a_unit_for_each_key(void **state)
{
    /* And as many for each record: no step does the work of many, whatever it is that is walked. */
    const uint64_t each = 1 + RANGE_RECORD_UNITS;
    txn_request *r = txn_new();

    (void) state;
    for (int i = 0; i < GUARDS_MAX; i++)
        guard(r, "k", "l", ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION,
              ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER);
    assert_in_range(steps_of(r, 1), GUARDS_MAX * KEYS, GUARDS_MAX * (KEYS + 1) + 1);
    assert_in_range(steps_of(r, 100), GUARDS_MAX * KEYS / 100, GUARDS_MAX * (KEYS + 8) / 100 + 1);
    r = txn_new();
    guard_of_values(r);
    assert_in_range(steps_of(r, 100), KEYS * each / 110, KEYS * each / 90);
    r = txn_new();
    guard(r, "k", "l", ETCDSERVERPB__COMPARE__COMPARE_TARGET__LEASE,
          ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS)
        ->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_LEASE;
    r->compare[0]->lease = 99;
    assert_in_range(steps_of(r, 100), KEYS * each / 110, KEYS * each / 90);
    arena_reset(&a);
}

static void a_guard_that_fails_ends_the_walk(void **state)
{
    /* The keys behind the one that fails it are not looked at, nor are other guards. */
    txn_request *r = txn_new();

    (void) state;
    guard(r, "k", "l", ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION,
          ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL);
    guard_of_values(r);
    assert_in_range(steps_of(r, 1), 1, 3);
    arena_reset(&a);
}

static void long_values_cost_what_they_are_long(void **state)
{
    txn_request *r = txn_new();

    (void) state;
    given_value(guard(r, "long", "lonh", ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE,
                      ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL),
                bytes_of(long_value, LONG_BYTES));
    assert_true(steps_of(r, 100) >= LONG_KEYS * (RANGE_RECORD_UNITS + LONG_BYTES / 4096) / 140);
    arena_reset(&a);
}

static void ranges_take_steps_as_well(void **state)
{
    /* One after another; and many that find one key each do not count as nothing. */
    txn_request *r = txn_new();

    (void) state;
    for (int i = 0; i < OPS_MAX; i++)
        range_op(r, true, "k", "l")->min_mod_revision = INT64_MAX;
    assert_in_range(steps_of(r, 100), OPS_MAX * KEYS / 100, OPS_MAX * (KEYS + 8) / 100 + 2);
    r = txn_new();
    for (int i = 0; i < OPS_MAX; i++)
        range_op(r, true, "k00001", "");
    assert_int_equal(steps_of(r, RANGE_SEEK_UNITS), OPS_MAX);
    arena_reset(&a);
}

static void one_of_nothing_takes_a_step(void **state)
{
    txn_request *r = txn_new();

    (void) state;
    assert_int_equal(steps_of(r, 1), 1);
    arena_reset(&a);
}

static void what_is_ahead_is_told(void **state)
{
    /* Of the guards all, of the branches the one that is more until it is known which it is; the
     * lists of its ranges together, and in the end the arena holds no more than that. */
    const size_t apart = 16 * 1024; /* what does not grow with the keys */
    txn_request *r = txn_new();
    struct mvcc_range_ahead ahead, yes;
    struct mvcc_txn_read *x;
    size_t before;
    bool ready = false;

    (void) state;
    guard_of_values(r);
    guard(r, "k00001", "", ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION,
          ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER);
    range_op(r, true, "k", "l");
    for (int i = 0; i < 2; i++) {
        range_request *q = range_op(r, false, "k", "l");

        q->sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
        q->sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__MOD;
    }
    assert_int_equal(mvcc_txn_read_begin(view, r, &a, NULL, &x), 0);
    mvcc_txn_read_ahead(x, &ahead);
    assert_int_equal(ahead.keys, KEYS + 1 + 2 * KEYS);
    assert_int_equal(ahead.bytes, 2 * KEYS * 48);
    assert_true(ahead.units > KEYS * (1 + RANGE_RECORD_UNITS) + 2 * KEYS * 10);
    assert_false(ahead.guessed);
    do {
        yes = ahead;
        assert_int_equal(mvcc_txn_read_step(x, 100, &ready), 0);
        mvcc_txn_read_ahead(x, &ahead);
    } while (ahead.bytes != 0);
    assert_int_equal(yes.keys, 1 + 2 * KEYS + KEYS); /* the guard under way counts in full */
    assert_in_range(ahead.keys, KEYS - 100, KEYS);   /* they hold: one plain range is ahead */
    r->compare[0]->result = ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL;
    before = a.used_bytes;
    assert_int_equal(mvcc_txn_read_begin(view, r, &a, NULL, &x), 0);
    mvcc_txn_read_ahead(x, &ahead);
    for (ready = false; !ready;)
        assert_int_equal(mvcc_txn_read_step(x, UINT64_MAX, &ready), 0);
    assert_in_range(a.used_bytes - before, ahead.bytes,
                    ahead.bytes + 2 * RANGE_BLOCK_REFS * 32 + apart);
    arena_reset(&a);
}

static void an_old_revision_is_a_guess(void **state)
{
    txn_request *r = txn_new();
    struct mvcc_range_ahead ahead;
    struct mvcc_txn_read *x;

    (void) state;
    range_op(r, false, "k", "l")->revision = middle;
    range_op(r, true, "k00001", "")->revision = middle;
    assert_int_equal(mvcc_txn_read_begin(view, r, &a, NULL, &x), 0);
    mvcc_txn_read_ahead(x, &ahead);
    assert_true(ahead.guessed);
    assert_int_equal(ahead.bytes, 0);
    arena_reset(&a);
}

static void given_up_in_the_middle_nothing_is_left(void **state)
{
    /* The arena is all that it holds: it may be dropped after any number of steps. */
    txn_request *r = txn_new();

    (void) state;
    guard_of_values(r);
    range_op(r, true, "k", "l")->sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE;
    for (int steps = 0; steps < 70; steps++) {
        struct mvcc_txn_read *x;
        struct arena own;
        bool ready = false;

        arena_init(&own, SIZE_MAX);
        assert_int_equal(mvcc_txn_read_begin(view, r, &own, NULL, &x), 0);
        for (int i = 0; i < steps; i++)
            assert_int_equal(mvcc_txn_read_step(x, 1000, &ready), 0);
        assert_false(ready);
        arena_done(&own);
    }
    arena_reset(&a);
}

static void without_memory_it_fails_and_no_more(void **state)
{
    /* An arena of every size until one does: each thing that it wants is refused once. */
    txn_request *r = txn_new();
    unsigned refused = 0;
    int rc;

    (void) state;
    guard_of_values(r);
    for (int i = 0; i < 2; i++)
        range_op(r, true, "k", "l")->sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__MOD;
    do {
        struct mvcc_txn_result res;
        struct arena own;

        arena_init(&own, refused * 256);
        rc = mvcc_txn_read(view, r, &own, &res);
        arena_done(&own);
        refused += rc != 0;
        assert_true(rc == 0 || rc == ERR_NOMEM);
    } while (rc != 0);
    assert_true(refused > 100);
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_of_any_size_give_what_the_apply_thread_gives),
        cmocka_unit_test(a_guard_takes_a_unit_for_each_key),
        cmocka_unit_test(a_guard_that_fails_ends_the_walk),
        cmocka_unit_test(long_values_cost_what_they_are_long),
        cmocka_unit_test(ranges_take_steps_as_well),
        cmocka_unit_test(one_of_nothing_takes_a_step),
        cmocka_unit_test(what_is_ahead_is_told),
        cmocka_unit_test(an_old_revision_is_a_guess),
        cmocka_unit_test(given_up_in_the_middle_nothing_is_left),
        cmocka_unit_test(without_memory_it_fails_and_no_more),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
