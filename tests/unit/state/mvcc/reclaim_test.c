/* What nobody can see any more is freed in steps: the writes of a turn do not wait for all of it.
 */
#include "lib/cm.h"

#include "base/alloc.h"
#include "lib/simdisk.h"
#include "state/mvcc/mvcc_int.h"
#include "wire/wire.h"

#define KEYS 50000 /* more than two steps free */

static struct simdisk *sim;
static struct store *s;
static struct mvcc *kv;
static struct mvcc_reader *reader;
static struct err e;

static void open_at(const char *path)
{
    struct store_config cfg = {.disk = simdisk_disk(sim), .path = path, .map_bytes = 1 << 27};
    struct mvcc_hooks hooks = {0};

    assert_int_equal(store_open(&cfg, &s, &e), 0);
    assert_int_equal(mvcc_open(s, &hooks, &kv, &e), 0);
    reader = mvcc_reader_new(kv);
}

static void close_all(void)
{
    mvcc_reader_free(reader);
    mvcc_close(kv);
    store_close(s);
}

static int setup(void **state)
{
    (void) state;
    e = ERR_INIT;
    sim = simdisk_new(11);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    close_all();
    simdisk_free(sim);
    return 0;
}

static void put(int key, const char *value)
{
    Etcdserverpb__PutRequest r = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct mvcc_put_result res;
    bool too_large;
    char text[16];

    snprintf(text, sizeof text, "k%d", key);
    r.key = wire_binary(bytes_str(text));
    r.value = wire_binary(bytes_str(value));
    assert_int_equal(mvcc_put(kv, &r, NULL, &res, &too_large), 0);
}

static void put_all(const char *value)
{
    for (int i = 0; i < KEYS; i++) {
        put(i, value);
        if (i % 500 == 0)
            mvcc_publish(kv);
    }
    mvcc_publish(kv);
}

static void commit(void)
{
    store_seal(s);
    assert_int_equal(store_commit(s, &e), 0);
    mvcc_publish(kv);
}

static void check(const struct mvcc_view *v, const char *key, const char *value)
{
    struct kv_fields f;
    struct bytes got;

    assert_true(mvcc_view_get(v, bytes_str(key), mvcc_view_revision(v), &got));
    assert_true(kv_decode(got, &f));
    assert_int_equal(f.value.n, strlen(value));
    assert_memory_equal(f.value.p, value, f.value.n);
}

static uint64_t index_bytes(void)
{
    struct mvcc_stats st;

    mvcc_stats(kv, &st);
    return st.index_bytes;
}

/* Publishes until all is freed; returns how often that was. */
static int steps(void)
{
    int n = 0;

    for (; mvcc_reclaiming(kv); n++)
        mvcc_publish(kv);
    return n;
}

/* A reader that was there for long goes: what it alone showed is freed over several publishes, an
 * older one's part not before that goes, too, and both see theirs until then. */
static void what_a_long_reader_kept_goes_in_steps(void **state)
{
    const struct mvcc_view *older, *old;
    uint64_t with_both, with_older;

    (void) state;
    open_at("db");
    put_all("one");
    older = mvcc_view_pin(reader);
    put_all("two");
    old = mvcc_view_pin(reader);
    put_all("three");
    (void) steps();
    with_both = index_bytes();
    mvcc_view_unpin(old);
    mvcc_publish(kv);
    assert_true(mvcc_reclaiming(kv));
    put(7, "four"); /* between the steps */
    check(older, "k7", "one");
    assert_true(steps() >= 2);
    with_older = index_bytes();
    assert_true(with_older < with_both);
    check(older, "k49999", "one");
    mvcc_view_unpin(older);
    mvcc_publish(kv);
    assert_true(mvcc_reclaiming(kv));
    assert_true(steps() >= 2);
    assert_true(index_bytes() < with_older);
    old = mvcc_view_pin(reader);
    check(old, "k7", "four");
    check(old, "k49999", "three");
    mvcc_view_unpin(old);
    commit();
}

/* The index of a file that another one took the place of goes in steps, once nobody reads it. */
static void an_index_that_was_replaced_goes_in_steps(void **state)
{
    const struct mvcc_view *old, *now;
    struct store_view view;
    struct mvcc_loaded *l;

    (void) state;
    open_at("other");
    put_all("one");
    put(3, "other");
    commit();
    mvcc_publish(kv);
    close_all();
    open_at("db");
    put_all("one");
    commit();
    old = mvcc_view_pin(reader);
    assert_int_equal(disk_rename(simdisk_disk(sim), "other", "db", &e), 0);
    assert_int_equal(store_replace(s, &e), 0);
    store_replacement_view(s, &view);
    assert_int_equal(mvcc_load(&view, &l, &e), 0);
    assert_int_equal(store_take_over(s, &e), 0);
    mvcc_replace(kv, l);
    mvcc_publish(kv);
    (void) steps();
    check(old, "k3", "one");
    mvcc_view_unpin(old);
    mvcc_publish(kv);
    assert_true(mvcc_reclaiming(kv));
    now = mvcc_view_pin(reader);
    check(now, "k3", "other");
    assert_true(steps() >= 2);
    check(now, "k4", "one");
    mvcc_view_unpin(now);
    assert_true(mvcc_idle(kv));
}

/* A compaction copies the revisions that stay: of keys with many of them few at a time. */
static void long_histories_are_compacted_a_few_at_a_time(void **state)
{
    const struct mvcc_view *v;
    int n = 1;

    (void) state;
    open_at("db");
    for (int i = 0; i < 100000; i++)
        put(i % 10, "v");
    mvcc_publish(kv);
    assert_int_equal(mvcc_compact(kv, 1001), 0);
    for (; mvcc_compact_index_step(kv, MVCC_INDEX_STEP_DEFAULT); n++)
        mvcc_publish(kv);
    assert_true(n >= 3);
    mvcc_publish(kv);
    v = mvcc_view_pin(reader);
    assert_int_equal(mvcc_view_compact_revision(v), 1001);
    check(v, "k9", "v");
    mvcc_view_unpin(v);
    mvcc_publish(kv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_a_long_reader_kept_goes_in_steps, setup, teardown),
        cmocka_unit_test_setup_teardown(an_index_that_was_replaced_goes_in_steps, setup, teardown),
        cmocka_unit_test_setup_teardown(long_histories_are_compacted_a_few_at_a_time, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
