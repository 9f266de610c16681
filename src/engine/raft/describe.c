#include "engine/raft/describe.h"

#include "engine/raft/confchange.h"

#define DESCRIBE_CONF_CHANGE_BYTES_MAX 65536

static const char *name_of(const char *const *names, size_t n, size_t i)
{
    ASSERT(i < n);
    return names[i];
}

const char *raft_message_type_name(enum raft_message_type t)
{
    static const char *const names[] = {
        "MsgHup",
        "MsgBeat",
        "MsgProp",
        "MsgApp",
        "MsgAppResp",
        "MsgVote",
        "MsgVoteResp",
        "MsgSnap",
        "MsgHeartbeat",
        "MsgHeartbeatResp",
        "MsgUnreachable",
        "MsgSnapStatus",
        "MsgCheckQuorum",
        "MsgTransferLeader",
        "MsgTimeoutNow",
        "MsgReadIndex",
        "MsgReadIndexResp",
        "MsgPreVote",
        "MsgPreVoteResp",
        "MsgStorageAppend",
        "MsgStorageAppendResp",
        "MsgStorageApply",
        "MsgStorageApplyResp",
        "MsgForgetLeader",
    };

    _Static_assert(ARRAY_LEN(names) == RAFT_MSG_END, "a name for each type");
    return name_of(names, ARRAY_LEN(names), (size_t) t);
}

const char *raft_entry_type_name(enum raft_entry_type t)
{
    static const char *const names[] = {"EntryNormal", "EntryConfChange", "EntryConfChangeV2"};

    return name_of(names, ARRAY_LEN(names), (size_t) t);
}

const char *raft_state_name(enum raft_state s)
{
    static const char *const names[] = {"StateFollower", "StateCandidate", "StateLeader",
                                        "StatePreCandidate"};

    return name_of(names, ARRAY_LEN(names), (size_t) s);
}

const char *raft_progress_state_name(enum raft_progress_state s)
{
    static const char *const names[] = {"StateProbe", "StateReplicate", "StateSnapshot"};

    return name_of(names, ARRAY_LEN(names), (size_t) s);
}

static void add(struct buf *b, const char *s)
{
    (void) buf_add_str(b, s);
}

static void describe_id(struct buf *b, raft_id id)
{
    if (id == RAFT_NONE)
        add(b, "None");
    else if (id == RAFT_LOCAL_APPEND_THREAD)
        add(b, "AppendThread");
    else if (id == RAFT_LOCAL_APPLY_THREAD)
        add(b, "ApplyThread");
    else
        (void) buf_printf(b, "%" PRIx64, id);
}

static void quote_byte(struct buf *b, uint8_t c)
{
    static const char named[] = "\a\b\f\n\r\t\v";
    const char *at = c == 0 ? NULL : strchr(named, c);

    if (at != NULL)
        (void) buf_printf(b, "\\%c", "abfnrtv"[at - named]);
    else if (c == '"' || c == '\\')
        (void) buf_printf(b, "\\%c", c);
    else if (c < 0x20 || c >= 0x7f)
        (void) buf_printf(b, "\\x%02x", c);
    else
        (void) buf_add_char(b, (char) c);
}

void raft_describe_quoted(struct buf *b, struct bytes s)
{
    (void) buf_add_char(b, '"');
    for (size_t i = 0; i < s.n; i++)
        quote_byte(b, s.p[i]);
    (void) buf_add_char(b, '"');
}

void raft_describe_changes(struct buf *b, const struct raft_conf_change_single *v, size_t n)
{
    static const char letters[] = {'v', 'r', 'u', 'l'};

    for (size_t i = 0; i < n; i++) {
        ASSERT((size_t) v[i].type < ARRAY_LEN(letters));
        (void) buf_printf(b, "%s%c%" PRIu64, i == 0 ? "" : " ", letters[v[i].type], v[i].node_id);
    }
}

static void describe_entry_change(struct buf *b, const struct raft_entry *e)
{
    struct raft_conf_change_single single;
    struct raft_conf_change_v2 v2 = {0};
    struct arena a;

    arena_init(&a, DESCRIBE_CONF_CHANGE_BYTES_MAX);
    if (raft__conf_change_of(e, &a, &single, &v2) != 0) {
        add(b, " (malformed)");
    } else if (v2.changes_n > 0) {
        (void) buf_add_char(b, ' ');
        raft_describe_changes(b, v2.changes, v2.changes_n);
    }
    arena_done(&a);
}

void raft_describe_entry(struct buf *b, const struct raft_entry *e)
{
    (void) buf_printf(b, "%" PRIu64 "/%" PRIu64 " %s", e->term, e->index,
                      raft_entry_type_name(e->type));
    if (e->type != RAFT_ENTRY_NORMAL) {
        describe_entry_change(b, e);
        return;
    }
    (void) buf_add_char(b, ' ');
    raft_describe_quoted(b, e->data);
}

void raft_describe_entries(struct buf *b, const struct raft_entry *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        raft_describe_entry(b, &v[i]);
        (void) buf_add_char(b, '\n');
    }
}

static void describe_ids(struct buf *b, const char *name, const struct raft_ids *ids)
{
    (void) buf_printf(b, "%s:[", name);
    for (size_t i = 0; i < ids->n; i++)
        (void) buf_printf(b, "%s%" PRIu64, i == 0 ? "" : " ", ids->v[i]);
    add(b, "] ");
}

void raft_describe_snapshot(struct buf *b, const struct raft_snapshot *s)
{
    const struct raft_conf_state *c = &s->meta.conf_state;

    (void) buf_printf(b, "Index:%" PRIu64 " Term:%" PRIu64 " ConfState:", s->meta.index,
                      s->meta.term);
    describe_ids(b, "Voters", &c->voters);
    describe_ids(b, "VotersOutgoing", &c->voters_outgoing);
    describe_ids(b, "Learners", &c->learners);
    describe_ids(b, "LearnersNext", &c->learners_next);
    (void) buf_printf(b, "AutoLeave:%s", c->auto_leave ? "true" : "false");
}

static void describe_indented(struct buf *b, int indent, const struct raft_message *m);

static void indent_by(struct buf *b, int indent)
{
    (void) buf_printf(b, "\n%*s", indent, "");
}

static void describe_message_entries(struct buf *b, int indent, const struct raft_message *m)
{
    ASSERT(m->entries_n > 0);
    add(b, " Entries:[");
    if (m->entries_n == 1) {
        raft_describe_entry(b, &m->entries[0]);
        add(b, "]");
        return;
    }
    for (size_t i = 0; i < m->entries_n; i++) {
        indent_by(b, indent + 2);
        raft_describe_entry(b, &m->entries[i]);
    }
    indent_by(b, indent);
    add(b, "]");
}

static void describe_responses(struct buf *b, int indent, const struct raft_message *m)
{
    ASSERT(m->responses_n > 0);
    add(b, " Responses:[");
    for (size_t i = 0; i < m->responses_n; i++) {
        indent_by(b, indent + 2);
        describe_indented(b, indent + 2, &m->responses[i]);
    }
    indent_by(b, indent);
    add(b, "]");
}

static void describe_indented(struct buf *b, int indent, const struct raft_message *m)
{
    describe_id(b, m->from);
    add(b, "->");
    describe_id(b, m->to);
    (void) buf_printf(b, " %s Term:%" PRIu64 " Log:%" PRIu64 "/%" PRIu64,
                      raft_message_type_name(m->type), m->term, m->log_term, m->index);
    if (m->reject)
        (void) buf_printf(b, " Rejected (Hint: %" PRIu64 ")", m->reject_hint);
    if (m->commit != 0)
        (void) buf_printf(b, " Commit:%" PRIu64, m->commit);
    if (m->vote != 0)
        (void) buf_printf(b, " Vote:%" PRIu64, m->vote);
    if (m->entries_n > 0)
        describe_message_entries(b, indent, m);
    if (m->snapshot != NULL && m->snapshot->meta.index != 0) {
        indent_by(b, indent + 2);
        add(b, "Snapshot: ");
        raft_describe_snapshot(b, m->snapshot);
    }
    if (m->responses_n > 0)
        describe_responses(b, indent, m);
}

void raft_describe_message(struct buf *b, const struct raft_message *m)
{
    describe_indented(b, 0, m);
}

void raft_describe_conf_change(struct buf *b, const struct raft_conf_change_v2 *c)
{
    static const char *const types[] = {"ConfChangeAddNode", "ConfChangeRemoveNode",
                                        "ConfChangeUpdateNode", "ConfChangeAddLearnerNode"};
    static const char *const transitions[] = {"ConfChangeTransitionAuto",
                                              "ConfChangeTransitionJointImplicit",
                                              "ConfChangeTransitionJointExplicit"};

    (void) buf_printf(b, "transition:%s",
                      name_of(transitions, ARRAY_LEN(transitions), (size_t) c->transition));
    for (size_t i = 0; i < c->changes_n; i++)
        (void) buf_printf(b, " changes:{type:%s node_id:%" PRIu64 "}",
                          name_of(types, ARRAY_LEN(types), (size_t) c->changes[i].type),
                          c->changes[i].node_id);
    if (c->context.n > 0) {
        add(b, " context:");
        raft_describe_quoted(b, c->context);
    }
}

void raft_describe_peer(struct buf *b, const struct raft_peer_status *p)
{
    (void) buf_printf(b, "%s match=%" PRIu64 " next=%" PRIu64, raft_progress_state_name(p->state),
                      p->match, p->next);
    if (p->learner)
        add(b, " learner");
    if (p->paused)
        add(b, " paused");
    if (p->pending_snapshot > 0)
        (void) buf_printf(b, " pendingSnap=%" PRIu64, p->pending_snapshot);
    if (!p->recent_active)
        add(b, " inactive");
    if (p->inflight > 0)
        (void) buf_printf(b, " inflight=%" PRIu32 "%s", p->inflight,
                          p->inflight_full ? "[full]" : "");
}
