/* peer_limits.h -- every limit and period between members: name, unit, reason. */
#ifndef KETCH_EDGE_PEER_PEER_LIMITS_H
#define KETCH_EDGE_PEER_PEER_LIMITS_H

/* A message in a POST /raft: what etcd's raft puts into one message, with room for one large entry.
 */
#define PEER_POST_BYTES_MAX (64u << 20)

/* Of a question about a lease (etcd's), and of the answer to a question of ours. */
#define PEER_LEASE_BODY_BYTES_MAX ((size_t) 64 << 10)
#define PEER_ANSWER_BYTES_MAX ((size_t) 100 << 20)

/* The message before a snapshot's data file (etcd's). */
#define PEER_SNAPSHOT_HEAD_BYTES_MAX (64u << 20)

/* Of a snapshot on its way out: waiting for the socket or to come from the node, below which more
 * is asked for; and pieces asked for at once. */
#define PEER_SNAPSHOT_QUEUED_BYTES ((size_t) 2 << 20)
#define PEER_SNAPSHOT_ASKED_MAX 4
/* Beside writes one piece is asked for at a time, and not again before so many times the time that
 * it took; but so much leaves in a second if the receiver takes it: 2 GB in 60 s.  Others
 * write while what is applied has changed within PEER_SNAPSHOT_BESIDE_NS. */
#define PEER_SNAPSHOT_REST_TIMES 64
#define PEER_SNAPSHOT_BESIDE_BYTES_MIN_PER_S (INT64_C(32) << 20)
#define PEER_SNAPSHOT_BESIDE_NS INT64_C(200000000)
/* Of one that comes: pieces that are not written yet, from which on reading stops. */
#define PEER_SNAPSHOT_PIECES_MAX 8
/* Snapshots that may come at once: one, but for a change of leaders. */
#define PEER_SNAPSHOTS_COMING_MAX 8
/* A sender that says nothing, or a receiver that takes nothing, for so long is given up; who has
 * got all has time to sync it. */
#define PEER_SNAPSHOT_STALL_MS 30000
#define PEER_SNAPSHOT_ANSWER_MS 300000

/* POSTs to one member: under way, and waiting behind them (etcd's numbers). */
#define PEER_POSTS_MAX 4
#define PEER_POSTS_WAITING_MAX 64

/* Messages to and from one member that have not left, or that the node has not taken. */
#define PEER_QUEUE_MAX 4096
#define PEER_QUEUE_BYTES_MAX ((size_t) 64 << 20)

/* Messages that the node has handed out and the loop has not taken: beyond it they are lost. */
#define PEER_OUTGOING_MAX 65536

/* Members and remotes that one member knows.  Whoever reaches the port can name remotes: at most
 * half of the table is theirs, and there are no more members than fit into the other half
 * (RAFT_MEMBERS_MAX). */
#define PEERS_MAX 256
#define PEER_REMOTES_MAX (PEERS_MAX / 2)

#define PEER_URLS_MAX 64

/* etcd's: a stream that is silent for so long is dead, and heartbeats of the link keep it alive. */
#define PEER_SILENCE_MS 5000
#define PEER_LINK_HEARTBEAT_MS (PEER_SILENCE_MS / 3)

#define PEER_REDIAL_MS 100
#define PEER_POST_TIMEOUT_MS 5000
#define PEER_PROBE_MS 4000

#endif
