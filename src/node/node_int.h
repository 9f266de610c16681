/* node_int.h -- the inside of a node: the member as a whole, and what each actor owns.
 *
 *                 requests                    jobs to write                committed entries
 *   I/O threads ------------> RAFT ----------------------------> WAL
 *        ^                    ^ | <------------------------------'
 *        |   results          | '--------------------------------------------------> APPLY
 *        |                    '----------------------------------------------------- | | ^
 *        '---------------------------------- results --------------------------------' v |
 *                                                                          WORK <--> STORE
 *
 *   jobs.h            what travels between them
 *   raft_actor.h      RAFT
 *   apply/apply.h     APPLY
 *   disk_actors.h     WAL, STORE and WORK
 *   snapshots.h       the way of a snapshot through all of them
 *   node_limits.h     how much of what
 */
#ifndef KETCH_NODE_NODE_INT_H
#define KETCH_NODE_NODE_INT_H

#include <stdatomic.h>

#include "engine/snap/snap.h"
#include "node/apply/apply.h"
#include "node/disk_actors.h"
#include "node/node_limits.h"
#include "node/raft_actor.h"
#include "node/snapshots.h"

#define NODE_DOWNGRADE_ON (UINT64_C(1) << 32) /* in pub.downgrade, above the version */

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

/* ---- of the whole (node.c) ---- */

mono_ns node__request_timeout_ns(const struct node *n); /* 5 s + 2 election timeouts */
NORETURN void node__die(struct node *n, const char *what, const struct err *e);
void node__mark_stopped(struct node *n, enum node_actor which);
bool node__actor_stopped(struct node *n, enum node_actor which); /* N10 */
void node__publish_cluster(struct node *n);                      /* apply actor */
bool node__quota_fits(struct node *n, uint64_t cost);            /* whatever the disk has */

static inline void node__wake(struct node *n, enum node_actor which)
{
    n->env.wake(n->env.wake_ctx, which);
}

/* ---- what is counted (metrics.c; measure.h has what is timed) ---- */

enum node_lease_count {
    NODE_LEASE_GRANTED,
    NODE_LEASE_REVOKED,
    NODE_LEASE_RENEWED,
    NODE_LEASE_EXPIRED,
};
void node__metrics_init(struct node *n);
void node__metrics_done(struct node *n);
struct wal_observer node__wal_observer(struct node *n);
void node__count_commit(struct node *n, mono_ns took);
void node__count_leader_change(struct node *n);
void node__count_events(struct node *n, const struct mvcc_event *ev, size_t k);
void node__count_lease(struct node *n, enum node_lease_count what);
void node__count_failed_proposal(struct node *n);
void node__count_pending(struct node *n, size_t pending);

#endif
