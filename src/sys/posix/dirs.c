/* dirs.c -- directories that are synced stay open.
 *
 * A process that has used up its file descriptors can open no directory; and a name that cannot be
 * made durable in the middle of a change stops the member.  So the descriptor of the first sync is
 * kept for the next ones: a member has four such directories.  A directory is known by what the
 * file system calls it, which nobody else is called while we hold it open.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/posix/file.h"

#define KEPT_MAX 16 /* more are opened each time */

struct kept {
    dev_t dev;
    ino_t ino;
    int fd;
};

static struct {
    pthread_mutex_t lock; /* of the table; what is in it stays */
    struct kept v[KEPT_MAX];
    size_t n;
} dirs = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* -1: it is not kept. */
static int find(const struct stat *st)
{
    int fd = -1;

    pthread_mutex_lock(&dirs.lock);
    for (size_t i = 0; i < dirs.n && fd < 0; i++) {
        if (dirs.v[i].dev == st->st_dev && dirs.v[i].ino == st->st_ino)
            fd = dirs.v[i].fd;
    }
    pthread_mutex_unlock(&dirs.lock);
    return fd;
}

/* Takes fd on true only.  Two threads may keep one directory twice: one of them is never found. */
static bool keep(int fd)
{
    struct stat st;
    bool room = false;

    if (fstat(fd, &st) != 0)
        return false;
    pthread_mutex_lock(&dirs.lock);
    room = dirs.n < KEPT_MAX;
    if (room)
        dirs.v[dirs.n++] = (struct kept){st.st_dev, st.st_ino, fd};
    pthread_mutex_unlock(&dirs.lock);
    return room;
}

int posix_dir_sync(const char *path, struct err *e)
{
    struct stat st;
    int fd = stat(path, &st) == 0 ? find(&st) : -1;
    int rc, errnum;

    if (fd >= 0)
        return fsync(fd) == 0 ? 0 : err_sys(e, errno, "sync directory %s", path);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno, "open directory %s", path);
    rc = fsync(fd);
    errnum = errno;
    if (!keep(fd))
        close(fd);
    return rc == 0 ? 0 : err_sys(e, errnum, "sync directory %s", path);
}
