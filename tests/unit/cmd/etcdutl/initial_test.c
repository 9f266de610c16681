#include "lib/cm.h"

#include "etcdutl/initial.h"
#include "etcdutl/url.h"
#include "etcdutl/utl.h"

struct log *utl_log; /* silent */

/* ---- one URL ---- */

static void expect_url(const char *in, const char *want)
{
    struct err e = ERR_INIT;
    const char *got = NULL;
    struct arena a;
    int rc;

    arena_init(&a, 1 << 20);
    rc = url_read(bytes_str(in), &a, &got, &e);
    assert_string_equal(rc == 0 ? got : e.msg, want);
    arena_done(&a);
}

/* What etcd takes for a peer URL: a scheme it knows, a host and a port, no path; spaces around it
 * are dropped, the scheme becomes lower case. */
static void takes_peer_urls(void **state)
{
    (void) state;
    expect_url("http://10.0.0.1:2380", "http://10.0.0.1:2380");
    expect_url("  HTTPS://a.example:1 ", "https://a.example:1");
    expect_url("http://[::1]:2380", "http://[::1]:2380");
    expect_url("http://user@h:1", "http://user@h:1");
    expect_url("unix:///run/peer.sock", "unix:///run/peer.sock");
    expect_url("unixs://m1", "unixs://m1");
    expect_url("http://h:", "http://h:");
}

/* What it refuses, in the words of etcd and of Go's parser. */
static void refuses_other_urls(void **state)
{
    (void) state;
    expect_url("", "URL scheme must be http, https, unix, or unixs: ");
    expect_url("bogus", "URL scheme must be http, https, unix, or unixs: bogus");
    expect_url("ftp://a:1", "URL scheme must be http, https, unix, or unixs: ftp://a:1");
    expect_url("localhost:1", "URL scheme must be http, https, unix, or unixs: localhost:1");
    expect_url("1.2.3.4:1", "parse \"1.2.3.4:1\": first path segment in URL cannot contain colon");
    expect_url("://a", "parse \"://a\": missing protocol scheme");
    expect_url("http://a:x", "parse \"http://a:x\": invalid port \":x\" after host");
    expect_url("http://a", "URL address does not have the form \"host:port\": http://a");
    expect_url("http:", "URL address does not have the form \"host:port\": http:");
    expect_url("http://::1:1", "URL address does not have the form \"host:port\": http://::1:1");
    expect_url("http://a:1/", "URL must not contain a path: http://a:1/");
    expect_url("http://a:1/p?q", "URL must not contain a path: http://a:1/p?q");
    expect_url("http://a:\x01",
               "parse \"http://a:\\x01\": net/url: invalid control character in URL");
}

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

/* Names of hosts and their addresses are the same to it. */
static void looks_names_up(void **state)
{
    const char *url = NULL;
    struct err e = ERR_INIT;
    struct arena a;

    (void) state;
    arena_init(&a, 1 << 20);
    assert_int_equal(url_resolve("http://127.0.0.1:80", &a, &url, &e), 0);
    assert_string_equal(url, "http://127.0.0.1:80");
    assert_int_equal(url_resolve("http://localhost:80", &a, &url, &e), 0);
    assert_string_equal(url, "http://localhost:80");
    assert_int_equal(url_resolve("http://[::1]:80", &a, &url, &e), 0);
    assert_string_equal(url, "http://[::1]:80");
    assert_int_equal(url_resolve("unix:///a:80", &a, &url, &e), 0);
    assert_string_equal(url, "unix:///a:80");
    assert_int_not_equal(url_resolve("http://no.such.host.invalid:80", &a, &url, &e), 0);
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_peer_urls),   cmocka_unit_test(refuses_other_urls),
        cmocka_unit_test(knows_its_members), cmocka_unit_test(refuses_what_does_not_agree),
        cmocka_unit_test(looks_names_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
