/* actors.h -- the threads that run a node's actors.
 *
 * Each thread runs one or more actors in turn and sleeps until one of them is woken or wants to run
 * again.
 */
#ifndef KETCH_CMD_ETCD_ACTORS_H
#define KETCH_CMD_ETCD_ACTORS_H

#include "node/node.h"
#include "sys/thread.h"

struct actors;

struct actors_thread {
    struct actors *actors;
    struct waker waker;
    struct thread *thread;
    bool runs[NODE_ACTORS];
};

struct actors {
    struct node *node;
    struct actors_thread threads[NODE_ACTORS];
    struct actors_thread *of[NODE_ACTORS];
    _Atomic bool stopping;
};

/* Prepares the wakers, so that actors_wake may be called; no thread runs yet. */
void actors_init(struct actors *a);

/* For struct node_env: wakes the thread that runs `which`. */
void actors_wake(void *actors, enum node_actor which);

NODISCARD int actors_start(struct actors *a, struct node *n, struct err *e);

/* Ends the threads after node_stop: returns when every actor has nothing left to do. */
void actors_stop(struct actors *a);

#endif
