#include "sim/linear/linear.h"

#include "base/alloc.h"

/* The calls and returns that are not yet in the order, by the clock. */
struct entry {
    struct entry *prev, *next;
    struct entry *ret; /* of a call: its return; of a return: NULL */
    int64_t at;
    size_t op;
};

/* What was tried: the set of operations done, and the state they left. */
struct tried {
    struct tried *next;
    uint64_t hash;
    uint64_t words[]; /* the set, then the state */
};

struct undo {
    struct entry *call;
    uint8_t *state; /* before it */
};

struct search {
    const struct linear_op *ops;
    const struct linear_model *model;
    size_t n;
    struct entry *entries; /* 2 n */
    struct entry head;
    uint64_t *done; /* a bit for each operation */
    size_t done_words;
    uint8_t *state, *next_state;
    struct undo *undos;
    uint8_t *undo_states;
    size_t depth;
    struct tried **table;
    size_t table_cap; /* a power of two */
    size_t tried_n;
};

/* ---- what was tried ---- */

static uint64_t mix(uint64_t h, uint64_t x)
{
    h = (h ^ x) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 29;
}

static size_t state_words(const struct search *s)
{
    return (s->model->state_bytes + 7) / 8;
}

static void grow(struct search *s)
{
    size_t cap = s->table_cap * 2;
    struct tried **table = xmem_calloc(cap, sizeof(struct tried *));

    for (size_t i = 0; i < s->table_cap; i++) {
        for (struct tried *t = s->table[i], *next; t != NULL; t = next) {
            next = t->next;
            t->next = table[t->hash & (cap - 1)];
            table[t->hash & (cap - 1)] = t;
        }
    }
    mem_free(s->table);
    s->table = table;
    s->table_cap = cap;
}

/* True when (done, next_state) is new; then it is remembered. */
static bool remember(struct search *s)
{
    size_t words = s->done_words + state_words(s);
    struct tried *t = xmem_calloc(1, sizeof *t + words * sizeof t->words[0]);

    memcpy(t->words, s->done, s->done_words * sizeof t->words[0]);
    memcpy(t->words + s->done_words, s->next_state, s->model->state_bytes);
    for (size_t i = 0; i < words; i++)
        t->hash = mix(t->hash, t->words[i]);
    for (const struct tried *o = s->table[t->hash & (s->table_cap - 1)]; o != NULL; o = o->next) {
        if (o->hash == t->hash && memcmp(o->words, t->words, words * sizeof t->words[0]) == 0) {
            mem_free(t);
            return false;
        }
    }
    if (++s->tried_n > s->table_cap)
        grow(s);
    t->next = s->table[t->hash & (s->table_cap - 1)];
    s->table[t->hash & (s->table_cap - 1)] = t;
    return true;
}

/* ---- the list ---- */

static int by_time(const void *a, const void *b)
{
    const struct entry *x = *(struct entry *const *) a, *y = *(struct entry *const *) b;

    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    /* What begins when another ends is beside it. */
    if ((x->ret == NULL) != (y->ret == NULL))
        return x->ret != NULL ? -1 : 1;
    return x->op < y->op ? -1 : x->op > y->op;
}

static void link_all(struct search *s)
{
    struct entry **sorted = xmem_calloc(2 * s->n + 1, sizeof(struct entry *));
    struct entry *last = &s->head;

    for (size_t i = 0; i < s->n; i++) {
        struct entry *call = &s->entries[2 * i], *ret = call + 1;

        ASSERT(s->ops[i].call <= s->ops[i].ret);
        *call = (struct entry){.ret = ret, .at = s->ops[i].call, .op = i};
        *ret = (struct entry){.at = s->ops[i].ret, .op = i};
        sorted[2 * i] = call;
        sorted[2 * i + 1] = ret;
    }
    if (s->n > 0)
        qsort(sorted, 2 * s->n, sizeof sorted[0], by_time);
    for (size_t i = 0; i < 2 * s->n; i++) {
        last->next = sorted[i];
        sorted[i]->prev = last;
        last = sorted[i];
    }
    mem_free(sorted);
}

static void take_out(struct entry *x)
{
    x->prev->next = x->next;
    if (x->next != NULL)
        x->next->prev = x->prev;
}

static void put_back(struct entry *x)
{
    x->prev->next = x;
    if (x->next != NULL)
        x->next->prev = x;
}

/* ---- the search ---- */

static void set_done(struct search *s, size_t op, bool on)
{
    uint64_t bit = UINT64_C(1) << op % 64;

    s->done[op / 64] = on ? s->done[op / 64] | bit : s->done[op / 64] & ~bit;
}

/* Puts a call next in the order, if the model accepts it and it was not tried before. */
static bool try_next(struct search *s, struct entry *call)
{
    struct undo *u = &s->undos[s->depth];

    memcpy(s->next_state, s->state, s->model->state_bytes);
    if (!s->model->step(s->next_state, s->ops[call->op].data))
        return false;
    set_done(s, call->op, true);
    if (!remember(s)) {
        set_done(s, call->op, false);
        return false;
    }
    u->call = call;
    u->state = s->undo_states + s->depth * s->model->state_bytes;
    memcpy(u->state, s->state, s->model->state_bytes);
    memcpy(s->state, s->next_state, s->model->state_bytes);
    s->depth++;
    take_out(call->ret);
    take_out(call);
    return true;
}

/* Takes the last one out of the order again. */
static struct entry *step_back(struct search *s)
{
    struct undo *u = &s->undos[--s->depth];

    memcpy(s->state, u->state, s->model->state_bytes);
    set_done(s, u->call->op, false);
    put_back(u->call);
    put_back(u->call->ret);
    return u->call->next;
}

static void search(struct search *s, struct linear_result *r)
{
    struct entry *at = s->head.next;

    while (s->head.next != NULL) {
        if (r->steps >= LINEAR_STEPS_MAX) {
            r->verdict = LINEAR_GAVE_UP;
            return;
        }
        if (at->ret != NULL) {
            r->steps++;
            at = try_next(s, at) ? s->head.next : at->next;
            continue;
        }
        /* This one has returned: nothing called behind it may come first. */
        if (s->depth >= r->ordered) {
            r->ordered = s->depth;
            r->stuck = at->op;
        }
        if (s->depth == 0) {
            r->verdict = LINEAR_NO;
            return;
        }
        at = step_back(s);
    }
    r->ordered = s->n;
}

static void release(struct search *s)
{
    for (size_t i = 0; i < s->table_cap; i++) {
        for (struct tried *t = s->table[i], *next; t != NULL; t = next) {
            next = t->next;
            mem_free(t);
        }
    }
    mem_free(s->table);
    mem_free(s->undo_states);
    mem_free(s->undos);
    mem_free(s->state);
    mem_free(s->next_state);
    mem_free(s->done);
    mem_free(s->entries);
}

void linear_check(const struct linear_op *ops, size_t n, const struct linear_model *m,
                  const void *start, struct linear_result *ret)
{
    struct search s = {.ops = ops, .model = m, .n = n, .done_words = n / 64 + 1, .table_cap = 1024};

    *ret = (struct linear_result){.verdict = LINEAR_YES};
    s.entries = xmem_calloc(2 * n + 1, sizeof *s.entries);
    s.done = xmem_calloc(s.done_words, sizeof *s.done);
    s.state = xmem_calloc(1, m->state_bytes);
    s.next_state = xmem_calloc(1, m->state_bytes);
    s.undos = xmem_calloc(n + 1, sizeof *s.undos);
    s.undo_states = xmem_calloc(n + 1, m->state_bytes);
    s.table = xmem_calloc(s.table_cap, sizeof(struct tried *));
    memcpy(s.state, start, m->state_bytes);
    link_all(&s);
    search(&s, ret);
    release(&s);
}
