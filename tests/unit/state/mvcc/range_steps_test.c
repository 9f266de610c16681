/* Ranges in steps, over more keys than a naive key space can have: what sorts and filters gives the
 * same bytes in steps of any size, in bounded steps and bounded memory. */
#include "base/alloc.h"
#include "state/mvcc/range_int.h"
#include "sys/random.h"
#include "unit/state/mvcc/kv_rig.h"

#define KEYS 6000 /* more than a list with a limit grows to */
#define VALUES 700
#define LONG_KEYS 64 /* with values that are long, and equal */
#define LONG_BYTES (64 * 1024)
#define ANSWER_BYTES_MAX ((size_t) 1 << 20)

typedef Etcdserverpb__RangeRequest range_request;

static const struct mvcc_view *view;
static int64_t middle; /* a revision at which a part of the keys had been put */
static struct random *rnd;

static uint64_t below(uint64_t n)
{
    return random_u64(rnd) % n;
}

static void put(uint64_t i)
{
    char key[16], value[16];

    snprintf(key, sizeof key, "k%05u", (unsigned) i);
    snprintf(value, sizeof value, "%u", (unsigned) below(VALUES)); /* so that many are equal */
    put_key(key, bytes_str(value), 0);
}

static void put_long_ones(void)
{
    uint8_t *value = mem_calloc(1, LONG_BYTES);
    char key[16];

    for (unsigned i = 0; i < LONG_KEYS; i++) {
        snprintf(key, sizeof key, "long%u", i);
        put_key(key, bytes_of(value, LONG_BYTES), 0);
    }
    mem_free(value);
}

static int setup(void **state)
{
    static struct random_seeded seeded;

    (void) state;
    rnd = random_seeded_init(&seeded, 5);
    kv_disk_new(11);
    kv_open(&(struct mvcc_hooks){0});
    for (uint64_t i = 0; i < KEYS; i++)
        put(i * 7 % KEYS);
    delete_keys("k01000", "k01500");
    middle = mvcc_revision(kv);
    for (int i = 0; i < KEYS; i++)
        put(below(KEYS));
    put_long_ones();
    put_key("gone", bytes_str("v"), 0);
    delete_keys("g", "h");
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

static range_request all_keys(void)
{
    range_request r = ETCDSERVERPB__RANGE_REQUEST__INIT;

    r.key = wire_binary(bytes_str("k"));
    r.range_end = wire_binary(bytes_str("l"));
    return r;
}

static range_request any_request(void)
{
    range_request r = all_keys();
    int64_t newest = mvcc_view_revision(view);

    r.sort_order = (Etcdserverpb__RangeRequest__SortOrder) below(3);
    r.sort_target = (Etcdserverpb__RangeRequest__SortTarget) below(5);
    r.keys_only = below(4) == 0;
    r.count_only = below(16) == 0;
    if (below(2) == 0)
        r.limit = (int64_t) (below(2) == 0 ? 1 + below(40) : 1 + below(KEYS));
    if (below(3) == 0)
        r.revision = middle + (int64_t) below((uint64_t) (newest - middle));
    if (below(3) == 0)
        r.min_mod_revision = (int64_t) below((uint64_t) newest);
    if (below(3) == 0)
        r.max_create_revision = 1 + (int64_t) below((uint64_t) newest);
    if (below(4) == 0)
        r.range_end = wire_binary(bytes_str("k00300"));
    return r;
}

/* ---- the same by a list of all keys ---- */

struct found {
    struct kv_fields f;
    size_t at;
};

static const range_request *sorting; /* qsort tells its comparisons nothing */

static int64_t number_of(const struct kv_fields *f)
{
    switch (sorting->sort_target) {
    case ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VERSION:
        return f->version;
    case ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE:
        return f->create_main;
    default:
        return f->mod_main;
    }
}

static int by_target(const struct found *x, const struct found *y)
{
    if (sorting->sort_target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY)
        return bytes_cmp(x->f.key, y->f.key);
    if (sorting->sort_target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE)
        return bytes_cmp(x->f.value, y->f.value);
    return number_of(&x->f) < number_of(&y->f) ? -1 : number_of(&x->f) > number_of(&y->f);
}

static int in_order(const void *p, const void *q)
{
    const struct found *x = p, *y = q;
    bool down = sorting->sort_order == ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    int c = down ? by_target(y, x) : by_target(x, y);

    return c != 0 ? c : (x->at > y->at) - (x->at < y->at);
}

static bool wanted(const range_request *r, const struct kv_fields *f)
{
    return f->mod_main >= r->min_mod_revision &&
           (r->max_create_revision == 0 || f->create_main <= r->max_create_revision);
}

/* The keys of `r`, as etcd makes them: fetched, filtered, sorted, cut.  Returns how many there are,
 * the limit left aside. */
static size_t expected(const range_request *r, struct found *v, int64_t *ret_count)
{
    range_request plain = *r;
    struct mvcc_range *g;
    struct bytes b;
    size_t n = 0, fetched = 0;
    bool in_key_order = r->sort_order == ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__NONE ||
                        (r->sort_order == ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND &&
                         r->sort_target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY);
    bool filters = r->min_mod_revision != 0 || r->max_create_revision != 0;

    plain.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__NONE;
    plain.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY;
    plain.limit = plain.min_mod_revision = plain.max_create_revision = 0;
    plain.keys_only = plain.count_only = false;
    assert_int_equal(mvcc_range(view, &plain, &a, &g), 0);
    *ret_count = mvcc_range_info(g)->count;
    while (!r->count_only && mvcc_range_next(g, &b)) {
        if (r->limit > 0 && in_key_order && !filters && fetched++ > (uint64_t) r->limit)
            break;
        kv_decode_stored(b, &v[n].f);
        v[n].at = n;
        n += wanted(r, &v[n].f);
    }
    sorting = r;
    qsort(v, n, sizeof *v, in_order);
    return n;
}

static void check_answer(struct mvcc_range *g, const range_request *r)
{
    struct found *v = arena_alloc(&a, (KEYS + 1) * sizeof *v);
    const struct mvcc_range_info *info = mvcc_range_info(g);
    int64_t count;
    size_t n = expected(r, v, &count);
    struct bytes b;

    assert_int_equal(info->count, count);
    assert_int_equal(info->more, r->limit > 0 && n > (size_t) r->limit);
    n = info->more ? (size_t) r->limit : n;
    assert_int_equal(info->kvs_n, n);
    for (size_t i = 0; i < n; i++) {
        struct kv_fields f;

        assert_true(mvcc_range_next(g, &b));
        kv_decode_stored(b, &f);
        assert_true(bytes_eq(f.key, v[i].f.key));
        assert_int_equal(f.mod_main, v[i].f.mod_main);
        assert_int_equal(f.create_main, v[i].f.create_main);
        assert_int_equal(f.version, v[i].f.version);
        assert_true(r->keys_only ? f.value.n == 0 : bytes_eq(f.value, v[i].f.value));
    }
    assert_false(mvcc_range_next(g, &b));
    mvcc_range_rewind(g);
}

static struct bytes answer_of(struct mvcc_range *g)
{
    struct mvcc_reply *reply = mvcc_reply_range(g, &(struct mvcc_header){.member_id = 1}, &a);
    uint8_t *p = arena_alloc(&a, ANSWER_BYTES_MAX);
    size_t n = mvcc_reply_read(reply, p, ANSWER_BYTES_MAX);

    assert_true(n < ANSWER_BYTES_MAX);
    return bytes_of(p, n);
}

/* In steps of so many units; returns how many steps. */
static uint64_t run(const range_request *r, uint64_t units, struct mvcc_range **ret)
{
    uint64_t steps = 0;
    bool ready = false;

    assert_int_equal(mvcc_range_begin(view, r, &a, NULL, ret), 0);
    for (; !ready; steps++)
        assert_int_equal(mvcc_range_step(*ret, units, &ready), 0);
    return steps;
}

static void steps_of_any_size_give_the_same_answer(void **state)
{
    /* Random requests at once, unit by unit and in larger steps, beside a list of all keys that is
     * filtered, sorted and cut as etcd does it. */
    (void) state;
    for (int i = 0; i < 250; i++) {
        range_request r = any_request();
        struct mvcc_range *whole, *g;
        struct bytes want;

        assert_int_equal(mvcc_range(view, &r, &a, &whole), 0);
        check_answer(whole, &r);
        want = answer_of(whole);
        run(&r, i % 5 == 0 ? 1 : 1 + below(2000), &g);
        assert_true(bytes_eq(answer_of(g), want));
        arena_reset(&a);
    }
}

static void a_step_is_as_long_as_its_units(void **state)
{
    /* Sorting all keys takes as many steps as it has comparisons and more: none of them does the
     * work of many. */
    range_request r = all_keys();
    struct mvcc_range *g;
    uint64_t by_one, by_hundred;

    (void) state;
    r.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    for (int target = 0; target < 5; target++) {
        r.sort_target = (Etcdserverpb__RangeRequest__SortTarget) target;
        by_one = run(&r, 1, &g);
        by_hundred = run(&r, 100, &g);
        assert_true(by_one > 3 * KEYS / 2);
        assert_in_range(by_hundred, by_one / 100, by_one / 20);
        arena_reset(&a);
    }
}

static void long_values_cost_what_they_are_long(void **state)
{
    /* Also where they are compared in a leaf, or found to be in order: a slice has bounds in time,
     * and comparing two of them takes as long as looking at many keys. */
    range_request r = all_keys();
    struct mvcc_range *g;

    (void) state;
    r.key = wire_binary(bytes_str("long"));
    r.range_end = wire_binary(bytes_str("lonh"));
    r.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND;
    r.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE;
    assert_true(run(&r, 100, &g) >= LONG_KEYS * (RANGE_RECORD_UNITS + LONG_BYTES / 4096) / 100);
    assert_int_equal(mvcc_range_info(g)->kvs_n, LONG_KEYS);
    arena_reset(&a);
}

static void a_filter_that_nothing_passes_takes_steps(void **state)
{
    /* The walk over the keys is interrupted, also where it gives nothing. */
    range_request r = all_keys();
    struct mvcc_range *g;

    (void) state;
    r.min_mod_revision = INT64_MAX;
    assert_in_range(run(&r, 100, &g), KEYS / 100, KEYS / 100 + 2);
    assert_int_equal(mvcc_range_info(g)->kvs_n, 0);
    r.revision = middle;
    r.count_only = true; /* an older revision is counted key by key */
    assert_in_range(run(&r, 100, &g), KEYS / 100, KEYS / 100 + 2);
    assert_int_equal(mvcc_range_info(g)->count, KEYS - 500);
}

static size_t used_by(const range_request *r, struct mvcc_range_ahead *ret_ahead)
{
    struct mvcc_range *g;
    size_t before = a.used_bytes;
    bool ready = false;

    assert_int_equal(mvcc_range_begin(view, r, &a, NULL, &g), 0);
    mvcc_range_ahead(g, ret_ahead);
    while (!ready)
        assert_int_equal(mvcc_range_step(g, UINT64_MAX, &ready), 0);
    return a.used_bytes - before;
}

static void what_is_ahead_is_told(void **state)
{
    /* 48 bytes for each key that is sorted, 32 where nothing is compared, nothing for a plain one;
     * with a limit the number of keys does not matter. */
    const size_t apart = 8 * 1024; /* what does not grow with the keys, and the rest of a block */
    range_request r = all_keys();
    struct mvcc_range_ahead ahead;
    uint64_t live;
    size_t used;

    (void) state;
    used = used_by(&r, &ahead);
    assert_int_equal(ahead.bytes, 0);
    assert_true(used < apart);
    live = ahead.keys;
    r.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    used = used_by(&r, &ahead);
    assert_int_equal(ahead.bytes, live * 32);
    assert_in_range(used, ahead.bytes, ahead.bytes + RANGE_BLOCK_REFS * 32 + apart);
    r.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__MOD;
    used = used_by(&r, &ahead);
    assert_int_equal(ahead.bytes, live * 48);
    assert_in_range(used, ahead.bytes, ahead.bytes + RANGE_BLOCK_REFS * 32 + apart);
    r.limit = 1;
    used = used_by(&r, &ahead);
    assert_true(ahead.bytes < live * 48);
    assert_true(used <= ahead.bytes);
    r = all_keys();
    r.limit = 50;
    used_by(&r, &ahead);
    assert_int_equal(ahead.keys, 50); /* the others need not be looked at */
    r.count_only = true;
    used_by(&r, &ahead);
    assert_int_equal(ahead.keys, 0);
    r.range_end = wire_binary(BYTES_EMPTY);
    r.key = wire_binary(bytes_str("k00000"));
    used_by(&r, &ahead);
    assert_int_equal(ahead.keys, 0);
}

static void what_is_gone_is_ahead_as_well(void **state)
{
    /* At an older revision the number of keys is a guess: there is a list all the same, and what it
     * holds is bounded by nothing that was told. */
    range_request r = all_keys();
    struct mvcc_range_ahead ahead;

    (void) state;
    r.key = wire_binary(bytes_str("g"));
    r.range_end = wire_binary(bytes_str("h"));
    r.revision = mvcc_view_revision(view) - 1;
    used_by(&r, &ahead);
    assert_true(ahead.guessed);
    assert_int_equal(ahead.bytes, 0);
    r.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    used_by(&r, &ahead);
    assert_true(ahead.guessed);
    assert_int_equal(ahead.keys, 0);
    assert_true(ahead.bytes > 0);
    r.revision = 0;
    used_by(&r, &ahead);
    assert_false(ahead.guessed);
    assert_int_equal(ahead.bytes, 0);
}

static void given_up_in_the_middle_nothing_is_left(void **state)
{
    /* The arena is all that a range holds: it may be dropped after any number of steps. */
    range_request r = all_keys();

    (void) state;
    r.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND;
    r.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE;
    for (int steps = 0; steps < 200; steps += 9) {
        struct mvcc_range *g;
        struct arena own;
        bool ready = false;

        arena_init(&own, SIZE_MAX);
        assert_int_equal(mvcc_range_begin(view, &r, &own, NULL, &g), 0);
        for (int i = 0; i < steps; i++)
            assert_int_equal(mvcc_range_step(g, 1000, &ready), 0);
        assert_false(ready);
        arena_done(&own);
    }
}

/* ---- chunks of a stream ---- */

/* The next chunk, one unit at a time; returns how many. */
static uint64_t next_chunk(struct mvcc_range_stream *t, struct mvcc_range **ret, bool *ret_last)
{
    uint64_t steps = 0;
    bool ready = false;

    assert_int_equal(mvcc_range_stream_begin(t, &a), 0);
    for (; !ready; steps++)
        assert_int_equal(mvcc_range_stream_step(t, 1, &ready), 0);
    *ret = mvcc_range_stream_chunk(t, ret_last);
    return steps;
}

static int64_t count_at(const range_request *r)
{
    range_request all = *r;
    struct mvcc_range *g;

    all.count_only = true;
    assert_int_equal(mvcc_range(view, &all, &a, &g), 0);
    return mvcc_range_info(g)->count;
}

static void a_chunk_looks_no_further_than_it_must(void **state)
{
    /* At an older revision nobody knows how many keys there are.  However many chunks there are,
     * each key is counted and measured for one of them, and is the one behind another. */
    range_request r = all_keys();
    int64_t count, sent = 0;
    struct mvcc_range_stream t;
    struct mvcc_range *g = NULL;
    uint64_t steps = 0;
    bool last = false;

    (void) state;
    r.revision = middle;
    count = count_at(&r);
    assert_in_range(count, KEYS / 2, KEYS);
    mvcc_range_stream_init(&t, view, &r, 0); /* 0: few keys in a chunk */
    while (!last) {
        steps += next_chunk(&t, &g, &last);
        sent += (int64_t) mvcc_range_info(g)->kvs_n;
    }
    assert_int_equal(sent, count);
    assert_int_equal(mvcc_range_info(g)->count, count);
    assert_false(mvcc_range_info(g)->more);
    assert_in_range(steps, count, 6 * KEYS);
    arena_reset(&a);
}

static void the_last_chunk_counts_what_a_limit_cuts_off(void **state)
{
    range_request r = all_keys();
    struct mvcc_range_stream t;
    struct mvcc_range *g;
    uint64_t steps;
    bool last = false;

    (void) state;
    r.revision = middle;
    r.limit = 15; /* 10 and 5 */
    mvcc_range_stream_init(&t, view, &r, 1 << 20);
    steps = next_chunk(&t, &g, &last);
    assert_false(last);
    assert_in_range(steps, 10, 100);
    steps = next_chunk(&t, &g, &last);
    assert_true(last);
    assert_true(steps > KEYS / 2);
    assert_int_equal(mvcc_range_info(g)->kvs_n, 5);
    assert_int_equal(mvcc_range_info(g)->count, count_at(&r));
    assert_true(mvcc_range_info(g)->more);
    arena_reset(&a);
}

static void a_chunk_is_sorted_in_steps(void **state)
{
    /* What is ahead is told before: as many references as the chunk may have, not as there are
     * keys. */
    range_request r = all_keys();
    struct mvcc_range_ahead ahead;
    struct mvcc_range_stream t;
    struct mvcc_range *g;
    bool last = false, ready = false;

    (void) state;
    r.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE;
    mvcc_range_stream_init(&t, view, &r, UINT64_MAX);
    while (!last) {
        struct bytes b, before = BYTES_EMPTY;
        struct kv_fields f;
        uint64_t steps = 0, n;

        assert_int_equal(mvcc_range_stream_begin(&t, &a), 0);
        mvcc_range_stream_ahead(&t, &ahead);
        for (ready = false; !ready; steps++)
            assert_int_equal(mvcc_range_stream_step(&t, 1, &ready), 0);
        g = mvcc_range_stream_chunk(&t, &last);
        n = mvcc_range_info(g)->kvs_n;
        assert_true(steps > 2 * n); /* one that takes many units is one step all the same */
        assert_in_range(ahead.units, steps, 2 * RANGE_RECORD_UNITS * steps);
        assert_in_range(ahead.bytes, n * sizeof(struct range_ref),
                        4 * n * sizeof(struct range_ref));
        while (mvcc_range_next(g, &b)) {
            kv_decode_stored(b, &f);
            assert_true(bytes_cmp(before, f.value) <= 0);
            before = f.value;
        }
    }
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_of_any_size_give_the_same_answer),
        cmocka_unit_test(a_step_is_as_long_as_its_units),
        cmocka_unit_test(long_values_cost_what_they_are_long),
        cmocka_unit_test(a_filter_that_nothing_passes_takes_steps),
        cmocka_unit_test(what_is_ahead_is_told),
        cmocka_unit_test(what_is_gone_is_ahead_as_well),
        cmocka_unit_test(given_up_in_the_middle_nothing_is_left),
        cmocka_unit_test(a_chunk_looks_no_further_than_it_must),
        cmocka_unit_test(the_last_chunk_counts_what_a_limit_cuts_off),
        cmocka_unit_test(a_chunk_is_sorted_in_steps),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
