/* describe.h -- what the core handles, as text: the forms of etcd-io/raft, byte for byte.
 *
 * For log lines, transcripts and tools.  Ids are hexadecimal; lines are separated by '\n' without
 * one at the end, unless said otherwise.
 */
#ifndef KETCH_ENGINE_RAFT_DESCRIBE_H
#define KETCH_ENGINE_RAFT_DESCRIBE_H

#include "base/buf.h"
#include "engine/raft/raft.h"

const char *raft_message_type_name(enum raft_message_type t); /* "MsgApp" */
const char *raft_entry_type_name(enum raft_entry_type t);     /* "EntryNormal" */
const char *raft_state_name(enum raft_state s);               /* "StateLeader" */
const char *raft_progress_state_name(enum raft_progress_state s);

/* Go's %q: a quoted string with everything but printable ASCII escaped. */
void raft_describe_quoted(struct buf *b, struct bytes s);
/* 1/4 EntryNormal "data" */
void raft_describe_entry(struct buf *b, const struct raft_entry *e);
/* One line per entry, each with its '\n'. */
void raft_describe_entries(struct buf *b, const struct raft_entry *v, size_t n);
/* Index:4 Term:1 ConfState:Voters:[1 2] ... */
void raft_describe_snapshot(struct buf *b, const struct raft_snapshot *s);
/* 1->2 MsgApp Term:1 Log:1/10 ...; may have several lines, each after the first indented. */
void raft_describe_message(struct buf *b, const struct raft_message *m);
/* transition:ConfChangeTransitionAuto changes:{type:ConfChangeAddNode node_id:2} */
void raft_describe_conf_change(struct buf *b, const struct raft_conf_change_v2 *c);
/* v2 l3 r4 */
void raft_describe_changes(struct buf *b, const struct raft_conf_change_single *v, size_t n);
/* StateProbe match=0 next=1 */
void raft_describe_peer(struct buf *b, const struct raft_peer_status *p);

#endif
