/* raft.h -- consensus: events in, work out.
 *
 * The core decides and does nothing else.  It is told what happened (a message came, a tick passed,
 * a client proposes, storage has written, the state machine has applied) and answers with updates:
 * what to write, what to send, what to apply.  It behaves as etcd-io/raft does, message by message,
 * so that its members vote and replicate beside real ones.
 *
 * It reads no clock, no chance, no disk and no socket, starts no thread, and allocates nothing in
 * its steady state.  A member that cannot get memory here stops: half a decision is worse than
 * no decision.
 *
 * The loop of its owner, with storage and apply on threads of their own (async_storage_writes):
 *
 *     on event:          raft_step / raft_tick / raft_propose / raft_read_index ...
 *     after a batch:     while (raft_has_update(r)) {
 *                            raft_take_update(r, &u);
 *                            send u.messages
 *                            to storage: u.snapshot, u.entries, u.hard, u.after_store, u.stored
 *                            to apply:   u.snapshot, u.committed, u.applied
 *                        }
 *     storage is done:   for each m of after_store: m.to == own id ? raft_step(r, m) : send m;
 *                        raft_stored(r, &stored);
 *     apply is done:     raft_applied(r, &applied);
 *
 * Storage jobs are done in the order of the updates; so are apply jobs; the two are independent,
 * and any number may be outstanding.  Storage may finish several jobs with one sync, and then
 * acknowledges each in order.  What raft_storage answers must include the entries of a job before
 * its raft_stored; it may include them from the moment of raft_take_update on.  Messages in
 * u.messages do not depend on the write and go out in parallel with it; those in u.after_store are
 * promises, and may not leave before the write is durable; they carry no entries, no snapshot and
 * no context but a constant, so that copying the structs is enough to keep them.
 *
 * Synchronously: take an update, store, send u.messages and those of u.after_store that go to
 * others, apply u.snapshot and u.committed, then raft_advance, which does the acknowledging and the
 * messages to oneself.
 *
 * A configuration change acts when it is applied: for each committed entry of such a type the owner
 * decodes it and calls raft_apply_conf_change, before acknowledging that entry as applied (a
 * refused one is applied with no node id, see there).
 *
 * Threads: owned by one thread.   Memory: arguments are borrowed for the call; data of entries is
 * kept by reference when the entry has an owner, else copied.  What an update points to is borrowed
 * until the next raft_take_update or raft_free.
 */
#ifndef KETCH_ENGINE_RAFT_RAFT_H
#define KETCH_ENGINE_RAFT_RAFT_H

#include "engine/raft/raft_limits.h"
#include "engine/raft/raft_storage.h"
#include "wire/raftpb.h"

#define RAFT_ERR_MAP(X)                                                                  \
    X(PROPOSAL_DROPPED, -100, "raft proposal dropped")                                   \
    X(STEP_LOCAL, -101, "raft: cannot step raft local message")                          \
    X(PEER_NOT_FOUND, -102, "raft: cannot step as peer not found")                       \
    X(COMPACTED, -103, "requested index is unavailable due to compaction")               \
    X(UNAVAILABLE, -104, "requested entry at index is unavailable")                      \
    X(SNAPSHOT_OUT_OF_DATE, -105, "requested index is older than the existing snapshot") \
    X(SNAPSHOT_UNAVAILABLE, -106, "snapshot is temporarily unavailable")                 \
    X(CONFIG, -107, "invalid raft configuration")                                        \
    X(CONF_CHANGE, -108, "configuration change is not possible")                         \
    X(READ_REFUSED, -109, "read index request refused")                                  \
    X(LOG_LOST, -110, "the leader counts on entries that are not here")

enum raft_err {
#define X(name, code, text) ERR_RAFT_##name = code,
    RAFT_ERR_MAP(X)
#undef X
};

/* The fixed text of a code above; others as err_text. */
const char *raft_err_text(int code);

/* Senders of the two acknowledgements when these are given as messages. */
#define RAFT_NONE ((raft_id) 0)
#define RAFT_LOCAL_APPEND_THREAD UINT64_MAX
#define RAFT_LOCAL_APPLY_THREAD (UINT64_MAX - 1)

enum raft_state {
    RAFT_FOLLOWER,
    RAFT_CANDIDATE,
    RAFT_LEADER,
    RAFT_PRE_CANDIDATE,
};

enum raft_read_only {
    RAFT_READ_ONLY_SAFE,       /* a read waits for a round of heartbeats to a quorum */
    RAFT_READ_ONLY_LEASE_BASED /* trusts clocks; needs check_quorum */
};

/* Where log lines go: texts as etcd-io/raft writes them.  With emit NULL or below `level` nothing
 * is formatted. */
enum raft_trace_level { RAFT_TRACE_DEBUG, RAFT_TRACE_INFO, RAFT_TRACE_WARN, RAFT_TRACE_ERROR };

struct raft_trace {
    enum raft_trace_level level;
    void (*emit)(void *arg, enum raft_trace_level level, const char *text);
    void *arg;
};

/* The only chance in the core: election timeouts.  Uniform in [0, bound), bound > 0. */
struct raft_random {
    uint64_t (*below)(void *arg, uint64_t bound);
    void *arg;
};

/* "Bytes" of entries are their encoded size, except where "data" is said. */
struct raft_config {
    raft_id id;              /* not 0, not a local thread's */
    uint32_t election_tick;  /* ticks; > heartbeat_tick */
    uint32_t heartbeat_tick; /* ticks; > 0 */
    struct raft_storage *storage;
    raft_index applied;     /* at a restart: entries up to here are not handed out again; else 0 */
    uint64_t msg_bytes_max; /* entries in one append; one entry always goes */
    uint64_t committed_bytes_max;   /* handed out and not yet applied; 0: msg_bytes_max */
    uint64_t uncommitted_bytes_max; /* data of proposals that wait for their commit; 0: no limit */
    uint32_t inflight_max;          /* appends on the way to one follower; > 0 */
    uint64_t inflight_bytes_max;    /* data of these; 0: no limit, else >= msg_bytes_max */
    bool check_quorum;
    bool pre_vote;
    enum raft_read_only read_only;
    bool disable_proposal_forwarding;
    bool disable_conf_change_validation;
    bool step_down_on_removal;
    bool async_storage_writes;
    /* With async writes, a request for votes waits in after_store until the term, the vote and the
     * log that it names are stored.  etcd-io/raft sends it at once; a candidate that loses them in
     * a power cut and asks again in the same term may then be elected by votes for a log that it
     * has no longer, and committed entries are lost.  Off: as etcd-io/raft. */
    bool vote_requests_after_store;
    struct raft_random random; /* below is required */
    struct raft_trace trace;
};

struct raft;

/* Restores the state that storage has.  The configuration is copied; storage, and what the `arg`s
 * in it point to, are borrowed until raft_free.  0 or ERR_RAFT_CONFIG with words; aborts when
 * storage contradicts itself (a commit index outside of the log). */
NODISCARD int raft_new(const struct raft_config *c, struct raft **ret, struct err *e);
void raft_free(struct raft *r); /* NULL is accepted */

/* A member of a new cluster, and the context that its ConfChange entry carries. */
struct raft_peer {
    raft_id id;
    struct bytes context;
};

/* Starts a new cluster on an empty storage: term 1, one committed ConfChange (add) per peer, to be
 * applied like any other.  ERR_RAFT_CONFIG when the storage is not empty or there are no peers. */
NODISCARD int raft_bootstrap(struct raft *r, const struct raft_peer *peers, size_t n,
                             struct err *e);

/* ---- events ---- */

/* One tick of the owner's clock. */
void raft_tick(struct raft *r);

/* A message of a peer, or one to oneself out of after_store; also accepted are MsgStorageAppendResp
 * and MsgStorageApplyResp from the local threads, which are raft_stored and raft_applied as
 * messages.  0, or
 *
 *   ERR_RAFT_PROPOSAL_DROPPED   a proposal that cannot be taken or forwarded now
 *   ERR_RAFT_STEP_LOCAL         a type that only oneself may raise
 *   ERR_RAFT_PEER_NOT_FOUND     a response by someone who is no member
 *   ERR_RAFT_LOG_LOST           the leader knows that this member has stored what is not here: its
 *                               directory was lost, and its votes count for nothing any more.  The
 *                               owner says so (raft_log_lost_text) and stops
 *
 * Errors other than these do not exist; a message that makes no sense now is ignored. */
NODISCARD int raft_step(struct raft *r, const struct raft_message *m);

/* What etcd-io/raft says at its end of a message that was answered by ERR_RAFT_LOG_LOST, written to
 * `buf`; returns it. */
#define RAFT_LOG_LOST_BYTES 160
const char *raft_log_lost_text(const struct raft *r, const struct raft_message *m,
                               char buf[RAFT_LOG_LOST_BYTES]);

/* Proposes entries as one batch; of each only type, data and owner are read.  All are taken or
 * none: 0, or ERR_RAFT_PROPOSAL_DROPPED (no leader, a transfer under way, too much uncommitted or
 * not yet stored, removed).  0 says only that they were appended or forwarded: they may still be
 * lost with the leader. */
NODISCARD int raft_propose(struct raft *r, const struct raft_entry *v, size_t n);

/* As raft_propose.  A change that is not possible now becomes an empty entry, which says nothing to
 * the proposer: it times out. */
NODISCARD int raft_propose_conf_change(struct raft *r, const struct raft_conf_change *c);
NODISCARD int raft_propose_conf_change_v2(struct raft *r, const struct raft_conf_change_v2 *c);

/* Asks for an index such that a state that has applied it sees every write acknowledged before now.
 * The answer is a read state of a later update with the same context; none comes when the leader is
 * lost meanwhile: ask again.  0, or ERR_RAFT_READ_REFUSED (context too long, or no leader known, or
 * too many waiting). */
NODISCARD int raft_read_index(struct raft *r, struct bytes context);

/* Starts an election now, unless that is not allowed now (logged). */
void raft_campaign(struct raft *r);

/* Hands leadership over; on a follower asks the leader to.  Given up after one election timeout. */
void raft_transfer_leader(struct raft *r, raft_id to);

/* As if this follower had never heard of its leader in this term, so that it may vote at once. */
void raft_forget_leader(struct raft *r);

/* The last append or heartbeat to `id` could not be sent. */
void raft_report_unreachable(struct raft *r, raft_id id);

/* The snapshot sent to `id` has arrived, or has not. */
void raft_report_snapshot(struct raft *r, raft_id id, bool ok);

/* The storage has what it answered ERR_AGAIN for: the followers that waited for entries are sent
 * some, and the owner's own go on.  Who is not told goes on with an answer of the follower, the
 * next heartbeat, or tick. */
void raft_entries_arrived(struct raft *r);

/* ---- updates ---- */

struct raft_soft_state {
    raft_id lead;
    enum raft_state state;
};

struct raft_read_state {
    raft_index index;
    struct bytes context;
};

/* Given back to raft_stored when the job is durable.  index and snapshot_index 0: nothing to
 * acknowledge. */
struct raft_store_mark {
    raft_term term;     /* of the core when the job was handed out */
    raft_index index;   /* last unstable entry then */
    raft_term log_term; /* its term */
    raft_index snapshot_index;
};

/* Given back to raft_applied.  Marks of neighbouring updates may be merged: the last index, sums of
 * the rest. */
struct raft_apply_mark {
    raft_index index;
    uint64_t bytes;      /* encoded size of the entries */
    uint64_t data_bytes; /* of their data */
};

struct raft_update {
    bool soft_changed;
    struct raft_soft_state soft; /* volatile; need not be kept */

    bool hard_changed;
    struct raft_hard_state hard; /* to be kept, after the entries, when hard_changed */

    const struct raft_read_state *read_states;
    size_t read_states_n;

    const struct raft_snapshot
        *snapshot; /* to be kept and to replace the state machine; NULL: none */
    const struct raft_entry
        *entries; /* to be kept; they replace what the log has from their first index on */
    size_t entries_n;
    bool must_sync; /* entries, term or vote: must be durable before after_store; a mere commit need
                       not */

    const struct raft_message *messages; /* may go at once */
    size_t messages_n;
    const struct raft_message
        *after_store; /* may go once entries, snapshot and hard state are durable */
    size_t after_store_n;
    struct raft_store_mark stored;

    const struct raft_entry
        *committed; /* to be applied in order; with async writes all of them are durable */
    size_t committed_n;
    struct raft_apply_mark applied;
};

/* There is something for storage to do, or something waits for what it does already. */
static inline bool raft_update_stores(const struct raft_update *u)
{
    return u->entries_n != 0 || u->hard_changed || u->snapshot != NULL || u->after_store_n != 0;
}

bool raft_has_update(const struct raft *r);

/* Everything that has gathered, possibly nothing.  With synchronous writes each must be followed by
 * raft_advance before the next. */
void raft_take_update(struct raft *r, struct raft_update *ret);

/* True: to acknowledge this entry once more would change nothing.  Jobs that were handed out while
 * it was on its way to the disk bear the same mark. */
bool raft_is_stored(const struct raft *r, raft_index i);
/* The job with this mark is durable.  A snapshot counts as applied, too. */
void raft_stored(struct raft *r, const struct raft_store_mark *mark);
/* The state machine has applied up to mark->index. */
void raft_applied(struct raft *r, const struct raft_apply_mark *mark);

/* Synchronous writes: the last update is stored and applied. */
void raft_advance(struct raft *r);

/* Applies a committed configuration change; one that the state machine refuses is applied with node
 * id 0 in each change, which changes nothing.  *ret (optional) is borrowed until the next call of
 * this function. 0, or ERR_RAFT_CONF_CHANGE with etcd's words when the change does not fit the
 * configuration: nothing has changed, and the member must stop, for the log said otherwise. */
NODISCARD int raft_apply_conf_change(struct raft *r, const struct raft_conf_change_v2 *c,
                                     struct raft_conf_state *ret, struct err *e);

/* A snapshot that includes index `i` has come since the entry was handed out.  With apply on a
 * thread of its own such an entry is stale: its configuration change must not be applied any more,
 * for the snapshot's configuration is newer, and already in force. */
bool raft_is_superseded(const struct raft *r, raft_index i);

/* A ConfChange as a ConfChangeV2 with one change, which lies in *single. */
struct raft_conf_change_v2 raft_conf_change_as_v2(const struct raft_conf_change *c,
                                                  struct raft_conf_change_single *single);

/* ---- status ---- */

enum raft_progress_state { RAFT_PROBE, RAFT_REPLICATE, RAFT_SNAPSHOT };

/* What a leader knows of one member: etcd-io/raft, tracker/progress.go. */
struct raft_peer_status {
    raft_id id;
    raft_index match; /* its log is the leader's up to here */
    raft_index next;  /* the first entry of the next append */
    enum raft_progress_state state;
    raft_index pending_snapshot; /* of the snapshot on its way; 0: none */
    uint32_t inflight;           /* appends on their way */
    bool inflight_full;
    bool recent_active; /* heard of since the last look at the quorum */
    bool paused;        /* nothing is sent until something comes */
    bool learner;
};

struct raft_status {
    raft_id id;
    raft_id lead;
    enum raft_state state;
    raft_term term;
    raft_id vote;
    raft_index commit;
    raft_index applied;
    raft_index first_index;
    raft_index last_index;
    raft_id lead_transferee;
    bool learner;
    size_t peers_n; /* members, learners and self included */
};

void raft_get_status(const struct raft *r, struct raft_status *ret);

/* The i-th member in ascending order of ids, i < peers_n.  Progress is meaningful on a leader only.
 */
void raft_get_peer(const struct raft *r, size_t i, struct raft_peer_status *ret);

raft_id raft_get_id(const struct raft *r);
raft_term raft_get_term(const struct raft *r);
raft_id raft_get_lead(const struct raft *r);
raft_id raft_get_lead_transferee(const struct raft *r); /* RAFT_NONE: none, or not the leader */
enum raft_state raft_get_state(const struct raft *r);
raft_index raft_get_commit(const struct raft *r);
raft_index raft_get_applied(const struct raft *r);
raft_index raft_get_last_index(const struct raft *r);

/* This member is the only voter: a commit waits for no one, a read index for no round. */
bool raft_is_single_voter(const struct raft *r);

/* Data of proposals not known to be applied, as counted against uncommitted_bytes_max. */
uint64_t raft_get_uncommitted_bytes(const struct raft *r);

/* For tests: the number of ticks before this member campaigns. */
void raft_set_randomized_election_timeout(struct raft *r, uint32_t ticks);

#endif
