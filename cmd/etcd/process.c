#define _POSIX_C_SOURCE 200809L
#include "etcd/process.h"

#include <sys/resource.h>
#ifdef __GLIBC__ /* known from here on */
#include <malloc.h>
#endif

#define MALLOC_LARGE_BYTES (1 << 20) /* what the index and arenas take at once, and more */
#define DESCRIPTORS_OTHERWISE 1024   /* where the system does not say */

struct log *process_log(void)
{
    struct log_options o = {
        .level = LOG_LEVEL_INFO, .format = LOG_FORMAT_JSON, .clock = clock_posix()};
    struct log *l = NULL;
    struct err e = ERR_INIT;

    if (log_open(&o, &l, &e) != 0) {
        fprintf(stderr, "%s\n", e.msg);
        exit(1);
    }
    return l;
}

size_t process_raise_descriptors(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return DESCRIPTORS_OTHERWISE;
    if (r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &r);
        (void) getrlimit(RLIMIT_NOFILE, &r);
    }
    return (size_t) r.rlim_cur;
}

/* glibc raises these by itself whenever a large block is freed, and then keeps tens of megabytes
 * that a start or a burst has used.  Fixed, large blocks go back to the system. */
void process_keep_memory_small(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, MALLOC_LARGE_BYTES);
    mallopt(M_TRIM_THRESHOLD, MALLOC_LARGE_BYTES);
#endif
}

/* What closed connections and done requests left between live blocks.  What is large is not in
 * these heaps, so this takes a moment only. */
void process_trim_memory(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}
