/* trace.h -- log lines, formatted only when somebody wants them. */
#ifndef KETCH_ENGINE_RAFT_TRACE_H
#define KETCH_ENGINE_RAFT_TRACE_H

#include "engine/raft/raft.h"

#define RAFT_TRACE_BYTES_MAX 8192 /* of one line; longer ones are cut */

void raft__trace_emit(const struct raft_trace *t, enum raft_trace_level level, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* Above every level of a line: nothing goes out.  raft_new sets it where there is no sink. */
#define RAFT_TRACE_OFF ((enum raft_trace_level)(RAFT_TRACE_ERROR + 1))

/* The arguments are evaluated only when the line goes out. */
#define RAFT_TRACE(t, lvl, ...)                        \
    do {                                               \
        if ((t)->level <= (lvl))                       \
            raft__trace_emit((t), (lvl), __VA_ARGS__); \
    } while (0)

#define TRACE_DEBUG(t, ...) RAFT_TRACE(t, RAFT_TRACE_DEBUG, __VA_ARGS__)
#define TRACE_INFO(t, ...) RAFT_TRACE(t, RAFT_TRACE_INFO, __VA_ARGS__)
#define TRACE_WARN(t, ...) RAFT_TRACE(t, RAFT_TRACE_WARN, __VA_ARGS__)
#define TRACE_ERROR(t, ...) RAFT_TRACE(t, RAFT_TRACE_ERROR, __VA_ARGS__)

#endif
