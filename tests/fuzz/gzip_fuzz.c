/* A compressed message from a client: anything may be in it; what comes out stays below its limit,
 * and what we pack ourselves comes back. */
#include "engine/net/gzip.h"

#define MAX_BYTES 100000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void round_trip(struct bytes in)
{
    char text[GZIP_TEXT_BYTES];
    struct gzip_writer *w;
    struct buf z, out;

    buf_init(&z, 2 * MAX_BYTES);
    buf_init(&out, MAX_BYTES + 1);
    w = gzip_begin(&z);
    ASSERT(w != NULL);
    ASSERT(gzip_add(w, in));
    ASSERT(gzip_finish(w));
    gzip_end(w);
    ASSERT(gzip_inflate(buf_bytes(&z), MAX_BYTES, &out, text) == 0);
    ASSERT(bytes_eq(buf_bytes(&out), in));
    buf_done(&z);
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char text[GZIP_TEXT_BYTES] = "";
    struct buf out;
    int status;

    buf_init(&out, MAX_BYTES + 1);
    status = gzip_inflate(bytes_of(data, n), MAX_BYTES, &out, text);
    ASSERT(status != 0 || out.len <= MAX_BYTES);
    ASSERT(status == 0 || text[0] != 0);
    ASSERT(out.len <= MAX_BYTES + 1);
    buf_done(&out);
    if (n <= MAX_BYTES)
        round_trip(bytes_of(data, n));
    return 0;
}
