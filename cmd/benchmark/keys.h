/* keys.h -- keys and values of a load, as etcd's benchmark makes them.
 *
 * A key is its number as a signed varint at the front of key_bytes zeros; a value is random bytes,
 * the same for the whole run.  With the same seed both are the same in every run.
 */
#ifndef KETCH_CMD_BENCHMARK_KEYS_H
#define KETCH_CMD_BENCHMARK_KEYS_H

#include "base/base.h"
#include "sys/random.h"

#define KEY_BYTES_MAX 65536
#define VALUE_BYTES_MAX (512 << 20)

struct key_space {
    int64_t size;     /* > 0: numbers from 0 to below it */
    size_t key_bytes; /* >= key_bytes_least(size) */
    bool sequential;  /* upwards and again from 0; else by chance */
    int64_t next;
    struct random *chance;
};

/* The bytes that the largest number of such a space takes. */
size_t key_bytes_least(int64_t size);

int64_t key_next(struct key_space *k);
void key_write(const struct key_space *k, int64_t number, uint8_t *out); /* key_bytes */

void random_fill(struct random *r, uint8_t *out, size_t n);

#endif
