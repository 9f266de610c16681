/* exec.h -- running the command of `watch -- cmd` and `lock name cmd`: without a shell, with an
 * empty standard input and more variables in its environment. */
#ifndef KETCH_CMD_ETCDCTL_EXEC_H
#define KETCH_CMD_ETCDCTL_EXEC_H

#include "base/buf.h"

struct exec_variable {
    const char *name;
    const char *value;
};

struct exec_result {
    int wait_status; /* of waitpid */
    int exec_errno;  /* not 0: the command could not be run at all */
};

/* Runs it and waits for its end.  argv ends with NULL.  Any thread; the child has all signals
 * unblocked. */
struct exec_result exec_run(const char *const *argv, const struct exec_variable *v, size_t n);

static inline bool exec_succeeded(struct exec_result r)
{
    return r.wait_status == 0 && r.exec_errno == 0;
}

/* How it failed, in Go's words: "exit status 7", "signal: killed", ... */
void exec_failure(struct exec_result r, const char *const *argv, struct buf *out);
/* The exit status that stands for it: the command's own, 255 for a signal, 1 when it did not run.
 */
int exec_status(struct exec_result r);

#endif
