#include "sim/linear/store_model.h"

#include "base/alloc.h"

/* ---- words ---- */

void words_add(struct words *w, uint64_t x)
{
    if (w->n == w->cap) {
        w->cap = w->cap == 0 ? 16 : w->cap * 2;
        w->v = xmem_realloc(w->v, w->cap * sizeof w->v[0]);
    }
    w->v[w->n++] = x;
}

void words_done(struct words *w)
{
    mem_free(w->v);
    *w = (struct words){0};
}

bool words_eq(const struct words *a, const struct words *b)
{
    return a->n == b->n && (a->n == 0 || memcmp(a->v, b->v, a->n * sizeof a->v[0]) == 0);
}

static void add(struct words *out, uint64_t x)
{
    if (out != NULL)
        words_add(out, x);
}

void model_kv_words(struct words *out, unsigned key, const struct model_kv *kv, bool keys_only)
{
    add(out, key);
    add(out, (uint64_t) kv->create);
    add(out, (uint64_t) kv->mod);
    add(out, (uint64_t) kv->version);
    /* etcd 3.7 takes them from its index, which knows no leases. */
    add(out, keys_only ? 0 : kv->value);
    add(out, keys_only ? 0 : (uint64_t) kv->lease);
}

/* ---- steps ---- */

static void run_range(const struct model_state *s, const struct model_step *x, struct words *out)
{
    uint64_t count = 0, shown;

    for (unsigned k = x->lo; k < x->hi; k++)
        count += s->keys[k].create != 0;
    shown = x->limit > 0 ? MIN(count, (uint64_t) x->limit) : count;
    add(out, count);
    add(out, shown < count);
    add(out, shown);
    for (unsigned k = x->lo; k < x->hi && shown > 0; k++) {
        if (s->keys[k].create == 0)
            continue;
        model_kv_words(out, k, &s->keys[k], x->keys_only);
        shown--;
    }
}

static void run_put(struct model_state *s, int64_t revision, const struct model_step *x,
                    struct words *out)
{
    struct model_kv *kv = &s->keys[x->lo];
    bool shown = x->prev_kv && kv->create != 0;

    add(out, shown);
    if (shown)
        model_kv_words(out, x->lo, kv, false);
    *kv = (struct model_kv){.create = kv->create != 0 ? kv->create : revision,
                            .mod = revision,
                            .version = kv->version + 1,
                            .value = x->value,
                            .lease = x->lease};
}

static bool run_delete(struct model_state *s, const struct model_step *x, struct words *out)
{
    uint64_t count = 0;

    for (unsigned k = x->lo; k < x->hi; k++)
        count += s->keys[k].create != 0;
    add(out, count);
    add(out, x->prev_kv ? count : 0);
    for (unsigned k = x->lo; k < x->hi; k++) {
        if (s->keys[k].create != 0 && x->prev_kv)
            model_kv_words(out, k, &s->keys[k], false);
        s->keys[k] = (struct model_kv){0};
    }
    return count > 0;
}

/* True when it changed something. */
static bool run_step(struct model_state *s, int64_t revision, const struct model_step *x,
                     struct words *out)
{
    switch (x->kind) {
    case MODEL_RANGE:
        run_range(s, x, out);
        return false;
    case MODEL_PUT:
        run_put(s, revision, x, out);
        return true;
    case MODEL_DELETE:
        return run_delete(s, x, out);
    }
    UNREACHABLE();
}

/* ---- compares ---- */

static int64_t target_of(const struct model_kv *kv, enum model_target t)
{
    switch (t) {
    case MODEL_VERSION:
        return kv->version;
    case MODEL_CREATE:
        return kv->create;
    case MODEL_MOD:
        return kv->mod;
    case MODEL_VALUE:
        return (int64_t) kv->value;
    case MODEL_LEASE:
        return kv->lease;
    }
    UNREACHABLE();
}

static bool holds(const struct model_state *s, const struct model_compare *c)
{
    const struct model_kv *kv = &s->keys[c->key];
    int64_t x = target_of(kv, c->target);

    if (kv->create == 0 && c->target == MODEL_VALUE)
        return false; /* etcd: what is not there has no value to compare */
    switch (c->relation) {
    case MODEL_EQUAL:
        return x == c->operand;
    case MODEL_GREATER:
        return x > c->operand;
    case MODEL_LESS:
        return x < c->operand;
    case MODEL_NOT_EQUAL:
        return x != c->operand;
    }
    UNREACHABLE();
}

/* ---- whole operations ---- */

static void run_txn(struct model_state *s, const struct model_op *op, struct words *out)
{
    int64_t revision = s->revision + 1;
    bool succeeded = true, changed = false;
    const struct model_step *steps = op->then;
    size_t n = op->then_n, head = out == NULL ? 0 : out->n;

    for (size_t i = 0; i < op->compares_n; i++)
        succeeded &= holds(s, &op->compares[i]);
    if (!succeeded) {
        steps = op->other;
        n = op->other_n;
    }
    add(out, 0); /* the revision: known at the end */
    if (op->form == MODEL_TXN)
        add(out, succeeded);
    for (size_t i = 0; i < n; i++) {
        if (op->form == MODEL_TXN)
            add(out, steps[i].kind);
        changed |= run_step(s, revision, &steps[i], out);
    }
    s->revision += changed;
    if (out != NULL)
        out->v[head] = (uint64_t) s->revision;
}

static void run_revoke(struct model_state *s, const struct model_op *op, struct words *out)
{
    bool changed = false;

    for (unsigned k = 0; k < MODEL_KEYS; k++) {
        if (s->keys[k].create == 0 || s->keys[k].lease != op->lease)
            continue;
        s->keys[k] = (struct model_kv){0};
        changed = true;
    }
    s->revision += changed;
    add(out, (uint64_t) s->revision);
}

void model_run(struct model_state *s, const struct model_op *op, struct words *out)
{
    if (op->form == MODEL_REVOKE)
        run_revoke(s, op, out);
    else
        run_txn(s, op, out);
}

bool model_writes(const struct model_op *op)
{
    if (op->form == MODEL_REVOKE)
        return true;
    for (size_t i = 0; i < op->then_n; i++)
        if (op->then[i].kind != MODEL_RANGE)
            return true;
    for (size_t i = 0; i < op->other_n; i++)
        if (op->other[i].kind != MODEL_RANGE)
            return true;
    return false;
}

/* ---- words for people ---- */

static int step_text(const struct model_step *x, char *p, size_t n)
{
    switch (x->kind) {
    case MODEL_RANGE:
        return snprintf(p, n, " get k%02u..k%02u;", x->lo, x->hi);
    case MODEL_PUT:
        return snprintf(p, n, " put k%02u=%" PRIu64 "%s;", x->lo, x->value,
                        x->lease != 0 ? " on a lease" : "");
    case MODEL_DELETE:
        return snprintf(p, n, " delete k%02u..k%02u;", x->lo, x->hi);
    }
    UNREACHABLE();
}

void model_text(const struct model_op *op, char *ret, size_t n)
{
    static const char *const targets[] = {"version", "create", "mod", "value", "lease"};
    static const char *const relations[] = {"=", ">", "<", "!="};
    size_t k = 0;

    if (op->form == MODEL_REVOKE) {
        (void) snprintf(ret, n, "revoke lease %" PRId64, op->lease);
        return;
    }
    ret[0] = '\0';
    if (op->form == MODEL_TXN)
        k += (size_t) snprintf(ret, n, "txn");
    for (size_t i = 0; i < op->compares_n && k < n; i++)
        k += (size_t) snprintf(ret + k, n - k, " [%s k%02u %s %" PRId64 "]",
                               targets[op->compares[i].target], op->compares[i].key,
                               relations[op->compares[i].relation], op->compares[i].operand);
    for (size_t i = 0; i < op->then_n && k < n; i++)
        k += (size_t) step_text(&op->then[i], ret + k, n - k);
    if (op->other_n > 0 && k < n)
        k += (size_t) snprintf(ret + k, n - k, " else");
    for (size_t i = 0; i < op->other_n && k < n; i++)
        k += (size_t) step_text(&op->other[i], ret + k, n - k);
}
