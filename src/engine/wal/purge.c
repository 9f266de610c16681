#include "engine/wal/wal_int.h"

/* Removes the file if nobody holds its lock.  ERR_LOCKED when somebody does. */
static int remove_unlocked(struct disk *d, const char *path, struct err *e)
{
    struct file *f = NULL;
    int rc = disk_open(d, path, DISK_READ | DISK_WRITE, 0, &f, e);

    if (rc == 0)
        rc = file_lock(f, FILE_LOCK_OFD_EXCLUSIVE, e);
    if (rc == 0)
        rc = disk_remove(d, path, e);
    file_close(f);
    return rc;
}

int wal_purge(struct disk *d, const char *dir, size_t keep, size_t *ret_removed, struct err *e)
{
    struct wal__names names = {0};
    size_t removed = 0;
    int rc;

    ASSERT(keep > 0);
    rc = wal__names_list(d, dir, &names, e);
    while (rc == 0 && names.n - removed > keep) {
        char name[WAL__NAME_BYTES], path[WAL__PATH_BYTES];

        wal__name_format(names.v[removed], name);
        rc = wal__path(dir, name, path, e);
        if (rc == 0)
            rc = remove_unlocked(d, path, e);
        if (rc == 0)
            removed++;
    }
    ASSERT(removed == 0 || names.n - removed >= keep);
    wal__names_done(&names);
    if (rc == ERR_LOCKED)
        rc = 0; /* this one and all behind it are still needed */
    if (rc == 0 && removed > 0)
        rc = disk_sync_dir(d, dir, e);
    if (rc == 0)
        *ret_removed = removed;
    return err_wrap(e, rc, "purge log %s", dir);
}
