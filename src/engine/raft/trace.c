#include "engine/raft/trace.h"

void raft__trace_emit(const struct raft_trace *t, enum raft_trace_level level, const char *fmt, ...)
{
    char line[RAFT_TRACE_BYTES_MAX];
    va_list ap;

    ASSERT(t->emit != NULL);
    va_start(ap, fmt);
    (void) vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    t->emit(t->arg, level, line);
}
