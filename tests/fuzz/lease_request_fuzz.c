/* Lease requests of any bytes: the first byte chooses the kind. */
#include "rpc.pb-c.h"
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const ProtobufCMessageDescriptor *const kinds[] = {
        &etcdserverpb__lease_grant_request__descriptor,
        &etcdserverpb__lease_revoke_request__descriptor,
        &etcdserverpb__lease_keep_alive_request__descriptor,
        &etcdserverpb__lease_time_to_live_request__descriptor,
        &etcdserverpb__lease_leases_request__descriptor,
    };
    const ProtobufCMessageDescriptor *d;
    ProtobufCMessage *m, *again;
    struct arena a;
    struct buf b;

    if (n == 0)
        return 0;
    d = kinds[data[0] % ARRAY_LEN(kinds)];
    arena_init(&a, 1u << 24);
    buf_init(&b, 1u << 24);
    if (wire_decode(d, bytes_of(data + 1, n - 1), &a, &m, NULL) == 0) {
        if (!wire_encode(m, &b) || wire_decode(d, buf_bytes(&b), &a, &again, NULL) != 0)
            abort();
        ASSERT(wire_size(again) == wire_size(m));
    }
    buf_done(&b);
    arena_done(&a);
    return 0;
}
