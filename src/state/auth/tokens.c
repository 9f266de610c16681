/* tokens.c -- simple tokens: a hash table with one writer (apply) and any number of readers, who
 * take no lock.
 *
 * The table has a fixed number of chains, made with the first token.  A token is put in front of
 * its chain; taken out, it keeps its own link, so that a reader that stands on it goes on.  Readers
 * move a token's end on with one store; the heap of ends learns of it when it looks at the token.
 */
#include "state/auth/auth_int.h"

#include <inttypes.h>

typedef _Atomic(struct auth_token *) token_slot;

static token_slot *slot_of(token_slot *slots, uint64_t hash)
{
    return &slots[hash % AUTH_TOKEN_SLOTS];
}

static token_slot *slots_made(struct auth_store *a)
{
    token_slot *slots = atomic_load(&a->slots);

    if (slots == NULL) {
        slots = xmem_calloc(AUTH_TOKEN_SLOTS, sizeof *slots);
        atomic_store(&a->slots, slots);
    }
    return slots;
}

static struct auth_token *find(token_slot *slots, uint64_t hash, struct bytes text)
{
    struct auth_token *t = slots == NULL ? NULL : atomic_load(slot_of(slots, hash));

    while (t != NULL && !(t->hash == hash && bytes_eq(t->text, text)))
        t = atomic_load(&t->next);
    return t;
}

/* ---- apply ---- */

static void drop(struct auth_store *a, struct auth_token *t)
{
    token_slot *at = slot_of(atomic_load(&a->slots), t->hash);

    while (atomic_load(at) != t)
        at = &atomic_load(at)->next;
    atomic_store(at, atomic_load(&t->next));
    heap_remove(&a->tokens, &t->expiry);
    auth__drop(a, &t->garbage);
}

static struct auth_token *token_of(struct heap_item *x)
{
    return CONTAINER_OF(x, struct auth_token, expiry);
}

static void add(struct auth_store *a, struct bytes text, struct bytes user, mono_ns now)
{
    token_slot *slots = slots_made(a);
    struct auth_token *t = xmem_calloc(1, sizeof *t + text.n + user.n), *there;
    uint8_t *p = (uint8_t *) (t + 1);
    token_slot *at;

    t->hash = hash_bytes(a->cfg.hash_seed, text);
    there = find(slots, t->hash, text);
    if (there != NULL)
        drop(a, there);
    if (a->tokens.count >= AUTH_TOKENS_MAX)
        drop(a, token_of(heap_min(&a->tokens)));
    t->text = bytes_of(memcpy(p, text.p, text.n), text.n);
    t->user = bytes_of(memcpy(p + text.n, user.p, user.n), user.n);
    heap_item_init(&t->expiry);
    atomic_init(&t->until, now + a->cfg.token_ttl_ns);
    if (!heap_push(&a->tokens, &t->expiry, now + a->cfg.token_ttl_ns))
        mem_exhausted("the tokens of users");
    at = slot_of(slots, t->hash);
    atomic_init(&t->next, atomic_load(at));
    atomic_store(at, t);
}

enum api_error auth_authenticate(struct auth_store *a, const char *user, const char *letters,
                                 uint64_t index, mono_ns now,
                                 char ret_token[AUTH_TOKEN_BYTES_MAX + 1])
{
    const struct auth_user *u;

    if (!a->now.on)
        return API_AUTH_NOT_ENABLED;
    u = auth__user(&a->now, bytes_str(user));
    if (u == NULL || u->no_password)
        return API_AUTH_FAILED;
    ret_token[0] = 0;
    if (!a->cfg.simple_tokens)
        return API_OK;
    snprintf(ret_token, AUTH_TOKEN_BYTES_MAX + 1, "%.*s.%" PRIu64, AUTH_TOKEN_LETTERS, letters,
             index);
    add(a, bytes_str(ret_token), u->name, now);
    return API_OK;
}

mono_ns auth_expire_tokens(struct auth_store *a, mono_ns now)
{
    struct heap_item *x;

    while ((x = heap_min(&a->tokens)) != NULL) {
        mono_ns until = atomic_load(&token_of(x)->until);

        if (x->key > now)
            return x->key;
        if (until <= now)
            drop(a, token_of(x));
        else
            heap_move(&a->tokens, x, until);
    }
    return INT64_MAX;
}

void auth__tokens_drop_all(struct auth_store *a)
{
    struct heap_item *x;

    while ((x = heap_min(&a->tokens)) != NULL)
        drop(a, token_of(x));
}

void auth__tokens_drop_user(struct auth_store *a, struct bytes user)
{
    token_slot *slots = atomic_load(&a->slots);

    for (size_t i = 0; slots != NULL && i < AUTH_TOKEN_SLOTS; i++) {
        struct auth_token *next;

        for (struct auth_token *t = atomic_load(&slots[i]); t != NULL; t = next) {
            next = atomic_load(&t->next);
            if (bytes_eq(t->user, user))
                drop(a, t);
        }
    }
}

void auth__tokens_done(struct auth_store *a)
{
    auth__tokens_drop_all(a);
    heap_done(&a->tokens);
    mem_free(atomic_load(&a->slots));
    atomic_store(&a->slots, NULL);
}

size_t auth_tokens_n(const struct auth_store *a)
{
    return a->tokens.count;
}

/* ---- readers ---- */

bool auth_token_use(struct auth_reader *r, struct bytes token, mono_ns now, struct bytes *ret_user)
{
    struct auth_store *a = r->store;
    struct auth_token *t = find(atomic_load(&a->slots), hash_bytes(a->cfg.hash_seed, token), token);

    ASSERT(atomic_load_explicit(&r->epoch, memory_order_relaxed) != 0);
    if (t == NULL || atomic_load(&t->until) < now)
        return false;
    atomic_store_explicit(&t->until, now + a->cfg.token_ttl_ns, memory_order_relaxed);
    *ret_user = t->user;
    return true;
}
