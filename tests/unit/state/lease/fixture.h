/* fixture.h -- a lessor over a fake store. */
#ifndef KETCH_TESTS_LEASE_FIXTURE_H
#define KETCH_TESTS_LEASE_FIXTURE_H

#include "lib/cm.h"
#include "state/lease/lease.h"
#include "unit/state/lease/fake_store.h"

#define TTL_MIN 2
#define RETRY_MS 7000

static const struct lessor_config plain = {
    .ttl_s_min = TTL_MIN, .retry_ms = RETRY_MS, .hash_seed = {11, 22}};
static struct store disk;

static struct lessor *open_with(const struct lessor_config *cfg)
{
    struct lessor *l = NULL;

    assert_int_equal(lessor_open(cfg, &disk, &l, NULL), 0);
    return l;
}

/* Closes and opens again over the same records. */
static UNUSED struct lessor *reopen(struct lessor *l)
{
    lessor_free(l);
    return open_with(&plain);
}

static UNUSED void grant(struct lessor *l, lease_id id, int64_t ttl_s, mono_ms now)
{
    int64_t granted = 0;

    assert_int_equal(lease_grant(l, id, ttl_s, now, &granted), 0);
    assert_int_equal(granted, MAX(ttl_s, TTL_MIN));
}

static UNUSED void attach(struct lessor *l, lease_id id, const char *key)
{
    assert_int_equal(lease_attach(l, id, bytes_str(key)), 0);
}

static UNUSED struct lease_info lookup(struct lessor *l, lease_id id, mono_ms now)
{
    struct lease_info i = {0};

    assert_int_equal(lease_lookup(l, id, now, &i), 0);
    return i;
}

static UNUSED size_t revoke(struct lessor *l, lease_id id)
{
    struct lease_keys k;
    size_t n;

    assert_int_equal(lease_revoke(l, id, &k), 0);
    n = k.n;
    lease_keys_free(&k);
    return n;
}

static int fresh(void **state)
{
    (void) state;
    fake_store_done(&disk);
    return 0;
}

#endif
