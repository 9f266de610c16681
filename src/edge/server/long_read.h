/* long_read.h -- reads that take longer than others may wait: in slices, one in a turn of the loop.
 *
 *      begun ---> at once, for long_read_at_once() ------> it is ready: answered
 *        |                 |
 *        `---> waits ------+---> under way: a slice, behind the others, a slice ... ready: answered
 *                |                 |
 *                `-----------------`---> its client goes: ended
 *
 * Those under way have a slice each in turn, so that one that is soon ready does not wait for one
 * that is not.  They are few, because each keeps what it has found so far: of the short ones and of
 * the long ones SERVER_READS_UNDER_WAY_MAX, and a second long one begins only when what they may
 * come to hold is below SERVER_SORTS_BYTES_MAX.  A short one never waits for a long one.
 *
 * Threads: an I/O thread has its own.   Memory: a read lives in the arena of its call.
 */
#ifndef KETCH_EDGE_SERVER_LONG_READ_H
#define KETCH_EDGE_SERVER_LONG_READ_H

#include "engine/net/call.h"

/* In units of mvcc_range_step.  What takes no more than so many, some 80 us, is done at once, for
 * it would cost as much again to do it later; of anything else a little is. */
#define SERVER_READ_AT_ONCE_UNITS 6144
#define SERVER_READ_FIRST_UNITS 512
#define SERVER_READ_SHORT_KEYS 4096  /* one that looks at more is a long one */
#define SERVER_READS_UNDER_WAY_MAX 2 /* of either kind */

struct io;

struct long_read {
    struct list link;
    struct io *io;
    struct call *call;
    uint64_t keys;  /* ahead, about */
    uint64_t units; /* of work */
    uint64_t bytes; /* that it may come to hold */
    bool under_way;
    /* Goes on for `units`.  0, or why the read fails. */
    int (*step)(struct long_read *r, uint64_t units, bool *ret_ready);
    /* Ends the call.  rc 0: it is ready; ERR_CANCELED: nobody waits for it any more. */
    void (*end)(struct long_read *r, int rc);
};

struct long_reads {
    struct loop_work work;
    struct list under_way;
    struct list waiting[2]; /* short ones, long ones */
    size_t under_way_n[2];
    uint64_t bytes; /* of those under way */
};

void long_reads_init(struct long_reads *l);
bool long_reads_none(const struct long_reads *l);

/* For how many units it may be stepped before long_read_run; 0: others wait already. */
uint64_t long_read_at_once(const struct long_read *r);

/* Steps it by and by.  `end` comes once, perhaps before this returns; until then call_user and
 * call_on_cancel of the call are taken. */
void long_read_run(struct long_read *r);

#endif
