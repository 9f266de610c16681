/* mvcc_kv_fuzz.c -- everything that is done with a key space, in any order: puts, deletes, ranges,
 * transactions, compactions, hashes, views held, commits, power cuts and restarts, beside a naive
 * key space. */
#include "unit/state/mvcc/kv_driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_BYTES_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    driver_run(data, MIN(size, (size_t) INPUT_BYTES_MAX), size, driver_step);
    return 0;
}
