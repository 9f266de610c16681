/* raft_actor.h -- the actor that agrees: requests become entries, entries become durable and
 * committed, messages go to the other members and come from them.
 *
 * Everything here is called by the raft actor unless it says otherwise.  Private to node.
 */
#ifndef KETCH_NODE_RAFT_ACTOR_H
#define KETCH_NODE_RAFT_ACTOR_H

#include "base/map64.h"
#include "node/jobs.h"

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
    struct map64 waiting; /* request id -> node_request */
    struct list by_age;   /* of the waiting ones: their deadlines are in this order */
    struct list blocked;  /* proposals that came while no leader was known */
    struct list riders;   /* proposals that wait for others to go with, at the latest until */
    mono_ns ride_by;
    mono_ns wrote_at;         /* when another one was last proposed */
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

int64_t node__run_raft(struct node *n, mono_ns now, wall_ms wall); /* raft_actor.c: one turn */

/* ---- requests (raft_requests.c) ---- */

struct batch *node__batch_new(void);
void node__raft_take_requests(struct node *n, mono_ns now);
/* Who waits for the entry; NULL: nobody does, or it is another member's. */
struct node_request *node__waiting_take(struct node *n, const struct raft_entry *e);
void node__raft_expire(struct node *n, mono_ns now); /* ends waits whose time is over */
void node__raft_fail_all(struct node *n, enum api_error err);

/* timeout.c: the error of a request that has waited since then, with etcd's reason. */
enum api_error node__timeout_error(struct node *n, mono_ns since);

/* ---- linearizable reads (read_index.c) ---- */

void node__raft_reads_step(struct node *n, mono_ns now);
bool node__raft_reads_are_busy(struct node *n); /* any thread */
/* The end of a turn.  False: reads came that nobody will wake the actor for: another turn (N9). */
bool node__raft_reads_wait(struct node *n);
void node__raft_read_state(struct node *n, const struct raft_read_state *rs); /* a round's answer */
void node__raft_reads_applied(struct node *n);
void node__raft_reads_fail(struct node *n, enum api_error err);

/* ---- the log in memory and behind it (raft_log.c) ---- */

mono_ns node__raft_ride_by(const struct node *n); /* INT64_MAX: nobody waits for a ride */

void node__raft_log_init(struct node *n);
void node__raft_log_done(struct node *n);
void node__raft_log_turn(struct node *n, mono_ns now);
mono_ns node__raft_log_due(const struct node *n); /* INT64_MAX: only when woken */
void node__raft_log_stored(struct node *n, const struct wal_job *j);
void node__raft_log_compact(struct node *n); /* N6 */
void node__raft_log_read(struct node *n);    /* work actor */
void node__raft_marker_stored(struct node *n, struct wal_job *j);

/* ---- the other members (peers.c) ---- */

void node__peers_take(struct node *n);
/* What consensus knows of a member.  False: it is none. */
bool node__raft_peer(struct node *n, raft_id id, struct raft_peer_status *ret);
/* May wait for node__peers_flush. */
void node__peers_send(struct node *n, const struct raft_message *m, size_t k);
void node__peers_flush(struct node *n);
void node__peers_drop(struct node *n); /* at the end: what nobody takes any more */

/* held.c: proposals at the wrong moment. */
bool node__is_leaderless(const struct node *n);          /* they must wait */
bool node__hold(struct node *n, struct node_message *x); /* true: it was taken */
void node__held_step(struct node *n, mono_ns now);
void node__held_drop(struct node *n);

/* ---- leadership ---- */

/* leadership.c */
void node__leadership_tick(struct node *n, mono_ns now); /* before the actor ticks */
bool node__leadership_doubtful(struct node *n);          /* apply actor */

/* transfer.c */
void node__transfer_begin(struct node *n, struct node_request *r);
void node__transfers_step(struct node *n, mono_ns now);
raft_id node__longest_connected(struct node *n); /* voter; RAFT_NONE: there is none */

/* slow_disk.c: a log that hangs costs the leadership. */
void node__log_write_begins(struct node *n, mono_ns now); /* wal actor */
void node__log_write_ends(struct node *n);                /* wal actor */
void node__slow_disk_step(struct node *n, mono_ns now);

void node__first_ticks(struct node *n, mono_ns now); /* first_ticks.c */

#endif
