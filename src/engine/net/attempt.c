#define _GNU_SOURCE
#include "engine/net/attempt.h"

#include "engine/net/dial.h"

static void on_dialed(void *user, int fd, const char *why)
{
    struct attempt *a = user;

    a->dial = NULL;
    loop_timer_stop(a->loop, &a->over);
    a->done(a, fd, why);
}

static void on_over(struct loop_timer *t)
{
    struct attempt *a = CONTAINER_OF(t, struct attempt, over);
    char why[sizeof a->what + 32];

    snprintf(why, sizeof why, "dial tcp %s: i/o timeout", a->what);
    attempt__cancel(a);
    a->done(a, -1, why);
}

void attempt__init(struct attempt *a, struct loop *l,
                   void (*done)(struct attempt *a, int fd, const char *why))
{
    *a = (struct attempt){.loop = l, .done = done};
    loop_timer_init(&a->over, on_over);
}

int attempt__start(struct attempt *a, const char *host, uint16_t port, int64_t time_ms)
{
    ASSERT(a->dial == NULL);
    if (loop_timer_start(a->loop, &a->over, time_ms) != 0)
        return ERR_NOMEM;
    addr__target_text(host, port, a->what, sizeof a->what);
    a->dial = dial__start(a->loop, host, port, NULL, on_dialed, a);
    if (a->dial == NULL)
        loop_timer_stop(a->loop, &a->over);
    return a->dial == NULL ? ERR_NOMEM : 0;
}

void attempt__cancel(struct attempt *a)
{
    loop_timer_stop(a->loop, &a->over);
    if (a->dial != NULL)
        dial__cancel(a->dial);
    a->dial = NULL;
    ASSERT(!loop_timer_active(&a->over)); /* its owner may free it now: invariant 14 */
}
