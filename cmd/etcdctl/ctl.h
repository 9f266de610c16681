/* ctl.h -- what the commands of etcdctl share: settings, a client, a printer.
 *
 *     int put_run(struct cli_call *call)
 *     {
 *         struct ctl ctl;
 *         int status = ctl_open(&ctl, call);          (environment, -w, endpoints, login)
 *         if (status == CTL_OK) ...
 *         return ctl_close(&ctl, status);
 *     }
 *
 * Functions that return int return an exit status; when it is not 0 the words are already on
 * stderr.
 */
#ifndef KETCH_CMD_ETCDCTL_CTL_H
#define KETCH_CMD_ETCDCTL_CTL_H

#include <ketch/client.h>

#include "cli/command.h"
#include "cli/kv_ops.h"
#include "cli/print.h"

#define CTL_OUT_BYTES_MAX ((size_t) 1 << 32)     /* one printed answer */
#define CTL_REQUEST_BYTES_MAX ((size_t) 1 << 31) /* arena of one request */
#define CTL_ENDPOINTS_MAX 1024

/* Which servers, over what, as whom. */
struct ctl_target {
    const char *const *endpoints;
    size_t endpoint_count;
    struct ketch_tls_options tls; /* its strings are not NULL, but for server_name */
    const char *token;
    const char *user; /* "": nobody */
    const char *password;
};

struct ctl {
    struct cli_call *call;
    struct ketch_client *client;
    const char *const *endpoints; /* --endpoints, or what --discovery-srv found */
    size_t endpoint_count;
    const char **discovered; /* by DNS */
    size_t discovered_count;
    const char *server_name;         /* that certificates must be for; NULL: the endpoint's host */
    const struct ctl_target *target; /* of the global flags; NULL until the first client */
    struct print_how how;
    struct print_what what;
    struct arena arena; /* of the request */
    struct buf out;
    struct buf errs;
    struct ketch_error error;
};

/* Reads the environment and checks the global flags, as every command does that talks to a server.
 * Call ctl_close in any case. */
NODISCARD int ctl_init(struct ctl *ctl, struct cli_call *call);

/* ctl_init, and a client of all endpoints. */
NODISCARD int ctl_open(struct ctl *ctl, struct cli_call *call);

/* The second half of ctl_open. */
NODISCARD int ctl_open_client(struct ctl *ctl);

/* A client of these endpoints, logged in.  `share`: NULL, or whose loop it uses. */
NODISCARD int ctl_connect(struct ctl *ctl, const char *const *endpoints, size_t n,
                          struct ketch_client *share, struct ketch_client **ret);
/* Likewise, of one endpoint, and nothing is printed: ctl->error says why not. */
NODISCARD int ctl_try_connect(struct ctl *ctl, const char *endpoint, struct ketch_client *share,
                              struct ketch_client **ret);

/* Completes what flags said: whether TLS is asked for, NAME[:PASSWORD] taken apart, the password
 * asked for with `prompt` when there is none.  Lives in ctl's arena; endpoints are added by the
 * caller. */
struct ctl_target *ctl_target(struct ctl *ctl, const struct ctl_target *flags, const char *prompt);
NODISCARD int ctl_connect_to(struct ctl *ctl, const struct ctl_target *t,
                             struct ketch_client *share, struct ketch_client **ret);

/* Writes out what is left, closes; returns `status`. */
int ctl_close(struct ctl *ctl, int status);

/* The endpoints to ask one by one: those given, or with --cluster those of all members.  The
 * strings live in ctl's arena. */
NODISCARD int ctl_endpoints(struct ctl *ctl, const char *const **ret, size_t *ret_n);

/* --command-timeout for the client library: negative when it is already over. */
int64_t ctl_timeout_ms(const struct cli_call *call);

/* "Error: TEXT" of ctl->error. */
NODISCARD int ctl_fail(const struct ctl *ctl, int status);

/* Prints an answer in the chosen format: CTL_PRINT(&ctl, put, response). */
#define CTL_PRINT(ctl, kind, ...)     \
    ((ctl)->how.printer->kind == NULL \
         ? ctl_unsupported(ctl)       \
         : ((ctl)->how.printer->kind(&(ctl)->what, __VA_ARGS__), ctl_flush(ctl)))
NODISCARD int ctl_unsupported(const struct ctl *ctl);
NODISCARD int ctl_flush(struct ctl *ctl);

/* The whole of a command that asks one thing: opens, calls, prints the answer, closes.  `failed` is
 * the status when the call fails.  timeout_ms: 0 for ever. */
typedef int ctl_print_fn(struct ctl *ctl, const ProtobufCMessage *answer);
NODISCARD int ctl_ask(struct cli_call *call, enum ketch_method m, const ProtobufCMessage *request,
                      int64_t timeout_ms, int failed, ctl_print_fn *print);

/* Defines the function that prints an answer of one type. */
#define CTL_PRINT_FN(fn, kind, type)                               \
    static int fn(struct ctl *ctl, const ProtobufCMessage *answer) \
    {                                                              \
        const Etcdserverpb__##type *r = (const void *) answer;     \
                                                                   \
        return CTL_PRINT(ctl, kind, r);                            \
    }

/* The whole of a command that changes users or roles: opens, calls, prints `line` (or the answer in
 * another format), closes.  timeout_ms: 0 for ever. */
NODISCARD int ctl_change(struct cli_call *call, enum ketch_method m,
                         const ProtobufCMessage *request, int64_t timeout_ms, const char *line);

/* An argument as a field of a request, which may not be const; lives as long as the call. */
char *ctl_field(struct cli_call *call, const char *arg);
#define CTL_LINE(call, ...) ((const char *) arena_printf(&(call)->arena, __VA_ARGS__))

/* One of etcd's JSON log lines on stderr.  `logger` may be NULL; `msg` is a literal that needs no
 * escapes; `fields` are further members, such as `"path":"s.db"`, or "". */
void ctl_log(const char *level, const char *logger, const char *caller, const char *msg,
             const char *fields);

/* ---- discovery by DNS (discovery.c) ---- */

/* Sets ctl->endpoints, and ctl->server_name when endpoints without TLS are not accepted. */
NODISCARD int ctl_discover(struct ctl *ctl);

/* ---- the environment (env.c) ---- */

/* Gives inherited flags that were not set the values of ETCDCTL_*; complains as etcdctl does. */
NODISCARD int ctl_read_environment(struct cli_call *call);

/* ---- lines of standard input (input.c) ---- */

struct ctl_input {
    struct kv_input kv;
    struct buf ahead; /* read and not yet taken */
};

void ctl_input_init(struct ctl_input *in);
void ctl_input_done(struct ctl_input *in);

/* The next line without its newline, into `line` (cleared).  False at the end of the input, also
 * behind a last line that has no newline. */
bool ctl_read_line(struct ctl_input *in, struct buf *line);

/* ---- watch_exec.c ---- */

/* Runs the command behind -- for one event, with the event in its environment, and waits for it.
 * False when it failed (and said so). */
bool watch_run_command(const char *const *argv, int64_t revision, const Mvccpb__Event *ev);

/* `role get` (cmd_role.c). */
NODISCARD int role_show(struct ctl *ctl, char *name);

/* ---- the commands ---- */

extern const struct cli_command get_command;
extern const struct cli_command put_command;
extern const struct cli_command del_command;
extern const struct cli_command downgrade_command;
extern const struct cli_command txn_command;
extern const struct cli_command compaction_command;
extern const struct cli_command alarm_command;
extern const struct cli_command defrag_command;
extern const struct cli_command endpoint_command;
extern const struct cli_command move_leader_command;
extern const struct cli_command watch_command;
extern const struct cli_command version_command;
extern const struct cli_command lease_command;
extern const struct cli_command member_command;
extern const struct cli_command snapshot_command;
extern const struct cli_command lock_command;
extern const struct cli_command elect_command;
extern const struct cli_command make_mirror_command;
extern const struct cli_command check_command;
extern const struct cli_command auth_command;
extern const struct cli_command user_command;
extern const struct cli_command role_command;
extern const struct cli_command options_command;

#define GROUP_KV "Key-value commands"
#define GROUP_CLUSTER "Cluster maintenance commands"
#define GROUP_CONCURRENCY "Concurrency commands"
#define GROUP_AUTH "Authentication commands"
#define GROUP_UTILITY "Utility commands"

extern const struct cli_flag global_flags[];
extern const size_t global_flag_count;

#endif
