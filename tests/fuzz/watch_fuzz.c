/* watch_fuzz.c -- the watch hub driven by bytes; the model of the unit tests judges every note. */
#include "unit/state/mvcc/watch_ops.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size <= 4096)
        run_ops(bytes_of(data, size));
    return 0;
}
