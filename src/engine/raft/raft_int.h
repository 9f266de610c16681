/* raft_int.h -- the core's state, and what its files call of one another.
 *
 *                          timeout                          majority of pre-votes
 *   +----------+  (pre_vote)      +---------------+  -------------------------> +-----------+
 *   | FOLLOWER | ---------------> | PRE-CANDIDATE |                             | CANDIDATE |
 *   +----------+ <--------------- +---------------+  +------------------------- +-----------+
 *     ^  ^   |    lost, or a leader                  |   lost, or a leader        ^      |
 *     |  |   +---------------------------------------+----------------------------+      | majority
 *     |  |           timeout without pre_vote, or MsgTimeoutNow                          v
 *     |  +-----------------------------------------------------------------------  +--------+
 *     |      higher term, quorum not heard of, removed (step_down_on_removal)      | LEADER |
 *   any state on a higher term                                                     +--------+
 *
 * True in each state:
 *   FOLLOWER       lead is the leader of this term, or none when it is not known
 *   PRE-CANDIDATE  lead is none; term and vote are untouched: who cannot win disturbs nobody
 *   CANDIDATE      lead is none; vote is this member
 *   LEADER         lead is this member; it never removes an entry of its log; its own progress is
 *                  REPLICATE while it is a member
 */
#ifndef KETCH_ENGINE_RAFT_RAFT_INT_H
#define KETCH_ENGINE_RAFT_RAFT_INT_H

#include "base/plant.h"
#include "engine/raft/confchange.h"
#include "engine/raft/describe.h"
#include "engine/raft/log.h"
#include "engine/raft/outbox.h"
#include "engine/raft/read_only.h"
#include "engine/raft/tracker.h"

#define RAFT_MAGIC 0x72616674u /* a core that is alive */

struct raft {
    uint32_t magic;
    struct raft_config config;
    const struct raft_trace *trace; /* &config.trace */

    raft_term term;
    raft_id vote;
    raft_id lead;
    enum raft_state state;
    bool learner;

    struct raft_log log;
    struct raft_tracker tracker;

    raft_id lead_transferee;
    raft_index
        restored_index; /* of the last snapshot that replaced the log; 0: none in this life */
    /* A configuration change may be proposed only once this index is applied. */
    raft_index pending_conf_index;
    uint64_t uncommitted_bytes;

    /* Ticks. */
    uint32_t election_elapsed; /* since the leader was heard of; on a leader since the last check of
                                  its quorum */
    uint32_t heartbeat_elapsed;
    uint32_t randomized_election_timeout;

    struct raft_read_queue reads;     /* waiting for a quorum */
    struct raft_read_queue postponed; /* waiting for the first commit of the term */

    struct raft_outbox out[2];
    int gathering; /* the one of `out` that gathers */
    struct raft_entry_list scratch;

    /* As of the last update. */
    struct raft_soft_state prev_soft;
    struct raft_hard_state prev_hard;
    /* Synchronous writes: an update waits for raft_advance, with these. */
    bool advance_due;
    struct raft_store_mark advance_stored;
    struct raft_apply_mark advance_applied;
};

static inline struct raft_outbox *raft__out(struct raft *r)
{
    return &r->out[r->gathering];
}

static inline struct raft_progress *raft__self(const struct raft *r)
{
    return raft__tracker_get(&r->tracker, r->config.id);
}

/* Debug builds check at every event. */
void raft__check(const struct raft *r);

/* ---- raft.c: who one is ---- */

void raft__become_follower(struct raft *r, raft_term term, raft_id lead);
void raft__become_candidate(struct raft *r);
void raft__become_pre_candidate(struct raft *r);
void raft__become_leader(struct raft *r);
struct raft_hard_state raft__hard_state(const struct raft *r);
struct raft_soft_state raft__soft_state(const struct raft *r);

/* ---- send.c ---- */

/* Into the outbox, with sender and term filled in; entries, if any, are copied to the pool. */
void raft__send(struct raft *r, struct raft_message m);
/* As raft__send, with entries that are in the pool already, from `entries_at` on. */
void raft__send_pooled(struct raft *r, struct raft_message m, size_t entries_at);

/* ---- replicate.c: a leader to its followers ---- */

bool raft__maybe_send_append(struct raft *r, raft_id to, bool send_if_empty);
void raft__bcast_append(struct raft *r);
void raft__bcast_heartbeat(struct raft *r);
bool raft__maybe_commit(struct raft *r);
bool raft__committed_in_current_term(const struct raft *r);
/* Gives the entries terms and indices, and takes them into the log. */
void raft__append_entries(struct raft *r, const struct raft_entry *v, size_t n);
/* The same within limits; false: too much waits for its commit, or for storage. */
bool raft__append_proposal(struct raft *r, const struct raft_entry *v, size_t n);
/* The data size of entries, as it is counted against limits. */
uint64_t raft__data_bytes(const struct raft_entry *v, size_t n);

/* ---- election.c ---- */

enum raft_campaign_kind {
    RAFT_CAMPAIGN_PRE_ELECTION,
    RAFT_CAMPAIGN_ELECTION,
    RAFT_CAMPAIGN_TRANSFER, /* the leader asked for it: voters disregard its lease */
};

#define RAFT_CAMPAIGN_TRANSFER_CONTEXT "CampaignTransfer"

bool raft__promotable(const struct raft *r);
void raft__hup(struct raft *r, enum raft_campaign_kind kind);
void raft__campaign(struct raft *r, enum raft_campaign_kind kind);
enum raft__vote_result raft__poll(struct raft *r, raft_id id, enum raft_message_type t,
                                  bool granted, uint32_t *ret_granted, uint32_t *ret_rejected);
void raft__handle_vote_request(struct raft *r, const struct raft_message *m);

/* ---- step*.c: one message ---- */

/* Term rules, then the state's own; errors as raft_step. */
int raft__step(struct raft *r, const struct raft_message *m);
int raft__step_leader(struct raft *r, const struct raft_message *m);
int raft__step_candidate(struct raft *r, const struct raft_message *m);
int raft__step_follower(struct raft *r, const struct raft_message *m);

/* ---- propose.c ---- */

int raft__leader_propose(struct raft *r, const struct raft_message *m);
int raft__propose_leave_joint(struct raft *r);

/* ---- follower.c: what a leader tells a follower ---- */

void raft__handle_append(struct raft *r, const struct raft_message *m);
/* 0 or ERR_RAFT_LOG_LOST. */
NODISCARD int raft__handle_heartbeat(struct raft *r, const struct raft_message *m);
void raft__handle_snapshot(struct raft *r, const struct raft_message *m);

/* ---- reads.c ---- */

void raft__leader_read_index(struct raft *r, const struct raft_message *m);
void raft__leader_read_ack(struct raft *r, struct raft_progress *p, struct bytes context);
void raft__release_postponed_reads(struct raft *r);

/* ---- transfer.c ---- */

void raft__leader_transfer(struct raft *r, struct raft_progress *p);
void raft__send_timeout_now(struct raft *r, raft_id to);
void raft__abort_transfer(struct raft *r);

/* ---- membership.c ---- */

/* After the tracker has changed: what follows from it for this member. */
void raft__switched_config(struct raft *r);

/* ---- update.c ---- */

void raft__applied_to(struct raft *r, raft_index i, uint64_t bytes);
void raft__applied_snapshot(struct raft *r, raft_index i);

/* ---- text for log lines, into memory that the caller gives; returns `buf` ---- */

#define RAFT_MEMBERS_TEXT_BYTES 4096
#define RAFT_PROGRESS_TEXT_BYTES 256

const char *raft__members_text(const struct raft_members *m, char *buf, size_t n);
const char *raft__progress_text(const struct raft_progress *p, char *buf, size_t n);

#define MEMBERS_TEXT(m) \
    raft__members_text((m), (char[RAFT_MEMBERS_TEXT_BYTES]){0}, RAFT_MEMBERS_TEXT_BYTES)
#define PROGRESS_TEXT(p) \
    raft__progress_text((p), (char[RAFT_PROGRESS_TEXT_BYTES]){0}, RAFT_PROGRESS_TEXT_BYTES)

#endif
