/* cluster_change_fuzz.c -- arbitrary bytes as what the log holds about membership.
 *
 * Input: one byte of choices, then the bytes.  Choice 0: the context of a ConfChange; 1: a whole
 * ConfChange; 2: a request to the v2 store.  They may be refused, never crash.  A change that was
 * read is written again and then reads as the same. */
#include "state/cluster/cluster.h"

#define INPUT_BYTES_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(const struct cluster_strings *x, const struct cluster_strings *y)
{
    if (x->n != y->n)
        return false;
    for (size_t i = 0; i < x->n; i++) {
        if (strcmp(x->v[i], y->v[i]) != 0)
            return false;
    }
    return true;
}

static void change(const struct raft_conf_change *cc, struct arena *a)
{
    struct raft_conf_change copy = *cc;
    struct cluster_change ch, again;
    struct buf b;

    if (cluster_change_get(cc, a, &ch, NULL) != 0)
        return;
    ASSERT(ch.member.id == cc->node_id);
    buf_init(&b, (size_t) 1 << 20);
    ASSERT(cluster_change_context_put(&ch, &b));
    copy.context = buf_bytes(&b);
    ASSERT(cluster_change_get(&copy, a, &again, NULL) == 0);
    ASSERT(again.promote == ch.promote);
    ASSERT(again.member.is_learner == ch.member.is_learner);
    ASSERT(strcmp(again.member.name, ch.member.name) == 0);
    ASSERT(same(&again.member.peer_urls, &ch.member.peer_urls));
    ASSERT(same(&again.member.client_urls, &ch.member.client_urls));
    for (size_t i = 0; i < ch.member.peer_urls.n; i++)
        cluster_url_valid(ch.member.peer_urls.v[i]);
    buf_done(&b);
}

/* The id that the context claims, so that it is not refused for another one. */
static uint64_t claimed_id(struct bytes context)
{
    static const char key[] = "\"id\":";
    uint64_t id = 0;

    for (size_t i = 0; i + sizeof key - 1 < context.n; i++) {
        if (memcmp(context.p + i, key, sizeof key - 1) != 0)
            continue;
        for (i += sizeof key - 1; i < context.n && context.p[i] >= '0' && context.p[i] <= '9'; i++)
            id = id * 10 + (uint64_t) (context.p[i] - '0');
        break;
    }
    return id;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct raft_conf_change cc = {.type = RAFT_CONF_ADD_NODE};
    struct cluster_v2_request q;
    struct bytes in;
    struct arena a;

    if (size < 1 || size > INPUT_BYTES_MAX)
        return 0;
    in = bytes_of(data + 1, size - 1);
    arena_init(&a, (size_t) 16 << 20);
    if (data[0] % 3 == 0) {
        cc.context = in;
        cc.node_id = claimed_id(in);
        change(&cc, &a);
    } else if (data[0] % 3 == 1) {
        if (raft_conf_change_get(in, &cc, NULL) == 0)
            change(&cc, &a);
    } else {
        cluster_is_v2_request(in);
        if (cluster_v2_request_get(in, &a, &q, NULL) == 0 && q.kind == CLUSTER_V2_VERSION)
            ASSERT(q.version != 0);
    }
    arena_done(&a);
    return 0;
}
