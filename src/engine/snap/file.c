#include "base/alloc.h"
#include "base/crc32c.h"
#include "engine/snap/snap_int.h"
#include "wire/pb.h"

/* A .snap file is a message of two fields: f1 the CRC-32C of f2, and f2 an encoded raftpb.Snapshot.
 */

static int encode(const struct raft_snapshot *s, struct buf *out, struct err *e)
{
    size_t n = raft_snapshot_size(s);
    size_t head = pb_tag_size(1) + 5 + pb_head_size(2, n);
    uint8_t *body = mem_alloc(n), *p;

    ASSERT(n > 0);
    if (body == NULL || (p = buf_reserve(out, head + n)) == NULL) {
        mem_free(body);
        return err_set(e, ERR_NOMEM, "snapshot of %zu bytes: out of memory", n);
    }
    raft_snapshot_put(s, body);
    p = pb_put_varint(pb_put_tag(p, 1, PB_VARINT), crc32c(0, body, n));
    p = pb_put_raw(pb_put_head(p, 2, n), body, n);
    buf_commit(out, (size_t) (p - (out->p + out->len)));
    mem_free(body);
    return 0;
}

/* Of these the caller tries again, so nothing may be left behind. */
static bool is_refusal(int rc)
{
    return rc == ERR_NO_SPACE || rc == ERR_AGAIN || rc == ERR_NOMEM;
}

static int write_synced(struct disk *d, const char *dir, const char *path, struct bytes b,
                        struct err *e)
{
    struct file *f = NULL;
    int rc = disk_open(d, path, DISK_WRITE | DISK_CREATE | DISK_TRUNCATE, 0666, &f, e);
    bool made = rc == 0;

    if (rc == 0)
        rc = file_write_one(f, b.p, b.n, 0, e);
    if (rc == 0)
        rc = file_sync(f, FILE_SYNC_ALL, e);
    if (rc == 0)
        rc = disk_sync_dir(d, dir, e);
    if (made && rc != 0 && disk_remove(d, path, NULL) != 0)
        rc = is_refusal(rc) ? ERR_IO : rc; /* half a file would be taken for the newest */
    file_close(f);
    return rc;
}

int snap_save(struct disk *d, const char *dir, const struct raft_snapshot *s, struct err *e)
{
    struct snap_position at = {.index = s->meta.index, .term = s->meta.term};
    char name[SNAP__NAME_BYTES], path[SNAP_PATH_BYTES];
    struct buf b;
    int rc;

    ASSERT(s->meta.index > 0);
    ASSERT(s->data.n > 0);
    buf_init(&b, SNAP_FILE_BYTES_MAX);
    snap__name_format(at, name);
    rc = snap__path(dir, name, path, e);
    if (rc == 0)
        rc = encode(s, &b, e);
    if (rc == 0)
        rc = write_synced(d, dir, path, buf_bytes(&b), e);
    buf_done(&b);
    return err_wrap(e, rc, "save snapshot %s", name);
}

/* The whole file, in the arena. */
static int read_all(struct disk *d, const char *path, struct arena *a, struct bytes *ret,
                    struct err *e)
{
    struct file *f = NULL;
    uint64_t n = 0;
    uint8_t *p;
    int rc = disk_open(d, path, DISK_READ, 0, &f, e);

    if (rc == 0)
        rc = file_size(f, &n, e);
    if (rc == 0 && n > SNAP_FILE_BYTES_MAX)
        rc = err_set(e, ERR_LIMIT, "%" PRIu64 " bytes are more than a snapshot may have", n);
    if (rc == 0) {
        p = arena_alloc(a, (size_t) n);
        rc = p == NULL ? err_set(e, ERR_NOMEM, "out of memory")
                       : file_read_full(f, p, (size_t) n, 0, e);
        *ret = bytes_of(p, (size_t) n);
    }
    file_close(f);
    return rc;
}

/* Checks the sum and gives what it covers. */
static int unwrap(struct bytes file, struct bytes *ret, struct err *e)
{
    struct pb_reader r = pb_reader_of(file);
    struct bytes body = BYTES_EMPTY;
    uint64_t crc = 0;
    struct pb_field f;

    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.type == PB_VARINT)
            crc = f.value;
        else if (f.number == 2 && f.type == PB_LEN)
            body = f.bytes;
    }
    if (r.bad)
        return err_set(e, ERR_CORRUPT, "malformed file");
    if (crc == 0 || body.n == 0)
        return err_set(e, ERR_CORRUPT, "empty snapshot");
    if (crc != crc32c(0, body.p, body.n))
        return err_set(e, ERR_CORRUPT, "checksum mismatch");
    *ret = body;
    return 0;
}

int snap_read(struct disk *d, const char *path, struct arena *a, struct raft_snapshot *ret,
              struct err *e)
{
    struct bytes file, body;
    int rc = read_all(d, path, a, &file, e);

    if (rc == 0)
        rc = unwrap(file, &body, e);
    if (rc == 0)
        rc = raft_snapshot_get(body, a, ret, e);
    return err_wrap(e, rc, "read snapshot %s", path);
}

static bool is_valid(struct snap_position x, const struct snap_position *valid, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (valid[i].index == x.index && valid[i].term == x.term)
            return true;
    }
    return false;
}

/* One candidate.  0; ERR_NOT_FOUND: go on with an older one; other errors end the search. */
static int try_one(struct disk *d, const char *dir, const char *name, struct snap_position at,
                   struct arena *a, struct raft_snapshot *ret, size_t *broken, struct err *e)
{
    char path[SNAP_PATH_BYTES], aside[SNAP_PATH_BYTES + 8];
    struct raft_snapshot s;
    int rc = snap__path(dir, name, path, e);

    if (rc == 0)
        rc = snap_read(d, path, a, &s, e);
    if (rc == 0 && s.meta.index == at.index && s.meta.term == at.term) {
        *ret = s;
        return 0;
    }
    if (rc != 0 && rc != ERR_CORRUPT && rc != ERR_LIMIT)
        return rc;
    /* Damaged, or another snapshot than its name says. */
    snprintf(aside, sizeof aside, "%s.broken", path);
    rc = disk_rename(d, path, aside, e);
    if (rc == 0)
        rc = disk_sync_dir(d, dir, e);
    *broken += rc == 0;
    return rc == 0 ? ERR_NOT_FOUND : rc;
}

int snap_load_newest(struct disk *d, const char *dir, const struct snap_position *valid,
                     size_t valid_n, struct arena *a, struct raft_snapshot *ret, size_t *ret_broken,
                     struct err *e)
{
    char **names = NULL;
    size_t n = 0, broken = 0;
    int rc = disk_list(d, dir, &names, &n, e);

    if (rc == 0)
        rc = ERR_NOT_FOUND;
    for (size_t i = n; rc == ERR_NOT_FOUND && i > 0; i--) { /* byte order is order of age */
        struct snap_position at;

        if (snap__name_parse(names[i - 1], &at) && is_valid(at, valid, valid_n))
            rc = try_one(d, dir, names[i - 1], at, a, ret, &broken, e);
    }
    disk_list_free(names, n);
    *ret_broken = broken;
    if (rc == ERR_NOT_FOUND)
        return err_set(e, rc, "no usable snapshot in %s", dir);
    return rc;
}

/* ---- removing ---- */

static bool ends_with(const char *s, const char *suffix)
{
    size_t n = strlen(s), k = strlen(suffix);

    return n >= k && strcmp(s + n - k, suffix) == 0;
}

static int remove_in(struct disk *d, const char *dir, const char *name, struct err *e)
{
    char path[SNAP_PATH_BYTES];
    int rc = snap__path(dir, name, path, e);

    return rc == 0 ? disk_remove(d, path, e) : rc;
}

int snap_purge(struct disk *d, const char *dir, size_t keep, size_t *ret_removed, struct err *e)
{
    char **names = NULL;
    size_t n = 0, have = 0, removed = 0;
    int rc;

    ASSERT(keep > 0);
    rc = disk_list(d, dir, &names, &n, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        have += ends_with(names[i], SNAP__SUFFIX);
    for (size_t i = 0; rc == 0 && i < n && have > keep; i++) { /* the oldest first */
        if (!ends_with(names[i], SNAP__SUFFIX))
            continue;
        rc = remove_in(d, dir, names[i], e);
        have--;
        removed += rc == 0;
    }
    disk_list_free(names, n);
    *ret_removed = removed;
    return err_wrap(e, rc, "purge snapshots in %s", dir);
}

int snap_clean(struct disk *d, const char *dir, struct err *e)
{
    char **names = NULL;
    size_t n = 0;
    int rc = disk_list(d, dir, &names, &n, e);

    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (strncmp(names[i], "tmp", 3) == 0 || strncmp(names[i], "db.tmp", 6) == 0)
            rc = remove_in(d, dir, names[i], e);
    }
    disk_list_free(names, n);
    if (rc == 0) /* and later ones find the directory open (sys/disk.h) */
        rc = disk_sync_dir(d, dir, e);
    return err_wrap(e, rc, "remove temporary files in %s", dir);
}
