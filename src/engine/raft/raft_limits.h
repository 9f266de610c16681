/* raft_limits.h -- everything in engine/raft that could grow has its limit here, with the reason.
 *
 * What a peer or a client may make large is refused or dropped at the limit as a lossy network
 * would drop it; raft repairs the loss by itself.  Nothing here is part of the protocol.
 */
#ifndef KETCH_ENGINE_RAFT_RAFT_LIMITS_H
#define KETCH_ENGINE_RAFT_RAFT_LIMITS_H

/* Members of one configuration, both halves of a joint one and learners together.  Ten times what
 * anyone runs; quorums are computed in arrays of this size on the stack. */
#define RAFT_MEMBERS_MAX 128

/* Terms and indices that a peer may name.  Counting one by one nobody ever comes so far; beyond it
 * the core's additions would wrap around. */
#define RAFT_TERM_MAX (UINT64_C(1) << 62)
#define RAFT_INDEX_MAX (UINT64_C(1) << 62)

/* The unstable log: entries that storage has not acknowledged.  Far beyond what any disk leaves
 * behind before it counts as hung; past it proposals are dropped, appends ignored. */
#define RAFT_UNSTABLE_ENTRIES_MAX (1u << 20)
#define RAFT_UNSTABLE_BYTES_MAX (UINT64_C(1) << 30)

/* Reads waiting for a quorum, or for the first commit of a term.  Later ones are dropped; the node
 * asks again after its timeout, and joins many client reads in one request anyhow. */
#define RAFT_READS_PENDING_MAX 65536

/* Bytes that identify a read.  etcd and Ketch use 8. */
#define RAFT_READ_CONTEXT_BYTES_MAX 64

/* Context of a heartbeat that a follower will echo; etcd and Ketch send 8 bytes. */
#define RAFT_CONTEXT_BYTES_MAX 1024

/* Messages gathered for one update.  A node takes an update after every batch of events, so this
 * many never gather; past it messages are lost as on a network. */
#define RAFT_MESSAGES_MAX 65536

/* Appends to one follower that are on the way: upper bound of raft_config.inflight_max. */
#define RAFT_INFLIGHT_MAX 0x7fffffff

/* Appends on the way to a follower whose entries are read back, beyond which reading on waits for
 * its answers: what is read lies in messages until then. */
#define RAFT_READ_BACK_INFLIGHT_MAX 8

/* Default window of recent entries in a memory storage: what followers that keep up need. */
#define RAFT_MEMORY_ENTRIES_MAX 65536
#define RAFT_MEMORY_BYTES_MAX (UINT64_C(64) << 20)

#endif
