#define _GNU_SOURCE
#include "lib/simdisk_int.h"

#include "base/alloc.h"

uint64_t sim__rng_next(struct simdisk *s)
{
    uint64_t x = s->rng += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* ---- faults ---- */

/* Counts the call; 0, or the code with which it is to fail. */
int sim__call(struct simdisk *s, enum simdisk_call kind)
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

int sim__fault(struct err *e, int code, const char *what)
{
    return err_set(e, code, "simulated fault in %s", what);
}

uint64_t sim__used_bytes(const struct simdisk *s)
{
    uint64_t n = 0;

    for (size_t i = 0; i < s->now.count; i++)
        n += s->now.v[i].inode->room_n * SECTOR_BYTES;
    return n;
}

bool sim__is_full(const struct simdisk *s, const char *path, const struct inode *ino, uint64_t off,
                  uint64_t end)
{
    uint64_t missing = sim__room_missing(ino, off, end);

    if (missing == 0)
        return false;
    if (s->full_for != NULL && strstr(path, s->full_for) != NULL)
        return true;
    return s->capacity != 0 && sim__used_bytes(s) + missing > s->capacity;
}

/* ---- the disk ---- */

static struct simdisk *disk_of(struct disk *d)
{
    return CONTAINER_OF(d, struct simdisk, disk);
}

static bool parent_exists(const struct simdisk *s, const char *path)
{
    size_t n = sim__parent_len(path);
    char *dir = strndup(path, n);
    struct inode *ino = sim__names_get(&s->now, dir);

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
    struct inode *ino = sim__names_get(&s->now, path);

    if (ino != NULL && (flags & DISK_EXCLUSIVE) != 0)
        return err_set(e, ERR_EXISTS, "open %s: File exists", path);
    if (ino != NULL && ino->is_dir)
        return err_set(e, ERR_IO, "open %s: Is a directory", path);
    if ((flags & DISK_DIRECT) != 0 && s->no_direct)
        return err_set(e, ERR_INVALID, "open %s: Invalid argument", path);
    if (ino == NULL && ((flags & DISK_CREATE) == 0 || !parent_exists(s, path)))
        return not_found(e, "open", path);
    if (ino == NULL) {
        ino = sim__inode_new(s, false, mode);
        sim__name_change(s, NULL, path, ino);
    }
    if ((flags & DISK_TRUNCATE) != 0 && ino->now.n > 0)
        sim__inode_truncate(ino, 0);
    *ret = ino;
    return 0;
}

static int sd_open(struct disk *d, const char *path, unsigned flags, unsigned mode,
                   struct file **ret, struct err *e)
{
    struct simdisk *s = disk_of(d);
    char *clean = sim__path_clean(path);
    struct inode *ino = NULL;
    struct sim_file *f;
    int rc;

    pthread_mutex_lock(&s->lock);
    rc = sim__call(s, SIM_OPEN);
    rc = rc != 0 ? sim__fault(e, rc, "open") : open_inode(s, clean, flags, mode, &ino, e);
    if (rc == 0) {
        f = calloc(1, sizeof *f);
        if (f == NULL)
            abort();
        *f = (struct sim_file){
            {&sim__file_ops}, s, ino, s->generation, flags, false, false, NULL, clean};
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
    char *a = sim__path_clean(from), *b = sim__path_clean(to);
    struct inode *ino;
    int rc;

    pthread_mutex_lock(&s->lock);
    rc = sim__call(s, SIM_RENAME);
    ino = sim__names_get(&s->now, a);
    if (rc != 0) {
        rc = sim__fault(e, rc, "rename");
    } else if (ino == NULL || !parent_exists(s, b)) {
        rc = not_found(e, "rename", from);
    } else {
        sim__name_change(s, a, b, ino);
    }
    pthread_mutex_unlock(&s->lock);
    free(a);
    free(b);
    return rc;
}

static bool dir_is_empty(const struct simdisk *s, const char *dir)
{
    for (size_t i = 0; i < s->now.count; i++) {
        if (sim__is_in_dir(s->now.v[i].path, dir))
            return false;
    }
    return true;
}

static int sd_remove(struct disk *d, const char *path, struct err *e)
{
    struct simdisk *s = disk_of(d);
    char *clean = sim__path_clean(path);
    struct inode *ino;
    int rc;

    pthread_mutex_lock(&s->lock);
    rc = sim__call(s, SIM_REMOVE);
    ino = sim__names_get(&s->now, clean);
    if (rc != 0)
        rc = sim__fault(e, rc, "remove");
    else if (ino == NULL)
        rc = not_found(e, "remove", path);
    else if (ino->is_dir && !dir_is_empty(s, clean))
        rc = err_set(e, ERR_IO, "remove %s: Directory not empty", path);
    else
        sim__name_change(s, clean, NULL, NULL);
    pthread_mutex_unlock(&s->lock);
    free(clean);
    return rc;
}

static int sd_mkdir(struct disk *d, const char *path, unsigned mode, struct err *e)
{
    struct simdisk *s = disk_of(d);
    char *clean = sim__path_clean(path);
    int rc;

    pthread_mutex_lock(&s->lock);
    rc = sim__call(s, SIM_MKDIR);
    if (rc != 0)
        rc = sim__fault(e, rc, "mkdir");
    else if (sim__names_get(&s->now, clean) != NULL)
        rc = err_set(e, ERR_EXISTS, "make directory %s: File exists", path);
    else if (!parent_exists(s, clean))
        rc = not_found(e, "make directory", path);
    else
        sim__name_change(s, NULL, clean, sim__inode_new(s, true, mode));
    pthread_mutex_unlock(&s->lock);
    free(clean);
    return rc;
}

static int sd_sync_dir(struct disk *d, const char *path, struct err *e)
{
    struct simdisk *s = disk_of(d);
    char *clean = sim__path_clean(path);
    struct inode *ino;
    int rc;

    pthread_mutex_lock(&s->lock);
    rc = sim__call(s, SIM_SYNC_DIR);
    ino = sim__names_get(&s->now, clean);
    if (rc != 0)
        rc = sim__fault(e, rc, "sync_dir");
    else if (ino == NULL || !ino->is_dir)
        rc = not_found(e, "open directory", path);
    else
        sim__names_sync(s, clean);
    pthread_mutex_unlock(&s->lock);
    free(clean);
    return rc;
}

static int sd_stat(struct disk *d, const char *path, struct disk_stat *ret, struct err *e)
{
    struct simdisk *s = disk_of(d);
    char *clean = sim__path_clean(path);
    struct inode *ino;
    int rc = 0;

    pthread_mutex_lock(&s->lock);
    ino = sim__names_get(&s->now, clean);
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
    char *clean = sim__path_clean(path);
    size_t skip = clean[0] == '\0' ? 0 : strlen(clean) + 1;
    struct inode *ino;
    char **names = NULL;
    size_t n = 0;
    int rc;

    pthread_mutex_lock(&s->lock);
    rc = sim__call(s, SIM_LIST);
    ino = sim__names_get(&s->now, clean);
    if (rc != 0)
        rc = sim__fault(e, rc, "list");
    else if (ino == NULL || !ino->is_dir)
        rc = not_found(e, "list", path);
    for (size_t i = 0; rc == 0 && i < s->now.count; i++) {
        if (sim__is_in_dir(s->now.v[i].path, clean))
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
    used = sim__used_bytes(s);
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

/* ---- for tests ---- */

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
    root = sim__inode_new(s, true, 0700);
    sim__names_set(&s->now, "", root);
    sim__names_set(&s->durable, "", root);
    return s;
}

void simdisk_free(struct simdisk *s)
{
    struct list *it;

    if (s == NULL)
        return;
    while (s->name_changes != NULL) {
        struct name_change *next = s->name_changes->next;

        sim__name_change_free(s->name_changes);
        s->name_changes = next;
    }
    sim__names_done(&s->now);
    sim__names_done(&s->durable);
    while ((it = list_pop(&s->inodes)) != NULL) {
        struct inode *ino = CONTAINER_OF(it, struct inode, link);

        ASSERT(list_empty(&ino->mappings)); /* handles are closed before */
        sim__changes_free(ino);
        free(ino->now.p);
        free(ino->durable.p);
        free(ino->room);
        free(ino);
    }
    pthread_mutex_destroy(&s->lock);
    free(s->full_for);
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
        if (sim__names_get(&s->now, dir) == NULL) {
            struct inode *ino = sim__inode_new(s, true, 0700);

            sim__names_set(&s->now, dir, ino);
            sim__names_set(&s->durable, dir, ino);
        }
        free(dir);
    }
}

void simdisk_put_file(struct simdisk *s, const char *path, const void *p, size_t n)
{
    char *clean = sim__path_clean(path);
    struct inode *ino;

    pthread_mutex_lock(&s->lock);
    dirs_make(s, clean);
    ino = sim__inode_new(s, false, 0600);
    sim__names_set(&s->now, clean, ino);
    sim__names_set(&s->durable, clean, ino);
    sim__room_take(ino, 0, n);
    sim__content_write(&ino->now, 0, p, n);
    sim__content_write(&ino->durable, 0, p, n);
    pthread_mutex_unlock(&s->lock);
    free(clean);
}

uint8_t *simdisk_get_file(struct simdisk *s, const char *path, size_t *ret_n)
{
    char *clean = sim__path_clean(path);
    struct inode *ino;
    uint8_t *p = NULL;

    pthread_mutex_lock(&s->lock);
    ino = sim__names_get(&s->now, clean);
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
    char *clean = sim__path_clean(path);
    struct inode *ino;

    pthread_mutex_lock(&s->lock);
    ino = sim__names_get(&s->now, clean);
    ASSERT(ino != NULL);
    ASSERT(off < ino->now.n);
    ino->now.p[off] ^= mask;
    ino->now.used = MAX(ino->now.used, (size_t) off + 1);
    if (off < ino->durable.n) {
        ino->durable.p[off] ^= mask;
        ino->durable.used = MAX(ino->durable.used, (size_t) off + 1);
    }
    sim__mappings_show(ino, off, 1, false);
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

uint64_t simdisk_used(struct simdisk *s)
{
    uint64_t n;

    pthread_mutex_lock(&s->lock);
    n = sim__used_bytes(s);
    pthread_mutex_unlock(&s->lock);
    return n;
}

void simdisk_set_full(struct simdisk *s, const char *part)
{
    pthread_mutex_lock(&s->lock);
    free(s->full_for);
    s->full_for = part == NULL ? NULL : strdup(part);
    pthread_mutex_unlock(&s->lock);
}

void simdisk_set_direct(struct simdisk *s, bool allowed)
{
    pthread_mutex_lock(&s->lock);
    s->no_direct = !allowed;
    pthread_mutex_unlock(&s->lock);
}

void simdisk_crash(struct simdisk *s, enum simdisk_crash_mode mode)
{
    simdisk_fail(s, 0, 0, 0, false);
    pthread_mutex_lock(&s->lock);
    s->generation++;
    LIST_EACH (it, &s->inodes) {
        sim__inode_crash(s, CONTAINER_OF(it, struct inode, link), mode);
    }
    sim__names_crash(s, mode);
    pthread_mutex_unlock(&s->lock);
}
