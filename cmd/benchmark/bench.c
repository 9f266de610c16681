#include "benchmark/bench.h"

#include "base/alloc.h"
#include "cli/identity.h"

#define NS_PER_MS 1000000

/* ---- mistakes ---- */

static void say(const char *fmt, va_list ap)
{
    struct buf b;

    buf_init(&b, CLI_PAGE_BYTES_MAX);
    buf_vprintf(&b, fmt, ap);
    buf_add_char(&b, '\n');
    cli_write(stderr, &b);
    buf_done(&b);
}

int bench_fail(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
    return BENCH_ERROR;
}

int bench_usage(const struct cli_call *call)
{
    struct buf usage;

    buf_init(&usage, CLI_PAGE_BYTES_MAX);
    cli_usage(call, &usage);
    cli_write(stderr, &usage);
    buf_done(&usage);
    return bench_fail("<nil>");
}

void bench_die(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
    exit(BENCH_ERROR);
}

/* ---- connections ---- */

static int check_tls_files(const struct cli_call *call)
{
    struct err e = ERR_INIT;

    return cli_check_tls_files(call, &e) == 0 ? BENCH_OK : bench_fail("bad tls config: %s", e.msg);
}

/* Every connection has a token of its own. */
static int login(struct bench *b)
{
    const char *user;
    const char *password;
    int status = BENCH_OK;

    cli_split_user(cli_string(b->call, "user"), "", "Password: ", &b->call->arena, &user,
                   &password);
    for (size_t i = 0; i < b->conn_count && status == BENCH_OK; i++)
        if (ketch_login(b->conns[i], user, password, 0, &b->error) != KETCH_OK)
            status = bench_fail("dial error: %s", b->error.text);
    return status;
}

static int connect_all(struct bench *b)
{
    const struct cli_call *call = b->call;
    const struct cli_value *endpoints = cli_value(call, "endpoints");
    struct ketch_options o = {
        .endpoint_count = 1,
        .dial_timeout_ms = cli_int(call, "dial-timeout") / NS_PER_MS,
        .request_bytes_max = (size_t) VALUE_BYTES_MAX + KEY_BYTES_MAX,
        .tls = {.ca_file = cli_string(call, "cacert"),
                .cert_file = cli_string(call, "cert"),
                .key_file = cli_string(call, "key"),
                .skip_verify = cli_bool(call, "insecure-skip-tls-verify")},
    };

    o.tls.enabled = o.tls.ca_file[0] != 0 || o.tls.cert_file[0] != 0 || o.tls.skip_verify;
    if (endpoints->list_count == 0)
        return bench_fail("dial error: etcdclient: no available endpoints");
    for (size_t i = 0; i < b->conn_count; i++) {
        o.endpoints = &endpoints->list[i % endpoints->list_count];
        o.share = b->conns[0];
        if (ketch_open(&o, &b->conns[i], &b->error) != KETCH_OK)
            return bench_fail("dial error: %s", b->error.text);
    }
    return BENCH_OK;
}

static int count_of(const struct cli_call *call, const char *flag, uint64_t max, size_t *ret)
{
    uint64_t n = cli_uint(call, flag);

    if (n == 0 || n > max)
        return bench_fail("expected --%s between 1 and %" PRIu64 ", got (%" PRIu64 ")", flag, max,
                          n);
    *ret = n;
    return BENCH_OK;
}

void bench_init(struct bench *b, struct cli_call *call)
{
    uint64_t seed = cli_uint(call, "seed");

    *b = (struct bench){.call = call};
    buf_init(&b->out, REPORT_OUT_BYTES_MAX);
    random_seeded_init(&b->chance, seed != 0 ? seed : random_u64(random_posix()));
}

int bench_open(struct bench *b, struct cli_call *call)
{
    int status;

    bench_init(b, call);
    status = count_of(call, "conns", CONNS_MAX, &b->conn_count);
    if (status == BENCH_OK)
        status = count_of(call, "clients", CLIENTS_MAX, &b->worker_count);
    if (status == BENCH_OK)
        status = check_tls_files(call);
    if (status != BENCH_OK) {
        b->conn_count = 0;
        return status;
    }
    b->conns = xmem_calloc(b->conn_count, sizeof(struct ketch_client *));
    status = connect_all(b);
    return status == BENCH_OK ? login(b) : status;
}

int bench_close(struct bench *b, int status)
{
    cli_write(stdout, &b->out);
    for (size_t i = b->conn_count; i-- > 0;)
        if (b->conns != NULL)
            ketch_close(b->conns[i]);
    mem_free(b->conns);
    buf_done(&b->out);
    return status;
}

struct ketch_client *bench_conn(const struct bench *b, size_t i)
{
    return b->conns[i % b->conn_count];
}

/* ---- reports ---- */

void bench_report_init(const struct bench *b, struct report *r)
{
    report_init(r, cli_bool(b->call, "sample"));
}

void bench_report(struct bench *b, struct report *r, const char *operation)
{
    mono_ns mono = clock_mono_ns(clock_posix());
    const struct report_style style = {
        .precise = cli_bool(b->call, "precise"),
        .sample = cli_bool(b->call, "sample"),
        .unix_offset_ns = clock_wall_ms(clock_posix()) * NS_PER_MS - mono,
    };
    struct buf text;

    buf_init(&text, REPORT_OUT_BYTES_MAX);
    report_print(r, &style, &text);
    if (cli_bool(b->call, "report-perfdash") && perfdash_write(r, operation, &b->out) != BENCH_OK)
        bench_die("Failed to create a perf report of %s", operation);
    buf_add_bytes(&b->out, buf_bytes(&text));
    buf_done(&text);
}

/* ---- flags that several subcommands have ---- */

int bench_count(const struct bench *b, const char *flag, int64_t *ret)
{
    int64_t n = cli_int(b->call, flag);

    if (n < 0 || n > REQUESTS_MAX)
        return bench_fail("expected --%s between 0 and %" PRId64 ", got (%" PRId64 ")", flag,
                          REQUESTS_MAX, n);
    *ret = n;
    return BENCH_OK;
}

int bench_size(const struct bench *b, const char *flag, int64_t max, size_t *ret)
{
    int64_t n = cli_int(b->call, flag);

    if (n < 1 || n > max)
        return bench_fail("expected --%s between 1 and %" PRId64 ", got (%" PRId64 ")", flag, max,
                          n);
    *ret = (size_t) n;
    return BENCH_OK;
}

int bench_key_space(struct bench *b, struct key_space *ret)
{
    int64_t size = cli_int(b->call, "key-space-size");
    int64_t bytes = cli_int(b->call, "key-size");

    if (size <= 0)
        return bench_fail("expected positive --key-space-size, got (%" PRId64 ")", size);
    if (bytes < (int64_t) key_bytes_least(size) || bytes > KEY_BYTES_MAX)
        return bench_fail("expected --key-size between %zu (for --key-space-size %" PRId64
                          ") and %d, got (%" PRId64 ")",
                          key_bytes_least(size), size, KEY_BYTES_MAX, bytes);
    *ret = (struct key_space){
        .size = size,
        .key_bytes = (size_t) bytes,
        .sequential = cli_has(b->call, "sequential-keys") && cli_bool(b->call, "sequential-keys"),
        .chance = &b->chance.random,
    };
    return BENCH_OK;
}

int bench_value(struct bench *b, const char *flag, ProtobufCBinaryData *ret)
{
    int64_t n = cli_int(b->call, flag);

    if (n < 0 || n > VALUE_BYTES_MAX)
        return bench_fail("expected --%s between 0 and %d, got (%" PRId64 ")", flag,
                          VALUE_BYTES_MAX, n);
    ret->len = (size_t) n;
    ret->data = xmem_alloc(ret->len + 1);
    random_fill(&b->chance.random, ret->data, ret->len);
    return BENCH_OK;
}

int bench_consistency(const struct bench *b, bool *ret_serializable)
{
    const char *word = cli_string(b->call, "consistency");

    if (strcmp(word, "l") != 0 && strcmp(word, "s") != 0)
        return bench_usage(b->call);
    *ret_serializable = word[0] == 's';
    return BENCH_OK;
}
