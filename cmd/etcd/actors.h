/* actors.h -- the threads that run a node's actors.
 *
 * Store and work have a thread each.  Raft, apply and wal share two threads, which are equal:
 *
 *                    holds the core                        stands by
 *   member alone     raft, apply, then wal, in one turn    takes the core over when a sync hangs
 *   with others      raft, then apply                      wal; takes the core over when apply
 *                                                          is at one entry for long
 *
 * Alone, a put then costs one wake-up there and one back, and whatever comes during a sync is the
 * next batch.  Nobody waits for a heartbeat; but time-outs, keep-alives and watches do wait for the
 * core.  So its holder lets go of it while it runs wal: should that take longer than
 * ACTORS_STALL_NS, the other thread goes on with raft and apply, and the first one stands by when
 * the disk has answered.  With other members a sync never delays the core.
 *
 * Others do wait for heartbeats, and a single entry may take apply seconds: the deletion of a
 * million keys.  So the holder lets go of the core while it runs apply, too; the other thread then
 * goes on with raft, and with wal in between, until apply is through.
 *
 * While the member is alone and has nothing to do, the holder of the core sleeps and lends it: an
 * I/O thread that has one request and nothing else on its hands is its guest, runs the three actors
 * itself, and saves the wake-ups.  When the guest's sync takes too long, the core goes to one of
 * the two threads, and the other one stands in for the guest where it is missed (`stand_in`).
 *
 *            keeper sleeps          guest comes        guest runs wal
 *   HELD <-----------------> RESTING <---------> LENT <--------------> OUT
 *    ^ \                                                                |
 *    |  `-- holder runs wal, or ---> FREE                               |
 *    |      apply beside others        |                                |
 *    +---------------------------------+-- after ACTORS_STALL_NS -------+
 *
 * Invariants:
 *   1. An actor runs on one thread at a time: raft on that which has made `core` HELD or LENT, and
 *      so does apply, unless another one has set `apply_runs` while it had the core; wal on that
 *      which has set `wal_runs`.  Setting and clearing them hands over what the actor owns.
 *   2. Who takes the core says so in `keeper` before it runs raft or apply: what was submitted
 *      before somebody could wake the wrong thread is then seen without.
 *   3. What wakes wal is not lost: `wal_wanted` is cleared before wal runs, and who finds it set
 *      and wal running leaves it to that thread, which wakes the core when it is through.
 *   4. What wakes the core while a guest has it is `news`, at which the guest looks after it has
 *      given the core back; and a holder that wakes meanwhile says so in `wanted`.
 *   5. Who has run apply and has lost the core meanwhile wakes it: its holder has left out apply.
 */
#ifndef KETCH_CMD_ETCD_ACTORS_H
#define KETCH_CMD_ETCD_ACTORS_H

#include "node/node.h"
#include "sys/thread.h"

#define ACTORS_CORES 2
#define ACTORS_STALL_NS INT64_C(100000000) /* a tick: no election and no lease is that exact */

/* Beside others nobody looks for a stall after so many looks without a write to the log or a turn
 * of apply: an idle member is not woken for it. */
#define ACTORS_QUIET_LOOKS 50

/* No tick and no commit minds that, and the holder's plan is that much off anyway. */
#define ACTORS_LATE_NS INT64_C(1000000)

/* A guest that finds more to do than its own leaves it to the core's threads. */
#define ACTORS_GUEST_TURNS_MAX 8

enum core_state { CORE_FREE, CORE_HELD, CORE_RESTING, CORE_LENT, CORE_OUT };

struct actors {
    struct node *node;
    /* Runs until the guest is back what it would have run, or returns at once.  NULL: nobody would
     * miss it.  Set before the start. */
    void (*stand_in)(void *ctx);
    void *stand_in_ctx;
    _Atomic bool stopping;

    struct core_thread {
        struct actors *actors;
        struct thread *thread;
        struct waker waker; /* nobody else waits for it */
        unsigned quiet_n;   /* looks of the one that stands by since it was last woken */
        bool was_other; /* it got the core from the other thread, whom wakes went to until then */
    } cores[ACTORS_CORES];
    _Atomic unsigned keeper; /* which of them had the core last; the other one stands by */
    _Atomic int core;        /* enum core_state */
    int64_t rest_until;      /* when its holder would wake by itself; who has the core has this */
    _Atomic bool news;       /* for raft or apply, while a guest has the core */
    _Atomic bool wanted;     /* its holder waits for the guest to give it back */
    _Atomic int guests_out;  /* run wal, whoever has the core by now */
    _Atomic bool apart;      /* there are other members: wal is run by who stands by */
    _Atomic bool wal_wanted; /* wal was woken, or wants to run again */
    _Atomic bool wal_runs;
    _Atomic bool apply_runs;   /* without the core */
    _Atomic int64_t let_go_at; /* when the core was let go of to run wal or apply */

    struct thread *store, *work;
    struct waker store_waker, work_waker;
};

/* Prepares the wakers, so that actors_wake may be called; no thread runs yet. */
void actors_init(struct actors *a);

/* For struct node_env: wakes the thread that runs `which`. */
void actors_wake(void *actors, enum node_actor which);

/* Any thread but the actors' own.  True: the caller is the core's guest and calls actors_run_guest
 * soon; what it submits to the node until then wakes nobody. */
NODISCARD bool actors_borrow(struct actors *a);
/* Runs raft, wal and apply while one has news for another, a few turns, and gives the core back. It
 * waits for the disk; should that take longer than ACTORS_STALL_NS, others go on meanwhile, and it
 * returns when the disk has answered. */
void actors_run_guest(struct actors *a);

NODISCARD int actors_start(struct actors *a, struct node *n, struct err *e);

/* Ends the threads after node_stop: returns when every actor has nothing left to do. */
void actors_stop(struct actors *a);

#endif
