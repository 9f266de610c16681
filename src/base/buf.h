/* buf.h -- a growable byte buffer, born with its maximum.
 *
 * Invariants: len <= cap <= bytes_max; p is NULL exactly when cap is 0.
 * A failed append changes nothing but sets `failed`; a caller may append many times and test once.
 *
 * Threads: one at a time.   Memory: buf_done frees; buf_steal gives the bytes away (free with
 * mem_free).
 */
#ifndef KETCH_BASE_BUF_H
#define KETCH_BASE_BUF_H

#include "base/base.h"

struct buf {
    uint8_t *p;
    size_t len;
    size_t cap;
    size_t bytes_max;
    bool failed; /* an append was refused since buf_init or buf_clear */
};

void buf_init(struct buf *b, size_t bytes_max);
void buf_done(struct buf *b);
void buf_clear(struct buf *b); /* keeps the memory */

/* Room for n more bytes at b->p + b->len, or NULL (and `failed`); valid until the next call that
 * appends.  buf_commit counts in up to n of them. */
uint8_t *buf_reserve(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);

/* False: this append was refused.  The last two need room for a NUL behind the text, too. */
bool buf_add(struct buf *b, const void *p, size_t n);
bool buf_add_bytes(struct buf *b, struct bytes s);
bool buf_add_str(struct buf *b, const char *s);
bool buf_add_char(struct buf *b, char c);
bool buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool buf_vprintf(struct buf *b, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

/* The contents as a C string: a NUL is put behind them, not counted in len.  "" (and `failed`)
 * where there is no room for it.  Valid until the next call that appends. */
const char *buf_cstr(struct buf *b);

static inline struct bytes buf_bytes(const struct buf *b)
{
    return bytes_of(b->p, b->len);
}

/* NULL when the buffer never had memory.  It is empty afterwards, and usable. */
NODISCARD uint8_t *buf_steal(struct buf *b, size_t *ret_len);

/* Drops n bytes from the front (n <= len). */
void buf_consume(struct buf *b, size_t n);

#endif
