/* loop.h -- an event loop: one thread that waits for sockets, timers and messages of other threads.
 *
 * A turn of the loop is: wait, handle what became ready (what a request is answered with at once
 * leaves at once), run the tasks that other threads posted, run timers, then the end-of-turn hooks;
 * then all that was written meanwhile leaves in one write per connection.
 *
 * Threads: a loop and all that belongs to it (timers, hooks, servers' calls, channels) are touched
 * by the loop's own thread only, or before loop_run by the thread that made it.  The exceptions say
 * "any thread": loop_post and its kin, loop_stop.
 *
 * Memory: tasks, timers and hooks are embedded in the caller's structs; the loop links them and
 * never allocates for them (its timer heap apart, which grows).
 */
#ifndef KETCH_ENGINE_NET_LOOP_H
#define KETCH_ENGINE_NET_LOOP_H

#include "base/err.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/mpsc.h"
#include "sys/clock.h"

#define NET_ERR_MAP(X)                               \
    X(ADDR_IN_USE, -1000, "address already in use")  \
    X(CONN_REFUSED, -1001, "connection refused")     \
    X(CONN_RESET, -1002, "connection reset by peer") \
    X(RESOLVE, -1003, "no such host")                \
    X(PROTOCOL, -1004, "protocol error")

enum net_err {
#define X(name, code, text) ERR_NET_##name = code,
    NET_ERR_MAP(X)
#undef X
};

struct loop;

/* `name` (up to 15 characters) names the thread of loop_start.  ERR_NOMEM, or what the system says
 * when it has no descriptors left. */
NODISCARD int loop_new(const char *name, struct loop **ret, struct err *e);

/* After loop_run returned (or loop_join).  Everything that lived on the loop is gone before:
 * servers are stopped, channels closed, timers have fired or were stopped.  NULL is accepted. */
void loop_free(struct loop *l);

/* Turns until loop_stop.  May be called again after it returned. */
void loop_run(struct loop *l);

/* Turns until loop_stop or until *flag is set by something that ran on the loop: how a command-line
 * tool waits for one answer without a second thread. */
void loop_run_until(struct loop *l, const bool *flag);

/* loop_run on a thread of its own; loop_join waits for its end.  Errors as of thread_start. */
NODISCARD int loop_start(struct loop *l, struct err *e);
void loop_join(struct loop *l); /* one that was not started is accepted */

/* Any thread.  The loop ends after the turn in which it sees this. */
void loop_stop(struct loop *l);

/* The loop's thread leaves it for as long as `fn` takes, after this turn (what others have sent by
 * then is still taken).  fn may wait for a disk: meanwhile any other thread may come and run the
 * loop in its place, and nobody has to.  Only where loop_may_step_aside. */
void loop_step_aside(struct loop *l, void (*fn)(void *arg), void *arg);
/* It runs by loop_run, on its own thread, and has not been told so yet in this turn. */
bool loop_may_step_aside(const struct loop *l);
/* Any thread but the loop's: runs the loop until its own thread is back, or until loop_stop.
 * Returns at once when that thread is not away. */
void loop_stand_in(struct loop *l);

/* How often input came from another connection than the time before. */
uint64_t loop_other_readers(const struct loop *l);

/* Whether the caller is the loop's thread (or the loop is not running). */
bool loop_is_mine(const struct loop *l);

/* One pointer for the owner: the I/O thread's own state (its metrics, its session to the node). */
void loop_set_user(struct loop *l, void *user);
void *loop_user(const struct loop *l);

/* Monotonic time at the beginning of this turn; costs nothing.  Same zero as clock_posix(). */
mono_ns loop_now_ns(const struct loop *l);

/* ---- work from other threads ---- */

/* Embed it in the request that comes back to the loop.  Once posted it belongs to the loop until
 * `run` is called, once, on the loop's thread; `run` may free or post it again. */
struct loop_task {
    struct mpsc_node node;
    void (*run)(struct loop_task *t);
};

/* Any thread.  Tasks of one thread run in the order of posting.  One system call at most, none
 * while the loop is awake. */
void loop_post(struct loop *l, struct loop_task *t);

/* Any thread.  A batch: queue many without waking, then wake once. */
void loop_queue(struct loop *l, struct loop_task *t);
void loop_wake(struct loop *l);

/* ---- timers ---- */

struct loop_timer {
    struct heap_item item;
    void (*fire)(struct loop_timer *t);
};

void loop_timer_init(struct loop_timer *t, void (*fire)(struct loop_timer *t));

/* Fires once, `after_ms` from now (from the beginning of the turn) or a little later.  Starting a
 * timer that runs moves it.  ERR_NOMEM only. */
NODISCARD int loop_timer_start(struct loop *l, struct loop_timer *t, int64_t after_ms);
void loop_timer_stop(struct loop *l, struct loop_timer *t); /* stopped ones are accepted */
bool loop_timer_active(const struct loop_timer *t);

/* ---- end of turn ---- */

/* Runs at the end of the turn in which it was armed, once per arming, before the sockets are
 * written: where a service that gathers work during a turn hands it on as one batch.  Arming an
 * armed hook does nothing. */
struct loop_hook {
    struct list link; /* empty: not armed */
    void (*run)(struct loop_hook *h);
};

void loop_hook_init(struct loop_hook *h, void (*run)(struct loop_hook *h));
void loop_hook_arm(struct loop *l, struct loop_hook *h);
void loop_hook_disarm(struct loop_hook *h);

/* ---- long work ---- */

/* What takes longer than others may wait for, done in slices: `run` goes on until `until` (or a
 * little longer) and adds itself again when there is more.  It takes its turn with the connections
 * that ask for much (turn.h), so all of these together make a turn longer by one slice. */
struct loop_work {
    struct list link; /* empty: nothing is to be done */
    void (*run)(struct loop_work *w, mono_ns until);
};

void loop_work_init(struct loop_work *w, void (*run)(struct loop_work *w, mono_ns until));
void loop_work_add(struct loop *l, struct loop_work *w); /* one that was added is accepted */
void loop_work_drop(struct loop_work *w);                /* one that was not, too */
/* Whether the slice is over: the time of now, not of the turn's beginning. */
bool loop_work_over(const struct loop *l, mono_ns until);

/* ---- signals ---- */

/* From now on `fn` is called on the loop for each signal `signum` (SIGTERM, SIGINT, SIGHUP ...)
 * that the process gets.  Lasts until loop_free.  The signal must not be blocked in every thread.
 * ERR_NOMEM; ERR_INVALID: it cannot be caught. */
NODISCARD int loop_on_signal(struct loop *l, int signum, void (*fn)(int signum, void *user),
                             void *user, struct err *e);

#endif
