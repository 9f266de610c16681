/* etcd-dump-logs -- shows what is in a write-ahead log, without a server. */
#include <signal.h>

#include "cli/command.h"
#include "etcd-dump-logs/dump.h"
#include "etcd-dump-logs/goflag.h"

enum { END_INDEX, ENTRY_TYPE, RAW, START_INDEX, START_SNAP, STREAM_DECODER, WAL_DIR, FLAGS };

static struct goflag flags[FLAGS] = {
    [END_INDEX] = {.name = "end-index",
                   .type = GOFLAG_UINT,
                   .u = UINT64_MAX,
                   .help = "entries from this index on are not shown"},
    [ENTRY_TYPE] = {.name = "entry-type",
                    .type = GOFLAG_STRING,
                    .s = DUMP_TYPES_DEFAULT,
                    .help = "which entries are shown, comma separated:\n"
                            "ConfigChange, Normal, Request, InternalRaftRequest,\n"
                            "IRRRange, IRRPut, IRRDeleteRange, IRRTxn,\n"
                            "IRRCompaction, IRRLeaseGrant, IRRLeaseRevoke, IRRLeaseCheckpoint"},
    [RAW] = {.name = "raw",
             .type = GOFLAG_BOOL,
             .help = "show the records of the log one by one, as they lie there"},
    [START_INDEX] = {.name = "start-index",
                     .type = GOFLAG_UINT,
                     .help = "the first entry to show; without it, the one behind the snapshot"},
    [START_SNAP] = {.name = "start-snap",
                    .type = GOFLAG_STRING,
                    .s = "",
                    .help =
                        "the name of the snapshot file to begin behind; without it, the newest"},
    [STREAM_DECODER] = {.name = "stream-decoder",
                        .type = GOFLAG_STRING,
                        .s = "",
                        .help = "a program that is given the data of each entry shown, a line in "
                                "hex,\nand answers each with one line STATUS|DATA"},
    [WAL_DIR] = {.name = "wal-dir",
                 .type = GOFLAG_STRING,
                 .s = "",
                 .help = "where the log lies, if not in DATADIR/member/wal"},
};

void dump_flush(struct buf *out, bool all)
{
    if (out->failed) {
        (void) !cli_log_fatal("out of memory for a line");
        exit(1);
    }
    if (all || out->len >= DUMP_OUT_BYTES)
        cli_write(stdout, out);
}

/* As Go prints a list: "[a b]". */
static int wrong_arguments(size_t n, char **v)
{
    struct buf list;
    int status;

    buf_init(&list, CLI_PAGE_BYTES_MAX);
    for (size_t i = 0; i < n; i++)
        buf_printf(&list, i == 0 ? "%s" : " %s", v[i]);
    status = cli_log_fatal("Must provide data-dir argument (got [%s])", buf_cstr(&list));
    buf_done(&list);
    return status;
}

static bool name_dirs(struct dump_options *o, const char *data_dir)
{
    size_t n = strlen(data_dir);
    int wal, snap;

    while (n > 1 && data_dir[n - 1] == '/')
        n--;
    snap = snprintf(o->snap_dir, DUMP_PATH_BYTES, "%.*s/member/snap", (int) n, data_dir);
    if (*flags[WAL_DIR].s != 0)
        wal = snprintf(o->wal_dir, DUMP_PATH_BYTES, "%s", flags[WAL_DIR].s);
    else
        wal = snprintf(o->wal_dir, DUMP_PATH_BYTES, "%.*s/member/wal", (int) n, data_dir);
    return snap < DUMP_PATH_BYTES && wal < DUMP_PATH_BYTES;
}

static int run(const struct dump_options *o, struct buf *out)
{
    struct dump_start start = {0};

    if (flags[RAW].b && (*o->start_snap != 0 || strcmp(o->entry_types, DUMP_TYPES_DEFAULT) != 0 ||
                         *o->decoder != 0))
        return cli_log_fatal("Flags --entry-type, --stream-decoder, --entrytype not supported in "
                             "the RAW mode.");
    if (flags[RAW].b)
        return dump_raw(o, out);
    if (o->from_index) {
        buf_printf(out, "Start dumping log entries from index %" PRIu64 ".\n", o->start_index);
        start.index = o->start_index > 0 ? o->start_index - 1 : 0;
    } else {
        if (!dump_snapshot(o, &start, out))
            return 1;
        buf_add_str(out, "Start dumping log entries from snapshot.\n");
    }
    return dump_entries(o, &start, out);
}

static int dump(int argc, char **argv)
{
    struct dump_options o = {.start_snap = flags[START_SNAP].s,
                             .entry_types = flags[ENTRY_TYPE].s,
                             .decoder = flags[STREAM_DECODER].s,
                             .start_index = flags[START_INDEX].u,
                             .end_index = flags[END_INDEX].u,
                             .from_index = flags[START_INDEX].given};
    struct buf out;
    int status;

    if (argc != 1)
        return wrong_arguments((size_t) argc, argv);
    if (*o.start_snap != 0 && o.start_index != 0)
        return cli_log_fatal("start-snap and start-index flags cannot be used together.");
    if (!name_dirs(&o, argv[0]))
        return cli_log_fatal("the path is longer than %d bytes", DUMP_PATH_BYTES);
    buf_init(&out, DUMP_LINE_BYTES_MAX);
    status = run(&o, &out);
    dump_flush(&out, true);
    buf_done(&out);
    return status;
}

int main(int argc, char **argv)
{
    const char *program = argc > 0 ? argv[0] : "etcd-dump-logs";
    size_t words = argc > 0 ? (size_t) argc - 1 : 0, rest = 0;
    struct buf errs;
    int status;

    signal(SIGPIPE, SIG_IGN); /* a decoder that ends early is an error like others */
    buf_init(&errs, CLI_PAGE_BYTES_MAX);
    status = goflag_parse(program, flags, FLAGS, words, (const char *const *) (argv + 1), &rest,
                          &errs);
    cli_write(stderr, &errs);
    buf_done(&errs);
    return status >= 0 ? status : dump((int) (words - rest), argv + 1 + rest);
}
