#define _GNU_SOURCE
#include "obs/log.h"

#include <setjmp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct fixed_clock {
    struct clock clock;
    wall_ms wall;
};

static mono_ns fixed_mono(struct clock *c)
{
    (void) c;
    return 0;
}

static wall_ms fixed_wall(struct clock *c)
{
    return CONTAINER_OF(c, struct fixed_clock, clock)->wall;
}

/* A log into a file of its own, on a clock that stands still at 2026-01-02 03:04:05.678 UTC. */
struct fixture {
    struct fixed_clock clock;
    char path[64];
    struct log *log;
    char text[1 << 20];
};

static struct fixture fx;

static void open_log(enum log_format format, enum log_level level)
{
    const char *const outputs[] = {fx.path};
    int fd;

    setenv("TZ", "UTC", 1);
    fx.clock = (struct fixed_clock){{fixed_mono, fixed_wall}, INT64_C(1767323045678)};
    snprintf(fx.path, sizeof fx.path, "/tmp/ketch-log-test-XXXXXX");
    fd = mkstemp(fx.path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(log_open(&(struct log_options){.level = level,
                                                    .format = format,
                                                    .outputs = outputs,
                                                    .outputs_n = 1,
                                                    .clock = &fx.clock.clock},
                              &fx.log, NULL),
                     0);
}

static const char *written(void)
{
    FILE *f = fopen(fx.path, "r");
    size_t n;

    assert_non_null(f);
    n = fread(fx.text, 1, sizeof fx.text - 1, f);
    fx.text[n] = 0;
    fclose(f);
    return fx.text;
}

static size_t lines(const char *s)
{
    size_t n = 0;

    for (; *s != 0; s++)
        n += *s == '\n';
    return n;
}

static void close_log(void)
{
    log_close(fx.log);
    unlink(fx.path);
}

static void say(struct log *l)
{
    LOG_INFO(l, "opened backend db", F_STR("path", "a\"b\\\n\x01<\xc3\xa9\xff"), F_U64("n", 7),
             F_I64("i", -3), F_BOOL("ok", true), F_HEX("member-id", 0x8e9e05c52164694dULL),
             F_NS("took", 1234567), F_MS("interval", 100),
             F_STRS("urls", ((const char *const[]){"x", "y"}), 2), F_STRS("none", NULL, 0),
             F_WALL("at", 1767323045678), F_JSON("raw", "{\"a\":1}"));
}

/* A JSON line has the keys of etcd's in their order, and each kind of field in etcd's form. */
static void test_json_line(void **state)
{
    const char *text;
    const char *head =
        "{\"level\":\"info\",\"ts\":\"2026-01-02T03:04:05.678000Z\",\"caller\":\"obs/"
        "log_test.c:";
    const char *tail = ",\"msg\":\"opened backend db\","
                       "\"path\":\"a\\\"b\\\\\\n\\u0001<\xc3\xa9\\ufffd\",\"n\":7,\"i\":-3,"
                       "\"ok\":true,\"member-id\":\"8e9e05c52164694d\",\"took\":\"1.234567ms\","
                       "\"interval\":\"100ms\",\"urls\":[\"x\",\"y\"],\"none\":[],"
                       "\"at\":\"2026-01-02T03:04:05.678000Z\",\"raw\":{\"a\":1}}\n";

    (void) state;
    open_log(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    say(fx.log);
    text = written();
    assert_memory_equal(text, head, strlen(head));
    assert_string_equal(strstr(text, ",\"msg\""), tail);
    close_log();
}

/* Errors carry a stack and the words of the error; an error that is not there leaves no key. */
static void test_error_line(void **state)
{
    struct err e = ERR_INIT;
    const char *text;

    (void) state;
    open_log(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    LOG_ERROR(fx.log, "fine", F_ERR(&e));
    assert_null(strstr(written(), "\"error\":"));
    assert_int_equal(err_set(&e, ERR_IO, "disk gone"), ERR_IO);
    LOG_ERROR(fx.log, "bad", F_ERR(&e));
    text = written();
    assert_non_null(
        strstr(text, "\"msg\":\"bad\",\"error\":\"disk gone\",\"stacktrace\":\"test_error_line"
                     "\\n\\t"));
    close_log();
}

/* A console line is tab-separated, with the fields as one JSON object; a named log says its name.
 */
static void test_console_line(void **state)
{
    struct log *raft;
    const char *text;

    (void) state;
    open_log(LOG_FORMAT_CONSOLE, LOG_LEVEL_INFO);
    raft = log_named(fx.log, "raft");
    LOG_WARN(raft, "hello", F_U64("a", 1), F_STR("b", "x"));
    LOG_WARN(fx.log, "plain");
    text = written();
    assert_memory_equal(text, "2026-01-02T03:04:05.678000Z\twarn\traft\tobs/log_test.c:", 53);
    assert_non_null(strstr(text, "\thello\t{\"a\":1,\"b\":\"x\"}\n"));
    assert_non_null(strstr(text, "\tplain\n"));
    close_log();
}

/* Lines below the level are not written, and the level can be changed while running. */
static void test_level(void **state)
{
    enum log_level level;

    (void) state;
    open_log(LOG_FORMAT_JSON, LOG_LEVEL_WARN);
    LOG_INFO(fx.log, "quiet");
    assert_string_equal(written(), "");
    assert_true(log_level_parse("DEBUG", &level));
    log_set_level(fx.log, level);
    LOG_DEBUG(fx.log, "loud");
    assert_non_null(strstr(written(), "\"level\":\"debug\""));
    assert_false(log_level_parse("Debug", &level));
    assert_false(log_level_parse("loud", &level));
    LOG_INFO(NULL, "nobody hears this");
    close_log();
}

/* In one second the first hundred lines of one text are written and then every hundredth. */
static void test_sampling(void **state)
{
    (void) state;
    open_log(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    for (int i = 0; i < 350; i++)
        LOG_INFO(fx.log, "often");
    assert_int_equal(lines(written()), 102);
    assert_int_equal(log_sampled(fx.log), 248);
    fx.clock.wall += 1000;
    LOG_INFO(fx.log, "often");
    assert_int_equal(lines(written()), 103);
    close_log();
}

/* What the writer thread is given while it runs arrives in order, and stopping it writes the rest.
 */
static void test_writer_thread(void **state)
{
    (void) state;
    open_log(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    assert_int_equal(log_start(fx.log, NULL), 0);
    for (unsigned i = 0; i < 90; i++)
        LOG_INFO(fx.log, "queued", F_U64("i", i));
    log_stop(fx.log);
    LOG_INFO(fx.log, "direct");
    assert_int_equal(lines(written()), 91);
    assert_non_null(strstr(fx.text, "\"i\":89}\n{"));
    assert_int_equal(log_dropped(fx.log), 0);
    close_log();
}

/* A sink that takes nothing holds nobody up: lines are queued to the limit and then counted. */
static void test_blocked_sink(void **state)
{
    static char big[LOG_VALUE_BYTES_MAX];
    const char *const outputs[] = {fx.path};
    int reader[2];
    uint64_t dropped;

    (void) state;
    memset(big, 'x', sizeof big - 1);
    fx.clock = (struct fixed_clock){{fixed_mono, fixed_wall}, 0};
    assert_int_equal(pipe(reader), 0);
    snprintf(fx.path, sizeof fx.path, "/proc/self/fd/%d", reader[1]);
    assert_int_equal(
        log_open(
            &(struct log_options){.outputs = outputs, .outputs_n = 1, .clock = &fx.clock.clock},
            &fx.log, NULL),
        0);
    assert_int_equal(log_start(fx.log, NULL), 0);
    for (int i = 0; i < 600; i++) {
        fx.clock.wall += 1000; /* past the sampling */
        LOG_INFO(fx.log, "much", F_STR("v", big));
    }
    dropped = log_dropped(fx.log);
    assert_true(dropped > 600 - LOG_QUEUE_BYTES_MAX / sizeof big - 20);
    assert_true(dropped < 600);
    close(reader[0]); /* the writer's next write fails, and it goes on */
    close(reader[1]);
    log_close(fx.log);
}

/* A line that would pass its bound loses whole fields and stays one JSON object. */
static void test_long_line(void **state)
{
    static char big[LOG_VALUE_BYTES_MAX + 100];
    const char *text;

    (void) state;
    memset(big, 'y', sizeof big - 1);
    open_log(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    LOG_INFO(fx.log, "long", F_STR("a", big), F_STR("b", big), F_STR("c", big), F_STR("d", big),
             F_STR("e", big), F_U64("last", 5));
    text = written();
    assert_true(strlen(text) <= LOG_LINE_BYTES_MAX);
    assert_non_null(strstr(text, "\"c\":\"y"));
    assert_null(strstr(text, "\"d\":"));
    assert_non_null(strstr(text, ",\"last\":5}\n"));
    close_log();
}

/* Fatal ends the process with status 1 and panic with 2, after their line was written. */
static void test_fatal_and_panic(void **state)
{
    (void) state;
    open_log(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    for (int want = 1; want <= 2; want++) {
        int status;
        pid_t pid = fork();

        if (pid == 0) {
            if (want == 1)
                LOG_FATAL(fx.log, "listener failed", F_STR("error", "x"));
            LOG_PANIC(fx.log, "lost data");
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), want);
    }
    assert_non_null(strstr(written(), "\"level\":\"fatal\""));
    assert_non_null(strstr(fx.text, "\"level\":\"panic\""));
    close_log();
}

/* A path that cannot be opened is refused with zap's words, and /dev/null swallows everything. */
static void test_outputs(void **state)
{
    const char *const bad[] = {"/nowhere/at/all"};
    const char *const null[] = {"stderr", "/dev/null"};
    struct err e = ERR_INIT;
    struct log *l;

    (void) state;
    fx.clock = (struct fixed_clock){{fixed_mono, fixed_wall}, 0};
    assert_int_equal(
        log_open(&(struct log_options){.outputs = bad, .outputs_n = 1, .clock = &fx.clock.clock},
                 &l, &e),
        ERR_NOT_FOUND);
    assert_string_equal(
        e.msg, "open sink \"/nowhere/at/all\": open /nowhere/at/all: No such file or directory");
    assert_int_equal(
        log_open(&(struct log_options){.outputs = null, .outputs_n = 2, .clock = &fx.clock.clock},
                 &l, &e),
        0);
    LOG_ERROR(l, "this must not be seen");
    log_close(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_line),       cmocka_unit_test(test_error_line),
        cmocka_unit_test(test_console_line),    cmocka_unit_test(test_level),
        cmocka_unit_test(test_sampling),        cmocka_unit_test(test_writer_thread),
        cmocka_unit_test(test_blocked_sink),    cmocka_unit_test(test_long_line),
        cmocka_unit_test(test_fatal_and_panic), cmocka_unit_test(test_outputs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
