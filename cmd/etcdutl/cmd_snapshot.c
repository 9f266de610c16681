/* cmd_snapshot.c -- snapshot, and snapshot status. */
#include "cli/text.h"
#include "etcdutl/status.h"
#include "etcdutl/utl.h"

#define NUMBER_BYTES 32

static int print_status(const struct cli_call *c, const struct status *s)
{
    char hash[NUMBER_BYTES], hex[NUMBER_BYTES], revision[NUMBER_BYTES], keys[NUMBER_BYTES];
    char bytes[NUMBER_BYTES];
    struct buf human;
    int status;

    snprintf(hash, sizeof hash, "%" PRIu32, s->hash);
    snprintf(hex, sizeof hex, "%" PRIx32, s->hash);
    snprintf(revision, sizeof revision, "%" PRId64, s->revision);
    snprintf(keys, sizeof keys, "%" PRIu64, s->keys);
    snprintf(bytes, sizeof bytes, "%" PRIu64, s->bytes);
    buf_init(&human, NUMBER_BYTES);
    text_human_bytes(&human, s->bytes);
    status = utl_report(c,
                        (const struct utl_column[]){
                            {"hash", "Hash", "hash", hash, hex, false},
                            {"revision", "Revision", "revision", revision, revision, false},
                            {"totalKey", "Keys", "total keys", keys, keys, false},
                            {"totalSize", "Size", "total size", bytes, buf_cstr(&human), false},
                            {"version", "Version", "version", s->version, s->version, true},
                        },
                        5);
    buf_done(&human);
    return status;
}

static int status_run(struct cli_call *c)
{
    struct err e = ERR_INIT;
    struct status s;
    struct buf words;
    int status;

    if (c->arg_count != 1)
        return cli_fail(UTL_BAD_ARGS, "snapshot status requires exactly one argument");
    if (utl_stat(c->args[0], &e) != 0)
        return cli_fail(UTL_ERROR, "%s", e.msg);
    if (!utl_format(c, &status))
        return status;
    buf_init(&words, 2 * STATUS_FINDINGS_BYTES_MAX);
    if (status_read(c->args[0], &s, &words) == 0)
        status = print_status(c, &s);
    else
        status = cli_fail(UTL_ERROR, "%s", buf_cstr(&words));
    buf_done(&words);
    return status;
}

const struct cli_command status_command = {
    .use = "status <filename>",
    .brief = "Shows what a snapshot file holds: hash, revision, keys, size, version",
    .about = "",
    .run = status_run,
};

static const struct cli_command *const subs[] = {&restore_command, &status_command};

const struct cli_command snapshot_command = {
    .use = "snapshot",
    .brief = "Looks at snapshot files, and makes data directories of them",
    .about = "",
    CLI_SUBS(subs),
};
