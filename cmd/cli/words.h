/* words.h -- a line split into words, as etcdctl's txn and watch read their requests.
 *
 *   "double quoted, with Go's escapes"   'single quoted, literally'   bare
 *
 * A bare word goes up to the next blank, quotes in it included.  A quote without its partner is
 * dropped, and what follows is read as bare words.
 *
 * Memory: the words live in the arena of the struct.
 */
#ifndef KETCH_CMD_CLI_WORDS_H
#define KETCH_CMD_CLI_WORDS_H

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"

#define WORDS_MAX 4096             /* of one line */
#define WORDS_BYTES_MAX (64 << 20) /* of one line, in memory */

struct words {
    struct arena arena;
    const char **text; /* each ended by a NUL; NULL behind the last */
    size_t *len;       /* a word may hold NUL bytes of its own */
    size_t count;
};

/* ERR_INVALID: a double quoted word with bad escapes; ERR_LIMIT.  words_done in both cases. */
NODISCARD int words_split(struct words *w, struct bytes line, struct err *e);
void words_done(struct words *w);

#endif
