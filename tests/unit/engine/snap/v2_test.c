#include "engine/snap/snap.h"
#include "lib/cm.h"

#define NODE(path, value, children)                                                 \
    "{\"Path\":\"" path "\",\"CreatedIndex\":9,\"ModifiedIndex\":9,\"ExpireTime\":" \
    "\"0001-01-01T00:00:00Z\",\"Value\":\"" value "\",\"Children\":" children "}"

static void expect(const struct snap_v2_membership *m, const char *want)
{
    struct buf b;

    buf_init(&b, SNAP_V2_BYTES_MAX);
    assert_true(snap_v2_write(m, &b));
    assert_string_equal(buf_cstr(&b), want);
    buf_done(&b);
}

/* Nobody yet: the tree's frame alone. */
static void empty(void **state)
{
    const struct snap_v2_membership m = {.index = 9};

    (void) state;
    expect(&m, "{\"Root\":" NODE(
                   "/", "",
                   "{\"0\":" NODE("/0", "",
                                  "{\"members\":" NODE(
                                      "/0/members", "",
                                      "{}") "}") ",\"1\":" NODE("/1", "",
                                                                "{}") "}") ",\"CurrentIndex\":9,"
                                                                           "\"CurrentVersion\":2}");
}

/* A published voter, a learner that is not, one removed, and the version; JSON inside JSON is
 * escaped twice. */
static void membership(void **state)
{
    static const char *const peer1[] = {"http://a:2380", "http://b?x&y"};
    static const char *const client1[] = {"http://a:2379"};
    static const char *const peer2[] = {"http://c:2380"};
    static const struct snap_v2_member members[] = {
        {0x926935df072562aull, peer1, 2, false, "m1", client1, 1},
        {0xab, peer2, 1, true, "", NULL, 0},
    };
    static const uint64_t removed[] = {0xc};
    const struct snap_v2_membership m = {members, 2, removed, 1, "3.5.0", 9};

    (void) state;
    expect(
        &m, "{\"Root\":" NODE(
                "/", "",
                "{\"0\":" NODE(
                    "/0", "",
                    "{\"members\":" NODE(
                        "/0/members", "",
                        "{\"926935df072562a\":" NODE(
                            "/0/members/926935df072562a", "",
                            "{\"attributes\":" NODE("/0/members/926935df072562a/attributes", "{\\\"name\\\":\\\"m1\\\",\\\"clientURLs\\\":[\\\"http://a:2379\\\"]}", "null") ",\"raftAttributes\":" NODE(
                                "/0/members/926935df072562a/raftAttributes",
                                "{\\\"peerURLs\\\":[\\\"http://a:2380\\\","
                                "\\\"http://b?x\\\\u0026y\\\"]}",
                                "null") "}") ",\"ab\":" NODE("/0/members/ab", "",
                                                             "{\"raftAttributes\":" NODE(
                                                                 "/0/members/ab/raftAttributes",
                                                                 "{\\\"peerURLs\\\":[\\\"http://"
                                                                 "c:2380\\\"],\\\"isLearner\\\":"
                                                                 "true}",
                                                                 "null") "}") "}") ",\"removed_"
                                                                                   "members\""
                                                                                   ":" NODE("/0/"
                                                                                            "remove"
                                                                                            "d_"
                                                                                            "member"
                                                                                            "s",
                                                                                            "",
                                                                                            "{\"c\""
                                                                                            ":" NODE(
                                                                                                "/0"
                                                                                                "/r"
                                                                                                "em"
                                                                                                "ov"
                                                                                                "ed"
                                                                                                "_m"
                                                                                                "em"
                                                                                                "be"
                                                                                                "rs"
                                                                                                "/"
                                                                                                "c",
                                                                                                "",
                                                                                                "nu"
                                                                                                "l"
                                                                                                "l") "}") ",\"version\":" NODE("/0/version",
                                                                                                                               "3.5.0",
                                                                                                                               "null") "}") ",\"1\":" NODE("/1",
                                                                                                                                                           "",
                                                                                                                                                           "{}") "}") ",\"CurrentIndex\":9,\"CurrentVersion\":2}");
}

/* A buffer that is too small is told, at every size. */
static void no_room(void **state)
{
    static const char *const peer[] = {"http://a:2380"};
    static const struct snap_v2_member member = {1, peer, 1, false, "m1", NULL, 0};
    const struct snap_v2_membership m = {&member, 1, NULL, 0, NULL, 9};
    struct buf b;
    size_t n;

    (void) state;
    buf_init(&b, SNAP_V2_BYTES_MAX);
    assert_true(snap_v2_write(&m, &b));
    n = b.len;
    buf_done(&b);
    for (size_t k = 0; k < n; k += 7) {
        buf_init(&b, k);
        assert_false(snap_v2_write(&m, &b));
        buf_done(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty),
        cmocka_unit_test(membership),
        cmocka_unit_test(no_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
