/* Another file in the place of the store's: what readers of before and after see, and that nothing
 * of the old state is left once nobody looks. */
#include "lib/cm.h"

#include "base/alloc.h"
#include "lib/simdisk.h"
#include "state/mvcc/mvcc_int.h"
#include "wire/wire.h"

#define PATH "old/db"
#define GENERATIONS 4

static struct simdisk *sim;
static struct store *s;
static struct mvcc *kv;
static struct mvcc_reader *reader;
static char attached[64]; /* keys that were put on leases */
static struct err e;

static bool lease_exists(void *ctx, int64_t id)
{
    (void) ctx;
    (void) id;
    return true;
}

static void lease_attach(void *ctx, int64_t id, struct bytes key)
{
    size_t n = strlen(attached);

    (void) ctx;
    snprintf(attached + n, sizeof attached - n, "%.*s=%d ", (int) key.n, (const char *) key.p,
             (int) id);
}

static void open_at(const char *path)
{
    struct store_config cfg = {.disk = simdisk_disk(sim), .path = path, .map_bytes = 1 << 26};
    struct mvcc_hooks hooks = {.lease_exists = lease_exists, .lease_attach = lease_attach};

    assert_int_equal(store_open(&cfg, &s, &e), 0);
    assert_int_equal(mvcc_open(s, &hooks, &kv, &e), 0);
    reader = mvcc_reader_new(kv);
}

static void commit(uint64_t applied)
{
    store_set_applied(s, applied, 2);
    store_seal(s);
    assert_int_equal(store_commit(s, &e), 0);
    mvcc_publish(kv);
}

static void close_all(void)
{
    mvcc_reader_free(reader);
    mvcc_publish(kv);
    mvcc_close(kv);
    store_close(s);
}

static void put(const char *key, const char *value, int64_t lease)
{
    Etcdserverpb__PutRequest r = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct mvcc_put_result res;
    bool too_large;

    r.key = wire_binary(bytes_str(key));
    r.value = wire_binary(bytes_str(value));
    r.lease = lease;
    assert_int_equal(mvcc_put(kv, &r, NULL, &res, &too_large), 0);
}

static void check(const struct mvcc_view *v, const char *key, const char *value)
{
    struct kv_fields f;
    struct bytes got;
    bool found = mvcc_view_get(v, bytes_str(key), mvcc_view_revision(v), &got);

    assert_int_equal(found, value != NULL);
    if (value == NULL)
        return;
    assert_true(kv_decode(got, &f));
    assert_int_equal(f.value.n, strlen(value));
    assert_memory_equal(f.value.p, value, f.value.n);
}

/* A file at revision puts + 1 and that index: 100 keys, the last one on a lease. */
static void make_file(const char *path, int puts, const char *value, int64_t lease)
{
    open_at(path);
    for (int i = 0; i < puts; i++) {
        char key[32];

        snprintf(key, sizeof key, "k%d", i % 100);
        put(key, value, i == puts - 1 ? lease : 0);
    }
    commit((uint64_t) puts + 1);
    close_all();
}

/* As the node does it, on one thread. */
static void replace(const char *with)
{
    struct store_view view;
    struct mvcc_loaded *l;

    assert_int_equal(disk_rename(simdisk_disk(sim), with, PATH, &e), 0);
    assert_int_equal(store_replace(s, &e), 0);
    store_replacement_view(s, &view);
    assert_int_equal(mvcc_load(&view, &l, &e), 0);
    mvcc_publish(kv); /* apply goes on publishing what it has */
    assert_int_equal(store_take_over(s, &e), 0);
    mvcc_replace(kv, l);
    mvcc_publish(kv);
}

static int setup(void **state)
{
    (void) state;
    e = ERR_INIT;
    attached[0] = '\0';
    sim = simdisk_new(7);
    simdisk_put_file(sim, "old/keep", "", 0); /* makes the directories */
    simdisk_put_file(sim, "new/keep", "", 0);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    simdisk_free(sim);
    return 0;
}

/* What was written before is gone, committed or not; what the new file has is there, its leases are
 * attached, and writing goes on behind its revision and index, also after a restart. */
static void the_new_state_counts(void **state)
{
    const struct mvcc_view *v;

    (void) state;
    make_file("new/db", 300, "new", 77);
    open_at(PATH);
    put("old", "committed", 0);
    commit(10);
    put("old", "sealed", 0);
    store_seal(s);
    put("old", "open", 0);
    attached[0] = '\0';
    replace("new/db");
    assert_string_equal(attached, "k99=77 ");
    assert_int_equal(mvcc_revision(kv), 301);
    assert_int_equal(store_applied_index(s), 301);
    assert_int_equal(store_pending_bytes(s), 0);
    put("k1", "later", 0);
    commit(302);
    assert_int_equal(mvcc_revision(kv), 302);
    for (int i = 0; i < 2; i++) {
        v = mvcc_view_pin(reader);
        check(v, "old", NULL);
        check(v, "k1", "later");
        check(v, "k2", "new");
        assert_int_equal(mvcc_view_keys(v), 100);
        mvcc_view_unpin(v);
        close_all();
        if (i == 0)
            open_at(PATH);
    }
}

/* Views of each state are kept over several replacements and show theirs; when they go, so do
 * files, indexes and snapshots. */
static void old_views_stay_what_they_are(void **state)
{
    static const char *const values[GENERATIONS] = {"zero", "one", "two", "three"};
    static const char *const files[GENERATIONS] = {PATH, "new/db1", "new/db2", "new/db3"};
    const struct mvcc_view *kept[GENERATIONS];
    struct mvcc_stats st;

    (void) state;
    for (int i = 0; i < GENERATIONS; i++)
        make_file(files[i], 300 * (i + 1), values[i], 0);
    open_at(PATH);
    for (int i = 1; i < GENERATIONS; i++) {
        put("k5", "written", 0); /* garbage of its own in each */
        put("more", "written", 0);
        mvcc_publish(kv);
        put("k5", "not shown yet", 0);
        kept[i - 1] = mvcc_view_pin(reader);
        replace(files[i]);
    }
    for (int i = 0; i < GENERATIONS - 1; i++) {
        check(kept[i], "k5", "written");
        check(kept[i], "more", "written");
        check(kept[i], "k6", values[i]);
        assert_int_equal(mvcc_view_revision(kept[i]), 300 * (i + 1) + 3);
    }
    mvcc_stats(kv, &st);
    assert_int_equal(st.views, GENERATIONS);
    assert_int_equal(store_snapshots_open(s), GENERATIONS);
    for (int i = 0; i < GENERATIONS - 1; i++)
        mvcc_view_unpin(kept[(i + 1) % (GENERATIONS - 1)]); /* not in their order */
    mvcc_publish(kv);
    mvcc_stats(kv, &st);
    assert_int_equal(st.views, 1);
    assert_true(mvcc_idle(kv));
    kept[0] = mvcc_view_pin(reader);
    check(kept[0], "k5", "three");
    check(kept[0], "more", NULL);
    mvcc_view_unpin(kept[0]);
    assert_int_equal(store_commit(s, &e), 0); /* ends the snapshots that nobody needs */
    assert_int_equal(store_snapshots_open(s), 1);
    close_all();
}

/* A compaction that waits and one that is under way when the file goes are forgotten; one that the
 * new file has not finished is resumed. */
static void compactions_are_those_of_the_new_file(void **state)
{
    struct mvcc_compaction *c, *resumed;
    bool done = false;

    (void) state;
    open_at("new/db");
    for (int i = 0; i < 10; i++)
        put("k", "v", 0);
    for (int i = 0; i < 10; i++)
        put("other", "v", 0);
    assert_int_equal(mvcc_compact(kv, 15), 0);
    commit(21);
    close_all();
    make_file(PATH, 10, "old", 0);
    open_at(PATH);
    assert_int_equal(mvcc_compact(kv, 5), 0);
    c = mvcc_compaction_take(kv);
    assert_non_null(c);
    assert_int_equal(mvcc_compact(kv, 7), 0);
    mvcc_compaction_end(kv, c, false);
    replace("new/db");
    assert_int_equal(mvcc_compact_revision(kv), 15);
    resumed = mvcc_compaction_take(kv);
    assert_non_null(resumed);
    assert_null(mvcc_compaction_take(kv));
    while (mvcc_compact_index_step(kv, 100))
        ;
    commit(22);
    while (!done)
        assert_int_equal(mvcc_compaction_step(resumed, 100, &done, &e), 0);
    mvcc_compaction_end(kv, resumed, true);
    close_all();
    open_at(PATH);
    assert_int_equal(mvcc_compact_revision(kv), 15);
    assert_null(mvcc_compaction_take(kv));
    close_all();
}

/* A file that cannot be read gives an error and no index. */
static void a_damaged_file_is_found_out(void **state)
{
    uint64_t index, term;

    (void) state;
    make_file(PATH, 300, "v", 0);
    assert_int_equal(store_peek_applied(simdisk_disk(sim), PATH, &index, &term, &e), 0);
    assert_int_equal(index, 301);
    assert_int_equal(term, 2);
    simdisk_put_file(sim, "new/db", "not a data file", 15);
    assert_int_equal(store_peek_applied(simdisk_disk(sim), "new/db", &index, &term, &e),
                     ERR_CORRUPT);
    assert_int_equal(store_peek_applied(simdisk_disk(sim), "new/none", &index, &term, &e),
                     ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_new_state_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(old_views_stay_what_they_are, setup, teardown),
        cmocka_unit_test_setup_teardown(compactions_are_those_of_the_new_file, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_found_out, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
