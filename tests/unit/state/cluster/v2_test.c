#include "etcdserver.pb-c.h"
#include "lib/cm.h"
#include "state/cluster/cluster.h"
#include "wire/wire.h"

static struct bytes request(struct buf *b, const char *method, const char *path, const char *val)
{
    Etcdserverpb__Request r = ETCDSERVERPB__REQUEST__INIT;

    buf_clear(b);
    r.has_id = true;
    r.id = 42;
    r.method = (char *) (uintptr_t) method;
    r.path = (char *) (uintptr_t) path;
    r.val = (char *) (uintptr_t) val;
    r.has_dir = r.has_quorum = true; /* 3.5 writes zeros too */
    assert_true(wire_encode(&r.base, b));
    return buf_bytes(b);
}

/* The two requests that 3.5 sends at every start say what the v3 ones say. */
static void the_two_forms(void **state)
{
    struct cluster_v2_request q;
    struct bytes data;
    struct arena a;
    struct buf b;

    (void) state;
    arena_init(&a, 1 << 20);
    buf_init(&b, 65536);
    data = request(&b, "PUT", "/0/members/926935df072562a/attributes",
                   "{\"name\":\"m2\",\"clientURLs\":[\"http://a:1\",\"http://b:2\"]}");
    assert_true(cluster_is_v2_request(data));
    assert_int_equal(cluster_v2_request_get(data, &a, &q, NULL), 0);
    assert_int_equal(q.kind, CLUSTER_V2_ATTRIBUTES);
    assert_int_equal(q.id, 42);
    assert_true(q.member_id == 659376427131622954u);
    assert_string_equal(q.name, "m2");
    assert_int_equal(q.client_urls.n, 2);
    assert_string_equal(q.client_urls.v[1], "http://b:2");
    data = request(&b, "PUT", "/0/version", "3.5.0");
    assert_true(cluster_is_v2_request(data));
    assert_int_equal(cluster_v2_request_get(data, &a, &q, NULL), 0);
    assert_int_equal(q.kind, CLUSTER_V2_VERSION);
    assert_int_equal(q.version, CLUSTER_VERSION(3, 5));
    buf_done(&b);
    arena_done(&a);
}

/* Other v2 requests are recognised and have no effect; broken ones are refused. */
static void others(void **state)
{
    struct cluster_v2_request q;
    struct arena a;
    struct buf b;

    (void) state;
    arena_init(&a, 1 << 20);
    buf_init(&b, 65536);
    assert_int_equal(cluster_v2_request_get(request(&b, "SYNC", NULL, NULL), &a, &q, NULL), 0);
    assert_int_equal(q.kind, CLUSTER_V2_OTHER);
    assert_int_equal(cluster_v2_request_get(request(&b, "PUT", "/1/x", "y"), &a, &q, NULL), 0);
    assert_int_equal(q.kind, CLUSTER_V2_OTHER);
    assert_int_equal(cluster_v2_request_get(request(&b, "DELETE", "/0/version", ""), &a, &q, NULL),
                     0);
    assert_int_equal(q.kind, CLUSTER_V2_OTHER);
    assert_int_equal(
        cluster_v2_request_get(request(&b, "PUT", "/0/members/xyz/attributes", "{}"), &a, &q, NULL),
        0);
    assert_int_equal(q.kind, CLUSTER_V2_OTHER);
    assert_int_equal(
        cluster_v2_request_get(request(&b, "PUT", "/0/members/1/attributes", "{"), &a, &q, NULL),
        ERR_CORRUPT);
    assert_int_equal(cluster_v2_request_get(request(&b, "PUT", "/0/version", "x"), &a, &q, NULL),
                     ERR_CORRUPT);
    assert_int_equal(cluster_v2_request_get(BYTES_LIT("\x0a\xff"), &a, &q, NULL), ERR_CORRUPT);
    buf_done(&b);
    arena_done(&a);
}

/* An InternalRaftRequest is not taken for one: a put, whose field is 4; an empty entry. */
static void not_v2(void **state)
{
    (void) state;
    assert_false(cluster_is_v2_request(BYTES_LIT("\x08\x01\x22\x03\x0a\x01k")));
    assert_false(cluster_is_v2_request(BYTES_EMPTY));
    assert_false(cluster_is_v2_request(BYTES_LIT("\x08\x01\x12\x02\x08\x01")));
    assert_false(cluster_is_v2_request(BYTES_LIT("\x12\xff")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_two_forms),
        cmocka_unit_test(others),
        cmocka_unit_test(not_v2),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
