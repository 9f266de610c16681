/* truth.c -- what the members applied.  Every member has a watcher on everything, whose events are
 * noted when they are published; the first member to apply a revision writes it down, all others
 * must have the same.  This includes a member that applies it again after a crash. */
#include "sim/member/sim.h"

#include "wire/pb.h"

/* ---- names ---- */

void sim_key_text(unsigned key, char ret[4])
{
    (void) snprintf(ret, 4, "k%02u", key % 100);
}

bool sim_key_of(struct bytes key, unsigned *ret)
{
    if (key.n != 3 || key.p[0] != 'k')
        return false;
    *ret = (unsigned) (key.p[1] - '0') * 10 + (unsigned) (key.p[2] - '0');
    return *ret < MODEL_KEYS;
}

static uint64_t value_of(struct bytes b)
{
    uint64_t x = 0;

    for (size_t i = 0; i < b.n; i++)
        x = x * 10 + (uint64_t) (b.p[i] - '0');
    return x;
}

/* A KeyValue: key 1, create 2, mod 3, version 4, value 5, lease 6. */
bool sim_kv_of(struct bytes encoded, unsigned *ret_key, struct model_kv *ret)
{
    struct pb_reader r = pb_reader_of(encoded);
    struct pb_field f;
    bool known = false;

    *ret = (struct model_kv){0};
    while (pb_next(&r, &f)) {
        if (f.number == 1)
            known = sim_key_of(f.bytes, ret_key);
        else if (f.number == 2)
            ret->create = (int64_t) f.value;
        else if (f.number == 3)
            ret->mod = (int64_t) f.value;
        else if (f.number == 4)
            ret->version = (int64_t) f.value;
        else if (f.number == 5)
            ret->value = value_of(f.bytes);
        else if (f.number == 6)
            ret->lease = (int64_t) f.value;
    }
    return known && !r.bad;
}

/* ---- events ---- */

/* An Event: type 1, kv 2. */
static void event_of(struct sim *s, struct bytes encoded, struct sim_truth_event *ret)
{
    struct pb_reader r = pb_reader_of(encoded);
    struct pb_field f;
    bool known = false;

    *ret = (struct sim_truth_event){0};
    while (pb_next(&r, &f)) {
        if (f.number == 1)
            ret->is_delete = f.value == 1;
        else if (f.number == 2)
            known = sim_kv_of(f.bytes, &ret->key, &ret->kv);
    }
    if (!known || r.bad)
        sim_fail(s, "an event cannot be read");
}

#define EVENTS_OF_ONE_MAX 64

void sim_events_each(struct sim *s, const struct payload *events,
                     void (*each)(void *arg, int64_t revision, const struct sim_truth_event *v,
                                  size_t n),
                     void *arg)
{
    struct sim_truth_event v[EVENTS_OF_ONE_MAX];
    struct pb_reader r = pb_reader_of(bytes_of(events->data, events->bytes));
    struct pb_field f;
    size_t n = 0;

    while (pb_next(&r, &f)) {
        struct sim_truth_event x;

        event_of(s, f.bytes, &x);
        if (n > 0 && v[0].kv.mod != x.kv.mod) {
            each(arg, v[0].kv.mod, v, n);
            n = 0;
        }
        if (n == ARRAY_LEN(v))
            sim_fail(s, "too many events of one revision");
        v[n++] = x;
    }
    if (n > 0)
        each(arg, v[0].kv.mod, v, n);
    if (r.bad)
        sim_fail(s, "events cannot be read");
}

bool sim_truth_event_eq(const struct sim_truth_event *a, const struct sim_truth_event *b)
{
    return a->key == b->key && a->is_delete == b->is_delete && a->kv.create == b->kv.create &&
           a->kv.mod == b->kv.mod && a->kv.version == b->kv.version && a->kv.value == b->kv.value &&
           a->kv.lease == b->kv.lease;
}

/* ---- the table ---- */

void sim_truth_init(struct sim *s)
{
    s->truth_cap = 1024;
    s->truth = xmem_calloc(s->truth_cap, sizeof *s->truth);
    s->revision = 1; /* of an empty store */
}

const struct sim_truth *sim_truth_at(const struct sim *s, int64_t revision)
{
    ASSERT(revision >= 0);
    return revision <= s->revision ? &s->truth[revision] : NULL;
}

static void make_room(struct sim *s, int64_t revision)
{
    size_t cap = s->truth_cap;

    while ((size_t) revision >= cap)
        cap *= 2;
    if (cap == s->truth_cap)
        return;
    s->truth = xmem_realloc(s->truth, cap * sizeof *s->truth);
    memset(s->truth + s->truth_cap, 0, (cap - s->truth_cap) * sizeof *s->truth);
    s->truth_cap = cap;
}

static void note_first(struct sim_member *m, int64_t revision, const struct sim_truth_event *v,
                       size_t n)
{
    struct sim *s = m->sim;
    struct sim_truth *t = &s->truth[revision];

    t->v = xmem_calloc(n, sizeof *v);
    memcpy(t->v, v, n * sizeof *v);
    t->n = n;
    t->at = s->now;
    s->revision = MAX(s->revision, revision);
    sim_trace(s, m, "applies revision %" PRId64 ": %s k%02u%s", revision,
              v[0].is_delete ? "delete" : "put", v[0].key, n > 1 ? " and more" : "");
}

static void note(void *arg, int64_t revision, const struct sim_truth_event *v, size_t n)
{
    struct sim_member *m = arg;
    struct sim *s = m->sim;
    const struct sim_truth *t;

    if (revision <= 1)
        sim_fail(s, "an event has revision %" PRId64, revision);
    make_room(s, revision);
    t = &s->truth[revision];
    if (t->n == 0) {
        note_first(m, revision, v, n);
        return;
    }
    if (t->n != n)
        sim_fail(s, "member %u has %zu changes at revision %" PRId64 ", others have %zu",
                 m->index + 1, n, revision, t->n);
    for (size_t i = 0; i < n; i++) {
        if (!sim_truth_event_eq(&t->v[i], &v[i]))
            sim_fail(s, "member %u has another change at revision %" PRId64 " than others have",
                     m->index + 1, revision);
    }
}

/* ---- the watcher of a member ---- */

static void free_batches(struct sim *s, void *arg)
{
    struct watch_batch *b = arg;

    (void) s;
    while (b != NULL) {
        struct watch_batch *next = b->next;

        watch_batch_free(b);
        b = next;
    }
}

static void joined(struct sim_call *c)
{
    sim_call_free(c);
}

static void join(struct sim *s, void *arg)
{
    struct sim_recorder *rec = arg;
    struct sim_call *c;

    (void) s;
    if (!rec->m->up || rec->m->recorder != rec || rec->m->stopping)
        return;
    c = sim_call_new(rec->m, NODE_REQ_WATCH_JOIN, joined, NULL);
    c->r.watcher = &rec->watcher;
    sim_call_submit(c);
}

/* On the apply thread: the moment at which events come to be. */
static void on_batches(struct watch_sink *sink, struct watch_batch *first)
{
    struct sim_recorder *rec = CONTAINER_OF(sink, struct sim_recorder, sink);

    for (const struct watch_batch *b = first; b != NULL; b = b->next) {
        for (uint32_t i = 0; i < b->n; i++) {
            const struct watch_note *x = &b->notes[i];

            if (x->kind == WATCH_EVENTS) {
                sim_events_each(rec->m->sim, x->events, note, rec->m);
            } else if (x->kind == WATCH_BEHIND || x->kind == WATCH_COMPACTED) {
                /* Others have applied one by one what is passed over here. */
                rec->watcher.next_rev = x->revision + 1;
                sim_at(rec->m->sim, 1, join, rec);
            } else if (x->kind == WATCH_CLOSED) {
                rec->m->streams--;
            }
        }
    }
    sim_at(rec->m->sim, 1, free_batches, first);
}

void sim_record_begin(struct sim_member *m)
{
    static const uint8_t all[] = {0};
    struct sim_recorder *rec = xmem_calloc(1, sizeof *rec);
    const struct mvcc_view *v = mvcc_view_pin(m->reader);
    struct watch_options o = {.key = bytes_of(all, 1),
                              .range_end = bytes_of(all, 1),
                              .start_rev = mvcc_view_revision(v) + 1};

    mvcc_view_unpin(v);
    rec->m = m;
    watch_sink_init(&rec->sink, on_batches);
    watch_stream_init(&rec->stream, &rec->sink);
    if (!watcher_init(&rec->watcher, &rec->stream, &o))
        UNREACHABLE();
    rec->watcher.next_rev = o.start_rev;
    m->recorder = rec;
    m->streams++;
    join(m->sim, rec);
}

void sim_record_end(struct sim_member *m)
{
    struct sim_call *c = sim_call_new(m, NODE_REQ_WATCH_STREAM_CLOSE, joined, NULL);

    c->r.stream = &m->recorder->stream;
    sim_call_submit(c);
}
