/* forward.h -- connections handed on to other servers, byte for byte and without a look at them.
 *
 * For each connection that comes in, the owner names a target; when that one cannot be reached it
 * is asked again, until it names none.  Then the two sockets are a pair:
 *
 *   - What one side sends the other gets.  What that one has not taken yet is kept, at most
 *     NET_FORWARD_BYTES of it; until it is gone nothing more is read.  So a slow receiver slows its
 *     sender, and a pair holds two such pieces at most.
 *   - When one side has said its last, the other hears of it behind the last byte and may go on
 *     talking; a pair of which only one side still may talk, and neither moves a byte for
 *     NET_FORWARD_HALF_MS, is cut.
 *   - When one side breaks, both are closed.
 *
 * Threads: the loop's only.   Memory: the options are copied; `loop` and `user` are borrowed.
 */
#ifndef KETCH_ENGINE_NET_FORWARD_H
#define KETCH_ENGINE_NET_FORWARD_H

#include "base/err.h"

/* What one read takes, and so what is kept of one direction: enough that a fast pair is not slowed
 * by system calls, small enough for thousands of slow ones. */
#define NET_FORWARD_BYTES ((size_t) 64 << 10)

/* etcd leaves this to the system (two minutes), during which a client hears nothing. */
#define NET_FORWARD_DIAL_MS (10 * 1000)

/* Long enough for an answer that is long in the making. */
#define NET_FORWARD_HALF_MS (5 * 60 * 1000)

struct loop;
struct net_forward;
struct net_probe;

struct net_target {
    const char *host; /* numeric, or a name, which is looked up for each connection */
    uint16_t port;
    size_t id; /* the owner's own number for it */
};

struct net_forward_options {
    struct loop *loop;
    size_t connections_max; /* pairs; beyond it a new connection is closed, and `full` is called */
    /* Where a new connection goes; the target lives until the next call.  False: nowhere, it is
     * closed. */
    bool (*choose)(void *user, struct net_target *ret);
    /* Target `id` did not take a connection; `why` is in Go's words. */
    void (*failed)(void *user, size_t id, const char *why);
    void (*full)(void *user);
    void *user;
};

/* ERR_NOMEM */
NODISCARD int net_forward_new(const struct net_forward_options *o, struct net_forward **ret,
                              struct err *e);

/* Takes an address, once; `host` (not NULL) and errors as those of net_server_listen.  ret_port may
 * be NULL. */
NODISCARD int net_forward_listen(struct net_forward *f, const char *host, uint16_t port,
                                 uint16_t *ret_port, struct err *e);

/* Connections are accepted from now on. */
void net_forward_start(struct net_forward *f);

/* Stops accepting, cuts all pairs.  `f` must not be used again; its memory goes when the loop has
 * let go of the sockets, loop_free at the latest.  NULL is accepted. */
void net_forward_close(struct net_forward *f);

struct net_forward_counters {
    size_t open;
    uint64_t total;
    uint64_t refused; /* over connections_max */
    uint64_t cut;     /* half closed and silent */
};

void net_forward_counters(const struct net_forward *f, struct net_forward_counters *ret);

/* Whether a target takes connections: connects, within time_ms, and hangs up.  `done` runs later,
 * once: why is NULL if it does.  NULL: no memory, `done` will not run. */
NODISCARD struct net_probe *net_probe(struct loop *l, const struct net_target *t, int64_t time_ms,
                                      void (*done)(void *user, size_t id, const char *why),
                                      void *user);
/* Before `done` ran: it never will.  NULL is accepted. */
void net_probe_cancel(struct net_probe *p);

#endif
