/* status.h -- what a snapshot file holds, in numbers. */
#ifndef KETCH_CMD_ETCDUTL_STATUS_H
#define KETCH_CMD_ETCDUTL_STATUS_H

#include "base/err.h"
#include "sys/disk.h"

#define STATUS_VERSION_BYTES 64
#define STATUS_FINDINGS_BYTES_MAX ((size_t) 1 << 20)

struct buf;

struct status {
    uint32_t hash;                      /* CRC-32C over all buckets: names, keys, values */
    int64_t revision;                   /* of the last record of bucket key; 0: none */
    uint64_t keys;                      /* whose last record is no tombstone */
    uint64_t bytes;                     /* pages ever used */
    char version[STATUS_VERSION_BYTES]; /* meta/storageVersion; "" before 3.6 */
};

/* Proves the file's structure first, then reads every pair once.  Waits for as long as another
 * process has the file locked for writing, as etcd's tool does.
 *
 * ERR_CORRUPT, ...: *words (cleared before) holds what to say, several lines after a proof that
 * failed. */
NODISCARD int status_read(const char *path, struct status *ret, struct buf *words);

#endif
