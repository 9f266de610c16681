#define _POSIX_C_SOURCE 200809L
#include "etcdutl/tree.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "etcdutl/utl.h"
#include "sys/disk.h"

int tree_parent(const char *path, char *ret, size_t n, struct err *e)
{
    size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/')
        len--;
    while (len > 0 && path[len - 1] != '/')
        len--;
    while (len > 1 && path[len - 1] == '/')
        len--;
    if (len >= n)
        return err_set(e, ERR_LIMIT, "the path is longer than %zu bytes", n);
    snprintf(ret, n, "%.*s", len == 0 ? 1 : (int) len, len == 0 ? "." : path);
    return 0;
}

static int make_one(const char *path, struct tree_made *made, struct err *e)
{
    char parent[UTL_PATH_BYTES];
    int rc = tree_parent(path, parent, sizeof parent, e);

    if (rc != 0)
        return rc;
    if (made->n == TREE_DEPTH_MAX)
        return err_set(e, ERR_LIMIT, "more than %d directories to make", TREE_DEPTH_MAX);
    rc = disk_mkdir(disk_posix(), path, TREE_DIR_MODE, e);
    if (rc != 0)
        return rc;
    made->v[made->n++] = xmem_strdup(path);
    return disk_sync_dir(disk_posix(), parent, e);
}

int tree_make(const char *path, struct tree_made *made, struct err *e)
{
    char part[UTL_PATH_BYTES];
    size_t n = strlen(path);
    int rc = 0;

    if (n >= sizeof part)
        return err_set(e, ERR_LIMIT, "the path is longer than %zu bytes", sizeof part);
    for (size_t i = 1; i <= n && rc == 0; i++) {
        if (i < n && path[i] != '/')
            continue;
        snprintf(part, sizeof part, "%.*s", (int) i, path);
        if (!disk_exists(disk_posix(), part))
            rc = make_one(part, made, e);
    }
    return rc;
}

void tree_keep(struct tree_made *made)
{
    while (made->n > 0)
        mem_free(made->v[--made->n]);
}

void tree_unmake(struct tree_made *made)
{
    for (size_t i = made->n; i > 0; i--)
        (void) rmdir(made->v[i - 1]); /* whatever somebody else put there stays */
    tree_keep(made);
}

static int go_error(const char *what, const char *path, struct err *e)
{
    char why[128];
    int errnum = errno;

    utl_errno_text(errnum, why, sizeof why);
    return err_set(e, err_from_errno(errnum), "%s %s: %s", what, path, why);
}

static int remove_below(const char *path, unsigned depth, struct err *e);

static int remove_one(const char *path, unsigned depth, struct err *e)
{
    struct stat st;

    if (lstat(path, &st) != 0)
        return errno == ENOENT ? 0 : go_error("lstat", path, e);
    if (S_ISDIR(st.st_mode))
        return remove_below(path, depth, e);
    return unlink(path) == 0 ? 0 : go_error("unlink", path, e);
}

static int remove_below(const char *path, unsigned depth, struct err *e)
{
    char **names, child[UTL_PATH_BYTES];
    size_t n;
    int rc;

    if (depth == TREE_DEPTH_MAX)
        return err_set(e, ERR_LIMIT, "%s is too deep to be removed", path);
    rc = disk_list(disk_posix(), path, &names, &n, e);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < n && rc == 0; i++) {
        if ((size_t) snprintf(child, sizeof child, "%s/%s", path, names[i]) >= sizeof child)
            rc = err_set(e, ERR_LIMIT, "the path is longer than %zu bytes", sizeof child);
        else
            rc = remove_one(child, depth + 1, e);
    }
    disk_list_free(names, n);
    if (rc == 0 && rmdir(path) != 0)
        rc = go_error("rmdir", path, e);
    return rc;
}

int tree_remove(const char *path, struct err *e)
{
    return remove_one(path, 0, e);
}
