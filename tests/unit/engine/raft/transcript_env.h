/* transcript_env.h -- the world of an interaction transcript: members, their storage, and messages
 * in flight. */
#ifndef KETCH_TESTS_UNIT_ENGINE_RAFT_TRANSCRIPT_ENV_H
#define KETCH_TESTS_UNIT_ENGINE_RAFT_TRANSCRIPT_ENV_H

#include "engine/raft/raft_int.h"
#include "engine/raft/snapshot_copy.h"
#include "unit/engine/raft/datadriven.h"

#define TE_NODES_MAX 16
#define TE_QUEUE_MAX 4096
#define TE_LEVEL_NONE 5 /* above DEBUG INFO WARN ERROR FATAL */

/* A message with everything it points to. */
struct te_msg {
    struct raft_message m;
    struct raft_entry_list entries;
    struct raft_message *responses; /* what m.responses points to */
    struct te_msg **owned;          /* behind each response */
    uint8_t context[RAFT_CONTEXT_BYTES_MAX];
};

struct te_queue {
    struct te_msg *v[TE_QUEUE_MAX];
    size_t n;
};

struct te_node {
    struct raft_storage storage; /* as `memory`, but with the newest snapshot of `history` */
    struct raft_memory_storage *memory;
    struct raft_config config;
    struct raft *raft;
    struct raft_snapshot **history; /* after each applied entry */
    size_t history_n;
    size_t history_cap;
    struct te_queue append_work;
    struct te_queue apply_work;
};

struct te {
    struct te_node *nodes[TE_NODES_MAX];
    size_t nodes_n;
    struct te_queue flight;
    int level;
    bool muted; /* members have no sink for log lines */
    struct buf out;
};

/* ---- output ---- */

static void te_print(struct te *t, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void te_print(struct te *t, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void) buf_vprintf(&t->out, fmt, ap);
    va_end(ap);
}

static void te_log(void *arg, enum raft_trace_level level, const char *text)
{
    static const char *const names[] = {"DEBUG", "INFO", "WARN", "ERROR"};
    struct te *t = arg;

    if ((int) level >= t->level)
        te_print(t, "%s %s\n", names[level], text);
}

static void te_print_message(struct te *t, const struct raft_message *m)
{
    raft_describe_message(&t->out, m);
    te_print(t, "\n");
}

/* What was printed from `from` on moves two columns to the right, and each line gets an end. */
static void te_indent(struct te *t, size_t from)
{
    struct buf copy;
    char *at, *line;

    buf_init(&copy, DD_FILE_BYTES_MAX);
    (void) buf_add(&copy, t->out.p + from, t->out.len - from);
    t->out.len = from;
    at = (char *) (uintptr_t) buf_cstr(&copy);
    while ((line = dd_next_line(&at)) != NULL)
        te_print(t, "  %s\n", line);
    buf_done(&copy);
}

/* ---- messages that outlive the update they came in ---- */

static void te_msg_free(struct te_msg *x)
{
    for (size_t i = 0; i < x->m.responses_n; i++)
        te_msg_free(x->owned[i]);
    mem_free(x->responses);
    mem_free(x->owned);
    mem_free(x->m.snapshot);
    raft_entry_list_done(&x->entries);
    mem_free(x);
}

static struct te_msg *te_msg_copy(const struct raft_message *m)
{
    struct te_msg *x = xmem_calloc(1, sizeof *x);

    x->m = *m;
    for (size_t i = 0; i < m->entries_n; i++)
        raft_entry_list_add(&x->entries, &m->entries[i]);
    x->m.entries = x->entries.v;
    ASSERT(m->context.n <= sizeof x->context);
    if (m->context.n > 0)
        memcpy(x->context, m->context.p, m->context.n);
    x->m.context.p = x->context;
    if (m->snapshot != NULL)
        x->m.snapshot = raft__snapshot_copy(m->snapshot);
    if (m->responses_n == 0)
        return x;
    x->responses = xmem_calloc(m->responses_n, sizeof x->responses[0]);
    x->owned = xmem_calloc(m->responses_n, sizeof(struct te_msg *));
    for (size_t i = 0; i < m->responses_n; i++) {
        x->owned[i] = te_msg_copy(&m->responses[i]);
        x->responses[i] = x->owned[i]->m;
    }
    x->m.responses = x->responses;
    return x;
}

static void te_push(struct te_queue *q, const struct raft_message *m)
{
    ASSERT(q->n < TE_QUEUE_MAX);
    q->v[q->n++] = te_msg_copy(m);
}

static struct te_msg *te_take(struct te_queue *q, size_t i)
{
    struct te_msg *x = q->v[i];

    q->n--;
    memmove(&q->v[i], &q->v[i + 1], (q->n - i) * sizeof q->v[0]);
    return x;
}

static void te_queue_done(struct te_queue *q)
{
    while (q->n > 0)
        te_msg_free(te_take(q, 0));
}

/* ---- storage ---- */

static struct raft_storage *te_memory(struct raft_storage *s)
{
    return raft_memory_storage_base(CONTAINER_OF(s, struct te_node, storage)->memory);
}

static void te_initial_state(struct raft_storage *s, struct raft_hard_state *hs,
                             struct raft_conf_state *cs)
{
    te_memory(s)->ops->initial_state(te_memory(s), hs, cs);
}

static int te_entries(struct raft_storage *s, raft_index lo, raft_index hi, uint64_t max,
                      struct raft_entry_list *ret)
{
    return te_memory(s)->ops->entries(te_memory(s), lo, hi, max, ret);
}

static int te_term(struct raft_storage *s, raft_index i, raft_term *ret)
{
    return te_memory(s)->ops->term(te_memory(s), i, ret);
}

static raft_index te_first_index(struct raft_storage *s)
{
    return te_memory(s)->ops->first_index(te_memory(s));
}

static raft_index te_last_index(struct raft_storage *s)
{
    return te_memory(s)->ops->last_index(te_memory(s));
}

static int te_snapshot(struct raft_storage *s, struct raft_snapshot *ret)
{
    struct te_node *n = CONTAINER_OF(s, struct te_node, storage);

    *ret = *n->history[n->history_n - 1];
    return 0;
}

static const struct raft_storage_ops te_ops = {te_initial_state, te_entries,    te_term,
                                               te_first_index,   te_last_index, te_snapshot};

static void te_store(struct te_node *n, const struct raft_hard_state *hs,
                     const struct raft_snapshot *s, const struct raft_entry *v, size_t count)
{
    if (hs->term != 0 || hs->vote != 0 || hs->commit != 0)
        raft_memory_storage_set_hard_state(n->memory, hs);
    if (s != NULL) {
        int rc = raft_memory_storage_apply_snapshot(n->memory, s);

        ASSERT(rc == 0);
        ASSERT(count == 0);
        return;
    }
    raft_memory_storage_append(n->memory, v, count);
}

/* ---- the state machine: it appends what it applies to a string ---- */

static void te_remember(struct te_node *n, const struct raft_snapshot *s)
{
    if (n->history_n == n->history_cap) {
        n->history_cap = n->history_cap == 0 ? 64 : 2 * n->history_cap;
        n->history = xmem_realloc(n->history, n->history_cap * sizeof n->history[0]);
    }
    n->history[n->history_n++] = raft__snapshot_copy(s);
}

/* Decodes and applies; *context is what the change brings for the state machine. */
static void te_apply_conf_change(struct te_node *n, const struct raft_entry *e, struct arena *a,
                                 struct raft_conf_state *cs, struct bytes *context)
{
    struct raft_conf_change_single single;
    struct raft_conf_change v1;
    struct raft_conf_change_v2 v2 = {0};
    struct err err = ERR_INIT;
    int rc;

    if (e->type == RAFT_ENTRY_CONF_CHANGE) {
        rc = raft_conf_change_get(e->data, &v1, &err);
        v2 = raft_conf_change_as_v2(&v1, &single);
    } else {
        rc = raft_conf_change_v2_get(e->data, a, &v2, &err);
    }
    ASSERT(rc == 0);
    *context = v2.context;
    rc = raft_apply_conf_change(n->raft, &v2, cs, &err);
    ASSERT(rc == 0);
}

static void te_apply(struct te_node *n, const struct raft_entry *v, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct raft_snapshot *last = n->history[n->history_n - 1];
        struct raft_snapshot s = {.meta = {last->meta.conf_state, v[i].index, v[i].term}};
        struct bytes update = v[i].data;
        struct arena a;
        struct buf data;

        arena_init(&a, 1 << 20);
        if (v[i].type != RAFT_ENTRY_NORMAL)
            te_apply_conf_change(n, &v[i], &a, &s.meta.conf_state, &update);
        buf_init(&data, DD_FILE_BYTES_MAX);
        (void) buf_add_bytes(&data, last->data);
        (void) buf_add_bytes(&data, update);
        s.data = buf_bytes(&data);
        te_remember(n, &s);
        buf_done(&data);
        arena_done(&a);
    }
}

/* ---- members ---- */

/* Timeouts do not matter here: elections are called for by command. */
static uint64_t te_random(void *arg, uint64_t bound)
{
    (void) arg;
    return bound - 1;
}

static void te_start(struct te_node *n)
{
    struct err e = ERR_INIT;
    int rc = raft_new(&n->config, &n->raft, &e);

    if (rc != 0)
        printf("%s\n", e.msg);
    ASSERT(rc == 0);
}

static struct te_node *te_node_of(struct te *t, raft_id id)
{
    ASSERT(id >= 1);
    ASSERT(id <= t->nodes_n);
    return t->nodes[id - 1];
}

/* snapshot->meta.index 0: empty storage. */
static void te_add_node(struct te *t, const struct raft_config *c, const struct raft_snapshot *s)
{
    struct te_node *n = xmem_calloc(1, sizeof *n);

    ASSERT(t->nodes_n < TE_NODES_MAX);
    n->storage.ops = &te_ops;
    n->memory = raft_memory_storage_new(&(struct raft_memory_options){0});
    n->config = *c;
    n->config.id = t->nodes_n + 1;
    n->config.storage = &n->storage;
    n->config.random.below = te_random;
    if (!t->muted)
        n->config.trace = (struct raft_trace){RAFT_TRACE_DEBUG, te_log, t};
    te_remember(n, s);
    if (s->meta.index > 0) {
        int rc = raft_memory_storage_apply_snapshot(n->memory, s);

        ASSERT(rc == 0);
        n->config.applied = s->meta.index;
    }
    t->nodes[t->nodes_n++] = n;
    te_start(n);
}

static void te_node_free(struct te_node *n)
{
    raft_free(n->raft);
    raft_memory_storage_free(n->memory);
    for (size_t i = 0; i < n->history_n; i++)
        mem_free(n->history[i]);
    mem_free(n->history);
    te_queue_done(&n->append_work);
    te_queue_done(&n->apply_work);
    mem_free(n);
}

static struct te *te_new(void)
{
    struct te *t = xmem_calloc(1, sizeof *t);

    buf_init(&t->out, DD_FILE_BYTES_MAX);
    return t;
}

static void te_free(struct te *t)
{
    for (size_t i = 0; i < t->nodes_n; i++) {
        raft__check(t->nodes[i]->raft);
        te_node_free(t->nodes[i]);
    }
    te_queue_done(&t->flight);
    buf_done(&t->out);
    mem_free(t);
}

#endif
