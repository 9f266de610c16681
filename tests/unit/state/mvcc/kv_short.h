/* kv_short.h -- a key space, and short forms of what is done to it and of what it says. */
#ifndef KETCH_TESTS_KV_SHORT_H
#define KETCH_TESTS_KV_SHORT_H

#include "state/mvcc/mvcc_int.h"
#include "unit/state/mvcc/kv_rig.h"

static const struct mvcc_view *view; /* the newest that was asked for */
static struct err e;
static char lease_log[256]; /* what the hooks were told: "+7:key -0:key " */

static inline bool lease_exists(void *ctx, int64_t id)
{
    (void) ctx;
    return id == 7 || id == 8;
}

static inline void log_lease(char sign, int64_t id, struct bytes key)
{
    size_t n = strlen(lease_log);

    snprintf(lease_log + n, sizeof lease_log - n, "%c%d:%.*s ", sign, (int) id, (int) key.n,
             (const char *) key.p);
}

static inline void lease_attach(void *ctx, int64_t id, struct bytes key)
{
    (void) ctx;
    log_lease('+', id, key);
}

static inline void lease_detach(void *ctx, struct bytes key)
{
    (void) ctx;
    log_lease('-', 0, key);
}

static inline void open_all(void)
{
    const struct mvcc_hooks hooks = {
        .lease_exists = lease_exists, .lease_attach = lease_attach, .lease_detach = lease_detach};

    lease_log[0] = '\0';
    kv_open(&hooks);
    view = NULL;
}

static inline void close_all(void)
{
    mvcc_view_unpin(view);
    kv_close();
}

static inline void commit(void)
{
    store_seal(s);
    assert_int_equal(store_commit(s, &e), 0);
}

static inline void restart(void)
{
    commit();
    close_all();
    open_all();
}

static inline int setup(void **state)
{
    (void) state;
    e = ERR_INIT;
    kv_disk_new(3);
    open_all();
    return 0;
}

static inline int teardown(void **state)
{
    (void) state;
    close_all();
    kv_disk_free();
    return 0;
}

/* ---- short forms ---- */

static inline int64_t put_with(const char *key, const char *value, int64_t lease)
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

static inline int64_t put(const char *key, const char *value)
{
    return put_with(key, value, 0);
}

static inline int64_t del(const char *key)
{
    Etcdserverpb__DeleteRangeRequest r = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    struct mvcc_delete_result got;
    bool too_large;

    r.key = wire_binary(bytes_str(key));
    mvcc_delete_range(kv, &r, &a, &got, &too_large);
    return got.revision;
}

static inline const struct mvcc_view *newest(void)
{
    mvcc_publish(kv);
    mvcc_view_unpin(view);
    view = mvcc_view_pin(reader);
    return view;
}

/* "key=value@create/mod/version ..." of a range, or the error's number. */
static inline const char *range(Etcdserverpb__RangeRequest r)
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

static inline Etcdserverpb__RangeRequest from(const char *key, struct bytes end)
{
    Etcdserverpb__RangeRequest r = ETCDSERVERPB__RANGE_REQUEST__INIT;

    r.key = wire_binary(bytes_str(key));
    r.range_end = wire_binary(end);
    return r;
}

static inline const char *get_at(const char *key, int64_t revision)
{
    Etcdserverpb__RangeRequest r = from(key, BYTES_EMPTY);

    r.revision = revision;
    return range(r);
}

#define TO_THE_END bytes_of("", 1)

/* "main_sub" of the entry's revisions, t for tombstones: what the index remembers of a key. */
static inline const char *remembered(const char *key)
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

static inline void compact_file(void)
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

static inline void compact_index(int64_t revision)
{
    assert_int_equal(mvcc_compact(kv, revision), 0);
    while (mvcc_compact_index_step(kv, 1))
        ;
    compact_file(); /* or the next would not trim the index */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
