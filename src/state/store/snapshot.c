/* snapshot.c -- long reads of the whole committed file: the copy that is streamed, and the hash
 * over all buckets.  Each holds a read transaction of its own; the store thread ends it. */
#include "base/crc32c.h"
#include "state/store/store_int.h"

struct store_copy {
    struct store_snapshot *snapshot;
    struct bolt_copy copy;
};

int store_copy_begin(struct store *s, struct store_copy **ret, struct err *e)
{
    struct store_copy *c = xmem_calloc(1, sizeof *c);
    int rc;

    store__reap(s);
    rc = store__snapshot_new(s, &c->snapshot, e);
    if (rc != 0) {
        mem_free(c);
        return err_wrap(e, rc, "copy data file");
    }
    bolt_copy_init(&c->copy, c->snapshot->tx);
    ASSERT(c->copy.total_bytes > 0);
    *ret = c;
    return 0;
}

uint64_t store_copy_bytes(const struct store_copy *c)
{
    return c->copy.total_bytes;
}

const struct store_snapshot *store_copy_snapshot(const struct store_copy *c)
{
    return c->snapshot;
}

int store_copy_read(struct store_copy *c, void *p, size_t n, size_t *ret_n, struct err *e)
{
    int rc = bolt_copy_next(&c->copy, p, n, ret_n, e);

    return err_wrap(e, rc, "copy data file");
}

void store_copy_end(struct store_copy *c)
{
    if (c == NULL)
        return;
    store__snapshot_drop(c->snapshot);
    mem_free(c);
}

/* ---- hash ---- */

struct store_hash {
    struct store_snapshot *snapshot;
    enum store_bucket bucket; /* being hashed; STORE_BUCKETS: done */
    bool begun;               /* its name is in, and the cursor placed */
    struct bolt_cursor cursor;
    uint32_t crc;
};

int store_hash_begin(struct store *s, struct store_hash **ret, struct err *e)
{
    struct store_hash *h = xmem_calloc(1, sizeof *h);
    int rc;

    store__reap(s);
    rc = store__snapshot_new(s, &h->snapshot, e);
    if (rc != 0) {
        mem_free(h);
        return err_wrap(e, rc, "hash data file");
    }
    *ret = h;
    return 0;
}

/* These differ between members of one state. */
static bool left_out(enum store_bucket b, struct bytes key)
{
    return b == STORE_META && (bytes_eq(key, BYTES_LIT(STORE_META_CONSISTENT_INDEX)) ||
                               bytes_eq(key, BYTES_LIT(STORE_META_TERM)) ||
                               bytes_eq(key, BYTES_LIT(STORE_META_STORAGE_VERSION)));
}

static int hash_next(struct store_hash *h, struct bytes *k, struct bytes *v, struct err *e)
{
    struct bytes name = store_bucket_name(h->bucket);
    struct bolt_bucket b;
    int rc;

    ASSERT(h->bucket < STORE_BUCKETS);
    if (h->begun)
        return bolt_cursor_next(&h->cursor, k, v, e);
    rc = bolt_bucket_get(h->snapshot->tx, name, &b, e);
    if (rc != 0)
        return rc;
    h->begun = true;
    h->crc = crc32c(h->crc, name.p, name.n);
    bolt_cursor_init(&h->cursor, &b);
    return bolt_cursor_first(&h->cursor, k, v, e);
}

int store_hash_step(struct store_hash *h, size_t records, bool *ret_done, struct err *e)
{
    for (size_t i = 0; i < records && h->bucket < STORE_BUCKETS; i++) {
        struct bytes k, v;
        int rc = hash_next(h, &k, &v, e);

        if (rc == ERR_NOT_FOUND) {
            h->bucket++;
            h->begun = false;
            continue;
        }
        if (rc != 0)
            return err_wrap(e, rc, "hash data file");
        if (!left_out(h->bucket, k))
            h->crc = crc32c(crc32c(h->crc, k.p, k.n), v.p, v.n);
    }
    *ret_done = h->bucket == STORE_BUCKETS;
    return 0;
}

uint32_t store_hash_result(const struct store_hash *h)
{
    ASSERT(h->bucket == STORE_BUCKETS);
    return h->crc;
}

void store_hash_end(struct store_hash *h)
{
    if (h == NULL)
        return;
    store__snapshot_drop(h->snapshot);
    mem_free(h);
}
