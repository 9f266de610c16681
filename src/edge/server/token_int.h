/* token_int.h -- what token.c, token_jwt.c and token_cache.c share. */
#ifndef KETCH_EDGE_SERVER_TOKEN_INT_H
#define KETCH_EDGE_SERVER_TOKEN_INT_H

#include "base/alloc.h"
#include "edge/server/token.h"
#include "sys/password.h"
#include "sys/signature.h"
#include "wire/api_error.h"

#define TOKEN_TTL_NS INT64_C(300000000000) /* of a signed one, when nothing else was said */

enum tokens_kind { TOKENS_NONE, TOKENS_SIMPLE, TOKENS_JWT };

struct token_cache;

struct tokens {
    enum tokens_kind kind;
    enum sign_method method;
    struct sign_key *key;
    int64_t ttl_ns;
    struct buf unknown;
    struct token_cache *caches[TOKEN_THREADS_MAX]; /* each its thread's; NULL: not needed yet */
};

/* What a signed token says.  It does not change, but for being true only from `from` until `until`,
 * in seconds since 1970 (0: for ever). */
struct token_claims {
    struct bytes user;
    uint64_t revision;
    double from;
    double until;
};

/* Of form and signature; the time is not looked at.  ret->user is in `mem`. */
bool token__verify(const struct tokens *t, struct bytes token, struct arena *mem,
                   struct token_claims *ret);
bool token__is_timely(const struct token_claims *c, wall_ms now);

void token__cache_free(struct token_cache *c); /* NULL is accepted */

#endif
