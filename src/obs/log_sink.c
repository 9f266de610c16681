/* log_sink.c -- one output, whatever it is. */
#define _GNU_SOURCE
#include "obs/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

struct log_sink {
    int fd;
    bool own; /* opened here */
    bool journal;
    struct log_rotated *rotated; /* NULL: not rotated */
};

void log_sink_write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t w = write(fd, p, n);

        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return;
        p += w;
        n -= (size_t) w;
    }
}

static int open_path(struct log_sink *s, const char *name, const struct log_rotation *r,
                     struct clock *clock, struct err *e)
{
    char what[128];
    int errnum;

    if (r != NULL)
        return log_rotated_open(name, r, clock, &s->rotated, e);
    s->fd = open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    s->own = true;
    if (s->fd >= 0)
        return 0;
    errnum = errno;
    return err_set(e, err_from_errno(errnum), "open sink \"%s\": open %s: %s", name, name,
                   strerror_r(errnum, what, sizeof what));
}

/* Without a journal its lines go where they would go without systemd. */
static void open_journal(struct log_sink *s)
{
    int fd = log_journal_open(JOURNAL_SOCKET);

    s->journal = s->own = fd >= 0;
    s->fd = fd >= 0 ? fd : STDERR_FILENO;
}

int log_sink_open(const char *name, const struct log_rotation *r, struct clock *clock,
                  struct log_sink **ret, struct err *e)
{
    struct log_sink *s = mem_calloc(1, sizeof *s);
    int rc = 0;

    if (s == NULL)
        return err_set(e, ERR_NOMEM, "open log: out of memory");
    s->fd = -1;
    if (strcmp(name, "stderr") == 0 || strcmp(name, "default") == 0)
        s->fd = STDERR_FILENO;
    else if (strcmp(name, "stdout") == 0)
        s->fd = STDOUT_FILENO;
    else if (strcmp(name, LOG_JOURNAL) == 0)
        open_journal(s);
    else
        rc = open_path(s, name, r, clock, e);
    if (rc != 0) {
        mem_free(s);
        return rc;
    }
    *ret = s;
    return 0;
}

void log_sink_write(struct log_sink *s, enum log_level level, const char *file, const char *line,
                    size_t n)
{
    if (s->rotated != NULL)
        log_rotated_write(s->rotated, line, n);
    else if (!s->journal)
        log_sink_write_all(s->fd, line, n);
    else if (!log_journal_send(s->fd, level, file, line, n))
        log_sink_write_all(STDERR_FILENO, line, n);
}

void log_sink_close(struct log_sink *s)
{
    if (s == NULL)
        return;
    log_rotated_close(s->rotated);
    if (s->own && s->fd >= 0)
        close(s->fd);
    mem_free(s);
}
