/* err.h -- operating errors: a negative code, and a message that reads as a path.
 *
 * A function that can fail returns 0 or a code and takes a `struct err *` (which may be NULL) for
 * the words.  Each layer adds one phrase in front: "load snapshot X: read header: short read, 12 of
 * 32 bytes".
 *
 * Codes below are shared.  A module that needs its own lists them in its header as an X-macro, in
 * the range kept for it here, so that a number names one error in the whole program:
 *
 *   base -1         raft -100    wal -200       snap -300   bolt -400    store, mvcc -500
 *   lease -600      auth -700    cluster -800   node -900   net -1000    client -1100
 *   wire -1200
 */
#ifndef KETCH_BASE_ERR_H
#define KETCH_BASE_ERR_H

#include "base/base.h"

#define BASE_ERR_MAP(X)                         \
    X(NOMEM, -1, "out of memory")               \
    X(IO, -2, "input/output error")             \
    X(NOT_FOUND, -3, "not found")               \
    X(EXISTS, -4, "already exists")             \
    X(CORRUPT, -5, "damaged data")              \
    X(TRUNCATED, -6, "unexpected end of data")  \
    X(LIMIT, -7, "limit exceeded")              \
    X(INVALID, -8, "invalid argument")          \
    X(AGAIN, -9, "not now, try again")          \
    X(CLOSED, -10, "closed")                    \
    X(LOCKED, -11, "locked by another process") \
    X(NO_SPACE, -12, "no space left on device") \
    X(PERMISSION, -13, "permission denied")     \
    X(TIMEOUT, -14, "timed out")                \
    X(CANCELED, -15, "canceled")                \
    X(UNSUPPORTED, -16, "not supported")

enum base_err {
#define X(name, code, text) ERR_##name = code,
    BASE_ERR_MAP(X)
#undef X
};

#define ERR_MSG_BYTES 512

struct err {
    int code;                /* 0, or that of the last err_set or err_sys; err_wrap leaves it */
    char msg[ERR_MSG_BYTES]; /* NUL-terminated; cut at the end when too long */
};

#define ERR_INIT ((struct err){0})

/* Sets code (below 0) and message in place of what was there; returns `code`, so that `return
 * err_set(...)` reads well. */
int err_set(struct err *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts "text: " in front of the message, or of the text of `rc` where none was set; returns `rc`.
 * With rc == 0 it does nothing. */
int err_wrap(struct err *e, int rc, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The shared code for an errno value; ERR_IO for those that have none of their own. */
int err_from_errno(int errnum);

/* As err_set, with the code and words of an errno: "text: No such file or directory". */
int err_sys(struct err *e, int errnum, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The fixed text of a shared code, or "error N", which is good until the thread asks for the next
 * such one. */
const char *err_text(int code);

#endif
