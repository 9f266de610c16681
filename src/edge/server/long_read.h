/* long_read.h -- reads that take longer than others may wait: in slices, one in a turn of the loop.
 *
 *      begun ---> at once, for long_read_at_once() ------> it is ready: answered
 *        |                 |
 *        `---> waits ------+---> under way: a slice, behind the others, a slice ... ready: answered
 *                |                 |
 *                `-----------------`---> its client goes: ended
 *
 * Those under way have a slice each in turn, so that one that is soon ready does not wait for one
 * that is not.  They are few, because each keeps what it has found so far: of each kind
 * SERVER_READS_UNDER_WAY_MAX, and a second one that makes a list begins only when what they may
 * come to hold is below SERVER_SORTS_BYTES_MAX.  One kind never waits for another.
 *
 * Those that wait take turns by connection, so that who asks for thousands waits for them himself.
 *
 * Whoever makes a list is refused (ERR_NOMEM) when it begins while lists whose answers are on their
 * way hold SERVER_SORTS_BYTES_MAX, and when it would have to wait while those that wait hold as
 * much.
 *
 * Threads: an I/O thread has its own.   Memory: a read lives in the arena of its call.
 */
#ifndef KETCH_EDGE_SERVER_LONG_READ_H
#define KETCH_EDGE_SERVER_LONG_READ_H

#include "engine/net/call.h"

/* In units of mvcc_range_step and mvcc_txn_read_step.  What takes no more than so many, some 80 us,
 * is done at once, for it would cost as much again to do it later; of anything else a little is. */
#define SERVER_READ_AT_ONCE_UNITS 6144
#define SERVER_READ_FIRST_UNITS 512
#define SERVER_READ_SHORT_KEYS 4096   /* one that looks at more is a long one */
#define SERVER_READS_UNDER_WAY_MAX 2  /* of each kind */
#define SERVER_READ_LINES_LOOK_MAX 64 /* among so many a connection finds its line */

struct io;

enum long_read_kind {
    LONG_READ_SHORT,
    LONG_READ_WALK, /* holds its place, and no list */
    LONG_READ_LIST, /* holds a list as long as there are keys, or one of unknown length */
    LONG_READ_KINDS
};

struct long_read {
    struct list link; /* in under_way; while it waits: with those of its connection */
    struct list line; /* of the first of them: in waiting[kind]; else empty */
    struct io *io;
    struct call *call;
    struct arena *arena; /* of its list */
    enum long_read_kind kind;
    uint64_t units;      /* of work that are ahead, about */
    uint64_t bytes;      /* that its list may come to hold, or holds if that is more; 0: none */
    uint64_t held_bytes; /* while it waits */
    bool begun;
    bool under_way;
    /* Goes on for `units`.  0, or why the read fails. */
    int (*step)(struct long_read *r, uint64_t units, bool *ret_ready);
    /* Ends the call.  rc 0: it is ready; ERR_CANCELED: nobody waits for it any more. */
    void (*end)(struct long_read *r, int rc);
};

struct long_reads {
    struct loop_work work;
    struct list under_way;
    struct list waiting[LONG_READ_KINDS]; /* a line for each connection: struct long_read.line */
    size_t under_way_n[LONG_READ_KINDS];
    uint64_t bytes;      /* of those under way */
    uint64_t held_bytes; /* of those that wait */
};

void long_reads_init(struct long_reads *l);
bool long_reads_none(const struct long_reads *l);

/* False: it makes a list, and those on their way to their clients use what there is. */
bool long_read_has_room(const struct long_read *r);

/* For how many units it may be stepped before long_read_run; 0: others wait already. */
uint64_t long_read_at_once(const struct long_read *r);

/* It is begun, and so much is ahead: goes on at once, and by and by when that does not do.  A list
 * may come to hold what SERVER_SORT_BYTES_MAX allows. */
struct mvcc_range_ahead;
void long_read_go_on(struct long_read *r, const struct mvcc_range_ahead *ahead);

/* Steps it by and by.  `end` comes once, perhaps before this returns; until then call_user is
 * the read, and call_on_cancel is taken. */
void long_read_run(struct long_read *r);

#endif
