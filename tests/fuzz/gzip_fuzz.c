/* gzip_fuzz.c -- messages compressed with gzip.
 *
 * Input: a byte that says what to do, one that chooses the limit, then the bytes.  Arbitrary bytes
 * are refused with words, or zlib's own reader of gzip reads the same from them; no more is ever
 * made than the limit and one byte.  What is compressed, in any portions, one member or two,
 * inflates to itself; with a limit one byte lower it is refused. */
#include "base/alloc.h"
#include "engine/net/grpc_int.h"
#include "engine/net/gzip.h"

#include <zlib.h>

#define INPUT_BYTES_MAX 16384
#define LIMIT_BYTES_MAX (256u << 8)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As zlib reads it: members one behind the other, to the end. */
static void same_as_zlib(struct bytes in, struct bytes made)
{
    z_stream z = {0};
    uint8_t *p = xmem_alloc(made.n + 1);
    int rc = Z_STREAM_END;
    size_t n = 0;

    ASSERT(inflateInit2(&z, MAX_WBITS + 16) == Z_OK);
    z.next_in = (Bytef *) (uintptr_t) in.p;
    z.avail_in = (uInt) in.n;
    while (z.avail_in > 0) {
        z.next_out = p + n;
        z.avail_out = (uInt) (made.n + 1 - n);
        rc = inflate(&z, Z_FINISH);
        if (rc == Z_DATA_ERROR && strcmp(z.msg, "unknown header flags set") == 0)
            break; /* Go, and so we, pass over them */
        ASSERT(rc == Z_STREAM_END);
        n = (size_t) (z.next_out - p);
        ASSERT(inflateReset(&z) == Z_OK);
    }
    ASSERT(rc != Z_STREAM_END || bytes_eq(bytes_of(p, n), made));
    inflateEnd(&z);
    mem_free(p);
}

static void arbitrary(struct bytes in, size_t max)
{
    char text[GZIP_TEXT_BYTES] = "";
    struct buf out;
    int status;

    buf_init(&out, LIMIT_BYTES_MAX + 65536);
    status = gzip_inflate(in, max, &out, text);
    ASSERT(out.len <= max + 1);
    ASSERT(status == GRPC_STATUS_OK || status == GRPC_STATUS_INTERNAL ||
           status == GRPC_STATUS_RESOURCE_EXHAUSTED);
    ASSERT((status == GRPC_STATUS_OK) == (text[0] == 0));
    if (status == GRPC_STATUS_OK) {
        ASSERT(out.len <= max);
        same_as_zlib(in, buf_bytes(&out));
    }
    buf_done(&out);
}

static void member(struct bytes in, size_t step, struct buf *out)
{
    struct gzip_writer *w = gzip_begin(out);

    ASSERT(w != NULL);
    for (size_t at = 0; at < in.n; at += step)
        ASSERT(gzip_add(w, bytes_of(in.p + at, MIN(step, in.n - at))));
    ASSERT(gzip_finish(w));
    gzip_end(w);
}

static void there_and_back(struct bytes in, size_t step, size_t first)
{
    char text[GZIP_TEXT_BYTES] = "";
    struct buf packed, out;

    buf_init(&packed, 4 * INPUT_BYTES_MAX + 4096);
    buf_init(&out, 2 * INPUT_BYTES_MAX);
    first = MIN(first, in.n);
    member(bytes_of(in.p, first), step, &packed);
    if (first < in.n)
        member(bytes_of(in.p + first, in.n - first), step, &packed);
    ASSERT(gzip_inflate(buf_bytes(&packed), in.n, &out, text) == GRPC_STATUS_OK);
    ASSERT(bytes_eq(buf_bytes(&out), in));
    same_as_zlib(buf_bytes(&packed), in);
    buf_clear(&out);
    if (in.n > 0)
        ASSERT(gzip_inflate(buf_bytes(&packed), in.n - 1, &out, text) ==
               GRPC_STATUS_RESOURCE_EXHAUSTED);
    ASSERT(out.len <= MAX(in.n, (size_t) 1));
    buf_clear(&out);
    packed.len--; /* cut short, it is refused */
    ASSERT(gzip_inflate(buf_bytes(&packed), in.n, &out, text) == GRPC_STATUS_INTERNAL);
    buf_done(&packed);
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in;

    if (size < 2 || size > INPUT_BYTES_MAX)
        return 0;
    in = bytes_of(data + 2, size - 2);
    if (data[0] % 2 == 0)
        arbitrary(in, (size_t) data[1] << (data[0] / 2 % 9));
    else
        there_and_back(in, 1 + data[0] / 2, (size_t) data[1] * 8);
    return 0;
}
