/* process_metrics.h -- what the kernel says of this process, under the names that Prometheus'
 * client libraries give it and two of etcd's.
 *
 * One set for the process.   Threads: one at a time.
 */
#ifndef KETCH_EDGE_SERVER_PROCESS_METRICS_H
#define KETCH_EDGE_SERVER_PROCESS_METRICS_H

#include "obs/metrics.h"
#include "sys/clock.h"

/* The kernel's numbers cost as much as the rest of the page: they may be so old. */
#define PROCESS_FRESH_NS (100 * INT64_C(1000000))

/* now_ms: since 1970; shown as the time of the start. */
void process_metrics_register(struct metrics *m, int64_t now_ms);
/* Asks the kernel, if it was not asked within PROCESS_FRESH_NS. */
void process_metrics_collect(mono_ns now);

#endif
