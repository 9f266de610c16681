/* tls_queue.c -- whose handshake is next.
 *
 * A step costs up to a millisecond (a signature), a handshake under way about 40 KiB.  So a turn of
 * the loop makes NET_HANDSHAKES_PER_TURN_MAX steps, and NET_HANDSHAKES_MAX clients have a place;
 * the bytes of all others are held, and their sockets left alone, until it is their turn: first who
 * has a place already, then in the order of coming.
 *
 * Invariants: who waits is TLS_WAITING and not read from; shaking_n is the length of loop.shaking.
 */
#define _GNU_SOURCE
#include "engine/net/tls_conn_int.h"

/* ---- places ---- */

/* When all places are taken: from then on the one that came first makes room for another. */
static mono_ns patience_ends(const struct loop *l)
{
    const struct tls_conn *oldest = CONTAINER_OF(l->shaking.next, struct tls_conn, place);

    return oldest->begun_ns + NET_HANDSHAKE_PATIENCE_MS * INT64_C(1000000);
}

/* One that keeps others waiting and says nothing makes room. */
static void make_room(struct loop *l)
{
    if (l->shaking_n >= NET_HANDSHAKES_MAX && l->now >= patience_ends(l))
        tls_conn__reject(CONTAINER_OF(l->shaking.next, struct tls_conn, place), "i/o timeout",
                         false, false);
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

/* In the next turn of the loop, after its sockets; or when there can be a place. */
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

static void arm(struct loop *l)
{
    arm_at(l, l->now + 1);
}

static void go_on(struct tls_conn *t)
{
    struct buf held = t->held;

    list_remove(&t->wait);
    t->state = TLS_SHAKING;
    buf_init(&t->held, NET_READ_BYTES);
    conn__pause_reading(t->conn, false);
    tls_conn__step(t, held.p, held.len);
    buf_done(&held);
}

void tls_queue__run(struct loop_timer *timer)
{
    struct loop *l = CONTAINER_OF(timer, struct loop, shake_timer);

    while (!list_empty(&l->shake_waiting) && l->shakes < NET_HANDSHAKES_PER_TURN_MAX) {
        struct tls_conn *t = CONTAINER_OF(l->shake_waiting.next, struct tls_conn, wait);

        if (!has_place(t)) {
            arm_at(l, patience_ends(l)); /* or when one is left */
            return;
        }
        l->shakes++;
        go_on(t);
    }
    arm(l);
}

bool tls_queue__enter(struct tls_conn *t, const uint8_t *p, size_t n)
{
    struct loop *l = t->conn->loop;
    bool begun = !list_empty(&t->place);

    if (l->shakes < NET_HANDSHAKES_PER_TURN_MAX && (begun || list_empty(&l->shake_waiting)) &&
        has_place(t)) {
        l->shakes++;
        return true;
    }
    if (begun)
        list_push_front(&l->shake_waiting, &t->wait);
    else
        list_push(&l->shake_waiting, &t->wait);
    t->state = TLS_WAITING;
    conn__pause_reading(t->conn, true);
    if (!buf_add(&t->held, p, n))
        conn__doom(t->conn, ERR_LIMIT);
    arm(l);
    return false;
}

void tls_queue__leave(struct tls_conn *t)
{
    struct loop *l = t->conn->loop;

    list_remove(&t->wait);
    if (list_empty(&t->place))
        return;
    list_remove(&t->place);
    l->shaking_n--;
    arm(l);
}
