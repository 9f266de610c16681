/* sim.h -- a group of consensus cores on one thread, in a hostile world, from one seed.
 *
 * Time, network, disks and the order of everything are simulated; nothing but the seed decides.
 * Each source of chance has a generator of its own, so that leaving out one fault does not change
 * the others: this is what makes shrinking a failure to a few faults work (shrink.c).
 *
 *     run.c      the queue of events, the clients, the end
 *     plan.c     the faults of a seed: when, what, whom
 *     network.c  messages, as bytes on a wire: lost, delayed, doubled, overtaken, cut off
 *     member.c   one core with its loop: updates out, acknowledgements in, crash and restart
 *     disk.c     what a crash leaves of what was being written
 *     check.c    what must always be true
 *     shrink.c   fewer faults, same failure
 */
#ifndef KETCH_TESTS_SIM_RAFT_SIM_H
#define KETCH_TESTS_SIM_RAFT_SIM_H

#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/heap.h"
#include "base/map64.h"
#include "engine/raft/raft.h"
#include "sim/faults/faults.h"
#include "sys/random.h"

typedef uint64_t sim_us; /* simulated microseconds */

#define SIM_MS ((sim_us) 1000)
#define SIM_S ((sim_us) 1000000)
#define SIM_MEMBERS 7
#define SIM_FAULTS_MAX 64
#define SIM_HEAL_S 15    /* at the end: faults stop, everything must recover */
#define SIM_EXTENSIONS 4 /* of SIM_HEAL_S each, for a group that has no leader yet */
#define SIM_QUIET_S 6    /* at the very end: nobody interferes any more */
#define SIM_WHY_BYTES 512
#define SIM_TRACE_LINES 4096
#define SIM_TRACE_BYTES 240

struct sim;

/* ---- events ---- */

enum sim_event_kind {
    SIM_TICK,
    SIM_DELIVER,
    SIM_STORED,
    SIM_APPLIED,
    SIM_READ_BACK, /* entries that a member waits for are there */
    SIM_FAULT_BEGIN,
    SIM_FAULT_END,
    SIM_CLIENT,
    SIM_REPORT, /* the transport tells a sender what became of its message */
    SIM_RESTART,
    SIM_STOP,
    SIM_WATCH,  /* after healing: who should run, runs */
    SIM_STRIKE, /* of a storm */
    SIM_CUT_END,
};

struct sim_event {
    struct heap_item item;
    enum sim_event_kind kind;
    uint32_t member; /* index, not id */
    uint32_t other;
    uint32_t life;  /* of the member; an event of an earlier life is void */
    uint32_t extra; /* fault number, report kind, timer number */
    struct payload *bytes;
};

struct sim_event *sim_at(struct sim *s, sim_us delay, enum sim_event_kind kind, uint32_t member);

/* ---- a member ---- */

/* What one update wants stored. */
struct sim_store_job {
    struct sim_store_job *next;
    struct raft_entry_list entries;
    struct payload **after; /* encoded messages that may leave when it is durable */
    size_t after_n;
    struct raft_snapshot *snapshot;
    struct raft_hard_state hard;
    bool hard_changed;
    struct raft_store_mark mark;
};

struct sim_apply_job {
    struct sim_apply_job *next;
    struct raft_entry_list entries;
    struct raft_apply_mark mark;
};

/* What survives a crash. */
struct sim_disk {
    struct raft_memory_storage *log; /* with hard state and snapshot, all durable */
    struct raft_hard_state hard;
    bool slow;
};

struct sim_member {
    struct raft_storage storage; /* what the core sees: `memory`, sometimes not in the mood */
    struct raft_memory_storage *memory;
    struct raft *raft;
    struct sim_disk disk;
    uint32_t index;
    uint32_t life;
    bool up;
    bool retired; /* removed from the group, and stopped */
    bool paused;
    sim_us tick_us;

    struct sim_store_job *store_first, **store_last;
    struct sim_apply_job *apply_first, **apply_last;
    bool store_busy, apply_busy;

    raft_index applied; /* of the state machine */
    uint64_t state;     /* hash of everything applied */

    raft_index commit_seen; /* for the check that it never falls, in one life */
    raft_term term_seen;
};

struct sim *sim_of(struct sim_member *m);
static inline raft_id sim_id(const struct sim_member *m)
{
    return m->index + 1;
}

void sim_member_init(struct sim *s, uint32_t index);
void sim_member_done(struct sim_member *m);
void sim_member_start(struct sim *s, struct sim_member *m);
void sim_member_crash(struct sim *s, struct sim_member *m);
/* Takes updates until there are none: call after every event. */
void sim_member_pump(struct sim *s, struct sim_member *m);
void sim_member_stored(struct sim *s, struct sim_member *m);
void sim_member_applied(struct sim *s, struct sim_member *m);
void sim_member_snapshot(struct sim *s, struct sim_member *m);

/* ---- disk.c ---- */

void sim_disk_init(struct sim_disk *d);
void sim_disk_done(struct sim_disk *d);
void sim_disk_store(struct sim_disk *d, const struct sim_store_job *j);
/* The machine loses power while `j` is being written: some of it may be there. */
void sim_disk_tear(struct sim *s, struct sim_disk *d, const struct sim_store_job *j);
/* The log of a new life: what the disk has. */
struct raft_memory_storage *sim_disk_load(struct sim *s, struct sim_disk *d);
bool sim_disk_has(struct sim_disk *d, raft_index i, raft_term term);

/* ---- network.c ---- */

struct payload *sim_encode(const struct raft_message *m);
void sim_send(struct sim *s, struct sim_member *from, struct payload *bytes, raft_id to,
              enum raft_message_type type);
void sim_deliver(struct sim *s, struct sim_event *e);
void sim_report(struct sim *s, struct sim_event *e);

/* ---- plan.c ---- */

enum sim_fault_kind {
    SIM_CRASH,
    SIM_CRASH_ALL,
    SIM_CUT_HALF,
    SIM_CUT_ONE,
    SIM_CUT_ONE_WAY,
    SIM_CUT_BRIDGE,
    SIM_LOSSY,
    SIM_SLOW_NETWORK,
    SIM_SLOW_DISK,
    SIM_PAUSE,
    SIM_TRANSFER,
    SIM_CONF_CHANGE,
    SIM_CAMPAIGN,
    SIM_FORGET,
    SIM_COMPACT,
    SIM_STORM, /* one blow after the other, at the leader or at whoever is writing */
    SIM_FAULT_KINDS
};

struct sim_fault {
    enum sim_fault_kind kind;
    sim_us at;
    sim_us lasts;
    uint32_t a, b;
    uint64_t arg;
};

const char *sim_fault_name(enum sim_fault_kind k);
void sim_plan(struct sim *s);
void sim_fault_begin(struct sim *s, const struct sim_fault *f);
void sim_fault_end(struct sim *s, const struct sim_fault *f);
void sim_strike(struct sim *s, struct sim_event *e);
void sim_strike_end(struct sim *s, uint32_t member);

/* ---- check.c ---- */

struct sim_checks {
    struct map64 leaders;   /* term -> id */
    struct map64 votes;     /* term and voter -> candidate */
    struct map64 entries;   /* index and term -> hash of the entry and of what precedes it */
    struct map64 committed; /* index -> term */
    struct map64 applied;   /* index -> hash of the state behind it */
    raft_index commit_max;
};

void sim_check_init(struct sim_checks *c);
void sim_check_done(struct sim_checks *c);
void sim_check_member(struct sim *s, struct sim_member *m);
void sim_check_update(struct sim *s, struct sim_member *m, const struct raft_update *u);
void sim_check_message(struct sim *s, struct sim_member *m, const struct raft_message *x);
void sim_check_applied(struct sim *s, struct sim_member *m, const struct raft_entry *e);
bool sim_has_leader(struct sim *s);
void sim_check_end(struct sim *s);

/* ---- the whole ---- */

struct sim_options {
    uint64_t seed;
    uint64_t seconds;
    uint64_t fault_mask; /* which faults of the plan happen */
    bool quiet_network;  /* no loss, no doubles beyond what faults ask for */
    bool no_reads;
    bool trace;
};

/* What is counted; seeds.h adds it up. */
struct sim_counts {
    uint64_t events, commits, elections, snapshots, conf_changes, crashes, reads;
};

struct sim_result {
    bool failed;
    const char *kind; /* the check that failed: its text before numbers were put in */
    char why[SIM_WHY_BYTES];
    uint64_t hash;
    sim_us at;
    struct sim_counts counts;
};

/* How this seed's group is set up. */
struct sim_setup {
    uint32_t members; /* at the beginning */
    bool async;
    bool pre_vote;
    bool check_quorum;
    bool step_down_on_removal;
    uint64_t msg_bytes_max;
    uint32_t inflight_max;
    uint32_t loss_ppm;
    uint32_t double_ppm;
    sim_us delay_us;
    sim_us disk_us;
    sim_us apply_us;
    sim_us tick_us;
    bool memory_late; /* entries are seen in storage only when they are durable */
    bool stormy;
    uint32_t keep_entries;
    sim_us client_us;
};

struct sim {
    struct sim_options options;
    struct sim_setup setup;
    sim_us now;
    struct heap queue;
    struct sim_member members[SIM_MEMBERS];
    struct sim_fault faults[SIM_FAULTS_MAX];
    uint32_t faults_n;
    struct cuts cuts;
    uint32_t lossy, slow_network;
    bool healing;

    /* One per source of chance. */
    struct random_seeded setup_random, plan_random, network_random, disk_random, timeout_random,
        client_random;

    struct sim_checks checks;
    struct arena arena; /* of the message being handled */

    uint64_t next_read;     /* number of the next read; its context */
    raft_index *read_floor; /* by number: what it must see */
    size_t read_floor_cap;
    uint64_t next_proposal;
    raft_index commit_at_heal;

    struct sim_result result;
    sigjmp_buf escape;
    char (*lines)[SIM_TRACE_BYTES];
    size_t lines_n;
};

static inline uint64_t sim_chance(struct random_seeded *r, uint64_t bound)
{
    return random_below(&r->random, bound);
}

/* True in `ppm` of a million cases. */
static inline bool sim_happens(struct random_seeded *r, uint32_t ppm)
{
    return random_below(&r->random, 1000000) < ppm;
}

/* Ends the run: a promise is broken. */
NORETURN void sim_fail(struct sim *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* One line of the trace: always part of the hash, kept as text only when asked for. */
void sim_trace(struct sim *s, const struct sim_member *m, const char *fmt, ...) PRINTF_LIKE(3, 4);
void sim_hash(struct sim *s, uint64_t x);

void sim_run(const struct sim_options *o, struct sim_result *ret, struct sim *s);
void sim_setup_choose(struct sim *s);

/* Runs once more with fewer and fewer faults, and prints what is left of a failure. */
void sim_shrink_and_print(const struct sim_options *o);

#endif
