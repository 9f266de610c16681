#define _POSIX_C_SOURCE 200809L
#include "cli/progress.h"

#include <unistd.h>

#include "cli/command.h"
#include "cli/text.h"
#include "sys/clock.h"

#define LINE_BYTES_MAX 512
#define TO_BEGIN_AND_ERASE "\r\033[K"

void progress_begin(struct progress *p, const char *what, uint64_t total)
{
    *p = (struct progress){.what = what,
                           .total = total,
                           .began_ms = clock_mono_ms(clock_posix()),
                           .on = isatty(STDERR_FILENO) == 1};
}

void progress_begin_things(struct progress *p, const char *what, uint64_t total)
{
    ASSERT(total > 0);
    progress_begin(p, what, total);
    p->things = true;
}

static unsigned percent(const struct progress *p)
{
    return (unsigned) ((double) MIN(p->done, p->total) * 100.0 / (double) p->total);
}

void progress_text(const struct progress *p, struct buf *out)
{
    buf_printf(out, "%s: ", p->what);
    if (p->things) {
        buf_printf(out, "%u%%", percent(p));
        return;
    }
    text_human_bytes(out, p->done);
    if (p->total == 0)
        return;
    buf_add_str(out, " of ");
    text_human_bytes(out, p->total);
    buf_printf(out, " (%u%%)", percent(p));
}

void progress_add(struct progress *p, uint64_t bytes)
{
    struct buf line;
    int64_t now;

    p->done += bytes;
    if (!p->on)
        return;
    now = clock_mono_ms(clock_posix());
    if (now - p->began_ms < PROGRESS_QUIET_MS || now - p->drawn_ms < PROGRESS_EVERY_MS)
        return;
    p->drawn_ms = now;
    buf_init(&line, LINE_BYTES_MAX);
    buf_add_str(&line, TO_BEGIN_AND_ERASE);
    progress_text(p, &line);
    cli_write(stderr, &line);
    buf_done(&line);
}

void progress_end(struct progress *p)
{
    struct buf line;

    if (p->on && p->drawn_ms != 0) {
        buf_init(&line, LINE_BYTES_MAX);
        buf_add_str(&line, TO_BEGIN_AND_ERASE);
        cli_write(stderr, &line);
        buf_done(&line);
    }
    p->on = false;
}
