/* Signed tokens that were found good before.
 *
 * What a token says follows from its bytes and the key, and neither changes: so it is kept, and
 * only the time is looked at again.  (Whether its auth revision is still the newest is not asked
 * here at all.)  Tokens are known by their SHA-256: how long a comparison takes tells nothing about
 * a signature.  What was refused is not kept, so strangers cannot push anything out.
 *
 * Each set has room for a few; the one that came first makes room. */
#include "edge/server/token_int.h"
#include "sys/digest.h"

#define SETS 64
#define WAYS 4
#define USER_BYTES_MAX 64 /* whose name is longer is checked each time */

_Static_assert(SETS <= 256, "one byte of the digest chooses the set");

struct kept {
    uint8_t digest[SHA256_BYTES];
    bool used;
    uint8_t user_n;
    uint8_t user[USER_BYTES_MAX];
    uint64_t revision;
    double from;
    double until;
};

struct set {
    struct kept v[WAYS];
    unsigned oldest;
};

struct token_cache {
    struct set sets[SETS];
};

void token__cache_free(struct token_cache *c)
{
    mem_free(c);
}

/* NULL: no memory, or nothing to keep. */
static struct token_cache *cache_of(struct tokens *t, unsigned thread)
{
    ASSERT(thread < TOKEN_THREADS_MAX);
    if (t->kind == TOKENS_JWT && t->caches[thread] == NULL)
        t->caches[thread] = mem_calloc(1, sizeof *t->caches[thread]);
    return t->caches[thread];
}

static const struct kept *find(const struct set *s, const uint8_t digest[SHA256_BYTES])
{
    for (size_t i = 0; i < WAYS; i++) {
        if (s->v[i].used && memcmp(s->v[i].digest, digest, SHA256_BYTES) == 0)
            return &s->v[i];
    }
    return NULL;
}

static void keep(struct set *s, const uint8_t digest[SHA256_BYTES], const struct token_claims *c)
{
    struct kept *k = &s->v[s->oldest];

    if (c->user.n > USER_BYTES_MAX)
        return;
    s->oldest = (s->oldest + 1) % WAYS;
    *k = (struct kept){.used = true,
                       .user_n = (uint8_t) c->user.n,
                       .revision = c->revision,
                       .from = c->from,
                       .until = c->until};
    memcpy(k->digest, digest, SHA256_BYTES);
    if (c->user.n > 0)
        memcpy(k->user, c->user.p, c->user.n);
}

static bool claims_of(const struct kept *k, struct arena *mem, struct token_claims *ret)
{
    uint8_t *p = arena_dup(mem, k->user, k->user_n);

    *ret = (struct token_claims){bytes_of(p, k->user_n), k->revision, k->from, k->until};
    return p != NULL || k->user_n == 0;
}

bool token_check_again(struct tokens *t, unsigned thread, struct bytes token, wall_ms now,
                       struct arena *mem, struct bytes *ret_user, uint64_t *ret_revision)
{
    struct token_cache *cache = cache_of(t, thread);
    uint8_t digest[SHA256_BYTES];
    struct token_claims c;
    const struct kept *k;
    struct set *s;

    if (cache == NULL || token.n > TOKEN_BYTES_MAX)
        return token_check(t, token, now, mem, ret_user, ret_revision);
    sha256(token.p, token.n, digest);
    s = &cache->sets[digest[0] % SETS];
    k = find(s, digest);
    if (k == NULL) {
        if (!token__verify(t, token, mem, &c))
            return false;
        keep(s, digest, &c);
    } else if (!claims_of(k, mem, &c)) {
        return false;
    }
    if (!token__is_timely(&c, now))
        return false;
    *ret_user = c.user;
    *ret_revision = c.revision;
    return true;
}
