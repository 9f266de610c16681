#define _GNU_SOURCE
#include "unit/edge/server/config_rig.h"

static void check_peers_error(const char *cluster, const char *advertised, const char *want)
{
    struct err e = ERR_INIT;
    const char *rest;

    config_done(&cfg);
    config_init(&cfg);
    assert_int_equal(PARSE(&rest, &e, ARG(cluster), ARG(advertised)), CONFIG_PARSED);
    assert_int_equal(config_check(&cfg, &e), 0);
    assert_int_equal(config_check_start(&cfg, false, &e), 0);
    if (want == NULL) {
        assert_int_equal(config_check_peers(&cfg, NULL, 0, &e), 0);
        return;
    }
    assert_int_equal(config_check_peers(&cfg, NULL, 0, &e), ERR_INVALID);
    assert_string_equal(e.msg, want);
}

/* This member's URLs in both flags: the same by text or by address, or it is said what is where. */
static void test_peers(void **state)
{
    struct err e = ERR_INIT;

    (void) state;
    check_peers_error("--initial-cluster=default=http://[::1]:1,default=http://a:1",
                      "--initial-advertise-peer-urls=http://a:1,http://[::1]:1", NULL);
    check_peers_error("--initial-cluster=default=http://[::1]:1",
                      "--initial-advertise-peer-urls=http://[0:0:0:0:0:0:0:1]:1", NULL);
    check_peers_error("--initial-cluster=default=http://127.0.0.1:1",
                      "--initial-advertise-peer-urls=http://localhost:1",
                      "--initial-cluster has default=http://127.0.0.1:1 but missing from "
                      "--initial-advertise-peer-urls=http://localhost:1 (resolved urls: "
                      "\"http://localhost:1\" != \"http://127.0.0.1:1\")");
    check_peers_error("--initial-cluster=default=http://[::1]:1",
                      "--initial-advertise-peer-urls=http://a:1,http://[::1]:1",
                      "--initial-advertise-peer-urls has http://a:1 but missing from "
                      "--initial-cluster=default=http://[::1]:1,default=http://a:1");
    check_peers_error("--initial-cluster=default=http://a:1,default=http://a:1",
                      "--initial-advertise-peer-urls=http://a:1",
                      "failed to resolve http://a:1 to match --initial-cluster=default=http://a:1 "
                      "(len([\"http://a:1\"]) != len([\"http://a:1\" \"http://a:1\"]))");
    check_peers_error("--initial-cluster=default=http://localhost:2380,b=http://localhost:2380",
                      "--initial-advertise-peer-urls=http://localhost:2380",
                      "initial cluster b=http://localhost:2380,default=http://localhost:2380 has "
                      "duplicate url");
    /* Who joins is compared with what the cluster knows, not with the flag. */
    assert_int_equal(config_set(&cfg, CONFIG_initial_cluster_state, "existing", &e), 0);
    assert_int_equal(config_set(&cfg, CONFIG_initial_cluster, "default=http://a:1", &e), 0);
    assert_int_equal(config_check_start(&cfg, false, &e), 0);
    assert_int_equal(config_check_peers(&cfg, NULL, 0, &e), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_peers, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
