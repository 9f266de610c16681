/* base.h -- what every file may use: fixed-width types, a few macros, assertions.
 *
 * ASSERT stays on in release builds: it guards data.  DEBUG_ASSERT is for checks that cost more
 * than the code around them; it is compiled in when KETCH_DEBUG is defined.
 */
#ifndef KETCH_BASE_BASE_H
#define KETCH_BASE_BASE_H

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* These cannot be used safely on bytes of unknown length: see buf.h and snprintf. */
#pragma GCC poison strcpy strcat sprintf vsprintf gets strtok

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define CONTAINER_OF(ptr, type, member) ((type *) ((char *) (ptr) -offsetof(type, member)))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* The caller must look at the result. */
#define NODISCARD __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))

/* Prints "file:line: what" to stderr and aborts. */
NORETURN void assert_fail(const char *file, int line, const char *what);

#define ASSERT(x)                                \
    do {                                         \
        if (UNLIKELY(!(x)))                      \
            assert_fail(__FILE__, __LINE__, #x); \
    } while (0)

#ifdef KETCH_DEBUG
#define DEBUG_ASSERT(x) ASSERT(x)
#else
#define DEBUG_ASSERT(x) ((void) sizeof(x))
#endif

/* Reaching this line is a programmer's error. */
#define UNREACHABLE() assert_fail(__FILE__, __LINE__, "unreachable")

/* A branch kept for safety that no known input takes: coverage expects it never to be taken. */
#define NEVER(x) UNLIKELY(x)

/* Borrowed bytes: nobody frees them through this. */
struct bytes {
    const uint8_t *p;
    size_t n;
};

#define BYTES_EMPTY ((struct bytes){NULL, 0})
#define BYTES_LIT(s) ((struct bytes){(const uint8_t *) (s), sizeof(s) - 1})

static inline struct bytes bytes_of(const void *p, size_t n)
{
    return (struct bytes){(const uint8_t *) p, n};
}

static inline struct bytes bytes_str(const char *s)
{
    return bytes_of(s, strlen(s));
}

/* Unsigned byte order, the shorter first on an equal prefix: the order of etcd keys and of bbolt.
 */
static inline int bytes_cmp(struct bytes a, struct bytes b)
{
    size_t n = MIN(a.n, b.n);
    int c = n == 0 ? 0 : memcmp(a.p, b.p, n);

    if (c != 0)
        return c;
    return a.n < b.n ? -1 : a.n > b.n;
}

static inline bool bytes_eq(struct bytes a, struct bytes b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

#endif
