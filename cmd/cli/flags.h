/* flags.h -- command line flags with the outward behaviour of pflag.
 *
 * A flag is a row of a static table; a parse gives one value per row.  `--name value`,
 * `--name=value`, `-w value`, `-wvalue`, `-w=value`; a boolean takes a value only behind `=`; `--`
 * ends the flags; flags and arguments may be mixed.  A flag given twice keeps the last value,
 * except CLI_STRINGS, which collects (each value is one CSV record).
 *
 * Memory: values live in the arena of the call that holds them.   Threads: one at a time.
 */
#ifndef KETCH_CMD_CLI_FLAGS_H
#define KETCH_CMD_CLI_FLAGS_H

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

#define FLAGS_USAGE_MAX 64            /* flags on one help page */
#define CSV_FIELD_BYTES_MAX (1 << 20) /* one value of a CLI_STRINGS flag */

enum cli_type {
    CLI_BOOL,
    CLI_STRING,
    CLI_STRINGS,  /* comma separated */
    CLI_INT,      /* int64_t; decimal, 0x, 0o, 0b, underscores */
    CLI_UINT,     /* uint64_t, likewise */
    CLI_DURATION, /* Go syntax; nanoseconds */
    CLI_FLOAT,
};

struct cli_flag {
    const char *name;
    char shorthand; /* 0: none */
    enum cli_type type;
    const char *def; /* as a user would type it; NULL: false, 0, empty */
    const char *help;
    bool persistent;           /* also understood by all commands below the one that lists it */
    bool hidden;               /* not shown on help pages */
    bool required;             /* a line without it is an error */
    const char *const *values; /* what shells may offer, NULL-terminated; NULL: files */
};

struct cli_value {
    const struct cli_flag *flag;
    bool changed; /* given on the command line or in the environment */
    bool b;
    int64_t i; /* CLI_INT, CLI_DURATION */
    uint64_t u;
    double f;
    const char *s;
    const char **list; /* CLI_STRINGS */
    size_t list_count;
};

/* Sets the default.  ASSERTs that the table's default parses. */
void cli_value_init(struct cli_value *v, const struct cli_flag *f, struct arena *a);

/* Sets from text (borrowed, must outlive the value).  ERR_INVALID or ERR_LIMIT with Go's words. */
NODISCARD int cli_value_set(struct cli_value *v, const char *text, struct arena *a, struct err *e);

/* The value as pflag prints it: "5s", "[a,b]", "true". */
void cli_value_print(const struct cli_value *v, struct buf *out);

/* The block of help lines for the flags, sorted by name, hidden ones left out unless `show_hidden`.
 */
void cli_flags_usage(const struct cli_flag *const *flags, size_t count, bool show_hidden,
                     struct buf *out);

#endif
