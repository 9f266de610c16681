/* config.h -- what a member is told: etcd's flags, variables and file, checked, with etcd's texts
 * when refused.
 *
 * Precedence: a configuration file alone counts when one is named; else the command line, then
 * ETCD_ variables, then the defaults.  The table of all flags is config_fields.h.
 *
 *     config_init(&c);
 *     if (config_load(&c, &src, log, &status) != 0) return status;     (everything was said)
 *     ... c.name, c.listen_client_urls.v[0] ...
 *     config_done(&c);
 *
 * Threads: one at a time; read-only once loaded.   Memory: everything lives in the config's arena.
 */
#ifndef KETCH_EDGE_SERVER_CONFIG_H
#define KETCH_EDGE_SERVER_CONFIG_H

#include <stdio.h>

#include "base/arena.h"
#include "base/err.h"
#include "edge/server/config_fields.h"
#include "obs/log.h"

#define CONFIG_FILE_BYTES_MAX 1048576   /* of --config-file */
#define CONFIG_ARENA_BYTES_MAX 33554432 /* all values together */
#define CONFIG_LIST_MAX 1024            /* items of one list */

struct strings {
    const char **v; /* sorted, each once */
    size_t n;
};

/* The C types behind the types of the table. */
typedef const char *config_STRING;
typedef const char *config_STATE;    /* "new" or "existing" */
typedef const char *config_FALLBACK; /* "exit" or "proxy" */
typedef const char *config_V2;
typedef const char *config_LEVEL; /* "3.5", "3.6", "3.7" */
typedef bool config_BOOL;
typedef uint64_t config_UINT;
typedef uint64_t config_UINT64;
typedef uint64_t config_UINT32;
typedef int64_t config_INT;
typedef int64_t config_INT64;
typedef int64_t config_DURATION; /* nanoseconds */
typedef struct strings config_URLS;
typedef struct strings config_ORIGINS;
typedef struct strings config_STRINGS;
typedef struct strings config_NAMES; /* who may come in; given as "": one name, which fits nobody */
typedef const char *config_GATES;    /* as given, already checked: see config_gate */

enum config_type {
    CONFIG_TYPE_STRING,
    CONFIG_TYPE_STATE,
    CONFIG_TYPE_FALLBACK,
    CONFIG_TYPE_V2,
    CONFIG_TYPE_LEVEL,
    CONFIG_TYPE_BOOL,
    CONFIG_TYPE_UINT,
    CONFIG_TYPE_UINT64,
    CONFIG_TYPE_UINT32,
    CONFIG_TYPE_INT,
    CONFIG_TYPE_INT64,
    CONFIG_TYPE_DURATION,
    CONFIG_TYPE_URLS,
    CONFIG_TYPE_ORIGINS,
    CONFIG_TYPE_STRINGS,
    CONFIG_TYPE_NAMES,
    CONFIG_TYPE_GATES,
};

enum config_index {
#define X(type, field, flag, dflt, key, help) CONFIG_##field,
    CONFIG_FIELDS(X)
#undef X
        CONFIG_FIELDS_N,
    CONFIG_FLAGS_END_ = CONFIG_FIELDS_N - 1, /* the file's own come behind the flags */
#define X(type, field, flag, dflt, key, help) CONFIG_##field,
    CONFIG_FILE_FIELDS(X)
#undef X
        CONFIG_KEYS_N
};

struct config {
    struct arena arena;
#define X(type, field, flag, dflt, key, help) config_##type field;
    CONFIG_FIELDS(X)
    CONFIG_FILE_FIELDS(X)
#undef X
    bool given[CONFIG_KEYS_N]; /* set by flag, variable or file */
    bool from_file;

    /* Made of the above by config_check. */
    const char **cluster_names; /* --initial-cluster, one pair per URL */
    const char **cluster_urls;
    size_t cluster_n;
    int64_t retention; /* ns (periodic) or revisions; 0: no auto compaction */
    bool retention_periodic;
    enum log_level level;
    enum log_format format;
    struct log_rotation rotation; /* with --enable-log-rotation */
};

struct config_field {
    const char *flag;
    const char *key; /* in the file, nested keys joined by points; NULL: none */
    const char *dflt;
    const char *help;
    enum config_type type;
    size_t offset;
};

extern const struct config_field config_fields[CONFIG_KEYS_N]; /* the flags first */

/* The field of a flag name, or CONFIG_FIELDS_N. */
size_t config_find(const char *flag, size_t n);

void config_init(struct config *c); /* all defaults; stops the process without memory */
void config_done(struct config *c);

/* Where values come from.  Command line and environment end with NULL. */
struct config_source {
    char *const *argv; /* the program's name first */
    char *const *envp;
    FILE *out; /* help and version */
    FILE *err; /* usage errors */
};

/* Reads, checks and completes the configuration.  0: run.  Otherwise everything has been said, on
 * `out` and `err` or by log lines, and the process ends with *ret_status. */
NODISCARD int config_load(struct config *c, const struct config_source *src, struct log *log,
                          int *ret_status);

/* The parts of config_load. */

/* Sets one field (enum config_index) from text.  On failure the message is Go's reason ("parse
 * error").  Codes, here and below: ERR_INVALID, ERR_LIMIT (too many items, too long), ERR_NOMEM. */
NODISCARD int config_set(struct config *c, size_t field, const char *value, struct err *e);

enum config_parse {
    CONFIG_PARSED,
    CONFIG_HELP,
    CONFIG_USAGE, /* e: the first line to be printed before the usage */
};
/* Leaves the first argument that is not a flag in *ret_rest (NULL: none). */
enum config_parse config_parse_flags(struct config *c, char *const *argv, const char **ret_rest,
                                     struct err *e);

NODISCARD int config_parse_env(struct config *c, char *const *envp, struct log *log, struct err *e);

/* `yaml` is the text of the file.  A bad URL sets *ret_plain: its message goes to standard error as
 * it is. */
NODISCARD int config_parse_yaml(struct config *c, struct bytes yaml, bool *ret_plain,
                                struct err *e);

/* The value of --log-rotation-config-json. */
NODISCARD int config_rotation_parse(const char *text, struct log_rotation *ret, struct err *e);

/* The rules between values, in etcd's order, and the values that follow from others. */
NODISCARD int config_check(struct config *c, struct err *e);
/* What etcd finds out only while it starts ("discovery failed").  The initial cluster is looked at
 * only while the member has no data yet. */
NODISCARD int config_check_start(struct config *c, bool initialized, struct err *e);

/* Behind config_check_start, of a member that has no data yet: this member's URLs in
 * --initial-cluster must be those that it advertises, by text or by address (names are looked up,
 * again and again for time_ms), and no URL may be there twice.  Waits. */
NODISCARD int config_check_peers(struct config *c, struct log *log, int64_t time_ms, struct err *e);

/* Warnings about what was given, and the line "starting an etcd server" with everything in it. */
void config_log_warnings(const struct config *c, struct log *log);
void config_log_start(const struct config *c, bool initialized, struct log *log);

void config_print_usage(FILE *f);
void config_print_help(FILE *f);
void config_print_version(FILE *f, const struct config *c);

/* The version this member reports: "3.7.1", or one of the release that it emulates. */
const char *config_version(const struct config *c);

/* Whether a feature gate is on: --feature-gates, else its default. */
bool config_gate(const struct config *c, const char *name);
/* Checks the syntax and the names.  Walks: see config_gates.c. */
NODISCARD int config_gates_check(const char *value, struct err *e);

struct config_gate_info {
    const char *name;
    bool beta;
    bool dflt;
};
extern const struct config_gate_info config_gates_known[];
extern const size_t config_gates_known_n;

#endif
