/* kept.h -- what the calls of a server's clients make it keep, and who has most of it.
 *
 * Counted is a call from when its request is whole until it is freed: itself and its request; once
 * it is answered, what its arena holds; and of its body what has not left.  So it covers requests
 * that wait, answers that are not taken and events that are not read.  Not counted: what pulls will
 * make, messages that are counted as held (net_limits.h), lists that their service counts
 * (call_arena_counted).  A block that many bodies share is divided by how many had it before.
 *
 *      sum > limit ---> who keeps most is live ------------------------> told to calm down, ended
 *                  `--> those that were told, or have gone, explain it -> only a new request of who
 *                                                                        has his part is refused
 *
 * Who took something a moment ago is spared until it has NET_KEPT_TAKER times as much as one that
 * takes nothing: a large stream whose client reads is not ended for those who do not.
 *
 * Each loop sums up its own, and looks at the sums of the others when it has more than its share of
 * the limit.  So all together keep twice the limit at the most, and that only if most of it is on
 * one loop where nothing is asked any more.
 *
 * Invariants: sl.kept_bytes is the sum over the connections of the loop, each of these that of its
 * calls; sl.kept_going_bytes that of the connections that were told or are closed.
 *
 * Threads: the loop's; the sums are read by others.
 */
#ifndef KETCH_ENGINE_NET_KEPT_H
#define KETCH_ENGINE_NET_KEPT_H

#include "engine/net/call_int.h"

void kept__init(struct server_loop *sl);

/* The connection was told to go, or is closed; its calls may still be with their services. */
void kept__going(struct server_conn *sc);
/* Nothing of it is kept any more. */
void kept__gone(struct server_conn *sc);

/* The limit is passed: see above. */
void kept__look(struct server_conn *sc);

/* True: the request of c, counted already, is too much. */
NODISCARD bool kept__refuses(const struct call *c);

/* From now on c keeps `n` bytes beside its body. */
void kept__base(struct call *c, uint64_t n);

static inline void kept__move(struct server_conn *sc, uint64_t by)
{
    struct server_loop *sl = sc->sl;

    sc->kept_bytes += by;
    loop__count(&sl->kept_bytes, by);
    if (UNLIKELY(sc->kept_going))
        loop__count(&sl->kept_going_bytes, by);
}

/* What c keeps has changed. */
static inline void kept__update(struct call *c)
{
    uint64_t now = c->kept_base + c->out.own_bytes;
    uint64_t before = c->kept_bytes;
    struct server_conn *sc = c->sc;

    if (now == before)
        return;
    c->kept_bytes = now;
    kept__move(sc, now - before);
    if (now < before)
        return;
    if (UNLIKELY(list_empty(&sc->kept_link)))
        list_push(&sc->sl->kept, &sc->kept_link);
    if (UNLIKELY(atomic_load_explicit(&sc->sl->kept_bytes, memory_order_relaxed) >
                 sc->sl->kept_part_bytes))
        kept__look(sc);
}

#endif
