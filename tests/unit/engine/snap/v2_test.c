#include "engine/snap/snap.h"
#include "lib/cm.h"

/* What is expected is written with ' for ", and with {PATH for the head of a node. */
static void expand(const char *in, struct buf *out)
{
    for (; *in != '\0'; in++) {
        if (in[0] == '{' && in[1] == '/') {
            size_t n = strcspn(in + 1, " ");

            buf_printf(out, "{\"Path\":\"%.*s\",\"CreatedIndex\":9,\"ModifiedIndex\":9,", (int) n,
                       in + 1);
            buf_add_str(out, "\"ExpireTime\":\"0001-01-01T00:00:00Z\",");
            in += n + 1;
            continue;
        }
        buf_add_char(out, *in == '\'' ? '"' : *in);
    }
}

static void expect(const struct snap_v2_membership *m, const char *want)
{
    struct buf b, w;

    buf_init(&b, SNAP_V2_BYTES_MAX);
    buf_init(&w, SNAP_V2_BYTES_MAX);
    expand(want, &w);
    assert_true(snap_v2_write(m, &b));
    assert_string_equal(buf_cstr(&b), buf_cstr(&w));
    buf_done(&w);
    buf_done(&b);
}

/* Nobody yet: the tree's frame alone. */
static void empty(void **state)
{
    const struct snap_v2_membership m = {.index = 9};

    (void) state;
    expect(&m, "{'Root':{/ 'Value':'','Children':{"
               "'0':{/0 'Value':'','Children':{"
               "'members':{/0/members 'Value':'','Children':{}}}},"
               "'1':{/1 'Value':'','Children':{}}}},'CurrentIndex':9,'CurrentVersion':2}");
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
    expect(&m, "{'Root':{/ 'Value':'','Children':{"
               "'0':{/0 'Value':'','Children':{"
               "'members':{/0/members 'Value':'','Children':{"
               "'926935df072562a':{/0/members/926935df072562a 'Value':'','Children':{"
               "'attributes':{/0/members/926935df072562a/attributes "
               "'Value':'{\\'name\\':\\'m1\\',\\'clientURLs\\':[\\'http://a:2379\\']}',"
               "'Children':null},"
               "'raftAttributes':{/0/members/926935df072562a/raftAttributes "
               "'Value':'{\\'peerURLs\\':[\\'http://a:2380\\',\\'http://b?x\\\\u0026y\\']}',"
               "'Children':null}}},"
               "'ab':{/0/members/ab 'Value':'','Children':{"
               "'raftAttributes':{/0/members/ab/raftAttributes "
               "'Value':'{\\'peerURLs\\':[\\'http://c:2380\\'],\\'isLearner\\':true}',"
               "'Children':null}}}}},"
               "'removed_members':{/0/removed_members 'Value':'','Children':{"
               "'c':{/0/removed_members/c 'Value':'','Children':null}}},"
               "'version':{/0/version 'Value':'3.5.0','Children':null}}},"
               "'1':{/1 'Value':'','Children':{}}}},'CurrentIndex':9,'CurrentVersion':2}");
}

/* A URL as long as etcd lets one in, of what takes six bytes in JSON and seven in JSON inside JSON:
 * only the whole has a limit. */
static void long_url(void **state)
{
    enum { LONG = 2 << 20 };
    char *url = test_malloc(LONG + 1);
    const char *const peer[] = {url};
    const struct snap_v2_member member = {1, peer, 1, false, "m1", peer, 1};
    const struct snap_v2_membership m = {&member, 1, NULL, 0, NULL, 9};
    struct buf b;

    (void) state;
    memset(url, '&', LONG);
    url[LONG] = '\0';
    buf_init(&b, SNAP_V2_BYTES_MAX);
    assert_true(snap_v2_write(&m, &b));
    assert_in_range(b.len, 2 * 7 * LONG, 2 * 7 * LONG + 2000);
    buf_done(&b);
    test_free(url);
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
        cmocka_unit_test(long_url),
        cmocka_unit_test(no_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
