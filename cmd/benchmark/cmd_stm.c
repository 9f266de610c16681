/* cmd_stm.c -- transactions made by clients: read some keys, then write some of them if nobody else
 * has done so meanwhile, else again. */
#include "base/alloc.h"
#include "benchmark/stm.h"

/* ---- reading ---- */

static void commit(struct stm_worker *s);

static ProtobufCBinaryData key_of(const struct stm_worker *s, size_t i)
{
    return binary_of(s->run->keys[s->access[i].key], STM_KEY_BYTES);
}

/* The transaction is over; the lock, if there is one, is given back first. */
static void stm_end(struct stm_worker *s, const char *error)
{
    if (s->run->locker == STM_LOCK_NONE) {
        load_done(s->w, error);
        return;
    }
    snprintf(s->error, sizeof(s->error), "%s", error == NULL ? "" : error);
    stm_unlock(s);
}

static void read_next(struct stm_worker *s);

static void on_read(struct ketch_reply *reply, const struct ketch_error *e, void *user)
{
    struct stm_worker *s = user;
    const Etcdserverpb__RangeResponse *r;

    if (e->code != KETCH_OK) {
        stm_end(s, e->text);
        return;
    }
    r = (const void *) ketch_reply_message(reply);
    s->access[s->read].mod_revision = r->n_kvs == 0 ? 0 : r->kvs[0]->mod_revision;
    if (s->read == 0)
        s->read_revision = r->header->revision;
    s->read++;
    ketch_reply_free(reply);
    read_next(s);
}

/* From the second key on the stricter isolations read at the first one's revision. */
static void read_next(struct stm_worker *s)
{
    Etcdserverpb__RangeRequest r = ETCDSERVERPB__RANGE_REQUEST__INIT;

    if (s->read == s->run->per_txn) {
        commit(s);
        return;
    }
    r.key = key_of(s, s->read);
    if (s->read > 0 && s->run->isolation >= STM_SERIALIZABLE) {
        r.revision = s->read_revision;
        r.serializable = true;
    }
    if (ketch_start(s->w->client, KETCH_METHOD_range, &r.base, 0, on_read, s) == NULL)
        bench_die("out of memory");
}

/* ---- committing ---- */

/* What the failed branch has read, in the order of the keys. */
static void take_reads(struct stm_worker *s, const Etcdserverpb__TxnResponse *r)
{
    for (size_t i = 0; i < r->n_responses && i < s->run->per_txn; i++) {
        const Etcdserverpb__RangeResponse *range = r->responses[i]->response_range;

        s->access[i].mod_revision = range->n_kvs == 0 ? 0 : range->kvs[0]->mod_revision;
    }
    s->read_revision = r->header->revision;
}

static void on_committed(struct ketch_reply *reply, const struct ketch_error *e, void *user)
{
    struct stm_worker *s = user;
    const Etcdserverpb__TxnResponse *r = reply == NULL ? NULL
                                                       : (const void *) ketch_reply_message(reply);

    if (r == NULL || r->succeeded) {
        stm_end(s, r == NULL ? e->text : NULL);
    } else if (s->run->isolation >= STM_SERIALIZABLE) {
        take_reads(s, r);
        commit(s);
    } else {
        s->read = 0;
        read_next(s);
    }
    ketch_reply_free(reply);
}

struct txn {
    Etcdserverpb__TxnRequest request;
    Etcdserverpb__Compare compare[2 * STM_KEYS_PER_TXN_MAX];
    Etcdserverpb__Compare *compares[2 * STM_KEYS_PER_TXN_MAX];
    Etcdserverpb__PutRequest put[STM_KEYS_PER_TXN_MAX];
    Etcdserverpb__RangeRequest range[STM_KEYS_PER_TXN_MAX];
    Etcdserverpb__RequestOp op[2 * STM_KEYS_PER_TXN_MAX];
    Etcdserverpb__RequestOp *success[STM_KEYS_PER_TXN_MAX];
    Etcdserverpb__RequestOp *failure[STM_KEYS_PER_TXN_MAX];
};

static void add_compare(struct txn *t, ProtobufCBinaryData key,
                        Etcdserverpb__Compare__CompareResult how, int64_t mod_revision)
{
    size_t n = t->request.n_compare++;
    Etcdserverpb__Compare *c = t->compares[n] = &t->compare[n];

    etcdserverpb__compare__init(c);
    c->key = key;
    c->result = how;
    c->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD;
    c->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION;
    c->mod_revision = mod_revision;
}

static void add_put(struct txn *t, ProtobufCBinaryData key, ProtobufCBinaryData value)
{
    size_t n = t->request.n_success++;
    Etcdserverpb__RequestOp *op = t->success[n] = &t->op[n];

    etcdserverpb__put_request__init(&t->put[n]);
    t->put[n].key = key;
    t->put[n].value = value;
    etcdserverpb__request_op__init(op);
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op->request_put = &t->put[n];
}

static void add_range(struct txn *t, ProtobufCBinaryData key)
{
    size_t n = t->request.n_failure++;
    Etcdserverpb__RequestOp *op = t->failure[n] = &t->op[STM_KEYS_PER_TXN_MAX + n];

    etcdserverpb__range_request__init(&t->range[n]);
    t->range[n].key = key;
    etcdserverpb__request_op__init(op);
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    op->request_range = &t->range[n];
}

static void commit(struct stm_worker *s)
{
    const struct stm_run *run = s->run;
    struct txn *t = xmem_alloc(sizeof(*t));

    etcdserverpb__txn_request__init(&t->request);
    t->request.compare = t->compares;
    t->request.success = t->success;
    t->request.failure = t->failure;
    for (size_t i = 0; i < run->per_txn; i++) {
        ProtobufCBinaryData key = key_of(s, i);

        if (run->isolation >= STM_REPEATABLE_READS)
            add_compare(t, key, ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL,
                        s->access[i].mod_revision);
        if (run->isolation == STM_SNAPSHOT && s->access[i].write)
            add_compare(t, key, ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS, s->read_revision + 1);
        if (s->access[i].write)
            add_put(t, key, run->value);
        if (run->isolation >= STM_SERIALIZABLE)
            add_range(t, key);
    }
    if (ketch_start(s->w->client, KETCH_METHOD_txn, &t->request.base, 0, on_committed, s) == NULL)
        bench_die("out of memory");
    mem_free(t);
}

/* ---- the load ---- */

void stm_locked(struct stm_worker *s)
{
    s->read = 0;
    read_next(s);
}

/* Different keys: a transaction may write each one once. */
static void choose_keys(struct stm_worker *s)
{
    struct random *chance = &s->run->bench.chance.random;

    for (size_t i = 0; i < s->run->per_txn; i++) {
        bool again;

        do {
            s->access[i].key = (size_t) random_below(chance, s->run->key_count);
            again = false;
            for (size_t k = 0; k < i; k++)
                again = again || s->access[k].key == s->access[i].key;
        } while (again);
        s->access[i].write = (int64_t) random_below(chance, 100) < s->run->write_percent;
    }
}

static void stm_start(struct worker *w)
{
    struct stm_run *run = w->load->user;
    struct stm_worker *s = &run->workers[w->index];

    s->w = w;
    choose_keys(s);
    if (run->locker == STM_LOCK_NONE)
        stm_locked(s);
    else
        stm_lock(s);
}

static int stm_load(struct stm_run *run)
{
    struct report report;
    struct load load = {.bench = &run->bench,
                        .rate = MAX(cli_int(run->bench.call, "rate"), 0),
                        .start = stm_start,
                        .report = &report,
                        .user = run};
    int status = bench_count(&run->bench, "total", &load.total);

    run->workers = xmem_calloc(run->bench.worker_count, sizeof(*run->workers));
    for (size_t i = 0; i < run->bench.worker_count && status == BENCH_OK; i++) {
        run->workers[i].run = run;
        if (run->locker != STM_LOCK_NONE)
            status = stm_lock_prepare(&run->workers[i]);
    }
    if (status != BENCH_OK)
        return status;
    bench_report_init(&run->bench, &report);
    load_run(&load);
    bench_report(&run->bench, &report, "stm");
    report_done(&report);
    return BENCH_OK;
}

/* ---- the command ---- */

static int word_of(const char *const *words, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(words[i], word) == 0)
            return (int) i;
    return -1;
}

static int read_numbers(struct stm_run *run, const struct cli_call *call)
{
    int64_t keys = cli_int(call, "keys");
    int64_t per_txn = cli_int(call, "keys-per-txn");

    run->write_percent = cli_int(call, "txn-wr-percent");
    if (keys <= 0 || keys > STM_KEYS_MAX)
        return bench_fail("expected positive --keys, got (%" PRId64 ")", keys);
    if (run->write_percent < 0 || run->write_percent > 100)
        return bench_fail("expected [0, 100] --txn-wr-percent, got (%" PRId64 ")",
                          run->write_percent);
    if (per_txn < 0 || per_txn > MIN(keys, STM_KEYS_PER_TXN_MAX))
        return bench_fail("expected --keys-per-txn between 0 and %" PRId64 ", got (%" PRId64 ")",
                          MIN(keys, STM_KEYS_PER_TXN_MAX), per_txn);
    run->key_count = (size_t) keys;
    run->per_txn = (size_t) per_txn;
    return BENCH_OK;
}

static int read_words(struct stm_run *run, const struct cli_call *call)
{
    static const char *const isolations[] = {"c", "r", "s", "ss"};
    static const char *const lockers[] = {"stm", "lock-client", "lock-rpc"};
    int isolation = word_of(isolations, ARRAY_LEN(isolations), cli_string(call, "isolation"));
    int locker = word_of(lockers, ARRAY_LEN(lockers), cli_string(call, "stm-locker"));

    if (isolation < 0)
        return bench_usage(call);
    if (locker < 0)
        return bench_fail("unexpected stm locker \"%s\"", cli_string(call, "stm-locker"));
    run->isolation = (enum stm_isolation) isolation;
    run->locker = (enum stm_locker) locker;
    return BENCH_OK;
}

static void make_keys(struct stm_run *run)
{
    run->keys = xmem_calloc(run->key_count, sizeof(*run->keys));
    for (size_t i = 0; i < run->key_count; i++)
        random_fill(&run->bench.chance.random, run->keys[i], STM_KEY_BYTES);
}

static int stm_run(struct cli_call *call)
{
    struct stm_run run = {0};
    int status = bench_open(&run.bench, call);

    if (status == BENCH_OK)
        status = read_numbers(&run, call);
    if (status == BENCH_OK)
        status = read_words(&run, call);
    if (status == BENCH_OK)
        status = bench_value(&run.bench, "val-size", &run.value);
    if (status == BENCH_OK) {
        make_keys(&run);
        status = stm_load(&run);
    }
    for (size_t i = 0; run.workers != NULL && i < run.bench.worker_count; i++)
        stm_lock_done(&run.workers[i]);
    status = bench_close(&run.bench, status);
    mem_free(run.workers);
    mem_free(run.keys);
    mem_free(run.value.data);
    return status;
}

static const struct cli_flag flags[] = {
    {.name = "isolation",
     .type = CLI_STRING,
     .def = "r",
     .help = "c: read committed, r: repeatable reads, s: serializable, ss: serializable snapshot"},
    {.name = "keys", .type = CLI_INT, .def = "1", .help = "how many different keys"},
    {.name = "keys-per-txn", .type = CLI_INT, .def = "1", .help = "keys that a transaction reads"},
    {.name = "rate",
     .type = CLI_INT,
     .help = "transactions per second (0: as fast as they are answered)"},
    {.name = "stm-locker",
     .type = CLI_STRING,
     .def = "stm",
     .help = "stm: no lock, lock-client: a lock made of keys, lock-rpc: the server's lock service"},
    {.name = "total", .type = CLI_INT, .def = "10000", .help = "how many transactions"},
    {.name = "txn-wr-percent",
     .type = CLI_INT,
     .def = "50",
     .help = "how many of 100 keys that are read are written"},
    {.name = "val-size", .type = CLI_INT, .def = "8", .help = "bytes of a value"},
};

const struct cli_command stm_command = {
    .use = "stm",
    .brief = "Transactions made by clients",
    .about = "Reads keys and writes some of them if they are unchanged, else again; says how long\n"
             "each transaction took with all its attempts.",
    CLI_FLAGS(flags),
    .run = stm_run,
};
