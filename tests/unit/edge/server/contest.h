/* contest.h -- what the tests of Lock and Election share: leases, keys, and calls that wait. */
#ifndef KETCH_TESTS_UNIT_EDGE_SERVER_CONTEST_H
#define KETCH_TESTS_UNIT_EDGE_SERVER_CONTEST_H

#include "unit/edge/server/world.h"

#define UNKNOWN 2

static UNUSED int setup(void **state)
{
    (void) state;
    world_open(NULL);
    return 0;
}

static UNUSED int teardown(void **state)
{
    (void) state;
    world_close();
    return 0;
}

static UNUSED void grant(int64_t id, int64_t ttl)
{
    Etcdserverpb__LeaseGrantRequest q = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;

    q.id = id;
    q.ttl = ttl;
    ASK_OK("/etcdserverpb.Lease/LeaseGrant", &q.base, lease_grant_response, NULL);
}

static UNUSED void end_lease(int64_t id)
{
    Etcdserverpb__LeaseRevokeRequest q = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;

    q.id = id;
    ASK_OK("/etcdserverpb.Lease/LeaseRevoke", &q.base, lease_revoke_response, NULL);
}

static UNUSED size_t leases(void)
{
    Etcdserverpb__LeaseLeasesRequest q = ETCDSERVERPB__LEASE_LEASES_REQUEST__INIT;
    Etcdserverpb__LeaseLeasesResponse *res;

    ASK_OK("/etcdserverpb.Lease/LeaseLeases", &q.base, lease_leases_response, &res);
    return res->n_leases;
}

/* All keys that begin with `prefix`. */
static UNUSED Etcdserverpb__RangeResponse *under(const char *prefix)
{
    Etcdserverpb__RangeRequest q = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RangeResponse *res;
    char end[64];

    snprintf(end, sizeof end, "%s", prefix);
    end[strlen(end) - 1]++;
    q.key = bin(prefix);
    q.range_end = bin(end);
    ASK_OK("/etcdserverpb.KV/Range", &q.base, range_response, &res);
    return res;
}

static UNUSED void wait_keys(const char *prefix, int64_t n)
{
    while (under(prefix)->count != n)
        pause_ms(1);
}

static UNUSED bool is(ProtobufCBinaryData b, const char *text)
{
    return bytes_eq(wire_bytes(b), bytes_str(text));
}

/* ---- calls that wait ---- */

static UNUSED void begin(struct flow *f, const char *path, const ProtobufCMessage *q)
{
    flow_open(f, path);
    flow_send(f, q);
    rpc_half_close(f->rpc);
}

static UNUSED void *end_ok(struct flow *f, const ProtobufCMessageDescriptor *d)
{
    ProtobufCMessage *m;

    flow_wait_end(f);
    if (f->code != 0)
        fail_msg("code %d: %s", f->code, f->text);
    assert_int_equal(f->n, 1);
    assert_int_equal(wire_decode(d, f->messages[0], &world.arena, &m, NULL), 0);
    return m;
}

static UNUSED void ends_with(struct flow *f, int code, const char *text)
{
    flow_wait_end(f);
    assert_string_equal(f->text, text);
    assert_int_equal(f->code, code);
}

#endif
