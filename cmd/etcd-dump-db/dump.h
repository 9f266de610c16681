/* dump.h -- what the files of etcd-dump-db share. */
#ifndef KETCH_CMD_ETCD_DUMP_DB_DUMP_H
#define KETCH_CMD_ETCD_DUMP_DB_DUMP_H

#include "base/buf.h"
#include "base/err.h"
#include "cli/command.h"

struct bolt_db;

/* Output is collected up to this much, then written. */
#define DUMP_OUT_BYTES (64 << 10)
/* One line may be long: a value of 2 GiB is escaped to four times as much. */
#define DUMP_LINE_BYTES_MAX (SIZE_MAX / 2)

/* ---- file.c ---- */

#define DUMP_PATH_BYTES 4096

/* The db file that the first argument names: itself when it ends in "db", else member/snap/db in
 * that directory.  False, after words on stderr, when it does not exist. */
bool dump_path(const struct cli_call *c, char path[DUMP_PATH_BYTES]);

/* The arguments as Go prints a list: "[db key]". */
const char *dump_args(struct cli_call *c);

/* Opens the file for reading; waits for its lock for timeout_ns (0: for ever).  ERR_TIMEOUT
 * "timeout". */
NODISCARD int dump_open(const char *path, int64_t timeout_ns, struct bolt_db **ret, struct err *e);

/* ---- decode.c ---- */

/* Appends the decoded line of a pair, newline included, as the bucket has it; `key=..., value=...`
 * for buckets without a decoder.  ERR_CORRUPT: it cannot be decoded. */
NODISCARD int dump_decode(struct buf *out, struct bytes bucket, struct bytes key,
                          struct bytes value, struct err *e);
void dump_plain(struct buf *out, struct bytes key, struct bytes value);

/* Whether the key is that of a revision, 17 or 18 bytes; then *ret_main, and a line without
 * newline. */
bool dump_is_revision(struct bytes key, int64_t *ret_main);
NODISCARD int dump_revision(struct buf *out, struct bytes key, struct bytes value, struct err *e);

/* A value that cannot be decoded ends the program as it ends etcd's: with status 2. */
NODISCARD int dump_panic(const struct err *e);

/* ---- the commands ---- */

extern const struct cli_command list_bucket_command;
extern const struct cli_command iterate_bucket_command;
extern const struct cli_command hash_command;
extern const struct cli_command scan_keys_command;

#endif
