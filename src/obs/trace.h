/* trace.h -- structured events for tests and tools: a fixed name and typed fields, in order.
 *
 * The core emits what it does (became leader, appended, applied); the simulator keeps the events
 * and compares them, production has no sink and pays one branch.
 *
 * Threads: those of the sink that is given.   Memory: fields are borrowed for the time of the call.
 */
#ifndef KETCH_OBS_TRACE_H
#define KETCH_OBS_TRACE_H

#include "obs/log.h"

struct trace {
    /* `f` ends with a field whose key is NULL. */
    void (*event)(struct trace *t, const char *name, const struct log_field *f);
};

/* TRACE(t, "name", fields...) with the F_ macros of log.h; t may be NULL. */
#define TRACE(t, ...)                                              \
    do {                                                           \
        struct trace *trace_ = (t);                                \
        if (trace_ != NULL)                                        \
            trace_->event(trace_, LOG_MSG_(__VA_ARGS__, LOG_END_), \
                          LOG_FIELDS_(__VA_ARGS__, LOG_END_));     \
    } while (0)

#endif
