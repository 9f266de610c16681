/* load.c -- workers: each has one request under way, and begins the next when it was answered. */
#define _POSIX_C_SOURCE 200809L
#include <unistd.h>

#include "base/alloc.h"
#include "benchmark/bench.h"

#define NS_PER_S 1000000000
#define NS_PER_MS 1000000
#define CATCH_UP_NS (2 * NS_PER_MS) /* timers are that late; a real delay is not made good */
#define REDRAW_NS (200 * NS_PER_MS)
#define BAR_WIDTH 60

/* ---- progress ---- */

void progress_begin(struct progress *p, int64_t total)
{
    *p = (struct progress){.total = total, .began = clock_mono_ns(clock_posix())};
    p->shown = p->began;
    p->terminal = isatty(STDERR_FILENO) == 1;
}

static void progress_show(const struct progress *p, mono_ns now, const char *end)
{
    char bar[BAR_WIDTH + 1];
    double share = p->total == 0 ? 1 : (double) p->done / (double) p->total;
    double took = (double) (now - p->began) / NS_PER_S;
    size_t full = (size_t) (share * BAR_WIDTH);

    memset(bar, '_', BAR_WIDTH);
    memset(bar, '-', full);
    if (full > 0 && full < BAR_WIDTH)
        bar[full - 1] = '>';
    bar[BAR_WIDTH] = 0;
    fprintf(stderr, "\r%" PRId64 " / %" PRId64 " [%s] %.2f%% %.0f p/s%s", p->done, p->total, bar,
            share * 100, took > 0 ? (double) p->done / took : 0, end);
}

void progress_add(struct progress *p, int64_t n, mono_ns now)
{
    p->done += n;
    if (!p->terminal || now - p->shown < REDRAW_NS)
        return;
    p->shown = now;
    progress_show(p, now, "");
}

void progress_end(struct progress *p)
{
    progress_show(p, clock_mono_ns(clock_posix()), "\n");
}

/* ---- workers ---- */

static void pump(struct load *l);

static void worker_start(struct worker *w)
{
    struct load *l = w->load;

    l->begun++;
    w->report = l->report;
    w->began = clock_mono_ns(clock_posix());
    l->start(w);
}

static void on_due(void *arg)
{
    struct load *l = arg;

    l->waiting = false;
    if (l->done == l->total)
        ketch_stop(l->bench->conns[0]);
    else
        pump(l);
}

/* May one more request begin now?  Counts it in. */
static bool take_turn(struct load *l, mono_ns now)
{
    if (l->rate == 0)
        return true;
    if (now < l->next_ns)
        return false;
    l->next_ns = MAX(l->next_ns, now - CATCH_UP_NS) + NS_PER_S / l->rate;
    return true;
}

/* Puts idle workers to work as far as the total and the rate allow. */
static void pump(struct load *l)
{
    mono_ns now = l->rate == 0 ? 0 : clock_mono_ns(clock_posix());

    while (l->idle != NULL && l->begun < l->total && take_turn(l, now)) {
        struct worker *w = l->idle;

        l->idle = w->next_idle;
        worker_start(w);
    }
    if (l->rate > 0 && l->idle != NULL && l->begun < l->total && !l->waiting) {
        l->waiting = true;
        ketch_after(l->bench->conns[0], MAX((l->next_ns - now) / NS_PER_MS, 1), on_due, l);
    }
}

void load_done(struct worker *w, const char *error)
{
    struct load *l = w->load;
    mono_ns now = clock_mono_ns(clock_posix());

    if (error != NULL)
        report_fail(w->report, error, now);
    else
        report_add(w->report, w->began, now);
    l->done++;
    ASSERT(l->done <= l->total);
    if (!l->quiet)
        progress_add(&l->progress, 1, now);
    if (l->done == l->total) {
        if (!l->waiting) /* else the timer, which knows the load, must come first */
            ketch_stop(l->bench->conns[0]);
        return;
    }
    w->next_idle = l->idle;
    l->idle = w;
    pump(l);
}

void load_answered(struct ketch_reply *reply, const struct ketch_error *e, void *user)
{
    ketch_reply_free(reply);
    load_done(user, e->code == KETCH_OK ? NULL : e->text);
}

void load_send(struct worker *w, enum ketch_method m, const ProtobufCMessage *request)
{
    if (ketch_start_unread(w->client, m, request, 0, load_answered, w) == NULL)
        bench_die("out of memory");
}

void load_ask(struct worker *w, enum ketch_method m, const ProtobufCMessage *request,
              ketch_done_fn *done)
{
    if (ketch_start(w->client, m, request, 0, done, w) == NULL)
        bench_die("out of memory");
}

void load_run(struct load *l)
{
    size_t n = l->bench->worker_count;

    l->workers = xmem_calloc(n, sizeof(*l->workers));
    l->idle = NULL;
    for (size_t i = n; i-- > 0;) {
        struct worker *w = &l->workers[i];

        *w = (struct worker){.load = l,
                             .client = bench_conn(l->bench, i),
                             .report = l->report,
                             .index = i,
                             .next_idle = l->idle};
        l->idle = w;
    }
    l->begun = l->done = 0;
    l->next_ns = clock_mono_ns(clock_posix());
    report_begin(l->report, l->next_ns);
    progress_begin(&l->progress, l->total);
    if (l->total > 0) {
        pump(l);
        ketch_run(l->bench->conns[0]);
    }
    if (!l->quiet)
        progress_end(&l->progress);
    mem_free(l->workers);
    l->workers = NULL;
}
