#define _GNU_SOURCE
#include <unistd.h>

#include "base/alloc.h"
#include "engine/net/acceptor.h"
#include "engine/net/addr.h"
#include "engine/net/bind.h"
#include "engine/net/server_int.h"
#include "engine/net/tls.h"

struct listener {
    struct listener *next;
    struct net_server *server;
    struct acceptor acceptor;
    struct net_listen where; /* what is served; host and path are not kept */
    char *unix_path;         /* to remove at the end */
    uint32_t next_loop;
    _Atomic uint32_t open;
};

/* A socket on its way to another loop. */
struct handover {
    struct loop_task task;
    struct server_loop *sl;
    struct listener *ls;
    int fd;
    char peer[ADDR_TEXT_BYTES];
};

/* ---- accepted connections ---- */

void listener__closed(struct listener *ls)
{
    if (ls == NULL)
        return;
    atomic_fetch_sub_explicit(&ls->open, 1, memory_order_relaxed);
    if (ls->server->options.share != NULL)
        net_share_give(ls->server->options.share);
}

const struct net_listen *listener__where(const struct listener *ls)
{
    return &ls->where;
}

static void on_handover(struct loop_task *t)
{
    struct handover *h = CONTAINER_OF(t, struct handover, task);

    server__accepted(h->sl, h->ls, h->fd, h->peer);
    mem_free(h);
}

static void hand_over(struct listener *ls, int fd, const char *peer)
{
    struct server_loop *sl = &ls->server->loops[ls->next_loop++ % ls->server->loops_n];
    struct handover *h;

    if (sl == &ls->server->loops[0]) {
        server__accepted(sl, ls, fd, peer);
        return;
    }
    h = mem_alloc(sizeof *h);
    if (h == NULL) {
        close(fd);
        listener__closed(ls);
        return;
    }
    *h = (struct handover){.task.run = on_handover, .sl = sl, .ls = ls, .fd = fd};
    snprintf(h->peer, sizeof h->peer, "%s", peer);
    loop_post(sl->loop, &h->task);
}

/* True: a place is free at the end of the turn, of that one or of one that was ending already. */
static bool end_an_idle_one(struct server_loop *sl)
{
    bool ending = false;

    LIST_EACH (x, &sl->conns) { /* the oldest first */
        struct server_conn *sc = CONTAINER_OF(x, struct server_conn, link);

        if (sc->refs == 1 && sc->conn.state < CONN_DOOMED) {
            conn__doom(&sc->conn, ERR_LIMIT);
            return true;
        }
        ending |= sc->conn.state == CONN_DOOMED;
    }
    return ending;
}

static bool has_room(struct listener *ls)
{
    const struct net_server_options *o = &ls->server->options;

    if (atomic_load_explicit(&ls->open, memory_order_relaxed) >= o->limits.connections_max)
        return false;
    if (o->share != NULL && !net_share_take(o->share)) {
        if (!o->idle_yield || !net_share_take_ahead(o->share))
            return false;
        if (!end_an_idle_one(&ls->server->loops[0])) {
            net_share_give(o->share);
            return false;
        }
    }
    atomic_fetch_add_explicit(&ls->open, 1, memory_order_relaxed);
    return true;
}

static void accepted(struct acceptor *a, int fd, const struct sockaddr *sa)
{
    struct listener *ls = CONTAINER_OF(a, struct listener, acceptor);
    struct net_server *s = ls->server;
    char peer[ADDR_TEXT_BYTES];

    if (!has_room(ls)) {
        loop__count(&s->loops[0].counters.connections_refused, 1);
        close(fd);
        return;
    }
    conn__socket_options(fd);
    addr__text(sa, peer);
    hand_over(ls, fd, peer);
}

/* ---- listening ---- */

int net_server_listen(struct net_server *s, const struct net_listen *w, uint16_t *ret_port,
                      struct err *e)
{
    struct listener *ls = mem_calloc(1, sizeof *ls);
    int fd = -1;
    int rc;

    if (ls == NULL)
        return err_set(e, ERR_NOMEM, "listen: out of memory");
    rc = w->unix_path != NULL
             ? bind__unix(w->unix_path, &fd, e)
             : bind__tcp(w->host == NULL ? "" : w->host, w->port, w->reuse_port, &fd, e);
    if (rc != 0) {
        mem_free(ls);
        return rc;
    }
    acceptor__init(&ls->acceptor, s->loops[0].loop, fd, accepted);
    ls->server = s;
    ls->where = *w;
    ls->where.host = ls->where.unix_path = NULL;
    ls->where.tls = tls_ref(w->tls);
    if (w->serves == 0)
        ls->where.serves = NET_SERVES_GRPC | NET_SERVES_HTTP;
    if (w->unix_path != NULL)
        ls->unix_path = xmem_strdup(w->unix_path);
    ls->next = s->listeners;
    s->listeners = ls;
    if (ret_port != NULL)
        *ret_port = bind__port(fd);
    return 0;
}

void listener__start_all(struct net_server *s)
{
    for (struct listener *ls = s->listeners; ls != NULL; ls = ls->next)
        acceptor__start(&ls->acceptor);
}

void listener__stop_all(struct net_server *s)
{
    for (struct listener *ls = s->listeners; ls != NULL; ls = ls->next) {
        if (ls->acceptor.closing)
            continue;
        acceptor__stop(&ls->acceptor);
        if (ls->unix_path != NULL)
            unlink(ls->unix_path);
    }
}

void listener__free_all(struct net_server *s)
{
    listener__stop_all(s); /* those of a server that never ran */
    while (s->listeners != NULL) {
        struct listener *ls = s->listeners;

        acceptor__check_stopped(&ls->acceptor);
        s->listeners = ls->next;
        mem_free(ls->unix_path);
        tls_unref(ls->where.tls);
        mem_free(ls);
    }
}
