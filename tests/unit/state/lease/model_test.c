/* Random histories against a model that is nothing but arrays and loops. */
#include "unit/state/lease/fixture.h"

#define IDS 12
#define KEYS 24

struct model {
    struct {
        bool there;
        int64_t ttl_s;
        int64_t rest_s;
        mono_ms deadline; /* meaningful for a primary */
        mono_ms named_next;
    } lease[IDS];
    int key[KEYS]; /* index of the lease, or -1 */
    bool primary;
};

static uint64_t rnd_state;

static uint64_t rnd(uint64_t below)
{
    rnd_state = rnd_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (rnd_state >> 33) % below;
}

static lease_id id_of(size_t i)
{
    return (lease_id) i * 1000003 - 5000000; /* negative ones too, never 0 */
}

static struct bytes key_of(size_t k)
{
    static const char text[KEYS + 8] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    return bytes_of(text, k); /* prefixes of one another, the empty one too */
}

static void start(struct model *m, size_t i, mono_ms now, mono_ms extend)
{
    int64_t s = m->lease[i].rest_s > 0 ? m->lease[i].rest_s : m->lease[i].ttl_s;

    m->lease[i].deadline = m->lease[i].named_next = now + extend + s * 1000;
}

static void do_grant(struct lessor *l, struct model *m, size_t i, mono_ms now)
{
    int64_t want = (int64_t) rnd(40) - 5, got;
    int rc = lease_grant(l, id_of(i), want, now, &got);

    if (m->lease[i].there) {
        assert_int_equal(rc, ERR_LEASE_EXISTS);
        return;
    }
    assert_int_equal(rc, 0);
    assert_int_equal(got, MAX(want, TTL_MIN));
    m->lease[i].there = true;
    m->lease[i].ttl_s = got;
    m->lease[i].rest_s = 0;
    if (m->primary)
        start(m, i, now, 0);
}

static void do_revoke(struct lessor *l, struct model *m, size_t i)
{
    struct lease_keys k;
    int rc = lease_revoke(l, id_of(i), &k);
    size_t n = 0;

    if (!m->lease[i].there) {
        assert_int_equal(rc, ERR_LEASE_NOT_FOUND);
        return;
    }
    assert_int_equal(rc, 0);
    m->lease[i].there = false;
    for (size_t x = 0; x < KEYS; x++) { /* key_of ascends with x */
        if (m->key[x] != (int) i)
            continue;
        assert_true(n < k.n);
        assert_true(bytes_eq(k.keys[n++], key_of(x)));
        m->key[x] = -1;
    }
    assert_int_equal(n, k.n);
    lease_keys_free(&k);
}

static void do_attach(struct lessor *l, struct model *m, size_t i, size_t k)
{
    int rc = lease_attach(l, id_of(i), key_of(k));

    assert_int_equal(rc, m->lease[i].there ? 0 : ERR_LEASE_NOT_FOUND);
    m->key[k] = rc == 0 ? (int) i : -1;
}

static void do_renew(struct lessor *l, struct model *m, size_t i, mono_ms now)
{
    int64_t ttl;
    int rc = lease_renew(l, id_of(i), now, &ttl);

    if (!m->primary) {
        assert_int_equal(rc, ERR_LEASE_NOT_PRIMARY);
    } else if (!m->lease[i].there) {
        assert_int_equal(rc, ERR_LEASE_NOT_FOUND);
    } else if (m->lease[i].deadline <= now) {
        assert_int_equal(rc, ERR_LEASE_EXPIRED);
    } else if (m->lease[i].rest_s > 0) {
        assert_int_equal(rc, ERR_LEASE_CHECKPOINTED);
    } else {
        assert_int_equal(rc, 0);
        assert_int_equal(ttl, m->lease[i].ttl_s);
        start(m, i, now, 0);
    }
}

static void do_role(struct lessor *l, struct model *m, mono_ms now)
{
    mono_ms extend = (mono_ms) rnd(2000);

    if (rnd(2) == 0) {
        lessor_demote(l);
        m->primary = false;
        return;
    }
    lessor_promote(l, now, extend);
    m->primary = true;
    for (size_t i = 0; i < IDS; i++)
        if (m->lease[i].there)
            start(m, i, now, extend);
}

static void do_expire(struct lessor *l, struct model *m, mono_ms now)
{
    lease_id ids[IDS];
    size_t n = lessor_expired(l, now, ids, IDS), want = 0;

    for (size_t i = 0; i < IDS; i++) {
        bool named = false;

        for (size_t k = 0; k < n; k++)
            named = named || ids[k] == id_of(i);
        if (!m->primary || !m->lease[i].there || m->lease[i].named_next > now) {
            assert_false(named);
            continue;
        }
        assert_true(named);
        want++;
        m->lease[i].named_next = now + RETRY_MS;
    }
    assert_int_equal(n, want);
}

static struct lessor *do_restart(struct lessor *l, struct model *m)
{
    l = reopen(l);
    m->primary = false;
    for (size_t k = 0; k < KEYS; k++) /* as mvcc does when it loads */
        if (m->key[k] >= 0)
            assert_int_equal(lease_attach(l, id_of((size_t) m->key[k]), key_of(k)), 0);
    return l;
}

static void compare(struct lessor *l, const struct model *m, mono_ms now)
{
    size_t there = 0, keys = 0;

    for (size_t i = 0; i < IDS; i++) {
        struct lease_info info;

        assert_int_equal(lease_exists(l, id_of(i)), m->lease[i].there);
        if (!m->lease[i].there)
            continue;
        there++;
        info = lookup(l, id_of(i), now);
        assert_int_equal(info.granted_ttl_s, m->lease[i].ttl_s);
        assert_int_equal(info.remaining_ttl_s, m->lease[i].rest_s);
        if (m->primary)
            assert_int_equal(info.ttl_s, (m->lease[i].deadline - now) / 1000);
        keys += info.keys_n;
    }
    assert_int_equal(lessor_count(l), there);
    for (size_t k = 0; k < KEYS; k++) {
        lease_id want = m->key[k] < 0 ? LEASE_NONE : id_of((size_t) m->key[k]);

        assert_true(lease_of_key(l, key_of(k)) == want);
        keys -= m->key[k] >= 0;
    }
    assert_int_equal(keys, 0);
    lessor_check(l);
}

static void run(uint64_t seed)
{
    struct model m = {0};
    struct lessor *l;
    mono_ms now = 0;

    fake_store_done(&disk);
    rnd_state = seed;
    l = open_with(&plain);
    for (size_t k = 0; k < KEYS; k++)
        m.key[k] = -1;
    for (int step = 0; step < 400; step++) {
        size_t i = rnd(IDS), k = rnd(KEYS);

        now += (mono_ms) rnd(3000);
        switch (rnd(20)) {
        case 0:
        case 1:
        case 2:
            do_grant(l, &m, i, now);
            break;
        case 3:
            do_revoke(l, &m, i);
            break;
        case 4:
            lease_detach(l, key_of(k));
            m.key[k] = -1;
            break;
        case 5:
            if (m.lease[i].there)
                m.lease[i].rest_s = (int64_t) rnd(2) * 7;
            lease_checkpoint(l, id_of(i), m.lease[i].there ? m.lease[i].rest_s : 5, true);
            break;
        case 6:
            do_role(l, &m, now);
            break;
        case 7:
            if (rnd(8) == 0)
                l = do_restart(l, &m);
            break;
        case 8:
        case 9:
        case 10:
            do_renew(l, &m, i, now);
            break;
        case 11:
        case 12:
            do_expire(l, &m, now);
            break;
        default:
            do_attach(l, &m, i, k);
        }
        compare(l, &m, now);
    }
    lessor_free(l);
}

/* Whatever the order of grants, revokes, attachments, checkpoints, keep-alives, role changes and
 * restarts: lookups, keys, expiry and errors are those of the model. */
static void random_histories(void **state)
{
    (void) state;
    for (uint64_t seed = 1; seed <= 300; seed++)
        run(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(random_histories, fresh, fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
