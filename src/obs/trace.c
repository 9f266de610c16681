/* trace.c -- the slots of long steps, and the line. */
#include "obs/trace.h"

#include "obs/gofmt.h"

static const char *const step_texts[] = {
#define X(name, text) [TRACE_##name] = text,
    TRACE_STEP_MAP(X)
#undef X
};

/* The shortest makes room when there is none. */
static bool make_room(struct trace_steps *t, mono_ns took)
{
    size_t shortest = 0;

    if (t->kept_n < TRACE_STEPS_KEPT)
        return true;
    for (size_t i = 1; i < t->kept_n; i++)
        if (t->kept[i].took < t->kept[shortest].took)
            shortest = i;
    if (took <= t->kept[shortest].took)
        return false;
    t->kept_n--;
    memmove(&t->kept[shortest], &t->kept[shortest + 1], (t->kept_n - shortest) * sizeof t->kept[0]);
    return true;
}

void trace__keep(struct trace_steps *t, enum trace_step step, mono_ns took)
{
    if (make_room(t, took))
        t->kept[t->kept_n++] = (struct trace_slow_step){step, t->op, took};
    ASSERT(t->kept_n <= TRACE_STEPS_KEPT);
}

void trace_steps_join(struct trace_steps *t, const struct trace_steps *more)
{
    if (more == NULL)
        return;
    for (size_t i = 0; i < more->kept_n; i++)
        if (make_room(t, more->kept[i].took))
            t->kept[t->kept_n++] = more->kept[i];
    t->count += more->count;
    t->last = more->last;
}

void trace_field_text(struct buf *b, const char *key, struct bytes value, size_t bytes_max)
{
    buf_add_str(b, key);
    buf_add_char(b, ':');
    buf_add(b, value.p, MIN(value.n, bytes_max));
    buf_add_str(b, "; ");
}

void trace_field_number(struct buf *b, const char *key, uint64_t value)
{
    buf_printf(b, "%s:%" PRIu64 "; ", key, value);
}

/* `'STEP' {FIELDS} (duration: D)`; without fields both blanks stay. */
static void step_text(const struct trace_line *t, const struct trace_slow_step *s, struct buf *b)
{
    char took[GO_DURATION_BYTES];

    buf_printf(b, "'%s' ", step_texts[s->step]);
    if (s->op != 0 && t->op_fields != NULL)
        t->op_fields(t->arg, s->op, b);
    buf_printf(b, " (duration: %s)", go_duration(s->took, took));
}

/* Tells lines apart, where etcd draws a number.  The numbers are as large as those are. */
static int64_t line_id(const struct trace_line *t)
{
    uint64_t x = ((uint64_t) t->end << 20) ^ (uint64_t) t->took;

    return (int64_t) (x * UINT64_C(0x9e3779b97f4a7c15) >> 33);
}

void trace_write(struct log *l, const struct trace_line *t)
{
    mono_ns limit = t->all ? -1 : TRACE_SLOW_NS / (t->steps->count + 1);
    struct bytes steps[TRACE_STEPS_KEPT];
    size_t ends[TRACE_STEPS_KEPT], n = 0, at = 0;
    struct buf b;

    buf_init(&b, TRACE_TEXT_BYTES_MAX);
    for (size_t i = 0; i < t->steps->kept_n; i++) {
        if (t->steps->kept[i].took <= limit)
            continue;
        step_text(t, &t->steps->kept[i], &b);
        ends[n++] = b.len;
    }
    for (size_t i = 0; i < n; at = ends[i++])
        steps[i] = bytes_of(b.p + at, ends[i] - at);
    LOG_INFO(l, "trace", F_I64("trace_id", line_id(t)), F_STR("operation", t->operation),
             F_BYTES("detail", t->detail), F_NS("duration", t->took),
             F_WALL("start", t->end - t->took / 1000000), F_WALL("end", t->end),
             F_TEXTS("steps", steps, n), F_I64("step_count", (int64_t) n));
    buf_done(&b);
}
