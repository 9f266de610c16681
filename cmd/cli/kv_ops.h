/* kv_ops.h -- the arguments and flags of put, get and del, made into requests.
 *
 * The commands of etcdctl and the request lines of its txn share them.  Each function returns 0, or
 * the exit status with the words in *e.
 *
 * Memory: requests point into the call and the arena.
 */
#ifndef KETCH_CMD_CLI_KV_OPS_H
#define KETCH_CMD_CLI_KV_OPS_H

#include <rpc.pb-c.h>

#include "base/arena.h"
#include "cli/command.h"

/* Exit statuses of etcdctl. */
enum ctl_status {
    CTL_OK = 0,
    CTL_ERROR = 1,
    CTL_BAD_CONNECTION = 2,
    CTL_INVALID_INPUT = 3,
    CTL_BAD_FEATURE = 4,
    CTL_INTERRUPTED = 5,
    CTL_BAD_ARGS = 128,
};

/* Puts the words into *e and returns the exit status. */
int kv_wrong(struct err *e, enum ctl_status status, const char *fmt, ...) PRINTF_LIKE(3, 4);

#define KV_PUT_USE "put [options] <key> <value> (<value> can also be given from stdin)"
#define KV_GET_USE "get [options] <key> [range_end]"
#define KV_DEL_USE "del [options] <key> [range_end]"

#define KV_PUT_FLAG_COUNT 4
#define KV_GET_FLAG_COUNT 15
#define KV_DEL_FLAG_COUNT 4
extern const struct cli_flag kv_put_flags[KV_PUT_FLAG_COUNT];
extern const struct cli_flag kv_get_flags[KV_GET_FLAG_COUNT];
extern const struct cli_flag kv_del_flags[KV_DEL_FLAG_COUNT];

/* The rest of standard input, where a value may come from. */
struct kv_input {
    /* Appends all of it; false when that fails. */
    bool (*read_all)(struct kv_input *in, struct buf *out);
};

NODISCARD int kv_put_request(const struct cli_call *c, struct kv_input *in, struct arena *a,
                             Etcdserverpb__PutRequest *ret, struct err *e);
NODISCARD int kv_get_request(const struct cli_call *c, struct arena *a,
                             Etcdserverpb__RangeRequest *ret, struct err *e);

/* *ret_warn: a range was named without --range; the user is to be warned and given time. */
NODISCARD int kv_del_request(const struct cli_call *c, struct arena *a,
                             Etcdserverpb__DeleteRangeRequest *ret, bool *ret_warn, struct err *e);

/* The warning of del, on stderr, and two seconds in which to think again. */
void kv_del_wait(const struct cli_call *c);

/* The end of the range of all keys with this prefix; one zero byte when there is none. */
struct bytes kv_prefix_end(struct bytes prefix, struct arena *a);

/* A lease or member identifier in hexadecimal; Go's words in *e. */
NODISCARD int kv_parse_lease(const char *s, int64_t *ret, struct err *e);

#endif
