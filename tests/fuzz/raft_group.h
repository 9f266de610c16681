/* raft_group.h -- for raft_group_fuzz.c: members of a raft group with their storage, their jobs
 * under way and their mail, and what must hold of them at every step. */
#ifndef KETCH_TESTS_FUZZ_RAFT_GROUP_H
#define KETCH_TESTS_FUZZ_RAFT_GROUP_H

#include "base/alloc.h"
#include "engine/raft/raft_int.h"
#include "engine/raft/snapshot_copy.h"
#include "fuzz/choices.h"

#define MEMBERS 4
#define MAIL_MAX 512
#define INDEX_MAX 4096
#define TERM_MAX 4096
#define READS_MAX 256

struct store_job {
    struct store_job *next;
    struct raft_entry_list entries;
    struct raft_snapshot *snapshot;
    struct raft_hard_state hard;
    bool hard_changed;
    struct raft_store_mark mark;
    struct bytes *after; /* encoded messages that leave when it is done */
    size_t after_n;
};

struct apply_job {
    struct apply_job *next;
    struct raft_entry_list entries;
    struct raft_apply_mark mark;
};

struct member {
    raft_id id;
    struct raft_memory_storage *disk; /* what is stored: also what the core reads */
    struct raft_hard_state hard;
    struct raft *raft; /* NULL: down */
    struct store_job *store, **store_end;
    struct apply_job *apply, **apply_end;
    raft_index applied;
    uint64_t state;
    raft_index commit_seen;
    raft_term term_seen;
};

static struct choices in;
static uint64_t chance; /* of timeouts */
static struct member members[MEMBERS];
static struct bytes mail[MAIL_MAX];
static raft_id mail_to[MAIL_MAX];
static size_t mail_n;
static bool with_changes;

/* What all of them have to agree on. */
static uint64_t states[INDEX_MAX]; /* of the state machine after an index; 0: not applied yet */
static raft_index applied_max;
static raft_id leaders[TERM_MAX];
static raft_index read_floor[READS_MAX];
static size_t reads_n;

static uint64_t mix(uint64_t h, uint64_t x)
{
    h = (h ^ x) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 29;
}

static uint64_t timeout_below(void *arg, uint64_t bound)
{
    (void) arg;
    chance = mix(chance + 1, bound);
    return chance % bound;
}

/* ---- mail ---- */

static struct bytes encode(const struct raft_message *m)
{
    size_t n = raft_message_size(m);
    uint8_t *p = xmem_alloc(n + 1);

    ASSERT(raft_message_put(m, p) == p + n);
    return bytes_of(p, n);
}

static void drop_bytes(struct bytes b)
{
    mem_free((void *) (uintptr_t) b.p);
}

static void post(struct bytes b, raft_id to)
{
    if (mail_n == MAIL_MAX || to == 0 || to > MEMBERS) {
        drop_bytes(b);
        return;
    }
    mail[mail_n] = b;
    mail_to[mail_n++] = to;
}

static void step(struct member *m, struct bytes b)
{
    struct raft_message x;
    struct arena a;

    arena_init(&a, 1 << 24);
    ASSERT(raft_message_get(b, &a, &x, NULL) == 0);
    if (m->raft != NULL)
        /* No disk here loses what was acknowledged. */
        ASSERT(raft_step(m->raft, &x) != ERR_RAFT_LOG_LOST);
    arena_done(&a);
}

static void forget(size_t i)
{
    mail_n--;
    memmove(mail + i, mail + i + 1, (mail_n - i) * sizeof *mail);
    memmove(mail_to + i, mail_to + i + 1, (mail_n - i) * sizeof *mail_to);
}

/* ---- what must hold ---- */

static void check(struct member *m)
{
    raft_term term = raft_get_term(m->raft);

    ASSERT(term >= m->term_seen);
    ASSERT(raft_get_commit(m->raft) >= m->commit_seen);
    m->term_seen = term;
    m->commit_seen = raft_get_commit(m->raft);
    raft__check(m->raft);
    if (raft_get_state(m->raft) != RAFT_LEADER || term >= TERM_MAX)
        return;
    ASSERT(leaders[term] == 0 || leaders[term] == m->id);
    leaders[term] = m->id;
}

static void check_applied(struct member *m)
{
    ASSERT(m->applied < INDEX_MAX);
    if (states[m->applied] == 0)
        states[m->applied] = m->state;
    ASSERT(states[m->applied] == m->state);
    applied_max = MAX(applied_max, m->applied);
}

/* ---- updates ---- */

static void take_reads(const struct raft_update *u)
{
    for (size_t i = 0; i < u->read_states_n; i++) {
        size_t read;

        ASSERT(u->read_states[i].context.n == sizeof read);
        memcpy(&read, u->read_states[i].context.p, sizeof read);
        ASSERT(read < reads_n);
        ASSERT(u->read_states[i].index >= read_floor[read]);
    }
}

static void take_store(struct member *m, const struct raft_update *u)
{
    struct store_job *j;

    if (!raft_update_stores(u))
        return;
    j = xmem_calloc(1, sizeof *j);
    for (size_t i = 0; i < u->entries_n; i++)
        raft_entry_list_add(&j->entries, &u->entries[i]);
    if (u->snapshot != NULL)
        j->snapshot = raft__snapshot_copy(u->snapshot);
    j->hard = u->hard;
    j->hard_changed = u->hard_changed;
    j->mark = u->stored;
    j->after = xmem_calloc(u->after_store_n + 1, sizeof *j->after);
    for (; j->after_n < u->after_store_n; j->after_n++)
        j->after[j->after_n] = encode(&u->after_store[j->after_n]);
    *m->store_end = j;
    m->store_end = &j->next;
}

static void take_apply(struct member *m, const struct raft_update *u)
{
    struct apply_job *j;

    if (u->committed_n == 0)
        return;
    j = xmem_calloc(1, sizeof *j);
    for (size_t i = 0; i < u->committed_n; i++)
        raft_entry_list_add(&j->entries, &u->committed[i]);
    j->mark = u->applied;
    *m->apply_end = j;
    m->apply_end = &j->next;
}

static void pump(struct member *m)
{
    struct raft_update u;

    check(m);
    while (raft_has_update(m->raft)) {
        raft_take_update(m->raft, &u);
        for (size_t i = 0; i < u.messages_n; i++)
            post(encode(&u.messages[i]), u.messages[i].to);
        take_reads(&u);
        take_store(m, &u);
        take_apply(m, &u);
        check(m);
    }
}

/* ---- storing and applying ---- */

static void store_job_free(struct store_job *j)
{
    raft_entry_list_done(&j->entries);
    mem_free(j->snapshot);
    mem_free(j->after);
    mem_free(j);
}

static void install(struct member *m, const struct raft_snapshot *s)
{
    if (s->meta.index <= m->applied)
        return;
    ASSERT(s->data.n == sizeof m->state);
    memcpy(&m->state, s->data.p, sizeof m->state);
    m->applied = s->meta.index;
    check_applied(m);
}

static void store_one(struct member *m)
{
    struct store_job *j = m->store;

    if (j == NULL)
        return;
    m->store = j->next;
    if (m->store == NULL)
        m->store_end = &m->store;
    if (j->snapshot != NULL && raft_memory_storage_apply_snapshot(m->disk, j->snapshot) == 0)
        install(m, j->snapshot);
    raft_memory_storage_append(m->disk, j->entries.v, j->entries.n);
    if (j->hard_changed)
        m->hard = j->hard;
    for (size_t i = 0; i < j->after_n; i++) {
        struct raft_message x;
        struct arena a;

        arena_init(&a, 1 << 20);
        ASSERT(raft_message_get(j->after[i], &a, &x, NULL) == 0);
        if (x.to == m->id)
            (void) !raft_step(m->raft, &x);
        arena_done(&a);
        if (x.to == m->id)
            drop_bytes(j->after[i]);
        else
            post(j->after[i], x.to);
    }
    raft_stored(m->raft, &j->mark);
    store_job_free(j);
    pump(m);
}

static void apply_change(struct member *m, const struct raft_entry *e)
{
    struct raft_conf_change_single single;
    struct raft_conf_change v1;
    struct raft_conf_change_v2 v2 = {0};
    struct err err = ERR_INIT;
    struct arena a;

    arena_init(&a, 1 << 20);
    if (e->type == RAFT_ENTRY_CONF_CHANGE) {
        ASSERT(raft_conf_change_get(e->data, &v1, &err) == 0);
        v2 = raft_conf_change_as_v2(&v1, &single);
    } else {
        ASSERT(raft_conf_change_v2_get(e->data, &a, &v2, &err) == 0);
    }
    if (!raft_is_superseded(m->raft, e->index))
        ASSERT(raft_apply_conf_change(m->raft, &v2, NULL, &err) == 0);
    arena_done(&a);
}

static void apply_one(struct member *m)
{
    struct apply_job *j = m->apply;

    if (j == NULL)
        return;
    m->apply = j->next;
    if (m->apply == NULL)
        m->apply_end = &m->apply;
    for (size_t i = 0; i < j->entries.n; i++) {
        const struct raft_entry *e = &j->entries.v[i];

        if (e->index <= m->applied)
            continue; /* a snapshot was faster */
        ASSERT(e->index == m->applied + 1);
        m->applied = e->index;
        m->state = mix(mix(m->state, e->term << 2 | e->type), e->data.n);
        for (size_t k = 0; k < e->data.n; k++)
            m->state = mix(m->state, e->data.p[k]);
        check_applied(m);
        if (e->type != RAFT_ENTRY_NORMAL)
            apply_change(m, e);
    }
    raft_applied(m->raft, &j->mark);
    raft_entry_list_done(&j->entries);
    mem_free(j);
    pump(m);
}

static void jobs_drop(struct member *m)
{
    while (m->store != NULL) {
        struct store_job *j = m->store;

        m->store = j->next;
        for (size_t i = 0; i < j->after_n; i++)
            drop_bytes(j->after[i]);
        store_job_free(j);
    }
    while (m->apply != NULL) {
        struct apply_job *j = m->apply;

        m->apply = j->next;
        raft_entry_list_done(&j->entries);
        mem_free(j);
    }
    m->store_end = &m->store;
    m->apply_end = &m->apply;
}

/* ---- life ---- */

static unsigned options; /* bits, the same for all members and lives */

static void start(struct member *m)
{
    struct raft_storage *d = raft_memory_storage_base(m->disk);
    struct raft_snapshot x;
    struct raft_config c = {
        .id = m->id,
        .election_tick = 5,
        .heartbeat_tick = 1,
        .storage = d,
        .msg_bytes_max = (options & 8) != 0 ? 64 : 1 << 20,
        .uncommitted_bytes_max = (options & 16) != 0 ? 64 : 0,
        .inflight_max = (options & 32) != 0 ? 2 : 256,
        .check_quorum = (options & 1) != 0,
        .pre_vote = (options & 2) != 0,
        .step_down_on_removal = (options & 4) != 0,
        .async_storage_writes = true,
        .vote_requests_after_store = true,
        .random = {timeout_below, NULL},
    };

    ASSERT(d->ops->snapshot(d, &x) == 0);
    raft_memory_storage_set_hard_state(m->disk, &m->hard);
    m->applied = c.applied = x.meta.index;
    memcpy(&m->state, x.data.p, sizeof m->state);
    ASSERT(raft_new(&c, &m->raft, NULL) == 0);
    m->commit_seen = raft_get_commit(m->raft);
    m->term_seen = raft_get_term(m->raft);
    pump(m);
}

static void crash(struct member *m)
{
    jobs_drop(m);
    raft_free(m->raft);
    m->raft = NULL;
}

static void begin(struct member *m, raft_id id)
{
    raft_id voters[] = {1, 2, 3};
    uint64_t state = 1;
    struct raft_snapshot s = {
        .meta = {.index = 1, .term = 1, .conf_state.voters = {voters, ARRAY_LEN(voters)}},
        .data = bytes_of(&state, sizeof state)};

    *m = (struct member){.id = id,
                         .disk = raft_memory_storage_new(&(struct raft_memory_options){0}),
                         .hard = {.term = 1, .commit = 1}};
    m->store_end = &m->store;
    m->apply_end = &m->apply;
    ASSERT(raft_memory_storage_apply_snapshot(m->disk, &s) == 0);
    start(m);
}

/* Remembers the state and forgets the log before it but for a little. */
static void compact(struct member *m)
{
    struct raft_storage *d = raft_memory_storage_base(m->disk);
    raft_index keep = pick(&in, 4);
    struct raft_conf_state cs;

    if (d->ops->last_index(d) < m->applied || raft_is_superseded(m->raft, m->applied + 1) ||
        m->hard.commit < m->applied)
        return;
    cs = raft__tracker_conf_state(&m->raft->tracker);
    if (raft_memory_storage_create_snapshot(m->disk, m->applied, &cs,
                                            bytes_of(&m->state, sizeof m->state)) == 0 &&
        m->applied > keep)
        (void) !raft_memory_storage_compact(m->disk, m->applied - keep);
}

#endif
