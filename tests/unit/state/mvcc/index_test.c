#include "lib/cm.h"

#include "base/alloc.h"
#include "state/mvcc/index.h"
#include "state/mvcc/mvcc_int.h"
#include "sys/random.h"

/* ---- a sorted array beside the tree ---- */

#define KEYS_MAX 40000
#define KEY_BYTES 40

struct key {
    char text[KEY_BYTES];
    size_t n;
    bool live;
};

static struct key *model;
static size_t model_n;
static struct index ix;
static int64_t main_rev;

static int setup(void **state)
{
    (void) state;
    model = xmem_alloc(KEYS_MAX * sizeof *model);
    model_n = 0;
    main_rev = 1;
    index_init(&ix);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    index_done(&ix);
    mem_free(model);
    return 0;
}

static struct bytes key_bytes(const struct key *k)
{
    return bytes_of(k->text, k->n);
}

/* The first of the model that is >= key. */
static size_t model_find(struct bytes key, bool *ret_found)
{
    size_t lo = 0, hi = model_n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (bytes_cmp(key_bytes(&model[mid]), key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *ret_found = lo < model_n && bytes_eq(key_bytes(&model[lo]), key);
    return lo;
}

static struct key_entry *entry_of(struct bytes key, bool live)
{
    struct key_entry *e = entry_new(&ix, key, false);

    e->mod_main = ++main_rev;
    e->mod_sub_tombstone = !live;
    return e;
}

static void set(struct bytes key, bool live)
{
    struct index_path p;
    struct key_entry *old = index_find(&ix, key, &p);
    bool found;
    size_t at = model_find(key, &found);

    assert_int_equal(old != NULL, found);
    index_set(&ix, &p, entry_of(key, live));
    if (old != NULL)
        garbage_add(&ix.garbage, old, GARBAGE_ENTRY);
    if (!found) {
        assert_true(model_n < KEYS_MAX);
        memmove(model + at + 1, model + at, (model_n - at) * sizeof *model);
        memcpy(model[at].text, key.p, key.n);
        model[at].n = key.n;
        model_n++;
    }
    model[at].live = live;
}

static void take_out(size_t at)
{
    struct index_path p;
    struct key_entry *old = index_find(&ix, key_bytes(&model[at]), &p);

    assert_non_null(old);
    index_remove(&ix, &p);
    garbage_add(&ix.garbage, old, GARBAGE_ENTRY);
    memmove(model + at, model + at + 1, (model_n - at - 1) * sizeof *model);
    model_n--;
}

/* As publishing does when no reader is there. */
static void publish(void)
{
    for (size_t i = 0; i < ix.garbage.n; i++)
        index_free_piece(&ix, ix.garbage.v[i]);
    ix.garbage.n = 0;
    ix.epoch++;
}

static void compare(void)
{
    struct index_cursor c;
    uint64_t live = 0;

    index_check(&ix);
    index_seek(&c, ix.root, BYTES_EMPTY, false);
    for (size_t i = 0; i < model_n; i++, index_cursor_next(&c)) {
        const struct key_entry *e = index_cursor_entry(&c);

        assert_non_null(e);
        assert_true(bytes_eq(entry_key(e), key_bytes(&model[i])));
        assert_int_equal(entry_is_live(e), model[i].live);
        assert_ptr_equal(index_get(ix.root, key_bytes(&model[i])), e);
        if (i % 37 == 0)
            assert_int_equal(index_rank(ix.root, key_bytes(&model[i])), live);
        live += model[i].live;
    }
    assert_null(index_cursor_entry(&c));
    assert_int_equal(ix.root->live, live);
    assert_int_equal(index_rank(ix.root, BYTES_LIT("\xff\xff")), live);
}

static struct bytes random_key(struct random *r, char text[KEY_BYTES], int kind)
{
    unsigned x = (unsigned) random_below(r, 30000);

    switch (kind) {
    case 0:
        return bytes_of(text, (size_t) snprintf(text, KEY_BYTES, "%08x", x * 2654435761u));
    case 1: /* a long common beginning */
        return bytes_of(text,
                        (size_t) snprintf(text, KEY_BYTES, "/registry/pods/default/name-%06u", x));
    default: /* short, binary, with zeros */
        text[0] = (char) (x & 3);
        text[1] = (char) (x >> 2 & 1);
        text[2] = (char) (x >> 3 & 3);
        return bytes_of(text, 1 + x % 3);
    }
}

/* ---- tests ---- */

static void random_changes_leave_a_sorted_tree(void **state)
{
    /* Sets, tombstones and removals of random keys, with and without publishing in between: the
     * tree holds what a sorted array holds, counts included. */
    struct random_seeded rnd;
    struct random *r = random_seeded_init(&rnd, 21);

    (void) state;
    for (int kind = 0; kind < 3; kind++) {
        for (int i = 0; i < 6000; i++) {
            char text[KEY_BYTES];
            uint64_t what = random_below(r, 10);

            if (what < 8 || model_n == 0)
                set(random_key(r, text, kind), what != 0);
            else
                take_out((size_t) random_below(r, model_n));
            if (i % 7 == 0)
                publish();
            if (i % 1000 == 0)
                compare();
        }
        compare();
    }
    while (model_n > 0) {
        take_out((size_t) random_below(r, model_n));
        if (model_n % 500 == 0) {
            publish();
            compare();
        }
    }
    compare();
    publish();
    assert_int_equal(ix.root->level, 0);
    assert_int_equal(ix.bytes, sizeof(struct index_leaf));
}

static void keys_in_order_fill_the_leaves(void **state)
{
    /* Ascending keys leave full leaves behind: memory per key is that of the entry and little more.
     */
    uint64_t entries = 0;

    (void) state;
    for (int i = 0; i < 20000; i++) {
        char text[KEY_BYTES];
        struct bytes key = bytes_of(text, (size_t) snprintf(text, KEY_BYTES, "key%08d", i));

        set(key, true);
        entries += slab_object_bytes(sizeof(struct key_entry) + key.n);
        if (i % 100 == 0)
            publish();
    }
    publish();
    compare();
    assert_true(ix.bytes - entries < 20000 * 18);
}

static void a_tree_built_at_once_is_like_one_that_grew(void **state)
{
    /* From nothing, one entry, a full leaf, one more, and thousands. */
    static const size_t sizes[] = {0, 1, 2, 29, 30, 31, 32, 33, 60, 61, 900, 901, 27001};

    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        size_t n = sizes[k];
        struct key_entry **v = xmem_alloc((n + 1) * sizeof *v);

        for (size_t i = 0; i < n; i++) {
            model[i].n = (size_t) snprintf(model[i].text, KEY_BYTES, "/k/%07zu", i);
            model[i].live = i % 3 != 0;
            v[i] = entry_of(key_bytes(&model[i]), model[i].live);
        }
        model_n = n;
        index_build(&ix, v, n);
        mem_free(v);
        compare();
        set(BYTES_LIT("/k/00000005x"), true);
        set(BYTES_LIT("/a"), true);
        compare();
        teardown(state);
        setup(state);
    }
}

static void an_emptied_tree_leaves_nothing_behind(void **state)
{
    /* Trees of many sizes, emptied from both ends, so that inner nodes run empty beside others:
     * what is left is an empty leaf, and not a byte more. */
    static struct key_entry *v[1300];

    for (size_t n = 0; n < ARRAY_LEN(v); n += 10) {
        size_t front = n / 2;

        for (size_t i = 0; i < n; i++) {
            model[i].n = (size_t) snprintf(model[i].text, KEY_BYTES, "/k/%07zu", i);
            model[i].live = true;
            v[i] = entry_of(key_bytes(&model[i]), true);
        }
        model_n = n;
        index_build(&ix, v, n);
        for (; model_n > 0; front -= front > 0)
            take_out(front > 0 ? 0 : model_n - 1);
        publish();
        compare();
        assert_int_equal(ix.bytes, sizeof(struct index_leaf));
        teardown(state);
        setup(state);
    }
}

static void a_published_tree_stays_as_it_was(void **state)
{
    /* While the index changes, the old root goes on showing the old keys, until its garbage is
     * freed. */
    const struct index_node *old;
    struct garbage kept;
    struct index_cursor c;

    (void) state;
    for (int i = 0; i < 500; i++) {
        char text[KEY_BYTES];

        set(bytes_of(text, (size_t) snprintf(text, KEY_BYTES, "k%03d", i)), true);
    }
    publish();
    old = ix.root;
    for (int i = 0; i < 500; i += 2)
        take_out((size_t) (i / 2));
    for (int i = 0; i < 3000; i++) {
        char text[KEY_BYTES];

        set(bytes_of(text, (size_t) snprintf(text, KEY_BYTES, "m%05d", i * 7919 % 3000)), false);
    }
    kept = ix.garbage;
    ix.garbage = (struct garbage){0};
    index_seek(&c, old, BYTES_EMPTY, false);
    for (int i = 0; i < 500; i++, index_cursor_next(&c)) {
        char text[KEY_BYTES];
        size_t n = (size_t) snprintf(text, KEY_BYTES, "k%03d", i);

        assert_true(bytes_eq(entry_key(index_cursor_entry(&c)), bytes_of(text, n)));
    }
    assert_null(index_cursor_entry(&c));
    assert_int_equal(old->live, 500);
    ix.garbage = kept;
    publish();
    compare();
}

static void a_walk_over_live_keys_passes_over_dead_subtrees(void **state)
{
    /* Thousands of tombstones between two live keys cost no step each. */
    struct index_cursor c;
    int steps = 0;

    (void) state;
    for (int i = 0; i < 10000; i++) {
        char text[KEY_BYTES];

        set(bytes_of(text, (size_t) snprintf(text, KEY_BYTES, "k%05d", i)), i == 17 || i == 9990);
    }
    for (index_seek(&c, ix.root, BYTES_LIT("k"), true); index_cursor_entry(&c) != NULL;
         index_cursor_next(&c))
        steps++;
    assert_true(steps >= 2);
    assert_true(steps <= 2 * INDEX_FANOUT);
}

/* ---- one key ---- */

/* An entry with revisions `v`, negative ones tombstones; each (main, sub) with sub counting within
 * main. */
static struct key_entry *entry_with(const int *v, uint32_t n)
{
    struct key_entry *e = entry_new(&ix, BYTES_LIT("k"), true);
    uint32_t sub = 0;

    entry_past(e)->history = history_new(&ix, n);
    for (uint32_t i = 0; i < n; i++) {
        int64_t main = v[i] < 0 ? -v[i] : v[i];
        uint32_t st;

        sub = i > 0 && main == (v[i - 1] < 0 ? -v[i - 1] : v[i - 1]) ? sub + 1 : 0;
        st = sub << 1 | (uint32_t) (v[i] < 0);
        if (i + 1 < n) {
            entry_history(e)->v[i] = (struct key_revision){main, st, 0};
        } else {
            e->mod_main = main;
            e->mod_sub_tombstone = st;
        }
    }
    e->history_n = n - 1;
    return e;
}

static void entry_gone(struct key_entry *e)
{
    index__entry_free(&ix, e);
}

static void revisions_of_a_key_answer_as_generations_do(void **state)
{
    /* put 1, put 2, delete 3, put 4, delete 5, and a deletion and a put within revision 7. */
    static const int v[] = {1, 2, -3, 4, -5, -7, 7};
    struct key_entry *e = entry_with(v, 7);
    static const int at[] = {0, 1, 2, 0, 4, 0, 0, 7};
    static const uint32_t compact[] = {0, 0, 1, 2, 3, 4, 5, 6};
    static const int hashed[] = {0, 1, 2, 0, 4, 0, 0, 0, 7};
    struct key_revision r;
    struct revision kept;

    (void) state;
    for (int64_t main = 0; main <= 7; main++) {
        assert_int_equal(entry_at(e, main, &r), at[main] != 0);
        if (at[main] != 0)
            assert_int_equal(r.main, at[main]);
        assert_int_equal(entry_compact_from(e, main), compact[main]);
    }
    assert_int_equal(key_revision_sub(r), 1);
    for (int64_t main = 0; main <= 8; main++) {
        assert_int_equal(entry_hash_keep(e, main, &kept), hashed[main] != 0);
        if (hashed[main] != 0)
            assert_int_equal(kept.main, hashed[main]);
    }
    entry_gone(e);
}

static void what_a_compaction_leaves_of_a_deleted_key(void **state)
{
    /* The tombstone exactly at the compact revision stays; an older one goes, and the key with it.
     */
    static const int v[] = {1, -5};
    struct key_entry *e = entry_with(v, 2);

    (void) state;
    assert_int_equal(entry_compact_from(e, 4), 0);
    assert_int_equal(entry_compact_from(e, 5), 1);
    assert_int_equal(entry_compact_from(e, 6), 2);
    entry_gone(e);
}

/* ---- keep sets ---- */

static void a_keep_set_has_the_same_in_small_windows(void **state)
{
    /* One revision for each live key, in whatever windows they are collected. */
    struct keep_set whole, small;
    bool no_memory;
    int kept = 0, windows = 0;

    (void) state;
    for (int i = 0; i < 5000; i++) {
        char text[KEY_BYTES];

        set(bytes_of(text, (size_t) snprintf(text, KEY_BYTES, "k%04d", i * 7919 % 5000)),
            i % 4 != 0);
    }
    keep_set_init(&whole, ix.root, main_rev, KEEP_COMPACT);
    while (!keep_set_collect(&whole, 100, &no_memory))
        assert_false(no_memory);
    keep_set_init(&small, ix.root, main_rev, KEEP_COMPACT);
    small.window_max = 64;
    for (int64_t main = 1; main <= main_rev; main++) {
        struct revision r = {main, 0};

        if (!keep_set_covers(&small, r)) {
            keep_set_restart(&small, r);
            windows++;
            while (!keep_set_collect(&small, 999, &no_memory))
                assert_false(no_memory);
            assert_true(small.n <= 2 * small.window_max);
        }
        assert_true(keep_set_covers(&whole, r));
        kept += keep_set_has(&whole, r);
        assert_int_equal(keep_set_has(&small, r), keep_set_has(&whole, r));
    }
    /* Tombstones go, but for one exactly at the revision: the newest key is live here. */
    assert_int_equal(kept, 3750);
    assert_true(windows > 25);
    keep_set_done(&whole);
    keep_set_done(&small);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(random_changes_leave_a_sorted_tree),
        TEST(keys_in_order_fill_the_leaves),
        TEST(a_tree_built_at_once_is_like_one_that_grew),
        TEST(an_emptied_tree_leaves_nothing_behind),
        TEST(a_published_tree_stays_as_it_was),
        TEST(a_walk_over_live_keys_passes_over_dead_subtrees),
        TEST(revisions_of_a_key_answer_as_generations_do),
        TEST(what_a_compaction_leaves_of_a_deleted_key),
        TEST(a_keep_set_has_the_same_in_small_windows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
