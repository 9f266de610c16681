#define _GNU_SOURCE
#include "lib/simdisk_int.h"

/* The path without "./", doubled or trailing slashes; "" is the root. */
char *sim__path_clean(const char *path)
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

size_t sim__parent_len(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? 0 : (size_t) (slash - path);
}

bool sim__is_in_dir(const char *path, const char *dir)
{
    size_t n = sim__parent_len(path);

    return path[0] != '\0' && strlen(dir) == n && memcmp(path, dir, n) == 0;
}

static size_t names_at(const struct names *m, const char *path)
{
    size_t i = 0;

    while (i < m->count && strcmp(m->v[i].path, path) < 0)
        i++;
    return i;
}

struct inode *sim__names_get(const struct names *m, const char *path)
{
    size_t i = names_at(m, path);

    return i < m->count && strcmp(m->v[i].path, path) == 0 ? m->v[i].inode : NULL;
}

bool sim__names_have(const struct names *m, const struct inode *ino)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->v[i].inode == ino)
            return true;
    return false;
}

void sim__names_set(struct names *m, const char *path, struct inode *ino)
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
        sim__names_set(to, from->v[i].path, from->v[i].inode);
}

void sim__names_done(struct names *m)
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
        sim__names_set(m, moved, ino);
        free(moved);
        i = SIZE_MAX; /* the names have moved: begin anew */
    }
}

static void name_change_apply(struct names *m, const struct name_change *c)
{
    if (c->remove != NULL)
        names_del(m, c->remove);
    if (c->add != NULL)
        sim__names_set(m, c->add, c->inode);
    if (c->remove != NULL && c->add != NULL && c->inode->is_dir)
        names_move_below(m, c->remove, c->add);
}

void sim__name_change_free(struct name_change *c)
{
    free(c->remove);
    free(c->add);
    free(c);
}

/* Changes the names as they are now; durable after a sync of the directory. */
void sim__name_change(struct simdisk *s, const char *remove, const char *add, struct inode *ino)
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

void sim__names_sync(struct simdisk *s, const char *dir)
{
    struct name_change **link = &s->name_changes;

    while (*link != NULL) {
        struct name_change *c = *link;

        if (sim__is_in_dir(c->add != NULL ? c->add : c->remove, dir)) {
            *link = c->next;
            name_change_apply(&s->durable, c);
            pending_move_below(s, c, c->next);
            sim__name_change_free(c);
        } else {
            link = &c->next;
        }
    }
}

void sim__names_crash(struct simdisk *s, enum simdisk_crash_mode mode)
{
    bool keep = mode != SIM_CRASH_DROP;

    while (s->name_changes != NULL) {
        struct name_change *c = s->name_changes;

        /* A journal keeps what came first. */
        if (mode == SIM_CRASH_TEAR && sim__rng_next(s) % 2 == 0)
            keep = false;
        if (keep)
            name_change_apply(&s->durable, c);
        s->name_changes = c->next;
        sim__name_change_free(c);
    }
    names_copy(&s->now, &s->durable);
}
