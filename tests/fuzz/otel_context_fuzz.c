/* What a client says of its trace: two lines, a traceparent and a tracestate. */
#include "edge/server/otel_context.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is passed on is read again as the same. */
static void check_state(struct bytes text)
{
    static char once[65536], twice[65536];
    size_t n;

    if (text.n > sizeof once)
        return;
    n = otel_tracestate(text, once);
    ASSERT(n <= text.n);
    ASSERT(otel_tracestate(bytes_of(once, n), twice) == n);
    ASSERT(memcmp(once, twice, n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size == 0 ? NULL : memchr(data, '\n', size);
    size_t n = end == NULL ? size : (size_t) (end - data);
    struct otel_context x;

    if (otel_traceparent(bytes_of(data, n), &x)) {
        ASSERT(n >= 2 + 1 + 32 + 1 + 16 + 1 + 2);
        ASSERT((x.flags & ~(OTEL_SAMPLED | OTEL_RANDOM)) == 0);
    }
    if (end != NULL)
        check_state(bytes_of(end + 1, size - n - 1));
    return 0;
}
