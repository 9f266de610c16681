/* raftpb_int.h -- fields of raft's messages as a decoder wants them.  Private to raftpb*.c.
 *
 * A take_* function that dislikes a field marks the reader bad; pb_next then ends the loop, so that
 * each decoder tests once, behind its loop, with take_done.
 */
#ifndef KETCH_WIRE_RAFTPB_INT_H
#define KETCH_WIRE_RAFTPB_INT_H

#include "wire/pb.h"
#include "wire/raftpb.h"

static inline void take_u64(struct pb_reader *r, const struct pb_field *f, uint64_t *ret)
{
    if (f->type == PB_VARINT)
        *ret = f->value;
    else
        r->bad = true;
}

static inline void take_bool(struct pb_reader *r, const struct pb_field *f, bool *ret)
{
    uint64_t v = 0;

    take_u64(r, f, &v);
    *ret = v != 0;
}

/* An enum whose values are 0 to max. */
static inline unsigned take_enum(struct pb_reader *r, const struct pb_field *f, unsigned max)
{
    uint64_t v = 0;

    take_u64(r, f, &v);
    if (v > max)
        r->bad = true;
    return r->bad ? 0 : (unsigned) v;
}

static inline void take_bytes(struct pb_reader *r, const struct pb_field *f, struct bytes *ret)
{
    if (f->type == PB_LEN)
        *ret = f->bytes;
    else
        r->bad = true;
}

static inline int take_done(const struct pb_reader *r, const char *what, struct err *e)
{
    return r->bad ? err_set(e, ERR_CORRUPT, "malformed %s", what) : 0;
}

/* How often a field occurs, before anything is allocated for it. */
static inline size_t take_count(struct bytes in, uint32_t number)
{
    struct pb_reader r = pb_reader_of(in);
    struct pb_field f;
    size_t n = 0;

    while (pb_next(&r, &f))
        n += f.number == number;
    return n;
}

/* After the arena refused n bytes: past its maximum, or the machine has none. */
static inline int take_no_memory(const struct arena *a, size_t n, const char *what, struct err *e)
{
    if (n > a->bytes_max || a->used_bytes > a->bytes_max - n)
        return err_set(e, ERR_LIMIT, "%s needs more than %zu bytes of memory", what, a->bytes_max);
    return err_set(e, ERR_NOMEM, "%s: out of memory", what);
}

#endif
