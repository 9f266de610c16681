/* turn_preload.c -- how long the turns of a server's I/O threads are, in CPU time of theirs, so
 * that a busy machine does not show in it.  Preloaded into the server by abuse.py: between two
 * waits of a thread whose name begins with "io-" lies a turn.
 *
 * The file named by TURNS_FILE: how many turns there were (32 bits), then the microseconds of the
 * first TURNS_MAX of them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>

#include <unistd.h>

#define TURNS_MAX (1u << 20)
#define FILE_BYTES (sizeof(uint32_t) * (TURNS_MAX + 1))

typedef int wait_fn(int fd, struct epoll_event *v, int n, int ms, const sigset_t *mask);

static pthread_once_t once = PTHREAD_ONCE_INIT;
static wait_fn *real_wait;
static uint32_t *turns; /* NULL: nowhere to write to */

static __thread int is_io = -1;
static __thread int64_t began_ns;

static void find(void)
{
    const char *path = getenv("TURNS_FILE");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *p = MAP_FAILED;

    *(void **) &real_wait = dlsym(RTLD_NEXT, "epoll_pwait");
    if (fd >= 0 && ftruncate(fd, FILE_BYTES) == 0)
        p = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p != MAP_FAILED)
        turns = p;
}

static int64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool counted(void)
{
    char name[16];

    if (is_io < 0)
        is_io = pthread_getname_np(pthread_self(), name, sizeof name) == 0 &&
                strncmp(name, "io-", 3) == 0;
    return is_io == 1 && turns != NULL;
}

int epoll_pwait(int fd, struct epoll_event *v, int n, int ms, const sigset_t *mask)
{
    uint32_t i;
    int rc;

    pthread_once(&once, find);
    if (counted() && began_ns != 0) {
        i = __atomic_fetch_add(&turns[0], 1, __ATOMIC_RELAXED);
        if (i < TURNS_MAX)
            turns[i + 1] = (uint32_t) ((cpu_ns() - began_ns) / 1000);
    }
    rc = real_wait(fd, v, n, ms, mask);
    if (counted())
        began_ns = cpu_ns();
    return rc;
}

int epoll_wait(int fd, struct epoll_event *v, int n, int ms)
{
    return epoll_pwait(fd, v, n, ms, NULL);
}
