#include "engine/net/gzip.h"

#include <zlib.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "engine/net/grpc_int.h"

#define HEAD_BYTES 10
#define TRAILER_BYTES 8
#define NAME_BYTES_MAX 512 /* Go refuses longer ones */
#define STEP_BYTES 16384
#define DEFLATE_RATIO_MAX 1032 /* zlib.net/zlib_tech.html */

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

struct gzip_reader {
    z_stream z;
    bool opened;     /* z is to be ended */
    bool in_member;  /* its head was taken, its trailer was not */
    struct bytes in; /* what is left */
    size_t max;
    struct buf *out;
    size_t begin; /* of the member, in out */
    uLong crc;    /* of what it has made */
};

static void reader_init(struct gzip_reader *r, struct bytes in, size_t max, struct buf *out)
{
    ASSERT(out->len <= max);
    *r = (struct gzip_reader){
        .z = {.zalloc = z_alloc, .zfree = z_free}, .in = in, .max = max, .out = out};
}

static void reader_done(struct gzip_reader *r)
{
    if (r->opened)
        inflateEnd(&r->z);
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

static int member_begin(struct gzip_reader *r, char text[GZIP_TEXT_BYTES])
{
    const char *why = take_head(&r->in);

    if (why != NULL && !r->opened)
        return refuse(text, GRPC_STATUS_INTERNAL, "failed to decompress the message", why);
    if (why != NULL)
        return unreadable(text, why);
    if ((r->opened ? inflateReset(&r->z) : inflateInit2(&r->z, -MAX_WBITS)) != Z_OK)
        return no_memory(text);
    r->opened = r->in_member = true;
    r->begin = r->out->len;
    r->crc = crc32(0, NULL, 0);
    return GRPC_STATUS_OK;
}

static int member_end(struct gzip_reader *r, char text[GZIP_TEXT_BYTES])
{
    const uint8_t *p = r->in.p;

    r->in_member = false;
    if (!take(&r->in, TRAILER_BYTES))
        return unreadable(text, unexpected_eof);
    if (le32_get(p) != r->crc || le32_get(p + 4) != (uint32_t) (r->out->len - r->begin))
        return unreadable(text, "gzip: invalid checksum");
    return GRPC_STATUS_OK;
}

/* Z_OK: as far as that went. */
static int inflate_some(struct gzip_reader *r)
{
    size_t some = MIN(r->in.n, (size_t) GZIP_STEP_BYTES);
    size_t room = MIN((size_t) GZIP_STEP_BYTES, r->max + 1 - r->out->len);
    uint8_t *to = buf_reserve(r->out, room);
    int rc;

    if (to == NULL)
        return Z_MEM_ERROR;
    r->z.next_in = (Bytef *) (uintptr_t) r->in.p;
    r->z.avail_in = (uInt) some;
    r->z.next_out = to;
    r->z.avail_out = (uInt) room;
    rc = inflate(&r->z, Z_NO_FLUSH);
    r->crc = crc32(r->crc, to, (uInt) room - r->z.avail_out);
    buf_commit(r->out, room - r->z.avail_out);
    r->in = bytes_of(r->in.p + some - r->z.avail_in, r->in.n - some + r->z.avail_in);
    return rc;
}

static int member_go_on(struct gzip_reader *r, char text[GZIP_TEXT_BYTES])
{
    int rc = inflate_some(r);
    char corrupt[48];

    if (r->out->len > r->max) {
        snprintf(text, GZIP_TEXT_BYTES,
                 "grpc: received message after decompression larger than max %zu", r->max);
        return GRPC_STATUS_RESOURCE_EXHAUSTED;
    }
    switch (rc) {
    case Z_OK:
        return GRPC_STATUS_OK;
    case Z_STREAM_END:
        return member_end(r, text);
    case Z_MEM_ERROR:
        return no_memory(text);
    case Z_BUF_ERROR: /* nothing went in, nothing came out */
        return unreadable(text, unexpected_eof);
    default:
        snprintf(corrupt, sizeof corrupt, "flate: corrupt input before offset %lu", r->z.total_in);
        return unreadable(text, corrupt);
    }
}

bool gzip_read_step(struct gzip_reader *r, int *status, char text[GZIP_TEXT_BYTES])
{
    *status = r->in_member ? member_go_on(r, text) : member_begin(r, text);
    return *status != GRPC_STATUS_OK || (!r->in_member && r->in.n == 0);
}

struct gzip_reader *gzip_read_begin(struct bytes in, size_t max, struct buf *out)
{
    struct gzip_reader *r = mem_alloc(sizeof *r);

    if (r != NULL)
        reader_init(r, in, max, out);
    return r;
}

void gzip_read_end(struct gzip_reader *r)
{
    reader_done(r);
    mem_free(r);
}

int gzip_inflate(struct bytes in, size_t max, struct buf *out, char text[GZIP_TEXT_BYTES])
{
    struct gzip_reader r;
    int status;

    reader_init(&r, in, max, out);
    while (!gzip_read_step(&r, &status, text))
        ;
    reader_done(&r);
    return status;
}

/* The last four bytes are the length of what the last member stands for. */
size_t gzip_promised(struct bytes in, size_t max)
{
    uint32_t n;

    if (in.n < HEAD_BYTES + TRAILER_BYTES)
        return 0;
    n = le32_get(in.p + in.n - 4);
    return n / DEFLATE_RATIO_MAX > in.n ? 0 : MIN((size_t) n, max);
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
