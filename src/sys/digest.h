/* digest.h -- SHA-1 (member and cluster ids) and SHA-256 (the tail of a snapshot stream).
 *
 * Whatever fails but memory for a struct digest stops the process.  Source: FIPS 180-4.
 *
 * Threads: any; a struct digest from one at a time.   Memory: what is added is borrowed.
 */
#ifndef KETCH_SYS_DIGEST_H
#define KETCH_SYS_DIGEST_H

#include "base/base.h"

#define SHA1_BYTES 20
#define SHA256_BYTES 32

void sha1(const void *p, size_t n, uint8_t ret[SHA1_BYTES]);
void sha256(const void *p, size_t n, uint8_t ret[SHA256_BYTES]);

struct digest;

NODISCARD struct digest *digest_sha256_new(void); /* NULL without memory */
void digest_add(struct digest *d, const void *p, size_t n);
void digest_end(struct digest *d, uint8_t ret[SHA256_BYTES]); /* frees d */
void digest_free(struct digest *d);                           /* NULL is accepted */

#endif
