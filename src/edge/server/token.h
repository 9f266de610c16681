/* token.h -- what a login is given, and what of it a caller shows: --auth-token.
 *
 *   simple   16 letters, a point and the number of the log's entry that made it; every member knows
 *            it (state/auth); its time starts anew with each use
 *   jwt      a JSON Web Token (RFC 7519), signed; nobody keeps it
 *   ""       there are none: certificates alone say who calls
 *
 * Threads: any, once made.
 */
#ifndef KETCH_EDGE_SERVER_TOKEN_H
#define KETCH_EDGE_SERVER_TOKEN_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "sys/clock.h"

#define TOKEN_BYTES_MAX 8192 /* of one that is shown: longer is none */

struct tokens;

/* spec: "simple", "", or "jwt,sign-method=...,pub-key=...,priv-key=...,ttl=..."; files are read
 * now. *ret_unknown: the options that were passed over, "" or "a b", in memory of the result.
 *
 *   ERR_INVALID   the message says what */
NODISCARD int tokens_new(const char *spec, struct tokens **ret, const char **ret_unknown,
                         struct err *e);
void tokens_free(struct tokens *t); /* NULL is accepted */

bool token_is_simple(const struct tokens *t);

/* The number of the entry in a simple token.  False: it is not written like one. */
bool token_index(struct bytes token, uint64_t *ret);

/* A signed token: whose it is, and the auth revision when it was made.  False: it is none of ours,
 * or its time is over.  *ret_user is in `mem`. */
bool token_check(const struct tokens *t, struct bytes token, wall_ms now, struct arena *mem,
                 struct bytes *ret_user, uint64_t *ret_revision);

/* The same answer, at the price of a digest where the token was checked before: a signature costs
 * more than the small request that it comes with.  What each thread has found good is kept, a few
 * hundred tokens of it; `thread` is its number, below TOKEN_THREADS_MAX and of no other thread. */
#define TOKEN_THREADS_MAX 64
bool token_check_again(struct tokens *t, unsigned thread, struct bytes token, wall_ms now,
                       struct arena *mem, struct bytes *ret_user, uint64_t *ret_revision);

/* Appends a token.  API_OK's number 0, or an error of api_error.h: AUTH_FAILED where there are no
 * tokens, TOKEN_VERIFY_ONLY where the key is public; -1: the key cannot, or no memory.  May take
 * milliseconds: not on an I/O thread. */
int token_make(const struct tokens *t, const char *user, uint64_t revision, wall_ms now,
               struct buf *out);

#endif
