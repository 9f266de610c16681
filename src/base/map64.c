#include "base/map64.h"

#include "base/alloc.h"
#include "base/hash.h"

/* The finalizer of MurmurHash3: every input bit reaches every output bit. */
static uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= UINT64_C(0xff51afd7ed558ccd);
    x ^= x >> 33;
    x *= UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ x >> 33;
}

void map64_init(struct map64 *m)
{
    *m = (struct map64){0};
}

void map64_init_secret(struct map64 *m, const uint64_t secret[2])
{
    *m = (struct map64){.has_secret = true, .secret = {secret[0], secret[1]}};
}

void map64_done(struct map64 *m)
{
    mem_free(m->slots);
    m->slots = NULL;
    m->cap = 0;
    m->count = 0;
}

/* Where the search for `key` begins. */
static size_t home_of(const struct map64 *m, uint64_t key)
{
    uint64_t h = m->has_secret ? hash_u64(m->secret, key) : mix(key);

    return (size_t) h & (m->cap - 1);
}

/* The slot of `key`, or the empty slot where it would go. */
static size_t find(const struct map64 *m, uint64_t key)
{
    size_t i = home_of(m, key);

    while (m->slots[i].value != NULL && m->slots[i].key != key)
        i = (i + 1) & (m->cap - 1);
    return i;
}

void *map64_get(const struct map64 *m, uint64_t key)
{
    return m->cap == 0 ? NULL : m->slots[find(m, key)].value;
}

static bool grow(struct map64 *m)
{
    struct map64 bigger = *m;

    bigger.cap = m->cap == 0 ? 16 : m->cap * 2;
    bigger.slots = mem_calloc(bigger.cap, sizeof *bigger.slots);
    if (bigger.slots == NULL)
        return false;
    for (size_t i = 0; i < m->cap; i++) {
        if (m->slots[i].value != NULL)
            bigger.slots[find(&bigger, m->slots[i].key)] = m->slots[i];
    }
    mem_free(m->slots);
    *m = bigger;
    return true;
}

bool map64_put(struct map64 *m, uint64_t key, void *v)
{
    size_t i;

    ASSERT(v != NULL);
    if ((m->count + 1) * 4 > m->cap * 3 && !grow(m))
        return false;
    i = find(m, key);
    m->count += m->slots[i].value == NULL;
    m->slots[i] = (struct map64_slot){key, v};
    return true;
}

void *map64_del(struct map64 *m, uint64_t key)
{
    size_t i, j, home;
    void *old;

    if (m->cap == 0)
        return NULL;
    i = find(m, key);
    old = m->slots[i].value;
    if (old == NULL)
        return NULL;
    m->count--;
    /* Move later members of the run back, so that no probe stops early at the hole. */
    for (j = (i + 1) & (m->cap - 1); m->slots[j].value != NULL; j = (j + 1) & (m->cap - 1)) {
        home = home_of(m, m->slots[j].key);
        if (((j - home) & (m->cap - 1)) >= ((j - i) & (m->cap - 1))) {
            m->slots[i] = m->slots[j];
            i = j;
        }
    }
    m->slots[i].value = NULL;
    return old;
}

void *map64_next(const struct map64 *m, size_t *pos, uint64_t *ret_key)
{
    while (*pos < m->cap) {
        const struct map64_slot *s = &m->slots[(*pos)++];

        if (s->value != NULL) {
            if (ret_key != NULL)
                *ret_key = s->key;
            return s->value;
        }
    }
    return NULL;
}
