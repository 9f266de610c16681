#define _POSIX_C_SOURCE 200809L
#include "etcd/process.h"

#include <sys/resource.h>

#define DESCRIPTORS_OTHERWISE 1024 /* where the system does not say */

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
