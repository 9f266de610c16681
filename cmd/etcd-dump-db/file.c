/* file.c -- the file that is asked for. */
#define _POSIX_C_SOURCE 200809L
#include <time.h>

#include "cli/text.h"
#include "engine/bolt/bolt.h"
#include "etcd-dump-db/dump.h"
#include "sys/clock.h"
#include "sys/disk.h"

#define LOCK_RETRY_NS 50000000 /* as bbolt */

bool dump_path(const struct cli_call *c, char path[DUMP_PATH_BYTES])
{
    const char *arg = c->args[0];
    size_t n = strlen(arg);
    bool is_file = n >= 2 && memcmp(arg + n - 2, "db", 2) == 0;
    struct buf quoted;

    ASSERT(c->arg_count > 0);
    while (!is_file && n > 1 && arg[n - 1] == '/')
        n--;
    snprintf(path, DUMP_PATH_BYTES, is_file ? "%.*s" : "%.*s/member/snap/db", (int) n, arg);
    if (disk_exists(disk_posix(), path))
        return true;
    buf_init(&quoted, DUMP_LINE_BYTES_MAX);
    text_quote(&quoted, bytes_str(path));
    (void) !cli_log_fatal("%s does not exist", buf_cstr(&quoted));
    buf_done(&quoted);
    return false;
}

const char *dump_args(struct cli_call *c)
{
    char *text = arena_printf(&c->arena, "[");

    for (size_t i = 0; i < c->arg_count && text != NULL; i++)
        text = arena_printf(&c->arena, i == 0 ? "%s%s" : "%s %s", text, c->args[i]);
    if (text != NULL)
        text = arena_printf(&c->arena, "%s]", text);
    return text == NULL ? "[]" : text;
}

int dump_open(const char *path, int64_t timeout_ns, struct bolt_db **ret, struct err *e)
{
    struct bolt_options opt = {.read_only = true};
    mono_ns end = clock_mono_ns(clock_posix()) + timeout_ns;
    struct timespec pause = {.tv_nsec = LOCK_RETRY_NS};
    int rc;

    while ((rc = bolt_open(disk_posix(), path, &opt, ret, e)) == ERR_LOCKED) {
        if (timeout_ns > 0 && clock_mono_ns(clock_posix()) > end - LOCK_RETRY_NS)
            return err_set(e, ERR_TIMEOUT, "timeout");
        nanosleep(&pause, NULL);
    }
    return rc;
}
