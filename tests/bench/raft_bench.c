/* raft_bench -- what consensus itself costs: three cores in one process, no disk, no network.
 *
 * Each round proposes a batch of entries to the leader and carries every message and
 * acknowledgement until all three have applied it.  Prints microseconds of CPU per batch for the
 * three cores together, and how often memory was allocated per batch once the load is steady.
 *
 *     raft_bench [entries] [bytes] [rounds]      (64 256 20000)
 */
#define _POSIX_C_SOURCE 200809L
#include <time.h>

#include "base/alloc.h"
#include "engine/raft/raft.h"

#define MEMBERS 3
#define WARM_UP 2000
#define QUEUE 256

struct member {
    struct raft *raft;
    struct raft_memory_storage *storage;
    struct raft_update update;
};

struct group {
    struct member members[MEMBERS + 1]; /* by id */
    uint64_t applied;
};

static uint64_t middle(void *arg, uint64_t bound)
{
    (void) arg;
    return bound / 2;
}

static int member_start(struct member *m, raft_id id)
{
    raft_id voters[MEMBERS] = {1, 2, 3};
    struct raft_snapshot s = {
        .meta = {.index = 1, .term = 1, .conf_state.voters = {voters, MEMBERS}}};
    struct raft_config c = {
        .id = id,
        .election_tick = 10,
        .heartbeat_tick = 1,
        .msg_bytes_max = 1 << 20,
        .inflight_max = 512,
        .check_quorum = true,
        .pre_vote = true,
        .async_storage_writes = true,
        .random.below = middle,
    };

    m->storage = raft_memory_storage_new(&(struct raft_memory_options){0});
    c.storage = raft_memory_storage_base(m->storage);
    if (raft_memory_storage_apply_snapshot(m->storage, &s) != 0)
        return -1;
    c.applied = 1;
    return raft_new(&c, &m->raft, NULL);
}

static void deliver(struct group *g, const struct raft_message *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (raft_step(g->members[v[i].to].raft, &v[i]) != 0)
            abort();
}

/* What node/ does on three threads, on one. */
static bool run_member(struct group *g, struct member *m)
{
    struct raft_update *u = &m->update;

    if (!raft_has_update(m->raft))
        return false;
    raft_take_update(m->raft, u);
    raft_memory_storage_append(m->storage, u->entries, u->entries_n);
    deliver(g, u->messages, u->messages_n);
    deliver(g, u->after_store, u->after_store_n);
    raft_stored(m->raft, &u->stored);
    g->applied += u->committed_n;
    raft_applied(m->raft, &u->applied);
    if (u->applied.index > 10000 && u->applied.index % 4096 < 64)
        (void) !raft_memory_storage_compact(m->storage, u->applied.index - 5000);
    return true;
}

static void settle(struct group *g)
{
    bool more = true;

    while (more) {
        more = false;
        for (int id = 1; id <= MEMBERS; id++)
            more = run_member(g, &g->members[id]) || more;
    }
}

/* The batch's bytes lie in one block, as they come from the network. */
static void propose(struct group *g, struct raft_entry *v, size_t n, size_t bytes,
                    struct payload *block)
{
    for (size_t i = 0; i < n; i++)
        v[i] = (struct raft_entry){.data = bytes_of(block->data + i * bytes, bytes),
                                   .owner = block};
    if (raft_propose(g->members[1].raft, v, n) != 0)
        abort();
    settle(g);
}

static double cpu_us(void)
{
    struct timespec t;

    (void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double) t.tv_sec * 1e6 + (double) t.tv_nsec / 1e3;
}

static size_t argument(int argc, char **argv, int i, size_t otherwise)
{
    return argc > i ? strtoull(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    size_t n = argument(argc, argv, 1, 64), bytes = argument(argc, argv, 2, 256);
    size_t rounds = argument(argc, argv, 3, 20000);
    struct raft_entry *v = xmem_calloc(n, sizeof *v);
    struct payload *block = payload_new(n * bytes + 1);
    struct group g = {0};
    uint64_t allocations;
    double begin, took;

    if (n == 0 || n > 65536 || block == NULL)
        return 2;
    memset(block->data, 'x', block->bytes);
    for (raft_id id = 1; id <= MEMBERS; id++)
        if (member_start(&g.members[id], id) != 0)
            return 2;
    raft_campaign(g.members[1].raft);
    settle(&g);
    for (size_t i = 0; i < WARM_UP; i++)
        propose(&g, v, n, bytes, block);
    allocations = mem_alloc_count();
    g.applied = 0;
    begin = cpu_us();
    for (size_t i = 0; i < rounds; i++)
        propose(&g, v, n, bytes, block);
    took = cpu_us() - begin;
    allocations = mem_alloc_count() - allocations;
    printf(
        "%zu entries of %zu bytes, 3 members, %zu batches: %.2f us of CPU per batch, %.0f ns per "
        "entry\n",
        n, bytes, rounds, took / (double) rounds, took * 1e3 / (double) (rounds * n));
#ifdef KETCH_ALLOC_TEST
    printf("%" PRIu64 " allocations in these batches\n", allocations);
#else
    printf("allocations are counted in builds with KETCH_ALLOC_TEST only\n");
    (void) allocations;
#endif
    if (g.applied != (uint64_t) rounds * n * MEMBERS)
        printf("applied %" PRIu64 " entries, not %zu\n", g.applied, rounds * n * MEMBERS);
    for (raft_id id = 1; id <= MEMBERS; id++) {
        raft_free(g.members[id].raft);
        raft_memory_storage_free(g.members[id].storage);
    }
    payload_unref(block);
    mem_free(v);
    return 0;
}
