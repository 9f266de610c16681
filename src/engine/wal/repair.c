#include "base/alloc.h"
#include "engine/wal/wal_int.h"

#define COPY_BYTES 1048576

/* Reads [0, end) of one file and writes it to another, or to itself. */
static int copy(struct file *from, struct file *to, uint64_t end, struct err *e)
{
    uint8_t *buf = mem_alloc(COPY_BYTES);
    int rc = buf == NULL ? err_set(e, ERR_NOMEM, "copy: out of memory") : 0;

    ASSERT(from != NULL);
    ASSERT(to != NULL);
    for (uint64_t off = 0; rc == 0 && off < end; off += COPY_BYTES) {
        size_t n = (size_t) MIN(end - off, COPY_BYTES);

        rc = file_read_full(from, buf, n, off, e);
        if (rc == 0)
            rc = file_write_one(to, buf, n, off, e);
    }
    mem_free(buf);
    return rc;
}

int wal__keep_broken(struct disk *d, const char *dir, const char *name, struct file *f,
                     char ret_broken[WAL__NAME_BYTES], struct err *e)
{
    char broken[WAL__NAME_BYTES], path[WAL__PATH_BYTES];
    struct file *to = NULL;
    uint64_t bytes;
    int n = snprintf(broken, sizeof broken, "%s.broken", name);
    int rc = wal__path(dir, broken, path, e);

    ASSERT(n > 0);
    ASSERT((size_t) n < sizeof broken);
    if (rc == 0)
        rc = file_size(f, &bytes, e);
    if (rc == 0)
        rc = disk_open(d, path, DISK_READ | DISK_WRITE | DISK_CREATE | DISK_TRUNCATE,
                       WAL__FILE_MODE, &to, e);
    if (rc == 0)
        rc = copy(f, to, bytes, e);
    if (rc == 0)
        rc = file_sync(to, FILE_SYNC_ALL, e);
    file_close(to);
    if (rc == 0)
        rc = disk_sync_dir(d, dir, e);
    if (rc == 0)
        memcpy(ret_broken, broken, sizeof broken);
    return err_wrap(e, rc, "keep a copy of the damaged segment %s", name);
}

int wal__rewrite(struct file *f, uint64_t end, uint64_t room, struct err *e)
{
    int rc;

    ASSERT(end % WAL__FRAME_ALIGN == 0);
    /* Pages whose writing failed before may be in memory, clean: only writing them again brings
     * them to the disk. */
    rc = copy(f, f, end, e);
    if (rc == 0)
        rc = file_truncate(f, end, e);
    if (rc == 0) {
        rc = wal__allocate(f, room, e);
        if (rc == ERR_NO_SPACE)
            rc = 0; /* the log asks again before it writes */
    }
    return rc == 0 ? file_sync(f, FILE_SYNC_ALL, e) : rc;
}
