/* cmd_lease.c -- renewals of leases, each on a stream of its own. */
#include "base/alloc.h"
#include "benchmark/bench.h"

#define LEASE_TTL_S 100

struct keepalive_run {
    struct bench bench;
    int64_t *leases; /* one per worker */
};

static void keepalive_start(struct worker *w)
{
    struct keepalive_run *k = w->load->user;

    if (!ketch_keep_alive_once_start(w->client, k->leases[w->index], load_answered, w))
        bench_die("out of memory");
}

static int grant_all(struct keepalive_run *k)
{
    Etcdserverpb__LeaseGrantRequest r = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    const Etcdserverpb__LeaseGrantResponse *granted;
    struct ketch_reply *reply;

    r.ttl = LEASE_TTL_S;
    for (size_t i = 0; i < k->bench.worker_count; i++) {
        if (ketch_lease_grant(bench_conn(&k->bench, i), &r, 0, &reply, &granted, &k->bench.error) !=
            KETCH_OK)
            return bench_fail("Failed to grant a lease: %s", k->bench.error.text);
        k->leases[i] = granted->id;
        ketch_reply_free(reply);
    }
    return BENCH_OK;
}

static int keepalive_load(struct keepalive_run *k)
{
    struct report report;
    struct load load = {.bench = &k->bench, .start = keepalive_start, .report = &report, .user = k};
    int status = bench_count(&k->bench, "total", &load.total);

    if (status == BENCH_OK)
        status = grant_all(k);
    if (status != BENCH_OK)
        return status;
    bench_report_init(&k->bench, &report);
    load_run(&load);
    bench_report(&k->bench, &report, "lease-keepalive");
    report_done(&report);
    return BENCH_OK;
}

static int keepalive_run(struct cli_call *call)
{
    struct keepalive_run k = {0};
    int status = bench_open(&k.bench, call);

    k.leases = xmem_calloc(MAX(k.bench.worker_count, 1), sizeof(*k.leases));
    if (status == BENCH_OK)
        status = keepalive_load(&k);
    mem_free(k.leases);
    return bench_close(&k.bench, status);
}

static const struct cli_flag flags[] = {
    {.name = "total", .type = CLI_INT, .def = "10000", .help = "how many renewals"},
};

const struct cli_command lease_keepalive_command = {
    .use = "lease-keepalive",
    .brief = "Renewals of leases",
    .about = "Gives each client a lease and renews it, and says how long each renewal took.",
    CLI_FLAGS(flags),
    .run = keepalive_run,
};
