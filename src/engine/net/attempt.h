/* attempt.h -- a dial that may take only so long.
 *
 * Threads: the loop's only.   Memory: embedded in its owner's struct.
 */
#ifndef KETCH_ENGINE_NET_ATTEMPT_H
#define KETCH_ENGINE_NET_ATTEMPT_H

#include "engine/net/addr.h"
#include "engine/net/loop_int.h"

struct dial;

struct attempt {
    struct loop *loop;
    struct dial *dial; /* NULL: none is under way */
    struct loop_timer over;
    char what[NET_HOST_BYTES + 16]; /* "127.0.0.1:2379" */
    void (*done)(struct attempt *a, int fd, const char *why);
};

/* `done` runs once for each start, later: with a socket, which the callee takes, or fd -1 and the
 * words of a failure as Go has them ("dial tcp 127.0.0.1:2379: i/o timeout"). */
void attempt__init(struct attempt *a, struct loop *l,
                   void (*done)(struct attempt *a, int fd, const char *why));

/* ERR_NOMEM: `done` will not run. */
NODISCARD int attempt__start(struct attempt *a, const char *host, uint16_t port, int64_t time_ms);

/* `done` will not run.  Also when none is under way. */
void attempt__cancel(struct attempt *a);

#endif
