#include "lib/cm.h"
#include "state/cluster/cluster.h"

/* The ids that every etcd of one member with default flags has; a token, another order of URLs and
 * a time count as the reference says. */
static void ids(void **state)
{
    static const char *const url[] = {"http://localhost:2380"};
    static const char *const two[] = {"http://b:2380", "http://a:2380"};
    static const char *const sorted[] = {"http://a:2380", "http://b:2380"};
    const struct cluster_strings one = {url, 1}, ab = {two, 2}, ba = {sorted, 2};
    uint64_t id = cluster_member_id(&one, "etcd-cluster", -1), members[2];

    (void) state;
    assert_true(id == UINT64_C(0x8e9e05c52164694d));
    assert_true(cluster_id_of(&id, 1) == UINT64_C(0xcdf818194e3a8c32));
    assert_true(cluster_member_id(&ab, "t", -1) == cluster_member_id(&ba, "t", -1));
    assert_true(cluster_member_id(&ab, "t", -1) != cluster_member_id(&ab, "u", -1));
    assert_true(cluster_member_id(&one, "", 1700000000) ==
                cluster_member_id(&one, "1700000000", -1));
    members[0] = 2;
    members[1] = 1;
    assert_true(cluster_id_of(members, 2) != cluster_id_of(members, 1));
    assert_true(cluster_id_of((uint64_t[]){1, 2}, 2) == cluster_id_of(members, 2));
}

/* Text of ids is hex without leading zeros; reading takes up to 16 digits of either case. */
static void id_text(void **state)
{
    static const char *const bad[] = {"", "g", "0x1", "11112222333344445", "-1", " 1"};
    char text[CLUSTER_ID_TEXT_BYTES];
    uint64_t id;

    (void) state;
    cluster_id_text(659376427131622954u, text);
    assert_string_equal(text, "926935df072562a");
    assert_true(cluster_id_parse(bytes_str(text), &id));
    assert_true(id == 659376427131622954u);
    cluster_id_text(UINT64_MAX, text);
    assert_string_equal(text, "ffffffffffffffff");
    assert_true(cluster_id_parse(BYTES_LIT("00FF"), &id));
    assert_int_equal(id, 255);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(cluster_id_parse(bytes_str(bad[i]), &id));
}

/* Which peer URLs are taken. */
static void urls(void **state)
{
    static const char *const good[] = {"http://a:2380", "https://10.0.0.1:1",  "http://[::1]:2380",
                                       "http://:2380",  "unix://sock",         "unixs://a:1",
                                       "http://a:",     "http://u:p@host:2380"};
    static const char *const bad[] = {"",
                                      "a:2380",
                                      "ftp://a:1",
                                      "http://a",
                                      "http://a:2380/",
                                      "http://a:2380/x",
                                      "http://a:23x0",
                                      "http://[::1]",
                                      "http://[::1",
                                      "http://a b:1",
                                      "http://a:1:2",
                                      "HTTP//a:1"};

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        if (!cluster_url_valid(good[i]))
            fail_msg("%s was refused", good[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (cluster_url_valid(bad[i]))
            fail_msg("%s was taken", bad[i]);
    }
}

/* Versions are read with and without a patch and a suffix, and written with patch 0. */
static void versions(void **state)
{
    static const char *const good[] = {"3.6", "3.6.0", "3.6.14", "3.6.0-rc.1", "3.6.0+git"};
    static const char *const bad[] = {"",      "3",       "3.",     "v3.6",   "3.6.",
                                      "3.6.x", "3.6-rc",  "3.6.0-", "03.6",   "3.6.0.0",
                                      "3.06",  "99999.1", "3.6.0 ", "3.6.0_", "-3.6"};
    char text[CLUSTER_VERSION_TEXT_BYTES];
    cluster_version v;

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(cluster_version_parse(bytes_str(good[i]), &v));
        assert_int_equal(v, CLUSTER_VERSION(3, 6));
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (cluster_version_parse(bytes_str(bad[i]), &v))
            fail_msg("\"%s\" was taken", bad[i]);
    }
    cluster_version_text(CLUSTER_VERSION(3, 7), text);
    assert_string_equal(text, "3.7.0");
    cluster_version_text(0, text);
    assert_string_equal(text, "");
    assert_true(CLUSTER_VERSION(3, 10) > CLUSTER_VERSION(3, 9));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids),
        cmocka_unit_test(id_text),
        cmocka_unit_test(urls),
        cmocka_unit_test(versions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
