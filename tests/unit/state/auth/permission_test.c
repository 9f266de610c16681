/* Who may do what: single rules, requests with all their parts, and merged spans against a model.
 */
#include "sys/random.h"
#include "unit/state/auth/fixture.h"

/* A user `u` with the role `r`, authentication on. */
static struct auth_store *with_user(void)
{
    struct auth_store *a = open_store();

    turn_on(a);
    assert_int_equal(user_add(a, "u"), API_OK);
    assert_int_equal(role_add(a, "r"), API_OK);
    assert_int_equal(user_grant(a, "u", "r"), API_OK);
    return a;
}

/* Off, all is allowed; on, the identity is checked before the key: nobody, an old revision, a user
 * who is gone, and root, who may do all. */
static void identity_comes_first(void **state)
{
    struct auth_store *a = open_store();
    struct auth_who nobody = {0}, w;
    struct bytes k = BYTES_LIT("k");

    (void) state;
    assert_int_equal(auth_check_range(auth_now(a), &nobody, AUTH_READ, k, BYTES_EMPTY), API_OK);
    assert_int_equal(auth_check_admin(auth_now(a), &nobody), API_OK);
    assert_int_equal(auth_check_known(auth_now(a), &nobody), API_OK);
    turn_on(a);
    assert_int_equal(auth_check_range(auth_now(a), &nobody, AUTH_READ, k, BYTES_EMPTY),
                     API_USER_EMPTY);
    assert_int_equal(auth_check_admin(auth_now(a), &nobody), API_USER_EMPTY);
    assert_int_equal(auth_check_known(auth_now(a), &nobody), API_USER_EMPTY);
    w = who(a, "root");
    w.revision--;
    assert_int_equal(auth_check_range(auth_now(a), &w, AUTH_READ, k, BYTES_EMPTY),
                     API_AUTH_OLD_REVISION);
    assert_int_equal(auth_check_admin(auth_now(a), &w), API_OK);
    w.revision += 5;
    assert_int_equal(auth_check_range(auth_now(a), &w, AUTH_READ, k, BYTES_LIT("\0")), API_OK);
    assert_int_equal(may(a, "gone", AUTH_READ, "k", ""), API_PERMISSION_DENIED);
    w = who(a, "gone");
    assert_int_equal(auth_check_admin(auth_now(a), &w), API_USER_NOT_FOUND);
    assert_int_equal(user_add(a, "u"), API_OK);
    w = who(a, "u");
    assert_int_equal(auth_check_admin(auth_now(a), &w), API_PERMISSION_DENIED);
    assert_int_equal(auth_check_known(auth_now(a), &w), API_OK);
    close_store(a);
}

/* A permission on one key allows that key and the range that holds it alone; adjacent ranges are
 * one; without end needs a permission without end. */
static void spans_are_a_union(void **state)
{
    struct auth_store *a = with_user();
    struct auth_who w;

    (void) state;
    assert_int_equal(role_grant(a, "r", R, BYTES_LIT("s"), BYTES_EMPTY), API_OK);
    assert_int_equal(role_grant(a, "r", R, BYTES_LIT("k"), BYTES_LIT("n")), API_OK);
    assert_int_equal(role_grant(a, "r", RW, BYTES_LIT("n"), BYTES_LIT("p")), API_OK);
    assert_int_equal(may(a, "u", AUTH_READ, "k", "p"), API_OK);
    assert_int_equal(may(a, "u", AUTH_READ, "k", "q"), API_PERMISSION_DENIED);
    assert_int_equal(may(a, "u", AUTH_READ, "j", "l"), API_PERMISSION_DENIED);
    assert_int_equal(may(a, "u", AUTH_READ, "p", ""), API_PERMISSION_DENIED);
    assert_int_equal(may(a, "u", AUTH_READ, "l", "a"),
                     API_OK); /* no key at all: the first counts */
    assert_int_equal(may(a, "u", AUTH_READ, "s", "s"), API_OK);
    assert_int_equal(may(a, "u", AUTH_READ, "q", "l"), API_PERMISSION_DENIED);
    assert_int_equal(may(a, "u", AUTH_READ, "s", ""), API_OK);
    assert_int_equal(may(a, "u", AUTH_READ, "s1", ""), API_PERMISSION_DENIED);
    w = who(a, "u");
    assert_int_equal(auth_check_range(auth_now(a), &w, AUTH_READ, BYTES_LIT("s"), BYTES_LIT("s\0")),
                     API_OK);
    assert_int_equal(auth_check_range(auth_now(a), &w, AUTH_READ, BYTES_LIT("n"), BYTES_LIT("\0")),
                     API_PERMISSION_DENIED);
    assert_int_equal(may(a, "u", AUTH_WRITE, "n", "p"), API_OK);
    assert_int_equal(may(a, "u", AUTH_WRITE, "k", ""), API_PERMISSION_DENIED);
    assert_int_equal(role_grant(a, "r", W, BYTES_LIT("o"), BYTES_LIT("\0")), API_OK);
    w = who(a, "u");
    assert_int_equal(auth_check_range(auth_now(a), &w, AUTH_WRITE, BYTES_LIT("n"), BYTES_LIT("\0")),
                     API_OK);
    assert_int_equal(role_revoke(a, "r", BYTES_LIT("n"), BYTES_LIT("p")), API_OK);
    assert_int_equal(may(a, "u", AUTH_WRITE, "n", ""), API_PERMISSION_DENIED);
    assert_int_equal(may(a, "u", AUTH_WRITE, "o", ""), API_OK);
    close_store(a);
}

/* A type that nobody knows grants nothing. */
static void unknown_types_grant_nothing(void **state)
{
    struct auth_store *a = with_user();

    (void) state;
    assert_int_equal(role_grant(a, "r", 7, BYTES_LIT("k"), BYTES_EMPTY), API_OK);
    assert_int_equal(may(a, "u", AUTH_READ, "k", ""), API_PERMISSION_DENIED);
    assert_int_equal(may(a, "u", AUTH_WRITE, "k", ""), API_PERMISSION_DENIED);
    close_store(a);
}

/* ---- requests ---- */

static void keys_of_lease(void *ctx, int64_t lease, bool (*fn)(void *to, struct bytes key),
                          void *to)
{
    const struct bytes *key = ctx;

    if (lease == 7)
        fn(to, *key);
}

static struct bytes on_lease = {(const uint8_t *) "other", 5};
static const struct auth_leases leases = {keys_of_lease, &on_lease};

static Etcdserverpb__PutRequest put_of(const char *key, int64_t lease, bool prev_kv)
{
    Etcdserverpb__PutRequest r = ETCDSERVERPB__PUT_REQUEST__INIT;

    r.key = wire_binary(bytes_str(key));
    r.lease = lease;
    r.prev_kv = prev_kv;
    return r;
}

/* A put with prev_kv reads, too; one on a lease needs the right to write all that hangs on it. */
static void puts_need_more_than_the_key(void **state)
{
    struct auth_store *a = with_user();
    Etcdserverpb__PutRequest plain = put_of("k", 0, false), prev = put_of("k", 0, true);
    Etcdserverpb__PutRequest leased = put_of("k", 7, false), fresh = put_of("k", 8, false);
    struct auth_who w;

    (void) state;
    assert_int_equal(role_grant(a, "r", W, BYTES_LIT("k"), BYTES_EMPTY), API_OK);
    w = who(a, "u");
    assert_int_equal(auth_check_put(auth_now(a), &w, &leases, &plain), API_OK);
    assert_int_equal(auth_check_put(auth_now(a), &w, &leases, &prev), API_PERMISSION_DENIED);
    assert_int_equal(auth_check_put(auth_now(a), &w, &leases, &leased), API_PERMISSION_DENIED);
    assert_int_equal(auth_check_put(auth_now(a), &w, &leases, &fresh), API_OK);
    w = who(a, "root");
    assert_int_equal(auth_check_put(auth_now(a), &w, &leases, &leased), API_OK);
    assert_int_equal(role_grant(a, "r", W, BYTES_LIT("other"), BYTES_EMPTY), API_OK);
    w = who(a, "u");
    assert_int_equal(auth_check_put(auth_now(a), &w, &leases, &leased), API_OK);
    close_store(a);
}

static Etcdserverpb__TxnRequest txn_of(Etcdserverpb__RequestOp **ops, size_t n, bool success)
{
    Etcdserverpb__TxnRequest t = ETCDSERVERPB__TXN_REQUEST__INIT;

    if (success) {
        t.success = ops;
        t.n_success = n;
    } else {
        t.failure = ops;
        t.n_failure = n;
    }
    return t;
}

static Etcdserverpb__RequestOp nested(Etcdserverpb__TxnRequest *t)
{
    Etcdserverpb__RequestOp op = ETCDSERVERPB__REQUEST_OP__INIT;

    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN;
    op.request_txn = t;
    return op;
}

/* What is hidden in the branch not taken of a nested transaction is checked like all else
 * (CVE-2026-33343, CVE-2026-44283); an empty one needs no right at all. */
static void transactions_are_checked_at_any_depth(void **state)
{
    struct auth_store *a = with_user();
    Etcdserverpb__PutRequest put = put_of("k", 7, false);
    Etcdserverpb__RequestOp op = ETCDSERVERPB__REQUEST_OP__INIT, *ops[] = {&op}, in, *ins[] = {&in};
    Etcdserverpb__TxnRequest inner, outer, empty = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__Compare cmp = ETCDSERVERPB__COMPARE__INIT, *cmps[] = {&cmp};
    struct auth_who w, nobody = {0};

    (void) state;
    assert_int_equal(role_grant(a, "r", W, BYTES_LIT("k"), BYTES_EMPTY), API_OK);
    w = who(a, "u");
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op.request_put = &put;
    inner = txn_of(ops, 1, false);
    in = nested(&inner);
    outer = txn_of(ins, 1, true);
    assert_int_equal(auth_check_txn(auth_now(a), &w, &leases, &outer), API_PERMISSION_DENIED);
    put.lease = 0;
    assert_int_equal(auth_check_txn(auth_now(a), &w, &leases, &outer), API_OK);
    put.prev_kv = true;
    assert_int_equal(auth_check_txn(auth_now(a), &w, &leases, &outer), API_PERMISSION_DENIED);
    put.prev_kv = false;
    cmp.key = wire_binary(BYTES_LIT("k"));
    inner.compare = cmps;
    inner.n_compare = 1;
    assert_int_equal(auth_check_txn(auth_now(a), &w, &leases, &outer), API_PERMISSION_DENIED);
    assert_int_equal(auth_check_txn(auth_now(a), &nobody, &leases, &outer), API_USER_EMPTY);
    assert_int_equal(auth_check_txn(auth_now(a), &nobody, &leases, &empty), API_OK);
    close_store(a);
}

/* A delete with prev_kv reads, too. */
static void deletes_with_prev_kv_read(void **state)
{
    struct auth_store *a = with_user();
    Etcdserverpb__DeleteRangeRequest r = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    struct auth_who w;

    (void) state;
    assert_int_equal(role_grant(a, "r", W, BYTES_LIT("a"), BYTES_LIT("c")), API_OK);
    w = who(a, "u");
    r.key = wire_binary(BYTES_LIT("a"));
    r.range_end = wire_binary(BYTES_LIT("b"));
    assert_int_equal(auth_check_delete(auth_now(a), &w, &r), API_OK);
    r.prev_kv = true;
    assert_int_equal(auth_check_delete(auth_now(a), &w, &r), API_PERMISSION_DENIED);
    close_store(a);
}

/* ---- against a model ---- */

#define POINTS 16 /* keys "a", "a\0", "b", "b\0", and so on */

/* Which points a permission covers; bit POINTS stands for all that comes behind. */
static uint32_t cover(unsigned from, unsigned to)
{
    uint32_t bits = 0;

    for (unsigned i = from; i < to; i++)
        bits |= 1u << i;
    return bits;
}

static struct bytes point(unsigned i, char mem[2])
{
    mem[0] = (char) ('a' + i / 2);
    mem[1] = 0;
    return bytes_of(mem, 1 + i % 2);
}

/* A random permission, some of them on a key alone; what it covers. */
static uint32_t grant_any(struct auth_store *a, struct random *rnd, int type)
{
    bool single = random_below(rnd, 3) == 0;
    unsigned from = (unsigned) random_below(rnd, POINTS), to;
    char p[2][2];
    struct bytes end;

    from -= single ? from % 2 : 0; /* between "a\0" alone and "b" there is more */
    to = single ? from + 1 : from + 1 + (unsigned) random_below(rnd, POINTS + 1 - from);
    end = to > POINTS ? BYTES_LIT("\0") : point(to, p[1]);
    assert_int_equal(role_grant(a, "r", type, point(from, p[0]), single ? BYTES_EMPTY : end),
                     API_OK);
    return cover(from, to);
}

/* Random permissions and requests on whole points: allowed exactly when every point is covered. */
static void merged_spans_are_the_union(void **state)
{
    struct random_seeded seeded;
    struct random *rnd = random_seeded_init(&seeded, 42);

    (void) state;
    for (int round = 0; round < 300; round++) {
        struct auth_store *a = with_user();
        uint32_t allowed = 0;
        unsigned n = (unsigned) random_below(rnd, 6);

        for (unsigned i = 0; i < n; i++)
            allowed |= grant_any(a, rnd, i % 2 ? R : RW);
        auth_check_store(a);
        for (unsigned from = 0; from < POINTS; from++) {
            for (unsigned to = from + 1; to <= POINTS + 1; to++) {
                uint32_t asked = cover(from, to);
                struct auth_who w = who(a, "u");
                char p[2][2];
                enum api_error err = auth_check_range(auth_now(a), &w, AUTH_READ, point(from, p[0]),
                                                      to > POINTS ? BYTES_LIT("\0")
                                                                  : point(to, p[1]));

                assert_int_equal(err == API_OK, (asked & ~allowed) == 0);
            }
        }
        close_store(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity_comes_first),
        cmocka_unit_test(spans_are_a_union),
        cmocka_unit_test(unknown_types_grant_nothing),
        cmocka_unit_test(puts_need_more_than_the_key),
        cmocka_unit_test(transactions_are_checked_at_any_depth),
        cmocka_unit_test(deletes_with_prev_kv_read),
        cmocka_unit_test(merged_spans_are_the_union),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
