/* log_old_files.c -- what is kept of a rotated log: names with the time of the rotation, the newest
 * ones, and how they are compressed. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "base/alloc.h"
#include "obs/log_sink.h"

#define NAME_BYTES 256 /* of a file in a folder, with its end */
#define PATH_BYTES 4096
#define OLD_FILES_MAX 1024 /* more are left alone */
#define DAY_MS INT64_C(86400000)
#define GZ ".gz"

/* "/d/etcd.log" in its parts. */
struct parts {
    char folder[PATH_BYTES];
    char prefix[NAME_BYTES]; /* "etcd-" */
    char suffix[NAME_BYTES]; /* ".log", or nothing */
};

struct old_file {
    char name[NAME_BYTES]; /* without .gz */
    char stamp[LOG_STAMP_BYTES];
    bool plain, gz; /* which of the two there are */
};

static bool split(const char *path, struct parts *ret)
{
    const char *slash = strrchr(path, '/'), *base = slash == NULL ? path : slash + 1;
    const char *dot = strrchr(base, '.');
    int n;

    n = snprintf(ret->folder, sizeof ret->folder, "%.*s", slash == NULL ? 1 : (int) (slash - path),
                 slash == NULL ? "." : path);
    if (n < 0 || (size_t) n >= sizeof ret->folder)
        return false;
    if (n == 0)
        memcpy(ret->folder, "/", 2);
    n = snprintf(ret->prefix, sizeof ret->prefix, "%.*s-",
                 dot == NULL ? (int) strlen(base) : (int) (dot - base), base);
    if (n < 0 || (size_t) n >= sizeof ret->prefix)
        return false;
    n = snprintf(ret->suffix, sizeof ret->suffix, "%s", dot == NULL ? "" : dot);
    return n >= 0 && (size_t) n < sizeof ret->suffix;
}

static void stamp_of(wall_ms t, bool local, char ret[LOG_STAMP_BYTES])
{
    time_t s = (time_t) (t / 1000);
    char day[LOG_STAMP_BYTES] = "";
    struct tm tm;

    if ((local ? localtime_r(&s, &tm) : gmtime_r(&s, &tm)) != NULL)
        strftime(day, sizeof day, "%Y-%m-%dT%H-%M-%S", &tm);
    snprintf(ret, LOG_STAMP_BYTES, "%.19s.%03d", day, (int) (t % 1000));
}

bool log_old_name(const char *path, wall_ms t, bool local, char *ret, size_t n)
{
    char stamp[LOG_STAMP_BYTES];
    struct parts p;
    int k;

    if (!split(path, &p))
        return false;
    stamp_of(t, local, stamp);
    k = snprintf(ret, n, "%s/%s%s%s", p.folder, p.prefix, stamp, p.suffix);
    return k >= 0 && (size_t) k < n;
}

/* ---- finding them ---- */

static bool ends_with(const char *s, size_t n, const char *end)
{
    size_t k = strlen(end);

    return n >= k && memcmp(s + n - k, end, k) == 0;
}

static bool is_stamp(const char *s)
{
    static const char form[] = "0000-00-00T00-00-00.000";

    for (size_t i = 0; i < sizeof form - 1; i++) {
        if (form[i] == '0' ? s[i] < '0' || s[i] > '9' : s[i] != form[i])
            return false;
    }
    return true;
}

/* The stamp begins behind the prefix; `n` is the length of the name without .gz. */
static bool is_old_file(const struct parts *p, const char *name, size_t n)
{
    size_t prefix = strlen(p->prefix), suffix = strlen(p->suffix);

    return n == prefix + LOG_STAMP_BYTES - 1 + suffix && memcmp(name, p->prefix, prefix) == 0 &&
           is_stamp(name + prefix) && ends_with(name, n, p->suffix);
}

static struct old_file *slot_of(struct old_file *v, size_t *n, const char *name, size_t name_n)
{
    for (size_t i = 0; i < *n; i++) {
        if (strlen(v[i].name) == name_n && memcmp(v[i].name, name, name_n) == 0)
            return &v[i];
    }
    if (*n == OLD_FILES_MAX)
        return NULL;
    memcpy(v[*n].name, name, name_n);
    return &v[(*n)++];
}

static int newest_first(const void *a, const void *b)
{
    return strcmp(((const struct old_file *) b)->stamp, ((const struct old_file *) a)->stamp);
}

static size_t find(const struct parts *p, struct old_file *v)
{
    DIR *dir = opendir(p->folder);
    struct dirent *d;
    size_t n = 0;

    while (dir != NULL && (d = readdir(dir)) != NULL) {
        size_t name_n = strlen(d->d_name);
        bool gz = ends_with(d->d_name, name_n, GZ);
        struct old_file *f;

        name_n -= gz ? strlen(GZ) : 0;
        if (name_n >= NAME_BYTES || !is_old_file(p, d->d_name, name_n))
            continue;
        f = slot_of(v, &n, d->d_name, name_n);
        if (f == NULL)
            break;
        memcpy(f->stamp, d->d_name + strlen(p->prefix), LOG_STAMP_BYTES - 1);
        *(gz ? &f->gz : &f->plain) = true;
    }
    if (dir != NULL)
        closedir(dir);
    qsort(v, n, sizeof *v, newest_first);
    return n;
}

/* ---- acting on them ---- */

static void path_of(const struct parts *p, const struct old_file *f, const char *end,
                    char ret[2 * PATH_BYTES])
{
    snprintf(ret, (size_t) 2 * PATH_BYTES, "%s/%s%s", p->folder, f->name, end);
}

static void discard(const struct parts *p, const struct old_file *f)
{
    char path[2 * PATH_BYTES];

    path_of(p, f, "", path);
    if (f->plain)
        unlink(path);
    path_of(p, f, GZ, path);
    if (f->gz)
        unlink(path);
}

static bool copy_into(int from, gzFile to)
{
    char buf[16384];
    ssize_t n;

    while ((n = read(from, buf, sizeof buf)) > 0) {
        if (gzwrite(to, buf, (unsigned) n) != (int) n)
            return false;
    }
    return n == 0;
}

/* The plain file goes when the compressed one is whole. */
static void compress_file(const struct parts *p, const struct old_file *f)
{
    char plain[2 * PATH_BYTES], gz[2 * PATH_BYTES];
    struct stat st;
    bool done = false;
    gzFile out = NULL;
    int in, fd;

    path_of(p, f, "", plain);
    path_of(p, f, GZ, gz);
    in = open(plain, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return;
    fd = fstat(in, &st) == 0
             ? open(gz, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, st.st_mode & 07777)
             : -1;
    if (fd >= 0)
        out = gzdopen(fd, "wb");
    if (out != NULL) {
        done = copy_into(in, out);
        done = gzclose(out) == Z_OK && done;
    } else if (fd >= 0) {
        close(fd);
    }
    close(in);
    if (fd >= 0)
        unlink(done ? plain : gz);
}

void log_old_files_tidy(const char *path, const struct log_rotation *r, wall_ms now)
{
    struct old_file *v = mem_calloc(OLD_FILES_MAX, sizeof *v);
    char oldest[LOG_STAMP_BYTES];
    struct parts p;
    size_t n;

    if (v == NULL || !split(path, &p)) {
        mem_free(v);
        return;
    }
    stamp_of(now - (int64_t) r->max_age_days * DAY_MS, r->local_time, oldest);
    n = find(&p, v);
    for (size_t i = 0; i < n; i++) {
        bool too_many = r->max_backups > 0 && i >= r->max_backups;
        bool too_old = r->max_age_days > 0 && strcmp(v[i].stamp, oldest) < 0;

        if (too_many || too_old)
            discard(&p, &v[i]);
        else if (r->compress && v[i].plain)
            compress_file(&p, &v[i]);
    }
    mem_free(v);
}
