#include "engine/wal/wal_int.h"

/* The directory that holds `path`. */
static void parent_of(const char *path, char ret[WAL__PATH_BYTES])
{
    const char *slash = strrchr(path, '/');
    size_t n = slash == NULL ? 0 : (size_t) (slash - path);

    ASSERT(n < WAL__PATH_BYTES);
    if (slash == NULL)
        snprintf(ret, WAL__PATH_BYTES, ".");
    else if (n == 0)
        snprintf(ret, WAL__PATH_BYTES, "/");
    else
        snprintf(ret, WAL__PATH_BYTES, "%.*s", (int) n, path);
}

bool wal_exists(struct disk *d, const char *dir)
{
    struct wal__names names = {0};
    struct err ignored;

    if (wal__names_list(d, dir, &names, &ignored) != 0)
        return false;
    wal__names_done(&names);
    return true;
}

/* Removes a directory of plain files, if it is there. */
static int remove_dir(struct disk *d, const char *dir, struct err *e)
{
    char **names = NULL;
    size_t n = 0;
    int rc;

    if (!disk_exists(d, dir))
        return 0;
    rc = disk_list(d, dir, &names, &n, e);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        char path[WAL__PATH_BYTES];

        rc = wal__path(dir, names[i], path, e);
        if (rc == 0)
            rc = disk_remove(d, path, e);
    }
    disk_list_free(names, n);
    return rc == 0 ? disk_remove(d, dir, e) : rc;
}

/* The first segment with its three records, synced, in directory tmp. */
static int fill(struct wal *w, const char *tmp, struct err *e)
{
    static const struct wal__name first = {0, 0};
    static const struct wal_snapshot empty = {0};
    char name[WAL__NAME_BYTES];
    struct file *f = NULL;
    int rc;

    ASSERT(w->segments_n == 0);
    wal__name_format(first, name);
    rc = wal__segment_make(w->disk, tmp, name, w->segment_bytes, &f, e);
    if (rc == 0)
        rc = wal__segments_add(w, first, f, e);
    if (rc != 0) {
        file_close(f);
        return rc;
    }
    w->enc.file = f;
    rc = wal__write_head(w, e);
    if (rc == 0)
        rc = wal__encode_snapshot(&w->enc, &empty, e);
    if (rc == 0)
        rc = wal__encoder_flush(&w->enc, e);
    if (rc == 0)
        rc = wal__sync(w, FILE_SYNC_ALL, e);
    return rc == 0 ? disk_sync_dir(w->disk, tmp, e) : rc;
}

/* A log whose name may not be durable is moved out of the way, so that no later start takes it for
 * one that was used. */
static int set_aside(struct wal *w, const char *stamp, int rc, struct err *e)
{
    char broken[WAL__PATH_BYTES];
    struct err ignored;
    int n;

    ASSERT(rc != 0);
    n = snprintf(broken, sizeof broken, "%s.broken.%s", w->dir, stamp);

    if (n > 0 && (size_t) n < sizeof broken && disk_rename(w->disk, w->dir, broken, &ignored) == 0)
        return err_wrap(e, rc, "moved to %s", broken);
    return rc;
}

int wal_create(const struct wal_options *o, const struct wal_metadata *m, const char *stamp,
               struct wal **ret, struct err *e)
{
    char tmp[WAL__PATH_BYTES], parent[WAL__PATH_BYTES];
    struct wal *w = NULL;
    int n = snprintf(tmp, sizeof tmp, "%s.tmp", o->dir);
    int rc;

    ASSERT(n > 0);
    if ((size_t) n >= sizeof tmp)
        return err_set(e, ERR_LIMIT, "path %s is too long", o->dir);
    if (disk_exists(o->disk, o->dir))
        return err_set(e, ERR_EXISTS, "create log %s: it is there already", o->dir);
    parent_of(o->dir, parent);
    rc = wal__new(o, &w, e);
    if (rc == 0) {
        w->metadata_n = wal__metadata_put(m, w->metadata);
        rc = remove_dir(o->disk, tmp, e);
    }
    if (rc == 0)
        rc = disk_mkdir(o->disk, tmp, WAL__DIR_MODE, e);
    if (rc == 0)
        rc = fill(w, tmp, e);
    if (rc == 0)
        rc = disk_rename(o->disk, tmp, o->dir, e);
    if (rc == 0) {
        rc = disk_sync_dir(o->disk, parent, e);
        if (rc != 0)
            rc = set_aside(w, stamp, rc, e);
    }
    if (rc == 0)
        rc = wal__go_direct(w, e);
    if (rc == 0) /* as in open_at */
        rc = disk_sync_dir(o->disk, o->dir, e);
    if (rc == 0) {
        wal__check(w);
        *ret = w;
    } else {
        wal_close(w);
    }
    return err_wrap(e, rc, "create log %s", o->dir);
}
