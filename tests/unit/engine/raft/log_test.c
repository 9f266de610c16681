/* The log, half in storage and half not, against a plain array. */
#include "lib/cm.h"

#include "engine/raft/log.h"

#define LOG_MAX 2048

struct model {
    struct raft_term_of {
        raft_term term;
    } v[LOG_MAX]; /* by index */
    raft_index first, last, committed;
};

struct fixture {
    struct raft_memory_storage *memory;
    struct raft_log log;
    struct raft_trace trace;
    struct model model;
};

static uint64_t random_state;

static unsigned below(unsigned n)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (unsigned) (random_state >> 33) % n;
}

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.memory = raft_memory_storage_new(&(struct raft_memory_options){0}),
                          .trace.level = RAFT_TRACE_OFF};
    raft__log_init(&f->log, raft_memory_storage_base(f->memory), 1000, &f->trace);
    f->model.first = 1;
}

static void fixture_done(struct fixture *f)
{
    raft__log_check(&f->log);
    raft__log_done(&f->log);
    raft_memory_storage_free(f->memory);
}

/* Storage takes what is unstable, and says so. */
static void store_some(struct fixture *f)
{
    size_t n;
    const struct raft_entry *v = raft__unstable_next(&f->log.unstable, &n);
    struct raft_entry last;

    if (n == 0)
        return;
    last = v[n - 1];
    raft_memory_storage_append(f->memory, v, n);
    raft__unstable_accept_in_progress(&f->log.unstable);
    if (below(3) != 0)
        raft__unstable_stable_to(&f->log.unstable, last.index, last.term);
}

/* A leader whose log agrees with the model's up to `from` - 1 sends entries of a newer term. */
static void append_some(struct fixture *f, raft_term term)
{
    struct model *m = &f->model;
    raft_index from = m->committed + 1 + below((unsigned) (m->last - m->committed + 1));
    struct raft_entry v[6];
    size_t n = 1 + below(6);
    struct raft_entry_id prev = {from == 1 ? 0 : m->v[from - 1].term, from - 1};
    raft_index commit = from - 1 + below((unsigned) n + 1), last;

    for (size_t i = 0; i < n; i++)
        v[i] = (struct raft_entry){.index = from + i, .term = term};
    assert_true(raft__log_maybe_append(&f->log, prev, v, n, commit, &last));
    assert_int_equal(last, from + n - 1);
    for (size_t i = 0; i < n; i++)
        m->v[from + i].term = term;
    m->last = last;
    m->committed = MAX(m->committed, commit);
}

static void assert_same(struct fixture *f)
{
    const struct model *m = &f->model;
    struct raft_entry_list l = {0};
    raft_term t;

    assert_int_equal(raft__log_first_index(&f->log), m->first);
    assert_int_equal(raft__log_last_index(&f->log), m->last);
    assert_int_equal(f->log.committed, m->committed);
    for (raft_index i = m->first; i <= m->last; i++) {
        assert_int_equal(raft__log_term(&f->log, i, &t), 0);
        assert_int_equal(t, m->v[i].term);
    }
    assert_int_equal(raft__log_term(&f->log, m->last + 1, &t), ERR_RAFT_UNAVAILABLE);
    if (m->last >= m->first) {
        assert_int_equal(raft__log_slice(&f->log, m->first, m->last + 1, UINT64_MAX, &l), 0);
        assert_int_equal(l.n, m->last + 1 - m->first);
        for (size_t i = 0; i < l.n; i++) {
            assert_int_equal(l.v[i].index, m->first + i);
            assert_int_equal(l.v[i].term, m->v[m->first + i].term);
        }
    }
    raft_entry_list_done(&l);
    raft__log_check(&f->log);
}

static void compact_some(struct fixture *f)
{
    struct raft_storage *s = raft_memory_storage_base(f->memory);
    raft_index stored = MIN(s->ops->last_index(s), f->log.unstable.offset - 1);
    raft_index most = MIN(f->model.committed, stored);

    if (most < f->model.first || below(4) != 0)
        return;
    assert_int_equal(raft_memory_storage_compact(f->memory, most), 0);
    f->model.first = most + 1;
}

/* Appends, conflicts, commits, stores and compactions in any order leave the log that a plain array
 * has. */
static void random_operations(void **state)
{
    (void) state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        static struct fixture f;

        random_state = seed;
        fixture_init(&f);
        for (raft_term t = 1; t < 100; t++) {
            append_some(&f, t);
            assert_same(&f);
            store_some(&f);
            assert_same(&f);
            compact_some(&f);
            assert_same(&f);
        }
        fixture_done(&f);
    }
}

/* A prefix of the range that fits the size is read, wherever the border between storage and memory
 * lies. */
static void slices_fit(void **state)
{
    static struct fixture f;
    struct raft_entry e = {.term = 1};
    uint64_t one;

    (void) state;
    fixture_init(&f);
    for (e.index = 1; e.index <= 10; e.index++)
        raft__log_append(&f.log, &e, 1);
    e.index = 1;
    one = raft_entry_size(&e);
    for (raft_index border = 0; border <= 10; border++) {
        if (border > 0) {
            e.index = border;
            raft_memory_storage_append(f.memory, &e, 1);
            raft__unstable_stable_to(&f.log.unstable, border, 1);
        }
        for (uint64_t fit = 0; fit <= 11; fit++) {
            struct raft_entry_list l = {0};

            assert_int_equal(raft__log_slice(&f.log, 1, 11, fit * one, &l), 0);
            assert_int_equal(l.n, MIN(MAX(fit, 1), 10));
            raft_entry_list_done(&l);
        }
    }
    fixture_done(&f);
}

/* A term that is asked for is found in one step back per entry, or not at all below the log. */
static void conflict_by_term(void **state)
{
    static struct fixture f;
    static const raft_term terms[] = {1, 1, 3, 3, 5};
    struct raft_entry_id id;

    (void) state;
    fixture_init(&f);
    for (raft_index i = 1; i <= ARRAY_LEN(terms); i++)
        raft__log_append(&f.log, &(struct raft_entry){.index = i, .term = terms[i - 1]}, 1);
    id = raft__log_find_conflict_by_term(&f.log, 5, 4);
    assert_int_equal(id.index, 4);
    assert_int_equal(id.term, 3);
    id = raft__log_find_conflict_by_term(&f.log, 4, 2);
    assert_int_equal(id.index, 2);
    id = raft__log_find_conflict_by_term(&f.log, 9,
                                         2); /* beyond the log: unknown counts as fitting */
    assert_int_equal(id.index, 9);
    assert_int_equal(id.term, 0);
    id = raft__log_find_conflict_by_term(&f.log, 0, 2);
    assert_int_equal(id.index, 0);
    fixture_done(&f);
}

/* What is handed out to be applied pauses at the limit, and goes on when some of it is
 * acknowledged. */
static void applying_is_bounded(void **state)
{
    static struct fixture f;
    struct raft_entry_list l = {0};
    struct raft_entry e = {.term = 1, .index = 1};
    uint64_t one = raft_entry_size(&e);

    (void) state;
    fixture_init(&f);
    f.log.applying_bytes_max = 3 * one;
    for (e.index = 1; e.index <= 10; e.index++)
        raft__log_append(&f.log, &e, 1);
    raft__log_commit_to(&f.log, 10);
    assert_false(raft__log_has_next_committed(&f.log, false)); /* nothing is stored */
    raft__log_next_committed(&f.log, true, &l);
    assert_int_equal(l.n, 3);
    raft__log_accept_applying(&f.log, 3, 3 * one, true);
    assert_false(raft__log_has_next_committed(&f.log, true));
    raft_entry_list_clear(&l);
    raft__log_next_committed(&f.log, true, &l);
    assert_int_equal(l.n, 0);
    raft__log_applied_to(&f.log, 1, one);
    raft__log_next_committed(&f.log, true, &l);
    assert_int_equal(l.n, 1);
    assert_int_equal(l.v[0].index, 4);
    raft_entry_list_done(&l);
    fixture_done(&f);
}

/* Acknowledgements of what is not there, or not any more, are ignored. */
static void odd_acknowledgements(void **state)
{
    static struct fixture f;
    struct raft_snapshot s = {.meta = {.index = 5, .term = 2}};
    raft_term t;

    (void) state;
    fixture_init(&f);
    raft__unstable_stable_to(&f.log.unstable, 7, 1); /* missing */
    raft__log_restore(&f.log, &s);
    assert_int_equal(raft__log_last_index(&f.log), 5);
    assert_int_equal(raft__log_term(&f.log, 5, &t), 0);
    assert_int_equal(raft__log_term(&f.log, 3, &t), ERR_RAFT_COMPACTED);
    assert_int_equal(raft__log_term(&f.log, 6, &t), ERR_RAFT_UNAVAILABLE);
    raft__unstable_stable_to(&f.log.unstable, 5, 2); /* the snapshot's, not an entry's */
    raft__unstable_stable_snapshot_to(&f.log.unstable, 4);
    assert_non_null(f.log.unstable.snapshot);
    assert_false(raft__log_has_next_committed(&f.log, true));
    raft__unstable_accept_in_progress(&f.log.unstable);
    assert_null(raft__unstable_next_snapshot(&f.log.unstable));
    assert_int_equal(raft_memory_storage_apply_snapshot(f.memory, &s), 0);
    raft__unstable_stable_snapshot_to(&f.log.unstable, 5);
    raft__unstable_stable_snapshot_to(&f.log.unstable, 5);
    raft__log_applied_to(&f.log, 5, 0);
    assert_int_equal(raft__log_last_index(&f.log), 5);
    fixture_done(&f);
}

/* A second snapshot replaces a first that is still waiting. */
static void snapshot_over_snapshot(void **state)
{
    static struct fixture f;
    struct raft_snapshot a = {.meta = {.index = 5, .term = 2}},
                         b = {.meta = {.index = 9, .term = 3}};

    (void) state;
    fixture_init(&f);
    raft__log_append(&f.log, &(struct raft_entry){.index = 1, .term = 1}, 1);
    raft__log_restore(&f.log, &a);
    raft__unstable_accept_in_progress(&f.log.unstable);
    raft__log_restore(&f.log, &b);
    assert_int_equal(raft__unstable_next_snapshot(&f.log.unstable)->meta.index, 9);
    assert_int_equal(raft__log_first_index(&f.log), 10);
    assert_int_equal(f.log.unstable.entries.n, 0);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations),    cmocka_unit_test(slices_fit),
        cmocka_unit_test(conflict_by_term),     cmocka_unit_test(applying_is_bounded),
        cmocka_unit_test(odd_acknowledgements), cmocka_unit_test(snapshot_over_snapshot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
