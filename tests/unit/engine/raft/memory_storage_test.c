/* The log in memory against a plain array, with and without the help of a reader. */
#include "lib/cm.h"

#include "engine/raft/raft.h"

#define LOG_MAX 4096

/* The whole log, as a disk would have it. */
struct plain {
    struct raft_entry v[LOG_MAX]; /* by index */
    raft_index compacted, last;
    bool busy; /* the reader asks for patience */
    size_t reads;
};

static uint64_t random_state;

static unsigned below(unsigned n)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (unsigned) (random_state >> 33) % n;
}

static const uint8_t bytes[64];

static struct raft_entry entry(raft_index i, raft_term t)
{
    return (struct raft_entry){.index = i, .term = t, .data = {bytes, below(sizeof bytes)}};
}

static int read_plain(void *arg, raft_index lo, raft_index hi, uint64_t max,
                      struct raft_entry_list *ret)
{
    struct plain *p = arg;
    uint64_t size = 0;

    p->reads++;
    if (p->busy)
        return ERR_AGAIN;
    for (raft_index i = lo; i < hi; i++) {
        size += raft_entry_size(&p->v[i]);
        if (i > lo && size > max)
            break;
        raft_entry_list_add(ret, &p->v[i]);
    }
    return 0;
}

static void append_both(struct raft_memory_storage *m, struct plain *p)
{
    struct raft_entry v[8];
    size_t n = 1 + below(8);
    raft_index from = p->last + 1 - below((unsigned) MIN(4, p->last - p->compacted + 1));
    raft_term t = from - 1 <= p->compacted ? p->v[p->compacted].term : p->v[from - 1].term;

    t = MAX(t, p->last >= from ? p->v[p->last].term : t) + (below(4) == 0);
    for (size_t i = 0; i < n; i++)
        v[i] = p->v[from + i] = entry(from + i, t);
    p->last = from + n - 1;
    raft_memory_storage_append(m, v, n);
}

static void check_range(struct raft_storage *s, const struct plain *p, raft_index lo, raft_index hi,
                        uint64_t max)
{
    struct raft_entry_list l = {0};
    uint64_t size = 0;

    assert_int_equal(s->ops->entries(s, lo, hi, max, &l), 0);
    assert_true(l.n >= 1);
    assert_true(l.n <= hi - lo);
    for (size_t i = 0; i < l.n; i++) {
        assert_int_equal(l.v[i].index, lo + i);
        assert_int_equal(l.v[i].term, p->v[lo + i].term);
        assert_true(bytes_eq(l.v[i].data, p->v[lo + i].data));
        size += raft_entry_size(&l.v[i]);
    }
    assert_true(l.n == 1 || size <= max);
    raft_entry_list_done(&l);
}

static void check_all(struct raft_storage *s, struct plain *p)
{
    raft_term t;

    assert_int_equal(s->ops->first_index(s), p->compacted + 1);
    assert_int_equal(s->ops->last_index(s), p->last);
    for (raft_index i = p->compacted; i <= p->last; i++) {
        assert_int_equal(s->ops->term(s, i, &t), 0);
        assert_int_equal(t, p->v[i].term);
    }
    assert_int_equal(s->ops->term(s, p->last + 1, &t), ERR_RAFT_UNAVAILABLE);
    if (p->compacted > 0)
        assert_int_equal(s->ops->term(s, p->compacted - 1, &t), ERR_RAFT_COMPACTED);
    if (p->last > p->compacted) {
        raft_index lo = p->compacted + 1 + below((unsigned) (p->last - p->compacted));

        check_range(s, p, lo, p->last + 1, below(400));
        check_range(s, p, lo, lo + 1, 0);
        check_range(s, p, lo, p->last + 1, UINT64_MAX);
    }
}

static void run_random(struct raft_memory_storage *m, struct plain *p)
{
    struct raft_storage *s = raft_memory_storage_base(m);

    for (int step = 0; step < 400; step++) {
        if (p->last > p->compacted && below(6) == 0) {
            raft_index to = p->compacted + 1 + below((unsigned) (p->last - p->compacted));

            assert_int_equal(raft_memory_storage_compact(m, to), 0);
            p->compacted = to;
        } else {
            append_both(m, p);
        }
        check_all(s, p);
    }
}

/* Whatever is appended, overwritten and compacted, every retained entry and term is there, within
 * the size asked for. */
static void random_operations(void **state)
{
    (void) state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct raft_memory_storage *m = raft_memory_storage_new(&(struct raft_memory_options){0});
        static struct plain p;

        p = (struct plain){0};
        random_state = seed;
        run_random(m, &p);
        raft_memory_storage_free(m);
    }
}

/* With a reader only the window stays in memory, and the rest is as readable as before. */
static void bounded_window(void **state)
{
    (void) state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        static struct plain p;
        struct raft_memory_options o = {
            .entries_max = 10, .bytes_max = 300, .reader = {read_plain, &p}};
        struct raft_memory_storage *m = raft_memory_storage_new(&o);
        struct raft_memory_usage u;

        p = (struct plain){0};
        random_state = seed;
        run_random(m, &p);
        u = raft_memory_storage_usage(m);
        assert_true(u.entries <= 10);
        assert_true(u.bytes <= 300);
        assert_int_equal(u.first_in_memory, p.last + 1 - u.entries);
        assert_true(p.reads > 0);
        raft_memory_storage_free(m);
    }
}

/* What the reader does not have yet stays, however much it is; the rest goes at once. */
static void only_the_readable_leaves(void **state)
{
    struct raft_memory_options none = {0}, o = {.entries_max = 2};
    struct raft_memory_storage *m = raft_memory_storage_new(&none);
    static struct plain p;
    struct raft_entry v[20];

    (void) state;
    p = (struct plain){0};
    o.reader = (struct raft_log_reader){read_plain, &p};
    for (size_t i = 0; i < ARRAY_LEN(v); i++)
        v[i] = (struct raft_entry){.index = i + 1, .term = 1};
    raft_memory_storage_append(m, v, ARRAY_LEN(v));
    assert_int_equal(raft_memory_storage_usage(m).entries, 20);
    raft_memory_storage_offload(m, &o, 5);
    assert_int_equal(raft_memory_storage_usage(m).first_in_memory, 6);
    raft_memory_storage_offload(m, &o, 20);
    assert_int_equal(raft_memory_storage_usage(m).entries, 2);
    raft_memory_storage_free(m);
}

/* A reader that needs time makes the storage say so. */
static void patience(void **state)
{
    static struct plain p;
    struct raft_memory_options o = {.entries_max = 1, .reader = {read_plain, &p}};
    struct raft_memory_storage *m = raft_memory_storage_new(&o);
    struct raft_storage *s = raft_memory_storage_base(m);
    struct raft_entry_list l = {0};

    (void) state;
    p = (struct plain){.busy = true};
    for (int i = 0; i < 5; i++)
        append_both(m, &p);
    assert_int_equal(s->ops->entries(s, 1, 2, 100, &l), ERR_AGAIN);
    assert_int_equal(s->ops->entries(s, p.last, p.last + 1, 100, &l), 0);
    assert_int_equal(s->ops->entries(s, 1, p.last + 2, 100, &l), ERR_RAFT_UNAVAILABLE);
    assert_int_equal(raft_memory_storage_compact(m, 1), 0);
    assert_int_equal(s->ops->entries(s, 1, 2, 100, &l), ERR_RAFT_COMPACTED);
    raft_entry_list_done(&l);
    raft_memory_storage_free(m);
}

/* Compaction is refused where there is nothing (more) to forget. */
static void compaction_errors(void **state)
{
    static struct plain p;
    struct raft_memory_storage *m = raft_memory_storage_new(&(struct raft_memory_options){0});

    (void) state;
    p = (struct plain){0};
    append_both(m, &p);
    assert_int_equal(raft_memory_storage_compact(m, 0), ERR_RAFT_COMPACTED);
    assert_int_equal(raft_memory_storage_compact(m, p.last + 1), ERR_RAFT_UNAVAILABLE);
    assert_int_equal(raft_memory_storage_compact(m, p.last), 0);
    assert_int_equal(raft_memory_storage_compact(m, p.last), ERR_RAFT_COMPACTED);
    raft_memory_storage_free(m);
}

/* A snapshot replaces the log, appended entries that it covers are skipped, and an older one is
 * refused. */
static void snapshots(void **state)
{
    struct raft_memory_storage *m = raft_memory_storage_new(&(struct raft_memory_options){0});
    struct raft_storage *s = raft_memory_storage_base(m);
    raft_id voters[] = {1, 2}, learners[] = {3};
    struct raft_snapshot x = {
        .data = BYTES_LIT("state"),
        .meta = {.index = 10,
                 .term = 3,
                 .conf_state = {.voters = {voters, 2}, .learners = {learners, 1}}}};
    struct raft_entry v[3] = {
        {.index = 9, .term = 3}, {.index = 10, .term = 3}, {.index = 11, .term = 4}};
    struct raft_snapshot got;
    struct raft_hard_state hs = {4, 1, 10}, hs_got;
    struct raft_conf_state cs;

    (void) state;
    assert_int_equal(s->ops->snapshot(s, &got), 0);
    assert_int_equal(got.meta.index, 0);
    s->ops->initial_state(s, &hs_got, &cs);
    assert_int_equal(cs.voters.n, 0);
    assert_int_equal(raft_memory_storage_apply_snapshot(m, &x), 0);
    assert_int_equal(raft_memory_storage_apply_snapshot(m, &x), ERR_RAFT_SNAPSHOT_OUT_OF_DATE);
    raft_memory_storage_append(m, v, 3);
    raft_memory_storage_append(m, v, 2);
    assert_int_equal(s->ops->last_index(s), 11);
    assert_int_equal(s->ops->first_index(s), 11);
    raft_memory_storage_set_hard_state(m, &hs);
    s->ops->initial_state(s, &hs_got, &cs);
    assert_int_equal(hs_got.term, 4);
    assert_int_equal(cs.voters.n, 2);
    assert_int_equal(cs.learners.v[0], 3);

    /* One of one's own state: the log stays, and the members when none are given. */
    assert_int_equal(raft_memory_storage_create_snapshot(m, 10, NULL, BYTES_EMPTY),
                     ERR_RAFT_SNAPSHOT_OUT_OF_DATE);
    assert_int_equal(raft_memory_storage_create_snapshot(m, 11, NULL, BYTES_LIT("newer")), 0);
    assert_int_equal(s->ops->snapshot(s, &got), 0);
    assert_int_equal(got.meta.index, 11);
    assert_int_equal(got.meta.term, 4);
    assert_int_equal(got.meta.conf_state.voters.n, 2);
    assert_true(bytes_eq(got.data, BYTES_LIT("newer")));
    assert_int_equal(s->ops->first_index(s), 11);
    raft_memory_storage_free(m);
}

/* A snapshot of a log that never had one has the members that it is given, or none. */
static void first_snapshot(void **state)
{
    struct raft_entry v = {.index = 1, .term = 1};
    raft_id voters[] = {1};
    struct raft_conf_state cs = {.voters = {voters, 1}};
    struct raft_snapshot got;

    (void) state;
    for (int with = 0; with < 2; with++) {
        struct raft_memory_storage *m = raft_memory_storage_new(&(struct raft_memory_options){0});
        struct raft_storage *s = raft_memory_storage_base(m);

        raft_memory_storage_append(m, &v, 1);
        assert_int_equal(
            raft_memory_storage_create_snapshot(m, 1, with != 0 ? &cs : NULL, BYTES_EMPTY), 0);
        assert_int_equal(s->ops->snapshot(s, &got), 0);
        assert_int_equal(got.meta.conf_state.voters.n, with);
        raft_memory_storage_free(m);
    }
}

/* Entries keep their block alive for as long as they are in the log or in a list, and no longer. */
static void blocks_are_counted(void **state)
{
    struct raft_memory_storage *m = raft_memory_storage_new(&(struct raft_memory_options){0});
    struct raft_storage *s = raft_memory_storage_base(m);
    struct payload *a = payload_new(8), *b = payload_new(8);
    struct raft_entry v[4] = {{.index = 1, .term = 1, .data = {a->data, 4}, .owner = a},
                              {.index = 2, .term = 1, .data = {a->data + 4, 4}, .owner = a},
                              {.index = 3, .term = 1, .data = {b->data, 8}, .owner = b},
                              {.index = 4, .term = 1}};
    struct raft_entry_list l = {0};

    (void) state;
    raft_memory_storage_append(m, v, 4);
    assert_int_equal(atomic_load(&a->refs), 2); /* neighbours share one */
    assert_int_equal(s->ops->entries(s, 1, 5, UINT64_MAX, &l), 0);
    assert_int_equal(atomic_load(&a->refs), 3);
    assert_int_equal(raft_memory_storage_compact(m, 1), 0);
    assert_int_equal(atomic_load(&a->refs), 3);
    assert_int_equal(raft_memory_storage_compact(m, 2), 0);
    assert_int_equal(atomic_load(&a->refs), 2);
    raft_entry_list_empty(&l, 1);
    raft_entry_list_clear(&l);
    assert_int_equal(atomic_load(&a->refs), 1);
    assert_int_equal(atomic_load(&b->refs), 2);
    v[2].owner = NULL; /* borrowed: copied */
    raft_memory_storage_append(m, &v[2], 1);
    assert_int_equal(atomic_load(&b->refs), 1);
    raft_entry_list_done(&l);
    raft_memory_storage_free(m);
    payload_unref(a);
    payload_unref(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations),        cmocka_unit_test(bounded_window),
        cmocka_unit_test(only_the_readable_leaves), cmocka_unit_test(patience),
        cmocka_unit_test(compaction_errors),        cmocka_unit_test(snapshots),
        cmocka_unit_test(first_snapshot),           cmocka_unit_test(blocks_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
