/* grpc_frame_fuzz.c -- gRPC framing and field texts: however the bytes are cut, the same messages
 * come out; what is encoded decodes to itself. */
#include "base/alloc.h"
#include "engine/net/grpc_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MESSAGE_BYTES_MAX (64u << 10)

struct tally {
    uint64_t hash;
    size_t messages;
    bool refused; /* a length over the limit: nothing may follow */
};

static void mix(struct tally *t, const uint8_t *p, size_t n, uint8_t flag)
{
    t->hash = (t->hash ^ flag ^ n << 8) * 1099511628211u;
    for (size_t i = 0; i < n; i++)
        t->hash = (t->hash ^ p[i]) * 1099511628211u;
    t->messages++;
}

static struct tally deframe(const uint8_t *data, size_t size, size_t step, bool in_place)
{
    struct tally t = {.hash = 14695981039346656037u};
    struct grpc_deframer d;
    uint8_t *msg = xmem_alloc(MESSAGE_BYTES_MAX);
    uint8_t flag = 0;

    grpc_deframer_init(&d);
    for (size_t at = 0; at < size && !t.refused; at += step) {
        struct bytes in = bytes_of(data + at, MIN(step, size - at));
        enum grpc_deframed rc;

        while (!t.refused && (rc = grpc_deframe(&d, &in)) != GRPC_DEFRAMED_MORE) {
            struct bytes m;

            if (rc == GRPC_DEFRAMED_MESSAGE) {
                ASSERT(d.have == d.length);
                mix(&t, d.msg, d.length, flag);
                grpc_deframer_next(&d);
                continue;
            }
            flag = grpc_deframer_flag(&d);
            d.msg = msg;
            if (d.length > MESSAGE_BYTES_MAX)
                t.refused = true;
            else if (in_place && grpc_deframe_in_place(&d, &in, &m))
                mix(&t, m.p, m.n, flag);
        }
        ASSERT(t.refused || in.n == 0);
    }
    mem_free(msg);
    return t;
}

static void same(struct tally a, struct tally b)
{
    ASSERT(a.hash == b.hash);
    ASSERT(a.messages == b.messages);
    ASSERT(a.refused == b.refused);
}

static void texts(const uint8_t *data, size_t size)
{
    char *enc = xmem_alloc(3 * size + 1), *dec = xmem_alloc(3 * size + 1);
    char why[GRPC_TIMEOUT_WHY_BYTES], text[GRPC_TIMEOUT_TEXT_BYTES];
    struct bytes in = bytes_of(data, size);
    size_t n = grpc_percent_encode(in, enc);
    int64_t ns = 0, back = 0;

    ASSERT(n <= 3 * size);
    ASSERT(grpc_percent_decode(bytes_of(enc, n), dec) == size);
    ASSERT(size == 0 || memcmp(dec, data, size) == 0);
    ASSERT(grpc_percent_decode(in, dec) <= size);
    (void) grpc_content_type(in);
    if (grpc_timeout_parse(in, &ns, why)) {
        ASSERT(ns >= 0);
        grpc_timeout_format(ns, text);
        ASSERT(grpc_timeout_parse(bytes_str(text), &back, why));
        ASSERT(back >= ns);
    }
    mem_free(enc);
    mem_free(dec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tally whole = deframe(data, size, MAX(size, (size_t) 1), false);

    same(whole, deframe(data, size, MAX(size, (size_t) 1), true));
    same(whole, deframe(data, size, 1, false));
    same(whole, deframe(data, size, 3, true));
    same(whole, deframe(data, size, 1 + size % 17, true));
    texts(data, size);
    return 0;
}
