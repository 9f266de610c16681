/* checks.h -- whether all members hold the same keys: what checks.c, which asks, and
 * checks_rules.c, which judges, share (etcd's corrupt.go).
 *
 *                          the time has come, and this member leads
 *      IDLE ----------------------------------------------------------------------.
 *       ^                                                                         |
 *       |         (periodic)             all have answered                        v
 *       '--- AGAIN <--- READ <------------------- PEERS <------------------------ OWN
 *       |     own hash   one linearizable         what they say at the       own hash, or that of
 *       |     once more  read                     same revision              a compaction
 *       |                                           |  ^
 *       '-------------------------------------------'--' (compactions: the next older one)
 *
 * One check at a time.  It belongs to the apply actor; answers come by a queue, from any thread.
 */
#ifndef KETCH_NODE_APPLY_CHECKS_H
#define KETCH_NODE_APPLY_CHECKS_H

#include "node/node_int.h"
#include "wire/hash_json.h"

enum check_phase { CHECK_IDLE, CHECK_OWN, CHECK_PEERS, CHECK_READ, CHECK_AGAIN };

/* Another member, and what it says about its keys. */
struct check_peer {
    struct mpsc_node link; /* in hash_checks.peers_in, once it has answered */
    struct node_question q;
    struct node *node;
    raft_id id;
    struct buf body;
    bool ok;
    struct hash_answer answer; /* when ok */
    char why[160];             /* when not */
};

struct hash_checks {
    enum check_phase phase;
    bool of_compactions;
    mono_ns next_periodic;
    mono_ns next_compactions;
    struct mpsc peers_in; /* check_peer */
    struct mpsc own_in;   /* own_link: the node's own request has come back */
    struct mpsc_node own_link;
    bool own_ok;
    char own_why[160];
    struct hash_answer own_answer; /* of the latest of ours */
    struct hash_answer own;        /* at the revision that the others are asked about */
    struct check_peer *peers;
    size_t peers_n;
    size_t waiting;                                           /* of them */
    struct mvcc_hash_result compactions[MVCC_COMPACT_HASHES]; /* newest first */
    size_t compactions_n;
    size_t at;                /* of them */
    int64_t checked_revision; /* compactions up to here were equal everywhere */
};

/* Both raise what alarms there are to raise. */
void node__judge_periodic(struct node *n, const struct hash_checks *c,
                          const struct hash_answer *again);
/* True: there is no need to look at an older compaction. */
bool node__judge_compaction(struct node *n, struct hash_checks *c,
                            const struct mvcc_hash_result *own);

#endif
