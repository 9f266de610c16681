/* store.c -- opening and closing, the numbers, and reading what is committed. */
#include "state/store/store_int.h"

#include "base/endian.h"

#define TMP_PREFIX "db.tmp" /* what etcd calls the copy that a defragmentation makes */

static char *dir_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash == NULL ? 0 : (size_t) (slash - path);
    char *dir;

    if (slash == NULL)
        return xmem_strdup(".");
    if (n == 0)
        return xmem_strdup("/");
    dir = xmem_dup(path, n + 1);
    dir[n] = '\0';
    return dir;
}

static int remove_leftovers(struct store *s, struct err *e)
{
    char **names;
    size_t n;
    int rc = disk_list(s->cfg.disk, s->dir, &names, &n, e);

    if (rc != 0)
        return rc;
    for (size_t i = 0; i < n && rc == 0; i++) {
        char path[4096];

        if (strncmp(names[i], TMP_PREFIX, sizeof TMP_PREFIX - 1) != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", s->dir, names[i]);
        rc = disk_remove(s->cfg.disk, path, e);
    }
    disk_list_free(names, n);
    return rc;
}

int store__file_open(struct store *s, const char *path, bool unsynced, struct store_file **ret,
                     struct err *e)
{
    struct bolt_options opt = {.read_only = s->cfg.read_only,
                               .lock_memory = s->cfg.lock_memory,
                               .reserve_bytes = s->cfg.map_bytes,
                               .unsynced = unsynced,
                               .clock = s->cfg.clock};
    struct store_file *f = xmem_calloc(1, sizeof *f);
    int rc;

    if (s->cfg.map_bytes != 0 && s->cfg.map_bytes < STORE_MAP_BYTES_LARGE)
        opt.initial_map_bytes = BOLT_MAP_SMALL;
    rc = bolt_open(s->cfg.disk, path, &opt, &f->db, e);

    if (rc != 0) {
        mem_free(f);
        return rc;
    }
    ASSERT(f->db != NULL);
    atomic_init(&f->refs, 1);
    *ret = f;
    return 0;
}

void store__file_unref(struct store *s, struct store_file *f)
{
    if (atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (f->replaced)
        store__gone_add(s, bolt_close_but_file(f->db));
    else
        bolt_close(f->db);
    mem_free(f);
}

static int create_buckets(struct bolt_tx *tx, bool *ret_changed, struct err *e)
{
    struct bolt_bucket b;

    *ret_changed = false;
    for (enum store_bucket i = 0; i < STORE_BUCKETS; i++) {
        int rc = bolt_bucket_get(tx, store_bucket_name(i), &b, e);

        if (rc == ERR_NOT_FOUND) {
            *ret_changed = true;
            rc = bolt_bucket_create(tx, store_bucket_name(i), &b, e);
        }
        if (rc != 0)
            return rc;
    }
    return 0;
}

int store__ensure_buckets(struct store *s, struct err *e)
{
    struct bolt_tx *tx;
    bool changed;
    int rc = bolt_begin_write(s->file->db, &tx, e);

    if (rc != 0)
        return rc;
    rc = create_buckets(tx, &changed, e);
    if (rc != 0 || !changed) {
        bolt_rollback(tx);
        return rc;
    }
    return bolt_commit(tx, e);
}

/* Where the records of bucket `key` go on, and the entry applied last. */
int store__load_ends(struct store *s, struct err *e)
{
    struct bolt_bucket b = s->snapshot->key_bucket;
    struct bolt_cursor c;
    struct bytes k, v;
    bool tombstone;
    int rc;

    bolt_cursor_init(&c, &b);
    rc = bolt_cursor_last(&c, &k, &v, e);
    if (rc == 0 && !store_rev_key_get(k, &s->last_main, &s->last_sub, &tombstone))
        return err_set(e, ERR_STORE_BAD_REVISION_KEY,
                       "the last key of bucket key (%zu bytes) is not a revision", k.n);
    if (rc != 0 && rc != ERR_NOT_FOUND)
        return rc;
    store_snapshot_applied(s->snapshot, &s->applied_index, &s->applied_term);
    s->sealed_index = s->applied_index;
    return 0;
}

static int open_file(struct store *s, struct err *e)
{
    int rc = store__file_open(s, s->path, false, &s->file, e);

    /* Only under the file's lock: what is left over may be what another process is just making. */
    if (rc == 0 && !s->cfg.read_only)
        rc = remove_leftovers(s, e);
    if (rc == 0 && !s->cfg.read_only)
        rc = store__ensure_buckets(s, e);
    if (rc == 0)
        rc = store__committed(s, e);
    if (rc != 0)
        return rc;
    store__adopt(s);
    return store__load_ends(s, e);
}

int store_open(const struct store_config *cfg, struct store **ret, struct err *e)
{
    struct store *s = xmem_calloc(1, sizeof *s);
    int rc;

    ASSERT(cfg->path != NULL);
    ASSERT(cfg->disk != NULL);
    s->cfg = *cfg;
    if (s->cfg.batch_ops_max == 0)
        s->cfg.batch_ops_max = STORE_BATCH_OPS_DEFAULT;
    if (s->cfg.batch_interval_ms == 0)
        s->cfg.batch_interval_ms = STORE_BATCH_INTERVAL_MS_DEFAULT;
    s->path = xmem_strdup(cfg->path);
    s->dir = dir_of(cfg->path);
    s->cfg.path = s->path;
    s->next_seq = 1;
    s->last_main = -1;
    list_init(&s->batches);
    mpsc_init(&s->sealed);
    mpsc_init(&s->dead);
    list_init(&s->gone);
    list_init(&s->snapshots);
    s->open = batch_new();
    rc = open_file(s, e);
    if (rc != 0) {
        store_close(s);
        return err_wrap(e, rc, "open data file %s", cfg->path);
    }
    *ret = s;
    return 0;
}

void store_close(struct store *s)
{
    struct list *l;

    if (s == NULL)
        return;
    if (s->file != NULL)
        store__adopt(s);
    while ((l = list_pop(&s->batches)) != NULL)
        batch_unref(CONTAINER_OF(l, struct store_batch, link));
    if (s->snapshot != NULL) {
        ASSERT(s->snapshot->refs == 1); /* no view is left */
        store__snapshot_drop(s->snapshot);
    }
    if (s->replacement != NULL)
        store__snapshot_drop(s->replacement);
    store__reap(s);
    ASSERT(atomic_load(&s->snapshots_open) == 0);
    batch_unref(s->open);
    if (s->file != NULL)
        store__file_unref(s, s->file);
    store__gone_close(s);
    mem_free(s->removals.v);
    mem_free(s->path);
    mem_free(s->dir);
    mem_free(s);
}

/* `tx` is the caller's. */
static int scan_tx(struct bolt_tx *tx, enum store_bucket b, store_scan_fn fn, void *ctx,
                   struct err *e)
{
    struct bolt_bucket bucket;
    struct bolt_cursor c;
    struct bytes k, v;
    int rc = bolt_bucket_get(tx, store_bucket_name(b), &bucket, e);

    if (rc == 0) {
        bolt_cursor_init(&c, &bucket);
        for (rc = bolt_cursor_first(&c, &k, &v, e); rc == 0; rc = bolt_cursor_next(&c, &k, &v, e)) {
            rc = fn(ctx, k, v);
            if (rc != 0)
                return rc;
        }
    }
    /* The end, or a bucket that an old file does not have. */
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

int store_scan(struct store *s, enum store_bucket b, store_scan_fn fn, void *ctx, struct err *e)
{
    struct bolt_tx *tx;
    int rc = bolt_begin_read(s->file->db, &tx, e);

    if (rc != 0)
        return rc;
    rc = scan_tx(tx, b, fn, ctx, e);
    bolt_rollback(tx);
    return rc;
}

int store_snapshot_scan(const struct store_snapshot *sn, enum store_bucket b, store_scan_fn fn,
                        void *ctx, struct err *e)
{
    return scan_tx(sn->tx, b, fn, ctx, e);
}

bool store_snapshot_get(const struct store_snapshot *sn, enum store_bucket b, struct bytes key,
                        struct bytes *ret)
{
    struct bolt_bucket bucket;
    struct err e = ERR_INIT;
    int rc = bolt_bucket_get(sn->tx, store_bucket_name(b), &bucket, &e);

    if (rc == 0)
        rc = bolt_get(&bucket, key, ret, &e);
    if (rc != 0 && rc != ERR_NOT_FOUND)
        store__stop(&e);
    return rc == 0;
}

bool store_view_meta(const struct store_view *v, struct bytes key, struct bytes *ret)
{
    return store_snapshot_get(v->snapshot, STORE_META, key, ret);
}

static uint64_t snapshot_u64(const struct store_snapshot *sn, const char *key)
{
    struct bytes v;

    if (!store_snapshot_get(sn, STORE_META, bytes_str(key), &v) || v.n != sizeof(uint64_t))
        return 0;
    return be64_get(v.p);
}

void store_snapshot_applied(const struct store_snapshot *sn, uint64_t *ret_index,
                            uint64_t *ret_term)
{
    *ret_index = snapshot_u64(sn, STORE_META_CONSISTENT_INDEX);
    *ret_term = snapshot_u64(sn, STORE_META_TERM);
}

void store__stop(const struct err *e)
{
    assert_fail("data file", 0, e == NULL ? "unknown" : e->msg);
}

uint64_t store_db_size(const struct store *s)
{
    return atomic_load_explicit(&s->db_size, memory_order_relaxed);
}

uint64_t store_db_size_in_use(const struct store *s)
{
    return atomic_load_explicit(&s->db_size_in_use, memory_order_relaxed);
}

uint64_t store_pending_bytes(const struct store *s)
{
    uint64_t committed = atomic_load_explicit(&s->committed_bytes, memory_order_acquire);

    return atomic_load_explicit(&s->written_bytes, memory_order_relaxed) - committed;
}

bool store_low_on_space(const struct store *s)
{
    return atomic_load_explicit(&s->low_on_space, memory_order_relaxed);
}

uint64_t store_commits(const struct store *s)
{
    return atomic_load_explicit(&s->commits, memory_order_relaxed);
}

int64_t store_held_since_ns(const struct store *s)
{
    return atomic_load_explicit(&s->held_since_ns, memory_order_relaxed);
}

uint64_t store_held_bytes(const struct store *s)
{
    return atomic_load_explicit(&s->held_bytes, memory_order_relaxed);
}

void store_last_commit(struct store *s, struct store_commit_times *ret)
{
    struct bolt_stats st;

    bolt_get_stats(s->file->db, &st);
    *ret = (struct store_commit_times){st.last_commit.rebalance_ns, st.last_commit.spill_ns,
                                       st.last_commit.write_ns};
}

uint32_t store_snapshots_open(const struct store *s)
{
    return atomic_load_explicit(&s->snapshots_open, memory_order_relaxed);
}
