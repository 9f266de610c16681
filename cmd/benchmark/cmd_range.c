/* cmd_range.c -- reads of one key or of many, as one answer, in pages, or as a stream. */
#include "base/alloc.h"
#include "benchmark/bench.h"

#define PAGE_KEYS 10000

enum range_way { RANGE_WHOLE, RANGE_PAGES, RANGE_STREAM };

struct range_run {
    struct bench bench;
    enum range_way way;
    Etcdserverpb__RangeRequest request;
    uint8_t *prefix_end;
    struct pages *pages; /* of each worker */
};

/* Where a worker's reading of pages is. */
struct pages {
    uint8_t *next; /* the key to go on from */
    size_t next_bytes;
    int64_t revision;
};

static void range_start(struct worker *w)
{
    struct range_run *r = w->load->user;

    load_send(w, KETCH_METHOD_range, &r->request.base);
}

/* ---- in pages, all at the revision of the first ---- */

static void on_page(struct ketch_reply *reply, const struct ketch_error *e, void *user);

static struct pages *pages_of(const struct worker *w)
{
    struct range_run *run = w->load->user;

    return &run->pages[w->index];
}

static void page_send(struct worker *w)
{
    struct range_run *run = w->load->user;
    struct pages *p = pages_of(w);
    Etcdserverpb__RangeRequest r = run->request;

    r.limit = PAGE_KEYS;
    r.revision = p->revision;
    if (p->next != NULL)
        r.key = binary_of(p->next, p->next_bytes);
    load_ask(w, KETCH_METHOD_range, &r.base, on_page);
}

static void pages_clear(struct pages *p)
{
    mem_free(p->next);
    *p = (struct pages){0};
}

static void on_page(struct ketch_reply *reply, const struct ketch_error *e, void *user)
{
    struct worker *w = user;
    struct pages *p = pages_of(w);
    const Etcdserverpb__RangeResponse *r = reply == NULL
                                               ? NULL
                                               : (const void *) ketch_reply_message(reply);

    if (r == NULL || !r->more || r->n_kvs == 0) {
        pages_clear(p);
        load_answered(reply, e, w);
        return;
    }
    /* Behind the last key: the same with one zero byte more. */
    const ProtobufCBinaryData *last = &r->kvs[r->n_kvs - 1]->key;

    mem_free(p->next);
    p->next_bytes = last->len + 1;
    p->next = xmem_alloc(p->next_bytes);
    memcpy(p->next, last->data, last->len);
    p->next[last->len] = 0;
    p->revision = r->header->revision;
    ketch_reply_free(reply);
    page_send(w);
}

static void pages_start(struct worker *w)
{
    pages_clear(pages_of(w));
    page_send(w);
}

/* ---- as a stream ---- */

static bool on_part(const ProtobufCMessage *message, void *user)
{
    (void) message;
    (void) user;
    return true;
}

static void on_stream_end(const struct ketch_error *e, void *user)
{
    load_done(user, e->code == KETCH_OK ? NULL : e->text);
}

static void stream_start(struct worker *w)
{
    static const struct ketch_stream_callbacks cb = {.on_message = on_part,
                                                     .on_end = on_stream_end};
    struct range_run *r = w->load->user;

    if (ketch_stream(w->client, KETCH_RANGE_STREAM, &r->request.base, 0, &cb, w) == NULL)
        bench_die("out of memory");
}

/* ---- the command ---- */

static void (*const starts[])(struct worker *w) = {
    [RANGE_WHOLE] = range_start,
    [RANGE_PAGES] = pages_start,
    [RANGE_STREAM] = stream_start,
};

/* The first key behind all that begin with the prefix; "\0" (no end) when there is none. */
static void prefix_end(struct range_run *r)
{
    size_t n = r->request.key.len;

    r->prefix_end = xmem_alloc(n + 1);
    if (n > 0)
        memcpy(r->prefix_end, r->request.key.data, n);
    while (n > 0 && r->prefix_end[n - 1] == 0xff)
        n--;
    if (n > 0)
        r->prefix_end[n - 1]++;
    else
        r->prefix_end[n++] = 0;
    r->request.range_end = binary_of(r->prefix_end, n);
}

static int read_arguments(struct range_run *r, const struct cli_call *call)
{
    bool prefix = cli_bool(call, "prefix");
    struct bytes key = call->arg_count > 0 ? cli_arg(call, 0) : BYTES_EMPTY;
    struct bytes end = call->arg_count > 1 ? cli_arg(call, 1) : BYTES_EMPTY;

    etcdserverpb__range_request__init(&r->request);
    if (call->arg_count > 2 || (call->arg_count == 0 && !prefix) || (prefix && end.n > 0))
        return bench_usage(call);
    if (cli_bool(call, "paginate") && cli_int(call, "limit") != 0)
        return bench_fail("--paginate and --limit are mutually exclusive");
    if (cli_bool(call, "paginate") && cli_bool(call, "stream"))
        return bench_fail("--paginate and --stream are mutually exclusive");
    if (cli_bool(call, "keys-only") && cli_bool(call, "count-only"))
        return bench_fail("`--keys-only` and `--count-only` cannot be set at the same time");
    r->way = cli_bool(call, "paginate") ? RANGE_PAGES
             : cli_bool(call, "stream") ? RANGE_STREAM
                                        : RANGE_WHOLE;
    r->request.key = binary_of(key.p, key.n);
    r->request.range_end = binary_of(end.p, end.n);
    r->request.limit = cli_int(call, "limit");
    r->request.keys_only = cli_bool(call, "keys-only");
    r->request.count_only = cli_bool(call, "count-only");
    if (prefix)
        prefix_end(r);
    if (r->request.key.len == 0) /* all keys begin at the first one that may be */
        r->request.key = binary_of("", 1);
    return BENCH_OK;
}

static int range_load(struct range_run *r)
{
    struct report report;
    struct load load = {.bench = &r->bench,
                        .rate = MAX(cli_int(r->bench.call, "rate"), 0),
                        .start = starts[r->way],
                        .report = &report,
                        .user = r};
    int status = bench_count(&r->bench, "total", &load.total);

    if (status != BENCH_OK)
        return status;
    buf_printf(&r->bench.out, "bench with %s range\n",
               r->request.serializable ? "serializable" : "linearizable");
    cli_write(stdout, &r->bench.out);
    bench_report_init(&r->bench, &report);
    r->pages = xmem_calloc(r->bench.worker_count, sizeof(*r->pages));
    load_run(&load);
    mem_free(r->pages);
    bench_report(&r->bench, &report, "range");
    report_done(&report);
    return BENCH_OK;
}

static int range_run(struct cli_call *call)
{
    struct range_run r = {0};
    bool serializable = false;
    int status = bench_open(&r.bench, call);

    if (status == BENCH_OK)
        status = read_arguments(&r, call);
    if (status == BENCH_OK)
        status = bench_consistency(&r.bench, &serializable);
    r.request.serializable = serializable;
    if (status == BENCH_OK)
        status = range_load(&r);
    mem_free(r.prefix_end);
    return bench_close(&r.bench, status);
}

static const struct cli_flag flags[] = {
    {.name = "consistency",
     .type = CLI_STRING,
     .def = "l",
     .help = "l: linearizable, s: serializable"},
    {.name = "count-only", .type = CLI_BOOL, .help = "ask for the number of keys only"},
    {.name = "keys-only", .type = CLI_BOOL, .help = "ask for keys without values"},
    {.name = "limit", .type = CLI_INT, .help = "keys per answer at most (0: all)"},
    {.name = "paginate", .type = CLI_BOOL, .help = "read in pages of 10000 keys at one revision"},
    {.name = "prefix", .type = CLI_BOOL, .help = "read all keys that begin with the key"},
    {.name = "rate", .type = CLI_INT, .help = "reads per second (0: as fast as they are answered)"},
    {.name = "stream", .type = CLI_BOOL, .help = "use RangeStream, not Range"},
    {.name = "total", .type = CLI_INT, .def = "10000", .help = "how many reads"},
};

const struct cli_command range_command = {
    .use = "range key [end-range]",
    .brief = "Reads of a key or a range",
    .about =
        "Reads a key, or the keys from one to before another, and says how long each read took.",
    CLI_FLAGS(flags),
    .run = range_run,
};
