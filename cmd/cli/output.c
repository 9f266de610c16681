#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "cli/command.h"

/* The reader has gone: end as a Go program does, by the signal, without a word. */
static void die_of_pipe(void)
{
    signal(SIGPIPE, SIG_DFL);
    raise(SIGPIPE);
    _exit(1);
}

void cli_write(FILE *f, struct buf *b)
{
    size_t done = 0;

    fflush(f);
    while (done < b->len) {
        ssize_t n = write(fileno(f), b->p + done, b->len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EPIPE)
            die_of_pipe();
        if (n <= 0)
            break;
        done += (size_t) n;
    }
    buf_clear(b);
}

int cli_fail(int status, const char *fmt, ...)
{
    struct buf b;
    va_list ap;

    buf_init(&b, CLI_PAGE_BYTES_MAX);
    buf_add_str(&b, "Error: ");
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    buf_add_char(&b, '\n');
    cli_write(stderr, &b);
    buf_done(&b);
    return status;
}

int cli_log_fatal(const char *fmt, ...)
{
    struct buf b;
    va_list ap;
    time_t now = time(NULL);
    struct tm tm = {0};

    buf_init(&b, CLI_PAGE_BYTES_MAX);
    localtime_r(&now, &tm);
    buf_printf(&b, "%04d/%02d/%02d %02d:%02d:%02d ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
               tm.tm_hour, tm.tm_min, tm.tm_sec);
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    buf_add_char(&b, '\n');
    cli_write(stderr, &b);
    buf_done(&b);
    return 1;
}
