/* ask.h -- one unary call to the members: it waits for one that can be reached, and a call that
 * only reads is sent again when a member was lost over it.
 *
 *            no member up             member up
 *   start ----------------> WAITING -------------> ASKING <----------+
 *                              |                     |  | Unavailable,|
 *                              | PROXY_WAIT_MS or    |  | reads only  |
 *                              | its own time        |  +-> PAUSED ---+
 *                              v                     v
 *                            ENDING ------------> done runs, once
 *
 * Threads: the loop's.   Memory: the struct is the caller's, and it, the request and the metadata
 * stay until `done` runs.  `done` never runs from within a function of this header.
 */
#ifndef KETCH_EDGE_PROXY_ASK_H
#define KETCH_EDGE_PROXY_ASK_H

#include "edge/proxy/upstream.h"

enum ask_state { ASK_WAITING, ASK_ASKING, ASK_PAUSED, ASK_ENDING };

struct ask {
    struct upstream *up;
    struct loop *loop;
    const char *path; /* stays for ever */
    struct bytes request;
    const struct rpc_metadata *metadata;
    size_t metadata_n;
    mono_ns deadline_ns; /* 0: none */
    bool repeatable;
    /* `message` is the status' text; all valid during the callback. */
    void (*done)(struct ask *a, int code, struct bytes message, struct bytes response);

    /* Private. */
    struct upstream_waiter waiter;
    struct loop_timer timer;
    struct upstream_member *member;
    struct rpc *rpc;
    enum ask_state state;
    unsigned attempt;
    bool canceled;    /* while ASKING */
    int code;         /* while ENDING */
    const char *text; /* while ENDING */
};

/* The fields above "Private" are set, the others zero. */
void ask_start(struct ask *a);

/* `done` follows with Canceled. */
void ask_cancel(struct ask *a);

#endif
