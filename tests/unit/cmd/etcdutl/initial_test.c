#include "lib/cm.h"

#include "etcdutl/initial.h"
#include "etcdutl/utl.h"

struct log *utl_log; /* silent */

/* ---- the cluster ---- */

static int read_flags(const char *name, const char *cluster, const char *own, struct arena *a,
                      struct initial *ret, struct err *e)
{
    struct initial_flags f = {name, cluster, "tok", own};

    arena_init(a, (size_t) 64 << 20);
    return initial_read(&f, a, ret, e);
}

static void expect_error(const char *name, const char *cluster, const char *own, const char *want)
{
    struct err e = ERR_INIT;
    struct initial in;
    struct arena a;

    assert_int_not_equal(read_flags(name, cluster, own, &a, &in, &e), 0);
    assert_string_equal(e.msg, want);
    arena_done(&a);
}

/* Members in the order of their ids, each with its URLs in the order of their texts; ids as
 * recorded from etcd's tool. */
static void knows_its_members(void **state)
{
    struct err e = ERR_INIT;
    struct initial in;
    struct arena a;

    (void) state;
    assert_int_equal(read_flags("n1", "n2=http://127.0.0.1:2,,n1=http://127.0.0.1:1,",
                                "http://127.0.0.1:1", &a, &in, &e),
                     0);
    assert_int_equal(in.n, 2);
    assert_int_equal(in.members[0].id, 0x0b647f29678b82df);
    assert_int_equal(in.members[1].id, 0xd1dd0451a6b74da3);
    assert_int_equal(in.cluster_id, 0xc30daca7ec1601f1);
    assert_ptr_equal(in.self, &in.members[0]);
    assert_string_equal(in.self->name, "n1");
    arena_done(&a);
    assert_int_equal(read_flags("m", "m=http://127.0.0.1:9,m=http://127.0.0.1:10",
                                "http://127.0.0.1:9,http://127.0.0.1:10", &a, &in, &e),
                     0);
    assert_int_equal(in.self->peer_urls.n, 2);
    assert_string_equal(in.self->peer_urls.v[0], "http://127.0.0.1:10");
    arena_done(&a);
}

/* The member's own URLs must be those that the cluster knows of it, and no URL may come twice. */
static void refuses_what_does_not_agree(void **state)
{
    (void) state;
    expect_error("x", "", "http://127.0.0.1:1",
                 "couldn't find local name \"x\" in the initial cluster configuration");
    expect_error("x", "x=http://127.0.0.1:1", "",
                 "URL scheme must be http, https, unix, or unixs: ");
    expect_error("x", "x=http://127.0.0.1:1", "http://127.0.0.1:1,http://127.0.0.1:2",
                 "--initial-advertise-peer-urls has http://127.0.0.1:2 but missing from "
                 "--initial-cluster=x=http://127.0.0.1:1,x=http://127.0.0.1:2");
    expect_error("x", "x=http://127.0.0.1:1", "http://127.0.0.2:1",
                 "--initial-cluster has x=http://127.0.0.1:1 but missing from "
                 "--initial-advertise-peer-urls=http://127.0.0.2:1 (resolved urls: "
                 "\"http://127.0.0.2:1\" != \"http://127.0.0.1:1\")");
    expect_error("x", "x=http://127.0.0.1:1,y=http://127.0.0.1:1", "http://127.0.0.1:1",
                 "initial cluster x=http://127.0.0.1:1,y=http://127.0.0.1:1 has duplicate url");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_its_members),
        cmocka_unit_test(refuses_what_does_not_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
