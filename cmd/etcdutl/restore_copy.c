/* restore_copy.c -- the snapshot file into the new directory.
 *
 * A snapshot that a server sent ends in the SHA-256 of all before it; as a database is whole pages,
 * the length tells whether the hash is there. */
#include "base/alloc.h"
#include "cli/progress.h"
#include "etcdutl/restore.h"
#include "etcdutl/utl.h"
#include "sys/digest.h"
#include "sys/disk.h"

#define SECTOR_BYTES 512
#define COPY_BYTES ((size_t) 1 << 20)
#define DB_MODE 0600

struct copying {
    const struct restore_config *c;
    struct file *from;
    struct file *to;
    uint64_t bytes; /* of the database */
    bool hashed;    /* the file ends in a hash */
    uint8_t *piece; /* COPY_BYTES */
    struct digest *digest;
};

static int open_source(struct copying *x, struct err *e)
{
    int rc = disk_open(x->c->disk, x->c->snapshot, DISK_READ, 0, &x->from, e);

    if (rc == ERR_NOT_FOUND) /* as Go says it */
        return err_set(e, rc, "open %s: no such file or directory", x->c->snapshot);
    return rc;
}

static int measure(struct copying *x, struct err *e)
{
    uint64_t n;
    int rc = file_size(x->from, &n, e);

    if (rc != 0)
        return rc;
    if (n < SHA256_BYTES)
        return err_set(e, ERR_TRUNCATED, "seek %s: invalid argument", x->c->snapshot);
    x->hashed = n % SECTOR_BYTES == SHA256_BYTES;
    x->bytes = x->hashed ? n - SHA256_BYTES : n;
    if (!x->hashed && !x->c->skip_hash_check)
        return err_set(e, ERR_CORRUPT, "snapshot missing hash but --skip-hash-check=false");
    return 0;
}

static int copy_pieces(struct copying *x, struct err *e)
{
    struct progress progress;
    int rc = 0;

    progress_begin(&progress, "copying the snapshot", x->bytes);
    for (uint64_t at = 0; at < x->bytes && rc == 0;) {
        size_t n = (size_t) MIN(COPY_BYTES, x->bytes - at);

        rc = file_read_full(x->from, x->piece, n, at, e);
        if (rc == 0) {
            digest_add(x->digest, x->piece, n);
            rc = file_write_one(x->to, x->piece, n, at, e);
        }
        at += n;
        progress_add(&progress, n);
    }
    progress_end(&progress);
    return rc;
}

/* "[1 255 0 ...]", as Go prints bytes. */
static void put_bytes(const uint8_t sum[SHA256_BYTES], char *ret, size_t n)
{
    size_t len = 0;

    for (size_t i = 0; i < SHA256_BYTES; i++)
        len += (size_t) snprintf(ret + len, n - len, i == 0 ? "[%u" : " %u", sum[i]);
    ASSERT(len + 1 < n);
    snprintf(ret + len, n - len, "]");
}

static int compare(struct copying *x, struct err *e)
{
    uint8_t want[SHA256_BYTES], got[SHA256_BYTES];
    char want_text[SHA256_BYTES * 4 + 4], got_text[SHA256_BYTES * 4 + 4];
    int rc;

    digest_end(x->digest, got);
    x->digest = NULL;
    if (!x->hashed || x->c->skip_hash_check)
        return 0;
    rc = file_read_full(x->from, want, sizeof want, x->bytes, e);
    if (rc != 0 || memcmp(want, got, sizeof want) == 0)
        return rc;
    put_bytes(want, want_text, sizeof want_text);
    put_bytes(got, got_text, sizeof got_text);
    return err_set(e, ERR_CORRUPT, "expected sha256 %s, got %s", want_text, got_text);
}

static int copy(struct copying *x, const char *db_path, struct err *e)
{
    int rc;

    x->piece = mem_alloc(COPY_BYTES);
    x->digest = digest_sha256_new();
    if (x->piece == NULL || x->digest == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    rc = disk_open(x->c->disk, db_path, DISK_WRITE | DISK_CREATE | DISK_EXCLUSIVE, DB_MODE, &x->to,
                   e);
    if (rc == 0)
        rc = copy_pieces(x, e);
    if (rc == 0)
        rc = compare(x, e);
    return rc == 0 ? file_sync(x->to, FILE_SYNC_ALL, e) : rc;
}

int restore_copy(const struct restore_config *c, const char *db_path, struct err *e)
{
    struct copying x = {.c = c};
    int rc = open_source(&x, e);

    if (rc == 0)
        rc = measure(&x, e);
    if (rc == 0 && db_path != NULL)
        rc = copy(&x, db_path, e);
    digest_free(x.digest);
    mem_free(x.piece);
    file_close(x.from);
    file_close(x.to);
    return rc;
}
