/* goflag.h -- command lines as Go's flag package reads them: -name VALUE, --name=VALUE; a boolean
 * takes a value only behind '='; the first word that is no flag, or "--", ends the flags.
 *
 * Memory: values point into argv.   Threads: one at a time.
 */
#ifndef KETCH_CMD_ETCD_DUMP_LOGS_GOFLAG_H
#define KETCH_CMD_ETCD_DUMP_LOGS_GOFLAG_H

#include "base/buf.h"

enum goflag_type { GOFLAG_BOOL, GOFLAG_STRING, GOFLAG_UINT };

struct goflag {
    const char *name;
    enum goflag_type type;
    const char *help; /* may have several lines */
    const char *s;    /* the default, then the value */
    uint64_t u;
    bool b;
    bool given;
};

/* Reads argv (without the program's name) into v, a table sorted by name.  *ret_rest: index of the
 * first word that is no flag.
 *
 * Returns -1 when the line is in order; otherwise the exit status, with words and usage in `errs`:
 * 2 for what cannot be understood, 0 for -h. */
NODISCARD int goflag_parse(const char *program, struct goflag *v, size_t n, size_t argc,
                           const char *const *argv, size_t *ret_rest, struct buf *errs);

#endif
