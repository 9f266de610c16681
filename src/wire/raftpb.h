/* raftpb.h -- raft's messages as plain structs, and their protobuf form (package raftpb, proto2).
 *
 * These are the hot messages, so they are encoded by hand.  What is written follows etcd 3.7:
 * scalars that are zero are left out, except where noted.  What is read follows all of 3.5 to 3.7:
 * zero scalars present or absent, repeated numbers packed or not, unknown fields skipped, a
 * snapshot with index 0 is none.
 *
 * Source: go.etcd.io/raft, raftpb/raft.proto (numbers of fields, enums and messages).
 *
 * Threads: any.   Memory: decoders point into the input where they can (entry data, context) and
 * put arrays into the arena they are given.  An entry may carry the counted block that holds its
 * data, so that it can outlive the input: see struct payload.  Decoders leave `owner` NULL.
 */
#ifndef KETCH_WIRE_RAFTPB_H
#define KETCH_WIRE_RAFTPB_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/payload.h"

typedef uint64_t raft_index;
typedef uint64_t raft_term;
typedef uint64_t raft_id; /* a member; 0 = none */

enum raft_entry_type {
    RAFT_ENTRY_NORMAL = 0,
    RAFT_ENTRY_CONF_CHANGE = 1,
    RAFT_ENTRY_CONF_CHANGE_V2 = 2,
};

struct raft_entry {
    raft_term term;
    raft_index index;
    enum raft_entry_type type;
    struct bytes data;     /* inside `owner` when that is set, else borrowed */
    struct payload *owner; /* counted; NULL: whoever made the entry keeps the bytes alive */
};

struct raft_hard_state {
    raft_term term;
    raft_id vote;
    raft_index commit;
};

struct raft_ids {
    raft_id *v;
    size_t n;
};

struct raft_conf_state {
    struct raft_ids voters;
    struct raft_ids learners;
    struct raft_ids voters_outgoing;
    struct raft_ids learners_next;
    bool auto_leave;
};

struct raft_snapshot_meta {
    struct raft_conf_state conf_state;
    raft_index index; /* 0: no snapshot */
    raft_term term;
};

struct raft_snapshot {
    struct bytes data;
    struct raft_snapshot_meta meta;
};

enum raft_message_type {
    RAFT_MSG_HUP = 0,
    RAFT_MSG_BEAT = 1,
    RAFT_MSG_PROP = 2,
    RAFT_MSG_APP = 3,
    RAFT_MSG_APP_RESP = 4,
    RAFT_MSG_VOTE = 5,
    RAFT_MSG_VOTE_RESP = 6,
    RAFT_MSG_SNAP = 7,
    RAFT_MSG_HEARTBEAT = 8,
    RAFT_MSG_HEARTBEAT_RESP = 9,
    RAFT_MSG_UNREACHABLE = 10,
    RAFT_MSG_SNAP_STATUS = 11,
    RAFT_MSG_CHECK_QUORUM = 12,
    RAFT_MSG_TRANSFER_LEADER = 13,
    RAFT_MSG_TIMEOUT_NOW = 14,
    RAFT_MSG_READ_INDEX = 15,
    RAFT_MSG_READ_INDEX_RESP = 16,
    RAFT_MSG_PRE_VOTE = 17,
    RAFT_MSG_PRE_VOTE_RESP = 18,
    RAFT_MSG_STORAGE_APPEND = 19,
    RAFT_MSG_STORAGE_APPEND_RESP = 20,
    RAFT_MSG_STORAGE_APPLY = 21,
    RAFT_MSG_STORAGE_APPLY_RESP = 22,
    RAFT_MSG_FORGET_LEADER = 23,
    RAFT_MSG_END
};

struct raft_message {
    enum raft_message_type type;
    raft_id to;
    raft_id from;
    raft_term term;
    raft_term log_term;
    raft_index index;
    struct raft_entry *entries;
    size_t entries_n;
    raft_index commit;
    raft_id vote;
    struct raft_snapshot *snapshot; /* NULL: none */
    bool reject;
    raft_index reject_hint;
    struct bytes context;
    struct raft_message *responses; /* only on local storage messages */
    size_t responses_n;
};

enum raft_conf_change_type {
    RAFT_CONF_ADD_NODE = 0,
    RAFT_CONF_REMOVE_NODE = 1,
    RAFT_CONF_UPDATE_NODE = 2,
    RAFT_CONF_ADD_LEARNER_NODE = 3,
};

enum raft_conf_transition {
    RAFT_CONF_AUTO = 0,
    RAFT_CONF_JOINT_IMPLICIT = 1,
    RAFT_CONF_JOINT_EXPLICIT = 2,
};

struct raft_conf_change_single {
    enum raft_conf_change_type type;
    raft_id node_id;
};

/* ConfChange: one change, with etcd's request id and the member's JSON as context. */
struct raft_conf_change {
    uint64_t id;
    enum raft_conf_change_type type;
    raft_id node_id;
    struct bytes context;
};

struct raft_conf_change_v2 {
    enum raft_conf_transition transition;
    struct raft_conf_change_single *changes;
    size_t changes_n;
    struct bytes context;
};

/* Limits on what a decoder accepts, checked before anything is allocated. */
#define RAFTPB_CONF_IDS_MAX \
    4096 /* ids in one list of a ConfState, and changes in one ConfChangeV2 */
#define RAFTPB_ENTRIES_MAX 1048576 /* entries in one message */

/* Encoded size, and the encoder, which writes exactly that many bytes and returns the address
 * behind.  A message must have no `responses`: these never travel. */
size_t raft_entry_size(const struct raft_entry *e);
uint8_t *raft_entry_put(const struct raft_entry *e, uint8_t *p);
size_t raft_hard_state_size(const struct raft_hard_state *s);
uint8_t *raft_hard_state_put(const struct raft_hard_state *s, uint8_t *p);
size_t raft_conf_state_size(const struct raft_conf_state *s); /* auto_leave is always written */
uint8_t *raft_conf_state_put(const struct raft_conf_state *s, uint8_t *p);
size_t raft_snapshot_size(const struct raft_snapshot *s);
uint8_t *raft_snapshot_put(const struct raft_snapshot *s, uint8_t *p);
size_t raft_message_size(const struct raft_message *m);
uint8_t *raft_message_put(const struct raft_message *m, uint8_t *p);
size_t raft_conf_change_size(const struct raft_conf_change *c);
uint8_t *raft_conf_change_put(const struct raft_conf_change *c, uint8_t *p);
size_t raft_conf_change_v2_size(const struct raft_conf_change_v2 *c);
uint8_t *raft_conf_change_v2_put(const struct raft_conf_change_v2 *c, uint8_t *p);

/* 0, or
 *   ERR_CORRUPT   malformed, or an enum that is none of ours
 *   ERR_LIMIT     more than a limit above allows, or past the arena's maximum
 *   ERR_NOMEM */
NODISCARD int raft_entry_get(struct bytes in, struct raft_entry *ret, struct err *e);
NODISCARD int raft_hard_state_get(struct bytes in, struct raft_hard_state *ret, struct err *e);
NODISCARD int raft_conf_state_get(struct bytes in, struct arena *a, struct raft_conf_state *ret,
                                  struct err *e);
NODISCARD int raft_snapshot_get(struct bytes in, struct arena *a, struct raft_snapshot *ret,
                                struct err *e);
NODISCARD int raft_message_get(struct bytes in, struct arena *a, struct raft_message *ret,
                               struct err *e);
NODISCARD int raft_conf_change_get(struct bytes in, struct raft_conf_change *ret, struct err *e);
NODISCARD int raft_conf_change_v2_get(struct bytes in, struct arena *a,
                                      struct raft_conf_change_v2 *ret, struct err *e);

#endif
