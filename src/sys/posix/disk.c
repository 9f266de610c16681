/* disk.c -- names of the machine's file systems: the real struct disk. */
#define _GNU_SOURCE
#include "sys/disk.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "sys/posix/file.h"

static int pd_open(struct disk *d, const char *path, unsigned flags, unsigned mode,
                   struct file **ret, struct err *e)
{
    (void) d;
    return posix_file_open(path, flags, mode, ret, e);
}

static int pd_rename(struct disk *d, const char *from, const char *to, struct err *e)
{
    (void) d;
    return rename(from, to) == 0 ? 0 : err_sys(e, errno, "rename %s to %s", from, to);
}

static int pd_remove(struct disk *d, const char *path, struct err *e)
{
    (void) d;
    return remove(path) == 0 ? 0 : err_sys(e, errno, "remove %s", path);
}

static int pd_mkdir(struct disk *d, const char *path, unsigned mode, struct err *e)
{
    (void) d;
    return mkdir(path, (mode_t) mode) == 0 ? 0 : err_sys(e, errno, "make directory %s", path);
}

static int pd_sync_dir(struct disk *d, const char *path, struct err *e)
{
    (void) d;
    return posix_dir_sync(path, e);
}

static int pd_stat(struct disk *d, const char *path, struct disk_stat *ret, struct err *e)
{
    struct stat st;

    (void) d;
    if (stat(path, &st) != 0)
        return err_sys(e, errno, "stat %s", path);
    *ret = (struct disk_stat){(uint64_t) st.st_size, S_ISDIR(st.st_mode), st.st_mode & 07777};
    return 0;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *) a, *(char *const *) b);
}

static int names_add(char ***names, size_t *n, const char *name)
{
    char **more = mem_realloc(*names, (*n + 1) * sizeof **names);
    size_t len = strlen(name) + 1;

    if (more == NULL)
        return ERR_NOMEM;
    *names = more;
    more[*n] = mem_alloc(len);
    if (more[*n] == NULL)
        return ERR_NOMEM;
    memcpy(more[*n], name, len);
    ++*n;
    return 0;
}

static int pd_list(struct disk *d, const char *path, char ***ret_names, size_t *ret_n,
                   struct err *e)
{
    DIR *dir = opendir(path);
    char **names = NULL;
    size_t n = 0;
    struct dirent *ent;
    int rc = 0;

    (void) d;
    if (dir == NULL)
        return err_sys(e, errno, "list %s", path);
    do {
        errno = 0; /* it alone tells the end from an error, and names_add may have set it */
        ent = readdir(dir);
        if (ent != NULL && strcmp(ent->d_name, ".") != 0 && strcmp(ent->d_name, "..") != 0)
            rc = names_add(&names, &n, ent->d_name);
    } while (rc == 0 && ent != NULL);
    if (rc == 0 && errno != 0)
        rc = err_sys(e, errno, "list %s", path);
    else if (rc != 0)
        rc = err_set(e, rc, "list %s: out of memory", path);
    closedir(dir);
    if (rc != 0) {
        disk_list_free(names, n);
        return rc;
    }
    if (n > 0)
        qsort(names, n, sizeof *names, by_bytes);
    *ret_names = names;
    *ret_n = n;
    return 0;
}

static int pd_space(struct disk *d, const char *path, uint64_t *ret, struct err *e)
{
    struct statvfs st;

    (void) d;
    if (statvfs(path, &st) != 0)
        return err_sys(e, errno, "stat file system of %s", path);
    *ret = (uint64_t) st.f_bavail * st.f_frsize;
    return 0;
}

static const struct disk_ops posix_disk_ops = {
    .open = pd_open,
    .rename = pd_rename,
    .remove = pd_remove,
    .mkdir = pd_mkdir,
    .sync_dir = pd_sync_dir,
    .stat = pd_stat,
    .list = pd_list,
    .space = pd_space,
};

struct disk *disk_posix(void)
{
    static struct disk d = {&posix_disk_ops};

    return &d;
}
