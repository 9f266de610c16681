/* process.h -- the process as a whole, whichever of its programs `etcd` is: the first log lines,
 * descriptors, the heap. */
#ifndef KETCH_CMD_ETCD_PROCESS_H
#define KETCH_CMD_ETCD_PROCESS_H

#include "obs/log.h"

/* Lines in JSON on standard error, written at once.  Ends the process where there is no memory. */
struct log *process_log(void);

/* As many open descriptors as the system allows.  How many those are. */
size_t process_raise_descriptors(void);

/* The first at the start, the second now and then: what a burst has used goes back to the system.
 */
void process_keep_memory_small(void);
void process_trim_memory(void);

#endif
