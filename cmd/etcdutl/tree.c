#include "etcdutl/tree.h"

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
    rc = disk_mkdir(made->disk, path, TREE_DIR_MODE, e);
    if (rc != 0)
        return rc;
    made->v[made->n++] = xmem_strdup(path);
    return disk_sync_dir(made->disk, parent, e);
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
        if (!disk_exists(made->disk, part))
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
    struct err e = ERR_INIT;
    int rc = 0;

    /* Some may have gone already; one that somebody has put something into stays. */
    for (size_t i = made->n; i > 0 && (rc == 0 || rc == ERR_NOT_FOUND); i--)
        rc = disk_remove(made->disk, made->v[i - 1], &e);
    tree_keep(made);
}

static int remove_at(struct disk *d, const char *path, unsigned depth, struct err *e);

static int remove_below(struct disk *d, const char *path, unsigned depth, struct err *e)
{
    char **names, child[UTL_PATH_BYTES];
    size_t n;
    int rc;

    if (depth == TREE_DEPTH_MAX)
        return err_set(e, ERR_LIMIT, "%s is too deep to be removed", path);
    rc = disk_list(d, path, &names, &n, e);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < n && rc == 0; i++) {
        if ((size_t) snprintf(child, sizeof child, "%s/%s", path, names[i]) >= sizeof child)
            rc = err_set(e, ERR_LIMIT, "the path is longer than %zu bytes", sizeof child);
        else
            rc = remove_at(d, child, depth + 1, e);
    }
    disk_list_free(names, n);
    return rc;
}

/* Tries it for a file, a link or an empty directory first: so no link is ever listed. */
static int remove_at(struct disk *d, const char *path, unsigned depth, struct err *e)
{
    struct err first = ERR_INIT;
    struct disk_stat st;
    int rc = disk_remove(d, path, &first);

    if (rc == 0 || rc == ERR_NOT_FOUND)
        return 0;
    if (disk_stat_path(d, path, &st, NULL) != 0 || !st.is_dir)
        return err_set(e, rc, "%s", first.msg);
    rc = remove_below(d, path, depth, e);
    return rc == 0 ? disk_remove(d, path, e) : rc;
}

int tree_remove(struct disk *d, const char *path, struct err *e)
{
    return remove_at(d, path, 0, e);
}
