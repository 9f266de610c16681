/* key_set.c -- open addressing; a removed key's place is filled by those behind it that want it, so
 * that no marks of the dead are needed. */
#include "etcdutl/key_set.h"

#include "base/alloc.h"
#include "base/crc32c.h"

#define SLOTS_MIN 1024

void key_set_done(struct key_set *s)
{
    mem_free(s->slots);
    *s = KEY_SET_EMPTY;
}

static uint32_t hash_of(struct bytes key)
{
    return crc32c(0, key.p, key.n) * UINT32_C(2654435761);
}

/* Where the key is, or the free place for it. */
static size_t place_of(const struct key_set *s, struct bytes key, uint32_t hash)
{
    size_t i = hash & (s->cap - 1);

    ASSERT(s->count < s->cap);
    while (s->slots[i].p != NULL &&
           (s->slots[i].hash != hash || !bytes_eq(bytes_of(s->slots[i].p, s->slots[i].n), key)))
        i = (i + 1) & (s->cap - 1);
    return i;
}

static bool grow(struct key_set *s)
{
    size_t cap = s->cap == 0 ? SLOTS_MIN : s->cap * 2;
    struct key_slot *v = mem_calloc(cap, sizeof *v);

    if (v == NULL)
        return false;
    for (size_t i = 0; i < s->cap; i++) {
        size_t at = s->slots[i].hash & (cap - 1);

        if (s->slots[i].p == NULL)
            continue;
        while (v[at].p != NULL)
            at = (at + 1) & (cap - 1);
        v[at] = s->slots[i];
    }
    mem_free(s->slots);
    s->slots = v;
    s->cap = cap;
    return true;
}

bool key_set_add(struct key_set *s, struct bytes key)
{
    static const uint8_t nothing[1]; /* an empty key has an address, too */
    uint32_t hash = hash_of(key);
    size_t i;

    ASSERT(key.n <= UINT32_MAX);
    if ((s->count + 1) * 3 >= s->cap * 2 && !grow(s))
        return false;
    i = place_of(s, key, hash);
    if (s->slots[i].p == NULL)
        s->count++;
    s->slots[i] = (struct key_slot){key.n == 0 ? nothing : key.p, (uint32_t) key.n, hash};
    return true;
}

void key_set_remove(struct key_set *s, struct bytes key)
{
    size_t hole, i;

    if (s->cap == 0)
        return;
    hole = place_of(s, key, hash_of(key));
    if (s->slots[hole].p == NULL)
        return;
    s->count--;
    for (i = (hole + 1) & (s->cap - 1); s->slots[i].p != NULL; i = (i + 1) & (s->cap - 1)) {
        size_t home = s->slots[i].hash & (s->cap - 1);

        /* It may move back when its home is not behind the hole on the way to it. */
        if (((i - home) & (s->cap - 1)) >= ((i - hole) & (s->cap - 1))) {
            s->slots[hole] = s->slots[i];
            hole = i;
        }
    }
    s->slots[hole].p = NULL;
}
