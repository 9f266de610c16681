/* cmd_put.c -- puts; if asked for, compactions meanwhile and a hash at the end. */
#include "base/alloc.h"
#include "benchmark/bench.h"
#include "cli/text.h"

#define NS_PER_MS 1000000

struct put_run {
    struct bench bench;
    struct key_space keys;
    ProtobufCBinaryData value;
    uint8_t *key; /* scratch: a request is encoded when it is sent */
    int64_t compact_ms;
    int64_t compact_delta;
    bool over; /* no more compactions */
};

static void put_start(struct worker *w)
{
    struct put_run *p = w->load->user;
    Etcdserverpb__PutRequest r = ETCDSERVERPB__PUT_REQUEST__INIT;

    key_write(&p->keys, key_next(&p->keys), p->key);
    r.key = binary_of(p->key, p->keys.key_bytes);
    r.value = p->value;
    load_send(w, KETCH_METHOD_put, &r.base);
}

/* ---- compactions ---- */

static void compact_later(struct put_run *p);

static void on_compacted(struct ketch_reply *reply, const struct ketch_error *e, void *user)
{
    struct put_run *p = user;

    ketch_reply_free(reply);
    if (p->over)
        return;
    if (e->code != KETCH_OK)
        (void) !bench_fail("compaction: %s", e->text);
    compact_later(p);
}

/* At so many revisions before the newest one; not before there are as many. */
static void on_revision(struct ketch_reply *reply, const struct ketch_error *e, void *user)
{
    struct put_run *p = user;
    Etcdserverpb__CompactionRequest r = ETCDSERVERPB__COMPACTION_REQUEST__INIT;

    if (reply != NULL)
        r.revision =
            ((const Etcdserverpb__RangeResponse *) (const void *) ketch_reply_message(reply))
                ->header->revision -
            p->compact_delta;
    ketch_reply_free(reply);
    if (p->over)
        return;
    if (e->code != KETCH_OK)
        (void) !bench_fail("compaction: %s", e->text);
    if (r.revision <= 0)
        compact_later(p);
    else if (ketch_start(p->bench.conns[0], KETCH_METHOD_compact, &r.base, 0, on_compacted, p) ==
             NULL)
        bench_die("out of memory");
}

static void compact_now(void *arg)
{
    struct put_run *p = arg;
    Etcdserverpb__RangeRequest r = ETCDSERVERPB__RANGE_REQUEST__INIT;

    r.key = binary_of("foo", 3);
    if (!p->over &&
        ketch_start(p->bench.conns[0], KETCH_METHOD_range, &r.base, 0, on_revision, p) == NULL)
        bench_die("out of memory");
}

static void compact_later(struct put_run *p)
{
    ketch_after(p->bench.conns[0], p->compact_ms, compact_now, p);
}

/* ---- the hash ---- */

static int print_hash(struct bench *b)
{
    Etcdserverpb__HashKVRequest hash = ETCDSERVERPB__HASH_KVREQUEST__INIT;
    Etcdserverpb__StatusRequest status = ETCDSERVERPB__STATUS_REQUEST__INIT;
    const Etcdserverpb__HashKVResponse *hashed;
    const Etcdserverpb__StatusResponse *state;
    struct ketch_reply *first = NULL;
    struct ketch_reply *second = NULL;
    mono_ns began = clock_mono_ns(clock_posix());
    int64_t took;
    int rc = ketch_hash_kv(b->conns[0], &hash, 0, &first, &hashed, &b->error);

    took = clock_mono_ns(clock_posix()) - began;
    if (rc == KETCH_OK)
        rc = ketch_status(b->conns[0], &status, 0, &second, &state, &b->error);
    if (rc == KETCH_OK) {
        buf_printf(&b->out, "HashKV Summary:\n\tHashKV: %" PRIu32 "\n\tEndpoint: %s\n",
                   hashed->hash, cli_value(b->call, "endpoints")->list[0]);
        buf_add_str(&b->out, "\tTime taken to get hashkv: ");
        text_duration(&b->out, took);
        buf_add_str(&b->out, "\n\tDB size: ");
        text_human_bytes(&b->out, (uint64_t) MAX(state->dbsize, 0));
        buf_add_char(&b->out, '\n');
    }
    ketch_reply_free(first);
    ketch_reply_free(second);
    return rc == KETCH_OK ? BENCH_OK : bench_fail("Failed to get the hashkv: %s", b->error.text);
}

/* ---- the command ---- */

static int put_load(struct put_run *p)
{
    struct report report;
    struct load load = {.bench = &p->bench,
                        .rate = MAX(cli_int(p->bench.call, "rate"), 0),
                        .start = put_start,
                        .report = &report,
                        .user = p};
    int status = bench_count(&p->bench, "total", &load.total);

    if (status != BENCH_OK)
        return status;
    bench_report_init(&p->bench, &report);
    p->key = xmem_alloc(p->keys.key_bytes);
    if (p->compact_ms > 0)
        compact_later(p);
    load_run(&load);
    p->over = true;
    bench_report(&p->bench, &report, "put");
    buf_add_char(&p->bench.out, '\n');
    report_done(&report);
    mem_free(p->key);
    return cli_bool(p->bench.call, "check-hashkv") ? print_hash(&p->bench) : BENCH_OK;
}

static int put_run(struct cli_call *call)
{
    struct put_run p = {0};
    int64_t interval_ns = cli_int(call, "compact-interval");
    int status = bench_open(&p.bench, call);

    p.compact_ms = interval_ns <= 0 ? 0 : MAX(interval_ns / NS_PER_MS, 1);
    p.compact_delta = cli_int(call, "compact-index-delta");
    if (status == BENCH_OK)
        status = bench_key_space(&p.bench, &p.keys);
    if (status == BENCH_OK)
        status = bench_value(&p.bench, "val-size", &p.value);
    if (status == BENCH_OK)
        status = put_load(&p);
    p.over = true;
    mem_free(p.value.data);
    return bench_close(&p.bench, status);
}

static const struct cli_flag flags[] = {
    {.name = "check-hashkv", .type = CLI_BOOL, .help = "ask for the store's hash at the end"},
    {.name = "compact-index-delta",
     .type = CLI_INT,
     .def = "1000",
     .help = "how many revisions before the newest one a compaction stays"},
    {.name = "compact-interval",
     .type = CLI_DURATION,
     .def = "0s",
     .help = "compact each time this has gone by, as 5m (besides what the server does by itself)"},
    {.name = "key-size", .type = CLI_INT, .def = "8", .help = "bytes of a key"},
    {.name = "key-space-size", .type = CLI_INT, .def = "1", .help = "how many different keys"},
    {.name = "rate", .type = CLI_INT, .help = "puts per second (0: as fast as they are answered)"},
    {.name = "sequential-keys", .type = CLI_BOOL, .help = "take the keys in turn, not by chance"},
    {.name = "total", .type = CLI_INT, .def = "10000", .help = "how many puts"},
    {.name = "val-size", .type = CLI_INT, .def = "8", .help = "bytes of a value"},
};

const struct cli_command put_command = {
    .use = "put",
    .brief = "Puts",
    .about = "Puts keys, and says how long each put took.",
    CLI_FLAGS(flags),
    .run = put_run,
};
