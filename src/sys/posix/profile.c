/* A sampling CPU profiler: ITIMER_PROF, SIGPROF, and glibc's unwinder.
 *
 * The signal handler allocates nothing and takes no lock: stacks go into memory that was prepared,
 * each at a place of its own that is reserved with one atomic step.  (glibc's backtrace() loads its
 * unwinder at the first call, which is made before the timer is started.)
 *
 * The format (gperftools, "cpuprofile.html") is words of a pointer's size:
 *
 *      0  3  0  period in us  0            the head
 *      1  n  pc 1 .. pc n                  a sample: count, depth, the stack, innermost first
 *      ...
 *      0  1  0                             the end
 *      the text of /proc/self/maps */
#define _GNU_SOURCE
#include "sys/profile.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/alloc.h"

#define HANDLER_FRAMES 3 /* sample, on_tick, and the kernel's way back */
#define WORDS_MAX (PROFILE_BYTES / sizeof(uintptr_t))
#define MAPS_BYTES_MAX ((size_t) 1 << 20)

static struct {
    _Atomic bool taken; /* somebody has it, from start to stop */
    _Atomic bool on;
    _Atomic unsigned inside; /* handlers that are at work */
    _Atomic size_t words_n;
    uintptr_t *words;
} profile;

/* Room for a sample of n words; NULL: there is none left. */
static uintptr_t *reserve(size_t n)
{
    size_t at = atomic_load(&profile.words_n);

    do {
        if (at + n > WORDS_MAX)
            return NULL;
    } while (!atomic_compare_exchange_weak(&profile.words_n, &at, at + n));
    return profile.words + at;
}

static __attribute__((noinline)) void sample(void)
{
    void *pcs[PROFILE_DEPTH_MAX + HANDLER_FRAMES];
    int n = backtrace(pcs, PROFILE_DEPTH_MAX + HANDLER_FRAMES) - HANDLER_FRAMES;
    uintptr_t *to = n > 0 ? reserve((size_t) n + 2) : NULL;

    if (to == NULL)
        return;
    to[0] = 1;
    to[1] = (uintptr_t) n;
    for (int i = 0; i < n; i++)
        to[2 + i] = (uintptr_t) pcs[HANDLER_FRAMES + i];
}

static void on_tick(int signum)
{
    int saved = errno;

    (void) signum;
    atomic_fetch_add(&profile.inside, 1);
    if (atomic_load(&profile.on))
        sample();
    atomic_fetch_sub(&profile.inside, 1);
    errno = saved;
}

static int timer_set(long period_us)
{
    struct itimerval t = {{0, period_us}, {0, period_us}};

    return setitimer(ITIMER_PROF, &t, NULL);
}

int profile_start(struct err *e)
{
    struct sigaction sa = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
    bool taken = false;
    void *pc;

    if (!atomic_compare_exchange_strong(&profile.taken, &taken, true))
        return err_set(e, ERR_LOCKED, "cpu profiling already in use");
    profile.words = mem_alloc(PROFILE_BYTES);
    if (profile.words == NULL) {
        atomic_store(&profile.taken, false);
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    if (backtrace(&pc, 1) < 0)
        UNREACHABLE();
    atomic_store(&profile.words_n, 0);
    sigemptyset(&sa.sa_mask);
    atomic_store(&profile.on, true);
    if (sigaction(SIGPROF, &sa, NULL) == 0 && timer_set(PROFILE_PERIOD_US) == 0)
        return 0;
    err_sys(e, errno, "start the profiling timer");
    profile_stop(NULL);
    return ERR_IO;
}

static void add_words(struct buf *out, const uintptr_t *w, size_t n)
{
    buf_add(out, w, n * sizeof *w);
}

static void add_maps(struct buf *out)
{
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    size_t total = 0;
    ssize_t got = 1;

    while (fd >= 0 && got > 0 && total < MAPS_BYTES_MAX) {
        uint8_t *to = buf_reserve(out, 4096);

        if (to == NULL)
            break;
        got = read(fd, to, 4096);
        if (got > 0) {
            buf_commit(out, (size_t) got);
            total += (size_t) got;
        }
    }
    if (fd >= 0)
        close(fd);
}

bool profile_stop(struct buf *out)
{
    static const uintptr_t head[] = {0, 3, 0, PROFILE_PERIOD_US, 0}, end[] = {0, 1, 0};

    ASSERT(atomic_load(&profile.taken));
    (void) timer_set(0);
    atomic_store(&profile.on, false);
    while (atomic_load(&profile.inside) > 0)
        sched_yield();
    if (out != NULL) {
        add_words(out, head, ARRAY_LEN(head));
        add_words(out, profile.words, atomic_load(&profile.words_n));
        add_words(out, end, ARRAY_LEN(end));
        add_maps(out);
    }
    /* The handler stays: a tick may still be on its way, and its default is to end the process. */
    mem_free(profile.words);
    profile.words = NULL;
    atomic_store(&profile.taken, false);
    return out == NULL || !out->failed;
}
