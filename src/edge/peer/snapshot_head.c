#include "edge/peer/snapshot_head.h"

#include "base/endian.h"
#include "edge/peer/codec.h"
#include "edge/peer/peer_limits.h"

void snapshot_head_init(struct snapshot_head *h)
{
    *h = (struct snapshot_head){0};
    buf_init(&h->message, PEER_SNAPSHOT_HEAD_BYTES_MAX);
}

void snapshot_head_done(struct snapshot_head *h)
{
    buf_done(&h->message);
}

static struct bytes take(struct bytes *part, uint64_t n_max)
{
    size_t n = (size_t) MIN((uint64_t) part->n, n_max);
    struct bytes taken = bytes_of(part->p, n);

    *part = bytes_of(part->p + n, part->n - n);
    return taken;
}

int snapshot_head_take(struct snapshot_head *h, struct bytes *part, struct err *e)
{
    struct bytes x;

    ASSERT(!h->done);
    if (h->length_n < sizeof h->length) {
        x = take(part, sizeof h->length - h->length_n);
        memcpy(h->length + h->length_n, x.p, x.n);
        h->length_n += x.n;
        if (h->length_n < sizeof h->length)
            return 0;
        h->message_bytes = be64_get(h->length);
        if (h->message_bytes > PEER_SNAPSHOT_HEAD_BYTES_MAX)
            return err_set(e, ERR_LIMIT, "rafthttp: error limit exceeded");
    }
    buf_add_bytes(&h->message, take(part, h->message_bytes - h->message.len));
    if (h->message.failed)
        return err_set(e, ERR_NOMEM, "out of memory");
    ASSERT(h->message.len <= h->message_bytes);
    h->done = h->message.len == h->message_bytes;
    return 0;
}

const char *snapshot_head_cut(const struct snapshot_head *h)
{
    ASSERT(!h->done);
    return h->length_n == 0 || (h->length_n == sizeof h->length && h->message.len == 0)
               ? "EOF"
               : "unexpected EOF";
}

int snapshot_head_message(const struct snapshot_head *h, struct node_message **ret, struct err *e)
{
    ASSERT(h->done);
    return peer_message_new(buf_bytes(&h->message), ret, e);
}

struct payload *snapshot_head_encode(const struct raft_message *m)
{
    size_t n = raft_message_size(m);
    struct payload *p = n > PEER_SNAPSHOT_HEAD_BYTES_MAX ? NULL
                                                         : payload_new(SNAPSHOT_LENGTH_BYTES + n);

    if (p == NULL)
        return NULL;
    be64_put(p->data, n);
    raft_message_put(m, p->data + SNAPSHOT_LENGTH_BYTES);
    return p;
}
