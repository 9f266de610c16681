/* Any bytes as a raft message: refused, or read so that what is written from it reads as the same.
 */
#include "base/alloc.h"
#include "wire/raftpb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct raft_message m, again;
    struct arena a;

    arena_init(&a, (size_t) 8 << 20);
    if (raft_message_get(bytes_of(data, size), &a, &m, NULL) == 0) {
        size_t n = raft_message_size(&m);
        uint8_t *p = xmem_alloc(n + 1), *q;

        ASSERT(raft_message_put(&m, p) == p + n);
        ASSERT(raft_message_get(bytes_of(p, n), &a, &again, NULL) == 0);
        ASSERT(again.entries_n == m.entries_n);
        ASSERT((again.snapshot == NULL) == (m.snapshot == NULL));
        ASSERT(raft_message_size(&again) == n);
        q = xmem_alloc(n + 1);
        ASSERT(raft_message_put(&again, q) == q + n);
        ASSERT(n == 0 || memcmp(p, q, n) == 0);
        mem_free(q);
        mem_free(p);
    }
    arena_done(&a);
    return 0;
}
