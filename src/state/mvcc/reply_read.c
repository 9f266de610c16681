/* reply_read.c -- the bytes of a reply, in pieces of the caller's choosing. */
#include "state/mvcc/reply_int.h"

/* Copies from `part`, which begins at `at` within the current piece. */
static size_t copy_part(struct mvcc_reply *r, struct bytes part, size_t at, uint8_t *p, size_t n)
{
    size_t from, take;

    if (r->offset < at || r->offset >= at + part.n)
        return 0;
    from = r->offset - at;
    take = MIN(n, part.n - from);
    ASSERT(from + take <= part.n);
    memcpy(p, part.p + from, take);
    r->offset += take;
    return take;
}

static void next_segment(struct mvcc_reply *r)
{
    ASSERT(!r->have_kv);
    r->at = r->at->next;
    r->offset = 0;
}

static size_t read_literal(struct mvcc_reply *r, uint8_t *p, size_t n)
{
    size_t take = copy_part(r, r->at->bytes, 0, p, n);

    if (r->offset == r->at->bytes.n)
        next_segment(r);
    return take;
}

static bool next_kv(struct mvcc_reply *r)
{
    r->have_kv = mvcc_range_next(r->at->range, &r->kv);
    r->offset = 0;
    ASSERT(!r->have_kv || r->kv.n > 0);
    if (r->have_kv)
        r->head_n = (size_t) (pb_put_head(r->head, RANGE_KVS, r->kv.n) - r->head);
    return r->have_kv;
}

static size_t read_range(struct mvcc_reply *r, uint8_t *p, size_t n)
{
    size_t done = 0;

    while (done < n) {
        if (!r->have_kv && !next_kv(r)) {
            next_segment(r);
            break;
        }
        done += copy_part(r, bytes_of(r->head, r->head_n), 0, p + done, n - done);
        if (r->offset >= r->head_n)
            done += copy_part(r, r->kv, r->head_n, p + done, n - done);
        if (r->offset == r->head_n + r->kv.n)
            r->have_kv = false;
    }
    return done;
}

size_t mvcc_reply_read(struct mvcc_reply *r, uint8_t *p, size_t n)
{
    size_t done = 0;

    while (done < n && r->at != NULL) {
        if (r->at->range != NULL)
            done += read_range(r, p + done, n - done);
        else
            done += read_literal(r, p + done, n - done);
    }
    return done;
}
