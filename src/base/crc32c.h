/* crc32c.h -- CRC-32 Castagnoli: reflected polynomial 0x82F63B78, initial and final xor 0xFFFFFFFF.
 *
 * crc32c(crc32c(0, a), b) is the checksum of a followed by b.  Uses the processor's instruction
 * where there is one.  Source: RFC 3720 appendix B.4 (test vectors).
 *
 * Threads: any.
 */
#ifndef KETCH_BASE_CRC32C_H
#define KETCH_BASE_CRC32C_H

#include "base/base.h"

uint32_t crc32c(uint32_t crc, const void *p, size_t n);

/* The same by table, whatever the processor: for tests. */
uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n);

#endif
