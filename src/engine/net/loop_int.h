/* loop_int.h -- what the files of this folder know about a loop.  See loop.h.
 *
 * Sleeping and waking.  `asleep` is true from the moment the loop decides to wait until the first
 * callback after the wait.  A poster that finds it true clears it and pays one uv_async_send; all
 * others pay an atomic exchange.  The loop sets it before it looks at the queue for the last time,
 * and the poster pushes before it looks at `asleep`, so one of the two always sees the other.
 *
 * Stepping aside.  The loop belongs to its own thread while `place` is AT_HOME or ASIDE, and to who
 * stands in while it is STOOD_IN; between ASIDE and the end of `aside` nobody touches it.
 */
#ifndef KETCH_ENGINE_NET_LOOP_INT_H
#define KETCH_ENGINE_NET_LOOP_INT_H

#include "engine/net/loop.h"
#include "engine/net/net_limits.h"
#include "engine/net/pool.h"
#include "sys/thread.h"

/* After base.h, whose MIN and MAX the C library would define first. */
#include <stdatomic.h>
#include <uv.h>

#define LOOP_CALLS_POOLED_MAX 1024 /* of a kilobyte each */
#define LOOP_ROOMS_POOLED_MAX 1024 /* of two */

struct conn;
struct tls_worker;

struct loop_signal {
    struct loop_signal *next;
    uv_signal_t uv;
    void (*fn)(int signum, void *user);
    void *user;
};

/* Written by the loop's thread only, read by any (relaxed). */
struct loop_counters {
    _Atomic uint64_t bytes_in;
    _Atomic uint64_t bytes_out;
    _Atomic uint64_t reads;
    _Atomic uint64_t writes;
};

enum loop_place { LOOP_AT_HOME, LOOP_ASIDE, LOOP_STOOD_IN };

struct loop {
    uv_loop_t uv;
    uv_async_t async;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_timer_t timer;

    struct mpsc tasks;
    _Atomic bool asleep;
    _Atomic bool stopping;
    bool awake; /* this thread's view: the turn has begun */
    _Atomic bool running;
    const bool *until;        /* of loop_run_until */
    bool for_good;            /* loop_run: may step aside */
    void (*aside)(void *arg); /* NULL: no */
    void *aside_arg;
    _Atomic int place;         /* enum loop_place */
    _Atomic bool back;         /* who stands in is to leave */
    struct waker home;         /* who stood in has left */
    const struct conn *reader; /* input came from it last; compared only */
    uint64_t other_readers;
    uv_thread_t runner;

    struct clock *clock; /* of `now` and of slices; tests have one of their own */
    mono_ns now;
    struct heap timers;
    int64_t timer_armed_ns; /* when `timer` fires; INT64_MAX: it does not */

    struct list hooks; /* armed */
    struct list dirty; /* connections with something to write; struct conn.dirty_link */

    /* turn.c */
    uint64_t turn;     /* counts them */
    mono_ns slice_end; /* of the connection whose requests are being begun */
    mono_ns modest_ns; /* when one that asks for little was served last */
    uint64_t modest_turn;
    mono_ns later_ns;    /* when one of those below had its part last, while such a one was near */
    unsigned later_kind; /* turn.c: which of carried, owing, ending, works is first */
    struct list carried; /* connections with input that waits; struct conn.carry_link */
    size_t carried_bytes;
    struct list owing;  /* connections that have written their part; struct conn.dirty_link */
    struct list ending; /* connections whose session ends; struct conn.end_link */
    struct list works;  /* struct loop_work.link */
    uv_idle_t idle;     /* active while one of the four has members: the loop does not sleep */

    uint8_t *read_buf; /* NET_READ_BYTES, lent to one connection at a time */
    uint8_t *out_buf;  /* LOOP_OUT_BYTES, the same */
    /* For TLS; NULL until the first connection that has it. */
    uint8_t *plain_buf;  /* NET_READ_BYTES: decrypted input */
    uint8_t *stage_buf;  /* NET_RECORD_BYTES: pieces on their way into one record */
    uint8_t *seal_buf;   /* LOOP_SEAL_BYTES: records of one round */
    struct list shaking; /* of clients, begun and not finished, the oldest first; tls_queue.c */
    size_t shaking_n;
    struct list shake_waiting;     /* for their next step to be made */
    struct tls_worker *tls_worker; /* makes them; NULL until the first client that has TLS */
    struct loop_timer shake_timer;
    uint64_t shake_turn; /* the turn in which the loop itself made a step last */

    struct list calls_free; /* struct call.link; call.c */
    size_t calls_free_n;
    struct list rooms_free; /* union call_room.link */
    size_t rooms_free_n;
    struct pool pool; /* nghttp2's memory */
    struct loop_counters counters;

    struct loop_signal *signals;
    struct thread *thread;
    char name[16];
    void *user;
};

/* A session may run over the mark by one frame and its head. */
#define LOOP_OUT_BYTES (NET_OUT_HIGH_BYTES + (32u << 10))

/* The same as records: each adds its head, a tag and at most an explicit nonce. */
#define LOOP_SEAL_BYTES (LOOP_OUT_BYTES + (LOOP_OUT_BYTES / NET_RECORD_BYTES + 2) * 64)

/* The buffers for TLS.  False: no memory. */
NODISCARD bool loop__tls_buffers(struct loop *l);

/* Begins the turn if no callback of it has: every callback of libuv calls this first. */
void loop__turn_begin(struct loop *l);

/* Tasks, hooks and writes, until there are none.  Called by the loop before it waits; tests and
 * fuzz targets without sockets call it instead of running the loop. */
void loop__turn_end(struct loop *l);

/* Between two turns: what loop_step_aside was told, and back. */
void loop__aside(struct loop *l);

/* As loop_timer_start, in nanoseconds of loop_now_ns. */
NODISCARD int loop__timer_at(struct loop *l, struct loop_timer *t, mono_ns at);

/* One writer: a plain add without a locked instruction. */
static inline void loop__count(_Atomic uint64_t *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline void loop__uncount(_Atomic uint64_t *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) - n,
                          memory_order_relaxed);
}

#endif
