#include "base/alloc.h"
#include "engine/bolt/bolt.h"
#include "engine/bolt/meta.h"
#include "engine/bolt/page.h"
#include "sys/disk.h"

struct bolt_scan {
    struct file *file;
    struct meta meta;
    uint64_t file_bytes;
    uint64_t next;
    uint8_t *page;
    size_t cap;
};

int bolt_scan_open(struct disk *d, const char *path, struct bolt_scan **ret, struct err *e)
{
    struct bolt_scan *s = mem_calloc(1, sizeof *s);
    uint8_t head[META_BYTES];
    int rc;

    if (s == NULL)
        return err_set(e, ERR_NOMEM, "out of memory to scan %s", path);
    rc = disk_open(d, path, DISK_READ, 0, &s->file, e);
    if (rc == 0)
        rc = file_size(s->file, &s->file_bytes, e);
    if (rc == 0)
        rc = file_read_full(s->file, head, sizeof head, 0, e);
    if (rc == 0)
        rc = meta_decode(head, &s->meta, e);
    if (rc != 0) {
        bolt_scan_close(s);
        return rc;
    }
    s->next = PAGE_FIRST_FREE;
    *ret = s;
    return 0;
}

/* Room for `pages` pages. */
static int scan_reserve(struct bolt_scan *s, uint64_t pages, struct err *e)
{
    size_t n = pages * s->meta.page_bytes;
    uint8_t *p;

    if (n <= s->cap)
        return 0;
    p = mem_realloc(s->page, n);
    if (p == NULL)
        return err_set(e, ERR_NOMEM, "out of memory for a page of %zu bytes", n);
    s->page = p;
    s->cap = n;
    return 0;
}

/* Reads page `id` with its overflow; *ret_pages is how many that are. */
static int scan_read(struct bolt_scan *s, uint64_t id, uint64_t *ret_pages, struct err *e)
{
    uint64_t at = id * s->meta.page_bytes, left;
    int rc = scan_reserve(s, 1, e);

    if (rc == 0)
        rc = file_read_full(s->file, s->page, s->meta.page_bytes, at, e);
    if (rc != 0)
        return rc;
    *ret_pages = (uint64_t) page_overflow(s->page) + 1;
    left = MIN(s->file_bytes / s->meta.page_bytes, s->meta.high_water) - id;
    if (page_id(s->page) != id || *ret_pages > left)
        return err_set(e, ERR_CORRUPT, "page %" PRIu64 " is not the first of a page", id);
    rc = scan_reserve(s, *ret_pages, e);
    if (rc == 0)
        rc = file_read_full(s->file, s->page, *ret_pages * s->meta.page_bytes, at, e);
    if (rc == 0 && page_flags(s->page) == PAGE_LEAF)
        rc = page_validate(s->page, *ret_pages * s->meta.page_bytes, id, s->meta.page_bytes, e);
    return rc;
}

int bolt_scan_next(struct bolt_scan *s, struct bolt_scan_page *ret, struct err *e)
{
    uint64_t pages = 1;
    int rc;

    if (s->next >= s->meta.high_water)
        return ERR_NOT_FOUND;
    *ret = (struct bolt_scan_page){.id = s->next};
    rc = scan_read(s, s->next, &pages, e);
    s->next += rc == 0 ? pages : 1;
    if (rc != 0)
        return rc;
    ret->leaf = page_flags(s->page) == PAGE_LEAF;
    ret->count = ret->leaf ? page_count(s->page) : 0;
    ret->p = s->page;
    return 0;
}

void bolt_scan_item(const struct bolt_scan_page *p, uint32_t i, struct bytes *ret_key,
                    struct bytes *ret_value)
{
    ASSERT(p->leaf);
    ASSERT(i < p->count);
    *ret_key = page_leaf_key(p->p, i);
    *ret_value = page_leaf_value(p->p, i);
}

void bolt_scan_close(struct bolt_scan *s)
{
    if (s == NULL)
        return;
    file_close(s->file);
    mem_free(s->page);
    mem_free(s);
}
