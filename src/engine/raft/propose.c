/* propose.c -- proposals, and which configuration changes may enter the log. */
#include "engine/raft/raft_int.h"

#define CONF_CHANGE_ARENA_BYTES_MAX (RAFTPB_CONF_IDS_MAX * 64 + 4096)

/* ---- from the owner ---- */

int raft_propose(struct raft *r, const struct raft_entry *v, size_t n)
{
    ASSERT(r->magic == RAFT_MAGIC);
    /* The entries are only read: a message has no const ones because decoders make them. */
    union {
        const struct raft_entry *in;
        struct raft_entry *out;
    } entries = {.in = v};
    struct raft_message m = {
        .type = RAFT_MSG_PROP, .from = r->config.id, .entries = entries.out, .entries_n = n};

    ASSERT(n > 0);
    return raft__step(r, &m);
}

static int propose_bytes(struct raft *r, enum raft_entry_type type, const uint8_t *p, size_t n)
{
    return raft_propose(r, &(struct raft_entry){.type = type, .data = {p, n}}, 1);
}

int raft_propose_conf_change(struct raft *r, const struct raft_conf_change *c)
{
    size_t n = raft_conf_change_size(c);
    uint8_t *data = xmem_alloc(n + 1);
    int rc;

    ASSERT(r->magic == RAFT_MAGIC);
    (void) raft_conf_change_put(c, data);
    rc = propose_bytes(r, RAFT_ENTRY_CONF_CHANGE, data, n);
    mem_free(data);
    return rc;
}

int raft_propose_conf_change_v2(struct raft *r, const struct raft_conf_change_v2 *c)
{
    size_t n = raft_conf_change_v2_size(c);
    uint8_t *data = xmem_alloc(n + 1);
    int rc;

    ASSERT(r->magic == RAFT_MAGIC);
    (void) raft_conf_change_v2_put(c, data);
    rc = propose_bytes(r, RAFT_ENTRY_CONF_CHANGE_V2, data, n);
    mem_free(data);
    return rc;
}

int raft__propose_leave_joint(struct raft *r)
{
    ASSERT(raft__tracker_is_joint(&r->tracker));
    return propose_bytes(r, RAFT_ENTRY_CONF_CHANGE_V2, NULL, 0);
}

/* ---- on the leader ---- */

/* NULL: the change may be proposed now; else why not. */
static const char *why_not(const struct raft *r, const struct raft_conf_change_v2 *c, char *buf,
                           size_t n)
{
    bool joint = raft__tracker_is_joint(&r->tracker);
    bool leaves = c->changes_n == 0;
    struct err e = ERR_INIT;

    ASSERT(r->state == RAFT_LEADER);
    /* One at a time: the next is judged by the configuration that this one leads to. */
    if (r->pending_conf_index > r->log.applied) {
        (void) snprintf(
            buf, n, "possible unapplied conf change at index %" PRIu64 " (applied to %" PRIu64 ")",
            r->pending_conf_index, r->log.applied);
        return buf;
    }
    if (joint && !leaves)
        return "must transition out of joint config first";
    if (!joint && leaves)
        return "not in joint state; refusing empty conf change";
    /* Once it is committed every member has to apply it, and one that it does not fit stops. */
    if (raft__conf_fits(&r->tracker, c, &e) == 0)
        return NULL;
    (void) snprintf(buf, n, "%s", e.msg);
    return buf;
}

static void trace_refused(const struct raft *r, const struct raft_conf_change_v2 *c,
                          const char *why)
{
    struct buf b;

    if (r->trace->emit == NULL)
        return;
    buf_init(&b, RAFT_TRACE_BYTES_MAX);
    raft_describe_conf_change(&b, c);
    TRACE_INFO(r->trace, "%" PRIx64 " ignoring conf change %s at config %s: %s", r->config.id,
               buf_cstr(&b), MEMBERS_TEXT(&r->tracker.members), why);
    buf_done(&b);
}

/* *ret_refused: an empty entry must take its place.  An error: it cannot be read. */
static int judge_conf_change(struct raft *r, const struct raft_entry *e, raft_index i,
                             bool *ret_refused)
{
    struct raft_conf_change_single single;
    struct raft_conf_change_v2 v2 = {0};
    struct arena a;
    char buf[128];
    const char *why;
    int rc;

    arena_init(&a, CONF_CHANGE_ARENA_BYTES_MAX);
    rc = raft__conf_change_of(e, &a, &single, &v2);
    if (rc == 0) {
        why = PLANTED(TWO_CONF_CHANGES) ? NULL : why_not(r, &v2, buf, sizeof buf);
        *ret_refused = why != NULL && !r->config.disable_conf_change_validation;
        if (*ret_refused)
            trace_refused(r, &v2, why);
        else
            r->pending_conf_index = i;
    }
    arena_done(&a);
    return rc;
}

/* The entries as they shall enter the log: as they are, or a copy with changes refused. */
static int judge_entries(struct raft *r, const struct raft_message *m,
                         const struct raft_entry **ret)
{
    raft_index last = raft__log_last_index(&r->log);

    ASSERT(r->scratch.n == 0);
    *ret = m->entries;
    for (size_t i = 0; i < m->entries_n; i++) {
        bool refused = false;

        if (m->entries[i].type == RAFT_ENTRY_NORMAL)
            continue;
        if (judge_conf_change(r, &m->entries[i], last + 1 + i, &refused) != 0)
            return ERR_RAFT_PROPOSAL_DROPPED;
        if (!refused)
            continue;
        if (*ret == m->entries) {
            for (size_t j = 0; j < m->entries_n; j++)
                raft_entry_list_add(&r->scratch, &m->entries[j]);
            *ret = r->scratch.v;
        }
        raft_entry_list_empty(&r->scratch, i);
    }
    return 0;
}

int raft__leader_propose(struct raft *r, const struct raft_message *m)
{
    const struct raft_entry *v;
    raft_index pending = r->pending_conf_index;
    int rc;

    ASSERT(r->state == RAFT_LEADER);
    if (m->entries_n == 0)
        return ERR_RAFT_PROPOSAL_DROPPED; /* some peer's: one's own have entries */
    if (raft__self(r) == NULL)
        return ERR_RAFT_PROPOSAL_DROPPED; /* removed: nothing may depend on this member any more */
    if (r->lead_transferee != RAFT_NONE) {
        TRACE_DEBUG(r->trace,
                    "%" PRIx64 " [term %" PRIu64 "] transfer leadership to %" PRIx64
                    " is in progress; dropping proposal",
                    r->config.id, r->term, r->lead_transferee);
        return ERR_RAFT_PROPOSAL_DROPPED;
    }
    rc = judge_entries(r, m, &v);
    if (rc == 0 && !raft__append_proposal(r, v, m->entries_n))
        rc = ERR_RAFT_PROPOSAL_DROPPED;
    raft_entry_list_clear(&r->scratch);
    if (rc != 0) {
        /* Nothing of it is in the log. */
        r->pending_conf_index = pending;
        return rc;
    }
    raft__bcast_append(r);
    return 0;
}
