/* raft_actor.c -- the thread of the consensus core: events in, jobs out.
 *
 * A turn: what storage and apply have finished, then what clients propose, then time; after that
 * everything the core has decided is turned into one round of jobs.  Whatever gathered while the
 * last sync ran goes into the log as one batch: under load the batches grow by themselves.
 */
#include "base/plant.h"
#include "node/node_int.h"

/* ---- jobs come back ---- */

/* A leader that was removed while its own entries were on their way to the disk counts no more. */
static void step_own(struct node *n, const struct raft_message *m)
{
    int rc = raft_step(n->raft.raft, m);

    ASSERT(rc == 0 || rc == ERR_RAFT_PEER_NOT_FOUND);
}

static void keep_promises(struct node *n, const struct wal_job *j)
{
    for (size_t i = 0; i < j->after_n; i++) {
        if (j->after[i].to != n->member_id)
            node__peers_send(n, &j->after[i], 1);
        else
            step_own(n, &j->after[i]);
    }
    if (j->has_mark &&
        (j->mark.snapshot_index != 0 || !raft_is_stored(n->raft.raft, j->mark.index)))
        raft_stored(n->raft.raft, &j->mark);
}

static void storage_done(struct node *n)
{
    struct raft_actor *ra = &n->raft;

    for (struct mpsc_node *x = mpsc_take(&ra->stored_jobs), *next; x != NULL; x = next) {
        struct wal_job *j = CONTAINER_OF(x, struct wal_job, link);

        next = x->next;
        if (ra->newest_wal == j)
            ra->newest_wal = NULL;
        for (const struct wal_job *b = j; b != NULL; b = b->behind)
            keep_promises(n, b);
        if (j->received != NULL)
            node__restore_stored(n, j);
        else if (j->has_marker)
            node__raft_marker_stored(n, j);
        node__raft_log_stored(n, j);
        node__wal_job_free(n, j);
    }
}

/* Configuration changes act in raft before their proposers are told: a next one is then not
 * refused. */
static void confs_done(struct node *n, struct apply_job *j)
{
    for (size_t i = 0; i < j->confs_n; i++) {
        struct raft_conf_change_single single;
        struct raft_conf_change_v2 v2 = raft_conf_change_as_v2(&j->confs[i].change, &single);
        struct err e = ERR_INIT;

        /* A snapshot that came meanwhile has brought a newer configuration. */
        if (!raft_is_superseded(n->raft.raft, j->confs[i].index) &&
            raft_apply_conf_change(n->raft.raft, &v2, NULL, &e) != 0)
            node__die(n, "a committed configuration change does not fit", &e);
        if (j->confs[i].change.type == RAFT_CONF_REMOVE_NODE &&
            j->confs[i].change.node_id == n->raft.lead)
            n->raft.lead_removed = true;
        if (j->confs[i].request != NULL)
            node__finish(n, &n->raft.out, j->confs[i].request);
    }
}

static void apply_done(struct node *n)
{
    struct raft_actor *ra = &n->raft;

    for (struct mpsc_node *x = mpsc_take(&ra->applied_jobs), *next; x != NULL; x = next) {
        struct apply_job *j = CONTAINER_OF(x, struct apply_job, link);

        next = x->next;
        confs_done(n, j);
        ra->applied = MAX(ra->applied, j->mark.index);
        raft_applied(ra->raft, &j->mark);
        node__apply_job_free(n, j);
        node__raft_log_compact(n);
    }
}

/* A snapshot file is on disk: its marker goes into the log behind everything written so far. */
static void markers_arrive(struct node *n)
{
    for (struct mpsc_node *x = mpsc_take(&n->raft.markers), *next; x != NULL; x = next) {
        struct store_job *s = CONTAINER_OF(x, struct store_job, link);
        struct wal_job *j;

        next = x->next;
        if (s->snap.index < n->raft.newest_marker) { /* a received snapshot has overtaken it */
            mpsc_push(&n->apply.store_done, &s->link);
            node__wake(n, NODE_APPLY);
            continue;
        }
        n->raft.newest_marker = s->snap.index;
        j = node__wal_job_new(n);
        j->has_marker = true;
        j->marker = (struct wal_snapshot){.index = s->snap.index,
                                          .term = s->snap.term,
                                          .conf_state = s->snap.conf_state,
                                          .has_conf_state = true};
        j->has_hard = true;
        j->hard = n->raft.hard;
        n->raft.lazy_hard = false;
        j->marker_job = s;
        mpsc_push(&n->wal.jobs, &j->link);
        node__wake(n, NODE_WAL);
    }
}

/* ---- updates go out ---- */

static void leader_changed(struct node *n, const struct raft_soft_state *soft)
{
    struct raft_actor *ra = &n->raft;
    bool other = soft->lead != RAFT_NONE && ra->lead != RAFT_NONE && soft->lead != ra->lead;

    if (soft->lead != RAFT_NONE && soft->lead != ra->last_lead) {
        ra->last_lead = soft->lead;
        node__count_leader_change(n);
    }
    ra->lead_removed = ra->lead_removed && soft->lead == ra->lead;
    ra->lead = soft->lead;
    ra->is_leader = soft->state == RAFT_LEADER;
    if (other)
        node__raft_reads_fail(n, API_LEADER_CHANGED);
    if (!ra->is_leader)
        atomic_store(&n->pub.lone_leader, false);
    atomic_store(&n->pub.lead, soft->lead);
    atomic_store(&n->pub.is_leader, ra->is_leader);
    node__wake(n, NODE_APPLY);
}

/* Promises about what was handed to the log before: they wait for the last of it, not for a write
 * of their own.  A follower that only hears of a commit index answers without waking anybody. */
static void promise(struct node *n, const struct raft_update *u)
{
    struct wal_job *j = node__wal_job_new(n), **at = &n->raft.kept;

    j->has_mark = true;
    j->mark = u->stored;
    node__wal_job_after(j, u->after_store, u->after_store_n);
    if (n->raft.newest_wal != NULL)
        at = &n->raft.newest_wal->behind;
    while (*at != NULL)
        at = &(*at)->behind;
    *at = j;
}

static void send_to_wal(struct node *n, const struct raft_update *u)
{
    struct raft_actor *ra = &n->raft;
    struct wal_job *j;

    if (u->hard_changed) {
        ra->hard = u->hard;
        raft_memory_storage_set_hard_state(ra->log, &u->hard);
        ra->lazy_hard = true;
    }
    if (PLANTED(PROMISE_EARLY))
        node__peers_send(n, u->after_store, u->after_store_n);
    /* A commit index alone may be lost; it waits for the next job, or for the next tick. */
    if (u->entries_n == 0 && !u->must_sync && u->snapshot == NULL) {
        if (u->after_store_n != 0)
            promise(n, u);
        return;
    }
    j = node__wal_job_new(n);
    if (u->snapshot != NULL)
        node__restore_save(n, j, u->snapshot);
    if (u->entries_n != 0)
        raft_memory_storage_append(ra->log, u->entries, u->entries_n);
    for (size_t i = 0; i < u->entries_n; i++)
        raft_entry_list_add(&j->entries, &u->entries[i]);
    j->has_hard = ra->lazy_hard;
    j->hard = ra->hard;
    ra->lazy_hard = false;
    j->has_mark = true;
    j->mark = u->stored;
    node__wal_job_after(j, u->after_store, u->after_store_n);
    ra->newest_wal = j;
    mpsc_push(&n->wal.jobs, &j->link);
    node__wake(n, NODE_WAL);
}

/* The commit index of an idle member reaches its log within a tick. */
static void flush_lazy_hard(struct node *n)
{
    struct raft_actor *ra = &n->raft;
    struct wal_job *j;

    if (!ra->lazy_hard)
        return;
    j = node__wal_job_new(n);
    j->has_hard = true;
    j->hard = ra->hard;
    ra->lazy_hard = false;
    mpsc_push(&n->wal.jobs, &j->link);
    node__wake(n, NODE_WAL);
}

static void send_to_apply(struct node *n, const struct raft_update *u)
{
    struct raft_actor *ra = &n->raft;
    struct apply_job *j;

    if (u->committed_n == 0)
        return;
    j = node__apply_job_new(n, u->committed_n);
    for (size_t i = 0; i < u->committed_n; i++) {
        raft_entry_list_add(&j->entries, &u->committed[i]);
        j->waiters[i] = node__waiting_take(n, &u->committed[i]);
    }
    j->mark = u->applied;
    j->term = raft_get_term(ra->raft);
    j->is_leader = ra->is_leader;
    mpsc_push(&n->apply.jobs, &j->link);
    node__wake(n, NODE_APPLY);
}

/* Raft is told when nothing points into its update any more. */
static void promises_kept(struct node *n)
{
    struct wal_job *j = n->raft.kept;

    if (j == NULL)
        return;
    ASSERT(j->behind == NULL);
    n->raft.kept = NULL;
    keep_promises(n, j);
    node__wal_job_free(n, j);
}

static void drain_updates(struct node *n)
{
    struct raft_actor *ra = &n->raft;
    struct raft_update u;

    while (raft_has_update(ra->raft)) {
        raft_take_update(ra->raft, &u);
        if (u.soft_changed)
            leader_changed(n, &u.soft);
        node__peers_send(n, u.messages, u.messages_n);
        node__peers_flush(n); /* before u is gone, which the messages point into */
        atomic_store(&n->pub.term, raft_get_term(ra->raft));
        atomic_store(&n->pub.commit, raft_get_commit(ra->raft));
        for (size_t i = 0; i < u.read_states_n; i++)
            node__raft_read_state(n, &u.read_states[i]);
        send_to_wal(n, &u);
        send_to_apply(n, &u);
        promises_kept(n);
    }
    node__peers_flush(n); /* promises whose jobs are done */
}

/* A lone voter that has committed in its own term needs no round for a read. */
static void publish_lone(struct node *n)
{
    struct raft_actor *ra = &n->raft;
    struct raft_status st;
    bool lone = ra->is_leader && raft_is_single_voter(ra->raft) &&
                ra->applied >= ra->lead_first_index && ra->lead_first_index != 0;

    if (lone != atomic_load_explicit(&n->pub.lone_leader, memory_order_relaxed))
        atomic_store(&n->pub.lone_leader, lone);
    raft_get_status(ra->raft, &st);
    atomic_store_explicit(&n->pub.alone, st.peers_n == 1 && raft_is_single_voter(ra->raft),
                          memory_order_relaxed);
}

/* ---- time ---- */

/* However long it is since the last one, this is one tick: who stood still has not listened either,
 * and messages of that time may lie before it unread.  (So it is with a Go ticker.) */
static void ticks(struct node *n, mono_ns now)
{
    struct raft_actor *ra = &n->raft;
    mono_ns tick_ns = (mono_ns) n->cfg.tick_ms * 1000000;

    if (!ra->started) {
        ra->started = true;
        ra->next_tick = now + tick_ns;
        return;
    }
    if (now < ra->next_tick)
        return;
    node__leadership_tick(n, now);
    raft_tick(ra->raft);
    ra->next_tick += (now - ra->next_tick) / tick_ns * tick_ns + tick_ns;
    flush_lazy_hard(n);
}

/* A lone voter need not wait for an election: nobody else can lead.  Once, when all that is known
 * to be committed is applied, for a configuration change may be among it. */
static void campaign_alone(struct node *n)
{
    struct raft_actor *ra = &n->raft;

    if (ra->campaigned || ra->applied < raft_get_commit(ra->raft) ||
        !raft_is_single_voter(ra->raft))
        return;
    ra->campaigned = true;
    if (ra->lead == RAFT_NONE)
        raft_campaign(ra->raft);
}

static void note_new_lead(struct node *n, mono_ns now)
{
    struct raft_actor *ra = &n->raft;

    if (!ra->is_leader) {
        ra->lead_first_index = 0;
    } else if (ra->lead_first_index == 0) {
        ra->lead_first_index = raft_get_last_index(ra->raft);
        ra->elected_at = now;
    }
}

static bool raft_idle(struct node *n)
{
    struct raft_actor *ra = &n->raft;

    return mpsc_empty(&ra->requests) && mpsc_empty(&ra->reads) && ra->waiting.count == 0 &&
           list_empty(&ra->blocked) && list_empty(&ra->riders);
}

int64_t node__run_raft(struct node *n, mono_ns now, wall_ms wall)
{
    struct raft_actor *ra = &n->raft;
    mono_ns next;

    (void) wall;
    node__raft_log_turn(n, now);
    storage_done(n);
    apply_done(n);
    markers_arrive(n);
    node__sendings_done(n, now);
    node__peers_take(n);
    node__raft_take_requests(n, now);
    ticks(n, now);
    node__first_ticks(n, now);
    node__slow_disk_step(n, now);
    campaign_alone(n);
    note_new_lead(n, now);
    drain_updates(n);
    publish_lone(n);
    node__raft_reads_step(n, now);
    drain_updates(n);
    node__transfers_step(n, now);
    node__raft_expire(n, now);
    node__raft_reads_applied(n);
    node__count_pending(n, ra->waiting.count);
    node__outbox_flush(n, &ra->out);
    if (atomic_load(&n->stopping)) {
        node__raft_fail_all(n, API_STOPPED);
        node__outbox_flush(n, &ra->out);
        if (raft_idle(n))
            node__mark_stopped(n, NODE_RAFT);
    }
    next = MIN(ra->next_tick, MIN(node__raft_log_due(n), node__raft_ride_by(n)));
    return node__raft_reads_wait(n) ? MAX(next - now, 0) : 0;
}
