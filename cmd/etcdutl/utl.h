/* utl.h -- what the files of etcdutl share. */
#ifndef KETCH_CMD_ETCDUTL_UTL_H
#define KETCH_CMD_ETCDUTL_UTL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "cli/command.h"
#include "obs/log.h"

struct bolt_db;
struct bolt_options;

/* Exit statuses, as etcd's tool has them. */
enum {
    UTL_OK = 0,
    UTL_ERROR = 1,
    UTL_PANIC = 2, /* a database that cannot be opened: etcd's tool panics */
    UTL_BAD_FORMAT = 4,
    UTL_BAD_ARGS = 128,
};

#define UTL_PATH_BYTES 4096
#define UTL_ARENA_BYTES_MAX ((size_t) 64 << 20)

/* Lines on stderr in zap's console form; NULL (no memory) is silent. */
extern struct log *utl_log;

/* ---- file.c: files that another process may have ---- */

/* DIR/member/snap/db.  ERR_LIMIT when the path is too long. */
NODISCARD int utl_db_path(const char *dir, char ret[UTL_PATH_BYTES], struct err *e);

/* Whether it is there, in Go's words: "stat PATH: no such file or directory". */
NODISCARD int utl_stat(const char *path, struct err *e);

/* errno in Go's words, e.g. "no such file or directory". */
void utl_errno_text(int errnum, char *ret, size_t n);

/* Waiting for a file's lock: `while (rc == ERR_LOCKED && utl_wait(&w)) try again`.  timeout_ns 0:
 * for ever. */
struct utl_wait {
    int64_t end_ns; /* 0: never */
};

struct utl_wait utl_wait_for(int64_t timeout_ns);
bool utl_wait(struct utl_wait *w); /* sleeps a little; false: the time is over */

/* Opens the database, waiting for its lock.  ERR_TIMEOUT "timeout". */
NODISCARD int utl_open(const char *path, const struct bolt_options *opt, int64_t timeout_ns,
                       struct bolt_db **ret, struct err *e);

/* Waits until nobody has the file locked (for writing when `shared`).  Others may lock it again at
 * once; this is for what must not be begun beside a running member. */
NODISCARD int utl_wait_unlocked(const char *path, bool shared, int64_t timeout_ns, struct err *e);

/* What etcd's tool says of a database that it cannot open; returns UTL_PANIC. */
NODISCARD int utl_panic(const char *path, const struct err *e);

/* ---- report.c: snapshot status and hashkv print alike ---- */

/* One row of values under names that depend on the format. */
struct utl_column {
    const char *json;   /* "totalKey" */
    const char *fields; /* "Keys" */
    const char *table;  /* "total keys" */
    const char *exact;  /* the value where numbers are numbers */
    const char *shown;  /* the value for simple and table */
    bool text;          /* a string in JSON */
};

/* The format that -w asks for.  False, with *ret_status, when there is no such format. */
bool utl_format(const struct cli_call *c, int *ret_status);
NODISCARD int utl_report(const struct cli_call *c, const struct utl_column *v, size_t n);

/* ---- the commands ---- */

extern const struct cli_command snapshot_command;
extern const struct cli_command restore_command;
extern const struct cli_command status_command;
extern const struct cli_command defrag_command;
extern const struct cli_command hashkv_command;
extern const struct cli_command migrate_command;
extern const struct cli_command version_command;

#endif
