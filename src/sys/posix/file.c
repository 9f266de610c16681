/* file.c -- an open file of the machine: the real struct file. */
#define _GNU_SOURCE
#include "sys/posix/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/alloc.h"

/* writev takes at most this many pieces at once (IOV_MAX is 1024 on Linux). */
#define PIECES_MAX 256

struct posix_file {
    struct file file;
    int fd;
    void *map;
    size_t map_bytes;
    char *path;
};

static struct posix_file *posix_of(struct file *f)
{
    return CONTAINER_OF(f, struct posix_file, file);
}

static int pf_read(struct file *f, void *p, size_t n, uint64_t off, size_t *ret_n, struct err *e)
{
    struct posix_file *pf = posix_of(f);
    size_t got = 0;

    while (got < n) {
        ssize_t r = pread(pf->fd, (uint8_t *) p + got, n - got, (off_t) (off + got));

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_sys(e, errno, "read %s at offset %" PRIu64, pf->path, off + got);
        if (r == 0)
            break;
        got += (size_t) r;
    }
    *ret_n = got;
    return 0;
}

/* Fills iov with what is left of v behind the first `done` bytes. */
static size_t pieces(const struct bytes *v, size_t vn, size_t done, struct iovec *iov)
{
    size_t k = 0;

    for (size_t i = 0; i < vn && k < PIECES_MAX; i++) {
        if (done >= v[i].n) {
            done -= v[i].n;
            continue;
        }
        iov[k].iov_base = (void *) (uintptr_t) (v[i].p + done);
        iov[k].iov_len = v[i].n - done;
        done = 0;
        k++;
    }
    return k;
}

static int write_all(struct posix_file *pf, const struct bytes *v, size_t vn, uint64_t off,
                     int flags, struct err *e)
{
    struct iovec iov[PIECES_MAX];
    size_t done = 0, k;

    while ((k = pieces(v, vn, done, iov)) != 0) {
        ssize_t r = pwritev2(pf->fd, iov, (int) k, (off_t) (off + done), flags);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_sys(e, errno, "write %s at offset %" PRIu64, pf->path, off + done);
        done += (size_t) r;
        while (vn > 0 && done >= v[0].n) {
            off += v[0].n;
            done -= v[0].n;
            v++;
            vn--;
        }
    }
    return 0;
}

static int pf_write(struct file *f, const struct bytes *v, size_t vn, uint64_t off, struct err *e)
{
    return write_all(posix_of(f), v, vn, off, 0, e);
}

static int pf_write_durable(struct file *f, const struct bytes *v, size_t vn, uint64_t off,
                            struct err *e)
{
    return write_all(posix_of(f), v, vn, off, RWF_DSYNC, e);
}

static int pf_sync(struct file *f, enum file_sync_kind kind, struct err *e)
{
    struct posix_file *pf = posix_of(f);
    int rc;

    if (kind == FILE_WRITE_BACK) {
        rc = sync_file_range(pf->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
        return rc == 0 || errno == ENOSYS ? 0 : err_sys(e, errno, "write back %s", pf->path);
    }
    rc = kind == FILE_SYNC_DATA ? fdatasync(pf->fd) : fsync(pf->fd);
    /* Not retried, not even after EINTR: a second call could report success for lost pages. */
    return rc == 0 ? 0 : err_sys(e, errno, "sync %s", pf->path);
}

static int pf_size(struct file *f, uint64_t *ret, struct err *e)
{
    struct posix_file *pf = posix_of(f);
    struct stat st;

    if (fstat(pf->fd, &st) != 0)
        return err_sys(e, errno, "stat %s", pf->path);
    *ret = (uint64_t) st.st_size;
    return 0;
}

static int pf_truncate(struct file *f, uint64_t bytes, struct err *e)
{
    struct posix_file *pf = posix_of(f);

    if (ftruncate(pf->fd, (off_t) bytes) != 0)
        return err_sys(e, errno, "truncate %s to %" PRIu64 " bytes", pf->path, bytes);
    return 0;
}

static int pf_allocate(struct file *f, uint64_t off, uint64_t n, struct err *e)
{
    struct posix_file *pf = posix_of(f);
    int rc;

    do
        rc = fallocate(pf->fd, 0, (off_t) off, (off_t) n);
    while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : err_sys(e, errno, "allocate %" PRIu64 " bytes for %s", n, pf->path);
}

static int ofd_lock(int fd, short type)
{
    struct flock l = {.l_type = type, .l_whence = SEEK_SET};

    return fcntl(fd, F_OFD_SETLK, &l);
}

static int pf_lock(struct file *f, enum file_lock_kind kind, struct err *e)
{
    struct posix_file *pf = posix_of(f);
    int rc;

    if (kind == FILE_LOCK_OFD_EXCLUSIVE)
        rc = ofd_lock(pf->fd, F_WRLCK);
    else
        rc = flock(pf->fd, (kind == FILE_LOCK_FLOCK_SHARED ? LOCK_SH : LOCK_EX) | LOCK_NB);
    if (rc == 0)
        return 0;
    if (errno == EWOULDBLOCK || errno == EACCES)
        return err_set(e, ERR_LOCKED, "lock %s: another process has it", pf->path);
    return err_sys(e, errno, "lock %s", pf->path);
}

static int pf_unlock(struct file *f, enum file_lock_kind kind, struct err *e)
{
    struct posix_file *pf = posix_of(f);
    int rc = kind == FILE_LOCK_OFD_EXCLUSIVE ? ofd_lock(pf->fd, F_UNLCK) : flock(pf->fd, LOCK_UN);

    return rc == 0 ? 0 : err_sys(e, errno, "unlock %s", pf->path);
}

static int pf_map(struct file *f, uint64_t reserve_bytes, const uint8_t **ret, struct err *e)
{
    struct posix_file *pf = posix_of(f);
    void *p;

    ASSERT(pf->map == NULL);
    /* A mapping may be longer than the file; only touching the part past its end is an error. */
    p = mmap(NULL, (size_t) reserve_bytes, PROT_READ, MAP_SHARED | MAP_NORESERVE, pf->fd, 0);
    if (p == MAP_FAILED)
        return err_sys(e, errno, "map %s", pf->path);
    madvise(p, (size_t) reserve_bytes, MADV_RANDOM);
    pf->map = p;
    pf->map_bytes = (size_t) reserve_bytes;
    *ret = p;
    return 0;
}

/* The mapping is shared and read-only: dropping its pages loses nothing. */
static void pf_map_release(struct file *f, uint64_t bytes)
{
    struct posix_file *pf = posix_of(f);

    if (pf->map != NULL)
        madvise(pf->map, (size_t) MIN(bytes, (uint64_t) pf->map_bytes), MADV_DONTNEED);
}

static int pf_map_lock(struct file *f, uint64_t off, uint64_t bytes, struct err *e)
{
    struct posix_file *pf = posix_of(f);

    ASSERT(pf->map != NULL);
    ASSERT(off + bytes <= pf->map_bytes);
    if (mlock((const uint8_t *) pf->map + off, (size_t) bytes) == 0)
        return 0;
    return err_sys(e, errno, "mlock error");
}

static void pf_will_need(struct file *f, uint64_t off, uint64_t bytes)
{
    (void) posix_fadvise(posix_of(f)->fd, (off_t) off, (off_t) bytes, POSIX_FADV_WILLNEED);
}

/* A write lease is granted only while nobody else has the file open; without a name it stays so. */
static bool is_alone(int fd)
{
    if (fcntl(fd, F_SETLEASE, F_WRLCK) != 0)
        return false;
    (void) fcntl(fd, F_SETLEASE, F_UNLCK);
    return true;
}

static bool pf_shed(struct file *f, uint64_t bytes)
{
    int fd = posix_of(f)->fd;
    struct stat st;
    uint64_t left;

    if (fstat(fd, &st) != 0 || st.st_nlink != 0 || !is_alone(fd))
        return false;
    left = (uint64_t) st.st_size - MIN(bytes, (uint64_t) st.st_size);
    return ftruncate(fd, (off_t) left) == 0 && left > 0;
}

static void pf_close(struct file *f)
{
    struct posix_file *pf = posix_of(f);

    if (pf->map != NULL)
        munmap(pf->map, pf->map_bytes);
    close(pf->fd);
    mem_free(pf->path);
    mem_free(pf);
}

static const struct file_ops posix_file_ops = {
    .read = pf_read,
    .write = pf_write,
    .write_durable = pf_write_durable,
    .sync = pf_sync,
    .size = pf_size,
    .truncate = pf_truncate,
    .allocate = pf_allocate,
    .lock = pf_lock,
    .unlock = pf_unlock,
    .map = pf_map,
    .map_release = pf_map_release,
    .map_lock = pf_map_lock,
    .will_need = pf_will_need,
    .shed = pf_shed,
    .close = pf_close,
};

static int open_flags(unsigned flags)
{
    int o = O_CLOEXEC;

    if ((flags & DISK_WRITE) != 0)
        o |= (flags & DISK_READ) != 0 ? O_RDWR : O_WRONLY;
    if ((flags & DISK_CREATE) != 0)
        o |= O_CREAT;
    if ((flags & DISK_EXCLUSIVE) != 0)
        o |= O_EXCL;
    if ((flags & DISK_TRUNCATE) != 0)
        o |= O_TRUNC;
    if ((flags & DISK_DIRECT) != 0)
        o |= O_DIRECT;
    return o;
}

int posix_file_open(const char *path, unsigned flags, unsigned mode, struct file **ret,
                    struct err *e)
{
    struct posix_file *pf = mem_calloc(1, sizeof *pf);
    size_t n = strlen(path) + 1;

    if (pf != NULL)
        pf->path = mem_alloc(n);
    if (pf == NULL || pf->path == NULL) {
        mem_free(pf);
        return err_set(e, ERR_NOMEM, "open %s: out of memory", path);
    }
    memcpy(pf->path, path, n);
    do
        pf->fd = open(path, open_flags(flags), (mode_t) mode);
    while (pf->fd < 0 && errno == EINTR);
    if (pf->fd < 0) {
        int errnum = errno;

        mem_free(pf->path);
        mem_free(pf);
        return err_sys(e, errnum, "open %s", path);
    }
    pf->file.ops = &posix_file_ops;
    *ret = &pf->file;
    return 0;
}
