#define _GNU_SOURCE
#include "engine/net/forward.h"

#include <unistd.h>

#include "base/alloc.h"
#include "engine/net/acceptor.h"
#include "engine/net/addr.h"
#include "engine/net/attempt.h"
#include "engine/net/bind.h"
#include "engine/net/conn.h"
#include "engine/net/forward_pair.h"

struct net_forward {
    struct net_forward_options o;
    struct acceptor acceptor;
    bool listening; /* the acceptor has a socket */
    bool closed;
    struct list flows;
    size_t flows_n; /* those whose memory is still there, closed ones too */
    struct net_forward_counters counters;
};

/* One connection that came in: at first without, then with, one that goes out. */
struct flow {
    struct list link;
    struct net_forward *owner;
    struct attempt attempt;
    int fd; /* of the one that came in, until the pair has it; then -1 */
    size_t target;
    struct pair pair;
};

static void maybe_free(struct net_forward *f)
{
    if (f->closed && f->flows_n == 0 && !f->acceptor.polling)
        mem_free(f);
}

/* Takes it out of the list: it no longer counts as a connection. */
static void flow_leave(struct flow *w)
{
    list_remove(&w->link);
    w->owner->counters.open--;
}

static void flow_free(struct flow *w)
{
    struct net_forward *f = w->owner;

    ASSERT(w->attempt.dial == NULL); /* invariant 14 */
    ASSERT(!loop_timer_active(&w->attempt.over));
    mem_free(w);
    f->flows_n--;
    maybe_free(f);
}

/* There is no pair, and will be none. */
static void flow_give_up(struct flow *w)
{
    close(w->fd);
    flow_leave(w);
    flow_free(w);
}

static void on_pair_closed(struct pair *p, bool silent)
{
    struct flow *w = CONTAINER_OF(p, struct flow, pair);

    w->owner->counters.cut += silent;
    flow_leave(w);
}

static void on_pair_freed(struct pair *p)
{
    flow_free(CONTAINER_OF(p, struct flow, pair));
}

static void flow_try(struct flow *w)
{
    struct net_forward *f = w->owner;
    struct net_target t;

    if (!f->o.choose(f->o.user, &t)) {
        flow_give_up(w);
        return;
    }
    w->target = t.id;
    if (attempt__start(&w->attempt, t.host, t.port, NET_FORWARD_DIAL_MS) != 0)
        flow_give_up(w);
}

static void on_attempted(struct attempt *a, int fd, const char *why)
{
    struct flow *w = CONTAINER_OF(a, struct flow, attempt);
    struct net_forward *f = w->owner;
    int in = w->fd;

    if (fd < 0) {
        f->o.failed(f->o.user, w->target, why);
        flow_try(w);
        return;
    }
    w->fd = -1;
    w->pair.closed = on_pair_closed;
    w->pair.freed = on_pair_freed;
    pair__start(&w->pair, f->o.loop, in, fd);
}

static void on_accepted(struct acceptor *a, int fd, const struct sockaddr *peer)
{
    struct net_forward *f = CONTAINER_OF(a, struct net_forward, acceptor);
    struct flow *w = NULL;

    (void) peer;
    if (f->counters.open < f->o.connections_max)
        w = mem_calloc(1, sizeof *w);
    if (w == NULL) {
        close(fd);
        f->counters.refused++;
        f->o.full(f->o.user);
        return;
    }
    conn__socket_options(fd);
    w->owner = f;
    w->fd = fd;
    attempt__init(&w->attempt, f->o.loop, on_attempted);
    list_push(&f->flows, &w->link);
    f->flows_n++;
    f->counters.open++;
    f->counters.total++;
    flow_try(w);
}

static void on_acceptor_stopped(struct acceptor *a)
{
    maybe_free(CONTAINER_OF(a, struct net_forward, acceptor));
}

int net_forward_new(const struct net_forward_options *o, struct net_forward **ret, struct err *e)
{
    struct net_forward *f = mem_calloc(1, sizeof *f);

    if (f == NULL)
        return err_set(e, ERR_NOMEM, "forward: out of memory");
    f->o = *o;
    list_init(&f->flows);
    *ret = f;
    return 0;
}

int net_forward_listen(struct net_forward *f, const char *host, uint16_t port, uint16_t *ret_port,
                       struct err *e)
{
    int fd = -1;
    int rc = bind__tcp(host, port, false, &fd, e);

    ASSERT(!f->listening);
    if (rc != 0)
        return rc;
    acceptor__init(&f->acceptor, f->o.loop, fd, on_accepted);
    f->acceptor.stopped = on_acceptor_stopped;
    f->listening = true;
    if (ret_port != NULL)
        *ret_port = bind__port(fd);
    return 0;
}

void net_forward_start(struct net_forward *f)
{
    ASSERT(f->listening);
    acceptor__start(&f->acceptor);
}

void net_forward_close(struct net_forward *f)
{
    struct list *x;

    if (f == NULL)
        return;
    ASSERT(!f->closed);
    if (f->listening)
        acceptor__stop(&f->acceptor);
    while ((x = f->flows.next) != &f->flows) {
        struct flow *w = CONTAINER_OF(x, struct flow, link);

        if (w->fd < 0) {
            pair__close(&w->pair, false);
        } else {
            attempt__cancel(&w->attempt);
            flow_give_up(w);
        }
    }
    f->closed = true;
    maybe_free(f);
}

void net_forward_counters(const struct net_forward *f, struct net_forward_counters *ret)
{
    *ret = f->counters;
}
