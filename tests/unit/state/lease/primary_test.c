/* The primary's part: deadlines, keep-alives, expiry, checkpoints to send. */
#include "unit/state/lease/fixture.h"

#define ELECTION_MS 1000

static struct lessor *primary_at(mono_ms now)
{
    struct lessor *l = open_with(&plain);

    lessor_promote(l, now, ELECTION_MS);
    return l;
}

static size_t expired(struct lessor *l, mono_ms now)
{
    lease_id ids[16];

    return lessor_expired(l, now, ids, ARRAY_LEN(ids));
}

/* A member that is not primary sees nothing expire, renews nothing and lets nobody wait. */
static void only_a_primary_expires(void **state)
{
    struct lessor *l = open_with(&plain);
    struct lease_waiter w;
    int64_t ttl;

    (void) state;
    grant(l, 1, 10, 0);
    assert_int_equal(lessor_next_due(l), INT64_MAX);
    assert_int_equal(expired(l, INT64_MAX), 0);
    assert_int_equal(lease_renew(l, 1, 0, &ttl), ERR_LEASE_NOT_PRIMARY);
    assert_int_equal(lease_await(l, 1, &w), ERR_LEASE_NOT_PRIMARY);
    assert_int_equal(lookup(l, 1, 99999999).ttl_s, LEASE_TTL_S_UNKNOWN);
    lessor_free(l);
}

/* Seconds left are cut towards zero and go negative once the lease is overdue. */
static void time_to_live_is_truncated(void **state)
{
    struct lessor *l = primary_at(0);

    (void) state;
    grant(l, 1, 10, 5000);
    assert_int_equal(lookup(l, 1, 5000).ttl_s, 10);
    assert_int_equal(lookup(l, 1, 5001).ttl_s, 9);
    assert_int_equal(lookup(l, 1, 14500).ttl_s, 0);
    assert_int_equal(lookup(l, 1, 15500).ttl_s, 0);
    assert_int_equal(lookup(l, 1, 16500).ttl_s, -1);
    lessor_free(l);
}

/* A lease is named at its deadline, again after the retry time while it is there, and not once it
 * is revoked. */
static void expiry_is_repeated_until_revoked(void **state)
{
    struct lessor *l = primary_at(0);

    (void) state;
    grant(l, 1, 10, 0);
    assert_int_equal(lessor_next_due(l), 10000);
    assert_int_equal(expired(l, 9999), 0);
    assert_int_equal(expired(l, 10000), 1);
    assert_int_equal(expired(l, 10000), 0);
    assert_int_equal(lessor_next_due(l), 10000 + RETRY_MS);
    assert_int_equal(expired(l, 10000 + RETRY_MS), 1);
    revoke(l, 1);
    assert_int_equal(expired(l, 100000), 0);
    assert_int_equal(lessor_next_due(l), INT64_MAX);
    lessor_check(l);
    lessor_free(l);
}

/* A scan names no more than asked for, the longest overdue first; the next one goes on. */
static void a_scan_is_bounded(void **state)
{
    struct lessor *l = primary_at(0);
    lease_id ids[4];

    (void) state;
    for (lease_id id = 1; id <= 6; id++)
        grant(l, id, 20 - id, 0);
    assert_int_equal(lessor_expired(l, 30000, ids, 4), 4);
    assert_int_equal(ids[0], 6);
    assert_int_equal(ids[3], 3);
    assert_int_equal(lessor_expired(l, 30000, ids, 4), 2);
    assert_int_equal(ids[0], 2);
    assert_int_equal(ids[1], 1);
    lessor_free(l);
}

/* A keep-alive starts the whole TTL anew; one that comes at the deadline or later is too late. */
static void renewing(void **state)
{
    struct lessor *l = primary_at(0);
    int64_t ttl = 0;

    (void) state;
    grant(l, 1, 10, 0);
    assert_int_equal(lease_renew(l, 1, 9999, &ttl), 0);
    assert_int_equal(ttl, 10);
    assert_int_equal(expired(l, 19998), 0);
    assert_int_equal(lease_renew(l, 1, 19999, &ttl), ERR_LEASE_EXPIRED);
    assert_int_equal(expired(l, 19999), 1);
    assert_int_equal(lease_renew(l, 1, 19999, &ttl), ERR_LEASE_EXPIRED);
    assert_int_equal(lease_renew(l, 2, 0, &ttl), ERR_LEASE_NOT_FOUND);
    lessor_free(l);
}

/* A recorded rest must be cleared through the log before a keep-alive counts. */
static void renewing_a_checkpointed_lease(void **state)
{
    struct lessor *l = primary_at(0);
    int64_t ttl = 0;

    (void) state;
    grant(l, 1, 600, 0);
    lease_checkpoint(l, 1, 300, false);
    assert_int_equal(lease_renew(l, 1, 1000, &ttl), ERR_LEASE_CHECKPOINTED);
    lease_checkpoint(l, 1, 0, false);
    assert_int_equal(lease_renew(l, 1, 1000, &ttl), 0);
    assert_int_equal(lookup(l, 1, 1000).ttl_s, 600);
    lessor_free(l);
}

/* Promotion restarts every lease: the recorded rest, else the whole TTL, and the election timeout
 * on top.  A record with a nonsensical rest does not overflow. */
static void promotion_restarts_time(void **state)
{
    struct lessor *l = open_with(&plain);

    (void) state;
    grant(l, 1, 60, 0);
    grant(l, 2, 600, 0);
    grant(l, 3, 60, 0);
    lease_checkpoint(l, 2, 40, true);
    lease_checkpoint(l, 3, INT64_MAX, true);
    lessor_promote(l, 100000, ELECTION_MS);
    assert_int_equal(lookup(l, 1, 100000).ttl_s, 61);
    assert_int_equal(lookup(l, 2, 100000).ttl_s, 41);
    assert_int_equal(lookup(l, 3, 100000).ttl_s, LEASE_TTL_S_MAX + 1);
    lessor_promote(l, 200000, ELECTION_MS);
    assert_int_equal(lookup(l, 1, 200000).ttl_s, 61);
    lessor_check(l);
    lessor_demote(l);
    lessor_check(l);
    assert_int_equal(lessor_next_due(l), INT64_MAX);
    lessor_free(l);
}

/* With many leases that would end together, no second sees more than LEASE_SPREAD_PER_S of them
 * end, and none ends earlier than without the rule; with fewer leases nothing is spread. */
static void promotion_spreads_ends(void **state)
{
    struct lessor *l = open_with(&plain);
    static lease_id ids[4000];
    size_t ends[64] = {0};

    (void) state;
    for (lease_id id = 1; id < LEASE_SPREAD_MIN; id++)
        grant(l, id, 10, 0);
    lessor_promote(l, 0, 0);
    assert_int_equal(lessor_expired(l, 10000, ids, ARRAY_LEN(ids)), LEASE_SPREAD_MIN - 1);
    lessor_demote(l);
    for (lease_id id = LEASE_SPREAD_MIN; id <= 3000; id++)
        grant(l, id, id % 2 == 0 ? 10 : 11, 0);
    lessor_promote(l, 0, 0);
    lessor_check(l);
    assert_int_equal(lessor_expired(l, 9999, ids, ARRAY_LEN(ids)), 0);
    for (mono_ms now = 10000; now < 20000; now++) {
        size_t n = lessor_expired(l, now, ids, ARRAY_LEN(ids));

        for (size_t i = 0; i < n; i++) {
            struct lease_info info = lookup(l, ids[i], now);

            assert_true(now >= info.granted_ttl_s * 1000);
            revoke(l, ids[i]);
        }
        ends[now / 1000] += n;
    }
    assert_int_equal(ends[10] + ends[11] + ends[12] + ends[13], 3000);
    for (size_t s = 10; s < 14; s++)
        assert_int_equal(ends[s], LEASE_SPREAD_PER_S);
    lessor_free(l);
}

struct wait {
    struct lease_waiter w;
    int rc;
    int calls;
};

static void note_done(struct lease_waiter *w, int rc)
{
    struct wait *x = CONTAINER_OF(w, struct wait, w);

    x->rc = rc;
    x->calls++;
}

/* Who waits for an expired lease hears of its revocation, or that this member leads no more, once;
 * who gave up hears nothing. */
static void waiters_are_told(void **state)
{
    struct lessor *l = primary_at(0);
    struct wait a = {.w.done = note_done}, b = a, c = a, d = a;

    (void) state;
    grant(l, 1, 10, 0);
    grant(l, 2, 10, 0);
    assert_int_equal(lease_await(l, 1, &a.w), 0);
    assert_int_equal(lease_await(l, 1, &b.w), 0);
    assert_int_equal(lease_await(l, 1, &c.w), 0);
    assert_int_equal(lease_await(l, 2, &d.w), 0);
    assert_int_equal(lease_await(l, 3, &d.w), ERR_LEASE_NOT_FOUND);
    lease_await_cancel(&c.w);
    revoke(l, 1);
    assert_int_equal(a.rc, ERR_LEASE_NOT_FOUND);
    assert_int_equal(b.calls, 1);
    assert_int_equal(c.calls, 0);
    assert_int_equal(d.calls, 0);
    lease_await_cancel(&a.w);
    lessor_demote(l);
    assert_int_equal(d.rc, ERR_LEASE_NOT_PRIMARY);
    lessor_promote(l, 0, 0);
    assert_int_equal(lease_await(l, 2, &a.w), 0);
    lessor_free(l);
    assert_int_equal(a.rc, ERR_LEASE_NOT_PRIMARY);
    assert_int_equal(a.calls, 2);
}

/* Ids come soonest end first; on a member that is not primary by id. */
static void listing(void **state)
{
    struct lessor *l = open_with(&plain);
    struct arena a, tiny;
    lease_id *ids;
    size_t n;

    (void) state;
    arena_init(&a, 1 << 16);
    arena_init(&tiny, 8);
    assert_int_equal(lease_list(l, &a, &ids, &n), 0);
    assert_int_equal(n, 0);
    grant(l, 3, 30, 0);
    grant(l, 1, 90, 0);
    grant(l, -2, 60, 0);
    assert_int_equal(lease_list(l, &a, &ids, &n), 0);
    assert_int_equal(n, 3);
    assert_int_equal(ids[0], -2);
    assert_int_equal(ids[2], 3);
    lessor_promote(l, 0, 0);
    assert_int_equal(lease_list(l, &a, &ids, &n), 0);
    assert_int_equal(ids[0], 3);
    assert_int_equal(ids[1], -2);
    assert_int_equal(ids[2], 1);
    assert_int_equal(lease_list(l, &tiny, &ids, &n), ERR_NOMEM);
    arena_done(&a);
    arena_done(&tiny);
    lessor_free(l);
}

/* Leases longer than the interval have their rest recorded once per interval, rounded up; short
 * ones and those renewed just now do not; a renewed one comes again later. */
static void checkpoints_are_due(void **state)
{
    struct lessor_config cfg = plain;
    struct lessor *l;
    struct lease_rest r[8];
    int64_t ttl;

    (void) state;
    cfg.checkpoint_ms = 300000;
    l = open_with(&cfg);
    lessor_promote(l, 0, 0);
    grant(l, 1, 1000, 0);
    grant(l, 2, 300, 0);
    grant(l, 3, 1000, 500);
    grant(l, 4, 1000, 600);
    revoke(l, 4);
    assert_int_equal(lessor_checkpoints(l, 299999, r, 8), 0);
    assert_int_equal(lessor_next_due(l), 300000);
    assert_int_equal(lease_renew(l, 3, 300500, &ttl), 0);
    assert_int_equal(lessor_checkpoints(l, 300500, r, 8), 1);
    assert_int_equal(r[0].id, 1);
    assert_int_equal(r[0].remaining_ttl_s, 700); /* 699.5 rounded up */
    lease_checkpoint(l, 1, r[0].remaining_ttl_s, true);
    assert_int_equal(lessor_checkpoints(l, 600499, r, 8), 0);
    assert_int_equal(lessor_checkpoints(l, 600500, r, 1), 1);
    assert_int_equal(r[0].id, 1);
    assert_int_equal(lessor_checkpoints(l, 600500, r, 1), 1);
    assert_int_equal(r[0].id, 3);
    assert_int_equal(r[0].remaining_ttl_s, 700);
    lessor_check(l);
    lessor_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_a_primary_expires, fresh, fresh),
        cmocka_unit_test_setup_teardown(time_to_live_is_truncated, fresh, fresh),
        cmocka_unit_test_setup_teardown(expiry_is_repeated_until_revoked, fresh, fresh),
        cmocka_unit_test_setup_teardown(a_scan_is_bounded, fresh, fresh),
        cmocka_unit_test_setup_teardown(renewing, fresh, fresh),
        cmocka_unit_test_setup_teardown(renewing_a_checkpointed_lease, fresh, fresh),
        cmocka_unit_test_setup_teardown(promotion_restarts_time, fresh, fresh),
        cmocka_unit_test_setup_teardown(promotion_spreads_ends, fresh, fresh),
        cmocka_unit_test_setup_teardown(waiters_are_told, fresh, fresh),
        cmocka_unit_test_setup_teardown(listing, fresh, fresh),
        cmocka_unit_test_setup_teardown(checkpoints_are_due, fresh, fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
