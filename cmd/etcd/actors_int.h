/* actors_int.h -- what actors.c and actors_core.c share. */
#ifndef KETCH_CMD_ETCD_ACTORS_INT_H
#define KETCH_CMD_ETCD_ACTORS_INT_H

#include "etcd/actors.h"

/* ---- actors.c ---- */

void actors__wake_keeper(struct actors *a);
void actors__wake_standby(struct actors *a);
/* The keeper, unless a guest has the core: it will see the news. */
void actors__wake_core(struct actors *a);

/* ---- actors_core.c ---- */

int64_t actors__turn(struct actors *a, enum node_actor which); /* as node_run, now */
void actors__run_core(void *core_thread);                      /* until actors_stop */

#endif
