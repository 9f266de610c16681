/* session.h -- what lock and elect stand on: a lease that is kept alive, keys in a queue under a
 * name, and SIGINT or SIGTERM as a wish to let go in order.
 *
 *      session_open --> queue_enter --> queue_wait --> session_wait --> queue_leave -->
 * session_close
 *
 * Signals are taken by a thread of their own; everything else runs on the caller's thread, inside
 * the functions below.  Those that wait come back early when a signal came, with the text "context
 * canceled"; later calls then go on undisturbed, so that what was taken can be given back.
 *
 * Functions that return bool leave the reason for false in ctl->error.
 */
#ifndef KETCH_CMD_ETCDCTL_SESSION_H
#define KETCH_CMD_ETCDCTL_SESSION_H

#include <stdatomic.h>

#include "etcdctl/ctl.h"
#include "sys/thread.h"

struct session {
    struct ctl *ctl;
    int64_t lease;
    struct ketch_keep_alive *keep;
    bool lost;     /* the lease is gone */
    bool canceled; /* a signal came */
    struct thread *signals;
    _Atomic bool ending;
};

/* Catches signals from now on, also when false is returned; session_close ends both. */
NODISCARD bool session_open(struct session *s, struct ctl *ctl, int64_t ttl_s);
/* The lease is left to run out. */
void session_close(struct session *s);

/* A call that a signal ends. */
NODISCARD bool session_ask(struct session *s, enum ketch_method m, const ProtobufCMessage *q,
                           struct ketch_reply **ret);
/* Runs until *flag, the loss of the lease or a signal. */
void session_wait(struct session *s, const bool *flag);

/* ---- a key in a queue (queue.c) ---- */

struct queue_key {
    struct bytes prefix; /* "name/" */
    struct bytes end;
    struct bytes key; /* the prefix and the lease */
    int64_t rev;      /* create revision: the place */
};

/* Names alone; memory is ctl's arena. */
void queue_name(struct session *s, struct bytes name, struct queue_key *ret);
/* Puts the key under the session's lease. */
NODISCARD bool queue_enter(struct session *s, struct queue_key *k, struct bytes value);
/* Until no key that was there before is left.  A signal: the key is taken back. */
NODISCARD bool queue_wait(struct session *s, const struct queue_key *k);
NODISCARD bool queue_get(struct session *s, const struct queue_key *k, struct ketch_reply **ret);
/* Deletes the key if it still is this session's. */
bool queue_leave(struct session *s, const struct queue_key *k);

#endif
