/* call_gzip.c -- calls whose client says "grpc-encoding: gzip": its messages may be compressed
 * (call_inflate.c), and the answers are, but for empty ones and those that are too long to be made
 * before their first byte leaves.
 *
 * A short message is compressed at once.  A longer one waits at its call and is compressed a step
 * at a time, in rounds of output of its connection (turn.h); only then it goes to the call's body.
 * A connection compresses one message at a time. */
#define _GNU_SOURCE
#include "base/alloc.h"
#include "engine/net/gzip.h"
#include "engine/net/h2_server.h"
#include "engine/net/kept.h"

#define FILL_BYTES 16384 /* that much a pull makes at a time */

/* Deflated bytes that are worth nothing are a little longer than what went in. */
static size_t deflated_max(uint64_t n)
{
    return (size_t) n + (size_t) (n / 8) + 65536;
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

/* ---- in steps ---- */

/* A message that waits to be compressed, or is being. */
struct deflation {
    struct deflation *next;
    uint64_t bytes;
    uint64_t at;         /* so many are compressed */
    struct payload *raw; /* NULL: the pull makes them */
    uint64_t own;        /* of it, for this call: as body.own_bytes */
    struct net_pull pull;
    bool pulls;                 /* the pull is not done yet */
    struct gzip_writer *writer; /* NULL: not begun */
    struct buf out;
};

static _Atomic int under_way; /* those that have a writer */

static void deflation_free(struct deflation *d)
{
    if (d->writer != NULL) {
        gzip_end(d->writer);
        atomic_fetch_sub_explicit(&under_way, 1, memory_order_relaxed);
    }
    buf_done(&d->out);
    payload_unref(d->raw);
    if (d->pulls && d->pull.done != NULL)
        d->pull.done(d->pull.arg);
    mem_free(d);
}

static struct deflation *deflation_new(uint64_t n)
{
    struct deflation *d = mem_calloc(1, sizeof *d);

    if (d != NULL) {
        d->bytes = n;
        buf_init(&d->out, deflated_max(n));
    }
    return d;
}

static size_t raw_bytes(const struct deflation *d)
{
    return d->raw == NULL ? 0 : d->raw->bytes;
}

static void deflation_push(struct call *c, struct deflation *d)
{
    if (c->deflations == NULL) {
        c->deflations = d;
        list_push(&c->h2->deflating, &c->deflate_link);
    } else {
        c->deflations_last->next = d;
    }
    c->deflations_last = d;
    c->deflating_bytes += d->bytes;
    c->out.own_bytes += d->own;
    *c->queued_bytes += raw_bytes(d);
}

static void deflation_pop(struct call *c)
{
    struct deflation *d = c->deflations;

    ASSERT(c->deflating_bytes >= d->bytes);
    c->deflations = d->next;
    c->deflating_bytes -= d->bytes;
    c->out.own_bytes -= d->own;
    *c->queued_bytes -= raw_bytes(d);
    if (c->deflations == NULL)
        list_remove(&c->deflate_link);
    deflation_free(d);
}

void call__deflate_drop(struct call *c)
{
    while (c->deflations != NULL)
        deflation_pop(c);
    ASSERT(c->deflating_bytes == 0);
}

/* The pieces in one block: the one that they are, or a copy. */
static struct payload *joined(const struct net_piece *v, size_t vn, uint64_t n)
{
    struct payload *p;
    uint8_t *to;

    if (vn == 1 && v[0].kind == NET_PIECE_COUNTED && v[0].owner->bytes == n)
        return payload_ref(v[0].owner);
    p = payload_new((size_t) n);
    if (p == NULL)
        return NULL;
    to = p->data;
    for (size_t i = 0; i < vn; i++) {
        if (v[i].bytes.n > 0)
            memcpy(to, v[i].bytes.p, v[i].bytes.n);
        to += v[i].bytes.n;
    }
    return p;
}

bool call__deflate_later(struct call *c, const struct net_piece *v, size_t vn, uint64_t n)
{
    struct deflation *d = deflation_new(n);

    if (d == NULL)
        return false;
    d->raw = joined(v, vn, n);
    if (d->raw == NULL) {
        deflation_free(d);
        return false;
    }
    /* Our reference is among those that there are. */
    d->own = n / (MAX(atomic_load_explicit(&d->raw->refs, memory_order_relaxed), 2u) - 1);
    deflation_push(c, d);
    return true;
}

bool call__deflate_pull_later(struct call *c, uint64_t n, const struct net_pull *pull)
{
    struct deflation *d = deflation_new(n);

    if (d == NULL)
        return false;
    d->pull = *pull;
    d->pulls = true;
    deflation_push(c, d);
    return true;
}

/* Whether it is compressed at all; if so it has a writer now.  False also without memory for that.
 */
static bool begin(struct deflation *d)
{
    if (d->writer != NULL)
        return true;
    if (d->bytes == 0 || (d->pulls && d->bytes > CALL_DEFLATED_BYTES_MAX))
        return false;
    if (atomic_fetch_add_explicit(&under_way, 1, memory_order_relaxed) < CALL_DEFLATIONS_MAX)
        d->writer = gzip_begin(&d->out);
    if (d->writer == NULL)
        atomic_fetch_sub_explicit(&under_way, 1, memory_order_relaxed);
    return d->writer != NULL;
}

static bool add_pulled(struct deflation *d, size_t n)
{
    uint8_t part[FILL_BYTES];
    bool ok = true;

    for (size_t at = 0; at < n && ok; at += sizeof part) {
        size_t k = MIN(n - at, sizeof part);

        ok = d->pull.fill(d->pull.arg, part, k) && gzip_add(d->writer, bytes_of(part, k));
    }
    return ok;
}

static bool add_some(struct deflation *d)
{
    size_t n = (size_t) MIN(d->bytes - d->at, (uint64_t) CALL_DEFLATE_PIECE_BYTES);
    bool ok = d->raw == NULL ? add_pulled(d, n)
                             : gzip_add(d->writer, bytes_of(d->raw->data + d->at, n));

    d->at += n;
    return ok;
}

/* As much as a slice has time for. */
static bool step(struct deflation *d, struct conn *conn)
{
    turn__slice_begin(conn);
    do {
        if (!add_some(d))
            return false;
    } while (d->at < d->bytes && !turn__slice_over(conn->loop));
    return d->at < d->bytes || gzip_finish(d->writer);
}

/* Puts it behind what the body has: as it is, or what was made of it. */
static bool add_plain(struct call *c, struct deflation *d)
{
    uint8_t head[GRPC_HEAD_BYTES];
    struct net_piece piece;

    grpc_head_put(head, GRPC_PLAIN, (uint32_t) d->bytes);
    if (d->pulls) {
        d->pulls = !body_add_pull(&c->out, NULL, bytes_of(head, sizeof head), d->bytes, &d->pull);
        return !d->pulls;
    }
    piece = net_piece_counted(d->raw);
    return body_add(&c->out, NULL, bytes_of(head, sizeof head), &piece, 1);
}

static bool add_deflated(struct call *c, struct deflation *d)
{
    struct bytes made = buf_bytes(&d->out);
    struct net_piece piece = net_piece_copied(made.p, made.n);
    uint8_t head[GRPC_HEAD_BYTES];

    grpc_head_put(head, GRPC_COMPRESSED, (uint32_t) made.n);
    return body_add(&c->out, NULL, bytes_of(head, sizeof head), &piece, 1);
}

void call__deflate_step(struct call *c)
{
    struct deflation *d = c->deflations;
    uint64_t before = c->out.held_bytes;
    bool plain = !begin(d), ok;

    if (plain)
        ok = add_plain(c, d);
    else
        ok = step(d, &c->h2->sc->conn) && (d->at < d->bytes || add_deflated(c, d));
    *c->queued_bytes += c->out.held_bytes - before;
    if (!ok) {
        call__deflate_drop(c);
        h2_server__submit_reset(c, NGHTTP2_INTERNAL_ERROR);
    } else if (plain || d->at == d->bytes) {
        deflation_pop(c);
        h2_server__resume(c);
    }
    kept__update(c);
}
