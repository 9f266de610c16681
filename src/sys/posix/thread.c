#define _GNU_SOURCE
#include "sys/thread.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"

/* Each step is 1.25 times less of what a processor has: sched(7).  A tenth (nice 10) is too much
 * for who gives way, though it looks like little: a thread that sleeps and is back in a moment has
 * had more than its due while this one waited, and may not interrupt it before it has caught up
 * (EEVDF), which takes longer the larger its part is; who came sooner waited until this one slept.
 * So 1 % of all puts waited for the whole of a signature, more than a millisecond. */
#define NICE_SMALL_PART 15
#define NICE_LEAST 19

struct thread {
    pthread_t id;
    void (*fn)(void *arg);
    void *arg;
    char name[16];
};

static void *run(void *p)
{
    struct thread *t = p;

    pthread_setname_np(pthread_self(), t->name);
    thread_short_turns();
    t->fn(t->arg);
    return NULL;
}

int thread_start(const char *name, void (*fn)(void *arg), void *arg, struct thread **ret,
                 struct err *e)
{
    struct thread *t = mem_calloc(1, sizeof *t);
    sigset_t all, old;
    int rc;

    if (t == NULL)
        return err_set(e, ERR_NOMEM, "start thread %s: out of memory", name);
    t->fn = fn;
    t->arg = arg;
    snprintf(t->name, sizeof t->name, "%s", name);
    sigfillset(&all);
    sigdelset(&all, SIGPROF); /* interrupts whoever runs: profile.h */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&t->id, NULL, run, t);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        mem_free(t);
        return err_sys(e, rc, "start thread %s", name);
    }
    *ret = t;
    return 0;
}

void thread_join(struct thread *t)
{
    if (t == NULL)
        return;
    pthread_join(t->id, NULL);
    mem_free(t);
}

/* Of the one thread, on Linux.  Where that is refused, it merely runs as others do. */
static bool be_nice(int how)
{
    return setpriority(PRIO_PROCESS, (id_t) syscall(SYS_gettid), how) == 0;
}

void thread_give_way(void)
{
    (void) be_nice(NICE_SMALL_PART);
}

void thread_stand_back(void)
{
    struct sched_param none = {0};

    if (be_nice(NICE_LEAST))
        sched_setscheduler(0, SCHED_BATCH, &none);
}

/* IDLE -> (wake) -> WOKEN -> (wait returns) -> IDLE;   IDLE -> (wait) -> ASLEEP -> (wake) -> WOKEN.
 */
enum { WAKER_IDLE, WAKER_WOKEN, WAKER_ASLEEP };

void waker_init(struct waker *w)
{
    atomic_init(&w->state, WAKER_IDLE);
}

void waker_wake(struct waker *w)
{
    if (atomic_exchange(&w->state, WAKER_WOKEN) == WAKER_ASLEEP)
        syscall(SYS_futex, &w->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

bool waker_wait(struct waker *w, int64_t timeout_ns)
{
    int64_t until = timeout_ns < 0 ? 0 : now_ns() + timeout_ns;
    uint32_t idle = WAKER_IDLE;

    if (!atomic_compare_exchange_strong(&w->state, &idle, WAKER_ASLEEP)) {
        atomic_store(&w->state, WAKER_IDLE);
        return true;
    }
    for (;;) {
        struct timespec left;
        int64_t ns = timeout_ns < 0 ? 0 : until - now_ns();
        uint32_t asleep = WAKER_ASLEEP;

        if (timeout_ns >= 0 && ns <= 0) {
            /* A wake that came at the last moment counts as a wake. */
            if (atomic_compare_exchange_strong(&w->state, &asleep, WAKER_IDLE))
                return false;
            atomic_store(&w->state, WAKER_IDLE);
            return true;
        }
        left.tv_sec = ns / 1000000000;
        left.tv_nsec = ns % 1000000000;
        syscall(SYS_futex, &w->state, FUTEX_WAIT_PRIVATE, WAKER_ASLEEP,
                timeout_ns < 0 ? NULL : &left, NULL, 0);
        if (atomic_load(&w->state) == WAKER_WOKEN) {
            atomic_store(&w->state, WAKER_IDLE);
            return true;
        }
    }
}
