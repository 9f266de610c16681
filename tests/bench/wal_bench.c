/* wal_bench.c -- the log on the disk of the current directory: batches of entries, one sync each.
 *
 * usage: wal_bench [entries per batch] [bytes per entry] [seconds]
 * Prints batches and entries per second, and processor time per entry. */
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "engine/wal/wal.h"
#include "sys/clock.h"

#define BATCH_MAX 4096

static double cpu_us(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double) (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double) (u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void remove_all(const char *dir)
{
    char **names, path[512];
    size_t n;

    if (disk_list(disk_posix(), dir, &names, &n, NULL) != 0)
        return;
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        if (disk_remove(disk_posix(), path, NULL) != 0)
            perror(path);
    }
    disk_list_free(names, n);
    if (disk_remove(disk_posix(), dir, NULL) != 0)
        perror(dir);
}

int main(int argc, char **argv)
{
    size_t batch = argc > 1 ? (size_t) atoi(argv[1]) : 64;
    size_t bytes = argc > 2 ? (size_t) atoi(argv[2]) : 300;
    int64_t seconds = argc > 3 ? atoi(argv[3]) : 3;
    struct wal_options o = {.disk = disk_posix(), .dir = "wal_bench.wal"};
    static struct raft_entry v[BATCH_MAX];
    struct raft_hard_state hs = {.term = 1, .vote = 1};
    struct wal_save save = {.entries = v, .entries_n = batch, .hard_state = &hs};
    struct wal_metadata m = {1, 1};
    struct err e = ERR_INIT;
    uint8_t *data = xmem_calloc(1, bytes + 1);
    mono_ns begin, now;
    uint64_t batches = 0;
    double cpu;
    struct wal *w;

    if (batch == 0 || batch > BATCH_MAX || wal_create(&o, &m, "bench", &w, &e) != 0) {
        fprintf(stderr, "wal_bench: %s\n", e.msg);
        return 1;
    }
    cpu = cpu_us();
    begin = clock_mono_ns(clock_posix());
    do {
        for (size_t i = 0; i < batch; i++)
            v[i] = (struct raft_entry){
                .term = 1, .index = batches * batch + i + 1, .data = bytes_of(data, bytes)};
        hs.commit = v[batch - 1].index;
        if (wal_append_batch(w, &save, 1, &e) != 0) {
            fprintf(stderr, "wal_bench: %s\n", e.msg);
            return 1;
        }
        batches++;
        now = clock_mono_ns(clock_posix());
    } while (now - begin < seconds * 1000000000);
    cpu = cpu_us() - cpu;
    printf("%.0f batches/s  %.0f entries/s  %.2f us of processor per entry  %.0f us per batch\n",
           (double) batches * 1e9 / (double) (now - begin),
           (double) (batches * batch) * 1e9 / (double) (now - begin),
           cpu / (double) (batches * batch), cpu / (double) batches);
    wal_close(w);
    remove_all(o.dir);
    mem_free(data);
    return 0;
}
