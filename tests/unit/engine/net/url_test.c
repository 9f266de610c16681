/* URLs of etcd's lists: what is taken, what is made of it, and the words of what is refused. */
#include "engine/net/url.h"
#include "lib/cm.h"

static void expect_url(const char *in, const char *want)
{
    struct err e = ERR_INIT;
    struct url u = {0};
    struct arena a;
    int rc;

    arena_init(&a, 1 << 20);
    rc = url_parse(in, &a, &u, &e);
    assert_string_equal(rc == 0 ? u.text : e.msg, want);
    arena_done(&a);
}

/* Shows what etcd takes for a peer URL: a scheme it knows, a host and a port, no path; spaces
 * around it are dropped, the scheme becomes lower case. */
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

/* Shows what it refuses, in the words of etcd and of Go's parser. */
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
    expect_url("http://\"a\n:1",
               "parse \"http://\\\"a\\n:1\": net/url: invalid control character in URL");
    expect_url("http://a:b:x", "parse \"http://a:b:x\": invalid port \":x\" after host");
    expect_url("http://[::1:1", "parse \"http://[::1:1\": missing ']' in host");
    expect_url("http://[::1]x:1", "parse \"http://[::1]x:1\": invalid port \"x:1\" after host");
    expect_url("http://[::1]", "URL address does not have the form \"host:port\": http://[::1]");
    expect_url("http://a b:1", "parse \"http://a b:1\": invalid character \" \" in host name");
}

static void expect_parts(const char *in, const char *scheme, const char *host, const char *port)
{
    struct arena a;
    struct url u;

    arena_init(&a, 1 << 20);
    assert_int_equal(url_parse(in, &a, &u, NULL), 0);
    assert_string_equal(u.scheme, scheme);
    assert_string_equal(u.host, host);
    assert_string_equal(u.port, port);
    arena_done(&a);
}

/* Shows how a URL is taken apart: no brackets, no user, of sockets all that is behind the slashes.
 */
static void takes_apart(void **state)
{
    (void) state;
    expect_parts("HTTP://a.example:2380", "http", "a.example", "2380");
    expect_parts("https://[fe80::1]:1", "https", "fe80::1", "1");
    expect_parts("http://user:word@h:1?q", "http", "h", "1");
    expect_parts("http://:2379", "http", "", "2379");
    expect_parts("unix:///run/peer.sock", "unix", "/run/peer.sock", "");
    expect_parts("unixs://m1:7", "unixs", "m1:7", "");
}

/* Shows that a parse without memory for the parts says so. */
static void needs_memory(void **state)
{
    struct err e = ERR_INIT;
    struct arena a;
    struct url u;

    (void) state;
    arena_init(&a, 16);
    assert_int_equal(url_parse("http://a-name-that-is-long.example:1", &a, &u, &e), ERR_NOMEM);
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_peer_urls),
        cmocka_unit_test(refuses_other_urls),
        cmocka_unit_test(takes_apart),
        cmocka_unit_test(needs_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
