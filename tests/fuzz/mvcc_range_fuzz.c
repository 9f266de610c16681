/* Ranges of all kinds, streamed ones too, on views old and new of a key space that goes on
 * changing, beside a naive key space. */
#include "unit/state/mvcc/kv_driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_BYTES_MAX 4096

static void step(struct driver *d)
{
    unsigned b = take(d);

    if (b < 88)
        step_put(d);
    else if (b < 104)
        step_delete(d);
    else if (b < 112)
        step_seal(d);
    else if (b < 120)
        step_compact(d);
    else if (b < 126)
        step_job(d);
    else if (b < 134)
        mvcc_compact_index_step(d->kv, 1 + take(d) % 5);
    else if (b < 146)
        step_pin(d);
    else if (b < 216)
        step_read(d, 0);
    else if (b < 240)
        step_read(d, 1);
    else
        step_read(d, 3);
    arena_reset(&d->a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    driver_run(data, MIN(size, (size_t) INPUT_BYTES_MAX), 1, step);
    return 0;
}
