/* cmd_check.c -- is the cluster fast enough, and what does data cost it? */
#include "base/alloc.h"
#include "cli/text.h"
#include "etcdctl/load.h"
#include "wire/wire.h"

#define CLEANUP_TIMEOUT_MS 30000
#define PAGE_TIMEOUT_MS 30000
#define MEMORY_METRIC "process_resident_memory_bytes"

/* What counts as good. */
#define THROUGHPUT_SHARE_MIN 0.9
#define SLOWEST_S_MAX 0.5
#define STDDEV_S_MAX 0.1

/* ---- what both do ---- */

struct workload {
    const char *names[2];
    uint64_t puts; /* datascale: all; perf: a second */
    size_t clients;
};

static const struct workload perf_loads[] = {{{"s", "small"}, 150, 50},
                                             {{"m", "medium"}, 1000, 200},
                                             {{"l", "large"}, 8000, 500},
                                             {{"xl", "xLarge"}, 15000, 1000}};
static const struct workload datascale_loads[] = {{{"s", "small"}, 10000, 50},
                                                  {{"m", "medium"}, 100000, 200},
                                                  {{"l", "large"}, 1000000, 500},
                                                  {{"xl", "xLarge"}, 3000000, 1000}};
#define LOADS ARRAY_LEN(perf_loads)

static const struct workload *find_load(const struct workload *loads, const char *name)
{
    for (size_t i = 0; i < LOADS; i++)
        if (strcmp(loads[i].names[0], name) == 0 || strcmp(loads[i].names[1], name) == 0)
            return &loads[i];
    return NULL;
}

/* Keys that are there already are none of ours to delete afterwards. */
static int check_empty(struct ctl *ctl, const char *prefix, const char *quote)
{
    Etcdserverpb__RangeRequest req = ETCDSERVERPB__RANGE_REQUEST__INIT;
    const Etcdserverpb__RangeResponse *resp;
    struct ketch_reply *reply;
    struct buf quoted;
    size_t n;
    int status = CTL_OK;

    req.key = wire_binary(bytes_str(prefix));
    req.range_end = wire_binary(kv_prefix_end(bytes_str(prefix), &ctl->arena));
    req.limit = 1;
    if (ketch_range(ctl->client, &req, 0, &reply, &resp, &ctl->error) != KETCH_OK)
        return ctl_fail(ctl, CTL_ERROR);
    n = resp->n_kvs;
    ketch_reply_free(reply);
    if (n == 0)
        return CTL_OK;
    buf_init(&quoted, CLI_PAGE_BYTES_MAX);
    text_quote(&quoted, bytes_str(prefix));
    status = cli_fail(CTL_INVALID_INPUT,
                      "prefix %s has keys. Delete with %setcdctl del --prefix %s%s first",
                      buf_cstr(&quoted), quote, prefix, quote);
    buf_done(&quoted);
    return status;
}

static bool delete_keys(struct ctl *ctl, const char *prefix, int64_t timeout_ms,
                        int64_t *ret_revision)
{
    Etcdserverpb__DeleteRangeRequest req = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    const Etcdserverpb__DeleteRangeResponse *resp;
    struct ketch_reply *reply;

    req.key = wire_binary(bytes_str(prefix));
    req.range_end = wire_binary(kv_prefix_end(bytes_str(prefix), &ctl->arena));
    if (ketch_delete_range(ctl->client, &req, timeout_ms, &reply, &resp, &ctl->error) != KETCH_OK)
        return false;
    *ret_revision = resp->header->revision;
    ketch_reply_free(reply);
    return true;
}

static int compact(struct ctl *ctl, int64_t revision)
{
    Etcdserverpb__CompactionRequest req = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    const Etcdserverpb__CompactionResponse *resp;
    struct ketch_reply *reply;

    printf("Compacting with revision %" PRId64 "\n", revision);
    req.revision = revision;
    req.physical = true;
    if (ketch_compact(ctl->client, &req, CLEANUP_TIMEOUT_MS, &reply, &resp, &ctl->error) !=
        KETCH_OK)
        return ctl_fail(ctl, CTL_ERROR);
    ketch_reply_free(reply);
    printf("Compacted with revision %" PRId64 "\n", revision);
    return CTL_OK;
}

static int defragment(struct ctl *ctl, const char *endpoint)
{
    Etcdserverpb__DefragmentRequest req = ETCDSERVERPB__DEFRAGMENT_REQUEST__INIT;
    struct ketch_reply *reply = NULL;
    struct ketch_client *c;
    struct buf quoted;
    int status = ctl_connect(ctl, &endpoint, 1, NULL, &c);

    buf_init(&quoted, CLI_PAGE_BYTES_MAX);
    text_quote(&quoted, bytes_str(endpoint));
    printf("Defragmenting %s\n", buf_cstr(&quoted));
    if (status == CTL_OK && ketch_invoke(c, KETCH_METHOD_defragment, &req.base, CLEANUP_TIMEOUT_MS,
                                         &reply, &ctl->error) != KETCH_OK)
        status = ctl_fail(ctl, CTL_ERROR);
    if (status == CTL_OK)
        printf("Defragmented %s\n", buf_cstr(&quoted));
    ketch_reply_free(reply);
    ketch_close(c);
    buf_done(&quoted);
    return status;
}

/* --auto-compact, --auto-defrag */
static int tidy_up(struct ctl *ctl, bool deleted, int64_t revision)
{
    int status = CTL_OK;

    if (deleted && cli_bool(ctl->call, "auto-compact"))
        status = compact(ctl, revision);
    for (size_t i = 0; i < ctl->endpoint_count && cli_bool(ctl->call, "auto-defrag"); i++)
        if (status == CTL_OK)
            status = defragment(ctl, ctl->endpoints[i]);
    return status;
}

static bool show_errors(const struct load *l)
{
    if (l->error_count == 0)
        return false;
    printf("FAIL: too many errors\n");
    for (size_t i = 0; i < l->error_count; i++)
        printf("FAIL: ERROR(%s) -> %" PRIu64 "\n", l->errors[i].text, l->errors[i].count);
    return true;
}

/* In what the two differ. */
struct check {
    const struct workload *loads;
    size_t key_bytes;
    size_t value_bytes;
    int64_t
        paced_ms; /* so long, with as many puts a second as the load says; 0: until all are done */
    int (*measure)(struct ctl *ctl, struct load *l);
};

static int check_run(struct cli_call *call, const struct check *check)
{
    const char *name = cli_string(call, "load");
    const struct workload *w = find_load(check->loads, name);
    struct load *l;
    struct ctl ctl;
    int status;

    if (w == NULL)
        return cli_fail(CTL_BAD_FEATURE, "unknown load option %s", name);
    l = xmem_calloc(1, sizeof(*l));
    l->ctl = &ctl;
    l->prefix = cli_string(call, "prefix");
    l->key_bytes = check->key_bytes;
    l->value_bytes = check->value_bytes;
    l->clients = w->clients;
    l->rate = check->paced_ms > 0 ? w->puts : 0;
    l->puts = check->paced_ms > 0 ? 0 : w->puts;
    l->duration_ms = check->paced_ms;
    status = ctl_open(&ctl, call);
    if (status == CTL_OK)
        status = check->measure(&ctl, l);
    mem_free(l);
    return ctl_close(&ctl, status);
}

/* ---- perf ---- */

static int perf_verdict(const struct load *l)
{
    bool good = !show_errors(l);
    double rate = (double) l->done / l->seconds;
    bool fast = rate / (double) l->rate > THROUGHPUT_SHARE_MIN;

    printf(fast ? "PASS: Throughput is %d writes/s\n" : "FAIL: Throughput too low: %d writes/s\n",
           (int) rate + 1);
    if (l->slowest > SLOWEST_S_MAX)
        printf("Slowest request took too long: %fs\n", l->slowest);
    else
        printf("PASS: Slowest request took %fs\n", l->slowest);
    if (load_stddev(l) > STDDEV_S_MAX)
        printf("Stddev too high: %fs\n", load_stddev(l));
    else
        printf("PASS: Stddev is %fs\n", load_stddev(l));
    good = good && fast && l->slowest <= SLOWEST_S_MAX && load_stddev(l) <= STDDEV_S_MAX;
    printf(good ? "PASS\n" : "FAIL\n");
    return good ? CTL_OK : CTL_ERROR;
}

static int perf_measure(struct ctl *ctl, struct load *l)
{
    int64_t revision = 0;
    bool deleted;
    int status = check_empty(ctl, l->prefix, "'");

    if (status == CTL_OK)
        status = load_run(l);
    if (status != CTL_OK)
        return status;
    deleted = delete_keys(ctl, l->prefix, CLEANUP_TIMEOUT_MS, &revision);
    if (!deleted)
        printf("FAIL: Cleanup failed during key deletion: ERROR(%s)\n", ctl->error.text);
    status = tidy_up(ctl, deleted, revision);
    return status == CTL_OK ? perf_verdict(l) : status;
}

static int perf_run(struct cli_call *call)
{
    static const struct check perf = {.loads = perf_loads,
                                      .key_bytes = 256,
                                      .value_bytes = 1024,
                                      .paced_ms = 60000,
                                      .measure = perf_measure};

    return check_run(call, &perf);
}

/* ---- datascale ---- */

/* The first line that begins with the name; the rest of it is the number. */
static bool find_memory(const char *page, double *ret)
{
    const size_t n = strlen(MEMORY_METRIC);
    char number[64];
    struct err e = ERR_INIT;

    for (const char *p = page; p != NULL; p = strchr(p, '\n')) {
        p += *p == '\n';
        if (strncmp(p, MEMORY_METRIC, n) != 0)
            continue;
        p += n + strspn(p + n, " ");
        snprintf(number, sizeof(number), "%.*s", (int) strcspn(p, "\n"), p);
        if (text_parse_float(number, ret, &e) == 0)
            return true;
        printf("parse error: %s\n", e.msg);
        return false;
    }
    printf("could not find: %s\n", MEMORY_METRIC);
    return false;
}

static bool memory_of_first(struct ctl *ctl, const char *when, double *ret)
{
    char *page = NULL;
    bool found = false;

    if (ketch_page(ctl->client, 0, "/metrics", PAGE_TIMEOUT_MS, &page, &ctl->error) != KETCH_OK)
        printf("fetch error: %s\n", ctl->error.text);
    else
        found = find_memory(page, ret);
    ketch_page_free(page);
    if (!found)
        printf("FAIL: Could not read " MEMORY_METRIC " %s the put operations.\n", when);
    return found;
}

static int datascale_measure(struct ctl *ctl, struct load *l)
{
    double before;
    double after;
    int64_t revision;
    int status = check_empty(ctl, l->prefix, "");

    if (status != CTL_OK)
        return status;
    if (!memory_of_first(ctl, "before", &before))
        return CTL_ERROR;
    printf("Start data scale check for work load [%" PRIu64
           " key-value pairs, %zu bytes per key-value, %zu concurrent clients].\n",
           l->puts, l->key_bytes + l->value_bytes, l->clients);
    fflush(stdout);
    status = load_run(l);
    if (status != CTL_OK)
        return status;
    if (!memory_of_first(ctl, "after", &after))
        return CTL_ERROR;
    if (!delete_keys(ctl, l->prefix, 0, &revision))
        return ctl_fail(ctl, CTL_ERROR);
    status = tidy_up(ctl, true, revision);
    if (status != CTL_OK)
        return status;
    if (show_errors(l))
        return CTL_ERROR;
    printf("PASS: Approximate system memory used : %.2f MB.\n", (after - before) / (1024 * 1024));
    return CTL_OK;
}

static int datascale_run(struct cli_call *call)
{
    static const struct check datascale = {.loads = datascale_loads,
                                           .key_bytes = 512,
                                           .value_bytes = 512,
                                           .measure = datascale_measure};

    return check_run(call, &datascale);
}

/* ---- the tree ---- */

static const char *const load_values[] = {"small", "medium", "large", "xLarge", NULL};

#define CHECK_FLAGS(default_prefix)                                                          \
    {.name = "load",                                                                         \
     .type = CLI_STRING,                                                                     \
     .def = "s",                                                                             \
     .values = load_values,                                                                  \
     .help = "how much: s(small), m(medium), l(large) or xl(xLarge)"},                       \
        {.name = "prefix",                                                                   \
         .type = CLI_STRING,                                                                 \
         .def = default_prefix,                                                              \
         .help = "prefix of the keys that are written, and deleted afterwards"},             \
        {.name = "auto-compact",                                                             \
         .type = CLI_BOOL,                                                                   \
         .help = "compact the history of what was written when the check is over"},          \
    {                                                                                        \
        .name = "auto-defrag", .type = CLI_BOOL, .help = "defragment when the check is over" \
    }

static const struct cli_flag perf_flags[] = {CHECK_FLAGS("/etcdctl-check-perf/")};
static const struct cli_flag datascale_flags[] = {CHECK_FLAGS("/etcdctl-check-datascale/")};

static const struct cli_command perf_command = {
    .use = "perf [options]",
    .brief = "Check the performance of the etcd cluster",
    .about = "Writes for a minute at a pace, and says whether it was kept, and how long a write\n"
             "took at worst.",
    CLI_FLAGS(perf_flags),
    .run = perf_run};
static const struct cli_command datascale_command = {
    .use = "datascale [options]",
    .brief = "Check the memory that data of a certain size takes on a server",
    .about = "Writes keys, and says by how much the memory of the first endpoint's server grew.",
    CLI_FLAGS(datascale_flags),
    .run = datascale_run};
static const struct cli_command *const check_commands[] = {&perf_command, &datascale_command};

const struct cli_command check_command = {
    .use = "check <subcommand>",
    .brief = "Checks properties of the etcd cluster; see `etcdctl check --help`",
    .about = "Checks properties of the etcd cluster.",
    .group = GROUP_UTILITY,
    CLI_SUBS(check_commands),
};
