#include "engine/raft/quorum.h"

#include "base/sorted.h"

/* The place of `id`, or where it would have to be inserted. */
static size_t place(const struct raft_id_set *s, raft_id id)
{
    ASSERT(s->n <= RAFT_MEMBERS_MAX);
    return sorted_u64_place(s->v, s->n, id);
}

bool raft__ids_has(const struct raft_id_set *s, raft_id id)
{
    size_t i = place(s, id);

    return i < s->n && s->v[i] == id;
}

bool raft__ids_add(struct raft_id_set *s, raft_id id)
{
    size_t i = place(s, id);

    ASSERT(id != 0);
    if (i < s->n && s->v[i] == id)
        return true;
    if (s->n == RAFT_MEMBERS_MAX)
        return false;
    memmove(&s->v[i + 1], &s->v[i], (s->n - i) * sizeof s->v[0]);
    s->v[i] = id;
    s->n++;
    return true;
}

void raft__ids_del(struct raft_id_set *s, raft_id id)
{
    size_t i = place(s, id);

    if (i == s->n || s->v[i] != id)
        return;
    s->n--;
    memmove(&s->v[i], &s->v[i + 1], (s->n - i) * sizeof s->v[0]);
}

size_t raft__ids_difference(const struct raft_id_set *a, const struct raft_id_set *b)
{
    size_t n = 0;

    for (size_t i = 0; i < a->n; i++)
        n += !raft__ids_has(b, a->v[i]);
    for (size_t i = 0; i < b->n; i++)
        n += !raft__ids_has(a, b->v[i]);
    return n;
}

size_t raft__ids_union(const struct raft_id_set *a, const struct raft_id_set *b, raft_id *ret)
{
    size_t n = 0, i = 0, j = 0;

    while (i < a->n || j < b->n) {
        if (j == b->n || (i < a->n && a->v[i] < b->v[j])) {
            ret[n++] = a->v[i++];
            continue;
        }
        if (i < a->n && a->v[i] == b->v[j])
            i++;
        ret[n++] = b->v[j++];
    }
    ASSERT(n <= a->n + b->n);
    return n;
}

raft_index raft__majority_committed(const struct raft_id_set *s, raft__acked_fn *acked,
                                    const void *arg)
{
    raft_index sorted[RAFT_MEMBERS_MAX];

    if (s->n == 0)
        return RAFT_INDEX_INFINITE;
    ASSERT(s->n <= RAFT_MEMBERS_MAX);
    /* Insertion sort: configurations are small, and nearly in order when all keep up. */
    for (size_t i = 0; i < s->n; i++) {
        raft_index x = acked(arg, s->v[i]);
        size_t j = i;

        for (; j > 0 && sorted[j - 1] > x; j--)
            sorted[j] = sorted[j - 1];
        sorted[j] = x;
    }
    /* n/2+1 members have at least the value at this place. */
    return sorted[s->n - (s->n / 2 + 1)];
}

raft_index raft__joint_committed(const struct raft_id_set *incoming,
                                 const struct raft_id_set *outgoing, raft__acked_fn *acked,
                                 const void *arg)
{
    raft_index a = raft__majority_committed(incoming, acked, arg);
    raft_index b = raft__majority_committed(outgoing, acked, arg);

    return MIN(a, b);
}

enum raft__vote_result raft__majority_vote(const struct raft_id_set *s, raft__voted_fn *voted,
                                           const void *arg)
{
    size_t yes = 0, missing = 0, majority = s->n / 2 + 1;

    ASSERT(s->n <= RAFT_MEMBERS_MAX);
    if (s->n == 0)
        return RAFT_VOTE_WON;
    for (size_t i = 0; i < s->n; i++) {
        enum raft__vote v = voted(arg, s->v[i]);

        yes += v == RAFT_VOTE_YES;
        missing += v == RAFT_VOTE_MISSING;
    }
    ASSERT(yes + missing <= s->n);
    if (yes >= majority)
        return RAFT_VOTE_WON;
    return yes + missing >= majority ? RAFT_VOTE_PENDING : RAFT_VOTE_LOST;
}

enum raft__vote_result raft__joint_vote(const struct raft_id_set *incoming,
                                        const struct raft_id_set *outgoing, raft__voted_fn *voted,
                                        const void *arg)
{
    enum raft__vote_result a = raft__majority_vote(incoming, voted, arg);
    enum raft__vote_result b = raft__majority_vote(outgoing, voted, arg);

    if (a == b)
        return a;
    return a == RAFT_VOTE_LOST || b == RAFT_VOTE_LOST ? RAFT_VOTE_LOST : RAFT_VOTE_PENDING;
}
