/* file.c -- the files that are asked for, and waiting for their locks. */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <errno.h>
#include <sys/stat.h>
#include <time.h>

#include "engine/bolt/bolt.h"
#include "etcdutl/utl.h"
#include "sys/clock.h"
#include "sys/disk.h"

#define LOCK_RETRY_NS 50000000 /* as bbolt */

int utl_db_path(const char *dir, char ret[UTL_PATH_BYTES], struct err *e)
{
    size_t n = strlen(dir);

    while (n > 1 && dir[n - 1] == '/')
        n--;
    if (n + sizeof "/member/snap/db" > UTL_PATH_BYTES)
        return err_set(e, ERR_LIMIT, "the path is longer than %d bytes", UTL_PATH_BYTES);
    snprintf(ret, UTL_PATH_BYTES, "%.*s/member/snap/db", (int) n, dir);
    return 0;
}

void utl_errno_text(int errnum, char *ret, size_t n)
{
    if (strerror_r(errnum, ret, n) != 0)
        snprintf(ret, n, "errno %d", errnum);
    ret[0] = (char) tolower((unsigned char) ret[0]);
}

int utl_stat(const char *path, struct err *e)
{
    struct stat st;
    char why[128];

    if (stat(path, &st) == 0)
        return 0;
    utl_errno_text(errno, why, sizeof why);
    return err_set(e, ERR_NOT_FOUND, "stat %s: %s", path, why);
}

struct utl_wait utl_wait_for(int64_t timeout_ns)
{
    return (struct utl_wait){timeout_ns <= 0 ? 0 : clock_mono_ns(clock_posix()) + timeout_ns};
}

bool utl_wait(struct utl_wait *w)
{
    struct timespec pause = {.tv_nsec = LOCK_RETRY_NS};

    if (w->end_ns != 0 && clock_mono_ns(clock_posix()) > w->end_ns - LOCK_RETRY_NS)
        return false;
    nanosleep(&pause, NULL);
    return true;
}

int utl_open(const char *path, const struct bolt_options *opt, int64_t timeout_ns,
             struct bolt_db **ret, struct err *e)
{
    struct utl_wait w = utl_wait_for(timeout_ns);
    int rc;

    while ((rc = bolt_open(disk_posix(), path, opt, ret, e)) == ERR_LOCKED) {
        if (!utl_wait(&w))
            return err_set(e, ERR_TIMEOUT, "timeout");
    }
    return rc;
}

int utl_wait_unlocked(const char *path, bool shared, int64_t timeout_ns, struct err *e)
{
    enum file_lock_kind kind = shared ? FILE_LOCK_FLOCK_SHARED : FILE_LOCK_FLOCK_EXCLUSIVE;
    struct utl_wait w = utl_wait_for(timeout_ns);
    struct file *f;
    int rc = disk_open(disk_posix(), path, DISK_READ, 0, &f, e);

    if (rc != 0)
        return rc;
    while ((rc = file_lock(f, kind, e)) == ERR_LOCKED) {
        if (!utl_wait(&w)) {
            rc = err_set(e, ERR_TIMEOUT, "timeout");
            break;
        }
    }
    file_close(f);
    return rc;
}

int utl_panic(const char *path, const struct err *e)
{
    LOG_ERROR(utl_log, "failed to open database", F_STR("path", path), F_ERR(e));
    fputs("panic: failed to open database\n", stderr);
    return UTL_PANIC;
}
