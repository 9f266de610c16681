#include "base/endian.h"
#include "engine/net/grpc_int.h"

static bool take_head(struct grpc_deframer *d, struct bytes *in)
{
    size_t k = MIN((size_t) (GRPC_HEAD_BYTES - d->head_n), in->n);

    if (k > 0)
        memcpy(d->head + d->head_n, in->p, k);
    d->head_n = (uint8_t) (d->head_n + k);
    in->p += k;
    in->n -= k;
    return d->head_n == GRPC_HEAD_BYTES;
}

enum grpc_deframed grpc_deframe(struct grpc_deframer *d, struct bytes *in)
{
    size_t k;

    if (!d->in_message) {
        if (!take_head(d, in))
            return GRPC_DEFRAMED_MORE;
        d->in_message = true;
        d->length = be32_get(d->head + 1);
        d->have = 0;
        d->msg = NULL;
        return GRPC_DEFRAMED_HEAD;
    }
    ASSERT(d->msg != NULL);
    ASSERT(d->have <= d->length);
    k = MIN((size_t) (d->length - d->have), in->n);
    if (k > 0)
        memcpy(d->msg + d->have, in->p, k);
    d->have += (uint32_t) k;
    in->p += k;
    in->n -= k;
    return d->have == d->length ? GRPC_DEFRAMED_MESSAGE : GRPC_DEFRAMED_MORE;
}

bool grpc_deframe_in_place(struct grpc_deframer *d, struct bytes *in, struct bytes *ret)
{
    ASSERT(d->in_message);
    ASSERT(d->have == 0);
    if (in->n < d->length)
        return false;
    *ret = bytes_of(in->p, d->length);
    in->p += d->length;
    in->n -= d->length;
    grpc_deframer_next(d);
    return true;
}

void grpc_head_put(uint8_t out[GRPC_HEAD_BYTES], uint8_t flag, uint32_t length)
{
    out[0] = flag;
    be32_put(out + 1, length);
}
