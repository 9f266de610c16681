#define _POSIX_C_SOURCE 200809L
#include "edge/server/process_metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct process_metrics {
    struct metric *cpu;
    struct metric *open_fds;
    struct metric *max_fds;
    struct metric *virtual_bytes;
    struct metric *virtual_max;
    struct metric *net_received;
    struct metric *net_sent;
    struct metric *resident_bytes;
    struct metric *start;
    struct metric *fd_used; /* the same as open_fds and max_fds, by the names of etcd's own */
    struct metric *fd_limit;
    mono_ns next; /* when the kernel is asked again */
};

static struct process_metrics process;

void process_metrics_register(struct metrics *m, int64_t now_ms)
{
    process.cpu = metric_with(
        metrics_family(m, METRIC_COUNTER, METRIC_REAL, "process_cpu_seconds_total",
                       "Total user and system CPU time spent in seconds.", NULL),
        NULL);
    process.open_fds = metrics_gauge(m, "process_open_fds", "Number of open file descriptors.");
    process.max_fds = metrics_gauge(m, "process_max_fds",
                                    "Maximum number of open file descriptors.");
    process.virtual_bytes = metrics_gauge(m, "process_virtual_memory_bytes",
                                          "Virtual memory size in bytes.");
    process.virtual_max = metrics_gauge_real(
        m, "process_virtual_memory_max_bytes",
        "Maximum amount of virtual memory available in bytes.");
    process.net_received = metrics_counter(m, "process_network_receive_bytes_total",
                                           "Number of bytes received by the process over the "
                                           "network.");
    process.net_sent = metrics_counter(m, "process_network_transmit_bytes_total",
                                       "Number of bytes sent by the process over the network.");
    process.resident_bytes = metrics_gauge(m, "process_resident_memory_bytes",
                                           "Resident memory size in bytes.");
    process.start = metrics_gauge_real(m, "process_start_time_seconds",
                                       "Start time of the process since unix epoch in seconds.");
    process.fd_used = metrics_gauge(m, "os_fd_used", "The number of used file descriptors.");
    process.fd_limit = metrics_gauge(m, "os_fd_limit", "The file descriptor limit.");
    metric_set_real(process.start, (double) now_ms / 1000);
    process.next = 0;
}

/* Linux has the number in the directory's size since 6.2; before, the entries are counted. */
static int64_t open_files(void)
{
    int64_t n = -3; /* ".", ".." and the directory itself */
    struct stat st;
    DIR *d;

    if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
        return st.st_size;
    d = opendir("/proc/self/fd");
    if (d == NULL)
        return 0;
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

/* As Prometheus' client library has it: the IP bytes of the process's network namespace.  The file
 * holds pairs of lines, names and then numbers. */
static void network_bytes(void)
{
    FILE *f = fopen("/proc/self/net/netstat", "re");
    static char names[8192], numbers[8192];

    while (f != NULL && fgets(names, sizeof names, f) != NULL &&
           fgets(numbers, sizeof numbers, f) != NULL) {
        char *name_rest, *number_rest;
        const char *name = strtok_r(names, " \n", &name_rest);
        const char *number = strtok_r(numbers, " \n", &number_rest);
        bool ip = name != NULL && strcmp(name, "IpExt:") == 0;

        while (ip && name != NULL && number != NULL) {
            if (strcmp(name, "InOctets") == 0)
                metric_set(process.net_received, strtoll(number, NULL, 10));
            else if (strcmp(name, "OutOctets") == 0)
                metric_set(process.net_sent, strtoll(number, NULL, 10));
            name = strtok_r(NULL, " \n", &name_rest);
            number = strtok_r(NULL, " \n", &number_rest);
        }
    }
    if (f != NULL)
        fclose(f);
}

static void memory_sizes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long size, resident;
    long page = sysconf(_SC_PAGESIZE);

    if (f == NULL)
        return;
    if (fscanf(f, "%lu %lu", &size, &resident) == 2) {
        metric_set(process.virtual_bytes, (int64_t) size * page);
        metric_set(process.resident_bytes, (int64_t) resident * page);
    }
    fclose(f);
}

void process_metrics_collect(mono_ns now)
{
    struct rusage u;
    struct rlimit r;

    if (now < process.next)
        return;
    process.next = now + PROCESS_FRESH_NS;
    if (getrusage(RUSAGE_SELF, &u) == 0)
        metric_set_real(process.cpu, (double) (u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                                         (double) (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        metric_set(process.max_fds, (int64_t) r.rlim_cur);
        metric_set(process.fd_limit, (int64_t) r.rlim_cur);
    }
    if (getrlimit(RLIMIT_AS, &r) == 0)
        metric_set_real(process.virtual_max, (double) r.rlim_cur);
    network_bytes();
    metric_set(process.open_fds, open_files());
    metric_set(process.fd_used, metric_get(process.open_fds));
    memory_sizes();
}
