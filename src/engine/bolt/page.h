/* page.h -- the layout of pages, and the proof that one can be trusted.
 *
 * A page of P bytes begins with a header.  `overflow` more pages that follow it continue its data
 * and have no header of their own.
 *
 *     branch   header | count x { pos u32, key bytes u32, child page u64 }              | keys
 *     leaf     header | count x { flags u32, pos u32, key bytes u32, value bytes u32 }  | keys,
 * values freelist header | ids u64 ...   (count 0xffff: the first u64 is the number of ids) meta
 * header | see meta.h
 *
 * A `pos` counts from the start of its own element.  Values follow their keys directly.  All
 * integers are little-endian; nothing is aligned inside an inline bucket, so everything is read
 * through base/endian.h.
 *
 * The accessors below trust the page: page_validate first.
 */
#ifndef KETCH_ENGINE_BOLT_PAGE_H
#define KETCH_ENGINE_BOLT_PAGE_H

#include "base/base.h"
#include "base/endian.h"
#include "base/err.h"
#include "engine/bolt/bolt_limits.h"

struct page_header {
    uint64_t id;
    uint16_t flags;
    uint16_t count;
    uint32_t overflow;
};

struct page_branch_item {
    uint32_t pos;
    uint32_t key_bytes;
    uint64_t child;
};

struct page_leaf_item {
    uint32_t flags;
    uint32_t pos;
    uint32_t key_bytes;
    uint32_t value_bytes;
};

/* The start of the value of a bucket: root page 0 means that an inline page image follows. */
struct page_bucket {
    uint64_t root;
    uint64_t sequence;
};

#define PAGE_HEADER_BYTES sizeof(struct page_header)
#define PAGE_ITEM_BYTES sizeof(struct page_leaf_item)
#define PAGE_BUCKET_BYTES sizeof(struct page_bucket)

_Static_assert(PAGE_HEADER_BYTES == 16, "bolt.md section 1");
_Static_assert(offsetof(struct page_header, flags) == 8, "bolt.md section 1");
_Static_assert(offsetof(struct page_header, count) == 10, "bolt.md section 1");
_Static_assert(offsetof(struct page_header, overflow) == 12, "bolt.md section 1");
_Static_assert(sizeof(struct page_branch_item) == PAGE_ITEM_BYTES, "bolt.md section 4");
_Static_assert(offsetof(struct page_branch_item, child) == 8, "bolt.md section 4");
_Static_assert(PAGE_ITEM_BYTES == 16, "bolt.md section 4");
_Static_assert(PAGE_BUCKET_BYTES == 16, "bolt.md section 5");

enum page_type {
    PAGE_BRANCH = 0x01,
    PAGE_LEAF = 0x02,
    PAGE_META = 0x04,
    PAGE_FREELIST = 0x10,
};

#define PAGE_ITEM_BUCKET 1u         /* leaf item: the value is a bucket */
#define PAGE_COUNT_ESCAPE 0xffffu   /* freelist: the number of ids is the first of them */
#define PAGE_FIRST_FREE UINT64_C(2) /* pages 0 and 1 are the metas */

/* bytes_cmp, without a call in the common case that the first eight bytes differ: most keys are
 * revisions, and searching is what reads cost. */
static inline int key_cmp(struct bytes a, struct bytes b)
{
    if (a.n >= 8 && b.n >= 8) {
        uint64_t x = be64_get(a.p), y = be64_get(b.p);

        if (x != y)
            return x < y ? -1 : 1;
    }
    return bytes_cmp(a, b);
}

static inline uint64_t page_id(const uint8_t *p)
{
    return le64_get(p + offsetof(struct page_header, id));
}

static inline unsigned page_flags(const uint8_t *p)
{
    return le16_get(p + offsetof(struct page_header, flags));
}

static inline uint32_t page_count(const uint8_t *p)
{
    return le16_get(p + offsetof(struct page_header, count));
}

static inline uint32_t page_overflow(const uint8_t *p)
{
    return le32_get(p + offsetof(struct page_header, overflow));
}

static inline bool page_is_leaf(const uint8_t *p)
{
    return page_flags(p) == PAGE_LEAF;
}

static inline void page_header_put(uint8_t *p, struct page_header h)
{
    le64_put(p + offsetof(struct page_header, id), h.id);
    le16_put(p + offsetof(struct page_header, flags), h.flags);
    le16_put(p + offsetof(struct page_header, count), h.count);
    le32_put(p + offsetof(struct page_header, overflow), h.overflow);
}

static inline const uint8_t *page_item(const uint8_t *p, uint32_t i)
{
    DEBUG_ASSERT(i < page_count(p));
    return p + PAGE_HEADER_BYTES + (size_t) i * PAGE_ITEM_BYTES;
}

static inline struct bytes page_branch_key(const uint8_t *p, uint32_t i)
{
    const uint8_t *it = page_item(p, i);

    return bytes_of(it + le32_get(it + offsetof(struct page_branch_item, pos)),
                    le32_get(it + offsetof(struct page_branch_item, key_bytes)));
}

static inline uint64_t page_branch_child(const uint8_t *p, uint32_t i)
{
    DEBUG_ASSERT(page_flags(p) == PAGE_BRANCH);
    return le64_get(page_item(p, i) + offsetof(struct page_branch_item, child));
}

static inline uint32_t page_leaf_flags(const uint8_t *p, uint32_t i)
{
    DEBUG_ASSERT(page_is_leaf(p));
    return le32_get(page_item(p, i) + offsetof(struct page_leaf_item, flags));
}

static inline struct bytes page_leaf_key(const uint8_t *p, uint32_t i)
{
    const uint8_t *it = page_item(p, i);

    return bytes_of(it + le32_get(it + offsetof(struct page_leaf_item, pos)),
                    le32_get(it + offsetof(struct page_leaf_item, key_bytes)));
}

static inline struct bytes page_leaf_value(const uint8_t *p, uint32_t i)
{
    const uint8_t *it = page_item(p, i);
    struct bytes key = page_leaf_key(p, i);

    return bytes_of(key.p + key.n, le32_get(it + offsetof(struct page_leaf_item, value_bytes)));
}

/* The key of item i of a branch or a leaf. */
static inline struct bytes page_key(const uint8_t *p, uint32_t i)
{
    return page_is_leaf(p) ? page_leaf_key(p, i) : page_branch_key(p, i);
}

static inline struct page_bucket page_bucket_get(struct bytes value)
{
    ASSERT(value.n >= PAGE_BUCKET_BYTES);
    return (struct page_bucket){
        le64_get(value.p + offsetof(struct page_bucket, root)),
        le64_get(value.p + offsetof(struct page_bucket, sequence)),
    };
}

static inline void page_bucket_put(uint8_t *p, struct page_bucket b)
{
    le64_put(p + offsetof(struct page_bucket, root), b.root);
    le64_put(p + offsetof(struct page_bucket, sequence), b.sequence);
}

/* The page image of an inline bucket, or empty when it has pages of its own. */
static inline struct bytes page_bucket_image(struct bytes value)
{
    if (page_bucket_get(value).root != 0)
        return BYTES_EMPTY;
    return bytes_of(value.p + PAGE_BUCKET_BYTES, value.n - PAGE_BUCKET_BYTES);
}

/* "branch", "leaf", "meta", "freelist" or "unknown<..>", as bbolt names them. */
const char *page_type_name(const uint8_t *p);

/* What a page must satisfy before anything in it is followed: the id is its own, it is a branch or
 * a leaf, it lies with its overflow inside `bytes`, and every element, inline buckets included,
 * lies inside it and has a legal size.  The order of keys is checked by page_disorder.
 *
 *   p, bytes     from the start of the page to the end of what may be touched
 *   id           where it was found
 *   page_bytes   P
 */
NODISCARD int page_validate(const uint8_t *p, uint64_t bytes, uint64_t id, uint32_t page_bytes,
                            struct err *e);

/* The index of the first item whose key is not greater than the one before it, or the count. */
uint32_t page_disorder(const uint8_t *p);

/* The first item with key >= `key` (may be the count); *ret_exact tells whether it is equal. */
uint32_t page_search(const uint8_t *p, struct bytes key, bool *ret_exact);

/* The child of a branch under which `key` belongs: the last one with key <= `key`, else the first.
 */
uint32_t page_branch_search(const uint8_t *p, struct bytes key);

#endif
