/* What the hand-made decoder of RangeRequest accepts, the generated one reads the same. */
#include "edge/server/decode.h"
#include "node/node.h"
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    Etcdserverpb__RangeRequest fast, *slow;
    struct bytes in = bytes_of(data, n);
    struct arena a;

    if (!decode_range(in, &fast))
        return 0;
    arena_init(&a, 1u << 24);
    if (WIRE_DECODE(etcdserverpb__range_request, in, &a, &slow, NULL) != 0)
        abort();
    ASSERT(bytes_eq(wire_bytes(fast.key), wire_bytes(slow->key)));
    ASSERT(bytes_eq(wire_bytes(fast.range_end), wire_bytes(slow->range_end)));
    ASSERT(fast.limit == slow->limit);
    ASSERT(fast.revision == slow->revision);
    ASSERT(fast.sort_order == slow->sort_order);
    ASSERT(fast.sort_target == slow->sort_target);
    ASSERT(!fast.serializable == !slow->serializable);
    ASSERT(!fast.keys_only == !slow->keys_only);
    ASSERT(!fast.count_only == !slow->count_only);
    ASSERT(fast.min_mod_revision == slow->min_mod_revision);
    ASSERT(fast.max_mod_revision == slow->max_mod_revision);
    ASSERT(fast.min_create_revision == slow->min_create_revision);
    ASSERT(fast.max_create_revision == slow->max_create_revision);
    ASSERT(mvcc_check_range(&fast) == mvcc_check_range(slow));
    arena_done(&a);
    return 0;
}
