/* cmd_watch_latency.c -- how long after a put's answer its events come.
 *
 * Puts follow one another, so the k-th event of a watch is that of the k-th put.  An event that
 * came before the put was answered counts as no delay, as etcd's benchmark has it.
 */
#include "base/alloc.h"
#include "benchmark/watches.h"

struct latency_run {
    struct bench bench;
    struct watched_key key;
    struct watched_key *keys[1];
    ProtobufCBinaryData value;
    struct watches watches;
    struct report created;
    struct report puts;
    struct report events;
    mono_ns *put_ended; /* of each put that was answered */
    int64_t answered;
    int64_t events_left;
    bool puts_done;
};

static void on_event(struct watches *all, struct watched *w, const struct ketch_watch_event *ev)
{
    struct latency_run *run = all->user;
    mono_ns now = clock_mono_ns(clock_posix());

    for (size_t i = 0; i < ev->event_count && run->events_left > 0; i++) {
        bool answered = (int64_t) w->seen < run->answered;

        report_add(&run->events, answered ? run->put_ended[w->seen] : now, now);
        w->seen++;
        run->events_left--;
    }
    if (run->events_left == 0 && run->puts_done)
        ketch_stop(run->bench.conns[0]);
}

static void on_put(struct ketch_reply *reply, const struct ketch_error *e, void *user)
{
    struct worker *w = user;
    struct latency_run *run = w->load->user;

    if (e->code != KETCH_OK)
        bench_die("Failed to Put in watch benchmark: %s", e->text);
    run->put_ended[run->answered++] = clock_mono_ns(clock_posix());
    load_answered(reply, e, user);
}

static void put_start(struct worker *w)
{
    struct latency_run *run = w->load->user;
    Etcdserverpb__PutRequest r = ETCDSERVERPB__PUT_REQUEST__INIT;

    r.key = run->key.key;
    r.value = run->value;
    load_ask(w, KETCH_METHOD_put, &r.base, on_put);
}

static void put_all(struct latency_run *run, int64_t total)
{
    struct load load = {.bench = &run->bench,
                        .total = total,
                        .rate = MAX(cli_int(run->bench.call, "put-rate"), 0),
                        .start = put_start,
                        .report = &run->puts,
                        .user = run};

    run->put_ended = xmem_calloc((size_t) total + 1, sizeof(*run->put_ended));
    run->events_left = total * (int64_t) run->watches.count;
    bench_report_init(&run->bench, &run->puts);
    bench_report_init(&run->bench, &run->events);
    report_begin(&run->events, clock_mono_ns(clock_posix()));
    run->bench.worker_count = 1; /* one put at a time */
    load_run(&load);
    run->puts_done = true;
    if (run->events_left > 0)
        ketch_run(run->bench.conns[0]);
    buf_add_str(&run->bench.out, "\nPut summary:\n");
    bench_report(&run->bench, &run->puts, "watch-latency-put");
    buf_add_str(&run->bench.out, "\nWatch events summary:\n");
    bench_report(&run->bench, &run->events, "watch-latency-watch");
}

static int latency_load(struct latency_run *run)
{
    size_t per_stream;
    int64_t total;
    int64_t key_bytes = cli_int(run->bench.call, "key-size");
    int status = bench_size(&run->bench, "streams", WATCHES_MAX, &run->watches.streams);

    if (status == BENCH_OK)
        status = bench_size(&run->bench, "watchers-per-stream", WATCHES_MAX, &per_stream);
    if (status == BENCH_OK)
        status = bench_count(&run->bench, "put-total", &total);
    if (status == BENCH_OK && (key_bytes < 1 || key_bytes > KEY_BYTES_MAX))
        status = bench_fail("expected --key-size between 1 and %d, got (%" PRId64 ")",
                            KEY_BYTES_MAX, key_bytes);
    if (status == BENCH_OK)
        status = bench_value(&run->bench, "key-size", &run->key.key);
    if (status == BENCH_OK)
        status = bench_value(&run->bench, "val-size", &run->value);
    if (status != BENCH_OK)
        return status;
    run->watches.count = run->watches.streams * per_stream;
    bench_report_init(&run->bench, &run->created);
    watches_open(&run->watches, &run->created);
    put_all(run, total);
    return BENCH_OK;
}

static int latency_run(struct cli_call *call)
{
    struct latency_run run = {0};
    int status = bench_open(&run.bench, call);

    run.keys[0] = &run.key;
    run.watches = (struct watches){.bench = &run.bench,
                                   .keys = run.keys,
                                   .key_count = 1,
                                   .prev_kv = cli_bool(call, "prevkv"),
                                   .on_event = on_event,
                                   .user = &run};
    if (status == BENCH_OK)
        status = latency_load(&run);
    watches_close(&run.watches);
    status = bench_close(&run.bench, status);
    watches_done(&run.watches);
    report_done(&run.created);
    report_done(&run.puts);
    report_done(&run.events);
    mem_free(run.put_ended);
    mem_free(run.key.key.data);
    mem_free(run.value.data);
    return status;
}

static const struct cli_flag flags[] = {
    {.name = "key-size", .type = CLI_INT, .def = "32", .help = "bytes of the key"},
    {.name = "prevkv", .type = CLI_BOOL, .help = "ask for the value before, too"},
    {.name = "put-rate", .type = CLI_INT, .def = "100", .help = "puts per second"},
    {.name = "put-total", .type = CLI_INT, .def = "1000", .help = "how many puts"},
    {.name = "streams", .type = CLI_INT, .def = "10", .help = "watch streams"},
    {.name = "val-size", .type = CLI_INT, .def = "32", .help = "bytes of a value"},
    {.name = "watchers-per-stream", .type = CLI_INT, .def = "10", .help = "watches on each stream"},
};

const struct cli_command watch_latency_command = {
    .use = "watch-latency",
    .brief = "How long after a put its events come",
    .about =
        "Puts one key at a steady rate under many watches; says how long each put took and how "
        "long\nafter its answer each event came.",
    CLI_FLAGS(flags),
    .run = latency_run,
};
