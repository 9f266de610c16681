/* cmd_restore.c -- snapshot restore: its flags, and what is said about them. */
#include "etcdutl/restore.h"
#include "etcdutl/utl.h"
#include "sys/disk.h"

static const struct cli_flag flags[] = {
    {.name = "data-dir", .type = CLI_STRING, .help = "the data directory to make"},
    {.name = "wal-dir",
     .type = CLI_STRING,
     .help = "where the write-ahead log is to lie, if not in the data directory"},
    {.name = "name", .type = CLI_STRING, .def = "default", .help = "the name of this member"},
    {.name = "initial-cluster",
     .type = CLI_STRING,
     .def = "default=http://localhost:2380",
     .help = "all members of the new cluster, as NAME=URL, comma separated"},
    {.name = "initial-cluster-token",
     .type = CLI_STRING,
     .def = "etcd-cluster",
     .help = "what tells this cluster from others with the same URLs"},
    {.name = "initial-advertise-peer-urls",
     .type = CLI_STRING,
     .def = "http://localhost:2380",
     .help = "the peer URLs of this member, comma separated"},
    {.name = "skip-hash-check",
     .type = CLI_BOOL,
     .help = "take the file without looking at its hash (for a file copied out of a data "
             "directory, which has none)"},
    {.name = "initial-memory-map-size",
     .type = CLI_UINT,
     .def = "10737418240",
     .help = "bytes of address space for the database while it is written, 0 for little"},
    {.name = "bump-revision",
     .type = CLI_UINT,
     .help = "by how much the newest revision is raised"},
    {.name = "mark-compacted",
     .type = CLI_BOOL,
     .help = "have everything before the raised revision compacted (goes with --bump-revision)"},
};

static void log_about(const char *msg, const struct restore_config *c, const char *snap_dir)
{
    LOG_INFO(utl_log, msg, F_STR("path", c->snapshot), F_STR("wal-dir", c->wal_dir),
             F_STR("data-dir", c->data_dir), F_STR("snap-dir", snap_dir),
             F_U64("initial-memory-map-size", c->map_bytes));
}

static int restore(struct cli_call *call, struct restore_config *c, struct err *e)
{
    char *snap_dir = arena_printf(&call->arena, "%s/member/snap", c->data_dir);
    int rc = restore_check_dirs(c, e);

    if (snap_dir == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    if (rc != 0)
        return rc;
    log_about("restoring snapshot", c, snap_dir);
    rc = restore_run(c, e);
    if (rc == 0)
        log_about("restored snapshot", c, snap_dir);
    return rc;
}

/* The paths as they are shown: without the slashes at the end, as Go cleans them. */
static const char *cleaned(struct cli_call *call, const char *path)
{
    size_t n = strlen(path);

    while (n > 1 && path[n - 1] == '/')
        n--;
    return arena_printf(&call->arena, "%.*s", (int) n, path);
}

static int name_dirs(struct cli_call *call, struct restore_config *c, struct err *e)
{
    const char *data = cli_string(call, "data-dir"), *wal = cli_string(call, "wal-dir");

    c->data_dir = *data == 0 ? arena_printf(&call->arena, "%s.etcd", cli_string(call, "name"))
                             : cleaned(call, data);
    if (c->data_dir == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    c->wal_dir = *wal == 0 ? arena_printf(&call->arena, "%s/member/wal", c->data_dir)
                           : cleaned(call, wal);
    return c->wal_dir == NULL ? err_set(e, ERR_NOMEM, "out of memory") : 0;
}

static int restore_run_command(struct cli_call *call)
{
    struct initial_flags in = {.name = cli_string(call, "name"),
                               .cluster = cli_string(call, "initial-cluster"),
                               .token = cli_string(call, "initial-cluster-token"),
                               .peer_urls = cli_string(call, "initial-advertise-peer-urls")};
    struct restore_config c = {.disk = disk_posix(),
                               .bump = cli_uint(call, "bump-revision"),
                               .skip_hash_check = cli_bool(call, "skip-hash-check"),
                               .map_bytes = cli_uint(call, "initial-memory-map-size")};
    struct initial initial;
    struct err e = ERR_INIT;
    struct arena arena;
    int rc;

    if (call->arg_count != 1)
        return cli_fail(UTL_BAD_ARGS, "snapshot restore requires exactly one argument");
    if ((c.bump > 0) != cli_bool(call, "mark-compacted"))
        return cli_fail(UTL_BAD_ARGS, "--mark-compacted required if --revision-bump > 0");
    c.snapshot = call->args[0];
    c.initial = &initial;
    arena_init(&arena, UTL_ARENA_BYTES_MAX);
    rc = initial_read(&in, &arena, &initial, &e);
    if (rc == 0)
        rc = name_dirs(call, &c, &e);
    if (rc == 0)
        rc = restore(call, &c, &e);
    arena_done(&arena);
    return rc == 0 ? UTL_OK : cli_fail(UTL_ERROR, "%s", e.msg);
}

const struct cli_command restore_command = {
    .use = "restore <filename> --data-dir {output dir} [options]",
    .brief = "Makes the data directory of a member from a snapshot file",
    .about = "",
    CLI_FLAGS(flags),
    .run = restore_run_command,
};
