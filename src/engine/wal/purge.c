/* purge.c -- letting go of old segments. */
#include "engine/wal/wal_int.h"

void wal_release_to(struct wal *w, raft_index index)
{
    size_t keep = 0; /* the last segment that begins before index, and all behind it */

    ASSERT(w->segments_n > 0);
    for (size_t i = 0; i < w->segments_n; i++) {
        if (w->segments[i].name.index < index)
            keep = i;
    }
    for (size_t i = 0; i < keep; i++)
        file_close(w->segments[i].file);
    memmove(w->segments, w->segments + keep, (w->segments_n - keep) * sizeof *w->segments);
    w->segments_n -= keep;
    ASSERT(w->segments_n > 0);
}

/* Removes the file if nobody holds its lock.  ERR_LOCKED when somebody does. */
static int remove_unlocked(struct disk *d, const char *path, struct file **ret, struct err *e)
{
    struct file *f = NULL;
    int rc = disk_open(d, path, DISK_READ | DISK_WRITE, 0, &f, e);

    if (rc == 0)
        rc = file_lock(f, FILE_LOCK_OFD_EXCLUSIVE, e);
    if (rc == 0)
        rc = disk_remove(d, path, e);
    if (rc == 0)
        *ret = f;
    else
        file_close(f);
    return rc;
}

int wal_purge(struct disk *d, const char *dir, size_t keep, struct file **ret, struct err *e)
{
    char name[WAL__NAME_BYTES], path[WAL__PATH_BYTES];
    struct wal__names names = {0};
    struct file *f = NULL;
    int rc;

    ASSERT(keep > 0);
    rc = wal__names_list(d, dir, &names, e);
    if (rc == 0 && names.n > keep) {
        wal__name_format(names.v[0], name);
        rc = wal__path(dir, name, path, e);
        if (rc == 0)
            rc = remove_unlocked(d, path, &f, e);
    }
    wal__names_done(&names);
    if (rc == ERR_LOCKED)
        rc = 0; /* this one and all behind it are still needed */
    if (rc == 0 && f != NULL)
        rc = disk_sync_dir(d, dir, e);
    if (rc == 0)
        *ret = f;
    else
        file_close(f);
    return err_wrap(e, rc, "purge log %s", dir);
}
