/* call_gzip.c -- calls whose client says "grpc-encoding: gzip": its messages may be compressed, and
 * the answers are, but for empty ones and those that are too long to be made before their first
 * byte leaves. */
#define _GNU_SOURCE
#include "base/alloc.h"
#include "engine/net/call_int.h"
#include "engine/net/gzip.h"

#define FILL_BYTES 16384 /* that much a pull makes at a time */

/* Deflated bytes that are worth nothing are a little longer than what went in. */
static size_t deflated_max(uint64_t n)
{
    return (size_t) n + (size_t) (n / 8) + 65536;
}

bool call__inflate(struct call *c, struct bytes in, struct buf *out)
{
    size_t max = server__limits(c->sc)->recv_message_bytes_max;
    char text[GZIP_TEXT_BYTES];
    int status;

    ASSERT(c->gzip);
    buf_init(out, max + 1);
    status = gzip_inflate(in, max, out, text);
    if (status == GRPC_STATUS_OK)
        return true;
    buf_done(out);
    call__fail(c, 200, status, text);
    return false;
}

static struct payload *payload_of(struct buf *b)
{
    struct payload *p = payload_new(b->len);

    if (p != NULL && b->len > 0)
        memcpy(p->data, b->p, b->len);
    return p;
}

struct payload *call__deflate(const struct net_piece *v, size_t vn, uint64_t n)
{
    struct payload *ret = NULL;
    struct gzip_writer *w;
    struct buf out;
    bool ok;

    buf_init(&out, deflated_max(n));
    w = gzip_begin(&out);
    ok = w != NULL;
    for (size_t i = 0; i < vn && ok; i++)
        ok = gzip_add(w, v[i].bytes);
    if (ok && gzip_finish(w))
        ret = payload_of(&out);
    if (w != NULL)
        gzip_end(w);
    buf_done(&out);
    return ret;
}

struct payload *call__deflate_pull(uint64_t n, const struct net_pull *pull)
{
    uint8_t *all = mem_alloc(MAX((size_t) n, (size_t) 1));
    struct payload *ret = NULL;
    struct net_piece whole;
    bool ok = all != NULL;

    ASSERT(n <= CALL_DEFLATED_BYTES_MAX);
    for (uint64_t at = 0; at < n && ok; at += FILL_BYTES)
        ok = pull->fill(pull->arg, all + at, (size_t) MIN(n - at, (uint64_t) FILL_BYTES));
    whole = net_piece_copied(all, (size_t) n);
    if (ok)
        ret = call__deflate(&whole, 1, n);
    mem_free(all);
    return ret;
}
