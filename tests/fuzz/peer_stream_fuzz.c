/* The streams between members: any bytes, in any two portions.  What is read must be the same
 * however the stream was cut, and must come back unchanged when it is written and read again. */
#include "edge/peer/codec.h"

#include "base/alloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define TAKEN_MAX 4096

struct taken {
    struct node_message *v[TAKEN_MAX];
    size_t n;
};

static void on_message(void *arg, struct node_message *x)
{
    struct taken *t = arg;

    if (t->n == TAKEN_MAX)
        peer_message_free(x);
    else
        t->v[t->n++] = x;
}

static void taken_free(struct taken *t)
{
    while (t->n > 0)
        peer_message_free(t->v[--t->n]);
}

static int run(enum peer_stream kind, struct bytes in, size_t cut, struct taken *t)
{
    struct peer_decoder d;
    struct err e = ERR_INIT;
    int rc;

    t->n = 0;
    peer_decoder_init(&d, kind, 2, 1);
    d.deliver = on_message;
    d.arg = t;
    rc = peer_decode(&d, bytes_of(in.p, cut), &e);
    if (rc == 0)
        rc = peer_decode(&d, bytes_of(in.p + cut, in.n - cut), &e);
    ASSERT((rc == 0) == (e.msg[0] == '\0'));
    peer_decoder_done(&d);
    return rc;
}

static bool same(const struct raft_message *a, const struct raft_message *b)
{
    size_t n = raft_message_size(a);
    uint8_t *x, *y;
    bool ok;

    if (n != raft_message_size(b))
        return false;
    x = xmem_alloc(n + 1);
    y = xmem_alloc(n + 1);
    ok = raft_message_put(a, x) == x + n && raft_message_put(b, y) == y + n && memcmp(x, y, n) == 0;
    mem_free(x);
    mem_free(y);
    return ok;
}

static void write_and_read(enum peer_stream kind, const struct taken *t)
{
    struct peer_stream_state st = {0};
    struct peer_decoder d;
    struct taken again = {.n = 0};
    struct err e = ERR_INIT;

    peer_decoder_init(&d, kind, 2, 1);
    d.deliver = on_message;
    d.arg = &again;
    for (size_t i = 0; i < t->n; i++) {
        struct raft_message m = t->v[i]->m;
        struct payload *b;

        if (kind == PEER_STREAM_MSGAPP) {
            m.from = 2; /* a short item says neither, */
            m.to = 1;
            m.snapshot = NULL; /* nor what an append never has */
            m.vote = m.reject_hint = 0;
            m.reject = false;
            m.context = BYTES_EMPTY;
        }
        b = peer_encode(kind, &st, &m);
        ASSERT(b != NULL);
        ASSERT(peer_decode(&d, bytes_of(b->data, b->bytes), &e) == 0);
        payload_unref(b);
        ASSERT(again.n == 1 && same(&m, &again.v[0]->m));
        taken_free(&again);
    }
    peer_decoder_done(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static struct taken whole, parts;
    enum peer_stream kind;
    int rc;

    if (n < 2)
        return 0;
    kind = p[0] % 2 == 0 ? PEER_STREAM_MESSAGE : PEER_STREAM_MSGAPP;
    rc = run(kind, bytes_of(p + 2, n - 2), 0, &whole);
    ASSERT(run(kind, bytes_of(p + 2, n - 2), p[1] % (n - 1), &parts) == rc);
    ASSERT(whole.n == parts.n);
    for (size_t i = 0; i < whole.n; i++)
        ASSERT(same(&whole.v[i]->m, &parts.v[i]->m));
    if (rc == 0)
        write_and_read(kind, &whole);
    taken_free(&whole);
    taken_free(&parts);
    return 0;
}
