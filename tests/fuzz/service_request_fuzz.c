/* service_request_fuzz.c -- any bytes as any request of any service, and as an entry of the log.
 *
 * The first byte chooses the message.  What is decoded costs memory in proportion to its bytes, is
 * encoded again, and that reads as the same and is encoded to the same bytes; what the checks of
 * requests say of both is the same. */
#include "node/node.h"
#include "raft_internal.pb-c.h"
#include "rpc.pb-c.h"
#include "v3election.pb-c.h"
#include "v3lock.pb-c.h"
#include "wire/wire.h"

#define ARENA_BYTES_MAX (1u << 24)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const kinds[] = {
    &etcdserverpb__delete_range_request__descriptor,
    &etcdserverpb__compaction_request__descriptor,
    &etcdserverpb__hash_request__descriptor,
    &etcdserverpb__hash_kvrequest__descriptor,
    &etcdserverpb__alarm_request__descriptor,
    &etcdserverpb__snapshot_request__descriptor,
    &etcdserverpb__status_request__descriptor,
    &etcdserverpb__defragment_request__descriptor,
    &etcdserverpb__move_leader_request__descriptor,
    &etcdserverpb__downgrade_request__descriptor,
    &etcdserverpb__member_add_request__descriptor,
    &etcdserverpb__member_update_request__descriptor,
    &etcdserverpb__member_remove_request__descriptor,
    &etcdserverpb__auth_user_add_request__descriptor,
    &etcdserverpb__auth_role_grant_permission_request__descriptor,
    &etcdserverpb__authenticate_request__descriptor,
    &v3lockpb__lock_request__descriptor,
    &v3lockpb__unlock_request__descriptor,
    &v3electionpb__campaign_request__descriptor,
    &v3electionpb__proclaim_request__descriptor,
    &v3electionpb__resign_request__descriptor,
    &etcdserverpb__internal_raft_request__descriptor,
};

/* What does not grow with the input: an odd message is written plainly, with room to merge at each
 * depth. */
#define FIXED_BYTES_MAX 32768

static void same_verdict(const ProtobufCMessage *a, const ProtobufCMessage *b)
{
    if (a->descriptor != &etcdserverpb__delete_range_request__descriptor)
        return;
    ASSERT(mvcc_check_delete_range((const Etcdserverpb__DeleteRangeRequest *) a) ==
           mvcc_check_delete_range((const Etcdserverpb__DeleteRangeRequest *) b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const ProtobufCMessageDescriptor *d;
    ProtobufCMessage *m, *again;
    struct buf first, second;
    struct arena a;

    if (size == 0)
        return 0;
    d = kinds[data[0] % ARRAY_LEN(kinds)];
    arena_init(&a, ARENA_BYTES_MAX);
    buf_init(&first, ARENA_BYTES_MAX);
    buf_init(&second, ARENA_BYTES_MAX);
    if (wire_decode(d, bytes_of(data + 1, size - 1), &a, &m, NULL) == 0) {
        ASSERT(m->descriptor == d);
        ASSERT(a.used_bytes <= FIXED_BYTES_MAX + 256 * size);
        ASSERT(wire_encode(m, &first));
        ASSERT(first.len == wire_size(m));
        ASSERT(wire_decode(d, buf_bytes(&first), &a, &again, NULL) == 0);
        ASSERT(wire_encode(again, &second));
        ASSERT(bytes_eq(buf_bytes(&first), buf_bytes(&second)));
        same_verdict(m, again);
    }
    buf_done(&first);
    buf_done(&second);
    arena_done(&a);
    return 0;
}
