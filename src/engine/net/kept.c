#define _GNU_SOURCE
#include "engine/net/kept.h"

#include "engine/net/h2_server.h"

void kept__init(struct server_loop *sl)
{
    list_init(&sl->kept);
    sl->kept_part_bytes = sl->server->options.limits.server_kept_bytes_max / sl->server->loops_n;
}

static uint64_t load(const _Atomic uint64_t *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

/* What all loops keep beyond the limit, 0: nothing; without what is going away when `live`. */
static bool too_much(const struct net_server *s, bool live)
{
    uint64_t n = 0;

    for (size_t i = 0; i < s->loops_n; i++) {
        n += load(&s->loops[i].kept_bytes);
        if (live)
            n -= MIN(n, load(&s->loops[i].kept_going_bytes));
    }
    return n > s->options.limits.server_kept_bytes_max;
}

/* ---- who has most ---- */

static struct server_conn *of(struct list *x)
{
    return CONTAINER_OF(x, struct server_conn, kept_link);
}

static uint64_t weight(const struct server_conn *sc)
{
    mono_ns quiet = sc->conn.loop->now - sc->took_ns;
    bool takes = sc->took_ns != 0 && quiet < NET_KEPT_TAKES_MS * INT64_C(1000000);

    return takes ? sc->kept_bytes / NET_KEPT_TAKER : sc->kept_bytes;
}

/* One of as many as there is time to look at; those are last next time.  NULL: they are all on
 * their way out.  Those that keep nothing leave the list. */
static struct server_conn *who_has_most(struct server_loop *sl)
{
    struct server_conn *most = NULL;

    for (unsigned looked = 0; looked < NET_KEPT_LOOK_MAX && !list_empty(&sl->kept); looked++) {
        struct server_conn *sc = of(list_pop(&sl->kept));

        if (sc->kept_bytes == 0)
            continue;
        list_push(&sl->kept, &sc->kept_link);
        if (!sc->kept_going && (most == NULL || weight(sc) > weight(most)))
            most = sc;
    }
    return most;
}

/* At once if it does not even read what it is told. */
static void end(struct server_conn *sc)
{
    kept__going(sc);
    if (sc->h2 != NULL)
        h2_server__calm_down(sc->h2, "too_many_bytes_kept");
    else
        loop__count(&sc->sl->counters.abuse_closed, 1);
    if (sc->h2 == NULL || sc->conn.want_write)
        conn__doom(&sc->conn, ERR_LIMIT);
}

void kept__look(struct server_conn *sc)
{
    struct server_conn *most;

    if (!too_much(sc->sl->server, true))
        return;
    most = who_has_most(sc->sl);
    if (most != NULL)
        end(most);
}

/* ---- connections and calls ---- */

void kept__going(struct server_conn *sc)
{
    if (sc->kept_going)
        return;
    sc->kept_going = true;
    loop__count(&sc->sl->kept_going_bytes, sc->kept_bytes);
}

void kept__gone(struct server_conn *sc)
{
    ASSERT(sc->kept_bytes == 0);
    list_remove(&sc->kept_link);
}

bool kept__refuses(const struct call *c)
{
    const struct server_loop *sl = c->sc->sl;

    return c->sc->kept_bytes > NET_CONN_KEPT_OWN_BYTES &&
           load(&sl->kept_bytes) > sl->kept_part_bytes && too_much(sl->server, false);
}

void kept__base(struct call *c, uint64_t n)
{
    c->kept_base = (uint32_t) MIN(n, (uint64_t) UINT32_MAX);
    kept__update(c);
}
