/* The page: Prometheus text format 0.0.4, as Go's client library writes it.
 * Source: prometheus.io, "Exposition formats".
 *
 * All of a line but its number stays the same for ever, so it is encoded once, when the family or
 * the series is made; a page is copies of such texts with numbers (metrics_number.c) between. */
#include "base/alloc.h"
#include "obs/metrics_int.h"

/* clang-format off */
static const double B1[] = {0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192};
static const double B2[] = {0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2};
static const double B3[] = {0.0001, 0.0002, 0.0004, 0.0008, 0.0016, 0.0032, 0.0064, 0.0128, 0.0256, 0.0512, 0.1024, 0.2048, 0.4096, 0.8192, 1.6384, 3.2768, 6.5536, 13.1072, 26.2144, 52.4288};
static const double B4[] = {0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84};
static const double B5[] = {0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68, 655.36};
static const double B6[] = {0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6};
static const double B7[] = {0.0001, 0.0002, 0.0004, 0.0008, 0.0016, 0.0032, 0.0064, 0.0128, 0.0256, 0.0512, 0.1024, 0.2048, 0.4096, 0.8192, 1.6384, 3.2768};
static const double B8[] = {0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};
static const double B9[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};
static const double B10[] = {100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 102400, 204800, 409600, 819200};
static const double B11[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144, 524288, 1048576, 2097152, 4194304, 8388608};
static const double GRPC_SECONDS[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
/* clang-format on */

const struct metric_buckets METRIC_B1 = {B1, ARRAY_LEN(B1)};
const struct metric_buckets METRIC_B2 = {B2, ARRAY_LEN(B2)};
const struct metric_buckets METRIC_B3 = {B3, ARRAY_LEN(B3)};
const struct metric_buckets METRIC_B4 = {B4, ARRAY_LEN(B4)};
const struct metric_buckets METRIC_B5 = {B5, ARRAY_LEN(B5)};
const struct metric_buckets METRIC_B6 = {B6, ARRAY_LEN(B6)};
const struct metric_buckets METRIC_B7 = {B7, ARRAY_LEN(B7)};
const struct metric_buckets METRIC_B8 = {B8, ARRAY_LEN(B8)};
const struct metric_buckets METRIC_B9 = {B9, ARRAY_LEN(B9)};
const struct metric_buckets METRIC_B10 = {B10, ARRAY_LEN(B10)};
const struct metric_buckets METRIC_B11 = {B11, ARRAY_LEN(B11)};
const struct metric_buckets METRIC_GRPC_SECONDS = {GRPC_SECONDS, ARRAY_LEN(GRPC_SECONDS)};

/* ---- the texts that stay ---- */

static void add_escaped(struct buf *out, const char *s, bool quotes)
{
    for (; *s != 0; s++) {
        if (*s == '\\')
            buf_add_str(out, "\\\\");
        else if (*s == '\n')
            buf_add_str(out, "\\n");
        else if (*s == '"' && quotes)
            buf_add_str(out, "\\\"");
        else
            buf_add_char(out, *s);
    }
}

/* Ends `b`. */
static void keep(struct metrics__text *t, struct buf *b)
{
    if (b->failed)
        mem_exhausted("a line of the metrics page");
    t->n = b->len;
    t->p = memcpy(xmem_alloc(b->len), b->p, b->len);
    buf_done(b);
}

void metrics__family_text(struct metric_family *f)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    struct buf b;

    buf_init(&b, METRIC_PAGE_BYTES_MAX);
    buf_add_str(&b, "# HELP ");
    buf_add_str(&b, f->name);
    buf_add_char(&b, ' ');
    add_escaped(&b, f->help, false);
    buf_add_str(&b, "\n# TYPE ");
    buf_add_str(&b, f->name);
    buf_printf(&b, " %s\n", types[f->type]);
    keep(&f->text, &b);
}

void metrics__bounds_text(struct histogram_buckets *h, const double *bounds)
{
    struct buf b;

    buf_init(&b, METRIC_PAGE_BYTES_MAX);
    for (size_t i = 0; i <= h->n; i++) {
        char number[METRIC_NUMBER_BYTES] = "+Inf";
        size_t begin = b.len;

        if (i < h->n)
            metric_number(bounds[i], number);
        buf_printf(&b, "le=\"%s\"} ", number);
        h->shown_n[i] = (uint8_t) (b.len - begin);
    }
    keep(&h->shown, &b);
}

/* `name_suffix{a="x",b="y"} `; before a bucket's bound, which is the last label, `{a="x",b="y",`.
 */
static void add_beginning(struct buf *b, const struct metric_family *f, const char *suffix,
                          const char *values, bool bound_follows)
{
    buf_add_str(b, f->name);
    buf_add_str(b, suffix);
    if (f->labels_n > 0 || bound_follows)
        buf_add_char(b, '{');
    for (size_t i = 0; i < f->labels_n; i++) {
        if (i != 0)
            buf_add_char(b, ',');
        buf_add_str(b, f->labels[i]);
        buf_add_str(b, "=\"");
        add_escaped(b, values, true);
        buf_add_char(b, '"');
        values += strlen(values) + 1;
    }
    if (bound_follows)
        buf_add_str(b, f->labels_n > 0 ? "," : "");
    else
        buf_add_str(b, f->labels_n > 0 ? "} " : " ");
}

void metrics__series_text(const struct metric_family *f, struct metrics__series *s)
{
    struct buf b;

    buf_init(&b, METRIC_PAGE_BYTES_MAX);
    if (f->type != METRIC_HISTOGRAM) {
        add_beginning(&b, f, "", s->labels, false);
        keep(&s->text, &b);
        return;
    }
    add_beginning(&b, f, "_bucket", s->labels, true);
    s->bucket_n = b.len;
    add_beginning(&b, f, "_sum", s->labels, false);
    s->sum_n = b.len - s->bucket_n;
    add_beginning(&b, f, "_count", s->labels, false);
    keep(&s->text, &b);
}

/* ---- series ---- */

static char *put(char *to, const char *p, size_t n)
{
    memcpy(to, p, n);
    return to + n;
}

static char *put_value(char *to, double v)
{
    to = metric__put_number(v, to);
    *to++ = '\n';
    return to;
}

/* Enough for the lines of a series. */
static size_t series_room(const struct metric_family *f, const struct metrics__series *s)
{
    size_t lines = f->type == METRIC_HISTOGRAM ? f->buckets->n + 1 : 0;

    return lines * (s->bucket_n + METRIC_NUMBER_BYTES) + s->text.n + 2 * METRIC_NUMBER_BYTES +
           (lines > 0 ? f->buckets->shown.n : 0);
}

static char *put_histogram(char *to, const struct histogram_buckets *b,
                           const struct metrics__series *s)
{
    uint64_t sum = atomic_load_explicit(&s->histogram->sum, memory_order_relaxed);
    const char *bound = b->shown.p, *rest = s->text.p + s->bucket_n;
    uint64_t count = 0;

    for (size_t i = 0; i <= b->n; i++) {
        count += atomic_load_explicit(&s->histogram->counts[i], memory_order_relaxed);
        to = put(to, s->text.p, s->bucket_n);
        to = put(to, bound, b->shown_n[i]);
        bound += b->shown_n[i];
        to = put_value(to, (double) count);
    }
    to = put_value(put(to, rest, s->sum_n), (double) sum / b->per_unit);
    rest += s->sum_n;
    return put_value(put(to, rest, s->text.n - s->bucket_n - s->sum_n), (double) count);
}

static double series_value(const struct metric_family *f, const struct metrics__series *s)
{
    int64_t raw = metric_get(&s->metric);
    double v;

    if ((f->flags & METRIC_REAL) == 0)
        return (double) raw;
    memcpy(&v, &raw, sizeof v);
    return v;
}

static void add_series(struct buf *out, const struct metric_family *f,
                       const struct metrics__series *s)
{
    size_t room = series_room(f, s);
    char *begin = (char *) buf_reserve(out, room), *end;

    if (begin == NULL)
        return;
    if (f->type == METRIC_HISTOGRAM)
        end = put_histogram(begin, f->buckets, s);
    else
        end = put_value(put(begin, s->text.p, s->text.n), series_value(f, s));
    ASSERT((size_t) (end - begin) <= room);
    buf_commit(out, (size_t) (end - begin));
}

/* ---- the page ---- */

void metrics_page_begin(struct metrics *m, struct metrics_page *p)
{
    *p = (struct metrics_page){.m = m};
    /* Collectors make series, so they run without `lock`. */
    pthread_mutex_lock(&m->collecting);
    for (size_t i = 0; i < m->collectors_n; i++)
        m->collectors[i].fn(m->collectors[i].arg);
    pthread_mutex_unlock(&m->collecting);
}

/* The rest of a family, or one series and as many more as end `out` below `end` bytes.  False:
 * there is more. */
static bool add_family(struct metrics_page *p, const struct metric_family *f, size_t end,
                       struct buf *out)
{
    size_t i = p->series == NULL ? 0 : metrics__series_behind(f, p->series);

    if (i == 0 && f->series_n > 0)
        buf_add(out, f->text.p, f->text.n);
    for (; i < f->series_n && (p->series == NULL || out->len < end); i++) {
        p->series = f->series[i];
        add_series(out, f, p->series);
    }
    if (i < f->series_n)
        return false;
    p->series = NULL;
    return true;
}

bool metrics_page_add(struct metrics_page *p, size_t bytes, struct buf *out)
{
    size_t end = out->len + bytes;
    size_t i = 0;

    pthread_mutex_lock(&p->m->lock);
    if (p->family != NULL)
        i = metrics__family_at(p->m, p->family);
    for (; i < p->m->families_n; i++) {
        p->family = p->m->families[i];
        if (out->len >= end || !add_family(p, p->family, end, out))
            break;
    }
    p->done = i == p->m->families_n;
    pthread_mutex_unlock(&p->m->lock);
    return !out->failed;
}

bool metrics_write(struct metrics *m, struct buf *out)
{
    struct metrics_page p;

    metrics_page_begin(m, &p);
    return metrics_page_add(&p, METRIC_PAGE_BYTES_MAX, out);
}
