/* auth_work.h -- threads for what takes long on purpose: hashing passwords, and signing tokens.
 *
 * Those for logins yield to all other threads, so that ten thousand of them cost the logins time
 * and nobody else.  What waits is bounded; the rest is refused at once.
 *
 * Threads: auth_work_submit on the loop of an I/O thread; `work` runs on one of the threads here,
 * and `done` on the loop again.
 */
#ifndef KETCH_EDGE_SERVER_AUTH_WORK_H
#define KETCH_EDGE_SERVER_AUTH_WORK_H

#include <stdatomic.h>

#include "base/mpsc.h"
#include "engine/net/loop.h"

#define AUTH_WORK_QUEUE_MAX 1000 /* waiting for one thread: about a minute of logins */
#define AUTH_WORK_THREADS_MAX 4

struct auth_work;

struct auth_job {
    struct mpsc_node link;
    struct loop_task task;
    struct loop *loop;
    void (*work)(struct auth_job *j);
    void (*done)(struct auth_job *j);
    /* Nobody waits any more: `work` is left out.  The owner's, and may be true before it is
     * submitted: a client can go while there is something else to wait for. */
    _Atomic bool unwanted;
};

/* threads_n for logins, and one more. */
NODISCARD int auth_work_new(unsigned threads_n, struct auth_work **ret, struct err *e);
/* No job is under way.  NULL is accepted. */
void auth_work_free(struct auth_work *w);

/* prompt: of what an administrator asks, or of one who has shown his password; it goes to a thread
 * that yields to nobody.  False: too many wait already. */
bool auth_work_submit(struct auth_work *w, struct loop *l, struct auth_job *j, bool prompt);

#endif
