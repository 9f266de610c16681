/* lease_bench.c -- a million leases: processor time of each operation, and memory. */
#define _POSIX_C_SOURCE 200809L
#include <time.h>

#include "base/alloc.h"
#include "state/lease/lease.h"
#include "state/store/store.h"
#include "sys/disk.h"

#define LEASES 1000000

static int64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t) t.tv_sec * 1000000000 + t.tv_nsec;
}

static void report(const char *name, int64_t begin, size_t n)
{
    printf("%-28s %8.0f ns each\n", name, (double) (cpu_ns() - begin) / (double) n);
}

static void check(int rc, const struct err *e)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%s\n", e->msg);
    exit(1);
}

static size_t resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    unsigned long pages = 0, all = 0;

    if (f == NULL || fscanf(f, "%lu %lu", &all, &pages) != 2)
        pages = 0;
    if (f != NULL)
        fclose(f);
    return pages * 4096;
}

static struct bytes key_of(size_t i, char text[32])
{
    snprintf(text, 32, "/services/%08zu", i);
    return bytes_str(text);
}

static void commit(struct store *s)
{
    struct err e = ERR_INIT;

    store_seal(s);
    check(store_commit(s, &e), &e);
}

static void run(struct lessor *l, struct store *s)
{
    int64_t at = cpu_ns(), ttl;
    size_t before = resident_bytes();
    lease_id ids[LEASE_EXPIRE_MAX];
    char text[32];
    size_t n = 0, k;

    for (lease_id id = 1; id <= LEASES; id++) {
        check(lease_grant(l, id, 60 + id % 60, 0, &ttl), NULL);
        if (id % 10000 == 0)
            commit(s);
    }
    report("grant, with commits", at, LEASES);
    at = cpu_ns();
    for (lease_id id = 1; id <= LEASES; id++)
        check(lease_attach(l, id, key_of((size_t) id, text)), NULL);
    report("attach", at, LEASES);
    printf("%-28s %8zu bytes for each lease with one key\n", "resident memory",
           (resident_bytes() - before) / LEASES);
    at = cpu_ns();
    lessor_promote(l, 0, 1000);
    report("promote and spread", at, LEASES);
    at = cpu_ns();
    for (lease_id id = 1; id <= LEASES; id++)
        check(lease_renew(l, id * 7919 % LEASES + 1, 1000 + id / 1000, &ttl), NULL);
    report("keep-alive", at, LEASES);
    at = cpu_ns();
    while ((k = lessor_expired(l, 10000000, ids, LEASE_EXPIRE_MAX)) > 0) {
        for (size_t i = 0; i < k; i++) {
            struct lease_keys keys;

            check(lease_revoke(l, ids[i], &keys), NULL);
            lease_keys_free(&keys);
        }
        n += k;
        if (n % 10000 == 0)
            commit(s);
    }
    report("expire and revoke, commits", at, n);
}

int main(int argc, char **argv)
{
    struct store_config cfg = {.disk = disk_posix(), .path = argc > 1 ? argv[1] : ""};
    const struct lessor_config leases = {.ttl_s_min = 2, .retry_ms = 7000, .hash_seed = {1, 2}};
    struct err e = ERR_INIT;
    struct store *s;
    struct lessor *l;

    if (argc != 2) {
        fprintf(stderr, "usage: %s FILE\n", argv[0]);
        return 2;
    }
    if (disk_exists(cfg.disk, argv[1]))
        check(disk_remove(cfg.disk, argv[1], &e), &e);
    check(store_open(&cfg, &s, &e), &e);
    check(lessor_open(&leases, s, &l, &e), &e);
    run(l, s);
    lessor_free(l);
    store_close(s);
    return 0;
}
