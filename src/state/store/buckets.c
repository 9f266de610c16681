#include "state/store/buckets.h"

#include "base/endian.h"
#include "state/store/store.h"

struct bytes store_bucket_name(enum store_bucket b)
{
    static const struct bytes names[] = {
#define X(name, text) [STORE_##name] = {(const uint8_t *) text, sizeof text - 1},
        STORE_BUCKET_MAP(X)
#undef X
    };

    ASSERT(b < STORE_BUCKETS);
    return names[b];
}

size_t store_rev_key_put(uint8_t p[STORE_REV_KEY_BYTES_MAX], int64_t main, int64_t sub,
                         bool tombstone)
{
    ASSERT(main >= 0);
    ASSERT(sub >= 0);
    be64_put(p, (uint64_t) main);
    p[8] = '_';
    be64_put(p + 9, (uint64_t) sub);
    if (!tombstone)
        return STORE_REV_KEY_BYTES;
    p[STORE_REV_KEY_BYTES] = 't';
    return STORE_REV_KEY_BYTES + 1;
}

bool store_rev_key_get(struct bytes key, int64_t *ret_main, int64_t *ret_sub, bool *ret_tombstone)
{
    bool tombstone = key.n == STORE_REV_KEY_BYTES + 1;
    int64_t main, sub;

    if (key.n != STORE_REV_KEY_BYTES && !tombstone)
        return false;
    if (key.p[8] != '_' || (tombstone && key.p[STORE_REV_KEY_BYTES] != 't'))
        return false;
    main = (int64_t) be64_get(key.p);
    sub = (int64_t) be64_get(key.p + 9);
    if (main < 0 || sub < 0 || sub > UINT32_MAX)
        return false;
    *ret_main = main;
    *ret_sub = sub;
    *ret_tombstone = tombstone;
    return true;
}
