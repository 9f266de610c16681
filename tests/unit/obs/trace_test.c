#define _GNU_SOURCE
#include "obs/trace.h"

#include <setjmp.h>
#include <unistd.h>

#include <cmocka.h>

#define MS INT64_C(1000000)

/* A clock that goes on by a given time with each look at it. */
struct stepping_clock {
    struct clock clock;
    mono_ns now;
    mono_ns step;
};

static mono_ns stepping_mono(struct clock *c)
{
    struct stepping_clock *s = CONTAINER_OF(c, struct stepping_clock, clock);

    return s->now += s->step;
}

static wall_ms fixed_wall(struct clock *c)
{
    (void) c;
    return INT64_C(1767323045678); /* 2026-01-02 03:04:05.678 UTC */
}

static struct stepping_clock the_clock = {{stepping_mono, fixed_wall}, 0, 0};
static struct trace_steps steps;
static char text[1 << 18];

/* What trace_write has written, from "operation" on: before it are a time, a place and a number. */
static const char *written(const struct trace_line *t)
{
    char path[] = "/tmp/ketch-trace-test-XXXXXX";
    const char *const outputs[] = {path};
    struct log *l;
    FILE *f;
    size_t n;
    int fd = mkstemp(path);

    setenv("TZ", "UTC", 1);
    assert_true(fd >= 0);
    assert_int_equal(
        log_open(
            &(struct log_options){.outputs = outputs, .outputs_n = 1, .clock = &the_clock.clock},
            &l, NULL),
        0);
    trace_write(l, t);
    log_close(l);
    f = fdopen(fd, "r");
    assert_non_null(f);
    n = fread(text, 1, sizeof text - 1, f);
    text[n] = 0;
    fclose(f);
    unlink(path);
    assert_non_null(strstr(text, "{\"level\":\"info\",\"ts\":\"2026-01-02T03:04:05.678000Z\""));
    assert_non_null(strstr(text, "\"msg\":\"trace\",\"trace_id\":"));
    return strstr(text, "\"operation\"");
}

static struct trace_line line_of(const char *operation, const char *detail, mono_ns took)
{
    return (struct trace_line){.operation = operation,
                               .detail = bytes_str(detail),
                               .took = took,
                               .end = fixed_wall(NULL),
                               .steps = &steps};
}

/* A line that an etcd 3.7.1 wrote for a put, whose limit was lowered to 0 for the record. */
static void test_put(void **state)
{
    struct trace_line t = line_of("put", "{key:foo; req_size:13; response_revision:3; }", 6989417);

    (void) state;
    trace_steps_begin(&steps, NULL, 0);
    trace__keep(&steps, TRACE_RAFT, 5079234);
    trace__keep(&steps, TRACE_PREVIOUS, 1802883);
    trace__keep(&steps, TRACE_STORE, 20208);
    t.all = true;
    assert_string_equal(
        written(&t),
        "\"operation\":\"put\",\"detail\":\"{key:foo; req_size:13; response_revision:3; }\","
        "\"duration\":\"6.989417ms\",\"start\":\"2026-01-02T03:04:05.672000Z\","
        "\"end\":\"2026-01-02T03:04:05.678000Z\","
        "\"steps\":[\"'process raft request'  (duration: 5.079234ms)\","
        "\"'get previous kv pair'  (duration: 1.802883ms)\","
        "\"'store kv pair into bolt db'  (duration: 20.208\xc2\xb5s)\"],\"step_count\":3}\n");
}

static void fields_of(void *arg, uint32_t op, struct buf *b)
{
    (void) arg;
    buf_add_char(b, '{');
    trace_field_text(b, "req_type", BYTES_LIT("range"), 64);
    trace_field_text(b, "range_begin", op == 1 ? BYTES_LIT("foo") : BYTES_LIT("\"\0x"), 64);
    trace_field_text(b, "range_end", BYTES_EMPTY, 64);
    buf_add_char(b, '}');
}

/* Steps of a transaction's operations carry what these are about, whatever bytes that are. */
static void test_operations(void **state)
{
    struct trace_line t = line_of(
        "transaction", "{read_only:true; number_of_response:2; response_revision:3; }", 173293);

    (void) state;
    trace_steps_begin(&steps, NULL, 0);
    trace__keep(&steps, TRACE_AGREEMENT, 104084);
    for (int i = 0; i < 2; i++) {
        trace_op_begin(&steps);
        trace__keep(&steps, TRACE_RECORDS, 7804);
        trace_op_end(&steps);
    }
    t.all = true;
    t.op_fields = fields_of;
    assert_string_equal(
        written(&t),
        "\"operation\":\"transaction\","
        "\"detail\":\"{read_only:true; number_of_response:2; response_revision:3; }\","
        "\"duration\":\"173.293\xc2\xb5s\",\"start\":\"2026-01-02T03:04:05.678000Z\","
        "\"end\":\"2026-01-02T03:04:05.678000Z\","
        "\"steps\":[\"'agreement among raft nodes before linearized reading'  (duration: "
        "104.084\xc2\xb5s)\","
        "\"'range keys from bolt db' {req_type:range; range_begin:foo; range_end:; } (duration: "
        "7.804\xc2\xb5s)\","
        "\"'range keys from bolt db' {req_type:range; range_begin:\\\"\\u0000x; range_end:; } "
        "(duration: 7.804\xc2\xb5s)\"],\"step_count\":3}\n");
}

/* A step is shown when it took longer than 100 ms divided by one more than the number of steps. */
static void test_limit(void **state)
{
    struct trace_line t = line_of("range", "{}", 200 * MS);

    (void) state;
    trace_steps_begin(&steps, NULL, 0);
    trace_count(&steps, 6);
    trace_step_at(&steps, TRACE_AGREEMENT, 14285714);
    trace_step_at(&steps, TRACE_INDEX, 2 * 14285714 + 1);
    assert_non_null(strstr(written(&t), "\"steps\":[\"'range keys from in-memory index tree'  "
                                        "(duration: 14.285715ms)\"],\"step_count\":1}\n"));
    steps.count = 5;
    assert_null(strstr(written(&t), "'range keys"));
    assert_non_null(strstr(text, "\"steps\":[],\"step_count\":0}\n"));
}

/* Steps are timed by the clock that was given, short ones leave nothing, and NULL takes none. */
static void test_steps(void **state)
{
    (void) state;
    the_clock.now = 0;
    the_clock.step = TRACE_SHORT_NS;
    trace_steps_begin(&steps, &the_clock.clock, 0);
    trace_step(&steps, TRACE_COMPARE);
    assert_int_equal(steps.kept_n, 0);
    the_clock.step++;
    trace_op_begin(&steps);
    trace_step(&steps, TRACE_STORE);
    trace_op_end(&steps);
    assert_int_equal(steps.kept_n, 1);
    assert_int_equal(steps.kept[0].step, TRACE_STORE);
    assert_int_equal(steps.kept[0].op, 1);
    assert_int_equal(steps.kept[0].took, TRACE_SHORT_NS + 1);
    assert_int_equal(steps.count, 2);
    trace_step(NULL, TRACE_STORE);
    trace_step_at(NULL, TRACE_STORE, 5);
    trace_count(NULL, 1);
    trace_op_begin(NULL);
    trace_op_end(NULL);
}

/* Of more long steps than there are slots the longest stay, in their order. */
static void test_many(void **state)
{
    struct trace_steps more;
    mono_ns now = 0;

    (void) state;
    trace_steps_begin(&steps, NULL, 0);
    for (int i = 0; i < 2 * TRACE_STEPS_KEPT; i++)
        trace_step_at(&steps, TRACE_RECORDS, now += (2 + i) * MS);
    assert_int_equal(steps.kept_n, TRACE_STEPS_KEPT);
    for (int i = 0; i < TRACE_STEPS_KEPT; i++)
        assert_int_equal(steps.kept[i].took, (2 + TRACE_STEPS_KEPT + i) * MS);
    trace_steps_begin(&more, NULL, 0);
    trace_count(&more, 7);
    trace_step_at(&more, TRACE_PHYSICAL, 500 * MS);
    trace_step_at(&more, TRACE_PHYSICAL, 502 * MS);
    trace_steps_join(&steps, &more);
    trace_steps_join(&steps, NULL);
    assert_int_equal(steps.count, 7);
    assert_int_equal(steps.kept_n, TRACE_STEPS_KEPT);
    assert_int_equal(steps.kept[0].took, (3 + TRACE_STEPS_KEPT) * MS);
    assert_int_equal(steps.kept[TRACE_STEPS_KEPT - 1].took, 500 * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put),   cmocka_unit_test(test_operations),
        cmocka_unit_test(test_limit), cmocka_unit_test(test_steps),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
