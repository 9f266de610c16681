/* The records of bucket `lease`: key = id, 8 bytes big endian; value = leasepb.Lease
 * {1: ID, 2: TTL, 3: RemainingTTL}, as etcd writes it. */
#include "base/endian.h"
#include "state/lease/lease_int.h"
#include "state/store/store.h"
#include "wire/pb.h"

#define ID_BYTES 8
#define RECORD_BYTES_MAX (3 * (1 + PB_VARINT_BYTES_MAX))

static struct bytes id_key(uint8_t p[ID_BYTES], lease_id id)
{
    be64_put(p, (uint64_t) id);
    return bytes_of(p, ID_BYTES);
}

void lease__write(struct lessor *l, const struct lease *x)
{
    uint8_t key[ID_BYTES], value[RECORD_BYTES_MAX], *end = value;

    end = pb_put_u64(end, 1, (uint64_t) x->id);
    end = pb_put_u64(end, 2, (uint64_t) x->ttl_s);
    end = pb_put_u64(end, 3, (uint64_t) x->remaining_ttl_s);
    ASSERT(end <= value + sizeof value);
    store_put(l->store, STORE_LEASE, id_key(key, x->id), bytes_of(value, (size_t) (end - value)));
}

void lease__erase(struct lessor *l, lease_id id)
{
    uint8_t key[ID_BYTES];

    store_delete(l->store, STORE_LEASE, id_key(key, id));
}

/* Unknown fields are passed over: a later version may have written them. */
static bool decode(struct bytes value, int64_t ret[3])
{
    struct pb_reader r = pb_reader_of(value);
    struct pb_field f;

    while (pb_next(&r, &f)) {
        if (f.number < 1 || f.number > 3)
            continue;
        if (f.type != PB_VARINT)
            return false;
        ret[f.number - 1] = (int64_t) f.value;
    }
    return !r.bad;
}

struct loading {
    struct lessor *l;
    struct err *e;
};

static int load_one(void *ctx, struct bytes key, struct bytes value)
{
    struct loading *to = ctx;
    int64_t field[3] = {0, 0, 0};
    lease_id id;

    if (key.n != ID_BYTES)
        return err_set(to->e, ERR_LEASE_DAMAGED, "a key of %zu bytes instead of %d", key.n,
                       ID_BYTES);
    id = (lease_id) be64_get(key.p);
    if (!decode(value, field) || field[0] != id || id == LEASE_NONE)
        return err_set(to->e, ERR_LEASE_DAMAGED, "the record of lease %016" PRIx64 " is damaged",
                       (uint64_t) id);
    lease__add(to->l, id, field[1], field[2]);
    return 0;
}

int lease__load(struct lessor *l, struct err *e)
{
    struct loading to = {l, e};

    return store_scan(l->store, STORE_LEASE, load_one, &to, e);
}
