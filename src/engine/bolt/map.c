#include "base/alloc.h"
#include "engine/bolt/bolt_int.h"

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

#define MAP_RULE_MIN (32 * KIB)
#define MAP_RULE_STEP GIB
#define GROW_STEP BOLT_LARGE_MAP_BYTES

uint64_t bolt__map_rule(uint64_t bytes, uint32_t page_bytes)
{
    uint64_t size = MAP_RULE_MIN;

    ASSERT(page_bytes > 0);
    while (size < bytes && size < MAP_RULE_STEP)
        size *= 2;
    if (size < bytes)
        size = (bytes + MAP_RULE_STEP - 1) / MAP_RULE_STEP * MAP_RULE_STEP;
    size = (size + page_bytes - 1) / page_bytes * page_bytes;
    ASSERT(size >= bytes);
    return size;
}

uint64_t bolt_grown_bytes(uint64_t needed_bytes, uint64_t map_bytes)
{
    ASSERT(map_bytes > GROW_STEP || needed_bytes <= map_bytes);
    return map_bytes <= GROW_STEP ? map_bytes : needed_bytes + GROW_STEP;
}

/* The file could have been replaced under its name since it was opened: a mapping of another file
 * would be a disaster, so their metas must agree. */
static int same_file(struct bolt_db *db, struct file *other, struct err *e)
{
    uint8_t a[META_BYTES], b[META_BYTES];

    for (uint64_t i = 0; i <= 1; i++) {
        int rc = file_read_full(db->file, a, sizeof a, i * db->page_bytes, e);

        if (rc == 0)
            rc = file_read_full(other, b, sizeof b, i * db->page_bytes, e);
        if (rc == 0 && memcmp(a, b, sizeof a) != 0)
            rc = err_set(e, ERR_INVALID, "%s is no longer the file that was opened", db->path);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Address space may be short (ulimit -v): half as much, and so on, is tried down to what the file
 * needs now. */
static int map_shrinking(struct file *f, uint64_t least, uint64_t *bytes, const uint8_t **ret,
                         struct err *e)
{
    int rc;

    ASSERT(*bytes >= least);
    for (;;) {
        rc = file_map(f, *bytes, ret, e);
        if (rc != ERR_NOMEM || *bytes == least)
            return rc;
        *bytes = MAX(*bytes / 2, least);
    }
}

int bolt__map_open(struct bolt_db *db, uint64_t bytes, struct bolt_map **ret, struct err *e)
{
    uint64_t least = MAX(db->file_bytes, (uint64_t) db->page_bytes);
    struct bolt_map *m = mem_calloc(1, sizeof *m);
    int rc;

    if (m == NULL)
        return err_set(e, ERR_NOMEM, "out of memory for a mapping");
    m->users = 1;
    m->bytes = MAX(bytes, least);
    rc = disk_open(db->disk, db->path, DISK_READ, 0, &m->file, e);
    if (rc == 0)
        rc = same_file(db, m->file, e);
    if (rc == 0)
        rc = map_shrinking(m->file, least, &m->bytes, &m->base, e);
    if (rc == 0 && db->opt.lock_memory)
        rc = file_map_lock(m->file, 0, db->file_bytes, e);
    ASSERT(rc != 0 || m->bytes >= least);
    if (rc == 0)
        *ret = m;
    else
        bolt__map_close(m);
    return rc;
}

void bolt__map_close(struct bolt_map *m)
{
    if (m == NULL)
        return;
    ASSERT(m->users <= 1); /* whoever closes it */
    file_close(m->file);
    mem_free(m);
}

void bolt_release_pages(const struct bolt_tx *tx)
{
    ASSERT(tx->writer == NULL);
    ASSERT(tx->map != NULL);
    file_map_release(tx->map->file, tx->meta.high_water * tx->db->page_bytes);
}

struct bolt_map *bolt__map_unuse(struct bolt_map *m)
{
    ASSERT(m->users > 0);
    m->users--;
    return m->users == 0 ? m : NULL;
}
