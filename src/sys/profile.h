/* profile.h -- where the process spends its CPU time.
 *
 * While a profile is taken, each 10 ms of CPU time (of all threads together) interrupt a thread
 * that runs, and its call stack is noted.  The result is in the format of gperftools' CPU profiler,
 * which the program pprof reads together with the binary (posix/profile.c shows it).
 *
 * Threads: one profile at a time; start and stop by any thread.   Memory: PROFILE_BYTES while one
 * is taken.  What does not fit any more is left out, and the profile says for how long it is.
 */
#ifndef KETCH_SYS_PROFILE_H
#define KETCH_SYS_PROFILE_H

#include "base/buf.h"
#include "base/err.h"

#define PROFILE_BYTES ((size_t) 8 << 20)
#define PROFILE_PERIOD_US 10000
#define PROFILE_DEPTH_MAX 64
#define PROFILE_RESULT_BYTES_MAX (PROFILE_BYTES + ((size_t) 1 << 20)) /* with the mappings */

/* ERR_LOCKED: one is being taken; ERR_NOMEM; ERR_IO. */
NODISCARD int profile_start(struct err *e);

/* Ends the profile, which was begun, and appends it to `out` (NULL: nobody wants it): at most
 * PROFILE_RESULT_BYTES_MAX.  False: `out` refused. */
bool profile_stop(struct buf *out);

#endif
