#define _GNU_SOURCE
#include <sys/mman.h>

#include "lib/simdisk_int.h"

static void content_grow(struct content *c, size_t n)
{
    size_t cap = MAX(n, c->cap * 2);
    uint8_t *p = calloc(1, cap);

    if (p == NULL)
        abort();
    if (c->used > 0)
        memcpy(p, c->p, c->used);
    free(c->p);
    c->p = p;
    c->cap = cap;
}

static void content_resize(struct content *c, size_t n)
{
    if (n > c->cap)
        content_grow(c, n);
    if (n < c->used) {
        memset(c->p + n, 0, c->used - n);
        c->used = n;
    }
    c->n = n;
}

void sim__content_write(struct content *c, uint64_t off, const uint8_t *p, size_t n)
{
    if (n == 0)
        return;
    if (off + n > c->n)
        content_resize(c, (size_t) off + n);
    memcpy(c->p + off, p, n);
    c->used = MAX(c->used, (size_t) off + n);
}

void sim__content_copy(struct content *to, const struct content *from)
{
    content_resize(to, MIN(to->n, from->used));
    content_resize(to, from->n);
    if (from->used > 0)
        sim__content_write(to, 0, from->p, from->used);
}

static void protect(uint8_t *p, size_t n, int how)
{
    if (n > 0 && mprotect(p, n, how) != 0)
        abort();
}

/* What is not zero of [off, off + n). */
static void mapping_copy(struct mapping *m, const struct inode *ino, uint64_t off, size_t n)
{
    size_t end = MIN(MIN(ino->now.n, m->reserve), ino->now.used);

    if (off < end)
        memcpy(m->base + off, ino->now.p + off, MIN(n, end - (size_t) off));
}

/* Brings [off, off + n) of a mapping up to date after the length of the file has changed.  What
 * stays readable is readable all the time: other threads may be reading it.  Behind the end
 * everything is zero. */
void sim__mapping_show(struct mapping *m, const struct inode *ino, uint64_t off, size_t n)
{
    size_t end = MIN(ino->now.n, m->reserve), whole;

    whole = (end + HOST_PAGE_BYTES - 1) / HOST_PAGE_BYTES * HOST_PAGE_BYTES;
    if (whole > m->open) {
        protect(m->base + m->open, whole - m->open, PROT_READ | PROT_WRITE);
    } else if (whole < m->open) {
        if (madvise(m->base + whole, m->open - whole, MADV_DONTNEED) != 0)
            abort();
        protect(m->base + whole, m->open - whole, PROT_NONE);
    }
    m->open = whole;
    mapping_copy(m, ino, off, n);
    if (whole > end)
        memset(m->base + end, 0, whole - end);
}

void sim__mappings_show(struct inode *ino, uint64_t off, size_t n, bool resized)
{
    LIST_EACH (it, &ino->mappings) {
        struct mapping *m = CONTAINER_OF(it, struct mapping, link);

        if (resized)
            sim__mapping_show(m, ino, off, n);
        else
            mapping_copy(m, ino, off, n);
    }
}

struct inode *sim__inode_new(struct simdisk *s, bool is_dir, unsigned mode)
{
    struct inode *ino = calloc(1, sizeof *ino);

    if (ino == NULL)
        abort();
    ino->is_dir = is_dir;
    ino->mode = mode;
    ino->changes_end = &ino->changes;
    list_init(&ino->mappings);
    list_push(&s->inodes, &ino->link);
    return ino;
}

void sim__changes_free(struct inode *ino)
{
    while (ino->changes != NULL) {
        struct change *next = ino->changes->next;

        free(ino->changes);
        ino->changes = next;
    }
    ino->changes_end = &ino->changes;
}

uint64_t sim__room_missing(const struct inode *ino, uint64_t off, uint64_t end)
{
    uint64_t n = 0;

    for (uint64_t i = off / SECTOR_BYTES; i * SECTOR_BYTES < end; i++)
        n += i >= ino->room_cap || ino->room[i] == 0;
    return n * SECTOR_BYTES;
}

void sim__room_take(struct inode *ino, uint64_t off, uint64_t end)
{
    uint64_t last = (end + SECTOR_BYTES - 1) / SECTOR_BYTES;

    if (last > ino->room_cap) {
        uint64_t cap = MAX(last, ino->room_cap * 2);

        ino->room = realloc(ino->room, cap);
        if (ino->room == NULL)
            abort();
        memset(ino->room + ino->room_cap, 0, cap - ino->room_cap);
        ino->room_cap = cap;
    }
    for (uint64_t i = off / SECTOR_BYTES; i < last; i++) {
        ino->room_n += ino->room[i] == 0;
        ino->room[i] = 1;
    }
}

void sim__room_cut(struct inode *ino, uint64_t bytes)
{
    for (uint64_t i = (bytes + SECTOR_BYTES - 1) / SECTOR_BYTES; i < ino->room_cap; i++) {
        ino->room_n -= ino->room[i];
        ino->room[i] = 0;
    }
}

static void change_add(struct inode *ino, bool is_truncate, uint64_t off, const void *p, size_t n)
{
    struct change *c = malloc(sizeof *c + n);

    if (c == NULL)
        abort();
    *c = (struct change){.is_truncate = is_truncate, .off = off, .n = n};
    if (n > 0)
        memcpy(c->bytes, p, n);
    *ino->changes_end = c;
    ino->changes_end = &c->next;
}

void sim__inode_write(struct inode *ino, uint64_t off, const void *p, size_t n)
{
    bool resized = off + n > ino->now.n;

    if (n == 0)
        return;
    sim__room_take(ino, off, off + n);
    change_add(ino, false, off, p, n);
    sim__content_write(&ino->now, off, p, n);
    sim__mappings_show(ino, off, n, resized);
}

/* While nothing else is pending it goes to what is durable; else it keeps its place among what may
 * be lost. */
void sim__inode_write_durable(struct inode *ino, uint64_t off, const void *p, size_t n)
{
    bool only = ino->changes == NULL;

    if (n == 0)
        return;
    sim__inode_write(ino, off, p, n);
    if (only) {
        sim__content_write(&ino->durable, off, p, n);
        sim__changes_free(ino);
        return;
    }
    CONTAINER_OF(ino->changes_end, struct change, next)->durable = true;
}

void sim__inode_truncate(struct inode *ino, uint64_t bytes)
{
    size_t before = ino->now.n;

    sim__room_cut(ino, bytes);
    change_add(ino, true, bytes, NULL, 0);
    content_resize(&ino->now, (size_t) bytes);
    sim__mappings_show(ino, MIN(before, (size_t) bytes), ino->now.n, true);
}

static void change_apply(struct content *c, const struct change *ch)
{
    if (ch->is_truncate)
        content_resize(c, (size_t) ch->off);
    else
        sim__content_write(c, ch->off, ch->bytes, ch->n);
}

/* What is durable catches up with what is in memory. */
void sim__inode_sync(struct inode *ino)
{
    for (const struct change *ch = ino->changes; ch != NULL; ch = ch->next)
        change_apply(&ino->durable, ch);
    sim__changes_free(ino);
}

/* Some of the sectors that a write touches reach the disk, as they were in memory after it: what
 * came before in the same sector comes along. */
static void change_tear(struct simdisk *s, struct content *c, const struct content *memory,
                        const struct change *ch, bool whole)
{
    for (uint64_t at = ch->off / SECTOR_BYTES * SECTOR_BYTES; at < ch->off + ch->n;
         at += SECTOR_BYTES) {
        if (whole || sim__rng_next(s) % 2 == 0)
            sim__content_write(c, at, memory->p + at, MIN(SECTOR_BYTES, memory->n - (size_t) at));
    }
}

/* What is found on the disk of a file that was being changed. */
static void changes_crash(struct simdisk *s, struct inode *ino, enum simdisk_crash_mode mode)
{
    struct content memory = {0};

    sim__content_copy(&memory, &ino->durable);
    for (const struct change *ch = ino->changes; ch != NULL; ch = ch->next) {
        uint64_t fate = mode == SIM_CRASH_KEEP   ? 0
                        : ch->durable            ? 0
                        : mode == SIM_CRASH_DROP ? 1
                                                 : sim__rng_next(s) % 3;

        change_apply(&memory, ch);
        if (fate == 0 && ch->is_truncate)
            change_apply(&ino->durable, ch);
        else if (fate != 1 && !ch->is_truncate)
            change_tear(s, &ino->durable, &memory, ch, fate == 0);
    }
    free(memory.p);
    sim__changes_free(ino);
    sim__content_copy(&ino->now, &ino->durable);
    sim__room_cut(ino, ino->now.n);
}

void sim__inode_crash(struct simdisk *s, struct inode *ino, enum simdisk_crash_mode mode)
{
    if (ino->changes != NULL)
        changes_crash(s, ino, mode);
    ino->exclusive_locks = ino->shared_locks = 0;
    /* What maps the file belongs to the dead process: it keeps what it shows. */
    while (list_pop(&ino->mappings) != NULL)
        ;
}
