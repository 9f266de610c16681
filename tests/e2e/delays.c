/* delays.c -- preloaded into servers under test: holds some of them up at random.
 *
 * A process draws once whether it is slow ($DELAYS_SEED, mixed with its number).  A slow one sleeps
 * before one of SYNC_OF durable writes for up to SYNC_MS, and after one of TURN_OF returns from
 * epoll, before it looks at what came, for up to TURN_MS.  Programs other than etcd, which inherit
 * the environment, are left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { SYNC_MS = 100, SYNC_OF = 4, TURN_MS = 60, TURN_OF = 6 };

#define REAL(f) ((__typeof__(&f)) dlsym(RTLD_NEXT, #f))

static bool slow;
static uint64_t seed;
static _Thread_local uint64_t state;

/* splitmix64 */
static uint64_t next(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static uint64_t draw(uint64_t below)
{
    if (state == 0)
        state = seed ^ (uintptr_t) &state;
    return next() % below;
}

static void nap(uint64_t ms)
{
    uint64_t us = draw(ms * 1000);
    int before = errno;

    nanosleep(&(struct timespec){(time_t) (us / 1000000), (long) (us % 1000000) * 1000}, NULL);
    errno = before;
}

static void turn(void)
{
    if (slow && draw(TURN_OF) == 0)
        nap(TURN_MS);
}

static void sync_begin(void)
{
    if (slow && draw(SYNC_OF) == 0)
        nap(SYNC_MS);
}

__attribute__((constructor)) static void start(void)
{
    const char *text = getenv("DELAYS_SEED");

    seed = (text != NULL ? strtoull(text, NULL, 10) : 0) + (uint64_t) getpid();
    slow = strcmp(program_invocation_short_name, "etcd") == 0 && draw(2) == 0;
}

int fdatasync(int fd)
{
    sync_begin();
    return REAL(fdatasync)(fd);
}

ssize_t pwritev2(int fd, const struct iovec *v, int n, off_t at, int flags)
{
    if (flags != 0)
        sync_begin();
    return REAL(pwritev2)(fd, v, n, at, flags);
}

int epoll_wait(int fd, struct epoll_event *events, int n, int ms)
{
    int rc = REAL(epoll_wait)(fd, events, n, ms);

    turn();
    return rc;
}

int epoll_pwait(int fd, struct epoll_event *events, int n, int ms, const sigset_t *mask)
{
    int rc = REAL(epoll_pwait)(fd, events, n, ms, mask);

    turn();
    return rc;
}
