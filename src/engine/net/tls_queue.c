/* tls_queue.c -- whose handshake is next.
 *
 * A step costs the worker up to a millisecond (a signature), a handshake under way about 40 KiB.
 * So the worker is given a few steps at a time, and NET_HANDSHAKES_MAX clients have a place; the
 * bytes of all others are held, and their sockets left alone, until it is their turn: first who
 * has a place already, then in the order of coming.
 *
 * Invariants: who waits is TLS_WAITING and not read from; shaking_n is the length of loop.shaking.
 * Nobody waits without a reason: the worker has no room, or there is no place and the timer runs.
 */
#define _GNU_SOURCE
#include "engine/net/tls_worker.h"

/* ---- places ---- */

/* Who came first of those that have a place, and is not with the worker: when all places are taken
 * it makes room for another, in time. */
static struct tls_conn *oldest(const struct loop *l)
{
    LIST_EACH (x, &l->shaking) {
        struct tls_conn *t = CONTAINER_OF(x, struct tls_conn, place);

        if (t->state != TLS_AWAY)
            return t;
    }
    ASSERT(false); /* there are more places than steps away */
    return NULL;
}

static mono_ns patience_ends(const struct loop *l)
{
    return oldest(l)->begun_ns + NET_HANDSHAKE_PATIENCE_MS * INT64_C(1000000);
}

/* One that keeps others waiting and says nothing makes room. */
static void make_room(struct loop *l)
{
    if (l->shaking_n >= NET_HANDSHAKES_MAX && l->now >= patience_ends(l))
        tls_conn__reject(oldest(l), "i/o timeout", false, false);
}

static bool has_place(struct tls_conn *t)
{
    struct loop *l = t->conn->loop;

    if (!list_empty(&t->place))
        return true;
    make_room(l);
    if (l->shaking_n >= NET_HANDSHAKES_MAX)
        return false;
    list_push(&l->shaking, &t->place);
    l->shaking_n++;
    t->begun_ns = l->now;
    return true;
}

/* ---- turns ---- */

/* When there can be a place. */
static void arm_at(struct loop *l, mono_ns at)
{
    if (list_empty(&l->shake_waiting) || loop__timer_at(l, &l->shake_timer, at) == 0)
        return;
    LIST_EACH_SAFE (x, &l->shake_waiting) { /* no memory for a timer */
        struct tls_conn *t = CONTAINER_OF(x, struct tls_conn, wait);

        list_remove(&t->wait);
        conn__doom(t->conn, ERR_NOMEM);
    }
}

/* In the next turn of the loop, after its sockets. */
static void arm(struct loop *l)
{
    arm_at(l, l->now + 1);
}

void tls_queue__next(struct loop *l)
{
    while (!list_empty(&l->shake_waiting) && tls_worker__has_room(l->tls_worker)) {
        struct tls_conn *t = CONTAINER_OF(l->shake_waiting.next, struct tls_conn, wait);

        ASSERT(t->state == TLS_WAITING);
        if (t->conn->state != CONN_OPEN) {
            list_remove(&t->wait); /* ends with this turn */
        } else if (has_place(t)) {
            list_remove(&t->wait);
            tls_shake__away(t);
        } else {
            arm_at(l, patience_ends(l)); /* or when one is left */
            return;
        }
    }
}

void tls_queue__run(struct loop_timer *timer)
{
    tls_queue__next(CONTAINER_OF(timer, struct loop, shake_timer));
}

void tls_queue__enter(struct tls_conn *t, const uint8_t *p, size_t n)
{
    struct loop *l = t->conn->loop;

    if (!buf_add(&t->held, p, n)) {
        conn__doom(t->conn, ERR_LIMIT);
        return;
    }
    if (!list_empty(&t->place))
        list_push_front(&l->shake_waiting, &t->wait);
    else
        list_push(&l->shake_waiting, &t->wait);
    t->state = TLS_WAITING;
    tls_queue__next(l);
    if (t->state == TLS_WAITING)
        conn__pause_reading(t->conn, true);
}

void tls_queue__leave(struct tls_conn *t)
{
    struct loop *l = t->conn->loop;

    list_remove(&t->wait);
    if (list_empty(&t->place))
        return;
    list_remove(&t->place);
    l->shaking_n--;
    if (tls_worker__has_room(l->tls_worker))
        arm(l);
}
