#define _GNU_SOURCE
#include "unit/edge/server/config_rig.h"

struct rule {
    const char *arg;
    const char *arg2;
    const char *want;
};

/* Each rule between values is refused with etcd's text. */
static void test_rules(void **state)
{
    static const struct rule rules[] = {
        {"--logger=capnslog", NULL, "--logger=capnslog is removed in v3.5"},
        {"--logger=x", NULL, "unknown logger option \"x\""},
        {"--log-outputs=default,stderr", NULL,
         "multi logoutput for \"default\" is not supported yet"},
        {"--log-outputs=systemd/journal,stderr", NULL,
         "running with systemd/journal but other '--log-outputs' values (["
         "\"stderr\" \"systemd/journal\"]) are configured with 'default'; override 'default' "
         "value with something else"},
        {"--enable-log-rotation", NULL,
         "--log-outputs requires a single file path when --log-rotate-config-json is defined"},
        {"--enable-log-rotation", "--log-outputs=/a,/b",
         "--log-outputs requires a single file path when --log-rotate-config-json is defined"},
        {"--log-format=x", NULL, "unknown log format: x, supported values json, console"},
        {"--log-level=loud", NULL, "unrecognized level: \"loud\""},
        {"--listen-peer-urls=http://host.x:1", NULL,
         "expected IP in URL for binding (http://host.x:1)"},
        {"--advertise-client-urls=http://:2379", NULL,
         "--advertise-client-urls \"http://:2379\" must be in the format \"host:port\", "
         "\"unix:/path/to/socket\" or \"unixs:/path/to/socket\" (unexpected empty host "
         "(http://:2379))"},
        {"--initial-advertise-peer-urls=http://:2380", NULL,
         "--initial-advertise-peer-urls \"http://:2380\" must be \"host:port\" (unexpected empty "
         "host (http://:2380))"},
        {"--discovery-fallback=proxy", NULL,
         "v2 proxy is deprecated, and --discovery-fallback can't be configured as \"proxy\""},
        {"--discovery-srv=a", "--initial-cluster=default=http://localhost:2380",
         "multiple discovery or bootstrap flags are set. Choose one of \"initial-cluster\", "
         "\"discovery-endpoints\" or \"discovery-srv\""},
        {"--discovery-token=a", NULL,
         "both --discovery-token and --discovery-endpoints must be set"},
        {"--heartbeat-interval=0", NULL, "--heartbeat-interval must be >0 (set to 0ms)"},
        {"--election-timeout=0", NULL, "--election-timeout must be >0 (set to 0ms)"},
        {"--election-timeout=499", NULL,
         "--election-timeout[499ms] should be at least as 5 times as --heartbeat-interval[100ms]"},
        {"--election-timeout=50001", NULL,
         "--election-timeout[50001ms] is too long, and should be set less than 50000ms"},
        {"--listen-client-urls=http://127.0.0.1:1", NULL,
         "--advertise-client-urls is required when --listen-client-urls is set explicitly"},
        {"--auto-compaction-mode=", NULL, "undefined auto-compaction-mode"},
        {"--auto-compaction-mode=x", NULL, "unknown auto-compaction-mode \"x\""},
        {"--feature-gates=LeaseCheckpointPersist=true", NULL,
         "enabling feature gate LeaseCheckpointPersist requires enabling feature gate "
         "LeaseCheckpoint"},
        {"--compact-hash-check-time=0", NULL, "--compact-hash-check-time must be >0 (set to 0s)"},
        {"--tls-min-version=1.2", NULL,
         "unexpected TLS version \"1.2\" (must be one of: TLS1.2, TLS1.3)"},
        {"--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2",
         "min version (TLS1.3) is greater than max version (TLS1.2)"},
        {"--enable-distributed-tracing", "--distributed-tracing-sampling-rate=-1",
         "distributed tracing configurition is not valid: (tracing sampling rate must be "
         "positive)"},
        {"--enable-distributed-tracing", "--distributed-tracing-sampling-rate=1000001",
         "distributed tracing configurition is not valid: (tracing sampling rate must be less than "
         "1000000)"},
        {"--tls-min-version=TLS1.3", "--cipher-suites=TLS_RSA_WITH_AES_128_CBC_SHA",
         "cipher suites cannot be configured when only TLS1.3 is enabled"},
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        struct err e = ERR_INIT;
        const char *rest;

        config_done(&cfg);
        config_init(&cfg);
        assert_int_equal(PARSE(&rest, &e, ARG(rules[i].arg), ARG(rules[i].arg2)), CONFIG_PARSED);
        assert_int_equal(config_check(&cfg, &e), ERR_INVALID);
        assert_string_equal(e.msg, rules[i].want);
    }
}

/* Defaults that follow from other values: the data directory, the initial cluster, the times. */
static void test_completed(void **state)
{
    struct err e = ERR_INIT;
    const char *rest;

    (void) state;
    assert_int_equal(PARSE(&rest, &e, ARG("--name=m1"), ARG("--snapshot-count=0"),
                           ARG("--initial-advertise-peer-urls=http://a:1,http://b:1"),
                           ARG("--watch-progress-notify-interval=1ms")),
                     CONFIG_PARSED);
    assert_int_equal(config_check(&cfg, &e), 0);
    assert_string_equal(cfg.data_dir, "m1.etcd");
    assert_string_equal(cfg.initial_cluster, "m1=http://a:1,m1=http://b:1");
    assert_int_equal(cfg.snapshot_count, 10000);
    assert_int_equal(cfg.watch_progress_notify_interval, 100000000);
    assert_int_equal(config_check_start(&cfg, false, &e), 0);
    assert_int_equal(cfg.cluster_n, 2);
    assert_string_equal(cfg.cluster_names[1], "m1");
    assert_string_equal(cfg.cluster_urls[1], "http://b:1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rules, setup, teardown),
        cmocka_unit_test_setup_teardown(test_completed, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
