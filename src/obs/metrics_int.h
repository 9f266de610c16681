/* metrics_int.h -- the registry from inside.  Private to obs. */
#ifndef KETCH_OBS_METRICS_INT_H
#define KETCH_OBS_METRICS_INT_H

#include <pthread.h>

#include "obs/metrics.h"

#define METRICS_COLLECTORS_MAX 16

struct metrics__text {
    char *p; /* owned, no NUL */
    size_t n;
};

struct histogram_buckets {
    size_t n;
    double per_unit;                     /* fine units in one coarse unit */
    uint64_t bounds[METRIC_BUCKETS_MAX]; /* upper bounds in the fine unit, inclusive */
    struct metrics__text shown;          /* `le="0.001"} ` of each in the coarse unit, +Inf last */
    uint8_t shown_n[METRIC_BUCKETS_MAX + 1]; /* their lengths */
};

/* `text` is how the lines of a series begin, up to the number.  A histogram's begin in three ways,
 * which stand one behind the other: `x_bucket{a="b",` with the bound to follow, `x_sum{a="b"} ` and
 * `x_count{a="b"} `. */
struct metrics__series {
    char *labels; /* values, each ended by a NUL */
    struct metric metric;
    struct histogram *histogram; /* set for histograms only */
    struct metrics__text text;
    size_t bucket_n; /* of `text`: the first of three */
    size_t sum_n;    /* the second */
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
    struct metrics__text text; /* its lines HELP and TYPE */
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
    pthread_mutex_t collecting; /* held while collectors run; taken before `lock` */
};

/* metrics.c; under the lock.  The place of a family, and that of the first series behind `s`. */
size_t metrics__family_at(const struct metrics *m, const struct metric_family *f);
size_t metrics__series_behind(const struct metric_family *f, const struct metrics__series *s);

/* metrics_page.c: the texts of a page that stay. */
void metrics__family_text(struct metric_family *f);
void metrics__bounds_text(struct histogram_buckets *h, const double *bounds);
void metrics__series_text(const struct metric_family *f, struct metrics__series *s);

/* metrics_number.c: as metric_number, without a NUL.  Returns the end. */
char *metric__put_number(double v, char *out);

#endif
