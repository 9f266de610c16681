/* contend.h -- a call that wants to hold a lock or to lead: it puts its key and waits until none
 * that came before is left.
 *
 *      contend --> (lease) --> put or find the key --> entered()
 *                                                        |
 *                      |            (contend_first) <----+----> first()   none was before it
 *                      |                    |            |
 *                      +-------------- contend_wait <----+      one before: follow it until it goes
 *                      |                    |
 *                      |                    +--> won()           none before
 *     client gone,     v
 *     deadline     contend_give_up --> the key is deleted --> the call ends
 *
 * Who was before it is found by a look at all keys of the name, which may take its time (look.h).
 *
 * Invariant: the call is ended only when nothing of it is with the node, the hub or the loop, for
 * the contender lives in its arena.
 *
 * Threads: the call's loop.
 */
#ifndef KETCH_EDGE_SERVER_CONTEND_H
#define KETCH_EDGE_SERVER_CONTEND_H

#include "edge/server/contest.h"
#include "edge/server/follow.h"
#include "edge/server/look.h"
#include "edge/server/self.h"

#define SESSION_TTL_S 60 /* of a lease that the server makes */

struct contender;

struct contender_hooks {
    /* The key is there: `found` when it was there before, then with this value.  Goes on with
     * contend_first or contend_wait, or ends the call. */
    void (*entered)(struct contender *c, const struct contest_kv *found);
    /* None was before it when the key was put.  For contend_first only.  Ends the call. */
    void (*first)(struct contender *c);
    /* None that came before is left.  Ends the call, or gives up. */
    void (*won)(struct contender *c);
};

struct contender {
    struct call *call;
    struct io *io;
    const struct contender_hooks *hooks;
    struct bytes name;
    struct bytes value;
    int64_t lease;
    struct contest contest;
    struct bytes key;
    int64_t rev;               /* its create revision */
    struct mvcc_header header; /* of the answer that put or found it */
    bool made;                 /* by this call */
    struct look look;
    struct follow follow;
    bool following;
    bool owner_read; /* etcd reads who holds the name while it puts the key: a lock */
    int code;        /* what the call ends with, once given up */
    const char *text;
};

/* Call, hooks, name, value and lease (0: one is made) are those of a zeroed contender in the call's
 * arena. */
void contend(struct contender *c);
void contend_wait(struct contender *c);

/* How it stood right when the key was put: where one was before it, contend_wait. */
void contend_first(struct contender *c);

/* Takes the key back and ends the call with this code and text. */
void contend_give_up(struct contender *c, int code, const char *text);

/* True when nobody waits for the answer any more: then it was given up. */
bool contend_canceled(struct contender *c);

/* If `key` still has this create revision: puts `value` under `lease`, or deletes the key. */
void contest_put_held(struct call *c, struct bytes key, int64_t rev, struct bytes value,
                      int64_t lease, void *user, void (*then)(struct req *r));
void contest_delete_held(struct call *c, struct bytes key, int64_t rev, void *user,
                         void (*then)(struct req *r));

#endif
