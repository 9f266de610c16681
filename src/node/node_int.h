/* node_int.h -- the inside of a node: what each actor owns, and the jobs that travel between them.
 *
 *                 requests                    jobs to write                committed entries
 *   I/O threads ------------> RAFT ----------------------------> WAL
 *        ^                    ^ | <------------------------------'
 *        |   results          | '--------------------------------------------------> APPLY
 *        |                    '----------------------------------------------------- | | ^
 *        '---------------------------------- results --------------------------------' v |
 *                                                                          WORK <--> STORE
 *
 * A job is allocated once, filled by its sender, pushed to the receiver's queue, and comes back
 * over a queue of the sender's own, to be used again.  So nothing is shared and nothing is freed in
 * steady state.
 */
#ifndef KETCH_NODE_NODE_INT_H
#define KETCH_NODE_NODE_INT_H

#include <stdatomic.h>

#include "base/list.h"
#include "base/map64.h"
#include "engine/raft/raft.h"
#include "engine/snap/snap.h"
#include "engine/wal/wal.h"
#include "node/node.h"
#include "raft_internal.pb-c.h"
#include "state/cluster/cluster.h"
#include "state/lease/lease.h"
#include "state/store/store.h"

/* ---- limits ---- */

#define NODE_PROPOSE_BATCH_MAX 1024 /* requests in one block of proposals */
#define NODE_PROPOSE_BATCH_BYTES_MAX \
    (4 << 20)                 /* a larger block ends the batch; one request always goes */
#define NODE_WAL_BATCH_MAX 64 /* jobs in one write */
#define NODE_RAFT_MSG_BYTES_MAX (1 << 20) /* etcd's numbers */
#define NODE_RAFT_INFLIGHT_MAX 512
#define NODE_LOG_COMPACT_STEP                                           \
    100 /* applied entries between two compactions of the log in memory \
         */
/* Entries that stay in memory behind what is applied; a follower that is further behind is served
 * from the write-ahead log.  Nobody follows a lone member: the few are for who joins. */
#define NODE_LOG_ENTRIES_MAX 4096
#define NODE_LOG_BYTES_MAX (UINT64_C(8) << 20)
#define NODE_LOG_ALONE_ENTRIES_MAX 128
#define NODE_LOG_ALONE_BYTES_MAX (UINT64_C(128) << 10)
#define NODE_LOG_READ_BYTES ((size_t) 4 << 20) /* read back at once, for several messages */
#define NODE_LOG_READ_PATIENCE \
    3                           /* what was read for one follower waits while others ask so often */
#define NODE_LOG_READ_KEEP 1000 /* apply jobs until what was read is dropped unused */
#define NODE_TICKS_AT_ONCE_MAX 10 /* after a pause, so many ticks and no more */
#define NODE_READ_RETRY_NS INT64_C(500000000)
#define NODE_MONITOR_NS INT64_C(4000000000)        /* versions are compared this often */
#define NODE_VERSION_FRESH_NS INT64_C(12000000000) /* what a member said is good for so long */
#define NODE_EXPIRE_INFLIGHT_MAX 16                /* revokes under way */
#define NODE_APPLY_TURN_ENTRIES_MAX 1024           /* entries applied between two published views */
/* Nesting in an entry: what clients may send, one level more for the entry, and room for what a
 * member of etcd's, whose decoder knows no limit, has let in. */
#define NODE_ENTRY_DEPTH_MAX (2 * WIRE_DEPTH_MAX)
#define NODE_DOWNGRADE_ON (UINT64_C(1) << 32)
#define NODE_ALARMS_MAX 64 /* alarms published for readers */
/* Memory to decode one entry in: at least this, for the log may hold entries that were allowed to
 * be larger than today's --max-request-bytes. */
#define NODE_ENTRY_ARENA_BYTES_MIN ((size_t) 256 << 20)
#define NODE_PURGE_NS INT64_C(30000000000)
#define NODE_PREPARE_RETRY_NS INT64_C(10000000000)
#define NODE_STORE_STEP_RECORDS 1000
/* Between two steps of a defragmentation: about a MiB is written in each, and the log writes to the
 * same disk. */
#define NODE_DEFRAG_REST_NS INT64_C(4000000)
/* Files that lost their names go back to the disk in pieces, for it discards one at about 4 MiB/ms,
 * and whoever syncs meanwhile waits. */
#define NODE_SHED_BYTES (UINT64_C(2) << 20)
#define NODE_SHED_REST_NS INT64_C(5000000)
#define NODE_SNAPSHOT_RETRY_NS INT64_C(10000000000)
#define NODE_SENDING_MAX 16 /* snapshots to other members under way; etcd's number */
/* Behind a snapshot that has arrived the log is kept so long, for its receiver to go on from there;
 * etcd's. */
#define NODE_SENT_KEEP_LOG_NS INT64_C(30000000000)
#define NODE_FULL_RETRY_NS INT64_C(1000000000) /* a full disk is asked this often */
/* Kept of the log for what consensus stores when no further segment can be made. */
#define NODE_LOG_LAST_BYTES (UINT64_C(8) << 20)

/* ---- jobs ---- */

struct received; /* a snapshot of the leader's: restore.c */

/* raft -> wal and back.  `after`, `mark` and `behind` stay raft's own. */
struct wal_job {
    struct mpsc_node link;
    struct wal_job *behind; /* nothing to write, but promises that wait for this job, too */
    struct raft_entry_list entries;
    bool has_hard;
    struct raft_hard_state hard;
    bool has_marker; /* a snapshot marker: comes from the apply side */
    struct wal_snapshot marker;
    struct raft_store_mark mark;
    struct raft_message *after; /* to oneself or, later, to peers */
    size_t after_n;
    size_t after_cap;
    bool has_mark;
    struct store_job *marker_job; /* goes back to apply when the marker is durable */
    struct received *received;    /* the marker is that of a snapshot that has come */
};

/* A configuration change on its way back to raft: what to apply there, and who waits. */
struct conf_result {
    raft_index index;
    struct raft_conf_change change; /* node_id 0 when it was refused */
    struct node_request *request;
};

/* raft -> apply and back. */
struct apply_job {
    struct mpsc_node link;
    struct raft_entry_list entries;
    struct node_request **waiters; /* one for each entry, or NULL */
    size_t waiters_cap;
    struct raft_apply_mark mark;
    raft_term term;
    bool is_leader;
    raft_index snapshot_index; /* not 0: a snapshot takes the state's place; no entries */
    raft_term snapshot_term;
    struct conf_result *confs; /* filled by apply */
    size_t confs_n;
    size_t confs_cap;
    struct apply_job *done_next;
};

/* Finished requests of one turn, sorted by sink. */
struct outbox {
    struct node_request *first[NODE_SINKS_MAX];
    struct node_request *last[NODE_SINKS_MAX];
    bool any;
};

/* apply -> store: one kind of work, and how it went. */
enum store_work {
    STORE_WORK_COMPACTION,    /* step `compaction` until done, then give it back */
    STORE_WORK_REQUEST,       /* hash, defragment, snapshot: `request` */
    STORE_WORK_DISK_SNAPSHOT, /* write .snap for `snap` once the store has committed it */
    STORE_WORK_SEND,          /* pin a copy for another member: `sending` */
    STORE_WORK_RESTORE,       /* the received file of `snap` takes the place of this one */
};

struct disk_snapshot {
    raft_index index;
    raft_term term;
    struct raft_conf_state conf_state; /* ids in the job's arena */
    struct bytes payload;
};

struct mvcc_loaded;

struct store_job {
    struct mpsc_node link;
    struct list queue; /* in apply's to_store, then in the store actor's list of work */
    enum store_work work;
    struct arena arena;
    struct mvcc_compaction *compaction;
    bool done;
    struct node_request *request;
    struct store_defrag *defrag;
    struct disk_snapshot snap;
    struct node_sending *sending;
    struct mvcc_loaded *loaded; /* RESTORE, on its way back */
    mono_ns not_before;
};

/* ---- the actors ---- */

struct raft_actor {
    struct mpsc requests;          /* node_request.link: PROPOSE and the like */
    struct mpsc reads;             /* likewise: READ_INDEX */
    _Atomic bool reads_busy;       /* a round is under way; at its end `reads` is looked at */
    struct mpsc stored_jobs;       /* wal_job, done */
    struct mpsc applied_jobs;      /* apply_job, done */
    struct mpsc markers;           /* store_job: a .snap file is on disk */
    struct mpsc messages;          /* node_message: from the other members */
    struct mpsc reports;           /* peer_report: what became of ours */
    struct mpsc sent;              /* of sending.c: what became of a snapshot */
    struct raft_message *outgoing; /* scratch: messages of one turn to others */
    size_t outgoing_n;
    size_t outgoing_cap;

    struct raft *raft;
    struct raft_memory_storage *log;
    struct raft_trace trace;
    struct random *random;
    struct wal_job *idle_wal;   /* free jobs */
    struct wal_job *newest_wal; /* of those under way that promises may depend on; NULL: none */
    struct wal_job *kept;       /* promises that wait for no job */
    struct apply_job *idle_apply;
    struct map64 waiting;     /* request id -> node_request */
    struct list by_age;       /* of the waiting ones: their deadlines are in this order */
    struct list blocked;      /* proposals that came while no leader was known */
    struct raft_entry *batch; /* scratch for NODE_PROPOSE_BATCH_MAX proposals */
    bool lazy_hard;           /* `hard` has a commit index that no job has carried yet */
    struct raft_hard_state hard;
    mono_ns next_tick;
    bool started;
    bool campaigned;
    raft_id lead;
    bool lead_removed; /* it is no member any more, and nobody has taken its place yet */
    raft_id last_lead; /* the last one that was known */
    bool is_leader;
    mono_ns elected_at;         /* when this member began to lead, the last time; 0: never */
    mono_ns hand_over_again;    /* slow_disk.c */
    struct node_message **held; /* held.c */
    size_t held_n;
    mono_ns held_since;        /* when there were none */
    mono_ns first_ticks_until; /* first_ticks.c; 0: not begun */
    bool first_ticks_over;
    struct batch *batch_requests; /* scratch, too */
    raft_index lead_first_index;  /* leader: the empty entry that began its term; else 0 */
    raft_index compacted;         /* of the log in memory */
    raft_index remembered;        /* what it offers as a snapshot's index */
    raft_index newest_marker;     /* given to the write-ahead log */
    size_t sending_n;             /* snapshots to other members */
    mono_ns keep_log_until;       /* for one that has just been sent */
    raft_index commit_stored;     /* the commit index that is in the write-ahead log */
    struct log_reading *reading;  /* raft_log.c */

    /* reads that wait for an index, and the round they wait for */
    struct list reads_next;  /* gathered for the next round */
    struct list reads_round; /* in the round under way */
    uint64_t round_ids[8];   /* its contexts, the newest last */
    size_t round_ids_n;
    mono_ns round_sent;
    mono_ns round_began;
    struct list transfers;   /* wait until another leads (age) */
    struct list reads_apply; /* have their index (request.index), wait for it to be applied */
    raft_index applied;
    struct outbox out;
};

struct wal_actor {
    struct mpsc jobs;
    struct wal *wal;
    struct wal_job *pending; /* taken, not yet written */
    mono_ns again;           /* not before: there was no room */
};

struct store_actor {
    struct mpsc jobs;  /* store_job */
    struct list held;  /* taken, but a commit that should come before them found no room */
    struct list work;  /* compactions and the like, one step a turn */
    bool waiting;      /* batches do */
    bool asked;        /* whether the disk has room, once */
    mono_ns ask_again; /* not before: a full disk */
    bool idle;         /* nothing sealed, no job */
    unsigned replaced; /* files so far; until apply has taken over the last, nothing is done */
    bool shedding;     /* files that were replaced go, a piece at shed_again */
    mono_ns shed_again;
    struct outbox out;
};

struct work_actor {
    struct mpsc requests; /* HASH_KV, HASH and SNAPSHOT_PIECE */
    struct list queue;    /* of hashes, the one under way first (age) */
    struct list pieces;   /* of snapshots (age) */
    struct mvcc_hash *hash_kv;
    struct mvcc_reader *reader;
    mono_ns next_purge;
    struct file *purged; /* a segment of the log that goes, a piece at shed_again */
    mono_ns shed_again;
    mono_ns prepare_again; /* not before */
    struct outbox out;
};

/* What release another member runs, and when it said so. */
struct member_version {
    raft_id id;
    cluster_version version;
    mono_ns at;
};

struct apply_actor {
    struct mpsc jobs;                /* apply_job from raft */
    struct mpsc requests;            /* node_request: queries and watches */
    struct mpsc store_done;          /* store_job back from the store actor */
    struct mpsc versions_in;         /* version_report: of the other members */
    struct mpsc sendings;            /* store_job: snapshots that raft wants to be sent */
    struct member_version *versions; /* what they said last */
    size_t versions_n;
    _Atomic bool committed; /* the store actor has committed: publish anew */

    struct store *store;
    struct mvcc *mvcc;
    struct mvcc_reader *reader; /* the hub's */
    struct lessor *lessor;
    struct auth_store *auth;
    struct cluster *cluster;
    struct watch_hub *hub;
    struct apply_job *current; /* partly applied */
    size_t current_at;
    struct apply_job *queue_first; /* taken, not begun */
    struct apply_job *queue_last;
    raft_index applied;
    raft_term applied_term;
    raft_term term; /* the newest seen with a job */
    bool is_leader;
    bool is_primary;        /* the lessor was promoted, */
    raft_term primary_term; /* in this term */
    mono_ns primary_since;
    mono_ns last_seal;
    bool dirty; /* something changed since the last published view */
    raft_index last_disk_snapshot;
    bool snapshot_under_way;
    mono_ns snapshot_again;       /* not before: the disk was full */
    bool want_disk_snapshot;      /* v2 requests in the log, or a level was left */
    _Atomic bool published;       /* our attributes have been applied */
    _Atomic bool publishing;      /* a proposal is under way */
    _Atomic bool setting_version; /* likewise, of the cluster version or the downgrade */
    mono_ns monitor_again;
    mono_ns downgrade_again;     /* when a leader looks whether a downgrade is complete */
    raft_index storage_lower_at; /* the storage version may be lowered behind a disk snapshot of it;
                                    0: nobody wants to */
    mono_ns expire_again;
    _Atomic unsigned revokes;    /* expired leases being revoked */
    bool compacting;             /* a job is with the store actor */
    uint64_t compactions_queued; /* accepted, not yet out of the file */
    uint64_t compactions_done;
    bool cluster_changed; /* what is published of the membership is old */
    struct list later;    /* lease requests that are tried again (age): forward.c */
    struct list awaited;  /* keep-alives that wait for an expired lease to go */
    struct list to_store; /* store_job.queue: until what was applied before them can be sealed */
    struct list physical; /* compactions that wait until the file is rid of what went (age) */
    struct hash_checks *checks; /* apply/checks.c; NULL: none is asked for */
    struct arena scratch;       /* decoding of one entry */
    struct outbox out;
    mono_ns now;
    wall_ms wall;
};

struct node {
    struct node_env env;
    struct node_config cfg; /* strings are the node's own */
    char *data_dir;
    char *snap_dir;
    char *wal_dir;
    char *db_path;
    char *name;
    char **client_urls;
    uint64_t cluster_id;
    uint64_t member_id;
    struct file *dir_lock;

    struct raft_actor raft;
    struct wal_actor wal;
    struct apply_actor apply;
    struct store_actor store;
    struct work_actor work;

    struct node_sink *sinks[NODE_SINKS_MAX];
    size_t sinks_n;
    struct node_sink internal; /* for requests that the node makes itself */

    _Atomic uint64_t next_id;
    _Atomic bool restoring;      /* a snapshot takes the place of the state: apply writes nothing */
    _Atomic unsigned taken_over; /* of the files that the store actor has replaced */
    _Atomic bool log_kept;       /* for whom a snapshot is sent to */
    _Atomic bool handed_over;
    _Atomic bool waits_over; /* nobody may wait for what can take long */
    _Atomic bool stopping;
    _Atomic unsigned stopped; /* a bit for each actor that has nothing left */

    /* published, one by one; see node_status */
    struct {
        _Atomic uint64_t lead;
        _Atomic uint64_t term;
        _Atomic uint64_t commit;
        _Atomic uint64_t applied;
        _Atomic bool is_leader;
        _Atomic bool is_learner;
        _Atomic int64_t ticked_at; /* when the raft actor has ticked last (mono_ns) */
        _Atomic bool doubtful;     /* a leader that stood still: is it one? (leadership.c) */
        _Atomic bool lone_leader; /* this member is the only voter and leads: reads need no round */
        _Atomic bool alone;       /* there is no other member, not even a learner */
        _Atomic bool nospace;
        _Atomic mono_ns log_busy_since; /* slow_disk.c; 0: no write is under way */
        _Atomic bool log_hangs;
        _Atomic unsigned disk_full; /* space.c: NODE_FULL_... */
        _Atomic bool corrupt;
        _Atomic uint32_t cluster_version;
        _Atomic uint32_t storage_version;
        _Atomic uint64_t downgrade; /* the target version, and NODE_DOWNGRADE_ON */
        _Atomic bool ready;
        _Atomic uint32_t alarms_seq; /* odd while alarms change */
        _Atomic uint32_t alarms_n;
        _Atomic uint64_t alarms[NODE_ALARMS_MAX * 2];
    } pub;

    struct node_metrics *metrics;
};

/* ---- between the files ---- */

mono_ns node__request_timeout_ns(const struct node *n); /* 5 s + 2 election timeouts */
NORETURN void node__die(struct node *n, const char *what, const struct err *e);

/* answers: sink.c.  `o` belongs to the actor that calls. */
void node__finish(struct node *n, struct outbox *o, struct node_request *r);
void node__fail(struct node *n, struct outbox *o, struct node_request *r, enum api_error err);
void node__fail_text(struct node *n, struct outbox *o, struct node_request *r, enum grpc_code code,
                     const char *text);
void node__outbox_flush(struct node *n, struct outbox *o);

/* A proposal of the node's own, submitted at once.  `done` runs on the actor that finished it
 * (apply, or raft when it failed) and may look at the result; the request is freed behind it. */
void node__propose_own(struct node *n, uint32_t op, const ProtobufCMessage *m,
                       void (*done)(struct node *n, struct node_request *r), void *arg);

/* A request of the node's own that is no proposal. */
void node__submit_own(struct node *n, enum node_request_kind kind,
                      void (*done)(struct node *n, struct node_request *r));

void *node__own_arg(struct node_request *r); /* what was given to node__propose_own */
void node__own_sink_init(struct node *n);

/* jobs.c */
struct wal_job *node__wal_job_new(struct node *n); /* raft actor */
void node__wal_job_after(struct wal_job *j, const struct raft_message *m, size_t k);
void node__wal_job_free(struct node *n, struct wal_job *j);
struct apply_job *node__apply_job_new(struct node *n, size_t entries);
void node__apply_job_free(struct node *n, struct apply_job *j);
struct store_job *node__store_job_new(enum store_work work);
void node__store_job_free(struct store_job *j);
void node__jobs_done(struct node *n); /* at the end: frees all that are idle */

/* the actors */
int64_t node__run_raft(struct node *n, mono_ns now, wall_ms wall);
int64_t node__run_wal(struct node *n, mono_ns now);
int64_t node__run_apply(struct node *n, mono_ns now, wall_ms wall);
int64_t node__run_store(struct node *n, mono_ns now);
int64_t node__run_work(struct node *n, mono_ns now);
void node__mark_stopped(struct node *n, enum node_actor which);
bool node__actor_stopped(struct node *n, enum node_actor which);

/* metrics.c */
void node__metrics_init(struct node *n);
void node__metrics_done(struct node *n);
struct wal_observer node__wal_observer(struct node *n);
void node__count_commit(struct node *n, mono_ns took);
void node__count_leader_change(struct node *n);
void node__count_events(struct node *n, const struct mvcc_event *ev, size_t k);
enum node_lease_count {
    NODE_LEASE_GRANTED,
    NODE_LEASE_REVOKED,
    NODE_LEASE_RENEWED,
    NODE_LEASE_EXPIRED,
};
void node__count_lease(struct node *n, enum node_lease_count what);
void node__count_failed_proposal(struct node *n);
void node__count_pending(struct node *n, size_t pending);

/* peers.c: the raft actor and the other members */
void node__peers_take(struct node *n);
void node__peers_send(struct node *n, const struct raft_message *m, size_t k); /* may wait for */
void node__peers_flush(struct node *n);                                        /* this */
void node__peers_drop(struct node *n); /* at the end: what nobody takes any more */

/* leadership.c */
void node__leadership_tick(struct node *n, mono_ns now); /* raft actor, before it ticks */
bool node__leadership_doubtful(struct node *n);          /* apply actor */

/* transfer.c: the same, leadership */
void node__transfer_begin(struct node *n, struct node_request *r);
void node__transfers_step(struct node *n, mono_ns now);
raft_id node__longest_connected(struct node *n); /* voter; RAFT_NONE: there is none */

/* held.c: proposals at the wrong moment */
bool node__is_leaderless(const struct node *n);          /* proposals must wait */
bool node__hold(struct node *n, struct node_message *x); /* true: it was taken */
void node__held_step(struct node *n, mono_ns now);
void node__held_drop(struct node *n);

/* slow_disk.c, first_ticks.c, timeout.c */
void node__log_write_begins(struct node *n, mono_ns now); /* wal actor */
void node__log_write_ends(struct node *n);
void node__slow_disk_step(struct node *n, mono_ns now);
void node__first_ticks(struct node *n, mono_ns now);
enum api_error node__timeout_error(struct node *n, mono_ns since);

/* raft_requests.c, read_index.c, raft_log.c: parts of the raft actor */
struct batch *node__batch_new(void);
struct node_request *node__waiting_take(struct node *n, const struct raft_entry *e);
void node__raft_take_requests(struct node *n, mono_ns now);
void node__raft_expire(struct node *n, mono_ns now);
void node__raft_fail_all(struct node *n, enum api_error err);
void node__raft_reads_step(struct node *n, mono_ns now);
bool node__raft_reads_are_busy(struct node *n); /* any thread */
/* The end of a turn.  False: reads came that nobody will wake the actor for: another turn. */
bool node__raft_reads_wait(struct node *n);
void node__raft_read_state(struct node *n, const struct raft_read_state *rs);
void node__raft_reads_fail(struct node *n, enum api_error err);
void node__raft_reads_applied(struct node *n);
void node__raft_marker_stored(struct node *n, struct wal_job *j);
void node__raft_log_init(struct node *n);
void node__raft_log_done(struct node *n);
void node__raft_log_compact(struct node *n);
void node__raft_log_stored(struct node *n, const struct wal_job *j);
void node__raft_log_read(struct node *n); /* work actor */

/* apply/: parts of the apply actor */
void node__apply_entry(struct node *n, const struct raft_entry *e, struct node_request *waiter,
                       struct apply_job *j);
void node__apply_request(struct node *n, const Etcdserverpb__InternalRaftRequest *r,
                         struct node_request *waiter);
/* What a request of the log ends with; w may be NULL.  A message that is to be filled in for the
 * waiter; NULL when nobody waits, or without memory. */
void node__apply_answer(struct node *n, struct node_request *w);
void node__apply_refuse(struct node *n, struct node_request *w, enum api_error err);
void *node__apply_reply(struct node_request *w, const ProtobufCMessageDescriptor *d);
void node__apply_query(struct node *n, struct node_request *r);
void *node__reply_new(struct node_request *r, const ProtobufCMessageDescriptor *d);
Etcdserverpb__Member **node__members_copy(const struct cluster_view *v, struct arena *a,
                                          size_t *ret_n); /* NULL without memory */
/* auth.c.  False: the question about leases was refused, and answered so. */
bool node__auth_allows(struct node *n, struct node_request *r);
/* Users or roles have changed since it was allowed. */
bool node__auth_moved(const struct node *n, const struct node_request *r);
enum api_error node__auth_refuses(struct node *n, const Etcdserverpb__InternalRaftRequest *r);
/* False: it is not about users and roles. */
bool node__apply_auth(struct node *n, const Etcdserverpb__InternalRaftRequest *r,
                      struct node_request *w);
void node__auth_as_root(struct node *n, struct node_request *r);
void node__auth_publish(struct node *n);
/* forward.c: to the leader, and what has to wait.  True: the request was taken care of. */
bool node__forward(struct node *n, struct node_request *r);
bool node__forward_came_back(struct node *n, struct node_request *r);
bool node__wait_applied(struct node *n, struct node_request *r);
bool node__wait_sure(struct node *n, struct node_request *r); /* that this member leads */
void node__wait_entry(struct node *n, struct node_request *r);
void node__later_run(struct node *n);
void node__keepalive_answer(struct node *n, struct node_request *r, int64_t ttl);
void node__query_finish(struct node *n, struct node_request *r);
void node__member_change_check(struct node *n, struct node_request *r);
void node__member_change_answer(struct node *n, struct node_request *r);
void node__apply_publish(struct node *n);
void node__apply_monitor(struct node *n);
void node__versions_take(struct node *n); /* versions.c */
void node__versions_monitor(struct node *n);
void node__downgrade_monitor(struct node *n);
mono_ns node__downgrade_due(const struct node *n); /* INT64_MAX: nothing is due */
void node__storage_version_monitor(struct node *n);
void node__version_apply(struct node *n, cluster_version v);
void node__versions_done(struct node *n);
void node__checks_run(struct node *n); /* checks.c */
mono_ns node__checks_due(const struct node *n);
void node__checks_done(struct node *n);
void node__apply_store_done(struct node *n);
void node__apply_background(struct node *n);
void node__attributes_restored(struct node *n); /* the membership comes from a snapshot */
int64_t node__apply_next_due(struct node *n);
void node__apply_to_store(struct node *n, struct store_job *j);
void node__apply_hand_over(struct node *n);
void node__leases_end_waits(struct node *n);
void node__work_hash_begin(struct node *n, struct node_request *r);
bool node__compaction_unfinished(struct store *s);
void node__snapshot_begin(struct node *n, struct node_request *r); /* store actor */
/* snapshot.c.  Takes the copy on success only: ERR_NOMEM. */
NODISCARD int node__snapshot_of(struct store_copy *c, struct node_snapshot **ret);
/* Configuration and payload of a snapshot with the membership `v` and the index it has. */
NODISCARD int node__snapshot_describe(const struct cluster_view *v, struct arena *a,
                                      struct raft_snapshot *ret);

/* sending.c, receiving.c: to another member and from one */
void node__sending_ask(struct node *n, const struct raft_message *m); /* raft */
void node__sendings_done(struct node *n, mono_ns now);                /* raft */
void node__sendings_take(struct node *n);                             /* apply */
bool node__sending_begin(struct node *n, struct store_job *j);        /* store */
void node__sending_give_up(struct node *n, struct store_job *j);      /* any */
void node__sendings_drop(struct node *n);                             /* at the end */
void node__receive(struct node *n, struct node_request *r);           /* work */

/* restore.c: a received snapshot takes the place of the state */
void node__restore_save(struct node *n, struct wal_job *j, const struct raft_snapshot *s);
void node__restore_stored(struct node *n, struct wal_job *j);
NODISCARD int node__restore_keep(struct node *n, const struct wal_job *j, struct err *e);
void node__restore_begin(struct node *n, struct apply_job *j);
void node__restore_file(struct node *n, struct store_job *j);
void node__restore_finish(struct node *n, struct store_job *j);
void node__forget_received(struct node *n, raft_index index);      /* store actor, and at start */
void node__received_free(struct received *r);                      /* NULL is accepted */
void node__snapshot_piece(struct node *n, struct node_request *r); /* work actor */
int64_t node__store_next_step(struct node *n, mono_ns now);
void node__publish_cluster(struct node *n);

/* space.c */
#define NODE_FULL_DATA 1u
#define NODE_FULL_LOG 2u
#define NODE_LOG_ENDS 4u
void node__disk_full(struct node *n, unsigned bit, bool full);
void node__log_room(struct node *n); /* wal actor: says whether the log ends */
bool node__quota_fits(struct node *n, uint64_t cost);
void node__raise_nospace(struct node *n, struct node_request *then);

static inline void node__wake(struct node *n, enum node_actor which)
{
    n->env.wake(n->env.wake_ctx, which);
}

/* The sooner of two times to run again; negative means never. */
static inline int64_t node__sooner(int64_t a, int64_t b)
{
    if (a < 0 || b < 0)
        return MAX(a, b);
    return MIN(a, b);
}

#endif
