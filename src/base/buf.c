#include "base/buf.h"

#include "base/alloc.h"

void buf_init(struct buf *b, size_t bytes_max)
{
    *b = (struct buf){.bytes_max = bytes_max};
}

void buf_done(struct buf *b)
{
    mem_free(b->p);
    *b = (struct buf){.bytes_max = b->bytes_max};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->failed = false;
}

uint8_t *buf_reserve(struct buf *b, size_t n)
{
    size_t cap;
    uint8_t *p;

    ASSERT(b->len <= b->cap);
    if (n <= b->cap - b->len && b->p != NULL)
        return b->p + b->len;
    if (n > b->bytes_max - MIN(b->len, b->bytes_max)) {
        b->failed = true;
        return NULL;
    }
    cap = MAX(b->cap * 2, MAX(b->len + n, (size_t) 64));
    cap = MIN(cap, MAX(b->bytes_max, b->len + n));
    p = mem_realloc(b->p, cap);
    if (p == NULL) {
        b->failed = true;
        return NULL;
    }
    b->p = p;
    b->cap = cap;
    return b->p + b->len;
}

void buf_commit(struct buf *b, size_t n)
{
    ASSERT(n <= b->cap - b->len);
    b->len += n;
}

bool buf_add(struct buf *b, const void *p, size_t n)
{
    uint8_t *to;

    if (n == 0)
        return true;
    to = buf_reserve(b, n);
    if (to == NULL)
        return false;
    memcpy(to, p, n);
    b->len += n;
    return true;
}

bool buf_add_bytes(struct buf *b, struct bytes s)
{
    return buf_add(b, s.p, s.n);
}

bool buf_add_str(struct buf *b, const char *s)
{
    return buf_add(b, s, strlen(s));
}

bool buf_add_char(struct buf *b, char c)
{
    return buf_add(b, &c, 1);
}

bool buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    int n;
    uint8_t *to;

    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    ASSERT(n >= 0);
    to = buf_reserve(b, (size_t) n + 1);
    if (to == NULL)
        return false;
    vsnprintf((char *) to, (size_t) n + 1, fmt, ap);
    b->len += (size_t) n;
    return true;
}

bool buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    bool ok;

    va_start(ap, fmt);
    ok = buf_vprintf(b, fmt, ap);
    va_end(ap);
    return ok;
}

const char *buf_cstr(struct buf *b)
{
    uint8_t *to = buf_reserve(b, 1);

    if (to == NULL)
        return "";
    *to = 0;
    return (const char *) b->p;
}

uint8_t *buf_steal(struct buf *b, size_t *ret_len)
{
    uint8_t *p = b->p;

    *ret_len = b->len;
    *b = (struct buf){.bytes_max = b->bytes_max};
    return p;
}

void buf_consume(struct buf *b, size_t n)
{
    ASSERT(n <= b->len);
    if (n != 0 && n < b->len)
        memmove(b->p, b->p + n, b->len - n);
    b->len -= n;
}
