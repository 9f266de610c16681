/* node_limits.h -- how much of what, how often, how long: the limits of a node, with their reasons.
 */
#ifndef KETCH_NODE_NODE_LIMITS_H
#define KETCH_NODE_NODE_LIMITS_H

#include "wire/wire.h"

/* ---- the log and its messages ---- */

/* Requests in one block of proposals; a larger block than so many bytes ends the batch, but one
 * request always goes. */
#define NODE_PROPOSE_BATCH_MAX 1024
#define NODE_PROPOSE_BATCH_BYTES_MAX (4 << 20)
#define NODE_WAL_BATCH_MAX 64             /* jobs in one write */
#define NODE_RIDE_NS INT64_C(5000000)     /* a login waits for another write at most so long */
#define NODE_RAFT_MSG_BYTES_MAX (1 << 20) /* etcd's numbers */
#define NODE_RAFT_INFLIGHT_MAX 512
#define NODE_LOG_COMPACT_STEP 100 /* applied entries between two compactions in memory */
/* Entries that stay in memory behind what is applied; a follower that is further behind is served
 * from the write-ahead log.  Nobody follows a lone member: the few are for who joins. */
#define NODE_LOG_ENTRIES_MAX 4096
#define NODE_LOG_BYTES_MAX (UINT64_C(8) << 20)
#define NODE_LOG_ALONE_ENTRIES_MAX 128
#define NODE_LOG_ALONE_BYTES_MAX (UINT64_C(128) << 10)
#define NODE_LOG_READ_BYTES ((size_t) 4 << 20) /* read back at once, for several messages */
/* The least while others write (which is so until nothing was written for so long), with a rest
 * between two pieces: about 50 MB/s.  A megabyte that is read, encoded and sent at once is 5 ms in
 * which whoever writes waits for a processor, where there are few. */
#define NODE_LOG_READ_BESIDE_BYTES ((size_t) 128 << 10)
#define NODE_LOG_BESIDE_NS INT64_C(200000000)
#define NODE_LOG_REST_NS INT64_C(2500000)
/* What was read for one follower waits while others ask so often. */
#define NODE_LOG_READ_PATIENCE 3
#define NODE_LOG_READ_KEEP 1000 /* apply jobs until what was read is dropped unused */
/* Places in the log that are remembered, so that reading back need not begin where a segment does:
 * so far apart, so many. */
#define NODE_LOG_MARK_BYTES (UINT64_C(1) << 20)
#define NODE_LOG_MARKS 256
#define NODE_READ_RETRY_NS INT64_C(500000000)
/* Kept of the log for what consensus stores when no further segment can be made. */
#define NODE_LOG_LAST_BYTES (UINT64_C(8) << 20)

/* ---- apply ---- */

#define NODE_APPLY_TURN_ENTRIES_MAX 1024 /* entries applied between two published views */
/* Queries answered in a turn; one that lists something counts as each thing in its list does. */
#define NODE_APPLY_TURN_QUERY_UNITS_MAX 16384
/* Nesting in an entry: what clients may send, one level more for the entry, and room for what a
 * member of etcd's, whose decoder knows no limit, has let in. */
#define NODE_ENTRY_DEPTH_MAX (2 * WIRE_DEPTH_MAX)
/* Memory to decode one entry in: at least this, for the log may hold entries that were allowed to
 * be larger than today's --max-request-bytes. */
#define NODE_ENTRY_ARENA_BYTES_MIN ((size_t) 256 << 20)
/* A request of a client, whatever --max-request-bytes allows: the log and the streams between
 * members take no entry of more than 512 MiB. */
#define NODE_REQUEST_BYTES_MAX ((size_t) 511 << 20)

/* A proposal of the member's own, which is not a client's: --max-request-bytes says nothing of it.
 */
#define NODE_OWN_BODY_BYTES_MAX ((size_t) 4 << 20)
#define NODE_ALARMS_MAX 64          /* published for readers */
#define NODE_EXPIRE_INFLIGHT_MAX 16 /* revokes of expired leases under way */
/* What a lease that lasts longer has left is recorded this often (etcd's number, lessor.go). */
#define NODE_LEASE_CHECKPOINT_MS 300000
#define NODE_LEASE_CHECKPOINT_GATHER_NS INT64_C(500000000) /* what is due by then goes together */
#define NODE_MONITOR_NS INT64_C(4000000000)                /* versions are compared this often */
#define NODE_VERSION_FRESH_NS INT64_C(12000000000) /* what a member said is good for so long */

/* ---- files ---- */

#define NODE_PURGE_NS INT64_C(30000000000)         /* old files are looked for this often */
#define NODE_PREPARE_RETRY_NS INT64_C(10000000000) /* a segment that could not be made */
#define NODE_FULL_RETRY_NS INT64_C(1000000000)     /* a full disk is asked this often */
#define NODE_STORE_STEP_RECORDS 1000               /* in one step of a compaction */
/* Between two steps of a defragmentation: about a MiB is written in each, and the log writes to the
 * same disk. */
#define NODE_DEFRAG_REST_NS INT64_C(4000000)
/* Files that lost their names go back to the disk in pieces, for it discards one at about 4 MiB/ms,
 * and whoever syncs meanwhile waits. */
#define NODE_SHED_BYTES (UINT64_C(2) << 20)
#define NODE_SHED_REST_NS INT64_C(5000000)

/* ---- snapshots ---- */

#define NODE_SNAPSHOT_RETRY_NS INT64_C(10000000000) /* of the member's own: the disk was full */
#define NODE_SENDING_MAX 16                         /* to other members, under way; etcd's number */
/* Behind a snapshot that has arrived the log is kept so long, for its receiver to go on from there;
 * etcd's. */
#define NODE_SENT_KEEP_LOG_NS INT64_C(30000000000)

#endif
