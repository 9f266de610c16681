/* log.h -- log lines as etcd writes them: one JSON object (or one tab-separated line) per event.
 *
 * A line is a fixed text plus typed fields; the text never carries values, so that tools and tests
 * can look for it.  Usage:
 *
 *     LOG_INFO(l, "opened backend db", F_STR("path", path), F_NS("took", took));
 *     LOG_WARN(l, "invalid alarm");
 *
 * Keys of a line, in order: level, ts, logger (named loggers only), caller, msg, the fields as
 * given, stacktrace (error and above).  Per second, level and text the first LOG_SAMPLE_FIRST lines
 * are written and then every LOG_SAMPLE_THEREAFTER-th.  The journal gets every line, without
 * stacktraces.
 *
 * A line is composed in a bounded buffer of the calling thread.  While the writer thread runs
 * (log_start to log_stop) it is queued, at most LOG_QUEUE_BYTES_MAX at a time; what does not fit is
 * dropped and counted, so a sink that blocks never holds up a request.  Before and after, lines are
 * written at once.  LOG_FATAL and LOG_PANIC wait for the queue to be written (at most
 * LOG_FLUSH_MS_MAX) and end the process with status 1 and 2.
 *
 * A NULL log swallows everything but still ends the process on LOG_FATAL and LOG_PANIC.
 *
 * Threads: any, but for log_open, log_named, log_start, log_stop and log_close: one at a time, and
 * nobody logs any more when it is closed.   Memory: a field borrows what it points to for the time
 * of the call; source files' names, and names of loggers, are borrowed for ever (literals).
 */
#ifndef KETCH_OBS_LOG_H
#define KETCH_OBS_LOG_H

#include "base/err.h"
#include "sys/clock.h"

#define LOG_LINE_BYTES_MAX 65536    /* longer lines lose their last fields */
#define LOG_VALUE_BYTES_MAX 16384   /* longer strings are cut */
#define LOG_QUEUE_BYTES_MAX 4194304 /* waiting for the writer thread */
#define LOG_FLUSH_MS_MAX 2000
#define LOG_SAMPLE_FIRST 100
#define LOG_SAMPLE_THEREAFTER 100
#define LOG_OUTPUTS_MAX 16

/* Numbers as zap has them. */
enum log_level {
    LOG_LEVEL_DEBUG = -1,
    LOG_LEVEL_INFO = 0,
    LOG_LEVEL_WARN = 1,
    LOG_LEVEL_ERROR = 2,
    LOG_LEVEL_DPANIC = 3,
    LOG_LEVEL_PANIC = 4,
    LOG_LEVEL_FATAL = 5,
};

enum log_format { LOG_FORMAT_JSON, LOG_FORMAT_CONSOLE };

enum log_field_kind {
    LOG_FIELD_SKIP, /* writes nothing: an error that is not there */
    LOG_FIELD_STR,
    LOG_FIELD_BYTES, /* text that may not end in NUL */
    LOG_FIELD_I64,
    LOG_FIELD_U64,
    LOG_FIELD_BOOL,
    LOG_FIELD_HEX, /* an id: a string, lower-case hex without leading zeros */
    LOG_FIELD_NS,  /* a duration: "1.234567ms" */
    LOG_FIELD_WALL_MS,
    LOG_FIELD_STRS,  /* a list of strings */
    LOG_FIELD_TEXTS, /* the same, of texts that may not end in NUL */
    LOG_FIELD_JSON,  /* already JSON, put in as it is */
};

struct log_field {
    const char *key;
    enum log_field_kind kind;
    union {
        const char *str;
        struct bytes bytes;
        int64_t i64;
        uint64_t u64;
        bool b;
        struct {
            const char *const *v;
            size_t n;
        } strs;
        struct {
            const struct bytes *v;
            size_t n;
        } texts;
    };
};

#define F_STR(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_STR, .str = (v)})
#define F_BYTES(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_BYTES, .bytes = (v)})
#define F_I64(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_I64, .i64 = (v)})
#define F_U64(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_U64, .u64 = (v)})
#define F_BOOL(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_BOOL, .b = (v)})
#define F_HEX(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_HEX, .u64 = (v)})
#define F_NS(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_NS, .i64 = (v)})
#define F_MS(k, v) \
    ((struct log_field){.key = (k), .kind = LOG_FIELD_NS, .i64 = (int64_t) (v) *1000000})
#define F_WALL(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_WALL_MS, .i64 = (v)})
#define F_STRS(k, list, count) \
    ((struct log_field){.key = (k), .kind = LOG_FIELD_STRS, .strs = {(list), (count)}})
#define F_TEXTS(k, list, count) \
    ((struct log_field){.key = (k), .kind = LOG_FIELD_TEXTS, .texts = {(list), (count)}})
#define F_JSON(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_JSON, .str = (v)})
/* The words of a struct err *; nothing when it is NULL or holds no error. */
#define F_ERR(e) (log_field_err(e))

struct log_field log_field_err(const struct err *e);

struct log;

/* Where a line comes from: filled in by the macros. */
struct log_site {
    const char *file;
    int line;
    const char *func;
};

/* How a log file is kept small: as lumberjack does, which etcd uses. */
struct log_rotation {
    uint64_t max_bytes;    /* of the file; greater than 0 */
    unsigned max_age_days; /* old files beyond it are removed; 0: no limit */
    unsigned max_backups;  /* so many old files stay; 0: all */
    bool local_time;       /* in the names of old files, instead of UTC */
    bool compress;         /* old files, with gzip */
};

#define LOG_JOURNAL "systemd/journal"

struct log_options {
    enum log_level level; /* lines below it are not composed */
    enum log_format format;
    const char *const *outputs; /* "stderr", "stdout", "default", or paths opened for appending;
                                   "/dev/null" among them discards everything; LOG_JOURNAL
                                   (then the only one): systemd's journal, stderr without it */
    size_t outputs_n;           /* 0: stderr */
    const struct log_rotation *rotation; /* of the paths; NULL: they grow */
    struct clock *clock;
};

/* Returns 0 and stores the log, with nothing running yet; ERR_NOMEM, ERR_LIMIT (too many outputs),
 * or the reason why a path could not be opened ("open sink "P": ..."). */
NODISCARD int log_open(const struct log_options *o, struct log **ret, struct err *e);
void log_close(struct log *l); /* stops the writer, writes what waits; NULL is accepted */

/* A log that writes to the same outputs under a name ("raft"); lives as long as `l`, and goes with
 * it.  NULL without memory or when l is NULL. */
struct log *log_named(struct log *l, const char *name);

/* Starts the writer thread.  Errors are those of thread_start: lines are then written at once, as
 * before. */
NODISCARD int log_start(struct log *l, struct err *e);
void log_stop(struct log *l); /* joins it; lines are written at once again.  NULL is accepted */

/* Lines dropped because the queue was full, and lines left out by sampling, since the start. */
uint64_t log_dropped(const struct log *l);
uint64_t log_sampled(const struct log *l);

bool log_enabled(const struct log *l, enum log_level level);

/* Changes the level for all that share the outputs. */
void log_set_level(struct log *l, enum log_level level);

/* "debug", "INFO", ...: false when unknown. */
bool log_level_parse(const char *s, enum log_level *ret);
const char *log_level_name(enum log_level level);

/* `f` ends with a field whose key is NULL. */
void log_write(struct log *l, enum log_level level, struct log_site at, const char *msg,
               const struct log_field *f);

/* As log_write, then ends the process: status 1 for FATAL, 2 for PANIC. */
NORETURN void log_die(struct log *l, enum log_level level, struct log_site at, const char *msg,
                      const struct log_field *f);

/* A sentinel is put behind the arguments, so that a line may have no fields (C17 has no
 * __VA_OPT__). */
#define LOG_SITE_ ((struct log_site){__FILE__, __LINE__, __func__})
#define LOG_END_ ((struct log_field){.key = NULL})
#define LOG_MSG_(msg, ...) (msg)
#define LOG_FIELDS_(msg, ...) ((const struct log_field[]){__VA_ARGS__})
#define LOG_AT_(l, level, ...)                                                  \
    do {                                                                        \
        if (log_enabled((l), (level)))                                          \
            log_write((l), (level), LOG_SITE_, LOG_MSG_(__VA_ARGS__, LOG_END_), \
                      LOG_FIELDS_(__VA_ARGS__, LOG_END_));                      \
    } while (0)

/* LOG_x(log, "text", fields...) */
#define LOG_DEBUG(l, ...) LOG_AT_(l, LOG_LEVEL_DEBUG, __VA_ARGS__)
#define LOG_INFO(l, ...) LOG_AT_(l, LOG_LEVEL_INFO, __VA_ARGS__)
#define LOG_WARN(l, ...) LOG_AT_(l, LOG_LEVEL_WARN, __VA_ARGS__)
#define LOG_ERROR(l, ...) LOG_AT_(l, LOG_LEVEL_ERROR, __VA_ARGS__)
#define LOG_PANIC(l, ...)                                                     \
    log_die((l), LOG_LEVEL_PANIC, LOG_SITE_, LOG_MSG_(__VA_ARGS__, LOG_END_), \
            LOG_FIELDS_(__VA_ARGS__, LOG_END_))
#define LOG_FATAL(l, ...)                                                     \
    log_die((l), LOG_LEVEL_FATAL, LOG_SITE_, LOG_MSG_(__VA_ARGS__, LOG_END_), \
            LOG_FIELDS_(__VA_ARGS__, LOG_END_))

#endif
