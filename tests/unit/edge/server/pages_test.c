#include "world.h"

static int setup(void **state)
{
    (void) state;
    world_open(NULL);
    put("a", "b"); /* the member serves */
    return 0;
}

static void check_status(const char *answer, const char *status)
{
    assert_memory_equal(answer, "HTTP/1.1 ", 9);
    assert_memory_equal(answer + 9, status, strlen(status));
}

static void check_has(const char *answer, const char *line)
{
    if (strstr(answer, line) == NULL)
        fail_msg("%s is not in: %s", line, answer);
}

/* /health says so as etcd does, also when one asks for this member alone; only GET is allowed. */
static void test_health(void **state)
{
    const char *a = http_ask("GET", "/health", "");

    (void) state;
    check_status(a, "200");
    check_has(a, "Content-Type: text/plain; charset=utf-8\r\n");
    check_has(a, "Access-Control-Allow-Origin: *\r\n");
    assert_null(strstr(a, "nosniff"));
    assert_string_equal(http_body(a), "{\"health\":\"true\",\"reason\":\"\"}");
    assert_string_equal(http_body(http_ask("GET", "/health?serializable=true&exclude=NOSPACE", "")),
                        "{\"health\":\"true\",\"reason\":\"\"}");
    a = http_ask("POST", "/health", "Content-Length: 0\r\n");
    check_status(a, "405");
    check_has(a, "Allow: GET\r\n");
    assert_string_equal(http_body(a), "Method Not Allowed\n");
}

/* An alarm makes /health fail with its name, unless that alarm is excluded; readyz does not mind
 * it. */
static void test_alarm(void **state)
{
    Etcdserverpb__AlarmRequest q = ETCDSERVERPB__ALARM_REQUEST__INIT;
    Etcdserverpb__AlarmResponse *res;
    const char *a;

    (void) state;
    q.action = ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__ACTIVATE;
    q.memberid = 1;
    q.alarm = ETCDSERVERPB__ALARM_TYPE__NOSPACE;
    ASK_OK("/etcdserverpb.Maintenance/Alarm", &q.base, alarm_response, &res);
    assert_int_equal(res->n_alarms, 1);
    a = http_ask("GET", "/health", "");
    check_status(a, "503");
    check_has(a, "X-Content-Type-Options: nosniff\r\n");
    assert_string_equal(http_body(a), "{\"health\":\"false\",\"reason\":\"ALARM NOSPACE\"}\n");
    check_status(http_ask("GET", "/health?exclude=NOSPACE", ""), "200");
    check_status(http_ask("GET", "/readyz", ""), "200");
    q.alarm = ETCDSERVERPB__ALARM_TYPE__CORRUPT;
    ASK_OK("/etcdserverpb.Maintenance/Alarm", &q.base, alarm_response, &res);
    a = http_ask("GET", "/readyz", "");
    check_status(a, "503");
    check_has(a, "[-]data_corruption failed: alarm activated: CORRUPT\n");
    check_has(a, "[+]linearizable_read ok\n");
    assert_string_equal(a + strlen(a) - 2, "\n\n");
    check_status(http_ask("GET", "/readyz?exclude=data_corruption", ""), "200");
    check_status(http_ask("GET", "/livez", ""), "200");
}

/* /livez and /readyz with their checks, verbose and one by one. */
static void test_checks(void **state)
{
    const char *a = http_ask("GET", "/livez", "");

    (void) state;
    check_status(a, "200");
    check_has(a, "X-Content-Type-Options: nosniff\r\n");
    assert_string_equal(http_body(a), "ok\n");
    assert_string_equal(http_body(http_ask("GET", "/livez?verbose", "")),
                        "[+]serializable_read ok\nok\n");
    a = http_body(http_ask("GET", "/readyz?verbose=1", ""));
    check_has(a, "[+]data_corruption ok\n");
    check_has(a, "[+]serializable_read ok\n");
    check_has(a, "[+]linearizable_read ok\n");
    check_has(a, "[+]non_learner ok\n");
    assert_string_equal(a + strlen(a) - 4, "\nok\n");
    assert_string_equal(http_body(http_ask("GET", "/readyz/non_learner?verbose", "")),
                        "[+]non_learner ok\nok\n");
    check_status(http_ask("GET", "/livez/non_learner", ""), "404");
    check_status(http_ask("GET", "/readyz/", ""), "404");
    check_status(http_ask("DELETE", "/readyz", ""), "405");
}

/* /version, unknown paths, OPTIONS, and a Host that is not welcome. */
static void test_others(void **state)
{
    const char *const args[] = {"--host-whitelist=good", "--cors=http://one:1", NULL};
    const char *a = http_ask("GET", "/version", "");

    (void) state;
    check_status(a, "200");
    check_has(a, "Content-Type: application/json\r\n");
    check_has(a, "{\"etcdserver\":\"3.7.1\",\"etcdcluster\":\"");
    a = http_ask("GET", "/v2/keys", "");
    check_status(a, "404");
    assert_string_equal(http_body(a), "404 page not found\n");
    a = http_ask("OPTIONS", "/anything", "");
    check_status(a, "200");
    assert_string_equal(http_body(a), "");
    check_has(http_ask("GET", "/debug/vars", ""), "\"raft.status\": {\"id\":\"");
    world_close();
    world_open(args);
    put("a", "b");
    a = http_ask("GET", "/version", "");
    check_status(a, "421");
    check_has(a, "  - e.g. etcd --host-whitelist \"x\"\n");
    assert_null(strstr(a, "Access-Control"));
}

/* The metrics page has the lines that dashboards and etcd's own test look for. */
static void test_metrics(void **state)
{
    static const char *const lines[] = {
        "\netcd_debugging_mvcc_current_revision 2\n",
        "\netcd_server_is_learner 0\n",
        "\n# TYPE etcd_disk_backend_defrag_duration_seconds histogram\n",
        "\netcd_server_version{server_version=\"3.7.1\"} 1\n",
        "\netcd_server_client_requests_total{client_api_version=\"unknown\",type=\"unary\"} 1\n",
        "\ngrpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Put\","
        "grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 1\n",
        "\ngrpc_server_started_total{grpc_method=\"Watch\",grpc_service=\"etcdserverpb.Watch\","
        "grpc_type=\"bidi_stream\"} 0\n",
        "\n# TYPE process_resident_memory_bytes gauge\n",
        "\netcd_server_feature_enabled{name=\"FastLeaseKeepAlive\",stage=\"BETA\"} 1\n",
        "\netcd_network_client_grpc_received_bytes_total ",
    };
    const char *a = http_ask("GET", "/metrics", "");

    (void) state;
    check_status(a, "200");
    check_has(a,
              "Content-Type: text/plain; version=0.0.4; charset=utf-8; escaping=underscores\r\n");
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        check_has(a, lines[i]);
}

#define LONG_SERIES 8000
#define LONG_LABEL 200

/* Joins the chunks of a body in place. */
static char *dechunk(char *body)
{
    char *in = body, *out = body;
    size_t n;

    while ((n = strtoul(in, &in, 16)) > 0) {
        assert_memory_equal(in, "\r\n", 2);
        memmove(out, in + 2, n);
        out += n;
        in += 2 + n + 2;
    }
    assert_string_equal(in, "\r\n\r\n");
    *out = 0;
    return body;
}

static void check_long_page(const char *page)
{
    const char *line = strstr(page, "# TYPE long gauge\n");
    char begin[32], end[32];

    assert_non_null(line);
    for (int i = 0; i < LONG_SERIES; i++) {
        line = strchr(line, '\n') + 1;
        snprintf(begin, sizeof begin, "long{x=\"%05d.", i);
        snprintf(end, sizeof end, ".\"} %d\n", i);
        assert_memory_equal(line, begin, strlen(begin));
        assert_memory_equal(line + strlen(begin) + LONG_LABEL, end, strlen(end));
    }
    check_has(line, "\n# HELP os_fd_limit ");
    check_has(line, "\nprocess_virtual_memory_max_bytes ");
    assert_int_equal(page[strlen(page) - 1], '\n');
}

/* A page of metrics that is too long for one part leaves in several, in order and whole; HEAD has
 * none of it. */
static void test_metrics_in_parts(void **state)
{
    struct metric_family *f = metrics_family(world.metrics, METRIC_GAUGE, METRIC_PLAIN, "long", "",
                                             METRIC_LABELS("x"));
    char label[8 + LONG_LABEL] = "";
    const char *a;

    (void) state;
    for (int i = 0; i < LONG_SERIES; i++) {
        snprintf(label, sizeof label, "%05d.%0*d.", i, LONG_LABEL, 0);
        metric_set(metric_with(f, METRIC_LABELS((const char *) label)), i);
    }
    a = http_ask("GET", "/metrics", "");
    check_status(a, "200");
    check_has(a, "Content-Type: text/plain; version=0.0.4;");
    check_has(a, "Transfer-Encoding: chunked\r\n");
    check_long_page(dechunk((char *) (uintptr_t) http_body(a)));
    a = http_ask("HEAD", "/metrics", "");
    check_status(a, "200");
    assert_string_equal(http_body(a), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_health, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_alarm, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_checks, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_others, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_metrics, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_metrics_in_parts, setup, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
