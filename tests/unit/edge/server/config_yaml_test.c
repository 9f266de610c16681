#define _GNU_SOURCE
#include "unit/edge/server/config_rig.h"

static int parse_yaml(const char *text, struct err *e)
{
    bool plain;

    *e = ERR_INIT;
    config_done(&cfg);
    config_init(&cfg);
    return config_parse_yaml(&cfg, bytes_str(text), &plain, e);
}

static void check_yaml_error(const char *text, const char *want)
{
    struct err e;

    assert_int_equal(parse_yaml(text, &e), ERR_INVALID);
    assert_string_equal(e.msg, want);
}

/* The file: nested keys without regard to case, lists, durations in nanoseconds, null and unknown
 * keys. */
static void test_yaml(void **state)
{
    struct err e;

    (void) state;
    assert_int_equal(parse_yaml("NAME: m1\n"
                                "data-dir: null\n"
                                "unknown: [1, 2]\n"
                                "heartbeat-interval: 200\n"
                                "pre-vote: no\n"
                                "watch-progress-notify-interval: 600000000000\n"
                                "listen-client-urls: http://127.0.0.1:1,http://127.0.0.1:2\n"
                                "log-outputs: [stdout, stderr]\n"
                                "auto-compaction-retention: \"5\"\n"
                                "initial-cluster-state: ''\n"
                                "emulated-version: 3.5\n"
                                "client-transport-security:\n"
                                "  Cert-File: /c\n",
                                &e),
                     0);
    assert_string_equal(cfg.name, "m1");
    assert_int_equal(cfg.heartbeat_interval, 200);
    assert_false(cfg.pre_vote);
    assert_int_equal(cfg.watch_progress_notify_interval, INT64_C(600000000000));
    assert_int_equal(cfg.listen_client_urls.n, 2);
    assert_int_equal(cfg.log_outputs.n, 2);
    assert_string_equal(cfg.auto_compaction_retention, "5");
    assert_string_equal(cfg.initial_cluster_state, "new");
    assert_string_equal(cfg.emulated_version, "3.5");
    assert_string_equal(cfg.cert_file, "/c");
    assert_int_equal(parse_yaml("", &e), 0);
    assert_int_equal(parse_yaml("{\"name\": \"j\", \"max-wals\": 7}", &e), 0);
    assert_int_equal(cfg.max_wals, 7);
}

/* Who may come in: an empty name is a name, an empty list is none. */
static void test_yaml_names(void **state)
{
    struct err e;

    (void) state;
    assert_int_equal(parse_yaml("peer-transport-security: {allowed-cn: [\"\"]}", &e), 0);
    assert_int_equal(cfg.peer_cert_allowed_cn.n, 1);
    assert_string_equal(cfg.peer_cert_allowed_cn.v[0], "");
    assert_int_equal(parse_yaml("peer-transport-security: {allowed-cn: [null]}", &e), 0);
    assert_int_equal(cfg.peer_cert_allowed_cn.n, 1);
    assert_int_equal(parse_yaml("peer-transport-security: {allowed-cn: []}", &e), 0);
    assert_int_equal(cfg.peer_cert_allowed_cn.n, 0);
    assert_int_equal(parse_yaml("client-transport-security: {allowed-hostname: ['', a]}", &e), 0);
    assert_int_equal(cfg.client_cert_allowed_hostname.n, 2);
}

/* What the file gets wrong is said with the words of Go's decoders. */
static void test_yaml_errors(void **state)
{
    (void) state;
    check_yaml_error("name: 5", "error unmarshaling JSON: while decoding JSON: json: cannot "
                                "unmarshal number into Go struct field configYAML.Config.name of "
                                "type string");
    check_yaml_error("heartbeat-interval: abc",
                     "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal string "
                     "into Go struct field configYAML.Config.heartbeat-interval of type uint");
    check_yaml_error("grpc-keepalive-interval: 10m",
                     "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal string "
                     "into Go struct field configYAML.Config.grpc-keepalive-interval of type "
                     "time.Duration");
#define GO_ "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal "
    check_yaml_error("client-transport-security: foo", GO_
                     "string into Go struct field configYAML.configJSON.client-transport-security "
                     "of type embed.securityConfig");
    check_yaml_error("peer-transport-security: [a]",
                     GO_ "array into Go struct field configYAML.configJSON.peer-transport-security "
                         "of type embed.securityConfig");
    check_yaml_error("peer-transport-security: null", "invalid peer-transport-security");
    check_yaml_error(
        "client-transport-security: {allowed-cn: foo}",
        GO_ "string into Go struct field "
            "securityConfig.configJSON.client-transport-security.allowed-cn of type []string");
    check_yaml_error("client-transport-security: {skip-client-san-verification: 3}",
                     GO_ "number into Go struct field "
                         "securityConfig.configJSON.client-transport-security.skip-client-san-"
                         "verification of type bool");
    check_yaml_error("discovery-config: {client: foo}", GO_
                     "string into Go struct field DiscoveryConfig.Config.discovery-config.client "
                     "of type clientv3.ConfigSpec");
    check_yaml_error("discovery-config: {client: {auth: x}}", GO_
                     "string into Go struct field ConfigSpec.Config.discovery-config.client.auth "
                     "of type clientv3.AuthConfig");
    check_yaml_error(
        "socket-options: {reuse-port: 3}",
        GO_ "number into Go struct field SocketOpts.Config.socket-options.reuse-port of type bool");
#undef GO_
    check_yaml_error("- 1", "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal "
                            "array into Go value of type embed.configYAML");
    check_yaml_error("listen-client-urls: zz",
                     "unexpected error setting up listen-client-urls: URL scheme must be http, "
                     "https, unix, or unixs: zz");
    check_yaml_error("initial-cluster-state: x", "unexpected clusterState \"x\"");
    check_yaml_error("a: [\n",
                     "error converting YAML to JSON: yaml: line 2: did not find expected node "
                     "content");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_yaml, setup, teardown),
        cmocka_unit_test_setup_teardown(test_yaml_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_yaml_errors, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
