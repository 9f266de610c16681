#include "etcdutl/restore.h"

#include "etcdutl/utl.h"
#include "sys/disk.h"

#define TMP_NAME "member.tmp" /* in the data directory, until all is whole */

struct restoring {
    const struct restore_config *c;
    struct tree_made made;
    bool wal_elsewhere; /* not below DATA/member, with which it would come into place */
    char member[UTL_PATH_BYTES];
    char tmp[UTL_PATH_BYTES];
    char snap[UTL_PATH_BYTES];
    char db[UTL_PATH_BYTES];
    char wal_tmp[UTL_PATH_BYTES];    /* where the log is made */
    char wal_part[UTL_PATH_BYTES];   /* elsewhere: the directory for that, and for what fails */
    char wal_parent[UTL_PATH_BYTES]; /* of the log's own name */
};

static int join(char ret[UTL_PATH_BYTES], const char *dir, const char *name, struct err *e)
{
    if ((size_t) snprintf(ret, UTL_PATH_BYTES, "%s%s", dir, name) >= UTL_PATH_BYTES)
        return err_set(e, ERR_LIMIT, "the path is longer than %d bytes", UTL_PATH_BYTES);
    return 0;
}

/* ---- before anything is made ---- */

/* A restore that was killed may have left its unfinished work: that counts as nothing. */
static bool holds_nothing(struct disk *d, const char *dir)
{
    char **names;
    size_t n;
    bool nothing = true;

    if (disk_list(d, dir, &names, &n, NULL) != 0)
        return false;
    for (size_t i = 0; i < n; i++)
        nothing = nothing && strcmp(names[i], TMP_NAME) == 0;
    disk_list_free(names, n);
    return nothing;
}

int restore_check_dirs(const struct restore_config *c, struct err *e)
{
    if (disk_exists(c->disk, c->data_dir) && !holds_nothing(c->disk, c->data_dir))
        return err_set(e, ERR_EXISTS, "data-dir \"%s\" not empty or could not be read",
                       c->data_dir);
    if (disk_exists(c->disk, c->wal_dir))
        return err_set(e, ERR_EXISTS, "wal-dir \"%s\" exists", c->wal_dir);
    return 0;
}

/* ---- the work ---- */

/* What follows the directory in the path; NULL: it is not below. */
static const char *below(const char *path, const char *dir)
{
    size_t n = strlen(dir);

    return strncmp(path, dir, n) == 0 && path[n] == '/' ? path + n : NULL;
}

static int name_paths(struct restoring *r, struct err *e)
{
    const char *inside;
    int rc = join(r->member, r->c->data_dir, "/member", e);

    if (rc == 0)
        rc = join(r->tmp, r->c->data_dir, "/" TMP_NAME, e);
    if (rc == 0)
        rc = join(r->snap, r->tmp, "/snap", e);
    if (rc == 0)
        rc = join(r->db, r->snap, "/db", e);
    if (rc != 0)
        return rc;
    inside = below(r->c->wal_dir, r->member);
    r->wal_elsewhere = inside == NULL;
    if (!r->wal_elsewhere)
        return join(r->wal_tmp, r->tmp, inside, e);
    rc = tree_parent(r->c->wal_dir, r->wal_parent, sizeof r->wal_parent, e);
    if (rc == 0)
        rc = join(r->wal_part, r->c->wal_dir, ".part", e);
    return rc == 0 ? join(r->wal_tmp, r->wal_part, "/wal", e) : rc;
}

static int remove_leftovers(struct restoring *r, struct err *e)
{
    int rc = tree_remove(r->c->disk, r->tmp, e);

    return rc == 0 && r->wal_elsewhere ? tree_remove(r->c->disk, r->wal_part, e) : rc;
}

static int make_dirs(struct restoring *r, struct err *e)
{
    char parent[UTL_PATH_BYTES];
    int rc = remove_leftovers(r, e);

    if (rc == 0)
        rc = tree_make(r->c->data_dir, &r->made, e);
    if (rc == 0)
        rc = tree_make(r->snap, &r->made, e);
    if (rc == 0)
        rc = tree_parent(r->wal_tmp, parent, sizeof parent, e);
    return rc == 0 ? tree_make(parent, &r->made, e) : rc;
}

static int put_log_in_place(struct restoring *r, struct err *e)
{
    struct disk *d = r->c->disk;
    int rc = disk_rename(d, r->wal_tmp, r->c->wal_dir, e);

    if (rc == 0)
        rc = disk_remove(d, r->wal_part, e);
    return rc == 0 ? disk_sync_dir(d, r->wal_parent, e) : rc;
}

/* Everything is on the disk; now it gets its names.  The log first: a server that finds a log and
 * no database says so, one that finds a database and no log would begin a new cluster. */
static int put_in_place(struct restoring *r, struct err *e)
{
    struct disk *d = r->c->disk;
    int rc = disk_sync_dir(d, r->snap, e);

    if (rc == 0)
        rc = disk_sync_dir(d, r->tmp, e);
    if (rc == 0 && r->wal_elsewhere)
        rc = put_log_in_place(r, e);
    if (rc == 0)
        rc = disk_rename(d, r->tmp, r->member, e);
    return rc == 0 ? disk_sync_dir(d, r->c->data_dir, e) : rc;
}

static int build(struct restoring *r, struct err *e)
{
    int rc = restore_copy(r->c, NULL, e); /* what its length says, before anything is made */

    if (rc == 0)
        rc = make_dirs(r, e);
    if (rc == 0)
        rc = restore_copy(r->c, r->db, e);
    if (rc == 0)
        rc = restore_adapt(r->c, r->db, e);
    if (rc == 0)
        rc = restore_log(r->c, r->wal_tmp, r->snap, e);
    return rc == 0 ? put_in_place(r, e) : rc;
}

/* Nothing existed at these places before, so all of it is ours. */
static void take_away(struct restoring *r)
{
    struct err e = ERR_INIT;
    int rc = remove_leftovers(r, &e);

    if (rc == 0 && r->wal_elsewhere)
        rc = tree_remove(r->c->disk, r->c->wal_dir, &e);
    if (rc == 0)
        rc = tree_remove(r->c->disk, r->member, &e);
    if (rc != 0)
        LOG_WARN(utl_log, "what was made could not be removed", F_ERR(&e));
    tree_unmake(&r->made);
}

int restore_run(const struct restore_config *c, struct err *e)
{
    struct restoring r = {.c = c, .made.disk = c->disk};
    int rc = name_paths(&r, e);

    if (rc != 0)
        return rc;
    rc = build(&r, e);
    if (rc == 0)
        tree_keep(&r.made);
    else
        take_away(&r);
    return rc;
}
