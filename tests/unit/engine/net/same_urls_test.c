/* Do two lists of URLs lead to the same places?  Addresses alone are resolved here, so that no name
 * server is asked; a name that nobody has stands for those that cannot be. */
#include "engine/net/same_urls.h"
#include "lib/cm.h"

#define URLS(...)                                                             \
    (struct net_urls)                                                         \
    {                                                                         \
        (const char *const[]){__VA_ARGS__},                                   \
            sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *) \
    }

static struct err why;

static int compare(struct net_urls a, struct net_urls b, int64_t time_ms)
{
    mono_ns until = clock_mono_ns(clock_posix()) + time_ms * 1000000;
    struct arena mem;
    int rc;

    arena_init(&mem, 1 << 20);
    why = ERR_INIT;
    rc = net_same_urls(a, b, until, NULL, &mem, &why);
    arena_done(&mem);
    return rc;
}

/* Shows that equal texts are the same in any order, without asking who they are. */
static void test_texts(void **state)
{
    struct arena mem;

    (void) state;
    assert_int_equal(compare(URLS("http://nobody.invalid:1", "unix://a:2"),
                             URLS("unix://a:2", "http://nobody.invalid:1"), 0),
                     0);
    arena_init(&mem, 1 << 20);
    assert_true(net_same_texts(URLS("b", "a"), URLS("a", "b"), &mem));
    assert_false(net_same_texts(URLS("a", "b"), URLS("a"), &mem));
    assert_false(net_same_texts(URLS("http://[::1]:1"), URLS("http://[0:0:0:0:0:0:0:1]:1"), &mem));
    arena_done(&mem);
}

/* Shows that two writings of one address are the same. */
static void test_addresses(void **state)
{
    (void) state;
    assert_int_equal(compare(URLS("http://[0:0:0:0:0:0:0:1]:2380", "http://127.0.0.1:1"),
                             URLS("http://127.0.0.1:1", "http://[::1]:2380"), 0),
                     0);
}

/* Shows what is said of other addresses, ports, schemes and numbers. */
static void test_differences(void **state)
{
    (void) state;
    assert_int_equal(compare(URLS("http://127.0.0.1:1"), URLS("http://127.0.0.2:1"), 0),
                     ERR_INVALID);
    assert_string_equal(why.msg, "resolved urls: \"http://127.0.0.1:1\" != \"http://127.0.0.2:1\"");
    assert_int_equal(compare(URLS("http://[::1]:1"), URLS("http://[::1]:2"), 0), ERR_INVALID);
    assert_string_equal(why.msg, "resolved urls: \"http://[::1]:1\" != \"http://[::1]:2\"");
    assert_int_equal(compare(URLS("http://127.0.0.1:1"), URLS("https://127.0.0.1:1"), 0),
                     ERR_INVALID);
    assert_int_equal(compare(URLS("http://b:1", "http://a:1"), URLS("http://a:1"), 0), ERR_INVALID);
    assert_string_equal(why.msg, "len([\"http://a:1\" \"http://b:1\"]) != len([\"http://a:1\"])");
}

/* Shows that localhost and sockets of the file system stay as they are, as in etcd. */
static void test_what_stays(void **state)
{
    (void) state;
    assert_int_equal(compare(URLS("http://localhost:1"), URLS("http://127.0.0.1:1"), 0),
                     ERR_INVALID);
    assert_string_equal(why.msg, "resolved urls: \"http://localhost:1\" != \"http://127.0.0.1:1\"");
    assert_int_equal(compare(URLS("unix://127.0.0.1:1"), URLS("http://127.0.0.1:1"), 0),
                     ERR_INVALID);
    assert_string_equal(why.msg, "resolved urls: \"unix://127.0.0.1:1\" != \"http://127.0.0.1:1\"");
}

/* Shows that a name that nobody has is asked for until the time is over. */
static void test_unknown_name(void **state)
{
    mono_ns began = clock_mono_ns(clock_posix());
    static const char start[] = "failed to resolve \"http://nobody.invalid:1\" (lookup "
                                "nobody.invalid: ";

    (void) state;
    assert_int_equal(compare(URLS("http://nobody.invalid:1"), URLS("http://127.0.0.1:1"), 200),
                     ERR_INVALID);
    assert_memory_equal(why.msg, start, sizeof start - 1);
    assert_true(clock_mono_ns(clock_posix()) - began >= (mono_ns) 200 * 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_differences),  cmocka_unit_test(test_what_stays),
        cmocka_unit_test(test_unknown_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
