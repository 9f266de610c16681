#include "base/alloc.h"
#include "engine/wal/wal_int.h"

#define SUFFIX ".wal"
#define HEX_DIGITS 16

/* Exactly 16 lower-case hex digits. */
static bool hex16(const char *s, uint64_t *ret)
{
    uint64_t v = 0;

    for (int i = 0; i < HEX_DIGITS; i++) {
        char c = s[i];

        if (c >= '0' && c <= '9')
            v = v << 4 | (uint64_t) (c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v << 4 | (uint64_t) (c - 'a' + 10);
        else
            return false;
    }
    *ret = v;
    return true;
}

bool wal__name_parse(const char *s, struct wal__name *ret)
{
    struct wal__name x;

    if (strlen(s) != 2 * HEX_DIGITS + 1 + sizeof SUFFIX - 1)
        return false;
    if (s[HEX_DIGITS] != '-' || strcmp(s + 2 * HEX_DIGITS + 1, SUFFIX) != 0)
        return false;
    if (!hex16(s, &x.seq) || !hex16(s + HEX_DIGITS + 1, &x.index))
        return false;
    *ret = x;
    return true;
}

void wal__name_format(struct wal__name x, char ret[WAL__NAME_BYTES])
{
    int n = snprintf(ret, WAL__NAME_BYTES, "%016" PRIx64 "-%016" PRIx64 SUFFIX, x.seq, x.index);

    ASSERT(n > 0);
    ASSERT(n < WAL__NAME_BYTES);
}

int wal__path(const char *dir, const char *name, char ret[WAL__PATH_BYTES], struct err *e)
{
    int n = snprintf(ret, WAL__PATH_BYTES, "%s/%s", dir, name);

    ASSERT(n > 0);
    if (n >= WAL__PATH_BYTES)
        return err_set(e, ERR_LIMIT, "path %s/%s is too long", dir, name);
    return 0;
}

int wal__names_list(struct disk *d, const char *dir, struct wal__names *ret, struct err *e)
{
    struct wal__names x = {0};
    char **all = NULL;
    size_t n = 0;
    int rc = disk_list(d, dir, &all, &n, e);

    if (rc != 0)
        return rc;
    x.v = mem_alloc((n + 1) * sizeof *x.v);
    for (size_t i = 0; x.v != NULL && i < n; i++)
        x.n += wal__name_parse(all[i], &x.v[x.n]);
    disk_list_free(all, n);
    if (x.v == NULL)
        return err_set(e, ERR_NOMEM, "list %s: out of memory", dir);
    if (x.n == 0) {
        wal__names_done(&x);
        return err_set(e, ERR_NOT_FOUND, "%s has no segment of a log", dir);
    }
    ASSERT(x.n <= n);
    *ret = x; /* the disk lists in byte order, which is that of the sequence */
    return 0;
}

void wal__names_done(struct wal__names *x)
{
    mem_free(x->v);
    *x = (struct wal__names){0};
}

int wal__names_from(const struct wal__names *x, raft_index index, size_t *ret_first, struct err *e)
{
    size_t first = x->n;

    for (size_t i = x->n; i > 0 && first == x->n; i--) {
        if (x->v[i - 1].index <= index)
            first = i - 1;
    }
    if (first == x->n)
        return err_set(e, ERR_WAL_NO_SEGMENT,
                       "no segment of the log begins at or before index %" PRIu64, index);
    for (size_t i = first + 1; i < x->n; i++) {
        char name[WAL__NAME_BYTES];

        if (x->v[i].seq == x->v[i - 1].seq + 1)
            continue;
        wal__name_format(x->v[i], name);
        return err_set(e, ERR_CORRUPT, "the segment before %s is missing", name);
    }
    ASSERT(x->v[first].index <= index);
    *ret_first = first;
    return 0;
}

int wal__allocate(struct file *f, uint64_t end, struct err *e)
{
    uint64_t have;
    int rc = file_size(f, &have, e);

    if (rc != 0 || have >= end)
        return rc;
    rc = file_allocate(f, have, end - have, e);
    if (rc == ERR_UNSUPPORTED)
        rc = file_truncate(f, end, e);
    return rc;
}

int wal__segment_make(struct disk *d, const char *dir, const char *name, uint64_t segment_bytes,
                      struct file **ret, struct err *e)
{
    char path[WAL__PATH_BYTES];
    struct file *f = NULL;
    int rc = wal__path(dir, name, path, e);

    ASSERT(segment_bytes > 0);
    if (rc == 0)
        rc = disk_open(d, path, DISK_READ | DISK_WRITE | DISK_CREATE, WAL__FILE_MODE, &f, e);
    if (rc != 0)
        return rc;
    /* The lock comes before the truncation: the name might be in another process's use. */
    rc = file_lock(f, FILE_LOCK_OFD_EXCLUSIVE, e);
    if (rc == 0)
        rc = file_truncate(f, 0, e);
    if (rc == 0)
        rc = wal__allocate(f, segment_bytes, e);
    if (rc != 0) {
        struct err ignored;

        if (rc != ERR_LOCKED && disk_remove(d, path, &ignored) != 0)
            ignored.code = 0; /* what is left is overwritten by the next try */
        file_close(f);
        return err_wrap(e, rc, "prepare a segment in %s", dir);
    }
    *ret = f;
    return 0;
}
