/* progress.h -- how far a long piece of work is: one line on a terminal, drawn over and over.
 *
 * Nothing is written unless stderr is a terminal, and nothing before PROGRESS_QUIET_MS: work that
 * is short needs no line.  The line is taken away at the end, so that what follows begins on a
 * clean one.
 *
 * Threads: one at a time.   Memory: `what` is borrowed until progress_end.
 */
#ifndef KETCH_CMD_CLI_PROGRESS_H
#define KETCH_CMD_CLI_PROGRESS_H

#include "base/base.h"
#include "base/buf.h"

#define PROGRESS_QUIET_MS 500 /* no line before */
#define PROGRESS_EVERY_MS 200 /* between two drawings */

struct progress {
    const char *what; /* "copying the snapshot" */
    uint64_t total;   /* bytes; 0: unknown */
    uint64_t done;
    int64_t began_ms;
    int64_t drawn_ms; /* 0: not yet */
    bool on;          /* stderr is a terminal */
    bool things;      /* `total` and `done` are no bytes */
};

void progress_begin(struct progress *p, const char *what, uint64_t total);
/* The same of things, of which `total` is never 0: "writing keys: 31%". */
void progress_begin_things(struct progress *p, const char *what, uint64_t total);
void progress_add(struct progress *p, uint64_t bytes);
void progress_end(struct progress *p);

/* The line without its control characters: "copying the snapshot: 310 MB of 1.1 GB (28%)". */
void progress_text(const struct progress *p, struct buf *out);

#endif
