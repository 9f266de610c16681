/* Who gets how many of a process's file descriptors. */
#include "engine/net/shares.h"

#include "lib/cm.h"

/* What is shared out is what the system allows, less the reserve, to the last one; each gets some,
 * and clients the most of it. */
static void all_is_shared_out(void **state)
{
    static const struct {
        uint64_t descriptors;
        struct net_shares want;
    } cases[] = {
        {160, {6, 2, 2}},
        {300, {110, 8, 32}},
        {1024, {738, 27, 109}},
        {65536, {61034, 256, 4096}},
        {1u << 20, {1044074, 256, 4096}},
        {UINT64_MAX, {UINT32_MAX, 256, 4096}},
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct net_shares got = {0};

        assert_int_equal(net_shares_of(cases[i].descriptors, &got, NULL), 0);
        assert_int_equal(got.clients, cases[i].want.clients);
        assert_int_equal(got.pages, cases[i].want.pages);
        assert_int_equal(got.peers, cases[i].want.peers);
    }
    for (uint64_t n = NET_DESCRIPTORS_RESERVED + 3; n < 5000; n++) {
        struct net_shares got = {0};

        assert_int_equal(net_shares_of(n, &got, NULL), 0);
        assert_true(got.clients >= 1 && got.pages >= 1 && got.peers >= 1);
        assert_int_equal(got.clients + got.pages + got.peers, n - NET_DESCRIPTORS_RESERVED);
    }
}

/* With fewer than the reserve nothing begins, as in etcd; with any more, it does. */
static void too_few(void **state)
{
    struct net_shares got;
    struct err e = ERR_INIT;

    (void) state;
    assert_int_equal(net_shares_of(NET_DESCRIPTORS_RESERVED, &got, &e), ERR_LIMIT);
    assert_string_equal(e.msg,
                        "file descriptor limit of etcd process is too low; please set higher");
    assert_int_equal(net_shares_of(NET_DESCRIPTORS_RESERVED + 1, &got, &e), 0);
    assert_int_equal(got.clients, 1);
    assert_int_equal(got.peers, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_shared_out),
        cmocka_unit_test(too_few),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
