#define _GNU_SOURCE
#include "unit/edge/server/config_rig.h"

static void check_start_error(const char *arg, const char *want)
{
    struct err e = ERR_INIT;
    const char *rest;

    config_done(&cfg);
    config_init(&cfg);
    assert_int_equal(PARSE(&rest, &e, ARG(arg)), CONFIG_PARSED);
    assert_int_equal(config_check(&cfg, &e), 0);
    assert_true(config_check_start(&cfg, false, &e) != 0);
    assert_string_equal(e.msg, want);
}

/* What is found out only while starting: retention and initial cluster. */
static void test_start(void **state)
{
    struct err e = ERR_INIT;

    (void) state;
    check_start_error("--auto-compaction-retention=-1",
                      "error parsing CompactionRetention: time: missing unit in duration \"-1\"");
    check_start_error("--auto-compaction-retention=-1h",
                      "error parsing CompactionRetention: time: invalid duration \"-1h\"");
    check_start_error("--initial-cluster=a=http://x:1",
                      "couldn't find local name \"default\" in the initial cluster configuration");
    check_start_error("--initial-cluster=default",
                      "error setting up initial cluster: URL scheme must be http, https, unix, or "
                      "unixs: ");
    config_done(&cfg);
    config_init(&cfg);
    assert_int_equal(config_set(&cfg, CONFIG_auto_compaction_retention, "5", &e), 0);
    assert_int_equal(config_check_start(&cfg, true, &e), 0);
    assert_int_equal(cfg.retention, INT64_C(5) * 3600 * 1000000000);
    assert_int_equal(config_set(&cfg, CONFIG_auto_compaction_mode, "revision", &e), 0);
    assert_int_equal(config_check_start(&cfg, true, &e), 0);
    assert_int_equal(cfg.retention, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_start, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
