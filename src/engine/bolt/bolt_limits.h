/* bolt_limits.h -- the sizes that the file format and this implementation allow. */
#ifndef KETCH_ENGINE_BOLT_BOLT_LIMITS_H
#define KETCH_ENGINE_BOLT_BOLT_LIMITS_H

/* bbolt's own limits. */
#define BOLT_KEY_BYTES_MAX 32768
#define BOLT_VALUE_BYTES_MAX 2147483646u /* 2^31 - 2 */
#define BOLT_PAGE_ITEMS_MAX 65534u       /* records in one page; 0xffff is an escape */

/* Page sizes that a file may have: those that bbolt's detection of the page size tries. */
#define BOLT_PAGE_BYTES_MIN 1024u
#define BOLT_PAGE_BYTES_MAX (1024u << 14)
/* ... and those that we create: larger ones would only waste space. */
#define BOLT_NEW_PAGE_BYTES_MAX 65536u

/* Levels of a tree and of buckets inside buckets.  A branch has at least two children, so a tree
 * this deep would have 2^31 leaves: anything deeper is a damaged file. */
#define BOLT_DEPTH_MAX 32

/* Open read transactions.  Each costs 100 bytes; thousands mean that somebody forgets to end them.
 */
#define BOLT_READERS_MAX 65536u

/* Room on the disk is asked for when less than this is left behind the last page used. */
#define BOLT_SPACE_RESERVE_BYTES (UINT64_C(8) << 20)

#endif
