/* pair.h -- two members on one thread: the first leads, the second joins it later, and what they
 * say to each other is carried at once, or not at all.
 *
 * Snapshots are carried as node/transport.h asks: one piece at a time, by requests to both.
 */
#ifndef KETCH_TESTS_LIB_PAIR_H
#define KETCH_TESTS_LIB_PAIR_H

#include "base/list.h"
#include "lib/node/member.h"
#include "lib/simdisk.h"

struct pair;

/* One snapshot under way. */
struct pair_snapshot {
    struct node_sending *sending;
    struct node_receiving *receiving;
    struct node_message *message;
    struct call *piece; /* asked of the sender, */
    struct call *taken; /* or given to the receiver */
    bool last;          /* `taken` is the end */
};

struct pair_side {
    struct pair *pair;
    struct simdisk *disk;
    struct member m;
    uint64_t id;
    bool up;
    bool stuck; /* takes no pieces of snapshots */
    struct node_transport transport;
    struct list inbox; /* messages that have not been handed in */
};

struct pair {
    struct pair_side side[2];
    struct pair_snapshot snapshot;
    bool cut;              /* nothing gets through */
    unsigned snapshots;    /* that arrived */
    unsigned failed;       /* that did not */
    uint64_t failed_bytes; /* of the last such one */
    char why[256];
};

/* The first member is up, leads, and has made `puts` keys "k0", ... of `bytes` each.  `configure`
 * (or NULL) may change the configuration of both. */
void pair_init(struct pair *p, uint64_t seed, int puts, size_t bytes,
               void (*configure)(struct node_config *c));
/* The second one is added to the membership; it is not up yet.  Beside a learner the first one
 * commits alone. */
enum pair_as { PAIR_VOTER, PAIR_LEARNER };
void pair_add(struct pair *p, enum pair_as as);
/* Starts the second one, new or from what its disk holds.  False: it died, or refused. */
bool pair_start(struct pair *p);
/* Its power is cut: it is gone, and so is what its disk had not synced. */
void pair_crash(struct pair *p, enum simdisk_crash_mode mode);
/* Both run until *until is set or `ms` of simulated time have passed, or one has died. */
void pair_run(struct pair *p, int64_t ms, const bool *until);
/* Both have applied the same; false: not within `ms`, or one has died. */
bool pair_agree(struct pair *p, int64_t ms);
void pair_put(struct pair *p, const char *prefix, int n, size_t bytes);
/* One of them stops in order; a snapshot that is under way fails. */
void pair_close(struct pair *p, int side);
void pair_done(struct pair *p); /* closes who is up */

#endif
