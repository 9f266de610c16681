/* node.h -- one member: propose -> commit -> apply -> result; read index, quotas, alarms, leases,
 * watches.
 *
 * A node is five actors, each owned by one thread and fed by queues:
 *
 *   raft    the consensus core, the table of waiting requests, ticks, time-outs
 *   wal     writes and syncs what raft wants stored, many batches at a time
 *   apply   the only writer of state/: executes committed entries in order, answers, feeds watches
 *   store   commits sealed batches to the bolt file; deletes for compactions, defragments, copies
 *   work    what takes long and hurries nobody: hashes over a pinned view, pieces of snapshots, the
 *           next WAL segment, old files
 *
 * The node starts no thread and reads no clock: whoever drives it calls node_run for each actor
 * when that actor was woken or its time has come, and passes the time.  One thread may run several
 * actors, but an actor never runs on two threads at once.  The simulator runs all of them on one.
 *
 * Callers (I/O threads) hand in `struct node_request`s that they own and get each back exactly
 * once.
 *
 * Threads: each function says which; node_open and node_close run while no actor does.
 * Memory: the node copies what it keeps.  Without memory an actor ends the process; what only a
 * request needs is refused.
 *
 * Reads run on the caller's thread against a published view (state/mvcc/mvcc.h, which this header
 * re-exports because readers are meant to use it directly).
 */
#ifndef KETCH_NODE_NODE_H
#define KETCH_NODE_NODE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/mpsc.h"
#include "base/payload.h"
#include "node/transport.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "obs/trace.h"
#include "state/auth/auth.h"
#include "state/mvcc/history.h"
#include "state/mvcc/mvcc.h"
#include "state/mvcc/mvcc_check.h"
#include "state/mvcc/mvcc_reply.h"
#include "state/mvcc/watch.h"
#include "state/mvcc/watch_codec.h"
#include "sys/clock.h"
#include "sys/digest.h"
#include "sys/disk.h"
#include "sys/random.h"
#include "wire/api_error.h"
#include "wire/raftpb.h"
#include "wire/wire.h"

struct node;

/* ---- life ---- */

enum node_actor { NODE_RAFT, NODE_WAL, NODE_APPLY, NODE_STORE, NODE_WORK, NODE_ACTORS };

enum node_level { NODE_LEVEL_3_5 = 35, NODE_LEVEL_3_6 = 36, NODE_LEVEL_3_7 = 37 };

/* Strings and arrays are borrowed for the call of node_open only.  Names behind "--" are etcd's
 * flags: ranges are checked where these are read (edge/server/config.h), not again here. */
struct node_config {
    const char *name;
    const char *data_dir; /* holds member/snap, member/wal, member/ketch */
    const char *wal_dir;  /* NULL: <data_dir>/member/wal */
    const char *cluster_token;
    const char *const *initial_names; /* --initial-cluster, one pair per URL */
    const char *const *initial_urls;
    size_t initial_n;
    bool initial_existing;     /* --initial-cluster-state=existing */
    uint64_t joined_member_id; /* then, for a new directory: what the members said */
    uint64_t joined_cluster_id;
    const char *const *peer_urls; /* --initial-advertise-peer-urls */
    size_t peer_urls_n;
    const char *const *client_urls; /* --advertise-client-urls: published through raft */
    size_t client_urls_n;
    unsigned tick_ms;            /* heartbeat interval; > 0 */
    unsigned election_ticks;     /* > 1 */
    bool pre_vote;               /* ask whether one could win before one's term rises */
    bool advance_first_ticks;    /* --initial-election-tick-advance */
    uint64_t snapshot_count;     /* applied entries between two disk snapshots */
    uint64_t catchup_entries;    /* raft entries kept in memory behind a snapshot */
    int64_t quota_bytes;         /* 0: 2 GiB; negative: none */
    size_t request_bytes_max;    /* of an encoded InternalRaftRequest */
    int64_t batch_interval_ms;   /* between two commits of the backend */
    size_t batch_ops_max;        /* operations in one of them */
    bool lock_memory;            /* the mapped data file stays in memory */
    size_t compaction_batch;     /* records scanned per step */
    int64_t compaction_sleep_ms; /* between two of these */
    unsigned wals_max;           /* files kept; 0: all */
    unsigned snapshots_max;      /* likewise */
    bool force_new_cluster;   /* a directory that was in use: the others are no members any more */
    bool strict_reconfig;     /* no change that could cost the majority */
    int64_t learners_max;     /* below 0 is less than none: it does not start */
    bool simple_tokens;       /* who logs in is given one (--auth-token simple) */
    mono_ns token_ttl_ns;     /* of such a token, since its last use */
    enum node_level level;    /* --emulated-version */
    int64_t downgrade_ns;     /* is a downgrade complete?  0: never asked */
    int64_t corrupt_check_ns; /* the leader compares all keys this often; 0: never */
    int64_t compact_check_ns; /* and the hashes of compactions; 0: never */
    int64_t warning_apply_ns; /* an entry that takes longer is worth a line; 0: none is */
    bool lease_checkpoint;    /* a leader records what long leases have left, */
    bool lease_checkpoint_persist; /* and this member keeps it on disk below 3.6, too */
    uint64_t defrag_first_bytes; /* so much room in the file that is unused: a start defragments; 0:
                                    never */
    uint64_t wal_segment_bytes;  /* 0: the default; tests use less */
};

#define NODE_QUOTA_DEFAULT_BYTES (INT64_C(2) << 30)
#define NODE_BACKLOG_MAX 5000 /* committed but not applied; more: "too many requests" */
#define NODE_SINKS_MAX 64     /* I/O threads */

/* What the node needs of the outside.  Copied; what it points to is borrowed until node_close. */
struct node_env {
    struct disk *disk;
    struct random *random;
    struct clock *clock; /* to time syncs and commits for the metrics; decides nothing */
    struct log *log;
    struct metrics *metrics;                             /* NULL: none */
    void (*wake)(void *wake_ctx, enum node_actor which); /* any thread: let that actor run soon */
    void *wake_ctx;
    const struct node_transport *transport; /* to the other members; NULL: there are none */
    /* A promise of the machine was broken (failed fsync, damaged state): say why and stop the
     * process.  Called on an actor's thread, or within node_close; must not return. */
    NORETURN void (*fatal)(void *ctx, const char *why);
    /* The same for a log that is not what this member once told its leader, its directory having
     * been lost: the words are etcd's, for whom this is a panic of consensus.  NULL: fatal. */
    NORETURN void (*log_lost)(void *ctx, const char *words);
    /* The member has published its attributes: clients may be served.  Once, on an actor's thread.
     */
    void (*ready)(void *ctx);
    /* This member was removed from the cluster, and should stop.  On an actor's thread; may be
     * called again.  NULL: nobody wants to know. */
    void (*removed)(void *ctx);
    void *ctx;
};

/* Opens or makes the data directory and brings the state up to what its files hold; waits for no
 * one.  Nothing was changed on disk by a call that fails on its arguments.
 *
 *   ERR_INVALID             the configuration contradicts itself, in etcd's words
 *   ERR_LIMIT               the member's URLs are too long
 *   ERR_LOCKED              another process has the directory
 *   ERR_CORRUPT, and the codes of wal.h, store.h, cluster.h, lease.h, auth.h
 *                           its files are damaged, or do not belong together
 *   ERR_CLUSTER_TOO_NEW     a later release has been at work there
 *   ERR_PERMISSION, ERR_NO_SPACE, ERR_IO, ERR_NOMEM, ... */
NODISCARD int node_open(const struct node_config *cfg, const struct node_env *env, mono_ns now,
                        wall_ms wall, struct node **ret, struct err *e);

/* One turn of an actor.  Returns the nanoseconds after which it wants to run again without being
 * woken; negative: only when woken. */
int64_t node_run(struct node *n, enum node_actor which, mono_ns now, wall_ms wall);

/* Any thread.  Requests whose end may be far away come back soon, now and from now on: keep-alives
 * that wait for an expired lease to go, compactions that wait for the file, defragmentations and
 * hashes.  For a server that is about to stop and wants all its requests back. */
void node_end_waits(struct node *n);

/* Any thread.  From now on requests fail with API_STOPPED; what is queued is answered.  Then the
 * driver runs the actors until node_stopped says true and nobody submits any more or waits for an
 * answer, joins its threads and calls node_close, which commits what is applied and releases the
 * directory. */
void node_stop(struct node *n);
bool node_stopped(struct node *n);
void node_close(struct node *n); /* NULL is accepted */

/* ---- requests ---- */

struct node_request;

/* Where finished requests go: one per I/O thread, the caller's own, kept as long as actors run.
 * deliver is called on an actor's thread, perhaps on two at once, with a list linked by `next`,
 * once per turn of that actor; it must only queue and wake. */
struct node_sink {
    void (*deliver)(struct node_sink *s, struct node_request *first);
    unsigned id; /* set by node_sink_add */
};

/* Before the actors run; NODE_SINKS_MAX in all, one of which is the node's own. */
void node_sink_add(struct node *n, struct node_sink *s);

enum node_request_kind {
    /* Through the log.  `op` is the field number of InternalRaftRequest (4 put, 5 delete_range, 6
     * txn, 7 compaction, 8 lease_grant, 9 lease_revoke, 10 alarm ...), `body` its encoded
     * sub-message as the client sent it.  The node adds header and request id. */
    NODE_REQ_PROPOSE,
    /* Completed when every write acknowledged before the call is applied here. */
    NODE_REQ_READ_INDEX,
    /* Completed when the entry `target` is applied here: TIMEOUT_WAIT_APPLIED_INDEX when that takes
     * too long. */
    NODE_REQ_WAIT_APPLIED,
    /* Answered by the apply actor from the state; `msg` is the decoded request.  Those about leases
     * are refused where `username` has not the right. */
    NODE_REQ_MEMBER_LIST,     /* -> MemberListResponse: of this member's view */
    NODE_REQ_LEASE_KEEPALIVE, /* lease_id -> LeaseKeepAliveResponse; TTL 0 when unknown */
    NODE_REQ_LEASE_TTL,       /* lease_id, keys -> LeaseTimeToLiveResponse */
    NODE_REQ_LEASE_LIST,      /* -> LeaseLeasesResponse */
    /* A change of membership, through the log: checked, proposed, and answered with the list of
     * members once it is in force -> MemberAddResponse, MemberRemoveResponse ... */
    NODE_REQ_MEMBER_CHANGE,
    /* The leader hands over to the voter `target` (0: whom it has known for longest); completed
     * when that one leads. */
    NODE_REQ_MOVE_LEADER,
    /* Watches: the calls of state/mvcc/watch.h, made on the apply thread.  What they answer comes
     * as notes of the stream; the request itself comes back as soon as the call was made. */
    NODE_REQ_WATCH_JOIN,          /* watcher */
    NODE_REQ_WATCH_LEAVE,         /* watcher */
    NODE_REQ_WATCH_PROGRESS,      /* stream, watchers_n */
    NODE_REQ_WATCH_PROGRESS_EACH, /* stream */
    NODE_REQ_WATCH_STREAM_CLOSE,  /* stream */
    /* The backend, by the store actor. */
    NODE_REQ_HASH,    /* -> number: CRC-32C of the whole backend */
    NODE_REQ_HASH_KV, /* revision -> HashKVResponse */
    NODE_REQ_DEFRAGMENT,
    NODE_REQ_SNAPSHOT,       /* -> snapshot, to be read with node_snapshot_read or in pieces */
    NODE_REQ_SNAPSHOT_PIECE, /* snapshot -> piece; no arena.  Several may be under way, and come
                                back in order */
    /* A snapshot that comes from another member: node/transport.h.  No arena either. */
    NODE_REQ_RECEIVE_PIECE, /* receiving, piece */
    NODE_REQ_RECEIVE_END,   /* receiving, message */
    NODE_REQ_RECEIVE_ABORT, /* receiving */
};

struct node_snapshot;

/* What a proposal is: field numbers of InternalRaftRequest (proto/raft_internal.proto). */
enum node_op {
    NODE_OP_PUT = 4,
    NODE_OP_DELETE_RANGE = 5,
    NODE_OP_TXN = 6,
    NODE_OP_COMPACTION = 7,
    NODE_OP_LEASE_GRANT = 8,
    NODE_OP_LEASE_REVOKE = 9,
    NODE_OP_ALARM = 10,
    NODE_OP_LEASE_CHECKPOINT = 11,
    NODE_OP_AUTHENTICATE = 1012,
    NODE_OP_USER_ADD = 1100,
    NODE_OP_USER_CHANGE_PASSWORD = 1103,
    NODE_OP_CLUSTER_VERSION_SET = 1300,
    NODE_OP_MEMBER_ATTR_SET = 1301,
    NODE_OP_DOWNGRADE_INFO_SET = 1302,
};

/* Which member of the union of struct node_result is set. */
enum node_answer {
    NODE_ANSWER_NONE, /* a header is all there is to say */
    NODE_ANSWER_MSG,  /* msg */
    NODE_ANSWER_PUT,
    NODE_ANSWER_DELETE,
    NODE_ANSWER_TXN,
    NODE_ANSWER_NUMBER,
    NODE_ANSWER_SNAPSHOT, /* owned by the caller: node_snapshot_free */
    NODE_ANSWER_PIECE,    /* a reference of the caller's; no bytes: the end */
};

struct node_result {
    enum api_error err; /* API_OK: see below */
    /* With err == API_OK and code != 0: an error that is not in etcd's table. */
    enum grpc_code code;
    const char *text;   /* static, or in the request's arena */
    int64_t revision;   /* for the response header; 0: leave it out */
    uint64_t raft_term; /* likewise */
    bool too_large;     /* the write is done, but its answer passes the arena's maximum */
    enum node_answer answer;
    /* All in the request's arena, with copies of what they show: no view is needed.  A message has
     * its header left NULL.  put, del and txn are made into bytes by mvcc_reply.h. */
    union {
        ProtobufCMessage *msg;
        struct mvcc_put_result put;
        struct mvcc_delete_result del;
        struct mvcc_txn_result txn;
        uint64_t number;
        struct node_snapshot *snapshot;
        struct payload *piece;
    };
};

/* How a request went, for the line about one that took long; zeroes where it is not known. */
struct node_steps {
    mono_ns began;                  /* it began to be applied */
    uint32_t count;                 /* of etcd's steps since then */
    const struct trace_steps *slow; /* in the request's arena; NULL: none took long */
};

/* Embedded in the caller's own record of the call.  From node_submit until `done` it belongs to the
 * node. */
struct node_request {
    struct mpsc_node link;     /* the node's */
    struct node_request *next; /* links a delivered list */
    enum node_request_kind kind;
    struct node_sink *sink;
    void (*done)(struct node_request *r); /* for the sink's own use */
    struct arena *arena;                  /* results are built in it; it travels with the request */

    /* NODE_REQ_PROPOSE */
    uint32_t op; /* enum node_op, or another of the fields */
    struct bytes body;
    const char *username;   /* who asks, also of the questions about leases; NULL: nobody known */
    uint64_t auth_revision; /* when that became known */

    /* others */
    int64_t lease_id;
    int64_t revision;
    bool keys;
    struct watcher *watcher;
    struct watch_stream *stream;
    size_t watchers_n;
    struct node_snapshot *snapshot;
    struct node_receiving *receiving;
    struct payload *piece; /* to be received */
    struct node_message *message;
    uint64_t target;
    bool of_member;    /* another member asks: it is answered here or not at all */
    const char *token; /* MEMBER_CHANGE: what the caller has shown, for the leader; NULL: nothing */
    struct cluster_change *change; /* in the arena; of an addition the node fills in the id */

    struct node_result result;
    struct node_steps steps; /* PROPOSE */

    /* the node's own */
    bool leader_only; /* never forwarded */
    uint64_t id;
    mono_ns deadline;
    mono_ns begin;
    raft_index index;
    struct {
        mono_ns began; /* 0: another read of the round carries this */
        mono_ns received;
        raft_index applied;
    } round;         /* of READ_INDEX */
    struct list age; /* among the waiting ones */
    struct {
        struct heap_item due;   /* when it is tried again */
        struct heap_item entry; /* or as soon as that is applied; in no heap: it does not matter */
    } later;                    /* apply/forward.c */
    struct node_request *queue_next;
    struct store_hash *store_hash;
    struct forward *forward; /* to the leader: apply/forward.c */
    uint64_t auth_seen;      /* the auth revision by which it was allowed; 0: none was asked */
};

/* Any thread.  Never fails and never blocks: every request comes back through its sink, with the
 * result of what was asked for, what state/ refuses it with, or one of these:
 *
 *   STOPPED                     behind node_stop, or broken off by it
 *   TIMEOUT, TIMEOUT_DUE_TO_LEADER_FAIL, TIMEOUT_DUE_TO_CONNECTION_LOST
 *                               no answer in 5 s + 2 election timeouts; a write may still happen
 *   DeadlineExceeded "context deadline exceeded"
 *                               as long without a leader: nothing was proposed
 *   TIMEOUT_WAIT_APPLIED_INDEX  of WAIT_APPLIED
 *   LEADER_CHANGED, NO_LEADER   of reads, and of what the leader alone can answer
 *   NOT_LEADER, BAD_LEADER_TRANSFEREE
 *                               of MOVE_LEADER
 *   NO_SPACE                    of a proposal: the quota, or the disk of the log
 *   REQUEST_TOO_LARGE           of a proposal: beyond request_bytes_max
 *   REQUEST_TOO_MANY_REQUESTS   of a proposal: NODE_BACKLOG_MAX
 *   MEMBER_NOT_ENOUGH_STARTED, UNHEALTHY, LEARNER_NOT_READY, and those of cluster_check_change
 *                               of MEMBER_CHANGE
 *   ResourceExhausted "out of memory" */
void node_submit(struct node *n, struct node_request *r);

/* Any thread.  A number no request and no lease of this cluster has had lately: etcd's 16 bits of
 * member id, 40 bits of milliseconds at start, and a counter.  For a lease, clear the highest bit.
 */
uint64_t node_next_id(struct node *n);

/* Any thread.  A leader that is about to stop: another voter should lead.  It is over when
 * node_handed_over says so, and at once where nobody else can lead. */
void node_hand_over(struct node *n);
bool node_handed_over(struct node *n);

/* Any thread.  True: a linearizable read may run now, on a view taken after this call (a lone voter
 * leads and has applied all it committed).  False: submit a NODE_REQ_READ_INDEX and wait. */
bool node_read_now(struct node *n);

/* Any thread.  True while this is the only member: nobody waits to hear from it during a sync. */
bool node_is_alone(struct node *n);

/* ---- what is published, any thread, no lock ---- */

struct node_status {
    uint64_t cluster_id;
    uint64_t member_id;
    raft_id leader; /* 0: none known */
    raft_term term;
    raft_index commit;
    raft_index applied;
    bool is_leader;
    bool is_learner;
    uint64_t db_bytes; /* high-water mark x page size */
    uint64_t db_in_use_bytes;
    int64_t quota_bytes; /* effective; 0 when there is none */
    bool alarm_nospace;  /* on any member */
    bool alarm_corrupt;
    uint32_t cluster_version;  /* major << 16 | minor; 0: not decided */
    uint32_t storage_version;  /* likewise */
    bool downgrade_enabled;    /* a downgrade job is under way, */
    uint32_t downgrade_target; /* to this version; 0: none */
    bool log_hangs;            /* a write to the log has been under way for an election timeout */
    bool ready;                /* published its attributes: clients may be served */
};

void node_status(struct node *n, struct node_status *ret);

/* Who the members are.  Before the actors run only: borrowed until then. */
const struct cluster_view *node_cluster_view(struct node *n);

/* 0: none known. */
raft_id node_leader(struct node *n);

/* The alarms, as AlarmMember records; n_max records at most, the number is returned. */
struct node_alarm {
    uint64_t member_id;
    int kind; /* 1 NOSPACE, 2 CORRUPT */
};
size_t node_alarms(struct node *n, struct node_alarm *ret, size_t n_max);

/* Readers' entry to views: mvcc_view_pin(mvcc_reader_new(node_mvcc(n))).  Until node_close, before
 * which readers give their views back. */
struct mvcc *node_mvcc(struct node *n);
/* The same for users and roles: auth_reader_new(node_auth(n)), before the actors run. */
struct auth_store *node_auth(struct node *n);

/* Quota check of the API layer: true when `cost` more bytes fit.  If not, the caller answers
 * API_NO_SPACE; unless node_disk_full says why, it first raises the alarm (a proposal with op 10:
 * ACTIVATE, NOSPACE, its own member id). */
bool node_quota_fits(struct node *n, uint64_t cost);
/* Any thread.  True while the disk has no room for what this member will have to write next. */
bool node_disk_full(struct node *n);

/* ---- snapshot of the data file ---- */

#define NODE_SNAPSHOT_PIECE_BYTES \
    ((size_t) 256 << 10) /* of one answer to NODE_REQ_SNAPSHOT_PIECE */

uint64_t node_snapshot_bytes(const struct node_snapshot *s);
/* Any one thread.  The next bytes of the copy, up to n_max or 64 KiB, borrowed until the next call;
 * *ret_n 0 at the end.  ERR_CORRUPT, ERR_IO: the copy is of no use. */
NODISCARD int node_snapshot_read(struct node_snapshot *s, const uint8_t **ret, size_t n_max,
                                 size_t *ret_n, struct err *e);
/* The SHA-256 of all pieces of NODE_REQ_SNAPSHOT_PIECE, once, behind the last. */
void node_snapshot_sum(struct node_snapshot *s, uint8_t ret[SHA256_BYTES]);
/* No request about it may be under way.  NULL is accepted. */
void node_snapshot_free(struct node_snapshot *s);

#endif
