/* trace.h -- the steps of a request, and etcd's line "trace" about one that took long.
 *
 * Whoever works at a request notes where its steps end.  A step that was short leaves nothing, a
 * long one a slot of fixed size, so that a request which is not slow allocates nothing:
 *
 *     trace_steps_begin(&t, clock, now);
 *     ...                                  trace_step(&t, TRACE_INDEX);
 *     if (took > TRACE_SLOW_NS)            trace_write(log, &(struct trace_line){...});
 *
 * Which steps a line shows depends on how many etcd has for the same request (its pkg/traceutil):
 * those that took longer than TRACE_SLOW_NS divided by one more than that.  So steps are counted
 * apart from being timed: what costs no time here is only counted.
 *
 * Source: etcd's pkg/traceutil.
 *
 * Threads: one at a time.   Memory: steps own none; a line borrows everything for the call.
 */
#ifndef KETCH_OBS_TRACE_H
#define KETCH_OBS_TRACE_H

#include "base/buf.h"
#include "obs/log.h"

#define TRACE_SLOW_NS INT64_C(100000000) /* what takes longer has a line: etcd's limit */
#define TRACE_SHORT_NS INT64_C(1000000)  /* steps up to it are never shown */
#define TRACE_STEPS_KEPT 12              /* of more long ones the longest */
#define TRACE_TEXT_BYTES_MAX 65536       /* of the detail, and of all steps */
#define TRACE_STEP_VALUE_BYTES_MAX 1024  /* keys in steps are cut there */

#define TRACE_STEP_MAP(X)                                                \
    X(RAFT, "process raft request")                                      \
    X(AGREEMENT, "agreement among raft nodes before linearized reading") \
    X(COUNT, "count revisions from in-memory index tree")                \
    X(KEYS, "keys only range from in-memory index tree")                 \
    X(INDEX, "range keys from in-memory index tree")                     \
    X(RECORDS, "range keys from bolt db")                                \
    X(SORT, "filter and sort the key-value pairs")                       \
    X(PREVIOUS, "get previous kv pair")                                  \
    X(STORE, "store kv pair into bolt db")                               \
    X(COMPARE, "compare")                                                \
    X(COMPACT, "check and update compact revision")                      \
    X(PHYSICAL, "physically toApply compaction")                         \
    X(READ_INDEX, "read index received")                                 \
    X(APPLIED, "applied index is now lower than readState.Index")

enum trace_step {
#define X(name, text) TRACE_##name,
    TRACE_STEP_MAP(X)
#undef X
};

struct trace_slow_step {
    enum trace_step step;
    uint32_t op; /* the operation of the transaction it belongs to, from 1; 0: none */
    mono_ns took;
};

struct trace_steps {
    struct clock *clock;
    mono_ns last;   /* the end of the newest step */
    uint32_t count; /* of etcd's steps, marks around operations included */
    uint32_t ops;   /* ranges and puts of a transaction, begun so far */
    uint32_t op;    /* the one under way; 0: none */
    uint32_t kept_n;
    struct trace_slow_step kept[TRACE_STEPS_KEPT]; /* in order of time */
};

/* clock: may be NULL when all steps come with their time. */
static inline void trace_steps_begin(struct trace_steps *t, struct clock *clock, mono_ns now)
{
    t->clock = clock;
    t->last = now;
    t->count = t->ops = t->op = t->kept_n = 0;
}

void trace__keep(struct trace_steps *t, enum trace_step step, mono_ns took);

/* A step ends now, or ended then.  In all of these t may be NULL: nobody wants to know. */
static inline void trace_step_at(struct trace_steps *t, enum trace_step step, mono_ns end)
{
    mono_ns took;

    if (t == NULL)
        return;
    took = end - t->last;
    t->last = end;
    if (UNLIKELY(took > TRACE_SHORT_NS))
        trace__keep(t, step, took);
}

static inline void trace_step(struct trace_steps *t, enum trace_step step)
{
    if (t != NULL)
        trace_step_at(t, step, clock_mono_ns(t->clock));
}

/* etcd has n more steps for what is done. */
static inline void trace_count(struct trace_steps *t, uint32_t n)
{
    if (t != NULL)
        t->count += n;
}

/* Around a range or a put of a transaction. */
static inline void trace_op_begin(struct trace_steps *t)
{
    if (t != NULL)
        t->op = ++t->ops;
}

static inline void trace_op_end(struct trace_steps *t)
{
    if (t == NULL)
        return;
    t->op = 0;
    t->count += 2; /* its marks count as steps */
}

/* What `more` knows, behind what t knows.  NULL: nothing. */
void trace_steps_join(struct trace_steps *t, const struct trace_steps *more);

/* ---- the line ---- */

struct trace_line {
    const char *operation;
    struct bytes detail; /* made with trace_field_... */
    mono_ns took;
    wall_ms end;
    const struct trace_steps *steps;
    bool all; /* shows short steps too, as far as they were kept */
    /* Adds the fields of an operation, from "{" to "}"; NULL: there are none. */
    void (*op_fields)(void *arg, uint32_t op, struct buf *b);
    void *arg;
};

void trace_write(struct log *l, const struct trace_line *t);

/* "key:value; ": a text that is longer than bytes_max is cut. */
void trace_field_text(struct buf *b, const char *key, struct bytes value, size_t bytes_max);
void trace_field_number(struct buf *b, const char *key, uint64_t value);

#endif
