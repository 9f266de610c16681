/* proxy_message_fuzz.c -- what clients and members send through the gRPC proxy: keys under a
 * namespace, shared answers of watches, registrations. */
#include "edge/proxy/proxy_int.h"
#include "edge/proxy/watch_note.h"

static const char *const PATHS[] = {
    "/etcdserverpb.KV/Range", "/etcdserverpb.KV/RangeStream",
    "/etcdserverpb.KV/Put",   "/etcdserverpb.KV/DeleteRange",
    "/etcdserverpb.KV/Txn",   "/etcdserverpb.Lease/LeaseTimeToLive",
};

static void map(ns_map *m, struct bytes in)
{
    struct arena a;
    struct buf out;

    if (m == NULL)
        return;
    arena_init(&a, 16 << 20);
    buf_init(&out, 16 << 20);
    (void) m(BYTES_LIT("ns/"), in, &a, &out);
    buf_done(&out);
    arena_done(&a);
}

/* The parts of a note are all of the answer but its id, and no event is before the asked one. */
static void note(struct bytes in, int64_t rev)
{
    struct watch_note n;
    size_t from;

    if (!watch_note_read(in, &n))
        return;
    from = watch_note_from(&n, rev);
    ASSERT(n.head_bytes <= from);
    ASSERT(from <= n.payload->bytes);
    ASSERT(n.payload->bytes <= in.n);
    ASSERT(n.events_n > 0 || n.payload->bytes == n.head_bytes);
    watch_note_done(&n);
}

static void registration(struct bytes in)
{
    struct arena a;
    char *addr, *name;

    arena_init(&a, 1 << 20);
    (void) members__of_value(in, &a, &addr, &name);
    arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct bytes in;

    if (n == 0)
        return 0;
    in = bytes_of(data + 1, n - 1);
    switch (data[0] % 9) {
    case 6:
        map(ns_watch_response, in);
        break;
    case 7:
        note(in, data[0]);
        break;
    case 8:
        registration(in);
        break;
    default:
        map(ns_request_map(PATHS[data[0] % 9]), in);
        map(ns_response_map(PATHS[data[0] % 9]), in);
        break;
    }
    return 0;
}
