/* meta.h -- the two meta pages, which name the current state of the file.
 *
 * Behind the header of page 0 and of page 1 (offsets from the start of the page):
 *
 *     16  magic u32   20  version u32     24  page size u32     28  flags u32 (0)
 *     32  root page u64   40  sequence of the root bucket u64
 *     48  freelist page u64   56  high water u64   64  txid u64
 *     72  FNV-1a 64 of bytes 16 to 71
 *
 * Transaction t writes the page t mod 2, so a torn write leaves the state before it.
 */
#ifndef KETCH_ENGINE_BOLT_META_H
#define KETCH_ENGINE_BOLT_META_H

#include "base/base.h"
#include "base/err.h"

struct file;

#define META_BYTES 80               /* of a meta page that mean something */
#define META_NO_FREELIST UINT64_MAX /* the list of free pages is not stored */
#define META_MAGIC UINT32_C(0xed0cdaed)
#define META_VERSION 2u

struct meta {
    uint32_t page_bytes;
    uint64_t root;       /* page of the root bucket */
    uint64_t sequence;   /* of the root bucket; carried along */
    uint64_t freelist;   /* page of the stored freelist, or META_NO_FREELIST */
    uint64_t high_water; /* the first page never used */
    uint64_t txid;
};

/* Reads a meta from the first META_BYTES of its page.  ERR_CORRUPT with bbolt's words: "invalid
 * database", "version mismatch", "checksum error"; or our own for values that cannot be. */
NODISCARD int meta_decode(const uint8_t *page, struct meta *ret, struct err *e);

/* The first META_BYTES of page `id` (0 or 1). */
void meta_encode_head(const struct meta *m, uint64_t id, uint8_t *page);
/* The whole page, m->page_bytes long; the rest is zeroed. */
void meta_encode(const struct meta *m, uint64_t id, uint8_t *page);

/* Finds the page size of a file of `file_bytes` > 0 bytes and the newest valid meta.
 * `default_page_bytes` is used for the words of the error only. */
NODISCARD int meta_find(struct file *f, uint64_t file_bytes, uint32_t default_page_bytes,
                        struct meta *ret, struct err *e);

#endif
