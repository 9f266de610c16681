#include "base/alloc.h"
#include "engine/snap/snap_int.h"

/* Receiving: tmpN -> (sync) -> INDEX.snap.db -> (when its snapshot is applied) -> db. */
struct snap_db {
    struct disk *disk;
    struct file *file;
    uint64_t bytes;
    uint64_t written_back;
    bool synced;
    char dir[SNAP_PATH_BYTES];
    char path[SNAP_PATH_BYTES];
};

int snap_db_begin(struct disk *d, const char *dir, uint64_t unique, struct snap_db **ret,
                  struct err *e)
{
    struct snap_db *s = mem_calloc(1, sizeof *s);
    char name[SNAP__NAME_BYTES];
    int rc;

    if (s == NULL)
        return err_set(e, ERR_NOMEM, "receive snapshot: out of memory");
    ASSERT(strlen(dir) < sizeof s->dir);
    snprintf(s->dir, sizeof s->dir, "%s", dir);
    snprintf(name, sizeof name, SNAP__TMP_PREFIX "%" PRIu64, unique);
    s->disk = d;
    rc = snap__path(dir, name, s->path, e);
    if (rc == 0)
        rc = disk_open(d, s->path, DISK_WRITE | DISK_CREATE | DISK_EXCLUSIVE, SNAP__FILE_MODE,
                       &s->file, e);
    if (rc != 0) {
        mem_free(s);
        return err_wrap(e, rc, "receive snapshot");
    }
    *ret = s;
    return 0;
}

int snap_db_write(struct snap_db *s, const void *p, size_t n, struct err *e)
{
    int rc = file_write_one(s->file, p, n, s->bytes, e);

    ASSERT(s->file != NULL);
    s->synced = false;
    if (rc == 0)
        s->bytes += n;
    if (rc == 0 && s->bytes - s->written_back >= SNAP_DB_WRITE_BACK_BYTES) {
        rc = file_sync(s->file, FILE_WRITE_BACK, e);
        s->written_back = s->bytes;
    }
    return err_wrap(e, rc, "receive snapshot");
}

const char *snap_db_path(const struct snap_db *s)
{
    return s->path;
}

int snap_db_sync(struct snap_db *s, struct err *e)
{
    int rc = s->synced ? 0 : file_sync(s->file, FILE_SYNC_ALL, e);

    s->synced = rc == 0;
    return err_wrap(e, rc, "receive snapshot");
}

uint64_t snap_db_bytes(const struct snap_db *s)
{
    return s->bytes;
}

void snap_db_abort(struct snap_db *s)
{
    struct err ignored;

    if (s == NULL)
        return;
    file_close(s->file);
    if (disk_remove(s->disk, s->path, &ignored) != 0)
        ignored.code = 0; /* snap_clean removes it at the next start */
    mem_free(s);
}

/* Renames within the directory, durably. */
static int rename_synced(struct disk *d, const char *dir, const char *from, const char *to,
                         struct err *e)
{
    int rc = disk_rename(d, from, to, e);

    return rc == 0 ? disk_sync_dir(d, dir, e) : rc;
}

int snap_db_commit(struct snap_db *s, raft_index index, struct err *e)
{
    char name[SNAP__NAME_BYTES], to[SNAP_PATH_BYTES];
    int rc;

    ASSERT(index > 0);
    snap__db_name_format(index, name);
    rc = snap__path(s->dir, name, to, e);
    if (rc == 0)
        rc = snap_db_sync(s, e);
    if (rc == 0)
        rc = rename_synced(s->disk, s->dir, s->path, to, e);
    if (rc != 0) {
        snap_db_abort(s);
        return err_wrap(e, rc, "keep received snapshot %s", name);
    }
    file_close(s->file);
    mem_free(s);
    return 0;
}

bool snap_db_exists(struct disk *d, const char *dir, raft_index index)
{
    char name[SNAP__NAME_BYTES], path[SNAP_PATH_BYTES];
    struct err ignored;

    snap__db_name_format(index, name);
    return snap__path(dir, name, path, &ignored) == 0 && disk_exists(d, path);
}

int snap_db_install(struct disk *d, const char *dir, raft_index index, struct err *e)
{
    char name[SNAP__NAME_BYTES], from[SNAP_PATH_BYTES], to[SNAP_PATH_BYTES];
    int rc;

    ASSERT(index > 0);
    snap__db_name_format(index, name);
    rc = snap__path(dir, name, from, e);
    if (rc == 0)
        rc = snap__path(dir, "db", to, e);
    if (rc == 0)
        rc = rename_synced(d, dir, from, to, e);
    return err_wrap(e, rc, "install received snapshot %s", name);
}

int snap_db_release(struct disk *d, const char *dir, raft_index index, struct err *e)
{
    char **names = NULL;
    size_t n = 0;
    int rc = disk_list(d, dir, &names, &n, e);

    for (size_t i = 0; rc == 0 && i < n; i++) {
        char path[SNAP_PATH_BYTES];
        raft_index at;

        if (!snap__db_name_parse(names[i], &at) || at >= index)
            continue;
        rc = snap__path(dir, names[i], path, e);
        if (rc == 0)
            rc = disk_remove(d, path, e);
        if (rc == ERR_NOT_FOUND) /* by somebody else, meanwhile */
            rc = 0;
    }
    disk_list_free(names, n);
    return err_wrap(e, rc, "release received snapshots in %s", dir);
}
