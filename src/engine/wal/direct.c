/* direct.c -- writing a segment past the page cache, in whole blocks.
 *
 * A batch is then one durable write of whole blocks instead of a write and a sync: half the CPU for
 * the same time.  The file's bytes are the same.  The block that the log ends in is written again
 * with each batch, with the same bytes in front, so a torn write harms nothing that was durable.
 */
#include "engine/wal/wal_int.h"

/* Reads the block that the log ends in and writes it again, unchanged: whether the file system can
 * is known only then. */
static int take_last_block(struct wal__encoder *x, struct err *e)
{
    struct bytes block = bytes_of(x->buf, WAL__BLOCK_BYTES);
    size_t kept = (size_t) (x->off % WAL__BLOCK_BYTES);
    int rc = file_read_full(x->file, x->buf, kept, x->off - kept, e);

    ASSERT(x->direct != NULL);
    memset(x->buf + kept, 0, WAL__BLOCK_BYTES - kept);
    if (rc == 0)
        rc = file_write_durable(x->direct, &block, 1, x->off - kept, e);
    if (rc != 0)
        return rc;
    x->kept = x->buf_n = x->run = kept;
    x->zeroed_end = MAX(x->zeroed_end, x->off - kept + WAL__BLOCK_BYTES);
    return 0;
}

int wal__direct_begin(struct wal__encoder *x, struct disk *d, const char *path, struct err *e)
{
    int rc;

    ASSERT(x->direct == NULL);
    ASSERT(x->buf_n == 0);
    ASSERT(x->synced_end == x->off);
    if (disk_open(d, path, DISK_WRITE | DISK_DIRECT, 0, &x->direct, NULL) != 0) {
        x->direct = NULL; /* the file system cannot; or no descriptor is left for a mere gain */
        return 0;
    }
    rc = take_last_block(x, e);
    if (rc == 0)
        return 0;
    wal__direct_end(x);
    return rc == ERR_INVALID || rc == ERR_UNSUPPORTED ? 0 : rc;
}

void wal__direct_end(struct wal__encoder *x)
{
    file_close(x->direct);
    x->direct = NULL;
    x->kept = x->buf_n = x->run = 0;
}
