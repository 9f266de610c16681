#include "edge/server/contest.h"
#include "wire/pb.h"

#define LEASE_HEX_BYTES 20

enum { KV_KEY = 1, KV_CREATE = 2, KV_MOD = 3, KV_VALUE = 5 }; /* mvccpb.KeyValue */

bool contest_of(struct bytes name, struct arena *a, struct contest *ret)
{
    uint8_t *p = arena_alloc(a, 2 * (name.n + 1));

    if (p == NULL)
        return false;
    for (int i = 0; i < 2; i++) {
        if (name.n != 0)
            memcpy(p + (size_t) i * (name.n + 1), name.p, name.n);
        p[(size_t) i * (name.n + 1) + name.n] = (uint8_t) ('/' + i);
    }
    ret->prefix = bytes_of(p, name.n + 1);
    ret->end = bytes_of(p + name.n + 1, name.n + 1);
    return true;
}

bool contest_key(const struct contest *k, int64_t lease, struct arena *a, struct bytes *ret)
{
    char hex[LEASE_HEX_BYTES];
    uint64_t magnitude = lease < 0 ? -(uint64_t) lease : (uint64_t) lease;
    int n = snprintf(hex, sizeof hex, "%s%" PRIx64, lease < 0 ? "-" : "", magnitude);
    uint8_t *p = arena_alloc(a, k->prefix.n + (size_t) n);

    if (p == NULL)
        return false;
    memcpy(p, k->prefix.p, k->prefix.n);
    memcpy(p + k->prefix.n, hex, (size_t) n);
    *ret = bytes_of(p, k->prefix.n + (size_t) n);
    return true;
}

void contest_kv_read(struct bytes raw, struct contest_kv *ret)
{
    struct pb_reader r = pb_reader_of(raw);
    struct pb_field f;

    *ret = (struct contest_kv){.raw = raw};
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case KV_KEY:
            ret->key = f.bytes;
            break;
        case KV_CREATE:
            ret->create_revision = (int64_t) f.value;
            break;
        case KV_MOD:
            ret->mod_revision = (int64_t) f.value;
            break;
        case KV_VALUE:
            ret->value = f.bytes;
            break;
        default:
            break;
        }
    }
}

int contest_picked(struct mvcc_range *g, struct contest_kv *ret)
{
    struct bytes raw;

    if (!mvcc_range_next(g, &raw))
        return ERR_NOT_FOUND;
    contest_kv_read(raw, ret);
    return 0;
}

static Etcdserverpb__RangeRequest by_age(const struct contest *k)
{
    Etcdserverpb__RangeRequest q = ETCDSERVERPB__RANGE_REQUEST__INIT;

    q.key = wire_binary(k->prefix);
    q.range_end = wire_binary(k->end);
    q.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE;
    q.limit = 1;
    return q;
}

Etcdserverpb__RangeRequest contest_holder_range(const struct contest *k)
{
    Etcdserverpb__RangeRequest q = by_age(k);

    q.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND;
    return q;
}

Etcdserverpb__RangeRequest contest_before_range(const struct contest *k, int64_t rev,
                                                int64_t revision)
{
    Etcdserverpb__RangeRequest q = by_age(k);

    ASSERT(rev > 1); /* a maximum of 0 would be none; the first revision of a store is 2 */
    q.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    q.max_create_revision = rev - 1;
    q.revision = revision;
    return q;
}
