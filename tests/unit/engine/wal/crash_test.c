#include "wal_lib.h"

/* Power cuts and failing calls at every point of a random history.  The log found afterwards must
 * be one that an uninterrupted write of the same records would have passed through, and must hold
 * all that was acknowledged. */

#define SEGMENT 16384
#define STEPS_MAX 4096

/* The log after each record that was given to it. */
struct model_step {
    raft_index last;
    raft_term last_term; /* of entry `last` */
    struct raft_hard_state hs;
};

struct model {
    struct model_step steps[STEPS_MAX];
    size_t n;
    size_t acked; /* steps that were acknowledged */
};

static void model_entry(struct model *m, const struct raft_entry *en)
{
    assert_true(m->n < STEPS_MAX);
    m->steps[m->n] = m->steps[m->n - 1];
    m->steps[m->n].last = en->index;
    m->steps[m->n].last_term = en->term;
    m->n++;
}

static void model_state(struct model *m, struct raft_hard_state hs)
{
    assert_true(m->n < STEPS_MAX);
    m->steps[m->n] = m->steps[m->n - 1];
    m->steps[m->n].hs = hs;
    m->n++;
}

/* One batch of one or two saves: mostly new entries, sometimes entries that replace the newest ones
 * under a new term, a state behind them or only a state. */
static int step(struct wal *w, struct model *m, struct random *r, struct raft_hard_state *hs)
{
    struct wal_save saves[2];
    size_t n = 1 + (size_t) random_below(r, 2);
    bool any = false;
    struct arena a;
    int rc;

    arena_init(&a, 1 << 20);
    for (size_t k = 0; k < n; k++) {
        raft_index last = m->steps[m->n - 1].last;
        size_t count = (size_t) random_below(r, 4);
        struct raft_entry *v = arena_calloc(&a, count + 1, sizeof *v);

        if (k == 0 && random_below(r, 8) == 0 && last > hs->commit) {
            last = hs->commit + random_below(r, last - hs->commit);
            hs->term++;
            hs->vote = 1 + random_below(r, 3);
            count = MAX(count, 1);
        }
        for (size_t i = 0; i < count; i++) {
            v[i] = test_entry(&a, last + 1 + i, hs->term, (size_t) random_below(r, 1500));
            model_entry(m, &v[i]);
        }
        any |= count > 0;
        saves[k] = (struct wal_save){.entries = v, .entries_n = count};
    }
    if (random_below(r, 3) != 0)
        hs->commit += random_below(r, m->steps[m->n - 1].last - hs->commit + 1);
    saves[n - 1].hard_state = hs;
    model_state(m, *hs);
    rc = wal_append_batch(w, saves, n, NULL);
    arena_done(&a);
    if (rc == 0 && any)
        m->acked = m->n;
    return rc;
}

static bool is_step(const struct model_step *s, const struct wal_contents *c)
{
    const struct raft_hard_state *hs = &c->hard_state;

    return c->entries.n == s->last && hs->term == s->hs.term && hs->vote == s->hs.vote &&
           hs->commit == s->hs.commit &&
           (s->last == 0 || c->entries.v[s->last - 1].term == s->last_term);
}

static void check_found(struct model *m, const struct wal_contents *c, uint64_t seed)
{
    size_t k = m->acked - 1; /* the state that the acknowledged steps make */

    while (k < m->n && !is_step(&m->steps[k], c))
        k++;
    if (k == m->n)
        fail_msg("seed %" PRIu64 ": found %zu entries, commit %" PRIu64
                 "; acknowledged were %" PRIu64,
                 seed, c->entries.n, c->hard_state.commit, m->steps[m->acked - 1].last);
    test_check_entries(&c->entries, 1, c->entries.n);
}

/* The history goes on from what was found. */
static void model_restart(struct model *m, const struct wal_contents *c)
{
    m->steps[0] = (struct model_step){.last = c->entries.n, .hs = c->hard_state};
    if (c->entries.n > 0)
        m->steps[0].last_term = c->entries.v[c->entries.n - 1].term;
    m->n = m->acked = 1;
}

static void one_life(uint64_t seed)
{
    static struct model m;
    struct random_seeded rs;
    struct random *r = random_seeded_init(&rs, seed);
    struct simdisk *s = simdisk_new(seed);
    struct raft_hard_state hs = {.term = 1, .vote = 1};
    struct wal *w;

    simdisk_set_direct(s, seed % 2 == 0);
    w = test_create(s, SEGMENT);
    m = (struct model){.n = 1, .acked = 1};
    for (int life = 0; life < 4; life++) {
        struct wal_contents c;

        simdisk_cut_after(s, 1 + random_below(r, 60));
        while (m.n < STEPS_MAX - 20) {
            int rc = random_below(r, 10) == 0 ? wal_prepare(w, NULL) : 0;

            if (rc == 0)
                rc = step(w, &m, r, &hs);
            if (rc != 0)
                break;
        }
        wal_close(w);
        simdisk_crash(s, (enum simdisk_crash_mode) random_below(r, 3));
        w = test_open(s, SEGMENT, &c);
        check_found(&m, &c, seed);
        model_restart(&m, &c);
        hs = c.hard_state;
        if (hs.term == 0)
            hs = (struct raft_hard_state){.term = 1, .vote = 1};
        wal_contents_done(&c);
    }
    wal_close(w);
    simdisk_free(s);
}

/* Two thousand seeds, each with four power cuts in the middle of writing, cutting and preparing,
 * half of them past the page cache. */
static void power_cuts(void **state)
{
    (void) state;
    for (uint64_t seed = 1; seed <= 2000; seed++)
        one_life(seed);
}

/* Every nth call fails, n = 1, 2, ... until none does: creating says so and leaves nothing that
 * looks like a log, appending keeps what it acknowledged. */
static void every_nth_call_fails(void **state)
{
    bool hit = true;

    (void) state;
    for (uint64_t nth = 1; hit; nth++) {
        struct simdisk *s = simdisk_new(nth);
        uint64_t before;
        struct wal_options o = test_options(s, SEGMENT);
        struct wal_contents c;
        struct err e = ERR_INIT;
        struct wal *w = NULL;
        raft_index acked = 0;
        int rc;

        assert_int_equal(disk_mkdir(o.disk, "member", 0700, NULL), 0);
        assert_int_equal(disk_sync_dir(o.disk, ".", NULL), 0);
        before = simdisk_calls(s, SIM_ALL);
        simdisk_fail(s, SIM_ALL, nth, ERR_IO, false);
        rc = wal_create(&o, &test_metadata, "20261125.120000.000000", &w, &e);
        for (raft_index i = 1; rc == 0 && i <= 40; i++) {
            if (i % 8 == 4 && wal_prepare(w, &e) != 0)
                e = ERR_INIT; /* the next cut makes its own */
            rc = test_append(w, i, 1, 1, 1000, &e);
            acked = rc == 0 ? i : acked;
        }
        /* Some failures are made good for, that of writing past the page cache among them. */
        hit = simdisk_calls(s, SIM_ALL) - before >= nth;
        assert_true(rc == 0 || e.code != 0);
        wal_close(w);
        simdisk_fail(s, 0, 0, 0, false);
        simdisk_crash(s, SIM_CRASH_DROP);
        if (wal_exists(o.disk, TEST_DIR)) {
            w = test_open(s, SEGMENT, &c);
            assert_true(c.entries.n >= acked);
            test_check_entries(&c.entries, 1, c.entries.n);
            wal_contents_done(&c);
        } else {
            assert_int_equal(acked, 0);
            w = test_create(s, SEGMENT);
        }
        wal_close(w);
        simdisk_free(s);
    }
}

/* The same while opening a log whose tail is torn: it fails, or has repaired; nothing acknowledged
 * is lost either way. */
static void every_nth_call_of_opening_fails(void **state)
{
    bool hit = true;

    (void) state;
    for (uint64_t nth = 1; hit; nth++) {
        struct simdisk *s = simdisk_new(nth);
        struct wal *w = test_create(s, SEGMENT);
        struct wal_options o = test_options(s, SEGMENT);
        struct wal_contents c;
        struct err e = ERR_INIT;
        uint64_t before;
        uint8_t *file;
        size_t n;

        assert_int_equal(test_append(w, 1, 5, 1, 100, NULL), 0);
        wal_close(w);
        file = simdisk_get_file(s, TEST_FIRST, &n);
        simdisk_put_file(s, TEST_FIRST, file, 900);
        mem_free(file);
        before = simdisk_calls(s, SIM_ALL);
        simdisk_fail(s, SIM_ALL, nth, ERR_IO, false);
        if (wal_open(&o, 0, 0, &c, &w, &e) == 0) {
            wal_contents_done(&c);
            wal_close(w);
        }
        hit = simdisk_calls(s, SIM_ALL) - before >= nth;
        simdisk_crash(s, SIM_CRASH_TEAR);
        test_expect_at_least(s, SEGMENT, 4);
        simdisk_free(s);
    }
}

/* Every allocation of opening fails once: an error, no leak, and the log is unchanged. */
static void every_allocation_of_opening_fails(void **state)
{
    struct simdisk *s = simdisk_new(1);
    struct wal *w = test_create(s, SEGMENT);
    struct wal_options o = test_options(s, SEGMENT);
    int rc = ERR_NOMEM;

    (void) state;
    assert_int_equal(test_append(w, 1, 30, 1, 1000, NULL), 0);
    wal_close(w);
    for (uint64_t nth = 1; rc != 0; nth++) {
        struct wal_contents c;
        struct err e = ERR_INIT;

        mem_fail_after(nth, false);
        rc = wal_open(&o, 0, 0, &c, &w, &e);
        mem_fail_after(0, false);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        if (rc == 0) {
            test_check_entries(&c.entries, 1, 30);
            wal_contents_done(&c);
            wal_close(w);
        }
    }
    simdisk_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_cuts),
        cmocka_unit_test(every_nth_call_fails),
        cmocka_unit_test(every_nth_call_of_opening_fails),
        cmocka_unit_test(every_allocation_of_opening_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
