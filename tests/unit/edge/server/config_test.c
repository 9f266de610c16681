#define _GNU_SOURCE
#include "unit/edge/server/config_rig.h"

#include <unistd.h>

static void check_flag_error(const char *arg, const char *want)
{
    struct err e = ERR_INIT;
    const char *rest;

    assert_int_equal(PARSE(&rest, &e, ARG(arg)), CONFIG_USAGE);
    assert_string_equal(e.msg, want);
}

static const char *legal(enum config_type t)
{
    switch (t) {
    case CONFIG_TYPE_STATE:
        return "existing";
    case CONFIG_TYPE_FALLBACK:
        return "proxy";
    case CONFIG_TYPE_V2:
        return "gone";
    case CONFIG_TYPE_LEVEL:
        return "3.5";
    case CONFIG_TYPE_BOOL:
        return "T";
    case CONFIG_TYPE_UINT:
    case CONFIG_TYPE_UINT64:
    case CONFIG_TYPE_UINT32:
        return "0x1F";
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        return "-31";
    case CONFIG_TYPE_DURATION:
        return "1h2m3.5s";
    case CONFIG_TYPE_URLS:
    case CONFIG_TYPE_ORIGINS:
        return "http://b:1, unix://a:0,http://b:1";
    case CONFIG_TYPE_GATES:
        return "CompactHashCheck=true";
    default:
        return "text";
    }
}

/* A value that the type refuses, and the reason; NULL where every text is taken. */
static const char *illegal(enum config_type t, const char **why)
{
    *why = "parse error";
    switch (t) {
    case CONFIG_TYPE_STATE:
    case CONFIG_TYPE_FALLBACK:
        *why = "invalid value";
        return "x";
    case CONFIG_TYPE_V2:
        *why = "invalid value \"not-yet\"";
        return "not-yet";
    case CONFIG_TYPE_LEVEL:
        *why = "must be 3.5, 3.6 or 3.7";
        return "3.4";
    case CONFIG_TYPE_UINT32:
        *why = "strconv.ParseUint: parsing \"4294967296\": value out of range";
        return "4294967296";
    case CONFIG_TYPE_BOOL:
        return "maybe";
    case CONFIG_TYPE_UINT:
    case CONFIG_TYPE_UINT64:
        return "-1";
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        return "1.5";
    case CONFIG_TYPE_DURATION:
        return "5";
    case CONFIG_TYPE_URLS:
    case CONFIG_TYPE_ORIGINS:
        *why = "URL scheme must be http, https, unix, or unixs: localhost:1";
        return "localhost:1";
    case CONFIG_TYPE_GATES:
        *why = "unrecognized feature gate: Nonsense";
        return "Nonsense=true";
    default:
        return NULL;
    }
}

/* Every flag of the table takes a value of its type by command line and environment, and refuses
 * another with Go's words. */
static void test_every_flag(void **state)
{
    (void) state;
    for (size_t i = 0; i < CONFIG_FIELDS_N; i++) {
        const struct config_field *f = &config_fields[i];
        char arg[256], env[256], want[256];
        const char *rest, *why, *bad = illegal(f->type, &why);
        struct err e = ERR_INIT;

        snprintf(arg, sizeof arg, "--%s=%s", f->flag, legal(f->type));
        assert_int_equal(PARSE(&rest, &e, ARG(arg)), CONFIG_PARSED);
        assert_null(rest);
        assert_true(cfg.given[i]);
        if (bad != NULL) {
            snprintf(arg, sizeof arg, "-%s=%s", f->flag, bad);
            snprintf(want, sizeof want,
                     f->type == CONFIG_TYPE_BOOL ? "invalid boolean value \"%s\" for -%s: %s"
                                                 : "invalid value \"%s\" for flag -%s: %s",
                     bad, f->flag, why);
            check_flag_error(arg, want);
        }
        config_done(&cfg);
        config_init(&cfg);
        snprintf(env, sizeof env, "ETCD_%s=%s", f->flag, legal(f->type));
        for (char *p = env; *p != '='; p++)
            *p = (char) (*p == '-' ? '_' : *p >= 'a' && *p <= 'z' ? *p - 32 : *p);
        assert_int_equal(config_parse_env(&cfg, (char *const[]){env, NULL}, NULL, &e), 0);
        assert_int_equal(cfg.given[i], i != CONFIG_version);
    }
}

/* The defaults are etcd's, and the table has all of its 113 flags and two of our own. */
static void test_defaults(void **state)
{
    (void) state;
    assert_int_equal(CONFIG_FIELDS_N, 115);
    assert_string_equal(cfg.name, "default");
    assert_int_equal(cfg.listen_client_urls.n, 1);
    assert_string_equal(cfg.listen_client_urls.v[0], "http://localhost:2379");
    assert_int_equal(cfg.max_request_bytes, 1572864);
    assert_int_equal(cfg.max_concurrent_streams, UINT32_MAX);
    assert_int_equal(cfg.grpc_keepalive_interval, INT64_C(7200000000000));
    assert_int_equal(cfg.quota_backend_bytes, 0);
    assert_true(cfg.pre_vote);
    assert_true(config_gate(&cfg, "FastLeaseKeepAlive"));
    assert_false(config_gate(&cfg, "CompactHashCheck"));
}

/* Go's flag syntax: one or two dashes, values behind = or in the next word, bools without value,
 * the last of repeated flags, words after --, and what is refused. */
static void test_syntax(void **state)
{
    struct err e = ERR_INIT;
    const char *rest;

    (void) state;
    assert_int_equal(PARSE(&rest, &e, ARG("-name"), ARG("a"), ARG("--max-wals"), ARG("0b11"),
                           ARG("--pre-vote=false"), ARG("--unsafe-no-fsync"), ARG("--name=b"),
                           ARG("--force=1"), ARG("--v")),
                     CONFIG_PARSED);
    assert_string_equal(cfg.name, "b");
    assert_int_equal(cfg.max_wals, 3);
    assert_false(cfg.pre_vote);
    assert_true(cfg.unsafe_no_fsync);
    /* Underscores stand between digits, of plain numbers too. */
    assert_int_equal(PARSE(&rest, &e, ARG("--max-wals=1_0"), ARG("--max-snapshots=0_17")),
                     CONFIG_PARSED);
    assert_int_equal(cfg.max_wals, 10);
    assert_int_equal(cfg.max_snapshots, 15);
    check_flag_error("--max-wals=1__0", "invalid value \"1__0\" for flag -max-wals: parse error");
    assert_int_equal(PARSE(&rest, &e, ARG("--"), ARG("extra")), CONFIG_PARSED);
    assert_string_equal(rest, "extra");
    assert_int_equal(PARSE(&rest, &e, ARG("-h")), CONFIG_HELP);
    assert_int_equal(PARSE(&rest, &e, ARG("--help")), CONFIG_HELP);
    check_flag_error("--zzz", "flag provided but not defined: -zzz");
    check_flag_error("--zzz=3", "flag provided but not defined: -zzz");
    check_flag_error("--name", "flag needs an argument: -name");
    check_flag_error("---name", "bad flag syntax: ---name");
    check_flag_error("-=1", "bad flag syntax: -=1");
    check_flag_error("--heartbeat-interval=99999999999999999999",
                     "invalid value \"99999999999999999999\" for flag -heartbeat-interval: value "
                     "out of range");
    check_flag_error("--experimental-max-learners=2",
                     "flag provided but not defined: -experimental-max-learners");
}

static void check_url_error(const char *value, const char *want)
{
    struct err e = ERR_INIT;

    assert_true(config_set(&cfg, CONFIG_listen_client_urls, value, &e) != 0);
    assert_string_equal(e.msg, want);
}

/* URL lists are trimmed, sorted and made unique; bad ones are refused with etcd's words. */
static void test_urls(void **state)
{
    struct err e = ERR_INIT;

    (void) state;
    assert_int_equal(config_set(&cfg, CONFIG_listen_client_urls,
                                " http://b:2 ,http://[::1]:1,http://b:2,unix://sock:0", &e),
                     0);
    assert_int_equal(cfg.listen_client_urls.n, 3);
    assert_string_equal(cfg.listen_client_urls.v[0], "http://[::1]:1");
    assert_string_equal(cfg.listen_client_urls.v[1], "http://b:2");
    assert_string_equal(cfg.listen_client_urls.v[2], "unix://sock:0");
    assert_int_equal(config_set(&cfg, CONFIG_listen_client_urls, "", &e), 0);
    assert_int_equal(cfg.listen_client_urls.n, 3);
    check_url_error("127.0.0.1:1",
                    "parse \"127.0.0.1:1\": first path segment in URL cannot contain colon");
    check_url_error("http://a:b", "parse \"http://a:b\": invalid port \":b\" after host");
    check_url_error("http://127.0.0.1",
                    "URL address does not have the form \"host:port\": http://127.0.0.1");
    check_url_error("http://1.2.3.4:5/", "URL must not contain a path: http://1.2.3.4:5/");
    check_url_error("abc", "URL scheme must be http, https, unix, or unixs: abc");
    check_url_error(":1", "parse \":1\": missing protocol scheme");
    check_url_error("http://a:1,,", "URL scheme must be http, https, unix, or unixs: ");
}

/* How log files are rotated is read as Go reads it, and refused in its words. */
static void test_rotation(void **state)
{
    static const struct {
        const char *text;
        const char *want; /* NULL: accepted */
    } cases[] = {
        {"{\"maxsize\": 100, \"maxage\": 0, \"maxbackups\": 0, \"localtime\": false}", NULL},
        {"null", NULL},
        {"{\"MaxSize\":3,\"zzz\":[{}],\"compress\":null, \"filename\":\"/x\"} ", NULL},
        {"{", "improperly formatted log rotation config: unexpected end of JSON input"},
        {"", "improperly formatted log rotation config: unexpected end of JSON input"},
        {"x", "improperly formatted log rotation config: invalid character 'x' looking for "
              "beginning of value"},
        {"{\"maxage\":null} x", "improperly formatted log rotation config: invalid character 'x' "
                                "after top-level value"},
        {"[1]", "invalid log rotation config: json: cannot unmarshal array into Go value of type "
                "embed.logRotationConfig"},
        {"5", "invalid log rotation config: json: cannot unmarshal number into Go value of type "
              "embed.logRotationConfig"},
        {"{\"maxsize\": true}",
         "invalid log rotation config: json: cannot unmarshal bool into Go struct field "
         "logRotationConfig.Logger.maxsize of type int"},
        {"{\"compress\":1}",
         "invalid log rotation config: json: cannot unmarshal number into Go struct field "
         "logRotationConfig.Logger.compress of type bool"},
        {"{\"maxage\": 1.5}",
         "invalid log rotation config: json: cannot unmarshal number 1.5 into Go struct field "
         "logRotationConfig.Logger.maxage of type int"},
        {"{\"filename\":7}",
         "invalid log rotation config: json: cannot unmarshal number into Go struct field "
         "logRotationConfig.Logger.filename of type string"},
    };
    struct log_rotation r;

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        int rc = config_rotation_parse(cases[i].text, &r, &e);

        assert_int_equal(rc, cases[i].want == NULL ? 0 : ERR_INVALID);
        assert_string_equal(e.msg, cases[i].want == NULL ? "" : cases[i].want);
    }
    assert_int_equal(config_rotation_parse("{\"maxsize\":3,\"maxage\":-1,\"maxbackups\":7,"
                                           "\"localtime\":true}",
                                           &r, NULL),
                     0);
    assert_int_equal(r.max_bytes, 3 << 20);
    assert_int_equal(r.max_age_days, 0);
    assert_int_equal(r.max_backups, 7);
    assert_true(r.local_time);
    assert_false(r.compress);
    assert_int_equal(config_rotation_parse("{}", &r, NULL), 0);
    assert_int_equal(r.max_bytes, 100 << 20);
}

/* Gates: blanks and empty items are skipped, groups set what is not named, errors say what is
 * wrong. */
static void test_gates(void **state)
{
    struct err e = ERR_INIT;

    (void) state;
    assert_int_equal(config_set(&cfg, CONFIG_feature_gates,
                                " AllAlpha = true ,, AllBeta=false,PriorityRequest=false", &e),
                     0);
    assert_true(config_gate(&cfg, "CompactHashCheck"));
    assert_false(config_gate(&cfg, "PriorityRequest"));
    assert_false(config_gate(&cfg, "FastLeaseKeepAlive"));
    assert_int_equal(config_gates_check("AllAlpha", &e), ERR_INVALID);
    assert_string_equal(e.msg, "missing bool value for AllAlpha");
    assert_int_equal(config_gates_check("AllAlpha=x", &e), ERR_INVALID);
    assert_string_equal(e.msg,
                        "invalid value of AllAlpha=x, err: strconv.ParseBool: parsing \"x\": "
                        "invalid syntax");
}

static void check_ends(const struct config_source *src, int want)
{
    int status = -1;

    config_done(&cfg);
    config_init(&cfg);
    assert_int_not_equal(config_load(&cfg, src, NULL, &status), 0);
    assert_int_equal(status, want);
    fflush(src->out);
    fflush(src->err);
}

/* config_load says everything itself: version and help with status 0, usage with 2, refusals
 * with 1. */
static void test_load(void **state)
{
    char *out = NULL, *err = NULL;
    size_t out_n, err_n;
    struct config_source src = {.out = open_memstream(&out, &out_n),
                                .err = open_memstream(&err, &err_n)};
    int status;

    (void) state;
    src.argv = (char *const[]){ARG("etcd"), ARG("--version"), NULL};
    check_ends(&src, 0);
    assert_memory_equal(out, "etcd Version: 3.7.1\n", 20);
    src.argv = (char *const[]){ARG("etcd"), ARG("--nope"), NULL};
    check_ends(&src, 2);
    assert_memory_equal(err, "flag provided but not defined: -nope\nUsage:\n", 44);
    src.argv = (char *const[]){ARG("etcd"), ARG("extra"), NULL};
    check_ends(&src, 1);
    src.argv = (char *const[]){ARG("etcd"), ARG("--help"), NULL};
    check_ends(&src, 0);
    for (size_t i = 0; i < CONFIG_FIELDS_N; i++) {
        char flag[80];

        snprintf(flag, sizeof flag, "\n  --%s '", config_fields[i].flag);
        assert_non_null(strstr(out, flag));
    }
    src.argv = (char *const[]){ARG("etcd"), NULL};
    src.envp = (char *const[]){ARG("ETCD_NAME=fromenv"), ARG("ETCD_DATA_DIR="), ARG("HOME=/"),
                               NULL};
    config_done(&cfg);
    config_init(&cfg);
    assert_int_equal(config_load(&cfg, &src, NULL, &status), 0);
    assert_string_equal(cfg.data_dir, "fromenv.etcd");
    src.argv = (char *const[]){ARG("etcd"), ARG("--config-file=/nowhere"), NULL};
    check_ends(&src, 1);
    fclose(src.out);
    fclose(src.err);
    free(out);
    free(err);
}

/* The lines about a configuration hold the substrings that scripts and etcd's own tests look for.
 */
static void test_log_lines(void **state)
{
    static const char *const wanted[] = {
        "\"snapshot-catchup-entries\":1000,",
        "\"v2-deprecation\":\"write-only\"}",
        "--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.8.",
        "\"election-timeout\":\"1s\"",
        "\"wal-dir\":\"default.etcd/member/wal\",\"wal-dir-dedicated\":\"\"",
        "\"auto-compaction-retention\":\"2h0m0s\",\"auto-compaction-interval\":\"1h0m0s\"",
        "it isn't recommended to use default name",
        "'data-dir' was empty; using default",
        "a feature gate that has no effect\",\"feature-gate\":\"SetMemberLocalAddr\"",
        "Detected that checkpointing is enabled without persistence. Consider enabling feature "
        "gate LeaseCheckpointPersist",
    };
    char path[] = "/tmp/ketch-config-test-XXXXXX", text[16384];
    const char *const outputs[] = {path};
    struct log_options o = {.outputs = outputs, .outputs_n = 1, .clock = clock_posix()};
    struct err e = ERR_INIT;
    struct log *log;
    const char *rest;
    int fd = mkstemp(path);
    ssize_t n;

    (void) state;
    assert_int_equal(log_open(&o, &log, &e), 0);
    assert_int_equal(PARSE(&rest, &e, ARG("--snapshot-catchup-entries=1000"),
                           ARG("--max-snapshots=4"), ARG("--auto-compaction-retention=2"),
                           ARG("--feature-gates=LeaseCheckpoint=true,SetMemberLocalAddr=true")),
                     CONFIG_PARSED);
    assert_int_equal(config_check(&cfg, &e), 0);
    assert_int_equal(config_check_start(&cfg, false, &e), 0);
    config_log_warnings(&cfg, log);
    config_log_start(&cfg, false, log);
    log_close(log);
    n = read(fd, text, sizeof text - 1);
    assert_true(n > 0);
    text[n] = 0;
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        if (strstr(text, wanted[i]) == NULL)
            fail_msg("%s is not in %s", wanted[i], text);
    }
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_flag, setup, teardown),
        cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_syntax, setup, teardown),
        cmocka_unit_test_setup_teardown(test_urls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rotation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_load, setup, teardown),
        cmocka_unit_test_setup_teardown(test_log_lines, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
