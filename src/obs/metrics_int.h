/* metrics_int.h -- the registry from inside.  Private to obs. */
#ifndef KETCH_OBS_METRICS_INT_H
#define KETCH_OBS_METRICS_INT_H

#include <pthread.h>

#include "obs/metrics.h"

#define METRICS_COLLECTORS_MAX 16

struct histogram_buckets {
    size_t n;
    double per_unit;                     /* fine units in one coarse unit */
    uint64_t bounds[METRIC_BUCKETS_MAX]; /* upper bounds in the fine unit, inclusive */
    double shown[METRIC_BUCKETS_MAX];    /* the same in the coarse unit */
};

struct metrics__series {
    char *labels; /* values, each ended by a NUL */
    struct metric metric;
    struct histogram *histogram; /* set for histograms only */
};

/* Invariant: series are in the order of their label values (labels by name), families in that of
 * their names. */
struct metric_family {
    struct metrics *owner;
    enum metric_type type;
    unsigned flags;
    const char *name;
    const char *help;
    const char *labels[METRIC_LABELS_MAX]; /* sorted by name */
    size_t place[METRIC_LABELS_MAX];       /* of each in the caller's order */
    size_t labels_n;
    struct histogram_buckets *buckets;
    struct metrics__series **series;
    size_t series_n;
    size_t series_cap;
};

struct metrics {
    pthread_mutex_t lock; /* guards the arrays, not the values; taken by scrapes and first uses */
    struct metric_family **families;
    size_t families_n;
    size_t families_cap;
    struct {
        void (*fn)(void *arg);
        void *arg;
    } collectors[METRICS_COLLECTORS_MAX];
    size_t collectors_n;
};

#endif
