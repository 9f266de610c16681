#define _GNU_SOURCE
#include "engine/net/opening.h"

_Static_assert(sizeof(struct call) + 320 <= NET_OPENING_BYTES, "and a stream of nghttp2's");

void opening__init(struct server_loop *sl)
{
    const struct net_server *s = sl->server;

    list_init(&sl->opening);
    sl->opening_bytes_max = MAX(
        s->options.limits.server_opening_bytes_max / s->loops_n,
        MIN(s->options.limits.server_opening_bytes_max, NET_LOOP_OPENING_BYTES_MIN));
}

static struct h2_server *of(struct list *x)
{
    return CONTAINER_OF(x, struct h2_server, opening_link);
}

/* Who has most: `h2` or one of as many others as there is time to look at.  Those that were looked
 * at are last next time, those that have none leave. */
static struct h2_server *who_has_most(struct server_loop *sl, struct h2_server *h2)
{
    struct h2_server *most = h2;

    for (unsigned looked = 0; looked < NET_OPENING_LOOK_MAX && !list_empty(&sl->opening);) {
        struct h2_server *other = of(list_pop(&sl->opening));

        if (other->opening_bytes == 0)
            continue;
        looked++;
        list_push(&sl->opening, &other->opening_link);
        if (other->opening_bytes > most->opening_bytes)
            most = other;
    }
    return most;
}

/* Ends a connection; at once if it does not even read that. */
static void end(struct h2_server *h2)
{
    h2_server__calm_down(h2, "too_many_unfinished_requests");
    if (h2->sc->conn.want_write)
        conn__doom(&h2->sc->conn, ERR_LIMIT);
}

void opening__begin(struct call *c)
{
    struct h2_server *h2 = c->h2;
    struct server_loop *sl = c->sc->sl;

    ASSERT(c->opening_bytes == 0);
    ASSERT(!h2->terminated);
    c->opening_bytes = NET_OPENING_BYTES + c->head_bytes;
    if (c->more != NULL)
        c->opening_bytes += (uint32_t) sizeof *c->more;
    h2->opening_bytes += c->opening_bytes;
    sl->opening_bytes += c->opening_bytes;
    if (UNLIKELY(list_empty(&h2->opening_link)))
        list_push(&sl->opening, &h2->opening_link);
    if (UNLIKELY(sl->opening_bytes > sl->opening_bytes_max))
        end(who_has_most(sl, h2));
}

void opening__forget(struct h2_server *h2)
{
    struct server_loop *sl = h2->sc->sl;

    ASSERT(sl->opening_bytes >= h2->opening_bytes);
    sl->opening_bytes -= h2->opening_bytes;
    h2->opening_bytes = 0;
    list_remove(&h2->opening_link);
}
