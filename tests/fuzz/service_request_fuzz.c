/* service_request_fuzz.c -- any bytes as any request of any service, and as an entry of the log.
 *
 * The first byte chooses the message: one of every method that the gateway, and so gRPC, knows, or
 * one of those that only members and health probes send.  It goes the server's way: written plainly
 * (what goes into the log), then unpacked.
 *
 * What is plain stays as it is, and can be read.  It costs memory in proportion to its bytes, is
 * encoded again, and that reads as the same and is encoded to the same bytes; what the checks of
 * requests say of both is the same, and so is what the decoders made by hand make of it. */
#include "edge/server/decode.h"
#include "edge/server/gateway_int.h"
#include "health.pb-c.h"
#include "lease.pb-c.h"
#include "node/node.h"
#include "raft_internal.pb-c.h"
#include "wire/wire.h"

#define ARENA_BYTES_MAX (1u << 24)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const others[] = {
    &etcdserverpb__internal_raft_request__descriptor,
    &leasepb__lease_internal_request__descriptor,
    &grpc__health__v1__health_check_request__descriptor,
    &grpc__health__v1__health_list_request__descriptor,
};

static const ProtobufCMessageDescriptor *chosen(uint8_t x)
{
    size_t i = x % (ARRAY_LEN(others) + gateway_routes_n);

    return i < ARRAY_LEN(others) ? others[i] : gateway_routes[i - ARRAY_LEN(others)].request;
}

/* What does not grow with the input: an odd message is written plainly, with room to merge at each
 * depth. */
#define FIXED_BYTES_MAX 32768

/* What can be told from a request alone. */
static int verdict(const ProtobufCMessage *m, struct arena *a)
{
    enum api_error e = API_OK;

    if (m->descriptor == &etcdserverpb__range_request__descriptor)
        return (int) mvcc_check_range((const Etcdserverpb__RangeRequest *) m);
    if (m->descriptor == &etcdserverpb__put_request__descriptor)
        return (int) mvcc_check_put((const Etcdserverpb__PutRequest *) m);
    if (m->descriptor == &etcdserverpb__delete_range_request__descriptor)
        return (int) mvcc_check_delete_range((const Etcdserverpb__DeleteRangeRequest *) m);
    if (m->descriptor == &etcdserverpb__txn_request__descriptor)
        ASSERT(mvcc_check_txn((const Etcdserverpb__TxnRequest *) m, 128, a, &e) == 0);
    return (int) e;
}

/* What the decoders made by hand accept, they read as the generated one. */
static void by_hand(const ProtobufCMessage *m, struct bytes in, struct bytes encoded)
{
    Etcdserverpb__RangeRequest range;
    Etcdserverpb__PutRequest put;
    const ProtobufCMessage *fast = NULL;
    struct buf b;

    if (m->descriptor == &etcdserverpb__range_request__descriptor && decode_range(in, &range))
        fast = &range.base;
    if (m->descriptor == &etcdserverpb__put_request__descriptor && decode_put(in, &put))
        fast = &put.base;
    if (fast == NULL)
        return;
    buf_init(&b, ARENA_BYTES_MAX);
    ASSERT(wire_encode(fast, &b));
    ASSERT(bytes_eq(buf_bytes(&b), encoded));
    buf_done(&b);
}

static void written_again(const ProtobufCMessage *m, struct bytes in, struct arena *a)
{
    ProtobufCMessage *again;
    struct buf first, second;

    buf_init(&first, ARENA_BYTES_MAX);
    buf_init(&second, ARENA_BYTES_MAX);
    ASSERT(wire_encode(m, &first));
    ASSERT(first.len == wire_size(m));
    ASSERT(wire_decode(m->descriptor, buf_bytes(&first), a, &again, NULL) == 0);
    ASSERT(wire_encode(again, &second));
    ASSERT(bytes_eq(buf_bytes(&first), buf_bytes(&second)));
    ASSERT(verdict(m, a) == verdict(again, a));
    by_hand(m, in, buf_bytes(&first));
    buf_done(&first);
    buf_done(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const ProtobufCMessageDescriptor *d;
    struct bytes in, plain, same;
    ProtobufCMessage *m;
    struct arena a;

    if (size == 0)
        return 0;
    d = chosen(data[0]);
    in = bytes_of(data + 1, size - 1);
    arena_init(&a, ARENA_BYTES_MAX);
    if (wire_plain(d, in, WIRE_DEPTH_MAX, &a, &plain, NULL) == 0) {
        ASSERT(wire_plain(d, plain, WIRE_DEPTH_MAX, &a, &same, NULL) == 0);
        ASSERT(bytes_eq(plain, same));
        ASSERT(wire_unpack(d, plain, &a, &m, NULL) == 0);
        ASSERT(m->descriptor == d);
        ASSERT(a.used_bytes <= FIXED_BYTES_MAX + 256 * size);
        written_again(m, in, &a);
    }
    arena_done(&a);
    return 0;
}
