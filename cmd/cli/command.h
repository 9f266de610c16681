/* command.h -- a tree of commands with the outward behaviour of cobra, shared by all our tools.
 *
 *     static const struct cli_flag hash_flags[] = {{.name = "rev", .type = CLI_INT, .help =
 * "..."}}; static const struct cli_command hash = {.use = "hash <file>", .brief = "...",
 * CLI_FLAGS(hash_flags), .run = hash_run}; static const struct cli_command *const subs[] = {&hash,
 * &cli_help_command}; static const struct cli_command root = {.use = "tool", .about = "...",
 * CLI_SUBS(subs)}; int main(int argc, char **argv) { return cli_main(&(struct cli_program){.root =
 * &root}, argc, argv); }
 *
 * A command without `run` only holds others: named alone, or with a word that is none of them, it
 * prints its help page and exits 0.  Every command understands -h and --help.  Help pages are
 * written from the tables.
 *
 * Inside `run`: cli_bool(c, "prefix") and the like read flags by name (asking for a flag that the
 * command has not, or by another type, is a programmer's error and asserts); c->args are the words
 * that are no flags.  `run` returns the exit status.
 *
 * Threads: one at a time.   Memory: a call owns an arena; argv is borrowed for its lifetime.
 */
#ifndef KETCH_CMD_CLI_COMMAND_H
#define KETCH_CMD_CLI_COMMAND_H

#include "cli/flags.h"
#include "cli/words.h"

#define CLI_DEPTH_MAX 4  /* root, command, subcommand, and one to spare */
#define CLI_SUBS_MAX 64  /* commands of one parent */
#define CLI_FLAGS_MAX 64 /* own and inherited flags of one command */
#define CLI_PAGE_BYTES_MAX (1 << 20)
#define CLI_CALL_BYTES_MAX (16 << 20) /* arguments and flag values of one call */

struct cli_call;

struct cli_command {
    const char *use;     /* "get [options] <key> [range_end]": the first word is the name */
    const char *brief;   /* one line, for the parent's list */
    const char *about;   /* what the help page begins with; NULL: brief */
    const char *example; /* NULL: none */
    const char *group;   /* heading in the parent's list; NULL: "Available Commands:" */
    const struct cli_flag *flags;
    size_t flag_count;
    const struct cli_command *const *subs; /* in the order in which suggestions name them */
    size_t sub_count;
    int (*run)(struct cli_call *c);
    /* Words that the command takes, checked before run ("accepts 1 arg(s), received 0"); both 0:
     * not checked. args_valid: words to choose from, NULL-terminated, or NULL. */
    size_t args_min;
    size_t args_max;
    const char *const *args_valid;
    bool hidden;
};

#define CLI_FLAGS(a) .flags = (a), .flag_count = ARRAY_LEN(a)
#define CLI_SUBS(a) .subs = (a), .sub_count = ARRAY_LEN(a)

/* How a parse error is repeated after the first "Error: ..." line and the usage block. */
enum cli_error_style {
    CLI_ERROR_ONCE,         /* etcdctl */
    CLI_ERROR_AGAIN_STDERR, /* etcdutl: the "Error: ..." line once more */
    CLI_ERROR_AGAIN_STDOUT, /* etcd-dump-db: the text alone, on stdout */
    CLI_ERROR_AGAIN_NO_EOL, /* etcd gateway: the text alone, on stderr, without an end of line */
    CLI_ERROR_USAGE_ONLY,   /* lines of a batch (txn): the caller words the error */
    CLI_ERROR_SILENT,       /* the caller words everything, from the call's error */
};

struct cli_program {
    const struct cli_command *root;
    enum cli_error_style error_style;
    bool prefix_match; /* command names may be shortened to an unambiguous prefix */
    /* Headings for the root's list, in their order, NULL-terminated; NULL: one list.  With them the
     * root's page does not show --help. */
    const char *const *groups;
    const char *hint; /* last line of help pages; NULL: none */
    int usage_status; /* exit status of parse errors; 0 means 1 */
    void *user;       /* the tool's own */
};

struct cli_call {
    const struct cli_program *program;
    const struct cli_command *path[CLI_DEPTH_MAX]; /* root first */
    size_t depth;                                  /* >= 1 */
    struct cli_value values[CLI_FLAGS_MAX + 1];    /* own flags first, then inherited ones */
    size_t value_count;
    size_t own_count; /* values before this one are the command's own */
    const char **args;
    size_t arg_count;
    int dash_at;               /* how many args stood before "--"; -1 without one */
    const struct words *words; /* NULL, or the line whose words argv held (words.h) */
    struct arena arena;
    struct err err; /* what was wrong with the command line */
};

static inline const struct cli_command *cli_command(const struct cli_call *c)
{
    return c->path[c->depth - 1];
}

enum cli_verdict {
    CLI_RUN,  /* a command was found and its line is in order: run it */
    CLI_DONE, /* help was printed, or an error: exit with *ret_status */
};

/* Understands argv (without the program's name).  Text for the two streams is appended to `out` and
 * `errs`.  The call must be given to cli_call_done in both cases. */
enum cli_verdict cli_parse(const struct cli_program *p, size_t argc, const char *const *argv,
                           struct cli_call *c, struct buf *out, struct buf *errs, int *ret_status);
void cli_call_done(struct cli_call *c);

/* Parse, print, run; returns the exit status for main. */
int cli_main(const struct cli_program *p, int argc, char **argv);

/* An argument with its true length: words of a line may hold NUL bytes. */
struct bytes cli_arg(const struct cli_call *c, size_t i);

bool cli_has(const struct cli_call *c, const char *flag);     /* does the command know it? */
bool cli_changed(const struct cli_call *c, const char *flag); /* was it given? */
bool cli_bool(const struct cli_call *c, const char *flag);
const char *cli_string(const struct cli_call *c, const char *flag);
int64_t cli_int(const struct cli_call *c, const char *flag); /* CLI_INT and CLI_DURATION */
uint64_t cli_uint(const struct cli_call *c, const char *flag);
double cli_float(const struct cli_call *c, const char *flag);
const struct cli_value *cli_value(const struct cli_call *c, const char *flag);

/* "etcdctl lease grant" */
void cli_command_path(const struct cli_call *c, struct buf *out);
/* The help page of the call's command; the same without description and hint (as after an error).
 */
void cli_help_page(const struct cli_call *c, struct buf *out);
void cli_usage(const struct cli_call *c, struct buf *out);

/* `help [command]` for any tool. */
extern const struct cli_command cli_help_command;

/* `completion SHELL` for any tool: a script that asks the tool itself, by its hidden command
 * __complete, which a tool with this command in its tree understands. */
extern const struct cli_command cli_completion_command;

/* Appends the name of a command (the first word of `use`) to a buffer or compares it. */
struct bytes cli_command_name(const struct cli_command *cmd);

/* ---- output ---- */

/* Writes all of the buffer to the stream now and clears it.  Dies quietly of a closed pipe, as Go
 * programs do on stdout and stderr. */
void cli_write(FILE *f, struct buf *b);

/* "Error: TEXT\n" on stderr; returns `status`, so that `return cli_fail(128, ...)` reads well. */
NODISCARD int cli_fail(int status, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* A line of Go's log package on stderr, "2026/01/02 15:04:05 TEXT" in local time; returns status 1.
 */
NODISCARD int cli_log_fatal(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
