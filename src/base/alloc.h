/* alloc.h -- all heap memory of the product comes from here, so that tests can count it and make it
 * fail.
 *
 * Two families.  mem_* return NULL when memory is short: for the path of a request, which is then
 * refused.  xmem_* never return NULL: for start-up and for the apply path, where a member that
 * cannot allocate must stop rather than become a different state; they print one line and abort.
 *
 * Threads: any.
 */
#ifndef KETCH_BASE_ALLOC_H
#define KETCH_BASE_ALLOC_H

#include "base/base.h"

/* Freed with mem_free.  n == 0 gives memory like any other size: NULL always means that it is
 * short. */
NODISCARD void *mem_alloc(size_t n);
NODISCARD void *mem_calloc(size_t count, size_t n); /* zeroed; NULL also on overflow */
NODISCARD void *mem_realloc(void *p, size_t n);     /* on NULL, p is still valid */
void mem_free(void *p);                             /* NULL is accepted */

NODISCARD void *xmem_alloc(size_t n);
NODISCARD void *xmem_calloc(size_t count, size_t n);
NODISCARD void *xmem_realloc(void *p, size_t n);
NODISCARD char *xmem_strdup(const char *s);
NODISCARD void *xmem_dup(const void *p, size_t n);

/* Where something other than the heap ran out: one line that says what, then abort. */
NORETURN void mem_exhausted(const char *what);

/* For tests: the nth allocation from now (1 = the next) fails, and all after it if `sticky`.
 * 0 switches it off.  Returns how many allocations have been asked for since the last call.
 *
 * Only in builds with KETCH_ALLOC_TEST: elsewhere nothing is counted, none fails, and this and
 * mem_alloc_count return 0. */
uint64_t mem_fail_after(uint64_t nth, bool sticky);

/* Allocations asked for since the process began, all threads. */
uint64_t mem_alloc_count(void);

#endif
