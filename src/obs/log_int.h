/* log_int.h -- one line, from its parts to its bytes.  Private to obs. */
#ifndef KETCH_OBS_LOG_INT_H
#define KETCH_OBS_LOG_INT_H

#include "obs/log.h"

struct log__line {
    enum log_level level;
    wall_ms now;
    const char *name; /* of the logger, or NULL */
    struct log_site at;
    const char *msg;
    const struct log_field *fields; /* ends with a NULL key */
    bool no_stack;
};

/* Writes the line with its newline into out and returns its length, at most `cap`.  A field that
 * does not fit is left out whole, so that the line stays JSON. */
size_t log__compose(enum log_format format, const struct log__line *line, char *out, size_t cap);

#endif
