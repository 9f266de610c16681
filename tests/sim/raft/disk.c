#include "sim/raft/sim.h"

void sim_disk_init(struct sim_disk *d)
{
    *d = (struct sim_disk){.log = raft_memory_storage_new(&(struct raft_memory_options){0})};
}

void sim_disk_done(struct sim_disk *d)
{
    raft_memory_storage_free(d->log);
}

void sim_disk_store(struct sim_disk *d, const struct sim_store_job *j)
{
    /* An older snapshot than the one there is refused, as a real one would be skipped. */
    if (j->snapshot != NULL && raft_memory_storage_apply_snapshot(d->log, j->snapshot) != 0)
        return;
    raft_memory_storage_append(d->log, j->entries.v, j->entries.n);
    if (j->hard_changed)
        d->hard = j->hard;
}

/* Records are written in order: entries first, the hard state behind them.  A snapshot counts only
 * with its hard state, so such a job is there whole or not at all. */
void sim_disk_tear(struct sim *s, struct sim_disk *d, const struct sim_store_job *j)
{
    size_t kept = sim_chance(&s->disk_random, j->entries.n + 1);

    if (j->snapshot == NULL)
        raft_memory_storage_append(d->log, j->entries.v, kept);
}

bool sim_disk_has(struct sim_disk *d, raft_index i, raft_term term)
{
    struct raft_storage *b = raft_memory_storage_base(d->log);
    raft_term t;
    int rc = b->ops->term(b, i, &t);

    return rc == ERR_RAFT_COMPACTED || (rc == 0 && t == term);
}

/* The older part of the log is read back from the disk, sometimes only at the second try, and of
 * those sometimes the core is told when that is worth while. */
static int read_back(void *arg, raft_index lo, raft_index hi, uint64_t bytes_max,
                     struct raft_entry_list *ret)
{
    struct sim_member *m = arg;
    struct raft_storage *b = raft_memory_storage_base(m->disk.log);

    uint64_t luck = sim_chance(&sim_of(m)->disk_random, 8);

    if (luck == 0)
        (void) sim_at(sim_of(m), sim_of(m)->setup.disk_us, SIM_READ_BACK, m->index);
    if (luck < 2)
        return ERR_AGAIN;
    return b->ops->entries(b, lo, hi, bytes_max, ret);
}

struct raft_memory_storage *sim_disk_load(struct sim *s, struct sim_disk *d)
{
    struct sim_member *m = CONTAINER_OF(d, struct sim_member, disk);
    struct raft_storage *b = raft_memory_storage_base(d->log);
    struct raft_memory_options o = {.entries_max = 16 + s->setup.keep_entries,
                                    .reader = {read_back, m}};
    struct raft_memory_storage *memory = raft_memory_storage_new(&o);
    raft_index first = b->ops->first_index(b), last = b->ops->last_index(b);
    struct raft_entry_list all = {0};
    struct raft_snapshot snapshot;

    (void) b->ops->snapshot(b, &snapshot);
    if (snapshot.meta.index > 0 && raft_memory_storage_apply_snapshot(memory, &snapshot) != 0)
        sim_fail(s, "a fresh log refuses a snapshot");
    if (last >= first && b->ops->entries(b, first, last + 1, UINT64_MAX, &all) != 0)
        sim_fail(s, "the disk cannot be read");
    raft_memory_storage_append(memory, all.v, all.n);
    raft_memory_storage_set_hard_state(memory, &d->hard);
    raft_entry_list_done(&all);
    return memory;
}
