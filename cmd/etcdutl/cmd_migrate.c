/* cmd_migrate.c -- the storage version of a data directory, so that another release accepts it.
 *
 *     3.5      3.6                       3.7
 *     absent   storageVersion = "3.6.0"  storageVersion = "3.7.0"
 *
 * One step at a time, all in one transaction. */
#include "engine/bolt/bolt.h"
#include "etcdutl/log_version.h"
#include "etcdutl/utl.h"
#include "state/store/buckets.h"
#include "sys/disk.h"

#include "base/endian.h"
#include "cli/text.h"

#define OLDEST CLUSTER_VERSION(3, 5)
#define FIRST_STORED CLUSTER_VERSION(3, 6)
#define NEWEST CLUSTER_VERSION(3, 7)
#define PART_MAX 0x7fff /* of a version: more cannot be held, and no release will have it */

static const struct cli_flag flags[] = {
    {.name = "data-dir", .type = CLI_STRING, .help = "the data directory", .required = true},
    {.name = "target-version",
     .type = CLI_STRING,
     .help = "the release that is to accept it, as X.Y, 3.5 or newer",
     .required = true},
    {.name = "force",
     .type = CLI_BOOL,
     .help = "write the version even where there is no way to it (not recommended)"},
};

struct migration {
    char db_path[UTL_PATH_BYTES];
    char wal_dir[UTL_PATH_BYTES];
    cluster_version target;
    bool force;
    struct bolt_tx *tx;
    struct bolt_bucket meta;
    /* Put, and so borrowed until the commit. */
    char texts[2 * CLUSTER_VERSION_TEXT_BYTES][CLUSTER_VERSION_TEXT_BYTES];
    size_t texts_n;
};

static unsigned major_of(cluster_version v)
{
    return v >> 16;
}

static unsigned minor_of(cluster_version v)
{
    return v & 0xffff;
}

/* ---- --target-version ---- */

static int part_read(const char *s, size_t n, unsigned *ret, struct err *e)
{
    char part[64];
    int64_t v;
    int rc;

    snprintf(part, sizeof part, "%.*s", (int) MIN(n, sizeof part - 1), s);
    rc = text_parse_int(part, 10, &v, e);
    if (rc == 0 && (v < 0 || v > PART_MAX))
        rc = err_set(e, ERR_LIMIT, "strconv.ParseInt: parsing \"%s\": value out of range", part);
    if (rc == 0)
        *ret = (unsigned) v;
    return err_wrap(e, rc, "failed to parse target version");
}

static int target_read(const char *s, cluster_version *ret, struct err *e)
{
    const char *dot = strchr(s, '.');
    unsigned major, minor;
    int rc;

    if (dot == NULL || strchr(dot + 1, '.') != NULL)
        return err_set(e, ERR_INVALID, "wrong target version format, expected \"X.Y\", got \"%s\"",
                       s);
    rc = part_read(s, (size_t) (dot - s), &major, e);
    if (rc == 0)
        rc = part_read(dot + 1, strlen(dot + 1), &minor, e);
    if (rc != 0)
        return rc;
    *ret = CLUSTER_VERSION(major, minor);
    if (*ret < OLDEST)
        return err_set(e, ERR_INVALID, "target version \"%u.%u\" not supported. Minimal \"3.5\"",
                       major, minor);
    return 0;
}

/* ---- the version in the file ---- */

/* Without a version of its own a database is one of 3.5 when it knows its term. */
static int detect(struct migration *m, cluster_version *ret, struct err *e)
{
    struct bytes v;
    int rc = bolt_get(&m->meta, BYTES_LIT(STORE_META_STORAGE_VERSION), &v, e);

    if (rc == 0 && cluster_version_parse(v, ret))
        return 0;
    if (rc == 0 || rc == ERR_NOT_FOUND)
        rc = bolt_get(&m->meta, BYTES_LIT(STORE_META_TERM), &v, e);
    if (rc == 0 && v.n == 8 && be64_get(v.p) != 0) {
        *ret = OLDEST;
        return 0;
    }
    if (rc != 0 && rc != ERR_NOT_FOUND)
        return rc;
    LOG_ERROR(utl_log, "failed to detect storage version. Please make sure you are using data dir "
                       "from etcd v3.5 and older");
    return err_set(e, ERR_INVALID, "missing term information");
}

static int clear_version(struct migration *m, struct err *e)
{
    int rc = bolt_delete(&m->meta, BYTES_LIT(STORE_META_STORAGE_VERSION), e);

    return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int put_version(struct migration *m, cluster_version v, struct err *e)
{
    char *text = m->texts[m->texts_n++];

    ASSERT(m->texts_n <= ARRAY_LEN(m->texts));
    cluster_version_text(v, text);
    return bolt_put(&m->meta, BYTES_LIT(STORE_META_STORAGE_VERSION), bytes_str(text), e);
}

/* ---- the way ---- */

static int check_plan(cluster_version from, cluster_version to, struct err *e)
{
    char was[CLUSTER_VERSION_TEXT_BYTES], wanted[CLUSTER_VERSION_TEXT_BYTES];
    bool up = to > from;
    cluster_version known = up ? NEWEST : OLDEST;

    if (major_of(from) != major_of(to)) {
        cluster_version_text(from, was);
        cluster_version_text(to, wanted);
        LOG_ERROR(utl_log, "Changing major storage version is not supported",
                  F_STR("storage-version", was), F_STR("target-storage-version", wanted));
        return err_set(
            e, ERR_INVALID,
            "cannot create migration plan: changing major storage version is not supported");
    }
    if (up ? to <= known && from >= OLDEST : from <= NEWEST)
        return 0;
    /* The first step that nobody knows: up, the one behind the newest; down, the present one. */
    cluster_version_text(up ? MAX(from, known) + 1 : from, was);
    return err_set(e, ERR_INVALID, "cannot create migration plan: version \"%s\" is not supported",
                   was);
}

static int check_log(const struct migration *m, cluster_version from, cluster_version needed,
                     struct err *e)
{
    char target[CLUSTER_VERSION_TEXT_BYTES], found[CLUSTER_VERSION_TEXT_BYTES];

    if (m->target >= from || m->target >= needed)
        return 0;
    cluster_version_text(m->target, target);
    cluster_version_text(needed, found);
    return err_set(e, ERR_INVALID,
                   "cannot downgrade storage, WAL contains newer entries, as the target version "
                   "(%s) is lower than the version (%s) detected from WAL logs",
                   target, found);
}

static int step(struct migration *m, cluster_version to, struct err *e)
{
    char text[CLUSTER_VERSION_TEXT_BYTES];
    int rc = to < FIRST_STORED ? clear_version(m, e) : put_version(m, to, e);

    cluster_version_text(to, text);
    if (rc == 0)
        LOG_INFO(utl_log, "updated storage version", F_STR("new-storage-version", text));
    return rc;
}

static int force(struct migration *m, const struct err *why, struct err *e)
{
    char text[32];

    LOG_INFO(utl_log, "normal migrate failed, trying with force", F_ERR(why));
    if (m->target < FIRST_STORED) {
        LOG_WARN(utl_log, "forcefully cleared storage version");
        return clear_version(m, e);
    }
    snprintf(text, sizeof text, "%u.%u", major_of(m->target), minor_of(m->target));
    LOG_WARN(utl_log, "forcefully set storage version", F_STR("storage-version", text));
    return put_version(m, m->target, e);
}

static int walk(struct migration *m, cluster_version from, struct err *e)
{
    struct err why = ERR_INIT;
    cluster_version needed = 0;
    int rc = log_version_read(disk_posix(), m->wal_dir, &needed, e);

    if (rc != 0) {
        LOG_ERROR(utl_log, "Failed to finalize config", F_ERR(e));
        return rc;
    }
    rc = check_plan(from, m->target, &why);
    if (rc == 0)
        rc = check_log(m, from, needed, &why);
    if (rc != 0 && !m->force)
        return err_set(e, rc, "%s", why.msg);
    if (rc != 0)
        return force(m, &why, e);
    for (cluster_version v = from; v != m->target && rc == 0;) {
        v = v < m->target ? v + 1 : v - 1;
        rc = step(m, v, e);
    }
    return rc;
}

/* *ret_changed: there is something to commit. */
static int migrate(struct migration *m, bool *ret_changed, struct err *e)
{
    cluster_version from;
    char text[32];
    int rc = bolt_bucket_ensure(m->tx, store_bucket_name(STORE_META), &m->meta, e);

    if (rc == 0)
        rc = detect(m, &from, e);
    if (rc != 0)
        return rc;
    *ret_changed = from != m->target;
    if (*ret_changed)
        return walk(m, from, e);
    snprintf(text, sizeof text, "%u.%u", major_of(from), minor_of(from));
    LOG_INFO(utl_log, "storage version up-to-date", F_STR("storage-version", text));
    return 0;
}

static int in_transaction(struct migration *m, struct bolt_db *db, struct err *e)
{
    bool changed = false;
    int rc = bolt_begin_write(db, &m->tx, e);

    if (rc != 0)
        return rc;
    rc = migrate(m, &changed, e);
    if (rc == 0 && changed)
        return bolt_commit(m->tx, e);
    bolt_rollback(m->tx);
    return rc;
}

/* ---- the command ---- */

static int name_paths(struct migration *m, const char *dir, struct err *e)
{
    size_t n = strlen(dir);

    while (n > 1 && dir[n - 1] == '/')
        n--;
    if (n + sizeof "/member/wal" > sizeof m->wal_dir)
        return err_set(e, ERR_LIMIT, "the path is longer than %zu bytes", sizeof m->wal_dir);
    snprintf(m->wal_dir, sizeof m->wal_dir, "%.*s/member/wal", (int) n, dir);
    return utl_db_path(dir, m->db_path, e);
}

static int migrate_run(struct cli_call *c)
{
    struct migration m = {.force = cli_bool(c, "force")};
    struct bolt_db *db = NULL;
    struct err e = ERR_INIT;
    int rc = target_read(cli_string(c, "target-version"), &m.target, &e);

    if (rc != 0)
        return cli_fail(UTL_BAD_ARGS, "%s", e.msg);
    rc = name_paths(&m, cli_string(c, "data-dir"), &e);
    if (rc == 0)
        rc = utl_stat(m.db_path, &e);
    if (rc != 0)
        return cli_fail(UTL_ERROR, "%s", e.msg);
    rc = utl_open(m.db_path, NULL, cli_int(c, "timeout"), &db, &e);
    if (rc != 0)
        return utl_panic(m.db_path, &e);
    rc = in_transaction(&m, db, &e);
    bolt_close(db);
    return rc == 0 ? UTL_OK : cli_fail(UTL_ERROR, "%s", e.msg);
}

const struct cli_command migrate_command = {
    .use = "migrate",
    .brief = "Makes the files of a data directory fit for another release",
    .about = "",
    CLI_FLAGS(flags),
    .run = migrate_run,
};
