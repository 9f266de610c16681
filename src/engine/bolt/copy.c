#include "engine/bolt/bolt_int.h"

void bolt_copy_init(struct bolt_copy *c, struct bolt_tx *tx)
{
    ASSERT(tx->writer == NULL);
    *c = (struct bolt_copy){.tx = tx, .total_bytes = bolt_tx_size_bytes(tx)};
}

/* Meta page `id` of the copy: page 0 is the newer, whichever it is in the file. */
static void copy_meta(const struct bolt_tx *tx, uint64_t id, uint64_t off, uint8_t *p, size_t n)
{
    uint8_t page[META_BYTES];
    struct meta m = tx->meta;
    size_t k = off < META_BYTES ? MIN(n, (size_t) (META_BYTES - off)) : 0;

    m.txid -= id;
    meta_encode_head(&m, id, page);
    if (k > 0)
        memcpy(p, page + off, k);
    memset(p + k, 0, n - k);
}

int bolt_copy_next(struct bolt_copy *c, uint8_t *p, size_t n, size_t *ret_n, struct err *e)
{
    uint64_t page_bytes = c->tx->meta.page_bytes, id = c->offset / page_bytes;
    int rc = 0;

    n = (size_t) MIN((uint64_t) n, c->total_bytes - c->offset);
    if (n > 0 && id < PAGE_FIRST_FREE) {
        n = (size_t) MIN((uint64_t) n, page_bytes - c->offset % page_bytes);
        copy_meta(c->tx, id, c->offset % page_bytes, p, n);
    } else if (n > 0) {
        /* Read, not copied from the mapping: a whole database would become resident. */
        rc = file_read_full(c->tx->db->file, p, n, c->offset, e);
    }
    if (rc != 0)
        return err_wrap(e, rc, "copy the database");
    c->offset += n;
    ASSERT(c->offset <= c->total_bytes);
    *ret_n = n;
    return 0;
}
