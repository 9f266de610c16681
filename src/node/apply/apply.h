/* apply.h -- the actor that owns everything under state/: it executes committed entries, answers
 * questions that are no reads of keys, and looks after leases, versions and the member's place.
 *
 * Everything here is called by the apply actor unless it says otherwise.  Private to node.
 */
#ifndef KETCH_NODE_APPLY_APPLY_H
#define KETCH_NODE_APPLY_APPLY_H

#include "node/jobs.h"
#include "raft_internal.pb-c.h"
#include "state/cluster/cluster.h"
#include "state/lease/lease.h"

/* What release another member runs, and when it said so. */
struct member_version {
    raft_id id;
    cluster_version version;
    mono_ns at;
};

struct apply_actor {
    struct mpsc jobs;                /* apply_job from raft */
    struct mpsc requests;            /* node_request: queries and watches */
    struct mpsc_node *queries;       /* taken out of it, not answered yet */
    size_t query_units;              /* of this turn: what the answers cost */
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
    _Atomic unsigned revokes;    /* expired leases being revoked */
    _Atomic bool checkpointing;  /* what leases have left is on its way to the log */
    mono_ns checkpoint_again;    /* when it is looked at next */
    bool compacting;             /* a job is with the store actor */
    uint64_t compactions_queued; /* accepted, not yet out of the file */
    uint64_t compactions_done;
    bool cluster_changed;      /* what is published of the membership is old */
    struct heap later;         /* requests that are tried again, by when: forward.c */
    struct heap later_entries; /* those of them that wait for an entry, by its index */
    struct list awaited;       /* keep-alives that wait for an expired lease to go */
    struct list to_store; /* store_job.queue: until what was applied before them can be sealed */
    struct list physical; /* compactions that wait until the file is rid of what went (age) */
    struct hash_checks *checks; /* apply/checks.c; NULL: none is asked for */
    struct arena scratch;       /* decoding of one entry */
    struct outbox out;
    mono_ns now;
    wall_ms wall;
};

int64_t node__run_apply(struct node *n, mono_ns now, wall_ms wall); /* apply.c: one turn */

/* ---- entries (entry.c, request.c, alarms.c, auth.c, members.c) ---- */

void node__apply_entry(struct node *n, const struct raft_entry *e, struct node_request *waiter,
                       struct apply_job *j);
void node__apply_request(struct node *n, const Etcdserverpb__InternalRaftRequest *r,
                         struct node_request *waiter);
/* What a request of the log ends with; w may be NULL. */
void node__apply_answer(struct node *n, struct node_request *w);
void node__apply_refuse(struct node *n, struct node_request *w, enum api_error err);
/* A message that is to be filled in for the waiter; NULL when nobody waits, or without memory. */
void *node__apply_reply(struct node_request *w, const ProtobufCMessageDescriptor *d);

void node__apply_alarm(struct node *n, const Etcdserverpb__AlarmRequest *r, struct node_request *w);
/* Proposes the alarm of a full quota; `then` (may be NULL) is refused behind it. */
void node__raise_nospace(struct node *n, struct node_request *then);

/* API_OK, or why the entry may not be executed; every member comes to the same. */
enum api_error node__auth_refuses(struct node *n, const Etcdserverpb__InternalRaftRequest *r);
/* False: it is not about users and roles. */
bool node__apply_auth(struct node *n, const Etcdserverpb__InternalRaftRequest *r,
                      struct node_request *w);
void node__auth_as_root(struct node *n, struct node_request *r);
void node__auth_publish(struct node *n);

void node__member_change_check(struct node *n, struct node_request *r);  /* before it is proposed */
void node__member_change_answer(struct node *n, struct node_request *r); /* when it acts */

/* ---- questions (query.c, forward.c) ---- */

void node__apply_query(struct node *n, struct node_request *r);
void node__query_finish(struct node *n, struct node_request *r);
/* The answer's message, to be filled in; NULL: no memory, which is the answer then. */
void *node__reply_new(struct node_request *r, const ProtobufCMessageDescriptor *d);
void node__no_memory(struct node_request *r); /* makes that the answer */
Etcdserverpb__Member **node__members_copy(const struct cluster_view *v, struct arena *a,
                                          size_t *ret_n); /* NULL without memory */
void node__keepalive_answer(struct node *n, struct node_request *r, int64_t ttl);
void node__leases_end_waits(struct node *n);

/* auth.c.  False: the question about leases was refused, and answered so. */
bool node__auth_allows(struct node *n, struct node_request *r);
/* Users or roles have changed since it was allowed. */
bool node__auth_moved(const struct node *n, const struct node_request *r);

/* forward.c: to the leader, and what has to wait.  True: the request was taken care of. */
bool node__forward(struct node *n, struct node_request *r);
bool node__forward_came_back(struct node *n, struct node_request *r);
/* False: all that is committed is applied. */
bool node__wait_applied(struct node *n, struct node_request *r);
bool node__wait_sure(struct node *n, struct node_request *r); /* that this member leads */
void node__wait_entry(struct node *n, struct node_request *r);
void node__later_run(struct node *n);

/* ---- what nobody asks for (background.c) ---- */

void node__apply_monitor(struct node *n);
void node__apply_background(struct node *n);
int64_t node__apply_next_due(struct node *n);   /* ns; negative: when woken */
void node__attributes_restored(struct node *n); /* the membership comes from a snapshot */

/* ---- to the store actor and back (to_store.c) ---- */

void node__apply_to_store(struct node *n, struct store_job *j);
void node__apply_hand_over(struct node *n);
void node__apply_store_done(struct node *n);

/* ---- releases (versions.c) ---- */

void node__versions_take(struct node *n);
void node__versions_monitor(struct node *n);
void node__version_apply(struct node *n, cluster_version v);
void node__storage_version_monitor(struct node *n);
void node__downgrade_monitor(struct node *n);
mono_ns node__downgrade_due(const struct node *n); /* INT64_MAX: nothing is due */
void node__versions_done(struct node *n);          /* at the end */

/* ---- are the members' keys the same? (checks.c) ---- */

void node__checks_run(struct node *n);
mono_ns node__checks_due(const struct node *n);
void node__checks_done(struct node *n); /* at the end */

#endif
