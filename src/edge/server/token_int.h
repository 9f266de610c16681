/* token_int.h -- what token.c and token_jwt.c share. */
#ifndef KETCH_EDGE_SERVER_TOKEN_INT_H
#define KETCH_EDGE_SERVER_TOKEN_INT_H

#include "base/alloc.h"
#include "edge/server/token.h"
#include "sys/password.h"
#include "sys/signature.h"
#include "wire/api_error.h"

#define TOKEN_TTL_NS INT64_C(300000000000) /* of a signed one, when nothing else was said */

enum tokens_kind { TOKENS_NONE, TOKENS_SIMPLE, TOKENS_JWT };

struct tokens {
    enum tokens_kind kind;
    enum sign_method method;
    struct sign_key *key;
    int64_t ttl_ns;
    struct buf unknown;
};

#endif
