#include "state/mvcc/watch_index.h"

#include "base/hash.h"

/* One zero byte cannot be the end of a range (no key but the empty one is below it): the API uses
 * it for "no end", and so do we. */
static bool unbounded(struct bytes end)
{
    return end.n == 1 && end.p[0] == 0;
}

static bool below_end(struct bytes key, struct bytes end)
{
    return unbounded(end) || bytes_cmp(key, end) < 0;
}

static int cmp_end(struct bytes a, struct bytes b)
{
    bool a_open = unbounded(a), b_open = unbounded(b);

    if (a_open || b_open)
        return (int) a_open - (int) b_open;
    return bytes_cmp(a, b);
}

static int cmp(const struct watch_span *a, const struct watch_span *b)
{
    int c = bytes_cmp(a->key, b->key);

    if (c == 0)
        c = cmp_end(a->end, b->end);
    if (c == 0)
        c = a->variant < b->variant ? -1 : a->variant > b->variant;
    return c;
}

struct watch_span watch_span_of(struct bytes key, struct bytes range_end, uint32_t variant)
{
    return (struct watch_span){.key = key, .end = range_end, .variant = variant};
}

bool watch_span_single(const struct watch_span *s)
{
    return s->end.n == 0;
}

bool watch_span_has(const struct watch_span *s, struct bytes key)
{
    if (watch_span_single(s))
        return bytes_eq(s->key, key);
    return bytes_cmp(s->key, key) <= 0 && below_end(key, s->end);
}

void watch_index_init(struct watch_index *x, const uint64_t seed[2])
{
    *x = (struct watch_index){.seed = {seed[0], seed[1]}, .priorities = seed[0] ^ seed[1]};
    map64_init(&x->keys);
}

void watch_index_done(struct watch_index *x)
{
    map64_done(&x->keys);
    x->root = NULL;
    x->n = 0;
}

/* ---- ranges: a treap ---- */

/* splitmix64: with a secret seed nobody can order inserts so that the tree gets deep. */
static uint32_t next_priority(struct watch_index *x)
{
    uint64_t z = x->priorities += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t) (z >> 32);
}

static void pull(struct watch_span *t)
{
    t->max_end = t->end;
    if (t->left != NULL && cmp_end(t->left->max_end, t->max_end) > 0)
        t->max_end = t->left->max_end;
    if (t->right != NULL && cmp_end(t->right->max_end, t->max_end) > 0)
        t->max_end = t->right->max_end;
}

/* What is below `at` goes to *l, the rest to *r. */
static void split(struct watch_span *t, const struct watch_span *at, struct watch_span **l,
                  struct watch_span **r)
{
    if (t == NULL) {
        *l = *r = NULL;
    } else if (cmp(t, at) < 0) {
        split(t->right, at, &t->right, r);
        pull(t);
        *l = t;
    } else {
        split(t->left, at, l, &t->left);
        pull(t);
        *r = t;
    }
}

/* All of `l` is below all of `r`. */
static struct watch_span *merge(struct watch_span *l, struct watch_span *r)
{
    if (l == NULL || r == NULL)
        return l == NULL ? r : l;
    if (l->priority > r->priority) {
        l->right = merge(l->right, r);
        pull(l);
        return l;
    }
    r->left = merge(l, r->left);
    pull(r);
    return r;
}

static struct watch_span *insert(struct watch_span *t, struct watch_span *s)
{
    if (t == NULL || s->priority > t->priority) {
        split(t, s, &s->left, &s->right);
        t = s;
    } else if (cmp(s, t) < 0) {
        t->left = insert(t->left, s);
    } else {
        t->right = insert(t->right, s);
    }
    pull(t);
    return t;
}

static struct watch_span *take_out(struct watch_span *t, const struct watch_span *s)
{
    ASSERT(t != NULL);
    if (t == s)
        return merge(t->left, t->right);
    if (cmp(s, t) < 0)
        t->left = take_out(t->left, s);
    else
        t->right = take_out(t->right, s);
    pull(t);
    return t;
}

/* ---- single keys: a hash table ---- */

static bool key_add(struct watch_index *x, struct watch_span *s)
{
    s->hash = hash_bytes(x->seed, s->key);
    s->next = map64_get(&x->keys, s->hash);
    return map64_put(&x->keys, s->hash, s);
}

static void key_remove(struct watch_index *x, struct watch_span *s)
{
    struct watch_span *head = map64_get(&x->keys, s->hash);

    ASSERT(head != NULL);
    if (head == s && s->next == NULL) {
        map64_del(&x->keys, s->hash);
    } else if (head == s) {
        ASSERT(map64_put(&x->keys, s->hash, s->next)); /* replaces: needs no memory */
    } else {
        while (head->next != s) {
            head = head->next;
            ASSERT(head != NULL);
        }
        head->next = s->next;
    }
}

/* ---- both ---- */

struct watch_span *watch_index_find(const struct watch_index *x, const struct watch_span *like)
{
    struct watch_span *s;

    if (watch_span_single(like)) {
        s = map64_get(&x->keys, hash_bytes(x->seed, like->key));
        while (s != NULL && (s->variant != like->variant || !bytes_eq(s->key, like->key)))
            s = s->next;
        return s;
    }
    s = x->root;
    while (s != NULL) {
        int c = cmp(like, s);

        if (c == 0)
            break;
        s = c < 0 ? s->left : s->right;
    }
    return s;
}

bool watch_index_add(struct watch_index *x, struct watch_span *s)
{
    if (watch_span_single(s)) {
        if (!key_add(x, s))
            return false;
    } else {
        ASSERT(below_end(s->key, s->end));
        s->priority = next_priority(x);
        x->root = insert(x->root, s);
    }
    x->n++;
    return true;
}

void watch_index_remove(struct watch_index *x, struct watch_span *s)
{
    ASSERT(x->n > 0);
    x->n--;
    if (watch_span_single(s))
        key_remove(x, s);
    else
        x->root = take_out(x->root, s);
}

static void match_ranges(struct watch_span *t, struct bytes key,
                         void (*fn)(void *ctx, struct watch_span *s), void *ctx)
{
    while (t != NULL && below_end(key, t->max_end)) {
        match_ranges(t->left, key, fn, ctx);
        if (bytes_cmp(key, t->key) < 0)
            break; /* so it is for all on the right */
        if (below_end(key, t->end))
            fn(ctx, t);
        t = t->right;
    }
}

void watch_index_match(const struct watch_index *x, struct bytes key,
                       void (*fn)(void *ctx, struct watch_span *s), void *ctx)
{
    if (x->keys.count != 0) {
        struct watch_span *s = map64_get(&x->keys, hash_bytes(x->seed, key));

        for (; s != NULL; s = s->next)
            if (bytes_eq(s->key, key))
                fn(ctx, s);
    }
    match_ranges(x->root, key, fn, ctx);
}

static size_t check_tree(const struct watch_span *t)
{
    size_t n;

    if (t == NULL)
        return 0;
    n = 1 + check_tree(t->left) + check_tree(t->right);
    ASSERT(cmp_end(t->max_end, t->end) >= 0);
    for (int side = 0; side < 2; side++) {
        const struct watch_span *c = side == 0 ? t->left : t->right;

        if (c == NULL)
            continue;
        ASSERT(side == 0 ? cmp(c, t) < 0 : cmp(c, t) >= 0);
        ASSERT(c->priority <= t->priority);
        ASSERT(cmp_end(t->max_end, c->max_end) >= 0);
    }
    return n;
}

void watch_index_check(const struct watch_index *x)
{
    size_t pos = 0, n = check_tree(x->root);
    uint64_t hash;
    const struct watch_span *s;

    while ((s = map64_next(&x->keys, &pos, &hash)) != NULL)
        for (; s != NULL; s = s->next) {
            ASSERT(watch_span_single(s));
            ASSERT(s->hash == hash);
            n++;
        }
    ASSERT(n == x->n);
}
