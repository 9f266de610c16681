/* log_rotate.c -- a log file of bounded size.
 *
 * When the next line would make it too large, the file is renamed and a new one begun.  Old files
 * are compressed and removed on a thread of their own, which lives for one round: the writer of
 * lines never waits for it.  Behaves as lumberjack, which etcd uses.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "obs/log_sink.h"
#include "sys/thread.h"

#define PATH_BYTES 4096

enum tidying { TIDY_NOT, TIDY_RUNS, TIDY_AGAIN };

struct log_rotated {
    struct log_rotation rotation;
    struct clock *clock;
    int fd; /* -1: could not be opened again */
    uint64_t bytes;
    _Atomic int tidying; /* enum tidying */
    struct thread *tidier;
    char path[PATH_BYTES];
};

/* ---- files ---- */

static void make_folders(const char *path)
{
    char part[PATH_BYTES];

    for (const char *p = strchr(path + 1, '/'); p != NULL; p = strchr(p + 1, '/')) {
        memcpy(part, path, (size_t) (p - path));
        part[p - path] = 0;
        (void) mkdir(part, 0755); /* what is wrong with it, opening the file says */
    }
}

static int open_file(struct log_rotated *f, mode_t mode)
{
    struct stat st;

    f->fd = open(f->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, mode);
    f->bytes = f->fd >= 0 && fstat(f->fd, &st) == 0 ? (uint64_t) st.st_size : 0;
    return f->fd >= 0 ? 0 : -1;
}

static void rename_old(struct log_rotated *f, const struct stat *st)
{
    char old[PATH_BYTES];

    if (!log_old_name(f->path, clock_wall_ms(f->clock), f->rotation.local_time, old, sizeof old) ||
        rename(f->path, old) != 0)
        return; /* the file goes on growing: better than lines that are lost */
    close(f->fd);
    if (open_file(f, st->st_mode & 07777) == 0)
        (void) !fchown(f->fd, st->st_uid, st->st_gid); /* as far as this user may */
}

/* ---- old files ---- */

static void tidy(void *arg)
{
    struct log_rotated *f = arg;
    int runs;

    do {
        atomic_store(&f->tidying, TIDY_RUNS);
        log_old_files_tidy(f->path, &f->rotation, clock_wall_ms(f->clock));
        runs = TIDY_RUNS;
    } while (!atomic_compare_exchange_strong(&f->tidying, &runs, TIDY_NOT));
}

static void tidy_start(struct log_rotated *f)
{
    struct err e = ERR_INIT;
    int runs = TIDY_RUNS;

    if (f->rotation.max_backups == 0 && f->rotation.max_age_days == 0 && !f->rotation.compress)
        return;
    if (atomic_load(&f->tidying) != TIDY_NOT &&
        (atomic_compare_exchange_strong(&f->tidying, &runs, TIDY_AGAIN) || runs == TIDY_AGAIN))
        return;
    thread_join(f->tidier); /* it has ended, or is about to */
    f->tidier = NULL;
    atomic_store(&f->tidying, TIDY_RUNS);
    if (thread_start("log-tidy", tidy, f, &f->tidier, &e) != 0)
        atomic_store(&f->tidying, TIDY_NOT); /* the next rotation tries again */
}

/* ---- life ---- */

int log_rotated_open(const char *path, const struct log_rotation *r, struct clock *clock,
                     struct log_rotated **ret, struct err *e)
{
    struct log_rotated *f;
    char what[128];
    int errnum;

    if (strlen(path) >= PATH_BYTES)
        return err_set(e, ERR_LIMIT, "open sink \"%.100s...\": file name too long", path);
    f = mem_calloc(1, sizeof *f);
    if (f == NULL)
        return err_set(e, ERR_NOMEM, "open log: out of memory");
    ASSERT(r->max_bytes > 0);
    f->rotation = *r;
    f->clock = clock;
    memcpy(f->path, path, strlen(path) + 1);
    make_folders(path);
    if (open_file(f, 0600) == 0) {
        *ret = f;
        return 0;
    }
    errnum = errno;
    mem_free(f);
    return err_set(e, err_from_errno(errnum), "open sink \"%s\": open %s: %s", path, path,
                   strerror_r(errnum, what, sizeof what));
}

void log_rotated_write(struct log_rotated *f, const char *line, size_t n)
{
    struct stat st;

    if (f->fd < 0 && open_file(f, 0600) != 0)
        return;
    if (f->bytes > 0 && f->bytes + n > f->rotation.max_bytes && fstat(f->fd, &st) == 0) {
        rename_old(f, &st);
        tidy_start(f);
        if (f->fd < 0)
            return;
    }
    log_sink_write_all(f->fd, line, n);
    f->bytes += n;
}

void log_rotated_close(struct log_rotated *f)
{
    if (f == NULL)
        return;
    thread_join(f->tidier);
    if (f->fd >= 0)
        close(f->fd);
    mem_free(f);
}
