/* probe.c -- does a server take connections? */
#define _GNU_SOURCE
#include <unistd.h>

#include "base/alloc.h"
#include "engine/net/attempt.h"
#include "engine/net/forward.h"

struct net_probe {
    struct attempt attempt;
    size_t id;
    void (*done)(void *user, size_t id, const char *why);
    void *user;
};

static void on_attempted(struct attempt *a, int fd, const char *why)
{
    struct net_probe *p = CONTAINER_OF(a, struct net_probe, attempt);

    if (fd >= 0)
        close(fd);
    p->done(p->user, p->id, fd >= 0 ? NULL : why);
    mem_free(p);
}

struct net_probe *net_probe(struct loop *l, const struct net_target *t, int64_t time_ms,
                            void (*done)(void *user, size_t id, const char *why), void *user)
{
    struct net_probe *p = mem_alloc(sizeof *p);

    if (p == NULL)
        return NULL;
    *p = (struct net_probe){.id = t->id, .done = done, .user = user};
    attempt__init(&p->attempt, l, on_attempted);
    if (attempt__start(&p->attempt, t->host, t->port, time_ms) == 0)
        return p;
    mem_free(p);
    return NULL;
}

void net_probe_cancel(struct net_probe *p)
{
    if (p == NULL)
        return;
    attempt__cancel(&p->attempt);
    mem_free(p);
}
