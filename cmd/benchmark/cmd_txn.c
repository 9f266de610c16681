/* cmd_txn.c -- transactions: of puts only, and reads among writes. */
#include "base/alloc.h"
#include "benchmark/bench.h"

#define TXN_OPS_MAX 65536

struct txn_run {
    struct bench bench;
    struct key_space keys;
    ProtobufCBinaryData value;
    size_t ops;
    uint8_t *key; /* ops keys, one behind the other */
    Etcdserverpb__PutRequest *puts;
    Etcdserverpb__RequestOp *ops_of_puts;
    Etcdserverpb__RequestOp **list;
    /* txn-mixed */
    struct report reads;
    struct report writes;
    double read_share;
    int64_t limit;
    bool serializable;
};

static void txn_init(struct txn_run *t)
{
    t->key = xmem_calloc(t->ops, t->keys.key_bytes);
    t->puts = xmem_calloc(t->ops, sizeof(*t->puts));
    t->ops_of_puts = xmem_calloc(t->ops, sizeof(*t->ops_of_puts));
    t->list = xmem_calloc(t->ops, sizeof(Etcdserverpb__RequestOp *));
    for (size_t i = 0; i < t->ops; i++) {
        etcdserverpb__put_request__init(&t->puts[i]);
        etcdserverpb__request_op__init(&t->ops_of_puts[i]);
        t->puts[i].key = binary_of(t->key + i * t->keys.key_bytes, t->keys.key_bytes);
        t->puts[i].value = t->value;
        t->ops_of_puts[i].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        t->ops_of_puts[i].request_put = &t->puts[i];
        t->list[i] = &t->ops_of_puts[i];
    }
}

static void txn_free(struct txn_run *t)
{
    mem_free(t->key);
    mem_free(t->puts);
    mem_free(t->ops_of_puts);
    mem_free(t->list);
    mem_free(t->value.data);
}

static void send_puts(struct worker *w)
{
    struct txn_run *t = w->load->user;
    Etcdserverpb__TxnRequest r = ETCDSERVERPB__TXN_REQUEST__INIT;

    for (size_t i = 0; i < t->ops; i++)
        key_write(&t->keys, key_next(&t->keys), t->key + i * t->keys.key_bytes);
    r.success = t->list;
    r.n_success = t->ops;
    load_send(w, KETCH_METHOD_txn, &r.base);
}

/* Over all keys: the prefix without a letter. */
static void send_range(struct worker *w)
{
    struct txn_run *t = w->load->user;
    Etcdserverpb__TxnRequest r = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__RequestOp op = ETCDSERVERPB__REQUEST_OP__INIT;
    Etcdserverpb__RequestOp *list = &op;
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;

    range.key = binary_of("", 1);
    range.range_end = binary_of("", 1);
    range.limit = t->limit;
    range.serializable = t->serializable;
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    op.request_range = &range;
    r.success = &list;
    r.n_success = 1;
    load_send(w, KETCH_METHOD_txn, &r.base);
}

static void mixed_start(struct worker *w)
{
    struct txn_run *t = w->load->user;
    double chance = (double) (random_u64(&t->bench.chance.random) >> 11) / (double) (1ULL << 53);

    if (chance < t->read_share) {
        w->report = &t->reads;
        send_range(w);
    } else {
        w->report = &t->writes;
        send_puts(w);
    }
}

/* ---- txn-put ---- */

static int put_load(struct txn_run *t)
{
    struct report report;
    struct load load = {.bench = &t->bench,
                        .rate = MAX(cli_int(t->bench.call, "rate"), 0),
                        .start = send_puts,
                        .report = &report,
                        .user = t};
    int64_t ops = cli_int(t->bench.call, "txn-ops");
    int status = bench_count(&t->bench, "total", &load.total);

    if (status != BENCH_OK)
        return status;
    if (ops > t->keys.size)
        return bench_fail("expected --txn-ops no larger than --key-space-size, got txn-ops(%" PRId64
                          ") key-space-size(%" PRId64 ")",
                          ops, t->keys.size);
    if (ops < 1 || ops > TXN_OPS_MAX)
        return bench_fail("expected --txn-ops between 1 and %d, got (%" PRId64 ")", TXN_OPS_MAX,
                          ops);
    t->ops = (size_t) ops;
    t->keys.sequential = true;
    txn_init(t);
    bench_report_init(&t->bench, &report);
    load_run(&load);
    bench_report(&t->bench, &report, "txn-put");
    buf_add_char(&t->bench.out, '\n');
    report_done(&report);
    return BENCH_OK;
}

/* ---- txn-mixed ---- */

static void mixed_report(struct txn_run *t, struct report *r, const char *what,
                         const char *operation)
{
    buf_printf(&t->bench.out, "Total %s Ops: %zu\nDetails:", what, r->count);
    bench_report(&t->bench, r, operation);
    buf_add_char(&t->bench.out, '\n');
    report_done(r);
}

static int mixed_load(struct txn_run *t)
{
    struct report none;
    struct load load = {.bench = &t->bench,
                        .rate = MAX(cli_int(t->bench.call, "rate"), 0),
                        .start = mixed_start,
                        .report = &none,
                        .user = t};
    double ratio = cli_float(t->bench.call, "rw-ratio");
    int status = bench_count(&t->bench, "total", &load.total);

    if (status == BENCH_OK)
        status = bench_consistency(&t->bench, &t->serializable);
    if (status == BENCH_OK && !(ratio >= 0))
        status = bench_fail("expected --rw-ratio not below 0");
    if (status != BENCH_OK)
        return status;
    t->read_share = ratio / (1 + ratio);
    t->limit = cli_int(t->bench.call, "limit");
    t->ops = 1;
    txn_init(t);
    buf_printf(&t->bench.out, "bench with %s range\n",
               t->serializable ? "serializable" : "linearizable");
    cli_write(stdout, &t->bench.out);
    bench_report_init(&t->bench, &t->reads);
    bench_report_init(&t->bench, &t->writes);
    report_init(&none, false);
    report_begin(&t->reads, clock_mono_ns(clock_posix()));
    report_begin(&t->writes, t->reads.began);
    load_run(&load);
    mixed_report(t, &t->reads, "Read", "txn-mixed-read");
    mixed_report(t, &t->writes, "Write", "txn-mixed-write");
    return BENCH_OK;
}

/* ---- the commands ---- */

static int run(struct cli_call *call, int (*load)(struct txn_run *t))
{
    struct txn_run t = {0};
    int status = bench_open(&t.bench, call);

    if (status == BENCH_OK)
        status = bench_key_space(&t.bench, &t.keys);
    if (status == BENCH_OK)
        status = bench_value(&t.bench, "val-size", &t.value);
    if (status == BENCH_OK)
        status = load(&t);
    txn_free(&t);
    return bench_close(&t.bench, status);
}

static int put_run(struct cli_call *call)
{
    return run(call, put_load);
}

static int mixed_run(struct cli_call *call)
{
    return run(call, mixed_load);
}

#define COMMON_FLAGS                                                                         \
    {.name = "key-size", .type = CLI_INT, .def = "8", .help = "bytes of a key"},             \
        {.name = "key-space-size",                                                           \
         .type = CLI_INT,                                                                    \
         .def = "1",                                                                         \
         .help = "how many different keys"},                                                 \
        {.name = "rate",                                                                     \
         .type = CLI_INT,                                                                    \
         .help = "transactions per second (0: as fast as they are answered)"},               \
        {.name = "total", .type = CLI_INT, .def = "10000", .help = "how many transactions"}, \
    {                                                                                        \
        .name = "val-size", .type = CLI_INT, .def = "8", .help = "bytes of a value"          \
    }

static const struct cli_flag put_flags[] = {
    COMMON_FLAGS,
    {.name = "txn-ops", .type = CLI_INT, .def = "1", .help = "puts in a transaction"},
};

static const struct cli_flag mixed_flags[] = {
    COMMON_FLAGS,
    {.name = "consistency",
     .type = CLI_STRING,
     .def = "l",
     .help = "l: linearizable, s: serializable"},
    {.name = "end-key", .type = CLI_STRING, .help = "without effect: reads are over all keys"},
    {.name = "limit", .type = CLI_INT, .def = "1000", .help = "keys in an answer at most"},
    {.name = "rw-ratio", .type = CLI_FLOAT, .def = "1", .help = "reads per write"},
};

const struct cli_command txn_put_command = {
    .use = "txn-put",
    .brief = "Transactions of puts",
    .about = "Puts several keys in each transaction, and says how long each took.",
    CLI_FLAGS(put_flags),
    .run = put_run,
};

const struct cli_command txn_mixed_command = {
    .use = "txn-mixed key [end-range]",
    .brief = "Transactions that read among some that write",
    .about = "Mixes transactions with one read over all keys and such with one put.",
    CLI_FLAGS(mixed_flags),
    .run = mixed_run,
};
