/* bench.h -- what the subcommands share: connections, workers that keep them busy, the output.
 *
 *     struct bench b;
 *     int status = bench_open(&b, call);            (flags, connections, login)
 *     struct load load = {.bench = &b, .total = ..., .start = ..., .report = &report};
 *
 *     if (status == 0) load_run(&load);
 *     return bench_close(&b, status);
 *
 * All runs on one thread and one event loop, over --conns connections; --clients says how many
 * requests are under way at a time.  So the generator costs little beside the server.
 */
#ifndef KETCH_CMD_BENCHMARK_BENCH_H
#define KETCH_CMD_BENCHMARK_BENCH_H

#include <ketch/client.h>

#include "benchmark/keys.h"
#include "benchmark/report.h"
#include "cli/command.h"

#define CONNS_MAX 65536
#define CLIENTS_MAX 1000000
#define REQUESTS_MAX ((int64_t) REPORT_RESULTS_MAX / 2)

enum bench_status {
    BENCH_OK = 0,
    BENCH_ERROR = 1,
};

struct bench {
    struct cli_call *call;
    struct ketch_client **conns; /* the first one's loop is shared by all */
    size_t conn_count;
    size_t worker_count;
    struct random_seeded chance;
    struct buf out;
    struct ketch_error error;
};

/* In both cases bench_close is called.  Not BENCH_OK: the words are on stderr. */
NODISCARD int bench_open(struct bench *b, struct cli_call *call);
/* The same without connections, which cannot fail. */
void bench_init(struct bench *b, struct cli_call *call);
/* Writes out what was printed; returns `status`. */
int bench_close(struct bench *b, int status);

/* The i-th worker's connection: they are given out in turn. */
struct ketch_client *bench_conn(const struct bench *b, size_t i);

/* "TEXT\n" on stderr; returns BENCH_ERROR. */
NODISCARD int bench_fail(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* The usage of the command, then etcd's "<nil>". */
NODISCARD int bench_usage(const struct cli_call *call);
/* A request that the load cannot do without was refused, or no memory: says so and exits. */
NORETURN void bench_die(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Appends the report to b->out and, with --report-perfdash, writes the file of `operation`. */
void bench_report(struct bench *b, struct report *r, const char *operation);
void bench_report_init(const struct bench *b, struct report *r);

/* --key-size, --key-space-size, if there is one --sequential-keys; --total and the like. */
NODISCARD int bench_key_space(struct bench *b, struct key_space *ret);
NODISCARD int bench_count(const struct bench *b, const char *flag, int64_t *ret);
/* A number of things, 1 to `max`. */
NODISCARD int bench_size(const struct bench *b, const char *flag, int64_t max, size_t *ret);
/* `flag` random bytes; freed with mem_free. */
NODISCARD int bench_value(struct bench *b, const char *flag, ProtobufCBinaryData *ret);

/* --consistency: "l" or "s". */
NODISCARD int bench_consistency(const struct bench *b, bool *ret_serializable);

static inline ProtobufCBinaryData binary_of(const void *p, size_t n)
{
    return (ProtobufCBinaryData){n, (uint8_t *) (uintptr_t) p};
}

/* ---- workers (load.c) ---- */

struct progress {
    int64_t total;
    int64_t done;
    mono_ns began;
    mono_ns shown;
    bool terminal; /* redrawn as it goes on; else one line at the end */
};

void progress_begin(struct progress *p, int64_t total);
void progress_add(struct progress *p, int64_t n, mono_ns now);
void progress_end(struct progress *p);

struct load;

struct worker {
    struct load *load;
    struct ketch_client *client;
    struct report *report; /* of the request under way; at first the load's */
    mono_ns began;         /* when it was sent */
    size_t index;
    struct worker *next_idle;
};

struct load {
    struct bench *bench;
    int64_t total;
    int64_t rate; /* requests begun per second; 0: as fast as answers come */
    /* Sends the worker's next request; load_done follows, not from within. */
    void (*start)(struct worker *w);
    struct report *report;
    void *user; /* the subcommand's */
    bool quiet; /* no progress */

    struct worker *workers; /* from here on load.c's; valid until load_run returns */
    struct worker *idle;
    int64_t begun;
    int64_t done;
    mono_ns next_ns; /* with a rate: when the next request may begin */
    bool waiting;    /* a timer is set */
    struct progress progress;
};

/* Returns when all have ended. */
void load_run(struct load *l);

/* The worker's request has ended; error: NULL or why it failed. */
void load_done(struct worker *w, const char *error);

/* A ketch_done_fn whose user is the worker, for requests whose answer does not matter. */
void load_answered(struct ketch_reply *reply, const struct ketch_error *e, void *user);

/* Sends the worker's request, whose answer only counts. */
void load_send(struct worker *w, enum ketch_method m, const ProtobufCMessage *request);
/* The same for who looks at the answer, and calls load_done or load_answered. */
void load_ask(struct worker *w, enum ketch_method m, const ProtobufCMessage *request,
              ketch_done_fn *done);

/* ---- the file for perfdash (perfdash.c) ---- */

/* DIR/EtcdAPI_benchmark_OP_TIME.json; DIR is $ARTIFACTS or _artifacts. */
NODISCARD int perfdash_write(const struct report *r, const char *operation, struct buf *out);

/* ---- the subcommands ---- */

extern const struct cli_command put_command;
extern const struct cli_command range_command;
extern const struct cli_command txn_put_command;
extern const struct cli_command txn_mixed_command;
extern const struct cli_command watch_command;
extern const struct cli_command watch_get_command;
extern const struct cli_command watch_latency_command;
extern const struct cli_command lease_keepalive_command;
extern const struct cli_command stm_command;
extern const struct cli_command mvcc_command;

#endif
