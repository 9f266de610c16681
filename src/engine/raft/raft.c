/* raft.c -- a core's life, who it is at the moment, and how time moves it. */
#include "engine/raft/raft_int.h"

void raft__check(const struct raft *r)
{
    raft__log_check(&r->log);
    raft__tracker_check(&r->tracker);
    if (r->state == RAFT_LEADER)
        ASSERT(r->lead == r->config.id);
    if (r->state == RAFT_CANDIDATE)
        ASSERT(r->vote == r->config.id);
    if (r->state == RAFT_CANDIDATE || r->state == RAFT_PRE_CANDIDATE)
        ASSERT(r->lead == RAFT_NONE);
    if (r->state != RAFT_LEADER)
        ASSERT(r->lead_transferee == RAFT_NONE);
}

/* ---- becoming ---- */

static void reset_progress(struct raft *r)
{
    raft_index last = raft__log_last_index(&r->log);

    ASSERT(r->tracker.n <= RAFT_MEMBERS_MAX);
    for (size_t i = 0; i < r->tracker.n; i++) {
        struct raft_progress *p = &r->tracker.progress[i];

        raft__inflights_reset(&p->inflights);
        *p = (struct raft_progress){
            .id = p->id,
            .match = p->id == r->config.id ? last : 0,
            .next = last + 1,
            .state = RAFT_PROBE,
            .learner = p->learner,
            .inflights = p->inflights,
        };
    }
}

static void reset(struct raft *r, raft_term term)
{
    ASSERT(term >= r->term);
    if (r->term != term) {
        r->term = term;
        r->vote = RAFT_NONE;
    }
    r->lead = RAFT_NONE;
    r->election_elapsed = 0;
    r->heartbeat_elapsed = 0;
    r->randomized_election_timeout = r->config.election_tick +
                                     (uint32_t) r->config.random.below(r->config.random.arg,
                                                                       r->config.election_tick);
    r->lead_transferee = RAFT_NONE;
    reset_progress(r);
    r->pending_conf_index = 0;
    r->uncommitted_bytes = 0;
    raft__reads_reset(&r->reads);
}

void raft__become_follower(struct raft *r, raft_term term, raft_id lead)
{
    reset(r, term);
    r->lead = lead;
    r->state = RAFT_FOLLOWER;
    TRACE_INFO(r->trace, "%" PRIx64 " became follower at term %" PRIu64, r->config.id, r->term);
}

void raft__become_candidate(struct raft *r)
{
    ASSERT(r->state != RAFT_LEADER);
    reset(r, r->term + 1);
    r->vote = r->config.id;
    r->state = RAFT_CANDIDATE;
    TRACE_INFO(r->trace, "%" PRIx64 " became candidate at term %" PRIu64, r->config.id, r->term);
}

void raft__become_pre_candidate(struct raft *r)
{
    ASSERT(r->state != RAFT_LEADER);
    raft__tracker_reset_votes(&r->tracker);
    r->lead = RAFT_NONE;
    r->state = RAFT_PRE_CANDIDATE;
    TRACE_INFO(r->trace, "%" PRIx64 " became pre-candidate at term %" PRIu64, r->config.id,
               r->term);
}

void raft__become_leader(struct raft *r)
{
    struct raft_progress *self;

    ASSERT(r->state == RAFT_CANDIDATE);
    reset(r, r->term);
    r->lead = r->config.id;
    r->state = RAFT_LEADER;
    self = raft__self(r);
    ASSERT(self != NULL);
    raft__progress_become_replicate(self);
    self->recent_active = true;
    /* There may be a change among the entries that are not committed yet; finding out costs more
     * than waiting for them. */
    r->pending_conf_index = raft__log_last_index(&r->log);
    /* Entries of earlier terms are committed only under one of this term (Raft paper 5.4.2). */
    raft__append_entries(r, &(struct raft_entry){.type = RAFT_ENTRY_NORMAL}, 1);
    TRACE_INFO(r->trace, "%" PRIx64 " became leader at term %" PRIu64, r->config.id, r->term);
}

struct raft_hard_state raft__hard_state(const struct raft *r)
{
    return (struct raft_hard_state){r->term, r->vote, r->log.committed};
}

struct raft_soft_state raft__soft_state(const struct raft *r)
{
    return (struct raft_soft_state){r->lead, r->state};
}

/* ---- time ---- */

static void tick_election(struct raft *r)
{
    ASSERT(r->state != RAFT_LEADER);
    r->election_elapsed++;
    if (raft__promotable(r) && r->election_elapsed >= r->randomized_election_timeout) {
        r->election_elapsed = 0;
        raft_campaign(r);
    }
}

static void tick_leader(struct raft *r)
{
    ASSERT(r->lead == r->config.id);
    r->heartbeat_elapsed++;
    r->election_elapsed++;
    if (r->election_elapsed >= r->config.election_tick) {
        r->election_elapsed = 0;
        if (r->config.check_quorum)
            (void) raft__step(
                r, &(struct raft_message){.type = RAFT_MSG_CHECK_QUORUM, .from = r->config.id});
        if (r->state == RAFT_LEADER && r->lead_transferee != RAFT_NONE)
            raft__abort_transfer(r);
    }
    if (r->state == RAFT_LEADER && r->heartbeat_elapsed >= r->config.heartbeat_tick) {
        r->heartbeat_elapsed = 0;
        (void) raft__step(r, &(struct raft_message){.type = RAFT_MSG_BEAT, .from = r->config.id});
    }
}

void raft_tick(struct raft *r)
{
    ASSERT(r->magic == RAFT_MAGIC);
    r->log.read_back_pending = false;
    if (r->state == RAFT_LEADER)
        tick_leader(r);
    else
        tick_election(r);
}

/* ---- beginning and end ---- */

static int check_config(const struct raft_config *c, struct err *e)
{
    const char *why = NULL;

    if (c->id == RAFT_NONE || c->id >= RAFT_LOCAL_APPLY_THREAD)
        why = "cannot use none or a local thread as id";
    else if (c->heartbeat_tick == 0)
        why = "heartbeat tick must be greater than 0";
    else if (c->election_tick <= c->heartbeat_tick)
        why = "election tick must be greater than heartbeat tick";
    else if (c->storage == NULL)
        why = "storage cannot be missing";
    else if (c->random.below == NULL)
        why = "random cannot be missing";
    else if (c->inflight_max == 0 || c->inflight_max > RAFT_INFLIGHT_MAX)
        why = "max inflight messages must be greater than 0";
    else if (c->inflight_bytes_max != 0 && c->inflight_bytes_max < c->msg_bytes_max)
        why = "max inflight bytes must be >= max message size";
    else if (c->read_only == RAFT_READ_ONLY_LEASE_BASED && !c->check_quorum)
        why = "CheckQuorum must be enabled when ReadOnlyOption is ReadOnlyLeaseBased";
    return why == NULL ? 0 : err_set(e, ERR_RAFT_CONFIG, "%s", why);
}

static uint64_t or_default(uint64_t v, uint64_t otherwise)
{
    return v == 0 ? otherwise : v;
}

static void trace_new(const struct raft *r)
{
    struct raft_entry_id last = raft__log_last(&r->log);
    raft_id voters[2 * RAFT_MEMBERS_MAX];
    size_t n = raft__ids_union(&r->tracker.members.incoming, &r->tracker.members.outgoing, voters);
    char text[RAFT_MEMBERS_TEXT_BYTES];
    struct buf b;

    if (r->trace->emit == NULL)
        return;
    buf_init(&b, sizeof text);
    for (size_t i = 0; i < n; i++)
        (void) buf_printf(&b, "%s%" PRIx64, i == 0 ? "" : ",", voters[i]);
    TRACE_INFO(r->trace,
               "newRaft %" PRIx64 " [peers: [%s], term: %" PRIu64 ", commit: %" PRIu64
               ", applied: %" PRIu64 ", lastindex: %" PRIu64 ", lastterm: %" PRIu64 "]",
               r->config.id, buf_cstr(&b), r->term, r->log.committed, r->log.applied, last.index,
               last.term);
    buf_done(&b);
}

/* What storage says of the past. */
static int load_state(struct raft *r, struct err *e)
{
    struct raft_storage *s = r->config.storage;
    struct raft_hard_state hs = {0};
    struct raft_conf_state cs = {0}, restored;
    int rc;

    s->ops->initial_state(s, &hs, &cs);
    rc = raft__conf_restore(&r->tracker, raft__log_last_index(&r->log), &cs, e);
    if (rc != 0)
        return err_set(e, ERR_RAFT_CONFIG, "the configuration in storage cannot be restored");
    restored = raft__tracker_conf_state(&r->tracker);
    ASSERT(raft__conf_state_equal(&cs, &restored));
    raft__switched_config(r);
    if (hs.term != 0 || hs.vote != 0 || hs.commit != 0) {
        ASSERT(hs.commit >= r->log.committed);
        ASSERT(hs.commit <= raft__log_last_index(&r->log));
        r->log.committed = hs.commit;
        r->term = hs.term;
        r->vote = hs.vote;
    }
    if (r->config.applied == 0)
        return 0;
    if (r->config.applied < r->log.applied || r->config.applied > r->log.committed)
        return err_set(e, ERR_RAFT_CONFIG,
                       "applied index %" PRIu64 " is not within [%" PRIu64 ", %" PRIu64 "]",
                       r->config.applied, r->log.applied, r->log.committed);
    raft__log_applied_to(&r->log, r->config.applied, 0);
    return 0;
}

int raft_new(const struct raft_config *c, struct raft **ret, struct err *e)
{
    struct raft *r;
    int rc = check_config(c, e);

    if (rc != 0)
        return rc;
    r = xmem_calloc(1, sizeof *r);
    r->magic = RAFT_MAGIC;
    r->config = *c;
    r->config.committed_bytes_max = or_default(c->committed_bytes_max,
                                               or_default(c->msg_bytes_max, 1));
    r->config.uncommitted_bytes_max = or_default(c->uncommitted_bytes_max, UINT64_MAX);
    if (c->trace.emit == NULL)
        r->config.trace.level = RAFT_TRACE_OFF;
    r->trace = &r->config.trace;
    r->tracker.inflight_max = c->inflight_max;
    r->tracker.inflight_bytes_max = c->inflight_bytes_max;
    raft__log_init(&r->log, c->storage, r->config.committed_bytes_max, r->trace);
    raft__outbox_init(&r->out[0]);
    raft__outbox_init(&r->out[1]);
    rc = load_state(r, e);
    if (rc != 0) {
        raft_free(r);
        return rc;
    }
    raft__become_follower(r, r->term, RAFT_NONE);
    trace_new(r);
    r->prev_soft = raft__soft_state(r);
    r->prev_hard = raft__hard_state(r);
    raft__check(r);
    *ret = r;
    return 0;
}

void raft_free(struct raft *r)
{
    if (r == NULL)
        return;
    raft__outbox_done(&r->out[0]);
    raft__outbox_done(&r->out[1]);
    raft_entry_list_done(&r->scratch);
    raft__reads_done(&r->reads);
    raft__reads_done(&r->postponed);
    raft__tracker_done(&r->tracker);
    raft__log_done(&r->log);
    r->magic = 0;
    mem_free(r);
}

/* ---- bootstrap ---- */

static void bootstrap_entry(struct raft *r, const struct raft_peer *p, raft_index i)
{
    struct raft_conf_change c = {
        .type = RAFT_CONF_ADD_NODE, .node_id = p->id, .context = p->context};
    size_t n = raft_conf_change_size(&c);
    uint8_t *data = xmem_alloc(n + 1);
    struct raft_entry e = {
        .term = 1, .index = i, .type = RAFT_ENTRY_CONF_CHANGE, .data = {data, n}};

    ASSERT(p->id != RAFT_NONE);
    ASSERT(i > 0);
    (void) raft_conf_change_put(&c, data);
    raft__log_append(&r->log, &e, 1);
    mem_free(data);
}

int raft_bootstrap(struct raft *r, const struct raft_peer *peers, size_t n, struct err *e)
{
    ASSERT(r->magic == RAFT_MAGIC);
    ASSERT(!r->advance_due);
    if (n == 0)
        return err_set(e, ERR_RAFT_CONFIG, "must provide at least one peer to bootstrap");
    if (raft__log_last_index(&r->log) != 0)
        return err_set(e, ERR_RAFT_CONFIG, "cannot bootstrap a nonempty storage");
    /* The first update brings the hard state, although it equals what was just made. */
    r->prev_hard = (struct raft_hard_state){0};
    raft__become_follower(r, 1, RAFT_NONE);
    for (size_t i = 0; i < n; i++)
        bootstrap_entry(r, &peers[i], i + 1);
    /* These are not voted on; every member of the new cluster begins with the same ones. */
    r->log.committed = n;
    /* Into force at once as well, so that a member can campaign before it has applied them;
     * applying them again changes nothing. */
    for (size_t i = 0; i < n; i++) {
        struct raft_conf_change_single c = {RAFT_CONF_ADD_NODE, peers[i].id};
        int rc = raft__conf_simple(&r->tracker, raft__log_last_index(&r->log), &c, 1, e);

        if (rc != 0)
            return rc;
        raft__switched_config(r);
    }
    raft__check(r);
    return 0;
}
