/* cmd_watch.c -- many watches, then puts that they see.
 *
 * An event's time is counted from the put that made it: from when the last put of that key was sent
 * until the event was here.
 */
#include "base/alloc.h"
#include "base/map64.h"
#include "benchmark/bench.h"
#include "benchmark/watches.h"

struct watch_run {
    struct bench bench;
    struct key_space keys;
    size_t streams;
    size_t per_stream;
    struct watched_key **watched; /* equal keys are one entry at several places */
    struct map64 by_number;       /* owns the entries */
    size_t watched_count;
    struct watches watches;
    struct report created;
    struct report events;
    struct progress progress;
    int64_t events_left;
    size_t next_put;
    bool puts_done;
};

/* ---- opening ---- */

static void on_event(struct watches *all, struct watched *w, const struct ketch_watch_event *ev)
{
    struct watch_run *run = all->user;
    mono_ns now = clock_mono_ns(clock_posix());

    for (size_t i = 0; i < ev->event_count && run->events_left > 0; i++) {
        report_add(&run->events, w->key->put_ns == 0 ? now : w->key->put_ns, now);
        progress_add(&run->progress, 1, now);
        run->events_left--;
    }
    if (run->events_left == 0 && run->puts_done)
        ketch_stop(run->bench.conns[0]);
}

static struct watched_key *key_new(struct watch_run *run, int64_t number)
{
    struct watched_key *k = xmem_calloc(1, sizeof(*k));

    k->key = binary_of(xmem_alloc(run->keys.key_bytes), run->keys.key_bytes);
    key_write(&run->keys, number, k->key.data);
    if (!map64_put(&run->by_number, (uint64_t) number, k))
        bench_die("out of memory");
    return k;
}

static void make_keys(struct watch_run *run)
{
    run->watched = xmem_calloc(run->watched_count, sizeof(struct watched_key *));
    for (size_t i = 0; i < run->watched_count; i++) {
        int64_t number = key_next(&run->keys);

        run->watched[i] = map64_get(&run->by_number, (uint64_t) number);
        if (run->watched[i] == NULL)
            run->watched[i] = key_new(run, number);
    }
}

static void open_watches(struct watch_run *run)
{
    run->watches = (struct watches){.bench = &run->bench,
                                    .count = run->streams * run->per_stream,
                                    .streams = run->streams,
                                    .keys = run->watched,
                                    .key_count = run->watched_count,
                                    .on_event = on_event,
                                    .user = run};
    bench_report_init(&run->bench, &run->created);
    watches_open(&run->watches, &run->created);
    buf_add_str(&run->bench.out, "Watch creation summary:\n");
    bench_report(&run->bench, &run->created, "watch-make");
    cli_write(stdout, &run->bench.out);
}

/* ---- putting ---- */

static void put_start(struct worker *w)
{
    struct watch_run *run = w->load->user;
    struct watched_key *k = run->watched[run->next_put++ % run->watched_count];
    Etcdserverpb__PutRequest r = ETCDSERVERPB__PUT_REQUEST__INIT;

    r.key = k->key;
    r.value = binary_of("data", 4);
    k->put_ns = w->began;
    load_send(w, KETCH_METHOD_put, &r.base);
}

/* How many events so many puts make. */
static int64_t events_of(const struct watch_run *run, int64_t puts)
{
    int64_t each = puts / (int64_t) run->watched_count;
    int64_t more = puts % (int64_t) run->watched_count;
    int64_t n = 0;

    for (size_t i = 0; i < run->watched_count; i++)
        n += (each + ((int64_t) i < more)) * run->watched[i]->watches;
    return n;
}

static void put_all(struct watch_run *run, int64_t puts)
{
    struct report answers;
    struct load load = {.bench = &run->bench,
                        .total = puts,
                        .rate = MAX(cli_int(run->bench.call, "put-rate"), 0),
                        .start = put_start,
                        .report = &answers,
                        .user = run,
                        .quiet = true};

    report_init(&answers, false);
    run->events_left = events_of(run, puts);
    progress_begin(&run->progress, run->events_left);
    bench_report_init(&run->bench, &run->events);
    report_begin(&run->events, clock_mono_ns(clock_posix()));
    load_run(&load);
    for (size_t i = 0; i < answers.error_count; i++)
        bench_die("Failed to Put in watch benchmark: %s", answers.errors[i].text);
    run->puts_done = true;
    if (run->events_left > 0)
        ketch_run(run->bench.conns[0]);
    progress_end(&run->progress);
    report_done(&answers);
    buf_add_str(&run->bench.out, "Watch events received summary:\n");
    bench_report(&run->bench, &run->events, "watch-put");
}

/* ---- the command ---- */

static int watch_load(struct watch_run *run)
{
    int64_t puts;
    int status = bench_size(&run->bench, "streams", WATCHES_MAX, &run->streams);

    if (status == BENCH_OK)
        status = bench_size(&run->bench, "watch-per-stream", WATCHES_MAX, &run->per_stream);
    if (status == BENCH_OK)
        status = bench_size(&run->bench, "watched-key-total", WATCHES_MAX, &run->watched_count);
    if (status == BENCH_OK)
        status = bench_count(&run->bench, "put-total", &puts);
    if (status != BENCH_OK)
        return status;
    make_keys(run);
    open_watches(run);
    put_all(run, puts);
    return BENCH_OK;
}

static void watch_free(struct watch_run *run)
{
    struct watched_key *k;
    size_t pos = 0;

    while ((k = map64_next(&run->by_number, &pos, NULL)) != NULL) {
        mem_free(k->key.data);
        mem_free(k);
    }
    map64_done(&run->by_number);
    mem_free(run->watched);
    watches_done(&run->watches);
    report_done(&run->created);
    report_done(&run->events);
}

static int watch_run(struct cli_call *call)
{
    struct watch_run run = {0};
    int status = bench_open(&run.bench, call);

    map64_init(&run.by_number);
    if (status == BENCH_OK)
        status = bench_key_space(&run.bench, &run.keys);
    if (status == BENCH_OK)
        status = watch_load(&run);
    watches_close(&run.watches);
    status = bench_close(&run.bench, status);
    watch_free(&run);
    return status;
}

static const struct cli_flag flags[] = {
    {.name = "key-size", .type = CLI_INT, .def = "32", .help = "bytes of a key"},
    {.name = "key-space-size",
     .type = CLI_INT,
     .def = "1",
     .help = "how many different keys the watched ones are taken from"},
    {.name = "put-rate", .type = CLI_INT, .help = "puts per second (0: as fast as answered)"},
    {.name = "put-total", .type = CLI_INT, .def = "1000", .help = "how many puts"},
    {.name = "sequential-keys", .type = CLI_BOOL, .help = "take the keys in turn, not by chance"},
    {.name = "streams", .type = CLI_INT, .def = "10", .help = "watch streams"},
    {.name = "watch-per-stream", .type = CLI_INT, .def = "100", .help = "watches on each stream"},
    {.name = "watched-key-total", .type = CLI_INT, .def = "1", .help = "keys that are watched"},
};

const struct cli_command watch_command = {
    .use = "watch",
    .brief = "Many watches of few keys",
    .about = "Opens watches on several streams, then puts the watched keys until every watch has\n"
             "seen its events; says how long opening took, and how long after its put an event "
             "came.",
    CLI_FLAGS(flags),
    .run = watch_run,
};
