/* Transactions, nested and read-only ones too, beside a naive key space: guards, checks, answers,
 * events, and what is there after a restart. */
#include "unit/state/mvcc/kv_driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_BYTES_MAX 4096

static void step(struct driver *d)
{
    unsigned b = take(d);

    if (b < 48)
        step_put(d);
    else if (b < 56)
        step_delete_keys(d);
    else if (b < 64)
        step_seal(d);
    else if (b < 76)
        step_compact(d);
    else if (b < 84)
        mvcc_compact_index_step(d->kv, 1 + take(d) % 5);
    else if (b < 92)
        step_pin(d);
    else if (b < 204)
        step_txn(d);
    else if (b < 248)
        step_read(d, 2);
    else
        step_restart(d, (b & 1) != 0);
    arena_reset(&d->a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    driver_run(data, MIN(size, (size_t) INPUT_BYTES_MAX), 1, step);
    return 0;
}
