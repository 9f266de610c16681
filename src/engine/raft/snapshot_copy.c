#include "engine/raft/snapshot_copy.h"

#include "base/alloc.h"

static size_t ids_bytes(const struct raft_ids *ids)
{
    return ids->n * sizeof ids->v[0];
}

static uint8_t *take_ids(struct raft_ids *ids, uint8_t *p)
{
    size_t n = ids_bytes(ids);

    if (n > 0)
        memcpy(p, ids->v, n);
    ids->v = (void *) p;
    return p + n;
}

struct raft_snapshot *raft__snapshot_copy(const struct raft_snapshot *s)
{
    const struct raft_conf_state *c = &s->meta.conf_state;
    size_t ids = ids_bytes(&c->voters) + ids_bytes(&c->learners) + ids_bytes(&c->voters_outgoing) +
                 ids_bytes(&c->learners_next);
    struct raft_snapshot *copy = xmem_alloc(sizeof *copy + ids + s->data.n);
    struct raft_conf_state *to = &copy->meta.conf_state;
    uint8_t *p = (uint8_t *) (copy + 1);

    _Static_assert(sizeof(struct raft_snapshot) % sizeof(raft_id) == 0,
                   "ids behind it are aligned");
    *copy = *s;
    p = take_ids(&to->voters, p);
    p = take_ids(&to->learners, p);
    p = take_ids(&to->voters_outgoing, p);
    p = take_ids(&to->learners_next, p);
    if (s->data.n > 0)
        memcpy(p, s->data.p, s->data.n);
    copy->data.p = p;
    ASSERT(p == (uint8_t *) (copy + 1) + ids);
    return copy;
}
