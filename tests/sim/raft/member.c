#include "sim/raft/sim.h"

#include "engine/raft/raft_int.h"
#include "engine/raft/snapshot_copy.h"

static bool remember(struct sim_member *m);

struct sim *sim_of(struct sim_member *m)
{
    return CONTAINER_OF(m - m->index, struct sim, members);
}

/* ---- what the core sees of its storage ---- */

static struct raft_storage *below(struct raft_storage *s)
{
    return raft_memory_storage_base(CONTAINER_OF(s, struct sim_member, storage)->memory);
}

static void initial_state(struct raft_storage *s, struct raft_hard_state *hs,
                          struct raft_conf_state *cs)
{
    below(s)->ops->initial_state(below(s), hs, cs);
}

static int entries(struct raft_storage *s, raft_index lo, raft_index hi, uint64_t max,
                   struct raft_entry_list *ret)
{
    return below(s)->ops->entries(below(s), lo, hi, max, ret);
}

static int term(struct raft_storage *s, raft_index i, raft_term *ret)
{
    return below(s)->ops->term(below(s), i, ret);
}

static raft_index first_index(struct raft_storage *s)
{
    return below(s)->ops->first_index(below(s));
}

static raft_index last_index(struct raft_storage *s)
{
    return below(s)->ops->last_index(below(s));
}

static int snapshot(struct raft_storage *s, struct raft_snapshot *ret)
{
    struct sim_member *m = CONTAINER_OF(s, struct sim_member, storage);

    if (sim_chance(&sim_of(m)->disk_random, 4) == 0)
        return ERR_RAFT_SNAPSHOT_UNAVAILABLE;
    /* A fresh one: whoever was added after the last would refuse that. */
    (void) remember(m);
    return below(s)->ops->snapshot(below(s), ret);
}

static const struct raft_storage_ops ops = {initial_state, entries,    term,
                                            first_index,   last_index, snapshot};

/* ---- jobs ---- */

static void free_store_job(struct sim_store_job *j)
{
    for (size_t i = 0; i < j->after_n; i++)
        payload_unref(j->after[i]);
    mem_free(j->after);
    mem_free(j->snapshot);
    raft_entry_list_done(&j->entries);
    mem_free(j);
}

static void free_apply_job(struct sim_apply_job *j)
{
    raft_entry_list_done(&j->entries);
    mem_free(j);
}

static struct sim_store_job *pop_store(struct sim_member *m)
{
    struct sim_store_job *j = m->store_first;

    m->store_first = j->next;
    if (m->store_first == NULL)
        m->store_last = &m->store_first;
    return j;
}

static struct sim_apply_job *pop_apply(struct sim_member *m)
{
    struct sim_apply_job *j = m->apply_first;

    m->apply_first = j->next;
    if (m->apply_first == NULL)
        m->apply_last = &m->apply_first;
    return j;
}

static struct sim_store_job *new_store_job(const struct raft_update *u)
{
    struct sim_store_job *j = xmem_calloc(1, sizeof *j);

    for (size_t i = 0; i < u->entries_n; i++)
        raft_entry_list_add(&j->entries, &u->entries[i]);
    if (u->snapshot != NULL)
        j->snapshot = raft__snapshot_copy(u->snapshot);
    j->hard = u->hard;
    j->hard_changed = u->hard_changed;
    j->mark = u->stored;
    j->after = xmem_calloc(u->after_store_n + 1, sizeof(struct payload *));
    j->after_n = u->after_store_n;
    for (size_t i = 0; i < j->after_n; i++)
        j->after[i] = sim_encode(&u->after_store[i]);
    return j;
}

static sim_us disk_delay(struct sim *s, const struct sim_member *m)
{
    sim_us d = 50 + sim_chance(&s->disk_random, s->setup.disk_us);

    return m->disk.slow && !s->healing ? d * 40 : d;
}

static void start_store(struct sim *s, struct sim_member *m)
{
    if (m->store_busy || m->store_first == NULL)
        return;
    m->store_busy = true;
    (void) sim_at(s, disk_delay(s, m), SIM_STORED, m->index);
}

static void start_apply(struct sim *s, struct sim_member *m)
{
    if (m->apply_busy || m->apply_first == NULL)
        return;
    m->apply_busy = true;
    (void) sim_at(s, 20 + sim_chance(&s->disk_random, s->healing ? SIM_MS : s->setup.apply_us),
                  SIM_APPLIED, m->index);
}

/* ---- the state machine ---- */

/* An operator stops who was removed, and starts who is added again. */
static void retire_or_revive(struct sim *s, struct sim_member *m, bool was_member)
{
    struct sim_event *e;

    for (uint32_t i = 0; i < SIM_MEMBERS; i++)
        if (s->members[i].retired && raft__tracker_get(&m->raft->tracker, i + 1) != NULL)
            (void) sim_at(s, 10 * SIM_MS, SIM_RESTART, i);
    /* Not one that reads in an old part of the log that it was no member yet. */
    if (was_member && raft__self(m->raft) == NULL) {
        e = sim_at(s, SIM_S, SIM_STOP, m->index);
        e->life = m->life;
    }
}

static void apply_conf_change(struct sim *s, struct sim_member *m, const struct raft_entry *e)
{
    struct raft_conf_change_single single;
    struct raft_conf_change v1;
    struct raft_conf_change_v2 v2 = {0};
    bool was_member = raft__self(m->raft) != NULL;
    struct err err = ERR_INIT;
    struct arena a;
    int rc;

    arena_init(&a, 1 << 20);
    if (e->type == RAFT_ENTRY_CONF_CHANGE) {
        rc = raft_conf_change_get(e->data, &v1, &err);
        if (rc == 0)
            v2 = raft_conf_change_as_v2(&v1, &single);
    } else {
        rc = raft_conf_change_v2_get(e->data, &a, &v2, &err);
    }
    if (rc == 0 && !raft_is_superseded(m->raft, e->index))
        rc = raft_apply_conf_change(m->raft, &v2, NULL, &err);
    arena_done(&a);
    if (rc != 0)
        sim_fail(s, "member %" PRIu64 " cannot apply the change at %" PRIu64 ": %s", sim_id(m),
                 e->index, err.msg);
    sim_trace(s, m, "applied conf change %" PRIu64, e->index);
    s->result.counts.conf_changes++;
    retire_or_revive(s, m, was_member);
}

static void apply_entries(struct sim *s, struct sim_member *m, const struct raft_entry *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (v[i].index <= m->applied)
            continue; /* a snapshot was faster */
        sim_check_applied(s, m, &v[i]);
        if (v[i].type != RAFT_ENTRY_NORMAL)
            apply_conf_change(s, m, &v[i]);
    }
}

static void install_snapshot(struct sim *s, struct sim_member *m, const struct raft_snapshot *x)
{
    ASSERT(x->data.n == sizeof m->state);
    if (x->meta.index <= m->applied)
        return;
    memcpy(&m->state, x->data.p, sizeof m->state);
    m->applied = x->meta.index;
    s->result.counts.snapshots++;
    sim_trace(s, m, "installed snapshot %" PRIu64, x->meta.index);
}

/* Remembers the state, durably; false when that is not possible now. */
static bool remember(struct sim_member *m)
{
    struct raft_storage *d = raft_memory_storage_base(m->disk.log);
    struct bytes data = bytes_of(&m->state, sizeof m->state);
    struct raft_conf_state cs;

    if (m->applied == 0 || raft_is_superseded(m->raft, m->applied + 1))
        return false;
    if (d->ops->last_index(d) < m->applied || d->ops->first_index(d) > m->applied + 1 ||
        m->disk.hard.commit < m->applied)
        return false;
    cs = raft__tracker_conf_state(&m->raft->tracker);
    return raft_memory_storage_create_snapshot(m->disk.log, m->applied, &cs, data) == 0 &&
           raft_memory_storage_create_snapshot(m->memory, m->applied, &cs, data) == 0;
}

/* ... and forgets the log before it but for a little. */
void sim_member_snapshot(struct sim *s, struct sim_member *m)
{
    raft_index keep = sim_chance(&s->disk_random, s->setup.keep_entries + 1);

    if (!remember(m) || m->applied <= keep)
        return;
    (void) !raft_memory_storage_compact(m->disk.log, m->applied - keep);
    (void) !raft_memory_storage_compact(m->memory, m->applied - keep);
    sim_trace(s, m, "snapshot at %" PRIu64 ", kept %" PRIu64, m->applied, keep);
}

static void snapshot_now_and_then(struct sim *s, struct sim_member *m)
{
    struct raft_storage *d = raft_memory_storage_base(m->disk.log);

    if (m->applied > d->ops->first_index(d) + 2 * s->setup.keep_entries + 20)
        sim_member_snapshot(s, m);
}

/* ---- the loop ---- */

static void send_all(struct sim *s, struct sim_member *m, const struct raft_message *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sim_check_message(s, m, &v[i]);
        if (v[i].to != sim_id(m))
            sim_send(s, m, sim_encode(&v[i]), v[i].to, v[i].type);
    }
}

static void into_memory(struct sim *s, struct sim_member *m,
                        const struct raft_snapshot *snapshot_in, const struct raft_entry *v,
                        size_t n)
{
    if (snapshot_in != NULL && raft_memory_storage_apply_snapshot(m->memory, snapshot_in) != 0)
        sim_fail(s, "member %" PRIu64 " is told to store an old snapshot", sim_id(m));
    raft_memory_storage_append(m->memory, v, n);
}

static void update_sync(struct sim *s, struct sim_member *m, const struct raft_update *u)
{
    struct sim_store_job *j = new_store_job(u);

    sim_disk_store(&m->disk, j);
    send_all(s, m, u->messages, u->messages_n);
    send_all(s, m, u->after_store, u->after_store_n);
    if (j->snapshot != NULL)
        install_snapshot(s, m, j->snapshot);
    apply_entries(s, m, u->committed, u->committed_n);
    free_store_job(j);
    raft_advance(m->raft);
}

static void update_async(struct sim *s, struct sim_member *m, const struct raft_update *u)
{
    struct sim_apply_job *a;

    send_all(s, m, u->messages, u->messages_n);
    if (raft_update_stores(u)) {
        *m->store_last = new_store_job(u);
        m->store_last = &(*m->store_last)->next;
    }
    if (u->committed_n > 0) {
        a = xmem_calloc(1, sizeof *a);
        for (size_t i = 0; i < u->committed_n; i++)
            raft_entry_list_add(&a->entries, &u->committed[i]);
        a->mark = u->applied;
        *m->apply_last = a;
        m->apply_last = &a->next;
    }
    start_store(s, m);
    start_apply(s, m);
}

void sim_member_pump(struct sim *s, struct sim_member *m)
{
    struct raft_update u;

    sim_check_member(s, m);
    while (raft_has_update(m->raft)) {
        raft_take_update(m->raft, &u);
        sim_trace(s, m,
                  "state %d term %" PRIu64 " lead %" PRIu64 " commit %" PRIu64
                  " store %zu apply %zu%s",
                  (int) u.soft.state, u.hard.term, u.soft.lead, u.hard.commit, u.entries_n,
                  u.committed_n, u.snapshot != NULL ? " snapshot" : "");
        sim_check_update(s, m, &u);
        if (!s->setup.memory_late)
            into_memory(s, m, u.snapshot, u.entries, u.entries_n);
        if (s->setup.async)
            update_async(s, m, &u);
        else
            update_sync(s, m, &u);
        sim_check_member(s, m);
    }
    snapshot_now_and_then(s, m);
}

static void leave_after(struct sim *s, struct sim_member *m, struct payload *bytes)
{
    struct raft_message x;
    int rc;

    arena_reset(&s->arena);
    if (raft_message_get(bytes_of(bytes->data, bytes->bytes), &s->arena, &x, NULL) != 0)
        sim_fail(s, "a message cannot be decoded");
    sim_check_message(s, m, &x);
    if (x.to != sim_id(m)) {
        sim_send(s, m, payload_ref(bytes), x.to, x.type);
        return;
    }
    rc = raft_step(m->raft, &x);
    if (rc != 0)
        sim_hash(s, (uint64_t) -rc);
}

/* One sync may have covered several jobs. */
void sim_member_stored(struct sim *s, struct sim_member *m)
{
    m->store_busy = false;
    do {
        struct sim_store_job *j = pop_store(m);

        sim_disk_store(&m->disk, j);
        if (s->setup.memory_late)
            into_memory(s, m, j->snapshot, j->entries.v, j->entries.n);
        if (j->snapshot != NULL)
            install_snapshot(s, m, j->snapshot);
        sim_trace(s, m, "stored to %" PRIu64 "/%" PRIu64, j->mark.log_term, j->mark.index);
        for (size_t i = 0; i < j->after_n; i++)
            leave_after(s, m, j->after[i]);
        raft_stored(m->raft, &j->mark);
        free_store_job(j);
    } while (m->store_first != NULL && (s->healing || sim_chance(&s->disk_random, 4) != 0));
    sim_member_pump(s, m);
    start_store(s, m);
}

void sim_member_applied(struct sim *s, struct sim_member *m)
{
    struct sim_apply_job *j = pop_apply(m);

    m->apply_busy = false;
    apply_entries(s, m, j->entries.v, j->entries.n);
    raft_applied(m->raft, &j->mark);
    free_apply_job(j);
    sim_member_pump(s, m);
    start_apply(s, m);
}

/* ---- life ---- */

static uint64_t random_timeout(void *arg, uint64_t bound)
{
    struct sim_member *m = arg;

    return sim_chance(&sim_of(m)->timeout_random, bound);
}

void sim_member_init(struct sim *s, uint32_t index)
{
    struct sim_member *m = &s->members[index];

    *m = (struct sim_member){.index = index, .storage = {&ops}};
    m->tick_us = s->setup.tick_us * (90 + sim_chance(&s->setup_random, 21)) / 100;
    sim_disk_init(&m->disk);
}

static void bootstrap(struct sim *s, struct sim_member *m)
{
    struct raft_peer peers[SIM_MEMBERS];
    struct sim_store_job j = {.hard_changed = true};
    struct raft_storage *d = raft_memory_storage_base(m->disk.log);
    struct err e = ERR_INIT;

    if (m->index >= s->setup.members || d->ops->last_index(d) > 0)
        return;
    for (uint32_t i = 0; i < s->setup.members; i++)
        peers[i] = (struct raft_peer){.id = i + 1};
    if (raft_bootstrap(m->raft, peers, s->setup.members, &e) != 0)
        sim_fail(s, "bootstrap: %s", e.msg);
    /* A real server syncs this before it says a word. */
    for (size_t i = 0; i < m->raft->log.unstable.entries.n; i++)
        raft_entry_list_add(&j.entries, raft__queue_at(&m->raft->log.unstable.entries, i));
    j.hard = raft__hard_state(m->raft);
    sim_disk_store(&m->disk, &j);
    raft_entry_list_done(&j.entries);
}

void sim_member_start(struct sim *s, struct sim_member *m)
{
    struct raft_storage *d = raft_memory_storage_base(m->disk.log);
    struct raft_snapshot x;
    struct err e = ERR_INIT;
    struct raft_config c = {
        .id = sim_id(m),
        .election_tick = 10,
        .heartbeat_tick = 1,
        .storage = &m->storage,
        .msg_bytes_max = s->setup.msg_bytes_max,
        .committed_bytes_max = 4096 + 4 * s->setup.msg_bytes_max,
        .uncommitted_bytes_max = 1 << 20,
        .inflight_max = s->setup.inflight_max,
        .check_quorum = s->setup.check_quorum,
        .pre_vote = s->setup.pre_vote,
        .step_down_on_removal = s->setup.step_down_on_removal,
        .async_storage_writes = s->setup.async,
        .vote_requests_after_store = true,
        .random = {random_timeout, m},
    };

    ASSERT(!m->up);
    (void) d->ops->snapshot(d, &x);
    m->memory = sim_disk_load(s, &m->disk);
    m->applied = c.applied = x.meta.index;
    m->state = 0;
    if (x.meta.index > 0)
        memcpy(&m->state, x.data.p, sizeof m->state);
    m->store_last = &m->store_first;
    m->apply_last = &m->apply_first;
    m->store_busy = m->apply_busy = false;
    m->up = true;
    m->retired = false;
    m->paused = false;
    m->life++;
    if (raft_new(&c, &m->raft, &e) != 0)
        sim_fail(s, "member %" PRIu64 " cannot start: %s", sim_id(m), e.msg);
    bootstrap(s, m);
    m->commit_seen = m->raft->log.committed;
    m->term_seen = 0;
    sim_trace(s, m, "starts at term %" PRIu64 " commit %" PRIu64 " last %" PRIu64, m->raft->term,
              m->raft->log.committed, raft_get_last_index(m->raft));
    (void) sim_at(s, sim_chance(&s->timeout_random, m->tick_us), SIM_TICK, m->index);
    sim_member_pump(s, m);
}

static void drop_jobs(struct sim_member *m)
{
    while (m->store_first != NULL)
        free_store_job(pop_store(m));
    while (m->apply_first != NULL)
        free_apply_job(pop_apply(m));
}

/* Of the writes under way the first may be complete, one may be torn, the rest is lost. */
void sim_member_crash(struct sim *s, struct sim_member *m)
{
    if (!m->up)
        return;
    sim_trace(s, m, "crashes");
    s->result.counts.crashes++;
    while (m->store_first != NULL && sim_chance(&s->disk_random, 3) == 0) {
        struct sim_store_job *j = pop_store(m);

        sim_disk_store(&m->disk, j);
        free_store_job(j);
    }
    if (m->store_first != NULL)
        sim_disk_tear(s, &m->disk, m->store_first);
    drop_jobs(m);
    raft_free(m->raft);
    raft_memory_storage_free(m->memory);
    m->raft = NULL;
    m->memory = NULL;
    m->up = false;
}

void sim_member_done(struct sim_member *m)
{
    if (m->up) {
        drop_jobs(m);
        raft_free(m->raft);
        raft_memory_storage_free(m->memory);
    }
    sim_disk_done(&m->disk);
}
