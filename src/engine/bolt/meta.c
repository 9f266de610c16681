#include "engine/bolt/meta.h"

#include "base/endian.h"
#include "engine/bolt/bolt_limits.h"
#include "engine/bolt/page.h"
#include "sys/disk.h"

/* Offsets in the page. */
enum {
    AT_MAGIC = PAGE_HEADER_BYTES,
    AT_VERSION = 20,
    AT_PAGE_BYTES = 24,
    AT_FLAGS = 28,
    AT_ROOT = 32,
    AT_SEQUENCE = 40,
    AT_FREELIST = 48,
    AT_HIGH_WATER = 56,
    AT_TXID = 64,
    AT_CHECKSUM = 72,
};

_Static_assert(AT_MAGIC == 16, "bolt.md section 2");
_Static_assert(AT_CHECKSUM + 8 == META_BYTES, "bolt.md section 2");

static uint64_t fnv1a(const uint8_t *p, size_t n)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    return h;
}

static bool page_bytes_legal(uint32_t n)
{
    return n >= BOLT_PAGE_BYTES_MIN && n <= BOLT_PAGE_BYTES_MAX && (n & (n - 1)) == 0;
}

/* A checksum proves that the bytes are those written, not that a sane program wrote them. */
static int meta_sane(const struct meta *m, struct err *e)
{
    if (!page_bytes_legal(m->page_bytes))
        return err_set(e, ERR_CORRUPT, "meta: page size %u", m->page_bytes);
    if (m->high_water < PAGE_FIRST_FREE || m->high_water > UINT64_MAX / m->page_bytes)
        return err_set(e, ERR_CORRUPT, "meta: high water %" PRIu64, m->high_water);
    if (m->root < PAGE_FIRST_FREE || m->root >= m->high_water)
        return err_set(e, ERR_CORRUPT, "meta: root page %" PRIu64 " of %" PRIu64, m->root,
                       m->high_water);
    if (m->freelist != META_NO_FREELIST &&
        (m->freelist < PAGE_FIRST_FREE || m->freelist >= m->high_water))
        return err_set(e, ERR_CORRUPT, "meta: freelist page %" PRIu64 " of %" PRIu64, m->freelist,
                       m->high_water);
    return 0;
}

int meta_decode(const uint8_t *page, struct meta *ret, struct err *e)
{
    struct meta m;
    int rc;

    if (le32_get(page + AT_MAGIC) != META_MAGIC)
        return err_set(e, ERR_CORRUPT, "invalid database");
    if (le32_get(page + AT_VERSION) != META_VERSION)
        return err_set(e, ERR_CORRUPT, "version mismatch");
    if (le64_get(page + AT_CHECKSUM) != fnv1a(page + AT_MAGIC, AT_CHECKSUM - AT_MAGIC))
        return err_set(e, ERR_CORRUPT, "checksum error");
    m = (struct meta){
        .page_bytes = le32_get(page + AT_PAGE_BYTES),
        .root = le64_get(page + AT_ROOT),
        .sequence = le64_get(page + AT_SEQUENCE),
        .freelist = le64_get(page + AT_FREELIST),
        .high_water = le64_get(page + AT_HIGH_WATER),
        .txid = le64_get(page + AT_TXID),
    };
    rc = meta_sane(&m, e);
    ASSERT(rc == 0 || rc == ERR_CORRUPT);
    if (rc == 0)
        *ret = m;
    return rc;
}

void meta_encode_head(const struct meta *m, uint64_t id, uint8_t *page)
{
    ASSERT(id <= 1);
    ASSERT(meta_sane(m, NULL) == 0);
    memset(page, 0, META_BYTES);
    page_header_put(page, (struct page_header){.id = id, .flags = PAGE_META});
    le32_put(page + AT_MAGIC, META_MAGIC);
    le32_put(page + AT_VERSION, META_VERSION);
    le32_put(page + AT_PAGE_BYTES, m->page_bytes);
    le64_put(page + AT_ROOT, m->root);
    le64_put(page + AT_SEQUENCE, m->sequence);
    le64_put(page + AT_FREELIST, m->freelist);
    le64_put(page + AT_HIGH_WATER, m->high_water);
    le64_put(page + AT_TXID, m->txid);
    le64_put(page + AT_CHECKSUM, fnv1a(page + AT_MAGIC, AT_CHECKSUM - AT_MAGIC));
}

void meta_encode(const struct meta *m, uint64_t id, uint8_t *page)
{
    ASSERT(m->page_bytes >= META_BYTES);
    meta_encode_head(m, id, page);
    memset(page + META_BYTES, 0, m->page_bytes - META_BYTES);
}

/* The meta in the page at `off`; ERR_CORRUPT too when the file ends before it does. */
static int meta_read(struct file *f, uint64_t off, struct meta *ret, struct err *e)
{
    uint8_t page[META_BYTES];
    int rc = file_read_full(f, page, sizeof page, off, e);

    if (rc == ERR_TRUNCATED)
        return err_set(e, ERR_CORRUPT, "invalid database");
    return rc == 0 ? meta_decode(page, ret, e) : rc;
}

/* The page size according to the first valid meta: page 0, else page 1 wherever it may begin. */
static uint32_t detect_page_bytes(struct file *f, uint64_t file_bytes, uint32_t otherwise)
{
    struct meta m;

    if (meta_read(f, 0, &m, NULL) == 0)
        return m.page_bytes;
    for (uint64_t at = BOLT_PAGE_BYTES_MIN; at <= BOLT_PAGE_BYTES_MAX; at *= 2) {
        if (file_bytes <= 1024 || at >= file_bytes - 1024)
            break;
        if (meta_read(f, at, &m, NULL) == 0)
            return m.page_bytes;
    }
    return otherwise;
}

int meta_find(struct file *f, uint64_t file_bytes, uint32_t default_page_bytes, struct meta *ret,
              struct err *e)
{
    uint32_t page_bytes = detect_page_bytes(f, file_bytes, default_page_bytes);
    struct meta m[2];
    struct err e1 = ERR_INIT;
    int rc0, rc1;

    ASSERT(page_bytes_legal(page_bytes));
    ASSERT(file_bytes > 0);
    if (file_bytes < 2 * (uint64_t) page_bytes)
        return err_set(e, ERR_CORRUPT, "file size too small %" PRIu64, file_bytes);
    rc0 = meta_read(f, 0, &m[0], e);
    rc1 = meta_read(f, page_bytes, &m[1], &e1);
    /* A meta of another page size is not of this file's making. */
    if (rc0 == 0 && m[0].page_bytes != page_bytes)
        rc0 = err_set(e, ERR_CORRUPT, "invalid database");
    if (rc1 == 0 && m[1].page_bytes != page_bytes)
        rc1 = ERR_CORRUPT;
    if (rc0 != 0 && rc1 != 0)
        return rc0;
    *ret = rc0 != 0 || (rc1 == 0 && m[1].txid > m[0].txid) ? m[1] : m[0];
    return 0;
}
