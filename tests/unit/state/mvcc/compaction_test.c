/* Compactions: what goes and what stays, in the index and in the file, what they leave a hash of,
 * and how they go on after a restart. */
#include "unit/state/mvcc/kv_short.h"

static void compaction_keeps_what_the_reference_says(void **state)
{
    /* put 2, put 3, delete 4, put 5, delete 6, compacted step by step: the example of the
     * reference, one revision on. */
    (void) state;
    put("k", "1");
    put("k", "2");
    del("k");
    put("k", "3");
    del("k");
    put("other", "x");
    assert_string_equal(remembered("k"), "2 3 4t 5 6t ");
    compact_index(3);
    assert_string_equal(remembered("k"), "3 4t 5 6t ");
    compact_index(5);
    assert_string_equal(remembered("k"), "5 6t ");
    compact_index(6);
    assert_string_equal(remembered("k"), "6t ");
    compact_index(7);
    assert_string_equal(remembered("k"), "");
    assert_string_equal(remembered("other"), "7 ");
    compact_file();
    restart();
    assert_string_equal(remembered("k"), "");
    assert_string_equal(remembered("other"), "7 ");
    assert_int_equal(mvcc_compact_revision(kv), 7);
}

static void compaction_is_accepted_between_old_and_current(void **state)
{
    /* 0 once on a fresh store; never below or at the last one, never above the current revision; a
     * read exactly at it works. */
    (void) state;
    assert_int_equal(mvcc_compact_revision(kv), -1);
    assert_int_equal(mvcc_compact(kv, -1), ERR_MVCC_COMPACTED);
    assert_int_equal(mvcc_compact(kv, 0), 0);
    assert_int_equal(mvcc_compact(kv, 0), ERR_MVCC_COMPACTED);
    assert_int_equal(mvcc_compact(kv, 2), ERR_MVCC_FUTURE_REV);
    put("a", "1");
    put("a", "2");
    put("a", "3");
    assert_int_equal(mvcc_compact(kv, 3), 0);
    assert_string_equal(get_at("a", 3), "a=2@2/3/2 n=1");
    assert_string_equal(get_at("a", 2), "-520");
    assert_string_equal(get_at("a", 5), "-521");
    assert_int_equal(mvcc_api_error(ERR_MVCC_COMPACTED), API_COMPACTED);
    assert_int_equal(mvcc_api_error(ERR_MVCC_FUTURE_REV), API_FUTURE_REV);
    assert_int_equal(mvcc_api_error(ERR_NOMEM), API_OK);
}

/* What the compaction at 5 removed and hashed, when a second one at 9 was accepted before it began,
 * or only when it was over. */
static struct mvcc_compaction_info compact_twice(bool in_a_row)
{
    struct mvcc_compaction_info info = {0};
    struct mvcc_compaction *c;
    bool done = false;

    for (int i = 0; i < 4; i++) {
        put("a", "1");
        put("b", "1");
    }
    assert_int_equal(mvcc_compact(kv, 5), 0);
    if (in_a_row)
        assert_int_equal(mvcc_compact(kv, 9), 0);
    while (mvcc_compact_index_step(kv, 10))
        ;
    c = mvcc_compaction_take(kv);
    commit();
    while (!done)
        assert_int_equal(mvcc_compaction_step(c, 2, &done, &e), 0);
    mvcc_compaction_info(c, &info);
    mvcc_compaction_end(kv, c, true);
    if (!in_a_row)
        compact_index(9);
    else
        assert_true(mvcc_compact_index_pending(kv)); /* now for the second one */
    while (mvcc_compact_index_step(kv, 10))
        ;
    assert_string_equal(remembered("a"), "8 ");
    compact_file();
    return info;
}

static void compactions_in_a_row_remove_and_hash_what_they_do_one_by_one(void **state)
{
    /* A member that replays its log accepts several before the first has begun; members compare the
     * hashes that compactions leave behind. */
    struct mvcc_compaction_info alone = compact_twice(false), in_a_row;

    teardown(state);
    setup(state);
    in_a_row = compact_twice(true);
    assert_int_equal(alone.revision, in_a_row.revision);
    assert_int_equal(alone.hash, in_a_row.hash);
    assert_int_equal(alone.records_removed, in_a_row.records_removed);
}

static uint32_t hash_at(int64_t revision)
{
    struct mvcc_hash_result r;
    struct mvcc_hash *h;
    bool done = false;

    mvcc_publish(kv);
    mvcc_view_unpin(view);
    view = mvcc_view_pin(reader);
    assert_int_equal(mvcc_hash_begin(view, revision, &h), 0);
    while (!done)
        assert_int_equal(mvcc_hash_step(h, 1, &done), 0);
    mvcc_hash_result(h, &r);
    mvcc_hash_end(h);
    return r.hash;
}

static void a_hash_with_every_key_deleted_is_the_same_before_and_behind_the_compaction(void **state)
{
    /* Nothing is kept then, which to etcd means that nothing is left out. */
    uint32_t before;

    (void) state;
    put("a", "1");
    put("b", "1");
    put("a", "2");
    del("a");
    del("b");
    assert_int_equal(mvcc_compact(kv, 4), 0);
    before = hash_at(6);
    while (mvcc_compact_index_step(kv, 10))
        ;
    assert_int_equal(hash_at(6), before);
    compact_file();
    assert_int_equal(hash_at(6), before);
}

static void a_broken_off_compaction_goes_on_after_a_restart(void **state)
{
    /* The compact revision holds at once, and a job waits; the revision does not go back though all
     * newer records are gone (etcd issue 17780). */
    struct mvcc_compaction *c;

    (void) state;
    put("a", "1");
    del("a");
    assert_int_equal(mvcc_compact(kv, 3), 0);
    restart();
    assert_int_equal(mvcc_compact_revision(kv), 3);
    assert_true(mvcc_compact_index_pending(kv));
    c = mvcc_compaction_take(kv);
    assert_non_null(c);
    mvcc_compaction_end(kv, c, false);
    restart();
    while (mvcc_compact_index_step(kv, 10))
        ;
    compact_file();
    restart();
    assert_int_equal(mvcc_revision(kv), 3);
    assert_int_equal(mvcc_compact_revision(kv), 3);
    assert_null(mvcc_compaction_take(kv));
}

static void a_restored_snapshot_with_bumped_revision_opens(void **state)
{
    /* `etcdutl snapshot restore --bump-revision --mark-compacted` leaves a record without a
     * KeyValue and a scheduled compaction at it. */
    uint8_t key[STORE_REV_KEY_BYTES_MAX];
    uint8_t *p;

    (void) state;
    put("a", "1");
    p = store_key_append(s, 1006, 0, false, 0);
    assert_non_null(p);
    store_put(s, STORE_META, BYTES_LIT(STORE_META_SCHEDULED_COMPACT),
              bytes_of(key, store_rev_key_put(key, 1006, 0, false)));
    restart();
    assert_int_equal(mvcc_revision(kv), 1006);
    assert_int_equal(mvcc_compact_revision(kv), 1006);
    assert_int_equal(put("b", "2"), 1007);
    assert_string_equal(range(from("\001", TO_THE_END)), "a=1@2/2/1 b=2@1007/1007/1 n=2");
    while (mvcc_compact_index_step(kv, 10))
        ;
    compact_file();
    restart();
    assert_string_equal(range(from("\001", TO_THE_END)), "a=1@2/2/1 b=2@1007/1007/1 n=2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(compaction_keeps_what_the_reference_says),
        TEST(compaction_is_accepted_between_old_and_current),
        TEST(compactions_in_a_row_remove_and_hash_what_they_do_one_by_one),
        TEST(a_hash_with_every_key_deleted_is_the_same_before_and_behind_the_compaction),
        TEST(a_broken_off_compaction_goes_on_after_a_restart),
        TEST(a_restored_snapshot_with_bumped_revision_opens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
