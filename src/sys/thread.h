/* thread.h -- threads with a name, and a way to wait for work without a lock on the sender's side.
 *
 * A waker belongs to one consumer.  waker_wake costs an atomic exchange while the consumer is awake
 * and a system call only when it sleeps, so a producer may call it after every push.
 *
 * Threads: each function says which.   Memory: `arg` is the caller's until thread_join has
 * returned; a waker lives in the caller's memory and holds nothing.
 */
#ifndef KETCH_SYS_THREAD_H
#define KETCH_SYS_THREAD_H

#include <stdatomic.h>

#include "base/base.h"
#include "base/err.h"
#include "sys/clock.h"

struct thread;

/* `name` is cut to 15 characters.  All signals but profile.h's SIGPROF are blocked in the new
 * thread. It ends when fn returns, and is given back with thread_join.  ERR_NOMEM; ERR_AGAIN: the
 * system has no room for another one. */
NODISCARD int thread_start(const char *name, void (*fn)(void *arg), void *arg, struct thread **ret,
                           struct err *e);
/* Any thread but t itself, once: waits for its end and frees it.  NULL is accepted. */
void thread_join(struct thread *t);

/* From now on the calling thread has about a thirtieth of the time where another one wants the same
 * processor.  There is no way back; where the system refuses, nothing changes.  Likewise below. */
void thread_give_way(void);

/* From now on the calling thread runs when no other one of the machine wants to, nearly. */
void thread_stand_back(void);

/* From now on the calling thread asks the scheduler for turns of half a millisecond: one that wakes
 * up need not wait longer for this one, and this one, when it wakes up, not for any that have asked
 * for longer turns, or for nothing.  Linux 6.12 and later (EEVDF, kernel/sched/fair.c); before it
 * nothing changes.  Threads of thread_start have it. */
void thread_short_turns(void);

struct waker {
    _Atomic uint32_t state; /* WAKER_* in posix/thread.c */
};

void waker_init(struct waker *w);

/* Any thread.  A wake before the wait is not lost: the next wait returns at once. */
void waker_wake(struct waker *w);

/* The owner only.  Returns true when woken, false after timeout_ns (negative: wait for ever). */
bool waker_wait(struct waker *w, int64_t timeout_ns);

#endif
