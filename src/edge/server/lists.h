/* lists.h -- answers that hold a list of the member's state: all leases, the keys of one.
 *
 * Such an answer is made by the apply thread, about 60 bytes for each thing in it, and stays until
 * its client has taken it; how long it will be is not known before.  So few are with the node at a
 * time, others wait in line, and when those on their way to their clients hold
 * SERVER_LISTS_BYTES_MAX, the next ones are refused, and those in line with them.
 *
 *      asked ---> in line ---> with the node ---> leaves ---> over
 *        |          |                 ^
 *        |          `---> refused     | at once, when there is room
 *        `----------------------------'
 *
 * Invariant: somebody is in line only while somebody is with the node.
 *
 * Threads: each I/O thread has its own.   Memory: all of it is in the arenas of the calls.
 */
#ifndef KETCH_EDGE_SERVER_LISTS_H
#define KETCH_EDGE_SERVER_LISTS_H

#include "base/list.h"

#define SERVER_LISTS_BYTES_MAX ((size_t) 256 << 20)
#define SERVER_LISTS_ASKED_MAX 8 /* with the node */

struct call;
struct req;

struct lists {
    struct list line;
    size_t asked_n;
    size_t bytes;      /* of those that leave */
    size_t last_bytes; /* of the last that was long: what the next ones may be */
};

void lists_init(struct lists *l);

/* Submits r, now or later, whose answer is a message. */
void list_submit(struct req *r);

#endif
