/* status.c -- what the owner may ask, and the small events. */
#include "engine/raft/raft_int.h"

/* ---- small events ---- */

void raft_campaign(struct raft *r)
{
    ASSERT(r->magic == RAFT_MAGIC);
    (void) raft__step(r, &(struct raft_message){.type = RAFT_MSG_HUP, .from = r->config.id});
}

void raft_transfer_leader(struct raft *r, raft_id to)
{
    ASSERT(r->magic == RAFT_MAGIC);
    (void) raft__step(r, &(struct raft_message){.type = RAFT_MSG_TRANSFER_LEADER, .from = to});
}

void raft_forget_leader(struct raft *r)
{
    ASSERT(r->magic == RAFT_MAGIC);
    (void) raft__step(r, &(struct raft_message){.type = RAFT_MSG_FORGET_LEADER});
}

void raft_report_unreachable(struct raft *r, raft_id id)
{
    ASSERT(r->magic == RAFT_MAGIC);
    (void) raft__step(r, &(struct raft_message){.type = RAFT_MSG_UNREACHABLE, .from = id});
}

void raft_report_snapshot(struct raft *r, raft_id id, bool ok)
{
    ASSERT(r->magic == RAFT_MAGIC);
    (void) raft__step(
        r, &(struct raft_message){.type = RAFT_MSG_SNAP_STATUS, .from = id, .reject = !ok});
}

/* ---- status ---- */

void raft_get_status(const struct raft *r, struct raft_status *ret)
{
    ASSERT(r->magic == RAFT_MAGIC);
    *ret = (struct raft_status){
        .id = r->config.id,
        .lead = r->lead,
        .state = r->state,
        .term = r->term,
        .vote = r->vote,
        .commit = r->log.committed,
        .applied = r->log.applied,
        .first_index = raft__log_first_index(&r->log),
        .last_index = raft__log_last_index(&r->log),
        .lead_transferee = r->lead_transferee,
        .learner = r->learner,
        .peers_n = r->tracker.n,
    };
}

static struct raft_peer_status peer_status(const struct raft_progress *p)
{
    ASSERT(p->match < p->next);
    return (struct raft_peer_status){
        .id = p->id,
        .match = p->match,
        .next = p->next,
        .state = p->state,
        .pending_snapshot = p->pending_snapshot,
        .inflight = p->inflights.n,
        .inflight_full = raft__inflights_full(&p->inflights),
        .recent_active = p->recent_active,
        .paused = raft__progress_paused(p),
        .learner = p->learner,
    };
}

void raft_get_peer(const struct raft *r, size_t i, struct raft_peer_status *ret)
{
    ASSERT(r->magic == RAFT_MAGIC);
    ASSERT(i < r->tracker.n);
    *ret = peer_status(&r->tracker.progress[i]);
}

raft_id raft_get_id(const struct raft *r)
{
    ASSERT(r->magic == RAFT_MAGIC);
    return r->config.id;
}

raft_id raft_get_lead_transferee(const struct raft *r)
{
    ASSERT(r->magic == RAFT_MAGIC);
    return r->state == RAFT_LEADER ? r->lead_transferee : RAFT_NONE;
}

raft_term raft_get_term(const struct raft *r)
{
    ASSERT(r->magic == RAFT_MAGIC);
    return r->term;
}

raft_id raft_get_lead(const struct raft *r)
{
    ASSERT(r->magic == RAFT_MAGIC);
    return r->lead;
}

enum raft_state raft_get_state(const struct raft *r)
{
    ASSERT(r->magic == RAFT_MAGIC);
    return r->state;
}

raft_index raft_get_commit(const struct raft *r)
{
    ASSERT(r->magic == RAFT_MAGIC);
    return r->log.committed;
}

raft_index raft_get_applied(const struct raft *r)
{
    ASSERT(r->magic == RAFT_MAGIC);
    return r->log.applied;
}

raft_index raft_get_last_index(const struct raft *r)
{
    ASSERT(r->magic == RAFT_MAGIC);
    return raft__log_last_index(&r->log);
}

bool raft_is_stored(const struct raft *r, raft_index i)
{
    ASSERT(r->magic == RAFT_MAGIC);
    return i < r->log.unstable.offset && r->log.unstable.snapshot == NULL;
}

bool raft_is_single_voter(const struct raft *r)
{
    ASSERT(r->magic == RAFT_MAGIC);
    return raft__tracker_is_single_voter(&r->tracker) && raft__self(r) != NULL && !r->learner;
}

bool raft_is_superseded(const struct raft *r, raft_index i)
{
    ASSERT(r->magic == RAFT_MAGIC);
    return i <= r->restored_index;
}

uint64_t raft_get_uncommitted_bytes(const struct raft *r)
{
    ASSERT(r->magic == RAFT_MAGIC);
    return r->uncommitted_bytes;
}

void raft_set_randomized_election_timeout(struct raft *r, uint32_t ticks)
{
    ASSERT(r->magic == RAFT_MAGIC);
    ASSERT(ticks > 0);
    r->randomized_election_timeout = ticks;
}

/* ---- text for log lines ---- */

static const char *cut_to(const struct buf *b, char *buf, size_t n)
{
    size_t len = MIN(b->len, n - 1);

    ASSERT(n > 0);
    if (len > 0)
        memcpy(buf, b->p, len);
    buf[len] = '\0';
    return buf;
}

static void add_ids(struct buf *b, const struct raft_id_set *s)
{
    ASSERT(s->n <= RAFT_MEMBERS_MAX);
    (void) buf_add_char(b, '(');
    for (size_t i = 0; i < s->n; i++)
        (void) buf_printf(b, "%s%" PRIx64, i == 0 ? "" : " ", s->v[i]);
    (void) buf_add_char(b, ')');
}

static void add_named_ids(struct buf *b, const char *name, const struct raft_id_set *s)
{
    if (s->n == 0)
        return;
    (void) buf_add_str(b, name);
    add_ids(b, s);
}

const char *raft__members_text(const struct raft_members *m, char *buf, size_t n)
{
    struct buf b;

    ASSERT(n > 0);
    buf_init(&b, RAFT_TRACE_BYTES_MAX);
    (void) buf_add_str(&b, "voters=");
    add_ids(&b, &m->incoming);
    add_named_ids(&b, "&&", &m->outgoing);
    add_named_ids(&b, " learners=", &m->learners);
    add_named_ids(&b, " learners_next=", &m->learners_next);
    if (m->auto_leave)
        (void) buf_add_str(&b, " autoleave");
    (void) cut_to(&b, buf, n);
    buf_done(&b);
    return buf;
}

const char *raft__progress_text(const struct raft_progress *p, char *buf, size_t n)
{
    struct raft_peer_status s = peer_status(p);
    struct buf b;

    ASSERT(n > 0);
    buf_init(&b, RAFT_PROGRESS_TEXT_BYTES);
    raft_describe_peer(&b, &s);
    (void) cut_to(&b, buf, n);
    buf_done(&b);
    return buf;
}

/* ---- errors ---- */

const char *raft_err_text(int code)
{
    switch (code) {
#define X(name, number, text) \
    case ERR_RAFT_##name:     \
        return text;
        RAFT_ERR_MAP(X)
#undef X
    default:
        return err_text(code);
    }
}
