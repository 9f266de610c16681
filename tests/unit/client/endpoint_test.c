#include "client/client_int.h"
#include "lib/cm.h"

/* Every written form of an endpoint leads to its address; the path behind the port is ignored. */
static void parses_endpoints(void **state)
{
    static const struct {
        const char *text;
        const char *host;
        unsigned port;
        const char *unix_path;
        const char *authority;
        bool tls;
        bool plain;
    } good[] = {
        {"127.0.0.1:2379", "127.0.0.1", 2379, NULL, "127.0.0.1:2379", false, false},
        {"http://a.example:1/v3/x", "a.example", 1, NULL, "a.example:1", false, true},
        {"http://a.example.:1", "a.example", 1, NULL, "a.example.:1", false, true},
        {"https://a:65535", "a", 65535, NULL, "a:65535", true, false},
        {"HTTPS://a:1", "a", 1, NULL, "a:1", true, false},
        {"Http://a:1", "a", 1, NULL, "a:1", false, true},
        {"[::1]:2379", "::1", 2379, NULL, "[::1]:2379", false, false},
        {"unix:///tmp/s", NULL, 0, "/tmp/s", "/tmp/s", false, false},
        {"unix:s", NULL, 0, "s", "s", false, false},
        {"unixs://dir/s", NULL, 0, "dir/s", "dir/s", true, false},
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct endpoint_address a;

        assert_int_equal(endpoint_parse(good[i].text, &a, NULL), 0);
        if (good[i].host != NULL)
            assert_string_equal(a.host, good[i].host);
        else
            assert_string_equal(a.unix_path, good[i].unix_path);
        assert_int_equal(a.port, good[i].port);
        assert_string_equal(a.authority, good[i].authority);
        assert_int_equal(a.tls, good[i].tls);
        assert_int_equal(a.plain, good[i].plain);
        endpoint_address_done(&a);
    }
}

/* What is no endpoint is refused, and the words name it. */
static void refuses_endpoints(void **state)
{
    static const char *const bad[] = {"",          "a",        "a:",      ":1",     "a:b",
                                      "a:65536",   "a:999999", "::1:1",   "unix:",  "http://",
                                      "http:///x", "a:1:2",    "unix://", "UNIX:s", "ftp://a"};

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct endpoint_address a;
        struct err e = ERR_INIT;

        assert_int_equal(endpoint_parse(bad[i], &a, &e), ERR_INVALID);
        assert_non_null(strstr(e.msg, bad[i]));
    }
}

/* Statuses are worded as etcd's client words them. */
static void words_statuses(void **state)
{
    struct ketch_error e;

    (void) state;
    client__status(&e, 3, BYTES_LIT("etcdserver: key is not provided"));
    assert_string_equal(e.text, "etcdserver: key is not provided");
    assert_int_equal(e.code, 3);
    client__status(&e, 2, BYTES_LIT("raft: stopped"));
    assert_string_equal(e.text, "rpc error: code = Unknown desc = raft: stopped");
    client__status(&e, 4, BYTES_LIT("whatever"));
    assert_string_equal(e.text, "context deadline exceeded");
    client__status(&e, 99, BYTES_EMPTY);
    assert_string_equal(e.text, "rpc error: code = Code(99) desc = ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_endpoints),
        cmocka_unit_test(refuses_endpoints),
        cmocka_unit_test(words_statuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
