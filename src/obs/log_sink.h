/* log_sink.h -- where lines go: a stream, a file, a file that is rotated, or the journal.  Private
 * to obs.
 *
 * A sink is used by one thread at a time.  A line that cannot be written is lost: there is nowhere
 * left to say so.
 */
#ifndef KETCH_OBS_LOG_SINK_H
#define KETCH_OBS_LOG_SINK_H

#include "obs/log.h"

struct log_sink;

/* `name` as in log_options.outputs; `r` (NULL: none) applies to paths.  ERR_NOMEM, or why the path
 * cannot be opened. */
NODISCARD int log_sink_open(const char *name, const struct log_rotation *r, struct clock *clock,
                            struct log_sink **ret, struct err *e);
/* A whole line with its newline. */
void log_sink_write(struct log_sink *s, enum log_level level, const char *file, const char *line,
                    size_t n);
void log_sink_close(struct log_sink *s);

/* Writes all of it unless the descriptor refuses. */
void log_sink_write_all(int fd, const char *p, size_t n);

/* ---- log_rotate.c ---- */

struct log_rotated;

NODISCARD int log_rotated_open(const char *path, const struct log_rotation *r, struct clock *clock,
                               struct log_rotated **ret, struct err *e);
void log_rotated_write(struct log_rotated *f, const char *line, size_t n);
/* Waits until old files are compressed and removed. */
void log_rotated_close(struct log_rotated *f);

/* ---- log_old_files.c ---- */

#define LOG_STAMP_BYTES 24 /* "2006-01-02T15-04-05.000" with its end */

/* "/d/etcd.log" at a time: "/d/etcd-2006-01-02T15-04-05.000.log".  False: longer than n. */
bool log_old_name(const char *path, wall_ms t, bool local, char *ret, size_t n);
/* Applies max_backups, max_age_days and compress of `r` to the old files beside `path`.  What
 * cannot be done is left for the next time. */
void log_old_files_tidy(const char *path, const struct log_rotation *r, wall_ms now);

/* ---- log_journal.c ---- */

/* A socket to journald; -1: there is none. */
int log_journal_open(const char *socket_path);
/* False: the journal did not take it. */
bool log_journal_send(int fd, enum log_level level, const char *file, const char *line, size_t n);

#endif
