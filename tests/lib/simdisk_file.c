#define _GNU_SOURCE
#include <sys/mman.h>

#include "lib/simdisk_int.h"

static struct sim_file *sim_of(struct file *f)
{
    return CONTAINER_OF(f, struct sim_file, file);
}

/* Locks the disk; 0 when the call may go on. */
static int enter(struct sim_file *f, enum simdisk_call kind, const char *what, struct err *e)
{
    int rc;

    pthread_mutex_lock(&f->disk->lock);
    if (f->generation != f->disk->generation)
        return err_set(e, ERR_IO, "%s %s: the machine has crashed since", what, f->path);
    rc = sim__call(f->disk, kind);
    return rc == 0 ? 0 : sim__fault(e, rc, what);
}

static int leave(struct sim_file *f, int rc)
{
    pthread_mutex_unlock(&f->disk->lock);
    return rc;
}

static int sf_read(struct file *file, void *p, size_t n, uint64_t off, size_t *ret_n, struct err *e)
{
    struct sim_file *f = sim_of(file);
    int rc = enter(f, SIM_READ, "read", e);

    if (rc == 0 && (f->flags & DISK_READ) == 0)
        rc = err_set(e, ERR_IO, "read %s: not open for reading", f->path);
    if (rc == 0) {
        size_t have = f->inode->now.n;

        *ret_n = off >= have ? 0 : MIN(n, have - (size_t) off);
        if (*ret_n > 0)
            memcpy(p, f->inode->now.p + off, *ret_n);
    }
    return leave(f, rc);
}

/* The first half of a write that fails, so that callers cannot count on all or nothing.  It ends
 * where a sector ends: neither a disk nor a kernel stops within one. */
static void write_half(struct inode *ino, const struct bytes *v, size_t vn, uint64_t off)
{
    uint64_t end = off;

    for (size_t i = 0; i < vn; i++)
        end += v[i].n;
    end = (off + (end - off) / 2) / SECTOR_BYTES * SECTOR_BYTES;
    for (size_t i = 0; i < vn && off < end; i++) {
        sim__inode_write(ino, off, v[i].p, MIN(v[i].n, (size_t) (end - off)));
        off += v[i].n;
    }
}

/* What a file opened with DISK_DIRECT asks of its caller. */
static void check_direct(const struct sim_file *f, const struct bytes *v, size_t vn, uint64_t off)
{
    if ((f->flags & DISK_DIRECT) == 0)
        return;
    ASSERT(off % DIRECT_BYTES == 0);
    for (size_t i = 0; i < vn; i++) {
        ASSERT(v[i].n % DIRECT_BYTES == 0);
        ASSERT((uintptr_t) v[i].p % DIRECT_BYTES == 0);
    }
}

static int write_all(struct sim_file *f, const struct bytes *v, size_t vn, uint64_t off,
                     bool durable, struct err *e)
{
    uint64_t end = off;
    int rc = enter(f, SIM_WRITE, "write", e);

    check_direct(f, v, vn, off);
    for (size_t i = 0; i < vn; i++)
        end += v[i].n;
    if (f->generation != f->disk->generation || (rc != 0 && !f->disk->fresh))
        return leave(f, rc);
    if (rc == 0 && (f->flags & DISK_WRITE) == 0)
        return leave(f, err_set(e, ERR_IO, "write %s: not open for writing", f->path));
    if (rc == 0 && sim__is_full(f->disk, f->path, f->inode, off, end))
        rc = err_set(e, ERR_NO_SPACE, "write %s: no space left on device", f->path);
    if (rc != 0) {
        write_half(f->inode, v, vn, off);
        return leave(f, rc);
    }
    if (durable) {
        rc = sim__call(f->disk, SIM_SYNC);
        rc = rc == 0 ? 0 : sim__fault(e, rc, "sync");
    }
    for (size_t i = 0; i < vn; i++) {
        if (durable && rc == 0)
            sim__inode_write_durable(f->inode, off, v[i].p, v[i].n);
        else
            sim__inode_write(f->inode, off, v[i].p, v[i].n);
        off += v[i].n;
    }
    return leave(f, rc);
}

static int sf_write(struct file *file, const struct bytes *v, size_t vn, uint64_t off,
                    struct err *e)
{
    return write_all(sim_of(file), v, vn, off, false, e);
}

static int sf_write_durable(struct file *file, const struct bytes *v, size_t vn, uint64_t off,
                            struct err *e)
{
    return write_all(sim_of(file), v, vn, off, true, e);
}

static int sf_sync(struct file *file, enum file_sync_kind kind, struct err *e)
{
    struct sim_file *f = sim_of(file);
    int rc = enter(f, SIM_SYNC, "sync", e);

    if (rc == 0 && kind != FILE_WRITE_BACK)
        sim__inode_sync(f->inode);
    return leave(f, rc);
}

static int sf_size(struct file *file, uint64_t *ret, struct err *e)
{
    struct sim_file *f = sim_of(file);
    int rc = enter(f, SIM_READ, "size", e);

    if (rc == 0)
        *ret = f->inode->now.n;
    return leave(f, rc);
}

static int sf_truncate(struct file *file, uint64_t bytes, struct err *e)
{
    struct sim_file *f = sim_of(file);
    int rc = enter(f, SIM_TRUNCATE, "truncate", e);

    if (rc == 0)
        sim__inode_truncate(f->inode, bytes);
    return leave(f, rc);
}

static int sf_allocate(struct file *file, uint64_t off, uint64_t n, struct err *e)
{
    struct sim_file *f = sim_of(file);
    int rc = enter(f, SIM_ALLOCATE, "allocate", e);

    if (rc == 0 && sim__is_full(f->disk, f->path, f->inode, off, off + n))
        rc = err_set(e, ERR_NO_SPACE, "allocate %s: no space left on device", f->path);
    if (rc == 0)
        sim__room_take(f->inode, off, off + n);
    if (rc == 0 && off + n > f->inode->now.n)
        sim__inode_truncate(f->inode, off + n);
    return leave(f, rc);
}

static void lock_drop(struct sim_file *f)
{
    if (f->generation == f->disk->generation) {
        f->inode->exclusive_locks -= f->locked_exclusive;
        f->inode->shared_locks -= f->locked_shared;
    }
    f->locked_exclusive = f->locked_shared = false;
}

/* flock and OFD locks do not see each other on Linux; no file here carries both. */
static int sf_lock(struct file *file, enum file_lock_kind kind, struct err *e)
{
    struct sim_file *f = sim_of(file);
    bool shared = kind == FILE_LOCK_FLOCK_SHARED;
    int rc = enter(f, SIM_LOCK, "lock", e);

    if (rc != 0)
        return leave(f, rc);
    lock_drop(f);
    if (f->inode->exclusive_locks > 0 || (!shared && f->inode->shared_locks > 0))
        return leave(f, err_set(e, ERR_LOCKED, "lock %s: another process has it", f->path));
    f->locked_exclusive = !shared;
    f->locked_shared = shared;
    f->inode->exclusive_locks += f->locked_exclusive;
    f->inode->shared_locks += f->locked_shared;
    return leave(f, 0);
}

static int sf_unlock(struct file *file, enum file_lock_kind kind, struct err *e)
{
    struct sim_file *f = sim_of(file);
    int rc = enter(f, SIM_LOCK, "unlock", e);

    (void) kind;
    lock_drop(f);
    return leave(f, rc);
}

static int sf_map(struct file *file, uint64_t reserve_bytes, const uint8_t **ret, struct err *e)
{
    struct sim_file *f = sim_of(file);
    struct mapping *m;
    int rc = enter(f, SIM_MAP, "map", e);

    if (rc != 0)
        return leave(f, rc);
    ASSERT(f->map == NULL);
    m = calloc(1, sizeof *m);
    if (m == NULL)
        abort();
    m->reserve = (size_t) (reserve_bytes + HOST_PAGE_BYTES - 1) & ~(size_t) (HOST_PAGE_BYTES - 1);
    m->base = mmap(NULL, m->reserve, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m->base == MAP_FAILED) {
        free(m);
        return leave(f, err_set(e, ERR_NOMEM, "map %s: out of memory", f->path));
    }
    sim__mapping_show(m, f->inode, 0, f->inode->now.n);
    list_push(&f->inode->mappings, &m->link);
    f->map = m;
    *ret = m->base;
    return leave(f, 0);
}

static bool sf_shed(struct file *file, uint64_t bytes)
{
    struct sim_file *f = sim_of(file);
    uint64_t left = f->inode->now.n - MIN(bytes, f->inode->now.n);
    int rc = enter(f, SIM_TRUNCATE, "shed", NULL);
    bool named = rc != 0 || sim__names_have(&f->disk->now, f->inode);

    if (!named)
        sim__inode_truncate(f->inode, left);
    return leave(f, rc) == 0 && !named && left > 0;
}

static void sf_close(struct file *file)
{
    struct sim_file *f = sim_of(file);

    pthread_mutex_lock(&f->disk->lock);
    lock_drop(f);
    if (f->map != NULL) {
        list_remove(&f->map->link);
        munmap(f->map->base, f->map->reserve);
        free(f->map);
    }
    pthread_mutex_unlock(&f->disk->lock);
    free(f->path);
    free(f);
}

const struct file_ops sim__file_ops = {
    .read = sf_read,
    .write = sf_write,
    .write_durable = sf_write_durable,
    .sync = sf_sync,
    .size = sf_size,
    .truncate = sf_truncate,
    .allocate = sf_allocate,
    .lock = sf_lock,
    .unlock = sf_unlock,
    .map = sf_map,
    .shed = sf_shed,
    .close = sf_close,
};
