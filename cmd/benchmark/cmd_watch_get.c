/* cmd_watch_get.c -- reads while many watches catch up from an old revision. */
#include "base/alloc.h"
#include "benchmark/watches.h"

#define WATCHED "watchkey"
#define READ "abc"

struct get_run {
    struct bench bench;
    struct watched_key key;
    struct watched_key *keys[1];
    struct watches watches;
    struct report created;
    struct report reads;
    struct progress progress;
    int64_t events_left;
    mono_ns began; /* of the read under way */
};

static void on_event(struct watches *all, struct watched *w, const struct ketch_watch_event *ev)
{
    struct get_run *run = all->user;
    int64_t n = MIN((int64_t) ev->event_count, run->events_left);

    (void) w;
    run->events_left -= n;
    progress_add(&run->progress, n, clock_mono_ns(clock_posix()));
}

static void get_send(struct get_run *run);

/* One more, until the watches have seen everything. */
static void on_got(struct ketch_reply *reply, const struct ketch_error *e, void *user)
{
    struct get_run *run = user;
    mono_ns now = clock_mono_ns(clock_posix());

    ketch_reply_free(reply);
    if (e->code == KETCH_OK)
        report_add(&run->reads, run->began, now);
    else
        report_fail(&run->reads, e->text, now);
    if (run->events_left == 0)
        ketch_stop(run->bench.conns[0]);
    else
        get_send(run);
}

static void get_send(struct get_run *run)
{
    Etcdserverpb__RangeRequest r = ETCDSERVERPB__RANGE_REQUEST__INIT;

    r.key = binary_of(READ, sizeof(READ) - 1);
    r.serializable = true;
    run->began = clock_mono_ns(clock_posix());
    if (ketch_start(bench_conn(&run->bench, run->bench.conn_count - 1), KETCH_METHOD_range, &r.base,
                    0, on_got, run) == NULL)
        bench_die("out of memory");
}

/* Puts the watched key; stores the revision of the first put. */
static int make_events(struct get_run *run, int64_t events, int64_t *ret_first)
{
    Etcdserverpb__PutRequest r = ETCDSERVERPB__PUT_REQUEST__INIT;
    const Etcdserverpb__PutResponse *done;
    struct ketch_reply *reply;

    r.key = run->key.key;
    r.value = binary_of("data", 4);
    for (int64_t i = 0; i < events; i++) {
        if (ketch_put(run->bench.conns[0], &r, 0, &reply, &done, &run->bench.error) != KETCH_OK)
            return bench_fail("Failed to Put: %s", run->bench.error.text);
        if (i == 0)
            *ret_first = done->header->revision;
        ketch_reply_free(reply);
    }
    return BENCH_OK;
}

static int get_load(struct get_run *run)
{
    int64_t events;
    int64_t first = 0;
    int status = bench_size(&run->bench, "streams", WATCHES_MAX, &run->watches.streams);

    if (status == BENCH_OK)
        status = bench_size(&run->bench, "watchers", WATCHES_MAX, &run->watches.count);
    if (status == BENCH_OK)
        status = bench_count(&run->bench, "events", &events);
    if (status == BENCH_OK)
        status = make_events(run, events, &first);
    if (status != BENCH_OK)
        return status;
    run->watches.start_revision = first;
    run->events_left = events * (int64_t) run->watches.count;
    bench_report_init(&run->bench, &run->created);
    bench_report_init(&run->bench, &run->reads);
    report_begin(&run->reads, clock_mono_ns(clock_posix()));
    watches_start(&run->watches, &run->created);
    progress_begin(&run->progress, run->events_left);
    get_send(run);
    ketch_run(run->bench.conns[0]);
    progress_end(&run->progress);
    buf_add_str(&run->bench.out, "Get during watch summary:\n");
    bench_report(&run->bench, &run->reads, "watch-get");
    return BENCH_OK;
}

static int get_run(struct cli_call *call)
{
    struct get_run run = {0};
    int status = bench_open(&run.bench, call);

    run.key.key = binary_of(WATCHED, sizeof(WATCHED) - 1);
    run.keys[0] = &run.key;
    run.watches = (struct watches){
        .bench = &run.bench, .keys = run.keys, .key_count = 1, .on_event = on_event, .user = &run};
    if (status == BENCH_OK)
        status = get_load(&run);
    watches_close(&run.watches);
    status = bench_close(&run.bench, status);
    watches_done(&run.watches);
    report_done(&run.created);
    report_done(&run.reads);
    return status;
}

static const struct cli_flag flags[] = {
    {.name = "events", .type = CLI_INT, .def = "8", .help = "events that each watch catches up on"},
    {.name = "streams", .type = CLI_INT, .def = "1", .help = "watch streams"},
    {.name = "watchers", .type = CLI_INT, .def = "10000", .help = "watches"},
};

const struct cli_command watch_get_command = {
    .use = "watch-get",
    .brief = "Reads while watches catch up",
    .about = "Reads a key over and over while many watches catch up from an old revision; says how "
             "long\neach read took.",
    CLI_FLAGS(flags),
    .run = get_run,
};
