/* The outputs, the queue and the writer thread.  How a line looks is in log_line.c. */
#define _GNU_SOURCE
#include "obs/log.h"

#include <ctype.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/mpsc.h"
#include "obs/log_int.h"
#include "obs/log_sink.h"
#include "sys/thread.h"

#define SAMPLE_SLOTS                                                            \
    512 /* texts share a slot when they collide: then they are sampled together \
         */

struct queued {
    struct mpsc_node node;
    enum log_level level;
    const char *file; /* of the source; static */
    size_t n;
    char line[];
};

/* How often one text was logged in the running second. */
struct sample {
    _Atomic int64_t second;
    _Atomic uint64_t count;
};

struct log_core {
    _Atomic int level;
    enum log_format format;
    struct log_sink *sinks[LOG_OUTPUTS_MAX];
    size_t sinks_n;
    bool journal; /* the only output */
    struct clock *clock;
    struct mpsc queue;
    _Atomic size_t queued_bytes; /* handed to the writer and not yet written */
    _Atomic bool running;        /* lines go through the queue */
    _Atomic bool stop;
    struct waker waker;
    struct thread *writer;
    pthread_mutex_t direct; /* keeps lines whole while no writer runs; last in any lock order */
    _Atomic uint64_t dropped;
    _Atomic uint64_t sampled;
    struct sample samples[SAMPLE_SLOTS];
};

/* A name on a core.  The root (name NULL) owns the core. */
struct log {
    struct log_core *core;
    const char *name;
    struct log *next; /* named logs of the same core */
    struct log *root;
};

static const char *const LEVELS[] = {"debug", "info", "warn", "error", "dpanic", "panic", "fatal"};

const char *log_level_name(enum log_level level)
{
    ASSERT(level >= LOG_LEVEL_DEBUG && level <= LOG_LEVEL_FATAL);
    return LEVELS[level + 1];
}

/* zapcore accepts a level in all lower or all upper case. */
bool log_level_parse(const char *s, enum log_level *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(LEVELS); i++) {
        char upper[16] = "";

        for (size_t k = 0; LEVELS[i][k] != 0; k++)
            upper[k] = (char) toupper((unsigned char) LEVELS[i][k]);
        if (strcmp(s, LEVELS[i]) == 0 || strcmp(s, upper) == 0) {
            *ret = (enum log_level)((int) i - 1);
            return true;
        }
    }
    return false;
}

struct log_field log_field_err(const struct err *e)
{
    if (e == NULL || e->code == 0)
        return (struct log_field){.key = "error", .kind = LOG_FIELD_SKIP};
    return F_STR("error", e->msg);
}

/* ---- outputs ---- */

static int outputs_open(struct log_core *c, const struct log_options *o, struct err *e)
{
    static const char *const standard[] = {"stderr"};
    const char *const *names = o->outputs_n == 0 ? standard : o->outputs;
    size_t n = MAX(o->outputs_n, (size_t) 1);
    int rc = 0;

    if (n > LOG_OUTPUTS_MAX)
        return err_set(e, ERR_LIMIT, "more than %d log outputs", LOG_OUTPUTS_MAX);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], "/dev/null") == 0)
            return 0;
    }
    c->journal = strcmp(names[0], LOG_JOURNAL) == 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = log_sink_open(names[i], o->rotation, o->clock, &c->sinks[c->sinks_n], e);
        c->sinks_n += rc == 0;
    }
    return rc;
}

static void outputs_write(struct log_core *c, enum log_level level, const char *file, const char *p,
                          size_t n)
{
    for (size_t i = 0; i < c->sinks_n; i++)
        log_sink_write(c->sinks[i], level, file, p, n);
}

/* ---- the queue and its writer ---- */

static void enqueue(struct log_core *c, enum log_level level, const char *file, const char *line,
                    size_t n)
{
    size_t bytes = sizeof(struct queued) + n;
    struct queued *q;

    if (atomic_fetch_add(&c->queued_bytes, bytes) + bytes > LOG_QUEUE_BYTES_MAX)
        goto drop;
    q = mem_alloc(bytes);
    if (q == NULL)
        goto drop;
    q->level = level;
    q->file = file;
    q->n = n;
    memcpy(q->line, line, n);
    if (mpsc_push(&c->queue, &q->node))
        waker_wake(&c->waker);
    return;
drop:
    atomic_fetch_sub(&c->queued_bytes, bytes);
    atomic_fetch_add(&c->dropped, 1);
}

static void drain(struct log_core *c)
{
    struct mpsc_node *n = mpsc_take(&c->queue);

    while (n != NULL) {
        struct queued *q = CONTAINER_OF(n, struct queued, node);

        n = n->next;
        outputs_write(c, q->level, q->file, q->line, q->n);
        atomic_fetch_sub(&c->queued_bytes, sizeof *q + q->n);
        mem_free(q);
    }
}

static void writer_main(void *arg)
{
    struct log_core *c = arg;

    while (!atomic_load(&c->stop)) {
        waker_wait(&c->waker, -1);
        drain(c);
    }
    drain(c);
}

int log_start(struct log *l, struct err *e)
{
    struct log_core *c = l->core;
    int rc;

    ASSERT(c->writer == NULL);
    atomic_store(&c->stop, false);
    rc = thread_start("log", writer_main, c, &c->writer, e);
    if (rc == 0)
        atomic_store(&c->running, true);
    return rc;
}

void log_stop(struct log *l)
{
    struct log_core *c;

    if (l == NULL || l->core->writer == NULL)
        return;
    c = l->core;
    atomic_store(&c->running, false);
    atomic_store(&c->stop, true);
    waker_wake(&c->waker);
    thread_join(c->writer);
    c->writer = NULL;
    /* Lines of threads that saw `running` just before it was cleared. */
    drain(c);
}

/* Waits until what is queued is written, but not for ever: the sink may be stuck. */
static void flush(struct log_core *c)
{
    for (int ms = 0; ms < LOG_FLUSH_MS_MAX && atomic_load(&c->queued_bytes) != 0; ms++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* ---- opening and closing ---- */

static void core_free(struct log_core *c)
{
    for (size_t i = 0; i < c->sinks_n; i++)
        log_sink_close(c->sinks[i]);
    pthread_mutex_destroy(&c->direct);
    mem_free(c);
}

int log_open(const struct log_options *o, struct log **ret, struct err *e)
{
    struct log *l = mem_calloc(1, sizeof *l);
    struct log_core *c = mem_calloc(1, sizeof *c);
    int rc;

    ASSERT(o->clock != NULL);
    if (l == NULL || c == NULL) {
        mem_free(l);
        mem_free(c);
        return err_set(e, ERR_NOMEM, "open log: out of memory");
    }
    atomic_init(&c->level, (int) o->level);
    c->format = o->format;
    c->clock = o->clock;
    mpsc_init(&c->queue);
    waker_init(&c->waker);
    pthread_mutex_init(&c->direct, NULL);
    rc = outputs_open(c, o, e);
    if (rc != 0) {
        core_free(c);
        mem_free(l);
        return rc;
    }
    l->core = c;
    l->root = l;
    *ret = l;
    return 0;
}

void log_close(struct log *l)
{
    struct log *named;

    if (l == NULL)
        return;
    ASSERT(l->root == l);
    log_stop(l);
    core_free(l->core);
    named = l->next;
    mem_free(l);
    while (named != NULL) {
        struct log *next = named->next;

        mem_free(named);
        named = next;
    }
}

struct log *log_named(struct log *l, const char *name)
{
    struct log *n;

    if (l == NULL)
        return NULL;
    n = mem_calloc(1, sizeof *n);
    if (n == NULL)
        return NULL;
    *n = (struct log){.core = l->core, .name = name, .next = l->root->next, .root = l->root};
    l->root->next = n;
    return n;
}

uint64_t log_dropped(const struct log *l)
{
    return l == NULL ? 0 : atomic_load(&l->core->dropped);
}

uint64_t log_sampled(const struct log *l)
{
    return l == NULL ? 0 : atomic_load(&l->core->sampled);
}

bool log_enabled(const struct log *l, enum log_level level)
{
    return l != NULL && (int) level >= atomic_load_explicit(&l->core->level, memory_order_relaxed);
}

void log_set_level(struct log *l, enum log_level level)
{
    if (l != NULL)
        atomic_store_explicit(&l->core->level, (int) level, memory_order_relaxed);
}

/* ---- writing ---- */

/* True when this line is one of those to be written: see LOG_SAMPLE_FIRST. */
static bool sample(struct log_core *c, enum log_level level, const char *msg, wall_ms now)
{
    uint32_t h = 2166136261u ^ (uint32_t) level; /* FNV-1a */
    struct sample *s;
    uint64_t n;

    for (const char *p = msg; *p != 0; p++)
        h = (h ^ (uint8_t) *p) * 16777619u;
    s = &c->samples[h % SAMPLE_SLOTS];
    if (atomic_load_explicit(&s->second, memory_order_relaxed) != now / 1000) {
        /* Two threads may both begin the second: a few lines more are written, no harm. */
        atomic_store_explicit(&s->second, now / 1000, memory_order_relaxed);
        atomic_store_explicit(&s->count, 0, memory_order_relaxed);
    }
    n = atomic_fetch_add_explicit(&s->count, 1, memory_order_relaxed) + 1;
    if (n <= LOG_SAMPLE_FIRST || (n - LOG_SAMPLE_FIRST) % LOG_SAMPLE_THEREAFTER == 0)
        return true;
    atomic_fetch_add_explicit(&c->sampled, 1, memory_order_relaxed);
    return false;
}

static void line_write(struct log_core *c, enum log_level level, const char *file, const char *p,
                       size_t n)
{
    if (atomic_load(&c->running)) {
        enqueue(c, level, file, p, n);
        return;
    }
    pthread_mutex_lock(&c->direct);
    outputs_write(c, level, file, p, n);
    pthread_mutex_unlock(&c->direct);
}

void log_write(struct log *l, enum log_level level, struct log_site at, const char *msg,
               const struct log_field *f)
{
    /* The room for the longest line is taken for the call: kept by each thread it would be most
     * of what an idle member holds.  Without memory the line loses its last fields. */
    char little[1024], *room;
    struct log_core *c;
    wall_ms now;
    size_t n;

    if (!log_enabled(l, level))
        return;
    c = l->core;
    now = clock_wall_ms(c->clock);
    if (c->sinks_n == 0 || (!c->journal && !sample(c, level, msg, now)))
        return;
    room = mem_alloc(LOG_LINE_BYTES_MAX);
    n = log__compose(c->format,
                     &(struct log__line){.level = level,
                                         .now = now,
                                         .name = l->name,
                                         .at = at,
                                         .msg = msg,
                                         .fields = f,
                                         .no_stack = c->journal},
                     room != NULL ? room : little,
                     room != NULL ? LOG_LINE_BYTES_MAX : sizeof little);
    line_write(c, level, at.file, room != NULL ? room : little, n);
    mem_free(room);
}

void log_die(struct log *l, enum log_level level, struct log_site at, const char *msg,
             const struct log_field *f)
{
    ASSERT(level >= LOG_LEVEL_PANIC);
    log_write(l, level, at, msg, f);
    if (l != NULL)
        flush(l->core);
    _exit(level == LOG_LEVEL_FATAL ? 1 : 2);
}
