/* cmd_defrag.c -- a database without holes, in place of the one that is there. */
#include "cli/progress.h"
#include "cli/text.h"
#include "etcdutl/utl.h"
#include "state/store/store.h"
#include "sys/disk.h"

#define STEP_RECORDS 10000

static const struct cli_flag flags[] = {
    {.name = "data-dir",
     .type = CLI_STRING,
     .help = "required: the data directory, of a member that is not running",
     .required = true},
};

struct sizes {
    uint64_t all;
    uint64_t in_use;
};

static struct sizes sizes_of(const struct store *s)
{
    return (struct sizes){store_db_size(s), store_db_size_in_use(s)};
}

struct human {
    char text[32];
};

static struct human human_of(uint64_t n)
{
    struct human h;
    struct buf b;

    buf_init(&b, sizeof h.text);
    text_human_bytes(&b, n);
    snprintf(h.text, sizeof h.text, "%s", buf_cstr(&b));
    buf_done(&b);
    return h;
}

static void log_end(const char *path, struct sizes was, struct sizes is, mono_ns took)
{
    LOG_INFO(utl_log, "finished defragmenting directory", F_STR("path", path),
             F_I64("current-db-size-bytes-diff", (int64_t) (is.all - was.all)),
             F_U64("current-db-size-bytes", is.all),
             F_STR("current-db-size", human_of(is.all).text),
             F_I64("current-db-size-in-use-bytes-diff", (int64_t) (is.in_use - was.in_use)),
             F_U64("current-db-size-in-use-bytes", is.in_use),
             F_STR("current-db-size-in-use", human_of(is.in_use).text), F_NS("took", took));
}

static int copy(struct store *s, struct err *e)
{
    struct store_defrag *d = NULL;
    struct progress p;
    bool done = false;
    int rc = store_defrag_begin(s, &d, e);

    if (rc != 0)
        return rc;
    progress_begin(&p, "defragmenting", 0);
    while (rc == 0 && !done) {
        rc = store_defrag_step(d, STEP_RECORDS, &done, e);
        progress_add(&p, STORE_DEFRAG_STEP_BYTES);
    }
    progress_end(&p);
    store_defrag_end(d);
    return rc;
}

static int defrag(struct store *s, const char *path, struct err *e)
{
    mono_ns began = clock_mono_ns(clock_posix());
    struct sizes was = sizes_of(s);
    int rc;

    LOG_INFO(utl_log, "defragmenting", F_STR("path", path), F_U64("current-db-size-bytes", was.all),
             F_STR("current-db-size", human_of(was.all).text),
             F_U64("current-db-size-in-use-bytes", was.in_use),
             F_STR("current-db-size-in-use", human_of(was.in_use).text));
    rc = copy(s, e);
    if (rc == 0)
        log_end(path, was, sizes_of(s), clock_mono_ns(clock_posix()) - began);
    return rc;
}

static int open_store(const char *path, int64_t timeout_ns, struct store **ret, struct err *e)
{
    struct store_config cfg = {.disk = disk_posix(), .path = path};
    struct utl_wait w = utl_wait_for(timeout_ns);
    int rc = utl_wait_unlocked(path, false, timeout_ns, e);

    if (rc != 0)
        return rc;
    while ((rc = store_open(&cfg, ret, e)) == ERR_LOCKED) {
        if (!utl_wait(&w))
            return err_set(e, ERR_TIMEOUT, "timeout");
    }
    return rc;
}

static int defrag_run(struct cli_call *c)
{
    const char *dir = cli_string(c, "data-dir");
    char path[UTL_PATH_BYTES];
    struct err e = ERR_INIT;
    struct store *s = NULL;
    int rc = utl_db_path(dir, path, &e);

    if (rc == 0)
        rc = utl_stat(path, &e);
    if (rc != 0)
        return cli_fail(UTL_ERROR, "Failed to defragment etcd data[%s] (%s)", dir, e.msg);
    rc = open_store(path, cli_int(c, "timeout"), &s, &e);
    if (rc != 0)
        return utl_panic(path, &e);
    rc = defrag(s, path, &e);
    store_close(s);
    return rc == 0 ? UTL_OK
                   : cli_fail(UTL_ERROR, "Failed to defragment etcd data[%s] (%s)", dir, e.msg);
}

const struct cli_command defrag_command = {
    .use = "defrag",
    .brief = "Writes the database of a data directory anew, without the room it no longer uses",
    .about = "",
    CLI_FLAGS(flags),
    .run = defrag_run,
};
