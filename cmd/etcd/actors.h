/* actors.h -- the threads that run a node's actors.
 *
 * Store and work have a thread each.  Raft, apply and wal share two threads, which are equal:
 *
 *                    holds the core                        stands by
 *   member alone     raft, apply, then wal, in one turn    takes the core over when a sync hangs
 *   with others      raft, apply                           wal
 *
 * Alone, a put then costs one wake-up there and one back, and whatever comes during a sync is the
 * next batch.  Nobody waits for a heartbeat; but time-outs, keep-alives and watches do wait for the
 * core.  So its holder lets go of it while it runs wal: should that take longer than
 * ACTORS_STALL_NS, the other thread goes on with raft and apply, and the first one stands by when
 * the disk has answered.  With other members a sync never delays the core.
 *
 * Invariants:
 *   1. An actor runs on one thread at a time: raft and apply on that which has set `core`, wal on
 *      that which has set `wal_runs`.  Setting and clearing them hands over what the actor owns.
 *   2. Only the holder of the core waits for `core_waker`, only the other one for `standby`.
 *   3. What wakes wal is not lost: `wal_wanted` is cleared before wal runs, and who finds it set
 *      and wal running leaves it to that thread, which wakes the core when it is through.
 */
#ifndef KETCH_CMD_ETCD_ACTORS_H
#define KETCH_CMD_ETCD_ACTORS_H

#include "node/node.h"
#include "sys/thread.h"

#define ACTORS_CORES 2
#define ACTORS_STALL_NS INT64_C(100000000) /* a tick: no election and no lease is that exact */

struct actors {
    struct node *node;
    _Atomic bool stopping;

    struct thread *cores[ACTORS_CORES];
    struct waker core_waker;
    struct waker standby;
    _Atomic bool core;       /* some thread runs raft and apply, or waits for core_waker */
    _Atomic bool apart;      /* there are other members: wal is run by who stands by */
    _Atomic bool wal_wanted; /* wal was woken, or wants to run again */
    _Atomic bool wal_runs;
    _Atomic int64_t wal_began; /* when the holder of the core let go of it to run wal */

    struct thread *store, *work;
    struct waker store_waker, work_waker;
};

/* Prepares the wakers, so that actors_wake may be called; no thread runs yet. */
void actors_init(struct actors *a);

/* For struct node_env: wakes the thread that runs `which`. */
void actors_wake(void *actors, enum node_actor which);

NODISCARD int actors_start(struct actors *a, struct node *n, struct err *e);

/* Ends the threads after node_stop: returns when every actor has nothing left to do. */
void actors_stop(struct actors *a);

#endif
