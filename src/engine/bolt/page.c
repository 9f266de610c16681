#include "engine/bolt/page.h"

const char *page_type_name(const uint8_t *p)
{
    static _Thread_local char other[24];

    switch (page_flags(p)) {
    case PAGE_BRANCH:
        return "branch";
    case PAGE_LEAF:
        return "leaf";
    case PAGE_META:
        return "meta";
    case PAGE_FREELIST:
        return "freelist";
    default:
        snprintf(other, sizeof other, "unknown<%02x>", page_flags(p));
        return other;
    }
}

/* An image is a page, or the page inside the value of an inline bucket. */
struct image {
    const uint8_t *p;
    uint64_t bytes; /* of the whole image, overflow included */
    bool is_inline;
};

static int image_validate(struct image im, struct err *e);

/* [pos, pos + n) from the start of item i lies behind the array of items and inside the image. */
static bool item_fits(struct image im, uint32_t i, uint64_t pos, uint64_t n)
{
    uint64_t at = PAGE_HEADER_BYTES + (uint64_t) i * PAGE_ITEM_BYTES + pos;
    uint64_t data = PAGE_HEADER_BYTES + (uint64_t) page_count(im.p) * PAGE_ITEM_BYTES;

    ASSERT(i < page_count(im.p));
    return at >= data && at <= im.bytes && n <= im.bytes - at;
}

static bool key_bytes_legal(uint64_t n)
{
    return n >= 1 && n <= BOLT_KEY_BYTES_MAX;
}

static int branch_item_validate(struct image im, uint32_t i, struct err *e)
{
    const uint8_t *it = page_item(im.p, i);
    uint64_t pos = le32_get(it + offsetof(struct page_branch_item, pos));
    uint64_t n = le32_get(it + offsetof(struct page_branch_item, key_bytes));

    if (!key_bytes_legal(n))
        return err_set(e, ERR_CORRUPT, "item %u has a key of %" PRIu64 " bytes", i, n);
    if (!item_fits(im, i, pos, n))
        return err_set(e, ERR_CORRUPT, "item %u lies outside the page", i);
    return 0;
}

static int bucket_validate(struct image im, uint32_t i, struct err *e)
{
    struct bytes value = page_leaf_value(im.p, i);
    struct bytes inner;

    if (value.n < PAGE_BUCKET_BYTES)
        return err_set(e, ERR_CORRUPT, "item %u is a bucket of only %zu bytes", i, value.n);
    if (im.is_inline)
        return err_set(e, ERR_CORRUPT, "item %u is a bucket inside an inline bucket", i);
    if (page_bucket_get(value).root != 0)
        return 0;
    inner = page_bucket_image(value);
    ASSERT(inner.n == value.n - PAGE_BUCKET_BYTES);
    return err_wrap(e, image_validate((struct image){inner.p, inner.n, true}, e),
                    "inline bucket in item %u", i);
}

static int leaf_item_validate(struct image im, uint32_t i, struct err *e)
{
    const uint8_t *it = page_item(im.p, i);
    uint64_t pos = le32_get(it + offsetof(struct page_leaf_item, pos));
    uint64_t key_n = le32_get(it + offsetof(struct page_leaf_item, key_bytes));
    uint64_t value_n = le32_get(it + offsetof(struct page_leaf_item, value_bytes));
    uint32_t flags = page_leaf_flags(im.p, i);

    if (!key_bytes_legal(key_n))
        return err_set(e, ERR_CORRUPT, "item %u has a key of %" PRIu64 " bytes", i, key_n);
    if (value_n > BOLT_VALUE_BYTES_MAX || !item_fits(im, i, pos, key_n + value_n))
        return err_set(e, ERR_CORRUPT, "item %u lies outside the page", i);
    if (flags != 0 && flags != PAGE_ITEM_BUCKET)
        return err_set(e, ERR_CORRUPT, "item %u has unknown flags 0x%x", i, flags);
    return flags == 0 ? 0 : bucket_validate(im, i, e);
}

static int image_validate(struct image im, struct err *e)
{
    uint32_t count;
    int rc = 0;

    if (im.bytes < PAGE_HEADER_BYTES)
        return err_set(e, ERR_CORRUPT, "it ends inside its header");
    count = page_count(im.p);
    if (im.is_inline && (page_id(im.p) != 0 || !page_is_leaf(im.p) || page_overflow(im.p) != 0))
        return err_set(e, ERR_CORRUPT, "its header is not that of an inline page");
    if (count > BOLT_PAGE_ITEMS_MAX || count > (im.bytes - PAGE_HEADER_BYTES) / PAGE_ITEM_BYTES)
        return err_set(e, ERR_CORRUPT, "%u items do not fit", count);
    if (count == 0 && !page_is_leaf(im.p))
        return err_set(e, ERR_CORRUPT, "a branch without children");
    for (uint32_t i = 0; i < count && rc == 0; i++)
        rc = page_is_leaf(im.p) ? leaf_item_validate(im, i, e) : branch_item_validate(im, i, e);
    return rc;
}

int page_validate(const uint8_t *p, uint64_t bytes, uint64_t id, uint32_t page_bytes, struct err *e)
{
    uint64_t whole;
    int rc;

    ASSERT(page_bytes >= BOLT_PAGE_BYTES_MIN);
    ASSERT(bytes >= page_bytes);
    whole = ((uint64_t) page_overflow(p) + 1) * page_bytes;
    if (page_id(p) != id)
        rc = err_set(e, ERR_CORRUPT, "it says that it is page %" PRIu64, page_id(p));
    else if (page_flags(p) != PAGE_BRANCH && page_flags(p) != PAGE_LEAF)
        rc = err_set(e, ERR_CORRUPT, "neither branch nor leaf but %s", page_type_name(p));
    else if (whole > bytes)
        rc = err_set(e, ERR_CORRUPT, "its %u overflow pages pass the end", page_overflow(p));
    else
        rc = image_validate((struct image){p, whole, false}, e);
    return err_wrap(e, rc, "page %" PRIu64 " at offset %" PRIu64, id, id * page_bytes);
}

uint32_t page_disorder(const uint8_t *p)
{
    uint32_t count = page_count(p), i = 1;

    while (i < count && key_cmp(page_key(p, i - 1), page_key(p, i)) < 0)
        i++;
    return MIN(i, count);
}

uint32_t page_search(const uint8_t *p, struct bytes key, bool *ret_exact)
{
    uint32_t lo = 0, hi = page_count(p);
    bool leaf = page_is_leaf(p);

    *ret_exact = false;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int c = key_cmp(leaf ? page_leaf_key(p, mid) : page_branch_key(p, mid), key);

        if (c == 0) {
            *ret_exact = true;
            return mid;
        }
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    ASSERT(lo <= page_count(p));
    return lo;
}

uint32_t page_branch_search(const uint8_t *p, struct bytes key)
{
    bool exact;
    uint32_t i = page_search(p, key, &exact);

    ASSERT(page_count(p) > 0);
    return exact || i == 0 ? i : i - 1;
}
