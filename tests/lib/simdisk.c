#define _GNU_SOURCE
#include "lib/simdisk.h"

#include <pthread.h>
#include <sys/mman.h>

#include "base/alloc.h"
#include "base/list.h"

#define SECTOR_BYTES 512u
#define HOST_PAGE_BYTES 4096u

/* One unsynced change of a file's contents, in order. */
struct change {
    struct change *next;
    bool is_truncate;
    uint64_t off; /* of a write; the length for a truncate */
    size_t n;
    uint8_t bytes[];
};

struct content {
    uint8_t *p;
    size_t n;
    size_t cap;
};

struct mapping {
    struct list link; /* in inode->mappings */
    uint8_t *base;
    size_t reserve;
    size_t open; /* bytes that can be touched */
};

/* A file or directory, which outlives its names. */
struct inode {
    struct list link; /* in simdisk->inodes */
    bool is_dir;
    unsigned mode;
    struct content now;
    struct content durable;
    struct change *changes; /* from durable to now */
    struct change **changes_end;
    struct list mappings;
    unsigned exclusive_locks;
    unsigned shared_locks;
};

/* The names, sorted by path. */
struct names {
    struct name {
        char *path;
        struct inode *inode;
    } * v;
    size_t count;
};

/* One change of a name that its directory has not been synced for. */
struct name_change {
    struct name_change *next;
    char *remove; /* NULL: nothing */
    char *add;    /* NULL: nothing */
    struct inode *inode;
};

struct simdisk {
    struct disk disk;
    pthread_mutex_t lock;
    uint64_t rng;
    unsigned generation; /* handles of older ones are dead */
    struct list inodes;
    struct names now;
    struct names durable;
    struct name_change *name_changes;
    uint64_t capacity;
    uint64_t calls[32]; /* by bit of enum simdisk_call */
    unsigned fail_calls;
    uint64_t fail_after; /* 0: off */
    int fail_code;
    bool fail_sticky;
    bool stops; /* the machine stops when the fault comes */
    bool dead;  /* it has: everything fails */
    bool fresh; /* the fault came with the present call */
};

struct sim_file {
    struct file file;
    struct simdisk *disk;
    struct inode *inode;
    unsigned generation;
    unsigned flags;
    bool locked_exclusive;
    bool locked_shared;
    struct mapping *map;
    char *path;
};

static uint64_t rng_next(struct simdisk *s)
{
    uint64_t x = s->rng += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* ---- contents ------------------------------------------------------------------------------- */

static void content_resize(struct content *c, size_t n)
{
    if (n > c->cap) {
        size_t cap = MAX(n, c->cap * 2);

        c->p = realloc(c->p, cap);
        if (c->p == NULL)
            abort();
        c->cap = cap;
    }
    if (n > c->n)
        memset(c->p + c->n, 0, n - c->n);
    c->n = n;
}

static void content_write(struct content *c, uint64_t off, const uint8_t *p, size_t n)
{
    if (n == 0)
        return;
    if (off + n > c->n)
        content_resize(c, (size_t) off + n);
    memcpy(c->p + off, p, n);
}

static void content_copy(struct content *to, const struct content *from)
{
    content_resize(to, 0);
    content_write(to, 0, from->p, from->n);
}

static void protect(uint8_t *p, size_t n, int how)
{
    if (n > 0 && mprotect(p, n, how) != 0)
        abort();
}

/* Brings [off, off + n) of a mapping up to date after the length of the file has changed.  What
 * stays readable is readable all the time: other threads may be reading it. */
static void mapping_show(struct mapping *m, const struct inode *ino, uint64_t off, size_t n)
{
    size_t end = MIN(ino->now.n, m->reserve), whole;

    whole = (end + HOST_PAGE_BYTES - 1) / HOST_PAGE_BYTES * HOST_PAGE_BYTES;
    if (whole > m->open)
        protect(m->base + m->open, whole - m->open, PROT_READ | PROT_WRITE);
    else
        protect(m->base + whole, m->open - whole, PROT_NONE);
    m->open = whole;
    if (off < end)
        memcpy(m->base + off, ino->now.p + off, MIN(n, end - (size_t) off));
    if (whole > end)
        memset(m->base + end, 0, whole - end);
}

static void mappings_show(struct inode *ino, uint64_t off, size_t n, bool resized)
{
    LIST_EACH (it, &ino->mappings) {
        struct mapping *m = CONTAINER_OF(it, struct mapping, link);
        size_t end = MIN(ino->now.n, m->reserve);

        if (resized)
            mapping_show(m, ino, off, n);
        else if (off < end)
            memcpy(m->base + off, ino->now.p + off, MIN(n, end - (size_t) off));
    }
}

static struct inode *inode_new(struct simdisk *s, bool is_dir, unsigned mode)
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

static void changes_free(struct inode *ino)
{
    while (ino->changes != NULL) {
        struct change *next = ino->changes->next;

        free(ino->changes);
        ino->changes = next;
    }
    ino->changes_end = &ino->changes;
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

static void inode_write(struct inode *ino, uint64_t off, const void *p, size_t n)
{
    bool resized = off + n > ino->now.n;

    if (n == 0)
        return;
    change_add(ino, false, off, p, n);
    content_write(&ino->now, off, p, n);
    mappings_show(ino, off, n, resized);
}

static void inode_truncate(struct inode *ino, uint64_t bytes)
{
    size_t before = ino->now.n;

    change_add(ino, true, bytes, NULL, 0);
    content_resize(&ino->now, (size_t) bytes);
    mappings_show(ino, MIN(before, (size_t) bytes), ino->now.n, true);
}

static void inode_sync(struct inode *ino)
{
    if (ino->changes == NULL)
        return;
    content_copy(&ino->durable, &ino->now);
    changes_free(ino);
}

static void change_apply(struct content *c, const struct change *ch)
{
    if (ch->is_truncate)
        content_resize(c, (size_t) ch->off);
    else
        content_write(c, ch->off, ch->bytes, ch->n);
}

/* Some of the sectors that a write touches reach the disk, as they were in memory after it: what
 * came before in the same sector comes along. */
static void change_tear(struct simdisk *s, struct content *c, const struct content *memory,
                        const struct change *ch, bool whole)
{
    for (uint64_t at = ch->off / SECTOR_BYTES * SECTOR_BYTES; at < ch->off + ch->n;
         at += SECTOR_BYTES) {
        if (whole || rng_next(s) % 2 == 0)
            content_write(c, at, memory->p + at, MIN(SECTOR_BYTES, memory->n - (size_t) at));
    }
}

static void inode_crash(struct simdisk *s, struct inode *ino, enum simdisk_crash_mode mode)
{
    struct content memory = {0};

    content_copy(&memory, &ino->durable);
    for (const struct change *ch = ino->changes; ch != NULL; ch = ch->next) {
        uint64_t fate = mode == SIM_CRASH_KEEP ? 0 : mode == SIM_CRASH_DROP ? 1 : rng_next(s) % 3;

        change_apply(&memory, ch);
        if (fate == 0 && ch->is_truncate)
            change_apply(&ino->durable, ch);
        else if (fate != 1 && !ch->is_truncate)
            change_tear(s, &ino->durable, &memory, ch, fate == 0);
    }
    free(memory.p);
    changes_free(ino);
    content_copy(&ino->now, &ino->durable);
    ino->exclusive_locks = ino->shared_locks = 0;
    /* What maps the file belongs to the dead process: it keeps what it shows. */
    while (list_pop(&ino->mappings) != NULL)
        ;
}

/* ---- names ---------------------------------------------------------------------------------- */

/* The path without "./", doubled or trailing slashes; "" is the root. */
static char *path_clean(const char *path)
{
    size_t n = strlen(path), k = 0;
    char *p = malloc(n + 2);

    if (p == NULL)
        abort();
    while (*path != '\0') {
        size_t part;

        while (*path == '/')
            path++;
        part = strcspn(path, "/");
        if (part > 0 && !(part == 1 && path[0] == '.')) {
            if (k > 0)
                p[k++] = '/';
            memcpy(p + k, path, part);
            k += part;
        }
        path += part;
    }
    p[k] = '\0';
    return p;
}

static size_t parent_len(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? 0 : (size_t) (slash - path);
}

static bool is_in_dir(const char *path, const char *dir)
{
    size_t n = parent_len(path);

    return path[0] != '\0' && strlen(dir) == n && memcmp(path, dir, n) == 0;
}

static size_t names_at(const struct names *m, const char *path)
{
    size_t i = 0;

    while (i < m->count && strcmp(m->v[i].path, path) < 0)
        i++;
    return i;
}

static struct inode *names_get(const struct names *m, const char *path)
{
    size_t i = names_at(m, path);

    return i < m->count && strcmp(m->v[i].path, path) == 0 ? m->v[i].inode : NULL;
}

static void names_set(struct names *m, const char *path, struct inode *ino)
{
    size_t i = names_at(m, path);

    if (i == m->count || strcmp(m->v[i].path, path) != 0) {
        m->v = realloc(m->v, (m->count + 1) * sizeof *m->v);
        if (m->v == NULL)
            abort();
        memmove(m->v + i + 1, m->v + i, (m->count - i) * sizeof *m->v);
        m->v[i].path = strdup(path);
        m->count++;
    }
    m->v[i].inode = ino;
}

static void names_del(struct names *m, const char *path)
{
    size_t i = names_at(m, path);

    if (i == m->count || strcmp(m->v[i].path, path) != 0)
        return;
    free(m->v[i].path);
    memmove(m->v + i, m->v + i + 1, (m->count - i - 1) * sizeof *m->v);
    m->count--;
}

static void names_copy(struct names *to, const struct names *from)
{
    while (to->count > 0)
        names_del(to, to->v[0].path);
    for (size_t i = 0; i < from->count; i++)
        names_set(to, from->v[i].path, from->v[i].inode);
}

static void names_done(struct names *m)
{
    while (m->count > 0)
        names_del(m, m->v[m->count - 1].path);
    free(m->v);
}

/* The path below `from` as it is called below `to` (free it), or NULL when it is not below. */
static char *path_moved(const char *path, const char *from, const char *to)
{
    size_t n = strlen(from), len;
    char *moved;

    if (strncmp(path, from, n) != 0 || path[n] != '/')
        return NULL;
    len = strlen(to) + strlen(path + n) + 1;
    moved = malloc(len);
    if (moved == NULL)
        abort();
    snprintf(moved, len, "%s%s", to, path + n);
    return moved;
}

/* What lies in a directory goes with it when it is renamed: that is one change. */
static void names_move_below(struct names *m, const char *from, const char *to)
{
    for (size_t i = 0; i < m->count; i++) {
        char *moved = path_moved(m->v[i].path, from, to);
        struct inode *ino = m->v[i].inode;

        if (moved == NULL)
            continue;
        names_del(m, m->v[i].path);
        names_set(m, moved, ino);
        free(moved);
        i = SIZE_MAX; /* the names have moved: begin anew */
    }
}

static void name_change_apply(struct names *m, const struct name_change *c)
{
    if (c->remove != NULL)
        names_del(m, c->remove);
    if (c->add != NULL)
        names_set(m, c->add, c->inode);
    if (c->remove != NULL && c->add != NULL && c->inode->is_dir)
        names_move_below(m, c->remove, c->add);
}

static void name_change_free(struct name_change *c)
{
    free(c->remove);
    free(c->add);
    free(c);
}

/* Changes the names as they are now; durable after a sync of the directory. */
static void name_change(struct simdisk *s, const char *remove, const char *add, struct inode *ino)
{
    struct name_change *c = calloc(1, sizeof *c), **end = &s->name_changes;

    if (c == NULL)
        abort();
    c->remove = remove == NULL ? NULL : strdup(remove);
    c->add = add == NULL ? NULL : strdup(add);
    c->inode = ino;
    while (*end != NULL)
        end = &(*end)->next;
    *end = c;
    name_change_apply(&s->now, c);
}

static void path_replace(char **path, const char *from, const char *to)
{
    char *moved = *path == NULL ? NULL : path_moved(*path, from, to);

    if (moved == NULL)
        return;
    free(*path);
    *path = moved;
}

/* A renaming that becomes durable before changes that came before it, inside the renamed directory:
 * they are now to be found under its new name. */
static void pending_move_below(struct simdisk *s, const struct name_change *renamed,
                               const struct name_change *end)
{
    if (renamed->remove == NULL || renamed->add == NULL || !renamed->inode->is_dir)
        return;
    for (struct name_change *c = s->name_changes; c != end; c = c->next) {
        path_replace(&c->remove, renamed->remove, renamed->add);
        path_replace(&c->add, renamed->remove, renamed->add);
    }
}

static void names_sync(struct simdisk *s, const char *dir)
{
    struct name_change **link = &s->name_changes;

    while (*link != NULL) {
        struct name_change *c = *link;

        if (is_in_dir(c->add != NULL ? c->add : c->remove, dir)) {
            *link = c->next;
            name_change_apply(&s->durable, c);
            pending_move_below(s, c, c->next);
            name_change_free(c);
        } else {
            link = &c->next;
        }
    }
}

static void names_crash(struct simdisk *s, enum simdisk_crash_mode mode)
{
    bool keep = mode != SIM_CRASH_DROP;

    while (s->name_changes != NULL) {
        struct name_change *c = s->name_changes;

        /* A journal keeps what came first. */
        if (mode == SIM_CRASH_TEAR && rng_next(s) % 2 == 0)
            keep = false;
        if (keep)
            name_change_apply(&s->durable, c);
        s->name_changes = c->next;
        name_change_free(c);
    }
    names_copy(&s->now, &s->durable);
}

/* ---- faults --------------------------------------------------------------------------------- */

/* Counts the call; 0, or the code with which it is to fail. */
static int call(struct simdisk *s, enum simdisk_call kind)
{
    s->calls[__builtin_ctz((unsigned) kind)]++;
    s->fresh = false;
    if (s->dead)
        return s->fail_code;
    if ((s->fail_calls & (unsigned) kind) == 0 || s->fail_after == 0)
        return 0;
    if (--s->fail_after > 0)
        return 0;
    s->fail_after = s->fail_sticky ? 1 : 0;
    s->dead = s->stops;
    s->fresh = true;
    return s->fail_code;
}

static int fault(struct err *e, int code, const char *what)
{
    return err_set(e, code, "simulated fault in %s", what);
}

static uint64_t used_bytes(const struct simdisk *s)
{
    uint64_t n = 0;

    for (size_t i = 0; i < s->now.count; i++)
        n += s->now.v[i].inode->now.n;
    return n;
}

static bool is_full(const struct simdisk *s, const struct inode *ino, uint64_t end)
{
    return s->capacity != 0 && end > ino->now.n && used_bytes(s) + (end - ino->now.n) > s->capacity;
}

/* ---- files ---------------------------------------------------------------------------------- */

static struct sim_file *sim_of(struct file *f)
{
    return CONTAINER_OF(f, struct sim_file, file);
}

/* Locks the disk; 0 when the call may go on. */
static int enter(struct sim_file *f, enum simdisk_call kind, const char *what, struct err *e)
{
    int rc;

    pthread_mutex_lock(&f->disk->lock);
    if (f->generation != f->disk->generation)
        return err_set(e, ERR_IO, "%s %s: the machine has crashed since", what, f->path);
    rc = call(f->disk, kind);
    return rc == 0 ? 0 : fault(e, rc, what);
}

static int leave(struct sim_file *f, int rc)
{
    pthread_mutex_unlock(&f->disk->lock);
    return rc;
}

static int sf_read(struct file *file, void *p, size_t n, uint64_t off, size_t *ret_n, struct err *e)
{
    struct sim_file *f = sim_of(file);
    int rc = enter(f, SIM_READ, "read", e);

    if (rc == 0 && (f->flags & DISK_READ) == 0)
        rc = err_set(e, ERR_IO, "read %s: not open for reading", f->path);
    if (rc == 0) {
        size_t have = f->inode->now.n;

        *ret_n = off >= have ? 0 : MIN(n, have - (size_t) off);
        if (*ret_n > 0)
            memcpy(p, f->inode->now.p + off, *ret_n);
    }
    return leave(f, rc);
}

/* The first half of a write that fails, so that callers cannot count on all or nothing.  It ends
 * where a sector ends: neither a disk nor a kernel stops within one. */
static void write_half(struct inode *ino, const struct bytes *v, size_t vn, uint64_t off)
{
    uint64_t end = off;

    for (size_t i = 0; i < vn; i++)
        end += v[i].n;
    end = (off + (end - off) / 2) / SECTOR_BYTES * SECTOR_BYTES;
    for (size_t i = 0; i < vn && off < end; i++) {
        inode_write(ino, off, v[i].p, MIN(v[i].n, (size_t) (end - off)));
        off += v[i].n;
    }
}

static int sf_write(struct file *file, const struct bytes *v, size_t vn, uint64_t off,
                    struct err *e)
{
    struct sim_file *f = sim_of(file);
    uint64_t end = off;
    int rc = enter(f, SIM_WRITE, "write", e);

    for (size_t i = 0; i < vn; i++)
        end += v[i].n;
    if (f->generation != f->disk->generation || (rc != 0 && !f->disk->fresh))
        return leave(f, rc);
    if (rc == 0 && (f->flags & DISK_WRITE) == 0)
        return leave(f, err_set(e, ERR_IO, "write %s: not open for writing", f->path));
    if (rc == 0 && is_full(f->disk, f->inode, end))
        rc = err_set(e, ERR_NO_SPACE, "write %s: no space left on device", f->path);
    if (rc != 0) {
        write_half(f->inode, v, vn, off);
        return leave(f, rc);
    }
    for (size_t i = 0; i < vn; i++) {
        inode_write(f->inode, off, v[i].p, v[i].n);
        off += v[i].n;
    }
    return leave(f, 0);
}

static int sf_sync(struct file *file, enum file_sync_kind kind, struct err *e)
{
    struct sim_file *f = sim_of(file);
    int rc = enter(f, SIM_SYNC, "sync", e);

    (void) kind;
    if (rc == 0)
        inode_sync(f->inode);
    return leave(f, rc);
}

static int sf_size(struct file *file, uint64_t *ret, struct err *e)
{
    struct sim_file *f = sim_of(file);
    int rc = enter(f, SIM_READ, "size", e);

    if (rc == 0)
        *ret = f->inode->now.n;
    return leave(f, rc);
}

static int sf_truncate(struct file *file, uint64_t bytes, struct err *e)
{
    struct sim_file *f = sim_of(file);
    int rc = enter(f, SIM_TRUNCATE, "truncate", e);

    if (rc == 0 && is_full(f->disk, f->inode, bytes))
        rc = err_set(e, ERR_NO_SPACE, "truncate %s: no space left on device", f->path);
    if (rc == 0)
        inode_truncate(f->inode, bytes);
    return leave(f, rc);
}

static int sf_allocate(struct file *file, uint64_t off, uint64_t n, struct err *e)
{
    struct sim_file *f = sim_of(file);
    int rc = enter(f, SIM_ALLOCATE, "allocate", e);

    if (rc == 0 && is_full(f->disk, f->inode, off + n))
        rc = err_set(e, ERR_NO_SPACE, "allocate %s: no space left on device", f->path);
    if (rc == 0 && off + n > f->inode->now.n)
        inode_truncate(f->inode, off + n);
    return leave(f, rc);
}

static void lock_drop(struct sim_file *f)
{
    if (f->generation == f->disk->generation) {
        f->inode->exclusive_locks -= f->locked_exclusive;
        f->inode->shared_locks -= f->locked_shared;
    }
    f->locked_exclusive = f->locked_shared = false;
}

/* flock and OFD locks do not see each other on Linux; no file here carries both. */
static int sf_lock(struct file *file, enum file_lock_kind kind, struct err *e)
{
    struct sim_file *f = sim_of(file);
    bool shared = kind == FILE_LOCK_FLOCK_SHARED;
    int rc = enter(f, SIM_LOCK, "lock", e);

    if (rc != 0)
        return leave(f, rc);
    lock_drop(f);
    if (f->inode->exclusive_locks > 0 || (!shared && f->inode->shared_locks > 0))
        return leave(f, err_set(e, ERR_LOCKED, "lock %s: another process has it", f->path));
    f->locked_exclusive = !shared;
    f->locked_shared = shared;
    f->inode->exclusive_locks += f->locked_exclusive;
    f->inode->shared_locks += f->locked_shared;
    return leave(f, 0);
}

static int sf_unlock(struct file *file, enum file_lock_kind kind, struct err *e)
{
    struct sim_file *f = sim_of(file);
    int rc = enter(f, SIM_LOCK, "unlock", e);

    (void) kind;
    lock_drop(f);
    return leave(f, rc);
}

static int sf_map(struct file *file, uint64_t reserve_bytes, const uint8_t **ret, struct err *e)
{
    struct sim_file *f = sim_of(file);
    struct mapping *m;
    int rc = enter(f, SIM_MAP, "map", e);

    if (rc != 0)
        return leave(f, rc);
    ASSERT(f->map == NULL);
    m = calloc(1, sizeof *m);
    if (m == NULL)
        abort();
    m->reserve = (size_t) (reserve_bytes + HOST_PAGE_BYTES - 1) & ~(size_t) (HOST_PAGE_BYTES - 1);
    m->base = mmap(NULL, m->reserve, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m->base == MAP_FAILED) {
        free(m);
        return leave(f, err_set(e, ERR_NOMEM, "map %s: out of memory", f->path));
    }
    mapping_show(m, f->inode, 0, f->inode->now.n);
    list_push(&f->inode->mappings, &m->link);
    f->map = m;
    *ret = m->base;
    return leave(f, 0);
}

static void sf_close(struct file *file)
{
    struct sim_file *f = sim_of(file);

    pthread_mutex_lock(&f->disk->lock);
    lock_drop(f);
    if (f->map != NULL) {
        list_remove(&f->map->link);
        munmap(f->map->base, f->map->reserve);
        free(f->map);
    }
    pthread_mutex_unlock(&f->disk->lock);
    free(f->path);
    free(f);
}

static const struct file_ops sim_file_ops = {
    .read = sf_read,
    .write = sf_write,
    .sync = sf_sync,
    .size = sf_size,
    .truncate = sf_truncate,
    .allocate = sf_allocate,
    .lock = sf_lock,
    .unlock = sf_unlock,
    .map = sf_map,
    .close = sf_close,
};

/* ---- the disk ------------------------------------------------------------------------------- */

static struct simdisk *disk_of(struct disk *d)
{
    return CONTAINER_OF(d, struct simdisk, disk);
}

static bool parent_exists(const struct simdisk *s, const char *path)
{
    size_t n = parent_len(path);
    char *dir = strndup(path, n);
    struct inode *ino = names_get(&s->now, dir);

    free(dir);
    return ino != NULL && ino->is_dir;
}

static int not_found(struct err *e, const char *what, const char *path)
{
    return err_set(e, ERR_NOT_FOUND, "%s %s: No such file or directory", what, path);
}

/* The inode to open, made when asked for. */
static int open_inode(struct simdisk *s, const char *path, unsigned flags, unsigned mode,
                      struct inode **ret, struct err *e)
{
    struct inode *ino = names_get(&s->now, path);

    if (ino != NULL && (flags & DISK_EXCLUSIVE) != 0)
        return err_set(e, ERR_EXISTS, "open %s: File exists", path);
    if (ino != NULL && ino->is_dir)
        return err_set(e, ERR_IO, "open %s: Is a directory", path);
    if (ino == NULL && ((flags & DISK_CREATE) == 0 || !parent_exists(s, path)))
        return not_found(e, "open", path);
    if (ino == NULL) {
        ino = inode_new(s, false, mode);
        name_change(s, NULL, path, ino);
    }
    if ((flags & DISK_TRUNCATE) != 0 && ino->now.n > 0)
        inode_truncate(ino, 0);
    *ret = ino;
    return 0;
}

static int sd_open(struct disk *d, const char *path, unsigned flags, unsigned mode,
                   struct file **ret, struct err *e)
{
    struct simdisk *s = disk_of(d);
    char *clean = path_clean(path);
    struct inode *ino = NULL;
    struct sim_file *f;
    int rc;

    pthread_mutex_lock(&s->lock);
    rc = call(s, SIM_OPEN);
    rc = rc != 0 ? fault(e, rc, "open") : open_inode(s, clean, flags, mode, &ino, e);
    if (rc == 0) {
        f = calloc(1, sizeof *f);
        if (f == NULL)
            abort();
        *f = (struct sim_file){{&sim_file_ops}, s,     ino,  s->generation, flags,
                               false,           false, NULL, clean};
        clean = NULL;
        *ret = &f->file;
    }
    pthread_mutex_unlock(&s->lock);
    free(clean);
    return rc;
}

static int sd_rename(struct disk *d, const char *from, const char *to, struct err *e)
{
    struct simdisk *s = disk_of(d);
    char *a = path_clean(from), *b = path_clean(to);
    struct inode *ino;
    int rc;

    pthread_mutex_lock(&s->lock);
    rc = call(s, SIM_RENAME);
    ino = names_get(&s->now, a);
    if (rc != 0) {
        rc = fault(e, rc, "rename");
    } else if (ino == NULL || !parent_exists(s, b)) {
        rc = not_found(e, "rename", from);
    } else {
        name_change(s, a, b, ino);
    }
    pthread_mutex_unlock(&s->lock);
    free(a);
    free(b);
    return rc;
}

static bool dir_is_empty(const struct simdisk *s, const char *dir)
{
    for (size_t i = 0; i < s->now.count; i++) {
        if (is_in_dir(s->now.v[i].path, dir))
            return false;
    }
    return true;
}

static int sd_remove(struct disk *d, const char *path, struct err *e)
{
    struct simdisk *s = disk_of(d);
    char *clean = path_clean(path);
    struct inode *ino;
    int rc;

    pthread_mutex_lock(&s->lock);
    rc = call(s, SIM_REMOVE);
    ino = names_get(&s->now, clean);
    if (rc != 0)
        rc = fault(e, rc, "remove");
    else if (ino == NULL)
        rc = not_found(e, "remove", path);
    else if (ino->is_dir && !dir_is_empty(s, clean))
        rc = err_set(e, ERR_IO, "remove %s: Directory not empty", path);
    else
        name_change(s, clean, NULL, NULL);
    pthread_mutex_unlock(&s->lock);
    free(clean);
    return rc;
}

static int sd_mkdir(struct disk *d, const char *path, unsigned mode, struct err *e)
{
    struct simdisk *s = disk_of(d);
    char *clean = path_clean(path);
    int rc;

    pthread_mutex_lock(&s->lock);
    rc = call(s, SIM_MKDIR);
    if (rc != 0)
        rc = fault(e, rc, "mkdir");
    else if (names_get(&s->now, clean) != NULL)
        rc = err_set(e, ERR_EXISTS, "make directory %s: File exists", path);
    else if (!parent_exists(s, clean))
        rc = not_found(e, "make directory", path);
    else
        name_change(s, NULL, clean, inode_new(s, true, mode));
    pthread_mutex_unlock(&s->lock);
    free(clean);
    return rc;
}

static int sd_sync_dir(struct disk *d, const char *path, struct err *e)
{
    struct simdisk *s = disk_of(d);
    char *clean = path_clean(path);
    struct inode *ino;
    int rc;

    pthread_mutex_lock(&s->lock);
    rc = call(s, SIM_SYNC_DIR);
    ino = names_get(&s->now, clean);
    if (rc != 0)
        rc = fault(e, rc, "sync_dir");
    else if (ino == NULL || !ino->is_dir)
        rc = not_found(e, "open directory", path);
    else
        names_sync(s, clean);
    pthread_mutex_unlock(&s->lock);
    free(clean);
    return rc;
}

static int sd_stat(struct disk *d, const char *path, struct disk_stat *ret, struct err *e)
{
    struct simdisk *s = disk_of(d);
    char *clean = path_clean(path);
    struct inode *ino;
    int rc = 0;

    pthread_mutex_lock(&s->lock);
    ino = names_get(&s->now, clean);
    if (ino == NULL)
        rc = not_found(e, "stat", path);
    else
        *ret = (struct disk_stat){ino->now.n, ino->is_dir, ino->mode};
    pthread_mutex_unlock(&s->lock);
    free(clean);
    return rc;
}

static void list_add(char ***names, size_t *n, const char *name)
{
    size_t len = strlen(name) + 1;

    *names = realloc(*names, (*n + 1) * sizeof **names);
    if (*names == NULL)
        abort();
    (*names)[*n] = malloc(len);
    if ((*names)[*n] == NULL)
        abort();
    memcpy((*names)[(*n)++], name, len);
}

static int sd_list(struct disk *d, const char *path, char ***ret_names, size_t *ret_n,
                   struct err *e)
{
    struct simdisk *s = disk_of(d);
    char *clean = path_clean(path);
    size_t skip = clean[0] == '\0' ? 0 : strlen(clean) + 1;
    struct inode *ino;
    char **names = NULL;
    size_t n = 0;
    int rc;

    pthread_mutex_lock(&s->lock);
    rc = call(s, SIM_LIST);
    ino = names_get(&s->now, clean);
    if (rc != 0)
        rc = fault(e, rc, "list");
    else if (ino == NULL || !ino->is_dir)
        rc = not_found(e, "list", path);
    for (size_t i = 0; rc == 0 && i < s->now.count; i++) {
        if (is_in_dir(s->now.v[i].path, clean))
            list_add(&names, &n, s->now.v[i].path + skip);
    }
    pthread_mutex_unlock(&s->lock);
    free(clean);
    if (rc != 0)
        return rc;
    *ret_names = names;
    *ret_n = n;
    return 0;
}

static int sd_space(struct disk *d, const char *path, uint64_t *ret_free_bytes, struct err *e)
{
    struct simdisk *s = disk_of(d);
    uint64_t used;

    (void) path;
    (void) e;
    pthread_mutex_lock(&s->lock);
    used = used_bytes(s);
    *ret_free_bytes = s->capacity == 0 ? UINT64_MAX / 2 : s->capacity - MIN(used, s->capacity);
    pthread_mutex_unlock(&s->lock);
    return 0;
}

static const struct disk_ops sim_disk_ops = {
    .open = sd_open,
    .rename = sd_rename,
    .remove = sd_remove,
    .mkdir = sd_mkdir,
    .sync_dir = sd_sync_dir,
    .stat = sd_stat,
    .list = sd_list,
    .space = sd_space,
};

/* ---- for tests ------------------------------------------------------------------------------ */

struct simdisk *simdisk_new(uint64_t seed)
{
    struct simdisk *s = calloc(1, sizeof *s);
    struct inode *root;

    if (s == NULL)
        abort();
    s->disk.ops = &sim_disk_ops;
    s->rng = seed;
    pthread_mutex_init(&s->lock, NULL);
    list_init(&s->inodes);
    root = inode_new(s, true, 0700);
    names_set(&s->now, "", root);
    names_set(&s->durable, "", root);
    return s;
}

void simdisk_free(struct simdisk *s)
{
    struct list *it;

    if (s == NULL)
        return;
    while (s->name_changes != NULL) {
        struct name_change *next = s->name_changes->next;

        name_change_free(s->name_changes);
        s->name_changes = next;
    }
    names_done(&s->now);
    names_done(&s->durable);
    while ((it = list_pop(&s->inodes)) != NULL) {
        struct inode *ino = CONTAINER_OF(it, struct inode, link);

        ASSERT(list_empty(&ino->mappings)); /* handles are closed before */
        changes_free(ino);
        free(ino->now.p);
        free(ino->durable.p);
        free(ino);
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}

struct disk *simdisk_disk(struct simdisk *s)
{
    return &s->disk;
}

void simdisk_seed(struct simdisk *s, uint64_t seed)
{
    s->rng = seed;
}

static void dirs_make(struct simdisk *s, const char *path)
{
    for (size_t i = 0; path[i] != '\0'; i++) {
        char *dir;

        if (path[i] != '/')
            continue;
        dir = strndup(path, i);
        if (names_get(&s->now, dir) == NULL) {
            struct inode *ino = inode_new(s, true, 0700);

            names_set(&s->now, dir, ino);
            names_set(&s->durable, dir, ino);
        }
        free(dir);
    }
}

void simdisk_put_file(struct simdisk *s, const char *path, const void *p, size_t n)
{
    char *clean = path_clean(path);
    struct inode *ino;

    pthread_mutex_lock(&s->lock);
    dirs_make(s, clean);
    ino = inode_new(s, false, 0600);
    names_set(&s->now, clean, ino);
    names_set(&s->durable, clean, ino);
    content_write(&ino->now, 0, p, n);
    content_write(&ino->durable, 0, p, n);
    pthread_mutex_unlock(&s->lock);
    free(clean);
}

uint8_t *simdisk_get_file(struct simdisk *s, const char *path, size_t *ret_n)
{
    char *clean = path_clean(path);
    struct inode *ino;
    uint8_t *p = NULL;

    pthread_mutex_lock(&s->lock);
    ino = names_get(&s->now, clean);
    if (ino != NULL) {
        p = malloc(ino->now.n + 1);
        if (p == NULL)
            abort();
        if (ino->now.n > 0)
            memcpy(p, ino->now.p, ino->now.n);
        *ret_n = ino->now.n;
    }
    pthread_mutex_unlock(&s->lock);
    free(clean);
    return p;
}

void simdisk_flip(struct simdisk *s, const char *path, uint64_t off, uint8_t mask)
{
    char *clean = path_clean(path);
    struct inode *ino;

    pthread_mutex_lock(&s->lock);
    ino = names_get(&s->now, clean);
    ASSERT(ino != NULL);
    ASSERT(off < ino->now.n);
    ino->now.p[off] ^= mask;
    if (off < ino->durable.n)
        ino->durable.p[off] ^= mask;
    mappings_show(ino, off, 1, false);
    pthread_mutex_unlock(&s->lock);
    free(clean);
}

void simdisk_fail(struct simdisk *s, unsigned calls, uint64_t nth, int code, bool sticky)
{
    pthread_mutex_lock(&s->lock);
    s->fail_calls = calls;
    s->fail_after = nth;
    s->fail_code = code;
    s->fail_sticky = sticky;
    s->stops = s->dead = false;
    pthread_mutex_unlock(&s->lock);
}

void simdisk_cut_after(struct simdisk *s, uint64_t nth)
{
    ASSERT(nth > 0);
    simdisk_fail(s, SIM_CHANGES, nth, ERR_IO, true);
    s->stops = true;
}

uint64_t simdisk_calls(struct simdisk *s, unsigned calls)
{
    uint64_t n = 0;

    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < 32; i++) {
        if ((calls >> i & 1) != 0)
            n += s->calls[i];
    }
    pthread_mutex_unlock(&s->lock);
    return n;
}

void simdisk_set_capacity(struct simdisk *s, uint64_t bytes)
{
    s->capacity = bytes;
}

void simdisk_crash(struct simdisk *s, enum simdisk_crash_mode mode)
{
    simdisk_fail(s, 0, 0, 0, false);
    pthread_mutex_lock(&s->lock);
    s->generation++;
    LIST_EACH (it, &s->inodes) {
        inode_crash(s, CONTAINER_OF(it, struct inode, link), mode);
    }
    names_crash(s, mode);
    pthread_mutex_unlock(&s->lock);
}
