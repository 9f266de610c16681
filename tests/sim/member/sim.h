/* sim.h -- a cluster of whole members on one thread, in a hostile world, from one seed.
 *
 * Each member is the real `node` and everything below it over a simulated disk, clock and chance.
 * Its actors take turns in an order and with delays that the seed decides, as threads would; its
 * messages go over a simulated network; clients work on it and remember what they were told.
 *
 *     main.c       one process for each seed; many at once; what is printed
 *     run.c        the queue of events, the trace, the end
 *     plan.c       the faults of a seed: when, what, whom
 *     network.c    messages between members, and who reaches whom
 *     questions.c  what a member's peer port answers another
 *     carry.c      snapshots between members
 *     member.c     one member: turns of its actors, crash and restart
 *     server.c     what an I/O thread does for a client: requests in, words of answers out
 *     client.c     clients of the key space, and their history
 *     watcher.c    clients that watch
 *     leases.c     clients that hold leases
 *     operator.c   changes of membership, and who should run
 *     truth.c      what the members applied, revision by revision
 *     judge.c      the history against the truth and the clock
 *     shrink.c     fewer faults, same failure
 *
 * Each source of chance has a generator of its own, so that leaving out one fault changes the
 * others as little as possible: shrinking lives on that.
 *
 * A crashed member's memory is left behind, for nobody can free what a dead process held: a run has
 * a process of its own.
 */
#ifndef KETCH_TESTS_SIM_MEMBER_SIM_H
#define KETCH_TESTS_SIM_MEMBER_SIM_H

#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>

#include "base/alloc.h"
#include "base/heap.h"
#include "base/map64.h"
#include "lib/simdisk.h"
#include "node/node.h"
#include "sim/faults/faults.h"
#include "sim/linear/store_model.h"

typedef int64_t sim_ns; /* of simulated time, since the beginning */

#define SIM_US INT64_C(1000)
#define SIM_MS INT64_C(1000000)
#define SIM_S INT64_C(1000000000)
#define SIM_MEMBERS 6 /* places; five at most are filled at first */
#define SIM_CLIENTS 6
#define SIM_WATCHERS 4
#define SIM_HOLDERS 3 /* of leases */
#define SIM_FAULTS_MAX 48
#define SIM_HEAL_S 8   /* at the end: faults stop, everything must recover */
#define SIM_SETTLE_S 4 /* ... and by then every request is answered */
#define SIM_QUIET_S 3  /* at the very end: clients stop, everybody catches up */
#define SIM_EVENTS_MAX UINT64_C(6000000)
#define SIM_WHY_BYTES 512
#define SIM_TRACE_LINES 120
#define SIM_TRACE_BYTES 256

struct sim;
struct sim_member;

/* ---- events ---- */

struct sim_event {
    struct heap_item item;
    void (*run)(struct sim *s, void *arg);
    void *arg;
    bool owned; /* freed when it has run */
};

/* Runs once, `delay` from now. */
void sim_at(struct sim *s, sim_ns delay, void (*run)(struct sim *s, void *arg), void *arg);
/* The same for an event of the caller's, which is moved when it is due later already. */
void sim_post(struct sim *s, struct sim_event *e, sim_ns delay);
void sim_cancel(struct sim *s, struct sim_event *e);

/* ---- a member ---- */

struct sim_actor {
    struct sim_member *m;
    enum node_actor which;
    struct sim_event turn;
};

struct sim_recorder {
    struct sim_member *m;
    struct watch_sink sink;
    struct watch_stream stream;
    struct watcher watcher;
};

struct sim_member {
    struct sim *sim;
    uint32_t index;
    uint32_t life; /* counts starts: what belongs to an earlier life is void */
    struct simdisk *disk;
    struct random_seeded chance;
    struct clock clock;
    int64_t ppm; /* how much its clock is fast */
    sim_ns clock_base;
    wall_ms wall_offset;
    char name[24], peer_url[40], client_url[40];
    uint64_t joined_id; /* of a member that was added: what the cluster called it */
    uint64_t id;
    bool wanted;   /* an operator wants it to run */
    bool reserved; /* the place is for one that is being added */
    bool up;
    bool dying;      /* inside a crash */
    bool expects_io; /* errors of its disk were asked for: it may stop */
    bool stopping;
    unsigned paused; /* faults that hold it */
    unsigned slow_disk, hung_disk;
    bool removed; /* it was told so */
    char died[1024];
    jmp_buf death;

    struct node *node;
    struct node_sink sink;
    struct mvcc_reader *reader;
    struct sim_actor actors[NODE_ACTORS];
    struct node_transport transport;
    const struct cluster_view *view; /* of the members, as the transport was told */
    struct sim_recorder *recorder;
    unsigned streams;      /* of watches, not yet closed */
    unsigned carryings;    /* snapshots on their way from or to it */
    int64_t revision_seen; /* by reads, in this life */
    sim_ns heard_last[SIM_MEMBERS], heard_since[SIM_MEMBERS], told_version[SIM_MEMBERS];
};

void sim_member_init(struct sim *s, uint32_t index);
/* A place is filled anew, with an empty disk. */
void sim_member_prepare(struct sim_member *m, uint64_t joined_id);
void sim_member_reserve(struct sim_member *m); /* gives it a name and URLs that are new */
void sim_member_start(struct sim_member *m);
void sim_member_start_later(struct sim_member *m, sim_ns delay); /* if it is down then */
void sim_member_crash(struct sim_member *m, enum simdisk_crash_mode mode);
/* In order, as on SIGTERM; it is down when that is over. */
void sim_member_stop(struct sim_member *m);
NORETURN void sim_member_aborts(struct sim_member *m); /* inside a turn: it dies */
void sim_member_resume(struct sim_member *m);          /* no longer paused or hung */
mono_ns sim_member_now(const struct sim_member *m);
/* Whether clients are served. */
bool sim_member_serves(const struct sim_member *m);
struct sim_member *sim_member_of(struct sim *s, uint64_t id);
struct sim_member *sim_leader(struct sim *s);

/* A request to a node on somebody's behalf.  `done` runs a little later on an I/O thread of the
 * same life; after a crash it never does, nor is the call freed. */
struct sim_call {
    struct node_request r;
    struct sim_member *m;
    uint32_t life;
    void (*done)(struct sim_call *c);
    void *owner;
};

struct sim_call *sim_call_new(struct sim_member *m, enum node_request_kind kind,
                              void (*done)(struct sim_call *c), void *owner);
void sim_call_body(struct sim_call *c, uint32_t op, const ProtobufCMessage *body);
void sim_call_submit(struct sim_call *c);
bool sim_call_ok(const struct sim_call *c);
void sim_call_free(struct sim_call *c); /* by `done` */

/* ---- network.c ---- */

const struct node_transport *sim_transport(struct sim_member *m);
sim_ns sim_network_delay(struct sim *s);
sim_ns sim_client_delay(struct sim *s);
/* Whether a message sent now would arrive. */
bool sim_reaches(struct sim *s, uint32_t from, uint32_t to);
/* A message between a client and a member got lost. */
bool sim_client_loses(struct sim *s);
void sim_network_crashed(struct sim_member *m);

/* ---- questions.c ---- */

void sim_ask(void *ctx, struct node_question *q);

/* ---- carry.c ---- */

void sim_send_snapshot(void *ctx, struct node_sending *sending);

/* ---- truth.c ---- */

struct sim_truth_event {
    unsigned key;
    bool is_delete;
    struct model_kv kv;
};

/* What happened at one revision. */
struct sim_truth {
    struct sim_truth_event *v;
    size_t n;
    sim_ns at;      /* when the first member applied it */
    uint64_t claim; /* number of the operation it belongs to, + 1; 0: of none so far */
};

void sim_truth_init(struct sim *s);
/* The member has just started: from now on what it applies is compared. */
void sim_record_begin(struct sim_member *m);
void sim_record_end(struct sim_member *m); /* before it stops */
/* Events as a WatchResponse has them, in the order of their revisions: calls `each` for every
 * revision. */
void sim_events_each(struct sim *s, const struct payload *events,
                     void (*each)(void *arg, int64_t revision, const struct sim_truth_event *v,
                                  size_t n),
                     void *arg);
bool sim_key_of(struct bytes key, unsigned *ret);
void sim_key_text(unsigned key, char ret[4]);
bool sim_kv_of(struct bytes encoded, unsigned *ret_key, struct model_kv *ret);
const struct sim_truth *sim_truth_at(const struct sim *s, int64_t revision);
bool sim_truth_event_eq(const struct sim_truth_event *a, const struct sim_truth_event *b);

/* ---- history ---- */

enum sim_status { SIM_PENDING, SIM_OK, SIM_REFUSED, SIM_UNKNOWN };

/* One operation of a client, for ever. */
struct sim_op {
    uint64_t number;
    uint32_t client;
    struct model_op op;
    bool serializable;
    int64_t at_revision; /* a read of the past; 0: of now */
    int64_t lease;       /* REVOKE */
    sim_ns call, ret;
    enum sim_status status;
    uint32_t member;
    enum api_error err;
    struct words answer;
    int64_t pinned; /* the revision at which it took effect; 0: not known */
};

struct sim_history {
    struct sim_op **v;
    size_t n;
    size_t cap;
};

struct sim_op *sim_op_new(struct sim *s, uint32_t client);

/* ---- server.c ---- */

/* The operation arrives at a member; sim_op_answered is called when the answer arrives back, if one
 * does. */
struct sim_attempt {
    struct sim *s;
    struct sim_op *op;
    struct sim_member *m;
    uint32_t life;
    void (*answered)(struct sim *s, struct sim_op *op, bool sure);
};
void sim_serve(struct sim *s, struct sim_op *op, uint32_t member,
               void (*answered)(struct sim *s, struct sim_op *op, bool sure));

/* ---- clients ---- */

struct sim_client {
    struct sim *s;
    uint32_t index;
    uint32_t member;
    struct sim_op *op; /* under way */
    struct sim_event timeout;
    int64_t mod_seen[MODEL_KEYS];
};

void sim_clients_begin(struct sim *s);
void sim_clients_crashed(struct sim_member *m);
uint32_t sim_some_member(struct sim *s, struct random_seeded *r);

/* ---- watcher.c ---- */

struct sim_watch;

struct sim_watcher {
    struct sim *s;
    uint32_t index;
    uint32_t member;
    unsigned lo, hi;
    bool prev_kv;
    int64_t next;            /* the first revision it has not been told of */
    struct sim_watch *watch; /* what the member has of it; NULL: not connected */
    struct sim_event again;
    sim_ns arrival; /* of the last message: they come in order */
};

void sim_watchers_begin(struct sim *s);
void sim_watchers_crashed(struct sim_member *m);
void sim_watchers_stop(struct sim_member *m); /* their streams are closed in order */
void sim_watchers_end(struct sim *s);         /* all have seen everything */

/* ---- leases.c ---- */

struct sim_lease {
    int64_t id;
    int64_t ttl_s;
    struct words kept; /* when each keep-alive (and the grant) that was answered was sent */
    sim_ns asked_last; /* when the last one was sent, answered or not */
    bool revoked;      /* somebody asked for its end */
};

struct sim_holder {
    struct sim *s;
    uint32_t index;
    uint32_t member;
    struct sim_lease *lease; /* the present one */
    unsigned step;
    sim_ns give_up;    /* no more keep-alives */
    struct sim_op *op; /* under way */
    struct sim_event again;
    uint64_t round;
};

struct sim_leases {
    struct sim_lease **v;
    size_t n;
    size_t cap;
};

void sim_holders_begin(struct sim *s);
struct sim_lease *sim_lease_of(struct sim *s, int64_t id);
/* A live lease for a put, or 0. */
int64_t sim_lease_some(struct sim *s, struct random_seeded *r);
/* Keys on the lease were deleted at this revision, and no client's operation did it. */
void sim_lease_ended(struct sim *s, struct sim_lease *l, int64_t revision, sim_ns at);
void sim_leases_end(struct sim *s, const struct model_state *last);

/* ---- operator.c ---- */

void sim_operator_begin(struct sim *s);
void sim_change_members(struct sim *s, uint32_t a, uint64_t arg);
void sim_move_leader(struct sim *s, uint32_t a);
void sim_operator_heal(struct sim *s);

/* ---- plan.c ---- */

enum sim_fault_kind {
    SIM_CRASH,     /* the process, at once */
    SIM_POWER_CUT, /* the machine, in the middle of a write */
    SIM_CRASH_ALL, /* all machines at once */
    SIM_STOP,      /* SIGTERM */
    SIM_CUT_HALF,
    SIM_CUT_ONE,
    SIM_CUT_ONE_WAY,
    SIM_CUT_BRIDGE,
    SIM_FLAP, /* one is cut off and back, many times */
    SIM_LOSSY,
    SIM_SLOW_NETWORK,
    SIM_SLOW_DISK,
    SIM_HANG_DISK,
    SIM_SYNC_ERROR,
    SIM_FULL_DISK,
    SIM_PAUSE,
    SIM_WALL_JUMP,
    SIM_TRANSFER,
    SIM_MEMBERSHIP,
    SIM_DEFRAGMENT,
    SIM_FAULT_KINDS
};

struct sim_fault {
    enum sim_fault_kind kind;
    sim_ns at;
    sim_ns lasts;
    uint32_t a;
    uint64_t arg;
    uint32_t life; /* of the member at its beginning */
    bool on;
};

const char *sim_fault_name(enum sim_fault_kind k);
void sim_plan(struct sim *s);

/* ---- judge.c ---- */

void sim_judge(struct sim *s);

/* ---- the whole ---- */

struct sim_options {
    uint64_t seed;
    uint64_t seconds;
    uint64_t fault_mask; /* which faults of the plan happen */
    bool quiet_network;
    bool trace;     /* lines are printed as they come */
    bool trace_end; /* the last ones are kept, and printed in the end */
};

/* What is counted; seeds.h adds it up. */
struct sim_counts {
    uint64_t events, ops, answered, unknown, revisions, crashes, members_changed, watched, leases,
        leases_ended, snapshots;
};

struct sim_result {
    bool failed;
    char kind[64]; /* the check that failed: the beginning of its text */
    char why[SIM_WHY_BYTES];
    uint64_t hash;
    sim_ns at;
    struct sim_counts counts;
    uint32_t faults_n;
    struct sim_fault faults[SIM_FAULTS_MAX];
};

/* How this seed's cluster is set up. */
struct sim_setup {
    uint32_t members;
    bool pre_vote;
    unsigned tick_ms;
    uint64_t snapshot_count, catchup_entries;
    uint64_t segment_bytes;
    sim_ns delay_ns; /* of messages */
    sim_ns disk_ns;  /* of a write and sync */
    sim_ns turn_ns;  /* until an actor that was woken runs */
    sim_ns think_ns; /* of clients */
    uint32_t loss_ppm, double_ppm;
    int64_t drift_ppm;
    bool compacts, leases, watches, reconfigures;
    bool strict;
    int64_t batch_interval_ms;
    sim_ns corrupt_check_ns; /* 0: never */
};

struct sim {
    struct sim_options options;
    struct sim_setup setup;
    sim_ns now;
    struct heap queue;
    struct sim_member members[SIM_MEMBERS];
    struct sim_client clients[SIM_CLIENTS];
    struct sim_watcher watchers[SIM_WATCHERS];
    struct sim_holder holders[SIM_HOLDERS];
    struct sim_leases leases;
    struct sim_fault faults[SIM_FAULTS_MAX];
    uint32_t faults_n;
    struct cuts cuts;
    unsigned lossy, slow_network;
    bool healing, quiet, over;
    uint64_t leader;     /* as the operator has seen it last */
    sim_ns leader_since; /* elections may take a few tries, also in a world without faults */
    uint64_t joiners;    /* members added so far: their URLs are new ones */
    uint64_t cluster_id;

    struct random_seeded setup_random, plan_random, network_random, disk_random, turn_random,
        client_random, operator_random;

    struct sim_truth *truth; /* by revision */
    size_t truth_cap;
    int64_t revision; /* the highest in it */
    struct sim_history history;
    struct map64 hashes;   /* revision and compaction -> HashKV, +1 */
    int64_t compact_asked; /* the highest revision of a compaction that somebody asked for */
    uint64_t next_value;
    struct arena arena; /* scratch */

    struct sim_result result;
    struct sim_member *turning; /* whose code runs now */
    sigjmp_buf escape;
    char (*lines)[SIM_TRACE_BYTES];
    size_t lines_n;
};

static inline uint64_t sim_chance(struct random_seeded *r, uint64_t bound)
{
    return random_below(&r->random, bound);
}

static inline sim_ns sim_delay(struct random_seeded *r, sim_ns bound)
{
    return 1 + (sim_ns) random_below(&r->random, (uint64_t) bound);
}

/* True in `ppm` of a million cases. */
static inline bool sim_happens(struct random_seeded *r, uint32_t ppm)
{
    return random_below(&r->random, 1000000) < ppm;
}

/* Ends the run: a promise is broken. */
NORETURN void sim_fail(struct sim *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* One line of the trace: its text is part of the hash. */
void sim_trace(struct sim *s, const struct sim_member *m, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* One that is made only when a trace is wanted. */
#define sim_detail(s, m, ...)                             \
    do {                                                  \
        if ((s)->options.trace || (s)->options.trace_end) \
            sim_trace((s), (m), __VA_ARGS__);             \
    } while (0)

void sim_run(const struct sim_options *o, struct sim_result *ret, struct sim *s);

/* In a process of its own; a trace is printed. */
void sim_run_apart(const struct sim_options *o, struct sim_result *ret);

/* Runs again with fewer and fewer faults, and prints what is left of a failure. */
void sim_shrink_and_print(const struct sim_options *o);

#endif
