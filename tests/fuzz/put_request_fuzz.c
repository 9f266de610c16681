/* What the hand-made decoder of PutRequest accepts, the generated one reads the same. */
#include "edge/server/decode.h"
#include "node/node.h"
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    Etcdserverpb__PutRequest fast, *slow;
    struct bytes in = bytes_of(data, n);
    struct arena a;

    if (!decode_put(in, &fast))
        return 0;
    arena_init(&a, 1u << 24);
    if (WIRE_DECODE(etcdserverpb__put_request, in, &a, &slow, NULL) != 0)
        abort();
    ASSERT(bytes_eq(wire_bytes(fast.key), wire_bytes(slow->key)));
    ASSERT(bytes_eq(wire_bytes(fast.value), wire_bytes(slow->value)));
    ASSERT(fast.lease == slow->lease);
    ASSERT(!fast.prev_kv == !slow->prev_kv);
    ASSERT(!fast.ignore_value == !slow->ignore_value);
    ASSERT(!fast.ignore_lease == !slow->ignore_lease);
    ASSERT(mvcc_check_put(&fast) == mvcc_check_put(slow));
    arena_done(&a);
    return 0;
}
