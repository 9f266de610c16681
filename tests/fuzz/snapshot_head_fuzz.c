/* The head of a POST /raft/snapshot: any bytes, in two portions.  What is found must not depend on
 * where they were cut, takes no more memory than has come, and a message that is in it comes back
 * unchanged when it is written and read again. */
#include "edge/peer/snapshot_head.h"

#include "base/alloc.h"
#include "edge/peer/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

struct outcome {
    int rc;
    bool done;
    size_t rest; /* bytes behind the head */
    struct payload *again;
};

static struct payload *read_message(const struct snapshot_head *h, int *ret_rc)
{
    struct node_message *m;
    struct payload *again;
    struct err e = ERR_INIT;

    *ret_rc = snapshot_head_message(h, &m, &e);
    if (*ret_rc != 0)
        return NULL;
    again = snapshot_head_encode(&m->m);
    peer_message_free(m);
    return again;
}

static struct outcome run(struct bytes in, size_t cut)
{
    struct bytes parts[] = {bytes_of(in.p, cut), bytes_of(in.p + cut, in.n - cut)};
    struct outcome o = {0};
    struct snapshot_head h;

    snapshot_head_init(&h);
    for (int i = 0; i < 2 && o.rc == 0; i++) {
        struct err e = ERR_INIT;

        while (o.rc == 0 && !h.done && parts[i].n > 0)
            o.rc = snapshot_head_take(&h, &parts[i], &e);
        ASSERT((o.rc == 0) == (e.msg[0] == '\0'));
        ASSERT(h.message.len <= in.n);
        o.rest += parts[i].n;
    }
    o.done = o.rc == 0 && h.done;
    if (o.rc == 0 && !h.done)
        ASSERT(strstr(snapshot_head_cut(&h), "EOF") != NULL);
    if (o.done)
        o.again = read_message(&h, &o.rc);
    snapshot_head_done(&h);
    return o;
}

static bool same(const struct payload *a, const struct payload *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct outcome whole, cut;
    struct bytes in;

    if (n < 2)
        return 0;
    in = bytes_of(p + 2, n - 2);
    whole = run(in, in.n);
    cut = run(in, (size_t) (p[0] | p[1] << 8) % (in.n + 1));
    ASSERT(whole.rc == cut.rc);
    ASSERT(whole.done == cut.done);
    ASSERT(whole.rc != 0 || whole.rest == cut.rest);
    ASSERT(same(whole.again, cut.again));
    if (whole.again != NULL) {
        struct bytes again = bytes_of(whole.again->data, whole.again->bytes);
        struct outcome twice = run(again, again.n / 2);

        ASSERT(twice.rc == 0);
        ASSERT(twice.rest == 0);
        ASSERT(same(whole.again, twice.again));
        payload_unref(twice.again);
    }
    payload_unref(whole.again);
    payload_unref(cut.again);
    return 0;
}
