/* process.h -- what each program that `etcd` can be begins with. */
#ifndef KETCH_CMD_ETCD_PROCESS_H
#define KETCH_CMD_ETCD_PROCESS_H

#include "obs/log.h"

/* Lines in JSON on standard error, written at once.  Ends the process where there is no memory. */
struct log *process_log(void);

/* As many open descriptors as the system allows.  How many those are. */
size_t process_raise_descriptors(void);

#endif
