/* The registry: families and series, kept in the order of the page.  The page is metrics_page.c. */
#define _POSIX_C_SOURCE 200809L
#include "obs/metrics.h"

#include "base/alloc.h"
#include "obs/metrics_int.h"

#define CELL_STRIDE 8 /* 64-byte lines of 8-byte cells */

struct metrics *metrics_new(void)
{
    struct metrics *m = mem_calloc(1, sizeof *m);

    if (m != NULL) {
        pthread_mutex_init(&m->lock, NULL);
        pthread_mutex_init(&m->collecting, NULL);
    }
    return m;
}

static void family_free(struct metric_family *f)
{
    for (size_t i = 0; i < f->series_n; i++) {
        struct metrics__series *s = f->series[i];

        if (f->type == METRIC_HISTOGRAM)
            mem_free(s->histogram);
        else
            mem_free(s->metric.cells);
        mem_free(s->labels);
        mem_free(s->text.p);
        mem_free(s);
    }
    mem_free(f->series);
    mem_free(f->text.p);
    if (f->buckets != NULL)
        mem_free(f->buckets->shown.p);
    mem_free(f->buckets);
    mem_free(f);
}

void metrics_free(struct metrics *m)
{
    if (m == NULL)
        return;
    for (size_t i = 0; i < m->families_n; i++)
        family_free(m->families[i]);
    mem_free(m->families);
    pthread_mutex_destroy(&m->lock);
    pthread_mutex_destroy(&m->collecting);
    mem_free(m);
}

/* ---- families ---- */

/* The place of `name`; *ret_found says whether a family is there already. */
static size_t family_place(const struct metrics *m, const char *name, bool *ret_found)
{
    size_t lo = 0, hi = m->families_n;

    *ret_found = false;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int c = strcmp(m->families[mid]->name, name);

        if (c == 0) {
            *ret_found = true;
            return mid;
        }
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

size_t metrics__family_at(const struct metrics *m, const struct metric_family *f)
{
    bool found;
    size_t at = family_place(m, f->name, &found);

    ASSERT(found);
    return at;
}

/* Puts p at place `at` of an array that grows by doubling. */
static void *array_insert(void *array, size_t *n, size_t *cap, size_t at, void *p)
{
    void **v = array;

    ASSERT(at <= *n);
    if (*n == *cap) {
        *cap = *cap == 0 ? 4 : *cap * 2;
        v = xmem_realloc(v, *cap * sizeof *v);
    }
    memmove(v + at + 1, v + at, (*n - at) * sizeof *v);
    v[at] = p;
    (*n)++;
    return v;
}

/* Keeps the labels sorted by name, as the page shows them, and notes where the caller has them. */
static void label_insert(struct metric_family *f, const char *name)
{
    size_t at = f->labels_n++;

    for (; at > 0 && strcmp(f->labels[at - 1], name) > 0; at--) {
        f->labels[at] = f->labels[at - 1];
        f->place[at] = f->place[at - 1];
    }
    f->labels[at] = name;
    f->place[at] = f->labels_n - 1;
}

static struct metric_family *family_make(struct metrics *m, enum metric_type type, unsigned flags,
                                         const char *name, const char *help,
                                         const char *const *labels, size_t at)
{
    struct metric_family *f = xmem_calloc(1, sizeof *f);

    f->owner = m;
    f->type = type;
    f->flags = flags;
    f->name = name;
    f->help = help;
    while (labels != NULL && labels[f->labels_n] != NULL) {
        ASSERT(f->labels_n < METRIC_LABELS_MAX);
        label_insert(f, labels[f->labels_n]);
    }
    metrics__family_text(f);
    m->families = array_insert(m->families, &m->families_n, &m->families_cap, at, f);
    return f;
}

struct metric_family *metrics_family(struct metrics *m, enum metric_type type, unsigned flags,
                                     const char *name, const char *help, const char *const *labels)
{
    struct metric_family *f;
    bool found, made;
    size_t at;

    ASSERT(type != METRIC_HISTOGRAM);
    pthread_mutex_lock(&m->lock);
    at = family_place(m, name, &found);
    made = !found;
    f = found ? m->families[at] : family_make(m, type, flags, name, help, labels, at);
    pthread_mutex_unlock(&m->lock);
    ASSERT(f->type == type);
    if (made && f->labels_n == 0)
        metric_with(f, NULL);
    return f;
}

struct metric_family *metrics_histogram_family(struct metrics *m, const char *name,
                                               const char *help, const double *bounds,
                                               size_t bounds_n, double per_unit,
                                               const char *const *labels)
{
    struct metric_family *f;
    bool found;
    size_t at;

    ASSERT(bounds_n <= METRIC_BUCKETS_MAX);
    pthread_mutex_lock(&m->lock);
    at = family_place(m, name, &found);
    f = found ? m->families[at]
              : family_make(m, METRIC_HISTOGRAM, METRIC_PLAIN, name, help, labels, at);
    if (!found) {
        f->buckets = xmem_calloc(1, sizeof *f->buckets);
        f->buckets->n = bounds_n;
        f->buckets->per_unit = per_unit;
        for (size_t i = 0; i < bounds_n; i++) {
            ASSERT(i == 0 || bounds[i - 1] < bounds[i]);
            f->buckets->bounds[i] = (uint64_t) (bounds[i] * per_unit + 0.5);
        }
        metrics__bounds_text(f->buckets, bounds);
    }
    pthread_mutex_unlock(&m->lock);
    ASSERT(f->type == METRIC_HISTOGRAM);
    if (!found && f->labels_n == 0)
        histogram_with(f, NULL);
    return f;
}

/* ---- series ---- */

/* The label values one behind the other, each with its NUL: also the order of the page, since
 * values are compared one by one. */
static char *labels_join(const struct metric_family *f, const char *const *values)
{
    size_t n = 1;
    char *joined, *p;

    for (size_t i = 0; i < f->labels_n; i++) {
        ASSERT(values != NULL && values[i] != NULL);
        n += strlen(values[i]) + 1;
    }
    joined = p = xmem_alloc(n);
    for (size_t i = 0; i < f->labels_n; i++) {
        const char *value = values[f->place[i]];
        size_t len = strlen(value) + 1;

        memcpy(p, value, len);
        p += len;
    }
    *p = 0;
    return joined;
}

static int labels_cmp(const struct metric_family *f, const char *a, const char *const *values)
{
    for (size_t i = 0; i < f->labels_n; i++) {
        int c = strcmp(a, values[f->place[i]]);

        if (c != 0)
            return c;
        a += strlen(a) + 1;
    }
    return 0;
}

static struct metrics__series *series_make(struct metric_family *f, const char *const *values)
{
    struct metrics__series *s = xmem_calloc(1, sizeof *s);

    s->labels = labels_join(f, values);
    if (f->type == METRIC_HISTOGRAM) {
        s->histogram = xmem_calloc(1, sizeof *s->histogram);
        s->histogram->buckets = f->buckets;
    } else if ((f->flags & METRIC_SHARDED) != 0) {
        s->metric.cells = xmem_calloc(METRIC_SHARDS * CELL_STRIDE, sizeof *s->metric.cells);
        s->metric.shard_mask = METRIC_SHARDS - 1;
    }
    metrics__series_text(f, s);
    return s;
}

size_t metrics__series_behind(const struct metric_family *f, const struct metrics__series *s)
{
    const char *values[METRIC_LABELS_MAX] = {NULL}; /* in the caller's order, as labels_cmp wants */
    const char *value = s->labels;
    size_t lo = 0, hi = f->series_n;

    for (size_t i = 0; i < f->labels_n; i++) {
        values[f->place[i]] = value;
        value += strlen(value) + 1;
    }
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (labels_cmp(f, f->series[mid]->labels, values) <= 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    ASSERT(lo > 0);
    ASSERT(f->series[lo - 1] == s);
    return lo;
}

static struct metrics__series *series_with(struct metric_family *f, const char *const *values)
{
    struct metrics__series *s = NULL;
    size_t lo = 0, hi;

    pthread_mutex_lock(&f->owner->lock);
    hi = f->series_n;
    while (lo < hi && s == NULL) {
        size_t mid = (lo + hi) / 2;
        int c = labels_cmp(f, f->series[mid]->labels, values);

        if (c == 0)
            s = f->series[mid];
        else if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (s == NULL && f->series_n < METRIC_SERIES_MAX) {
        s = series_make(f, values);
        f->series = array_insert(f->series, &f->series_n, &f->series_cap, lo, s);
    } else if (s == NULL) {
        s = f->series[f->series_n - 1]; /* full: the last one takes the rest */
    }
    pthread_mutex_unlock(&f->owner->lock);
    return s;
}

struct metric *metric_with(struct metric_family *f, const char *const *values)
{
    if (f == NULL)
        return NULL;
    ASSERT(f->type != METRIC_HISTOGRAM);
    return &series_with(f, values)->metric;
}

struct histogram *histogram_with(struct metric_family *f, const char *const *values)
{
    if (f == NULL)
        return NULL;
    ASSERT(f->type == METRIC_HISTOGRAM);
    return series_with(f, values)->histogram;
}

struct metric *metrics_counter(struct metrics *m, const char *name, const char *help)
{
    return metric_with(metrics_family(m, METRIC_COUNTER, METRIC_PLAIN, name, help, NULL), NULL);
}

struct metric *metrics_counter_hot(struct metrics *m, const char *name, const char *help)
{
    return metric_with(metrics_family(m, METRIC_COUNTER, METRIC_SHARDED, name, help, NULL), NULL);
}

struct metric *metrics_gauge(struct metrics *m, const char *name, const char *help)
{
    return metric_with(metrics_family(m, METRIC_GAUGE, METRIC_PLAIN, name, help, NULL), NULL);
}

struct metric *metrics_gauge_real(struct metrics *m, const char *name, const char *help)
{
    return metric_with(metrics_family(m, METRIC_GAUGE, METRIC_REAL, name, help, NULL), NULL);
}

struct histogram *metrics_histogram(struct metrics *m, const char *name, const char *help,
                                    const double *bounds, size_t bounds_n, double per_unit)
{
    return histogram_with(metrics_histogram_family(m, name, help, bounds, bounds_n, per_unit, NULL),
                          NULL);
}

/* ---- values ---- */

unsigned metric_thread(void)
{
    static _Atomic unsigned next = 1;
    static _Thread_local unsigned mine;

    if (UNLIKELY(mine == 0))
        mine = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);
    return mine;
}

void metric_set_real(struct metric *g, double v)
{
    int64_t bits;

    _Static_assert(sizeof bits == sizeof v, "a double fits a cell");
    memcpy(&bits, &v, sizeof bits);
    metric_set(g, bits);
}

int64_t metric_get(const struct metric *c)
{
    int64_t sum;

    if (c == NULL)
        return 0;
    sum = atomic_load_explicit(&c->own, memory_order_relaxed);
    for (unsigned i = 0; c->cells != NULL && i <= c->shard_mask; i++)
        sum += atomic_load_explicit(&c->cells[(size_t) i * CELL_STRIDE], memory_order_relaxed);
    return sum;
}

void histogram_observe(struct histogram *h, int64_t v)
{
    uint64_t u = v < 0 ? 0 : (uint64_t) v;
    const struct histogram_buckets *b;
    size_t i = 0;

    if (h == NULL)
        return;
    b = h->buckets;
    while (i < b->n && u > b->bounds[i])
        i++;
    atomic_fetch_add_explicit(&h->counts[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum, u, memory_order_relaxed);
}

uint64_t histogram_count(const struct histogram *h)
{
    uint64_t n = 0;

    for (size_t i = 0; h != NULL && i <= h->buckets->n; i++)
        n += atomic_load_explicit(&h->counts[i], memory_order_relaxed);
    return n;
}

void metrics_on_collect(struct metrics *m, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&m->lock);
    ASSERT(m->collectors_n < METRICS_COLLECTORS_MAX);
    m->collectors[m->collectors_n].fn = fn;
    m->collectors[m->collectors_n].arg = arg;
    m->collectors_n++;
    pthread_mutex_unlock(&m->lock);
}
