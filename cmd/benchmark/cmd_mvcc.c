/* cmd_mvcc.c -- the key space alone: no server, a scratch data file in the current directory. */
#include "base/alloc.h"
#include "benchmark/bench.h"
#include "state/mvcc/mvcc.h"

#define SCRATCH_FILE "mvcc-bench"
#define OPS_MAX 65536
#define TXN_BYTES_MAX ((size_t) 1 << 30)

struct mvcc_run {
    struct bench bench;
    struct store *store;
    struct mvcc *kv;
    size_t key_bytes;
    size_t value_bytes;
    size_t ops; /* puts of one request */
    Etcdserverpb__PutRequest *puts;
    Etcdserverpb__RequestOp *ops_of_puts;
    Etcdserverpb__RequestOp **list;
    uint8_t *bytes; /* keys and values of one request */
    uint64_t index;
    int64_t sealed_ms;
};

static void must(int rc, const struct err *e)
{
    if (rc != 0)
        bench_die("%s: %s", SCRATCH_FILE, e->msg);
}

static void request_init(struct mvcc_run *m)
{
    size_t each = m->key_bytes + m->value_bytes;

    m->bytes = xmem_alloc(m->ops * each + 1);
    m->puts = xmem_calloc(m->ops, sizeof(*m->puts));
    m->ops_of_puts = xmem_calloc(m->ops, sizeof(*m->ops_of_puts));
    m->list = xmem_calloc(m->ops, sizeof(Etcdserverpb__RequestOp *));
    for (size_t i = 0; i < m->ops; i++) {
        etcdserverpb__put_request__init(&m->puts[i]);
        etcdserverpb__request_op__init(&m->ops_of_puts[i]);
        m->puts[i].key = binary_of(m->bytes + i * each, m->key_bytes);
        m->puts[i].value = binary_of(m->bytes + i * each + m->key_bytes, m->value_bytes);
        m->ops_of_puts[i].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        m->ops_of_puts[i].request_put = &m->puts[i];
        m->list[i] = &m->ops_of_puts[i];
    }
}

static void request_free(struct mvcc_run *m)
{
    mem_free(m->bytes);
    mem_free(m->puts);
    mem_free(m->ops_of_puts);
    mem_free(m->list);
}

static void commit(struct mvcc_run *m)
{
    struct err e = ERR_INIT;

    m->sealed_ms = clock_mono_ms(clock_posix());
    if (store_seal(m->store))
        must(store_commit(m->store, &e), &e);
}

/* One put, or one transaction of several, with the commits that fall due. */
static void apply(struct mvcc_run *m, bool txn, struct arena *a)
{
    Etcdserverpb__TxnRequest r = ETCDSERVERPB__TXN_REQUEST__INIT;
    struct mvcc_txn_result many;
    struct mvcc_put_result one;
    bool too_large = false;
    int rc;

    r.success = m->list;
    r.n_success = m->ops;
    rc = txn ? mvcc_txn(m->kv, &r, a, &many, &too_large)
             : mvcc_put(m->kv, &m->puts[0], a, &one, &too_large);
    if (rc != 0)
        bench_die("%s: a put was refused", SCRATCH_FILE);
    store_set_applied(m->store, ++m->index, 1);
    mvcc_publish(m->kv);
    arena_reset(a);
    if (store_batch_due(m->store, clock_mono_ms(clock_posix()) - m->sealed_ms))
        commit(m);
}

static void put_all(struct mvcc_run *m, int64_t total, bool txn)
{
    struct report report;
    struct arena arena;

    arena_init(&arena, TXN_BYTES_MAX);
    bench_report_init(&m->bench, &report);
    report_begin(&report, clock_mono_ns(clock_posix()));
    m->sealed_ms = clock_mono_ms(clock_posix());
    for (int64_t i = 0; i < total; i++) {
        mono_ns began;

        random_fill(&m->bench.chance.random, m->bytes, m->ops * (m->key_bytes + m->value_bytes));
        began = clock_mono_ns(clock_posix());
        apply(m, txn, &arena);
        report_add(&report, began, clock_mono_ns(clock_posix()));
    }
    commit(m);
    bench_report(&m->bench, &report, "mvcc-put");
    report_done(&report);
    arena_done(&arena);
}

static void open_scratch(struct mvcc_run *m)
{
    struct store_config cfg = {
        .disk = disk_posix(),
        .path = SCRATCH_FILE,
        .batch_ops_max = (uint64_t) MAX(cli_int(m->bench.call, "batch-limit"), 0),
        .batch_interval_ms = MAX(cli_int(m->bench.call, "batch-interval"), 0),
    };
    struct err e = ERR_INIT;

    if (disk_exists(cfg.disk, SCRATCH_FILE))
        bench_die("%s is there already: this would write into it", SCRATCH_FILE);
    must(store_open(&cfg, &m->store, &e), &e);
    must(mvcc_open(m->store, NULL, &m->kv, &e), &e);
    buf_printf(&m->bench.out,
               "{\"level\":\"info\",\"msg\":\"kvstore restored\",\"current-rev\":%" PRId64 "}\n",
               mvcc_revision(m->kv));
}

static int run_load(struct mvcc_run *m)
{
    struct err e = ERR_INIT;
    bool txn = cli_bool(m->bench.call, "txn");
    int64_t total;
    size_t ops;
    int status = bench_count(&m->bench, "total", &total);

    if (status == BENCH_OK)
        status = bench_size(&m->bench, "key-size", KEY_BYTES_MAX, &m->key_bytes);
    if (status == BENCH_OK)
        status = bench_size(&m->bench, "value-size", VALUE_BYTES_MAX / 4, &m->value_bytes);
    if (status == BENCH_OK)
        status = bench_size(&m->bench, "txn-ops", OPS_MAX, &ops);
    if (status != BENCH_OK)
        return status;
    m->ops = txn ? ops : 1;
    request_init(m);
    open_scratch(m);
    put_all(m, total, txn);
    mvcc_close(m->kv);
    store_close(m->store);
    must(disk_remove(disk_posix(), SCRATCH_FILE, &e), &e);
    request_free(m);
    return BENCH_OK;
}

static int put_run(struct cli_call *call)
{
    struct mvcc_run m = {0};
    int status;

    bench_init(&m.bench, call);
    status = run_load(&m);
    return bench_close(&m.bench, status);
}

static const struct cli_flag put_flags[] = {
    {.name = "cpuprofile", .type = CLI_STRING, .help = "accepted for etcd's sake: use perf"},
    {.name = "key-size", .type = CLI_INT, .def = "64", .help = "bytes of a key"},
    {.name = "memprofile", .type = CLI_STRING, .help = "accepted for etcd's sake: use heaptrack"},
    {.name = "total", .type = CLI_INT, .def = "100", .help = "how many puts or transactions"},
    {.name = "txn", .type = CLI_BOOL, .help = "put in transactions"},
    {.name = "txn-ops", .type = CLI_INT, .def = "1", .help = "puts in a transaction"},
    {.name = "value-size", .type = CLI_INT, .def = "64", .help = "bytes of a value"},
};

static const struct cli_command mvcc_put_command = {
    .use = "put",
    .brief = "Puts into the key space",
    .about = "Puts keys by chance into a scratch data file, and says how long each put took.",
    CLI_FLAGS(put_flags),
    .run = put_run,
};

static const struct cli_command *const commands[] = {&mvcc_put_command};

static const struct cli_flag flags[] = {
    {.name = "batch-interval",
     .type = CLI_INT,
     .def = "100",
     .persistent = true,
     .help = "milliseconds between two commits at most"},
    {.name = "batch-limit",
     .type = CLI_INT,
     .def = "10000",
     .persistent = true,
     .help = "operations in one commit at most"},
};

const struct cli_command mvcc_command = {
    .use = "mvcc",
    .brief = "The key space without a server",
    CLI_FLAGS(flags),
    CLI_SUBS(commands),
};
