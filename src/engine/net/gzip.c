#include "engine/net/gzip.h"

#include <zlib.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "engine/net/grpc_int.h"

#define HEAD_BYTES 10
#define TRAILER_BYTES 8
#define NAME_BYTES_MAX 512 /* Go refuses longer ones */
#define STEP_BYTES 16384

enum { FLAG_HCRC = 2, FLAG_EXTRA = 4, FLAG_NAME = 8, FLAG_COMMENT = 16 };

static void *z_alloc(void *ctx, uInt n, uInt size)
{
    (void) ctx;
    return mem_calloc(n, size);
}

static void z_free(void *ctx, void *p)
{
    (void) ctx;
    mem_free(p);
}

/* ---- the head of a member; errors are texts, NULL is none ---- */

static const char unexpected_eof[] = "unexpected EOF";
static const char bad_header[] = "gzip: invalid header";

static bool take(struct bytes *in, size_t n)
{
    if (in->n < n)
        return false;
    in->p += n;
    in->n -= n;
    return true;
}

static const char *take_text(struct bytes *in)
{
    for (size_t i = 0; i < MIN(in->n, (size_t) NAME_BYTES_MAX); i++)
        if (in->p[i] == 0)
            return take(in, i + 1) ? NULL : unexpected_eof;
    return in->n >= NAME_BYTES_MAX ? bad_header : unexpected_eof;
}

static const char *take_extra(struct bytes *in)
{
    size_t n;

    if (in->n < 2)
        return unexpected_eof;
    n = le16_get(in->p);
    return take(in, 2 + n) ? NULL : unexpected_eof;
}

static const char *take_head(struct bytes *in)
{
    const uint8_t *begin = in->p;
    const char *why = NULL;
    uint8_t flags;
    uLong crc;

    if (in->n < HEAD_BYTES)
        return in->n == 0 ? "EOF" : unexpected_eof;
    if (begin[0] != 0x1f || begin[1] != 0x8b || begin[2] != 8)
        return bad_header;
    flags = begin[3];
    if (!take(in, HEAD_BYTES))
        UNREACHABLE();
    if ((flags & FLAG_EXTRA) != 0)
        why = take_extra(in);
    if (why == NULL && (flags & FLAG_NAME) != 0)
        why = take_text(in);
    if (why == NULL && (flags & FLAG_COMMENT) != 0)
        why = take_text(in);
    if (why != NULL || (flags & FLAG_HCRC) == 0)
        return why;
    crc = crc32(0, begin, (uInt) (in->p - begin));
    if (in->n < 2)
        return unexpected_eof;
    if (le16_get(in->p) != (crc & 0xffff))
        return bad_header;
    return take(in, 2) ? NULL : unexpected_eof;
}

/* ---- reading ---- */

/* Z_OK: as far as the room in `out` went. */
static int inflate_step(z_stream *z, size_t max, struct buf *out)
{
    size_t room = MIN((size_t) STEP_BYTES, max + 1 - out->len);
    uint8_t *to = buf_reserve(out, room);
    int rc;

    if (to == NULL)
        return Z_MEM_ERROR;
    z->next_out = to;
    z->avail_out = (uInt) room;
    rc = inflate(z, Z_NO_FLUSH);
    buf_commit(out, room - z->avail_out);
    return rc;
}

static const char *check_trailer(struct bytes *in, struct bytes made)
{
    const uint8_t *p = in->p;

    if (!take(in, TRAILER_BYTES))
        return unexpected_eof;
    if (le32_get(p) != crc32(0, made.p, (uInt) made.n) || le32_get(p + 4) != (uint32_t) made.n)
        return "gzip: invalid checksum";
    return NULL;
}

static int refuse(char text[GZIP_TEXT_BYTES], int status, const char *what, const char *why)
{
    snprintf(text, GZIP_TEXT_BYTES, "grpc: %s: %s", what, why);
    return status;
}

static int unreadable(char text[GZIP_TEXT_BYTES], const char *why)
{
    return refuse(text, GRPC_STATUS_INTERNAL, "failed to read decompressed data", why);
}

static int no_memory(char text[GZIP_TEXT_BYTES])
{
    snprintf(text, GZIP_TEXT_BYTES, "out of memory");
    return GRPC_STATUS_RESOURCE_EXHAUSTED;
}

/* The member whose head was taken. */
static int inflate_member(z_stream *z, struct bytes *in, size_t max, struct buf *out,
                          char text[GZIP_TEXT_BYTES])
{
    size_t begin = out->len;
    char corrupt[48];
    const char *why;
    int rc = Z_OK;

    z->next_in = (Bytef *) (uintptr_t) in->p;
    z->avail_in = (uInt) in->n;
    while (rc == Z_OK && out->len <= max)
        rc = inflate_step(z, max, out);
    if (out->len > max) {
        snprintf(text, GZIP_TEXT_BYTES,
                 "grpc: received message after decompression larger than max %zu", max);
        return GRPC_STATUS_RESOURCE_EXHAUSTED;
    }
    if (rc == Z_MEM_ERROR)
        return no_memory(text);
    if (rc == Z_BUF_ERROR)
        return unreadable(text, unexpected_eof);
    if (rc != Z_STREAM_END) {
        snprintf(corrupt, sizeof corrupt, "flate: corrupt input before offset %lu", z->total_in);
        return unreadable(text, corrupt);
    }
    *in = bytes_of(z->next_in, z->avail_in);
    why = check_trailer(in, bytes_of(out->p + begin, out->len - begin));
    return why == NULL ? GRPC_STATUS_OK : unreadable(text, why);
}

int gzip_inflate(struct bytes in, size_t max, struct buf *out, char text[GZIP_TEXT_BYTES])
{
    z_stream z = {.zalloc = z_alloc, .zfree = z_free};
    const char *why = take_head(&in);
    int status;

    ASSERT(out->len <= max);
    if (why != NULL)
        return refuse(text, GRPC_STATUS_INTERNAL, "failed to decompress the message", why);
    if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
        return no_memory(text);
    status = inflate_member(&z, &in, max, out, text);
    while (status == GRPC_STATUS_OK && in.n > 0) {
        why = take_head(&in);
        if (why != NULL)
            status = unreadable(text, why);
        else if (inflateReset(&z) != Z_OK)
            status = no_memory(text);
        else
            status = inflate_member(&z, &in, max, out, text);
    }
    inflateEnd(&z);
    return status;
}

/* ---- writing ---- */

struct gzip_writer {
    z_stream z;
    struct buf *out;
};

struct gzip_writer *gzip_begin(struct buf *out)
{
    struct gzip_writer *w = mem_calloc(1, sizeof *w);

    if (w == NULL)
        return NULL;
    w->out = out;
    w->z.zalloc = z_alloc;
    w->z.zfree = z_free;
    if (deflateInit2(&w->z, Z_BEST_SPEED, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) ==
        Z_OK)
        return w;
    mem_free(w);
    return NULL;
}

static bool deflate_all(struct gzip_writer *w, struct bytes in, int flush)
{
    int rc = Z_OK;

    w->z.next_in = (Bytef *) (uintptr_t) in.p;
    w->z.avail_in = (uInt) in.n;
    do {
        uint8_t *to = buf_reserve(w->out, STEP_BYTES);

        if (to == NULL)
            return false;
        w->z.next_out = to;
        w->z.avail_out = STEP_BYTES;
        rc = deflate(&w->z, flush);
        buf_commit(w->out, STEP_BYTES - w->z.avail_out);
    } while (rc == Z_OK && w->z.avail_out == 0);
    return rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR;
}

bool gzip_add(struct gzip_writer *w, struct bytes in)
{
    return in.n == 0 || deflate_all(w, in, Z_NO_FLUSH);
}

bool gzip_finish(struct gzip_writer *w)
{
    return deflate_all(w, BYTES_EMPTY, Z_FINISH);
}

void gzip_end(struct gzip_writer *w)
{
    deflateEnd(&w->z);
    mem_free(w);
}
