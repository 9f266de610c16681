/* mvcc_index_fuzz.c -- the B+tree of keys beside a sorted array.
 *
 * The first choices are how many keys the tree is built from at once.  Then keys are put, made
 * tombstones, brought back in place and taken out; roots are published and held.  A held root must
 * go on showing what the array held when it was published, whatever happens after. */
#include "base/alloc.h"
#include "fuzz/choices.h"
#include "state/mvcc/index.h"

#define KEYS_MAX 1024
#define KEY_BYTES 56
#define HELD_MAX 4
#define INPUT_BYTES_MAX 8192

struct key {
    char text[KEY_BYTES];
    size_t n;
    bool live;
};

struct sorted {
    struct key v[KEYS_MAX];
    size_t n;
};

/* A published root, what it shows, and what was taken out of the tree since. */
struct held {
    const struct index_node *root;
    struct sorted shows;
    struct garbage garbage;
};

static struct index ix;
static struct sorted now;
static struct held held[HELD_MAX]; /* oldest first */
static size_t held_n;
static int64_t main_rev;

static struct bytes key_bytes(const struct key *k)
{
    return bytes_of(k->text, k->n);
}

/* The first that is >= key. */
static size_t find(const struct sorted *s, struct bytes key, bool *ret_found)
{
    size_t lo = 0, hi = s->n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (bytes_cmp(key_bytes(&s->v[mid]), key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *ret_found = lo < s->n && bytes_eq(key_bytes(&s->v[lo]), key);
    return lo;
}

/* Short keys of few letters, zeros among them; keys with a beginning in common that is shorter, as
 * long and longer than what a node keeps of it. */
static struct bytes pick_key(struct choices *c, char text[KEY_BYTES])
{
    static const char common[] = "/registry/deployments/default/of-all-the-keys/";
    static const size_t prefix[] = {0, 0, 0, 1, 9, 31, 32, 33, sizeof common - 1};
    static const char letters[] = {'\0', 'a', 'b', '/', '\xff'};
    size_t n = prefix[pick(c, ARRAY_LEN(prefix))], more = 1 + pick(c, 4);

    memcpy(text, common, n);
    for (size_t i = 0; i < more; i++)
        text[n++] = letters[pick(c, sizeof letters)];
    return bytes_of(text, n);
}

static void remember(size_t at, bool found, struct bytes key, bool live)
{
    if (!found) {
        memmove(now.v + at + 1, now.v + at, (now.n - at) * sizeof *now.v);
        memcpy(now.v[at].text, key.p, key.n);
        now.v[at].n = key.n;
        now.n++;
    }
    now.v[at].live = live;
}

static struct key_entry *entry_of(struct bytes key, bool live)
{
    struct key_entry *e = entry_new(&ix, key, false);

    e->mod_main = ++main_rev;
    e->mod_sub_tombstone = !live;
    return e;
}

static void put(struct bytes key, bool live)
{
    struct index_path p;
    struct key_entry *old = index_find(&ix, key, &p);
    bool found;
    size_t at = find(&now, key, &found);

    ASSERT((old != NULL) == found);
    ASSERT(p.found == found);
    if (!found && now.n == KEYS_MAX)
        return;
    index_set(&ix, &p, entry_of(key, live));
    if (old != NULL)
        garbage_add(&ix.garbage, old, GARBAGE_ENTRY);
    remember(at, found, key, live);
}

static void take_out(size_t at)
{
    struct index_path p;
    struct key_entry *old = index_find(&ix, key_bytes(&now.v[at]), &p);

    ASSERT(old != NULL);
    index_remove(&ix, &p);
    garbage_add(&ix.garbage, old, GARBAGE_ENTRY);
    memmove(now.v + at, now.v + at + 1, (now.n - at - 1) * sizeof *now.v);
    now.n--;
}

/* As a deletion of a key that was put since the last publish: its entry is changed in place. */
static void put_and_change(struct bytes key, bool live)
{
    struct index_path p;
    struct key_entry *e;
    bool found;
    size_t at;

    put(key, !live);
    e = index_find(&ix, key, &p);
    at = find(&now, key, &found);
    if (e == NULL)
        return;
    ASSERT(found);
    e->mod_sub_tombstone = !live;
    index_set_live(&ix, &p, live);
    now.v[at].live = live;
}

static void check_walk(const struct index_node *root, const struct sorted *s)
{
    struct index_cursor c;
    uint64_t live = 0;

    index_seek(&c, root, BYTES_EMPTY, false);
    for (size_t i = 0; i < s->n; i++, index_cursor_next(&c)) {
        const struct key_entry *e = index_cursor_entry(&c);

        ASSERT(e != NULL);
        ASSERT(bytes_eq(entry_key(e), key_bytes(&s->v[i])));
        ASSERT(entry_is_live(e) == s->v[i].live);
        if (i % 8 == 0) {
            ASSERT(index_get(root, entry_key(e)) == e);
            ASSERT(index_rank(root, entry_key(e)) == live);
        }
        live += s->v[i].live;
    }
    ASSERT(index_cursor_entry(&c) == NULL);
    ASSERT(root->live == live);
}

/* From any key on, all keys or those alive: the walk finds what the array has. */
static void check_seek(const struct index_node *root, const struct sorted *s, struct bytes key)
{
    struct index_cursor c;
    bool found;
    size_t from = find(s, key, &found);
    uint64_t below = 0;

    for (size_t i = 0; i < from; i++)
        below += s->v[i].live;
    ASSERT(index_rank(root, key) == below);
    ASSERT((index_get(root, key) != NULL) == found);
    index_seek(&c, root, key, true);
    for (size_t i = from; i < s->n; i++) {
        if (!s->v[i].live)
            continue;
        while (index_cursor_entry(&c) != NULL && !entry_is_live(index_cursor_entry(&c)))
            index_cursor_next(&c);
        ASSERT(index_cursor_entry(&c) != NULL);
        ASSERT(bytes_eq(entry_key(index_cursor_entry(&c)), key_bytes(&s->v[i])));
        index_cursor_next(&c);
    }
    while (index_cursor_entry(&c) != NULL && !entry_is_live(index_cursor_entry(&c)))
        index_cursor_next(&c);
    ASSERT(index_cursor_entry(&c) == NULL);
}

static void free_garbage(struct garbage *g)
{
    for (size_t i = 0; i < g->n; i++)
        index_free_piece(&ix, g->v[i]);
    mem_free(g->v);
    *g = (struct garbage){0};
}

static void hand_over(struct garbage *to, uintptr_t piece)
{
    garbage_add(to, (void *) (piece & ~(uintptr_t) 3), (enum garbage_kind)(piece & 3));
}

/* What was taken out until now belongs to the newest root that is held, else to nobody. */
static void settle_garbage(void)
{
    struct garbage *to = held_n > 0 ? &held[held_n - 1].garbage : NULL;

    for (size_t i = 0; to != NULL && i < ix.garbage.n; i++)
        hand_over(to, ix.garbage.v[i]);
    if (to == NULL)
        free_garbage(&ix.garbage);
    ix.garbage.n = 0;
}

static void publish_and_hold(void)
{
    settle_garbage();
    ix.epoch++;
    if (held_n == HELD_MAX)
        return;
    held[held_n].root = ix.root;
    held[held_n].shows.n = now.n;
    memcpy(held[held_n].shows.v, now.v, now.n * sizeof *now.v);
    held_n++;
}

/* A root is let go: its garbage is handed down to the one before it, which may still see it. */
static void let_go(size_t i)
{
    struct held *h = &held[i];

    check_walk(h->root, &h->shows);
    for (size_t k = 0; i > 0 && k < h->garbage.n; k++)
        hand_over(&held[i - 1].garbage, h->garbage.v[k]);
    if (i > 0)
        h->garbage.n = 0;
    free_garbage(&h->garbage);
    memmove(held + i, held + i + 1, (held_n - i - 1) * sizeof *held);
    held_n--;
    held[held_n].garbage = (struct garbage){0};
}

static void build(struct choices *c)
{
    static struct key_entry *v[KEYS_MAX];
    size_t n = pick(c, 256) * (pick(c, 32) == 31 ? 4 : 1);

    for (size_t i = 0; i < n; i++) {
        char text[KEY_BYTES];
        struct bytes key = bytes_of(
            text, (size_t) snprintf(text, sizeof text, "/registry/pods/ns/%05zu", i));

        v[i] = entry_of(key, i % 3 != 1);
        remember(i, false, key, i % 3 != 1);
    }
    index_build(&ix, v, n);
    index_check(&ix);
    check_walk(ix.root, &now);
    publish_and_hold();
}

/* A key of those that are there, or a new one. */
static struct bytes some_key(struct choices *c, char text[KEY_BYTES])
{
    unsigned b = pick(c, 256);

    if (now.n == 0 || b < 128)
        return pick_key(c, text);
    b = (b & 127) * 131 + pick(c, 256);
    memcpy(text, now.v[b % now.n].text, KEY_BYTES);
    return bytes_of(text, now.v[b % now.n].n);
}

static void step(struct choices *c)
{
    char text[KEY_BYTES];
    unsigned what = pick(c, 32);
    bool found;
    size_t at;

    if (what < 14) {
        put(some_key(c, text), what < 11);
    } else if (what < 17) {
        put_and_change(some_key(c, text), what == 14);
    } else if (what < 23) {
        at = find(&now, some_key(c, text), &found);
        for (size_t n = what == 17 ? 40 : 1; n > 0 && at < now.n; n--)
            take_out(at); /* a run of neighbours now and then: nodes run empty */
    } else if (what < 25) {
        publish_and_hold();
    } else if (what < 27) {
        if (held_n > 0)
            let_go(pick(c, (unsigned) held_n));
    } else if (what < 31) {
        check_seek(ix.root, &now, some_key(c, text));
    } else if (held_n > 0) {
        const struct held *h = &held[pick(c, (unsigned) held_n)];

        check_seek(h->root, &h->shows, some_key(c, text));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct choices c = choices_of(data, MIN(size, (size_t) INPUT_BYTES_MAX));

    index_init(&ix);
    now.n = held_n = 0;
    main_rev = 1;
    build(&c);
    for (unsigned i = 0; !choices_over(&c); i++) {
        step(&c);
        if (i % 64 == 0)
            index_check(&ix);
    }
    index_check(&ix);
    check_walk(ix.root, &now);
    settle_garbage();
    while (held_n > 0)
        let_go(held_n - 1);
    while (now.n > 0)
        take_out(now.n - 1);
    free_garbage(&ix.garbage);
    ASSERT(ix.bytes == sizeof(struct index_leaf)); /* nothing was lost track of */
    index_done(&ix);
    return 0;
}
