/* quorum.h -- sets of members, and what a majority of them has said.
 *
 * Pure arithmetic.  A joint configuration decides only what both of its halves decide; an empty
 * half decides anything, so a plain configuration is a joint one with an empty outgoing half.
 */
#ifndef KETCH_ENGINE_RAFT_QUORUM_H
#define KETCH_ENGINE_RAFT_QUORUM_H

#include "engine/raft/raft_limits.h"
#include "wire/raftpb.h"

/* Ascending, without duplicates. */
struct raft_id_set {
    size_t n;
    raft_id v[RAFT_MEMBERS_MAX];
};

bool raft__ids_has(const struct raft_id_set *s, raft_id id);
bool raft__ids_add(struct raft_id_set *s, raft_id id); /* false: full; present already is fine */
void raft__ids_del(struct raft_id_set *s, raft_id id); /* absent is fine */
size_t raft__ids_difference(const struct raft_id_set *a,
                            const struct raft_id_set *b); /* of a Δ b */
/* Ids of either, ascending; at most 2 * RAFT_MEMBERS_MAX of them. */
size_t raft__ids_union(const struct raft_id_set *a, const struct raft_id_set *b, raft_id *ret);

#define RAFT_INDEX_INFINITE UINT64_MAX

/* The index that `id` has acknowledged; 0 when it has said nothing. */
typedef raft_index raft__acked_fn(const void *arg, raft_id id);

/* The largest index acknowledged by a majority; RAFT_INDEX_INFINITE for the empty set. */
raft_index raft__majority_committed(const struct raft_id_set *s, raft__acked_fn *acked,
                                    const void *arg);

/* ... by a majority of each half. */
raft_index raft__joint_committed(const struct raft_id_set *incoming,
                                 const struct raft_id_set *outgoing, raft__acked_fn *acked,
                                 const void *arg);

enum raft__vote { RAFT_VOTE_MISSING, RAFT_VOTE_YES, RAFT_VOTE_NO };
enum raft__vote_result { RAFT_VOTE_PENDING, RAFT_VOTE_LOST, RAFT_VOTE_WON };

typedef enum raft__vote raft__voted_fn(const void *arg, raft_id id);

enum raft__vote_result raft__majority_vote(const struct raft_id_set *s, raft__voted_fn *voted,
                                           const void *arg);
enum raft__vote_result raft__joint_vote(const struct raft_id_set *incoming,
                                        const struct raft_id_set *outgoing, raft__voted_fn *voted,
                                        const void *arg);

#endif
