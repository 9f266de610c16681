#include "lib/cm.h"

#include "lib/simdisk.h"
#include "state/mvcc/mvcc.h"
#include "state/mvcc/mvcc_int.h"
#include "state/mvcc/mvcc_reply.h"
#include "wire/wire.h"

static struct simdisk *sim;
static struct store *s;
static struct mvcc *kv;
static struct mvcc_reader *reader;
static const struct mvcc_view *view;
static struct arena a;
static struct err e;
static char lease_log[256];

static bool lease_exists(void *ctx, int64_t id)
{
    (void) ctx;
    return id == 7 || id == 8;
}

static void log_lease(char sign, int64_t id, struct bytes key)
{
    size_t n = strlen(lease_log);

    snprintf(lease_log + n, sizeof lease_log - n, "%c%d:%.*s ", sign, (int) id, (int) key.n,
             (const char *) key.p);
}

static void lease_attach(void *ctx, int64_t id, struct bytes key)
{
    (void) ctx;
    log_lease('+', id, key);
}

static void lease_detach(void *ctx, struct bytes key)
{
    (void) ctx;
    log_lease('-', 0, key);
}

static void open_all(void)
{
    struct store_config cfg = {.disk = simdisk_disk(sim), .path = "db", .map_bytes = 1 << 26};
    struct mvcc_hooks hooks = {
        .lease_exists = lease_exists, .lease_attach = lease_attach, .lease_detach = lease_detach};

    lease_log[0] = '\0';
    assert_int_equal(store_open(&cfg, &s, &e), 0);
    assert_int_equal(mvcc_open(s, &hooks, &kv, &e), 0);
    reader = mvcc_reader_new(kv);
    view = NULL;
}

static void close_all(void)
{
    mvcc_view_unpin(view);
    mvcc_reader_free(reader);
    mvcc_close(kv);
    store_close(s);
}

static void commit(void)
{
    store_seal(s);
    assert_int_equal(store_commit(s, &e), 0);
}

static void restart(void)
{
    commit();
    close_all();
    open_all();
}

static int setup(void **state)
{
    (void) state;
    e = ERR_INIT;
    sim = simdisk_new(3);
    arena_init(&a, SIZE_MAX);
    open_all();
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    close_all();
    arena_done(&a);
    simdisk_free(sim);
    return 0;
}

/* ---- short forms ---- */

static int64_t put_with(const char *key, const char *value, int64_t lease)
{
    Etcdserverpb__PutRequest r = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct mvcc_put_result got;
    bool too_large;
    int rc;

    r.key = wire_binary(bytes_str(key));
    r.value = wire_binary(bytes_str(value));
    r.lease = lease;
    rc = mvcc_put(kv, &r, &a, &got, &too_large);
    return rc == 0 ? got.revision : rc;
}

static int64_t put(const char *key, const char *value)
{
    return put_with(key, value, 0);
}

static int64_t del(const char *key)
{
    Etcdserverpb__DeleteRangeRequest r = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    struct mvcc_delete_result got;
    bool too_large;

    r.key = wire_binary(bytes_str(key));
    mvcc_delete_range(kv, &r, &a, &got, &too_large);
    return got.revision;
}

static const struct mvcc_view *newest(void)
{
    mvcc_publish(kv);
    mvcc_view_unpin(view);
    view = mvcc_view_pin(reader);
    return view;
}

/* "key=value@create/mod/version ..." of a range, or the error's number. */
static const char *range(Etcdserverpb__RangeRequest r)
{
    static char text[4096];
    struct mvcc_range *g;
    struct bytes b;
    int rc = mvcc_range(newest(), &r, &a, &g);
    size_t n = 0;

    text[0] = '\0';
    if (rc != 0) {
        snprintf(text, sizeof text, "%d", rc);
        return text;
    }
    while (mvcc_range_next(g, &b)) {
        struct kv_fields f;

        kv_decode_stored(b, &f);
        n += (size_t) snprintf(text + n, sizeof text - n, "%.*s=%.*s@%d/%d/%d ", (int) f.key.n,
                               (const char *) f.key.p, (int) f.value.n, (const char *) f.value.p,
                               (int) f.create_main, (int) f.mod_main, (int) f.version);
    }
    snprintf(text + n, sizeof text - n, "n=%d%s", (int) mvcc_range_info(g)->count,
             mvcc_range_info(g)->more ? " more" : "");
    return text;
}

static Etcdserverpb__RangeRequest from(const char *key, struct bytes end)
{
    Etcdserverpb__RangeRequest r = ETCDSERVERPB__RANGE_REQUEST__INIT;

    r.key = wire_binary(bytes_str(key));
    r.range_end = wire_binary(end);
    return r;
}

static const char *get_at(const char *key, int64_t revision)
{
    Etcdserverpb__RangeRequest r = from(key, BYTES_EMPTY);

    r.revision = revision;
    return range(r);
}

#define TO_THE_END bytes_of("", 1)

/* "main_sub" of the entry's revisions, t for tombstones: what the index remembers of a key. */
static const char *remembered(const char *key)
{
    static char text[256];
    const struct key_entry *x = index_get(kv->index->root, bytes_str(key));
    size_t n = 0;

    text[0] = '\0';
    for (uint32_t i = 0; x != NULL && i <= x->history_n; i++) {
        struct key_revision r = entry_revision(x, i);

        n += (size_t) snprintf(text + n, sizeof text - n, "%d%s ", (int) r.main,
                               key_revision_is_tombstone(r) ? "t" : "");
    }
    return text;
}

static void compact_file(void)
{
    struct mvcc_compaction *c;

    while ((c = mvcc_compaction_take(kv)) != NULL) {
        bool done = false;

        commit();
        while (!done)
            assert_int_equal(mvcc_compaction_step(c, 2, &done, &e), 0);
        mvcc_compaction_end(kv, c, true);
    }
}

static void compact_index(int64_t revision)
{
    assert_int_equal(mvcc_compact(kv, revision), 0);
    while (mvcc_compact_index_step(kv, 1))
        ;
    compact_file(); /* or the next would not trim the index */
}

/* ---- revisions ---- */

static void revisions_count_changes_from_two_on(void **state)
{
    /* An empty store is at 1; a write that changes nothing takes no revision. */
    (void) state;
    assert_int_equal(mvcc_revision(kv), 1);
    assert_int_equal(del("absent"), 1);
    assert_int_equal(put("a", "1"), 2);
    assert_int_equal(put("a", "2"), 3);
    assert_int_equal(del("a"), 4);
    assert_int_equal(del("a"), 4);
    assert_int_equal(put("a", "3"), 5);
    assert_string_equal(get_at("a", 0), "a=3@5/5/1 n=1");
    assert_string_equal(get_at("a", 3), "a=2@2/3/2 n=1");
    assert_string_equal(get_at("a", 4), "n=0");
    restart();
    assert_int_equal(mvcc_revision(kv), 5);
    assert_string_equal(get_at("a", 3), "a=2@2/3/2 n=1");
}

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

static void a_record_that_is_no_key_value_is_damage(void **state)
{
    /* Opening names the record and refuses. */
    struct mvcc *other;
    uint8_t *p = store_key_append(s, 2, 0, false, 3);

    (void) state;
    memcpy(p, "\x0a\xff\x01", 3);
    commit();
    assert_int_equal(mvcc_open(s, NULL, &other, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.msg, "record 2_0"));
}

/* ---- ranges ---- */

static void put_some(void)
{
    put("a", "3");
    put("b", "2");
    put("b", "9");
    put("c", "1");
}

static void the_three_forms_of_a_range(void **state)
{
    /* One key; from a key on; from and to.  An end at or before the key is empty, not an error. */
    (void) state;
    put_some();
    assert_string_equal(range(from("b", BYTES_EMPTY)), "b=9@3/4/2 n=1");
    assert_string_equal(range(from("b", TO_THE_END)), "b=9@3/4/2 c=1@5/5/1 n=2");
    assert_string_equal(range(from("a", bytes_str("c"))), "a=3@2/2/1 b=9@3/4/2 n=2");
    assert_string_equal(range(from("c", bytes_str("a"))), "n=0");
    assert_string_equal(range(from("b", bytes_str("b"))), "n=0");
    assert_string_equal(range(from("d", BYTES_EMPTY)), "n=0");
}

static void limit_count_and_more(void **state)
{
    /* The limit cuts the answer, not the count; 0 and negative are no limit; count_only has
     * neither. */
    Etcdserverpb__RangeRequest r = from("a", TO_THE_END);

    (void) state;
    put_some();
    r.limit = 2;
    assert_string_equal(range(r), "a=3@2/2/1 b=9@3/4/2 n=3 more");
    r.limit = 3;
    assert_string_equal(range(r), "a=3@2/2/1 b=9@3/4/2 c=1@5/5/1 n=3");
    r.limit = -1;
    assert_string_equal(range(r), "a=3@2/2/1 b=9@3/4/2 c=1@5/5/1 n=3");
    r.limit = 1;
    r.count_only = true;
    assert_string_equal(range(r), "n=3");
}

static void order_comes_after_everything_is_fetched_or_not(void **state)
{
    /* A real order looks at all keys; an order of NONE with a target sorts only what the limit let
     * through. */
    Etcdserverpb__RangeRequest r = from("a", TO_THE_END);

    (void) state;
    put_some();
    r.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE;
    r.limit = 1;
    assert_string_equal(range(r), "a=3@2/2/1 n=3 more");
    r.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND;
    assert_string_equal(range(r), "c=1@5/5/1 n=3 more");
    r.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    assert_string_equal(range(r), "b=9@3/4/2 n=3 more");
    r.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY;
    assert_string_equal(range(r), "c=1@5/5/1 n=3 more");
    r.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VERSION;
    r.limit = 0;
    assert_string_equal(range(r), "b=9@3/4/2 a=3@2/2/1 c=1@5/5/1 n=3");
}

static void filters_leave_the_count_alone(void **state)
{
    /* They drop keys after the fetch; `more` is about what passed. */
    Etcdserverpb__RangeRequest r = from("a", TO_THE_END);

    (void) state;
    put_some();
    r.min_mod_revision = 4;
    assert_string_equal(range(r), "b=9@3/4/2 c=1@5/5/1 n=3");
    r.limit = 1;
    assert_string_equal(range(r), "b=9@3/4/2 n=3 more");
    r.max_create_revision = 3;
    assert_string_equal(range(r), "b=9@3/4/2 n=3");
}

static void keys_only_comes_from_the_index(void **state)
{
    /* Without value and, as in 3.7, without lease; with an order by value the lease is there. */
    Etcdserverpb__RangeRequest r = from("a", BYTES_EMPTY);
    struct mvcc_range *g;
    struct kv_fields f;
    struct bytes b;

    (void) state;
    put_with("a", "value", 7);
    r.keys_only = true;
    for (int by_value = 0; by_value < 2; by_value++) {
        if (by_value)
            r.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE;
        assert_int_equal(mvcc_range(newest(), &r, &a, &g), 0);
        assert_true(mvcc_range_next(g, &b));
        kv_decode_stored(b, &f);
        assert_int_equal(f.value.n, 0);
        assert_int_equal(f.version, 1);
        assert_int_equal(f.lease, by_value ? 7 : 0);
        assert_int_equal(mvcc_range_info(g)->kvs_bytes, range_kv_field_bytes(b.n));
    }
}

static void reads_without_memory_are_refused(void **state)
{
    /* Whatever allocation fails, and in an arena that is too small: ERR_NOMEM, and the next try
     * works. */
    Etcdserverpb__RangeRequest r = from("a", TO_THE_END);
    struct mvcc_range *g;
    struct arena small;
    int rc = ERR_NOMEM;

    (void) state;
    for (int i = 0; i < 500; i++) {
        char key[16];

        snprintf(key, sizeof key, "a%d", i);
        put(key, "value");
    }
    r.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    newest();
    for (size_t bytes = 64; rc != 0; bytes *= 2) {
        arena_init(&small, bytes);
        rc = mvcc_range(view, &r, &small, &g);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        assert_true(rc == ERR_NOMEM || bytes > 500 * sizeof(struct range_ref));
        arena_done(&small);
    }
    for (uint64_t n = 1; n < 50; n++) {
        arena_init(&small, SIZE_MAX);
        mem_fail_after(n, false);
        rc = mvcc_range(view, &r, &small, &g);
        mem_fail_after(0, false);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        arena_done(&small);
    }
}

static void an_answer_that_is_too_large_does_not_stop_the_write(void **state)
{
    /* The change is made; only the answer is missing. */
    Etcdserverpb__DeleteRangeRequest r = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    struct mvcc_delete_result got;
    struct arena small;
    bool too_large;

    (void) state;
    put_some();
    arena_init(&small, 64);
    r.key = wire_binary(bytes_str("a"));
    r.range_end = wire_binary(TO_THE_END);
    r.prev_kv = true;
    mvcc_delete_range(kv, &r, &small, &got, &too_large);
    arena_done(&small);
    assert_true(too_large);
    assert_int_equal(mvcc_revision(kv), 6);
    assert_string_equal(range(from("a", TO_THE_END)), "n=0");
}

/* ---- leases ---- */

static void leases_follow_the_newest_put(void **state)
{
    /* Attached by a put, detached by a put without lease and by a delete; after a restart the last
     * value decides. */
    (void) state;
    assert_int_equal(put_with("a", "1", 9), ERR_MVCC_LEASE_NOT_FOUND);
    assert_int_equal(mvcc_revision(kv), 1);
    put_with("a", "1", 7);
    put_with("a", "2", 8);
    put("a", "3");
    put("a", "4");
    put_with("b", "1", 7);
    del("b");
    put_with("c", "1", 7);
    put_with("d", "1", 8);
    assert_string_equal(lease_log, "+7:a +8:a -0:a +7:b -0:b +7:c +8:d ");
    restart();
    assert_string_equal(lease_log, "+7:c +8:d ");
    del("c");
    assert_string_equal(lease_log, "+7:c +8:d -0:c ");
}

static void an_unknown_lease_is_seen_before_a_missing_key(void **state)
{
    /* In a transaction as for a lone put; each operation in its turn (etcd 3.7.1). */
    Etcdserverpb__PutRequest lease = ETCDSERVERPB__PUT_REQUEST__INIT, key = lease;
    Etcdserverpb__RequestOp first = ETCDSERVERPB__REQUEST_OP__INIT, second,
                            *ops[] = {&first, &second};
    Etcdserverpb__TxnRequest q = ETCDSERVERPB__TXN_REQUEST__INIT;
    struct mvcc_put_result put_got;
    struct mvcc_txn_result got;
    bool too_large;

    (void) state;
    lease.key = key.key = wire_binary(bytes_str("a"));
    lease.ignore_value = key.ignore_value = true;
    lease.lease = 9;
    first.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    second = first;
    first.request_put = &lease;
    second.request_put = &key;
    q.success = ops;
    q.n_success = 2;
    assert_int_equal(mvcc_put(kv, &lease, &a, &put_got, &too_large), ERR_MVCC_LEASE_NOT_FOUND);
    assert_int_equal(mvcc_txn(kv, &q, &a, &got, &too_large), ERR_MVCC_LEASE_NOT_FOUND);
    ops[0] = &second;
    ops[1] = &first;
    assert_int_equal(mvcc_txn(kv, &q, &a, &got, &too_large), ERR_MVCC_KEY_NOT_FOUND);
    assert_int_equal(mvcc_revision(kv), 1);
}

static void ignoring_keeps_value_or_lease(void **state)
{
    /* Both need the key to exist. */
    Etcdserverpb__PutRequest r = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct mvcc_put_result got;
    bool too_large;
    struct bytes stored;
    struct kv_fields f;

    (void) state;
    r.key = wire_binary(bytes_str("a"));
    r.ignore_value = r.ignore_lease = true;
    assert_int_equal(mvcc_put(kv, &r, &a, &got, &too_large), ERR_MVCC_KEY_NOT_FOUND);
    put_with("a", "kept", 7);
    assert_int_equal(mvcc_put(kv, &r, &a, &got, &too_large), 0);
    assert_true(mvcc_view_get(newest(), bytes_str("a"), 3, &stored));
    kv_decode_stored(stored, &f);
    assert_memory_equal(f.value.p, "kept", 4);
    assert_int_equal(f.lease, 7);
    assert_int_equal(f.version, 2);
}

static void keys_of_a_lease_go_in_one_revision(void **state)
{
    /* Those that are still there, in the order given. */
    struct bytes keys[] = {bytes_str("a"), bytes_str("gone"), bytes_str("b")};

    (void) state;
    put("a", "1");
    put("b", "1");
    assert_int_equal(mvcc_delete_keys(kv, keys, 3), 2);
    assert_int_equal(mvcc_revision(kv), 4);
    assert_int_equal(mvcc_delete_keys(kv, keys, 3), 0);
    assert_int_equal(mvcc_revision(kv), 4);
    assert_string_equal(remembered("b"), "3 4t ");
    assert_int_equal(index_get(kv->index->root, bytes_str("b"))->mod_sub_tombstone >> 1, 1);
}

/* ---- the stored form ---- */

static void a_stored_put_has_etcds_bytes(void **state)
{
    /* The verified example of the reference: put foo=bar2 as the second write. */
    static const uint8_t want[] = {0x0a, 3, 'f',  'o', 'o', 0x10, 2,   0x18, 3,
                                   0x20, 2, 0x2a, 4,   'b', 'a',  'r', '2'};
    struct bytes got;

    (void) state;
    put("foo", "bar");
    put("foo", "bar2");
    assert_true(mvcc_view_get(newest(), bytes_str("foo"), 3, &got));
    assert_int_equal(got.n, sizeof want);
    assert_memory_equal(got.p, want, sizeof want);
}

static void a_stored_deletion_has_only_the_key(void **state)
{
    /* As in etcd: 0a 03 66 6f 6f under a key with t behind. */
    struct store_cursor *c = arena_alloc(&a, store_cursor_bytes());
    struct store_record r;

    (void) state;
    put("foo", "bar");
    del("foo");
    store_cursor_init(c, mvcc_view_store(newest()));
    store_cursor_seek(c, 3, 0);
    assert_true(store_cursor_next(c, &r));
    assert_true(r.tombstone);
    assert_int_equal(r.value.n, 5);
    assert_memory_equal(r.value.p,
                        "\x0a\x03"
                        "foo",
                        5);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(revisions_count_changes_from_two_on),
        TEST(compaction_keeps_what_the_reference_says),
        TEST(compaction_is_accepted_between_old_and_current),
        TEST(compactions_in_a_row_remove_and_hash_what_they_do_one_by_one),
        TEST(a_hash_with_every_key_deleted_is_the_same_before_and_behind_the_compaction),
        TEST(a_broken_off_compaction_goes_on_after_a_restart),
        TEST(a_restored_snapshot_with_bumped_revision_opens),
        TEST(a_record_that_is_no_key_value_is_damage),
        TEST(the_three_forms_of_a_range),
        TEST(limit_count_and_more),
        TEST(order_comes_after_everything_is_fetched_or_not),
        TEST(filters_leave_the_count_alone),
        TEST(keys_only_comes_from_the_index),
        TEST(reads_without_memory_are_refused),
        TEST(an_answer_that_is_too_large_does_not_stop_the_write),
        TEST(leases_follow_the_newest_put),
        TEST(an_unknown_lease_is_seen_before_a_missing_key),
        TEST(ignoring_keeps_value_or_lease),
        TEST(keys_of_a_lease_go_in_one_revision),
        TEST(a_stored_put_has_etcds_bytes),
        TEST(a_stored_deletion_has_only_the_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
