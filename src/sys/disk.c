#include "sys/disk.h"

#include "base/alloc.h"

int disk_open(struct disk *d, const char *path, unsigned flags, unsigned mode, struct file **ret,
              struct err *e)
{
    return d->ops->open(d, path, flags, mode, ret, e);
}

int disk_rename(struct disk *d, const char *from, const char *to, struct err *e)
{
    return d->ops->rename(d, from, to, e);
}

int disk_remove(struct disk *d, const char *path, struct err *e)
{
    return d->ops->remove(d, path, e);
}

int disk_mkdir(struct disk *d, const char *path, unsigned mode, struct err *e)
{
    return d->ops->mkdir(d, path, mode, e);
}

int disk_sync_dir(struct disk *d, const char *path, struct err *e)
{
    return d->ops->sync_dir(d, path, e);
}

int disk_stat_path(struct disk *d, const char *path, struct disk_stat *ret, struct err *e)
{
    return d->ops->stat(d, path, ret, e);
}

int disk_list(struct disk *d, const char *path, char ***ret_names, size_t *ret_n, struct err *e)
{
    return d->ops->list(d, path, ret_names, ret_n, e);
}

void disk_list_free(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        mem_free(names[i]);
    mem_free(names);
}

int disk_space(struct disk *d, const char *path, uint64_t *ret_free_bytes, struct err *e)
{
    return d->ops->space(d, path, ret_free_bytes, e);
}

bool disk_exists(struct disk *d, const char *path)
{
    struct disk_stat st;

    return d->ops->stat(d, path, &st, NULL) == 0;
}

int file_read(struct file *f, void *p, size_t n, uint64_t off, size_t *ret_n, struct err *e)
{
    return f->ops->read(f, p, n, off, ret_n, e);
}

int file_read_full(struct file *f, void *p, size_t n, uint64_t off, struct err *e)
{
    size_t got = 0;
    int rc = f->ops->read(f, p, n, off, &got, e);

    if (rc == 0 && got != n)
        rc = err_set(e, ERR_TRUNCATED, "short read at offset %" PRIu64 ": %zu of %zu bytes", off,
                     got, n);
    return rc;
}

int file_write(struct file *f, const struct bytes *v, size_t vn, uint64_t off, struct err *e)
{
    return f->ops->write(f, v, vn, off, e);
}

int file_write_durable(struct file *f, const struct bytes *v, size_t vn, uint64_t off,
                       struct err *e)
{
    return f->ops->write_durable(f, v, vn, off, e);
}

int file_write_one(struct file *f, const void *p, size_t n, uint64_t off, struct err *e)
{
    struct bytes v = bytes_of(p, n);

    return f->ops->write(f, &v, 1, off, e);
}

int file_sync(struct file *f, enum file_sync_kind kind, struct err *e)
{
    return f->ops->sync(f, kind, e);
}

int file_size(struct file *f, uint64_t *ret, struct err *e)
{
    return f->ops->size(f, ret, e);
}

int file_truncate(struct file *f, uint64_t bytes, struct err *e)
{
    return f->ops->truncate(f, bytes, e);
}

int file_allocate(struct file *f, uint64_t off, uint64_t n, struct err *e)
{
    return f->ops->allocate(f, off, n, e);
}

int file_lock(struct file *f, enum file_lock_kind kind, struct err *e)
{
    return f->ops->lock(f, kind, e);
}

int file_unlock(struct file *f, enum file_lock_kind kind, struct err *e)
{
    return f->ops->unlock(f, kind, e);
}

int file_map(struct file *f, uint64_t reserve_bytes, const uint8_t **ret, struct err *e)
{
    return f->ops->map(f, reserve_bytes, ret, e);
}

void file_map_release(struct file *f, uint64_t bytes)
{
    if (f->ops->map_release != NULL)
        f->ops->map_release(f, bytes);
}

int file_map_lock(struct file *f, uint64_t off, uint64_t bytes, struct err *e)
{
    if (f->ops->map_lock == NULL)
        return err_set(e, ERR_UNSUPPORTED, "memory cannot be locked here");
    return f->ops->map_lock(f, off, bytes, e);
}

void file_will_need(struct file *f, uint64_t off, uint64_t bytes)
{
    if (f->ops->will_need != NULL)
        f->ops->will_need(f, off, bytes);
}

bool file_shed(struct file *f, uint64_t bytes)
{
    ASSERT(bytes > 0);
    return f->ops->shed != NULL && f->ops->shed(f, bytes);
}

void file_close(struct file *f)
{
    if (f != NULL)
        f->ops->close(f);
}
