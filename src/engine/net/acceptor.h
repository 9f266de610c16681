/* acceptor.h -- takes connections from a listening socket.
 *
 * NEW -- start --> ACCEPTING -- stop --> CLOSING -- libuv lets go --> stopped
 *
 * Threads: the loop's only.
 */
#ifndef KETCH_ENGINE_NET_ACCEPTOR_H
#define KETCH_ENGINE_NET_ACCEPTOR_H

#include <sys/socket.h>

#include "engine/net/loop_int.h"

struct acceptor {
    struct loop *loop;
    int fd; /* -1: closed */
    uv_poll_t poll;
    bool polling; /* the handle is open */
    bool closing;
    struct loop_timer retry;
    /* The callee takes `fd`, which does not block. */
    void (*accepted)(struct acceptor *a, int fd, const struct sockaddr *peer);
    /* May be NULL.  Runs on the loop after acceptor__stop, when its memory may go; never when
     * acceptor__start had not been called. */
    void (*stopped)(struct acceptor *a);
};

/* Takes `fd`. */
void acceptor__init(struct acceptor *a, struct loop *l, int fd,
                    void (*accepted)(struct acceptor *a, int fd, const struct sockaddr *peer));

/* Once more is allowed, and does nothing.  Without memory nothing is accepted. */
void acceptor__start(struct acceptor *a);
void acceptor__stop(struct acceptor *a);

/* Asserts that the memory may go: the loop has run after acceptor__stop. */
void acceptor__check_stopped(const struct acceptor *a);

#endif
