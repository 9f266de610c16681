/* call_pool.c -- the memory of calls: each with the room for a small request in it or lent to it,
 * all of it from the pools of its loop, and back to them. */
#define _GNU_SOURCE
#include "base/alloc.h"
#include "engine/net/call_int.h"
#include "engine/net/h2_server.h"
#include "engine/net/kept.h"

/* The arena begins with the room inside the call. */
static void arena_seed(struct call *c, size_t bytes_max)
{
    arena_init(&c->arena, bytes_max);
    c->arena.next = c->room;
    c->arena.end = c->room + sizeof c->room;
}

void call__widen(struct call *c)
{
    struct loop *l = c->sc->conn.loop;
    struct list *x;

    if (c->more != NULL)
        return;
    x = list_pop(&l->rooms_free);
    if (x != NULL)
        l->rooms_free_n--;
    c->more = x == NULL ? mem_alloc(sizeof *c->more) : CONTAINER_OF(x, union call_room, link);
    if (c->more == NULL)
        return;
    c->arena.next = c->more->bytes;
    c->arena.end = c->more->bytes + sizeof c->more->bytes;
}

static void room_drop(struct loop *l, union call_room *r)
{
    if (r == NULL)
        return;
    if (l->rooms_free_n < LOOP_ROOMS_POOLED_MAX) {
        list_push_front(&l->rooms_free, &r->link);
        l->rooms_free_n++;
    } else {
        mem_free(r);
    }
}

struct call *call__new(struct h2_server *h2, struct server_conn *sc, int32_t id)
{
    struct loop *l = sc->conn.loop;
    struct list *x = list_pop(&l->calls_free);
    struct call *c = x == NULL ? mem_alloc(sizeof *c) : CONTAINER_OF(x, struct call, link);

    if (x != NULL)
        l->calls_free_n--;
    if (c == NULL)
        return NULL;
    memset(c, 0, offsetof(struct call, room));
    c->sc = sc;
    server__conn_ref(sc);
    c->h2 = h2;
    c->id = id;
    c->stream_open = true;
    c->timeout_ns = -1;
    c->fields_end = &c->fields;
    c->started_ns = l->now;
    list_init(&c->link);
    list_init(&c->writable_link);
    list_init(&c->deflate_link);
    loop_timer_init(&c->deadline, call__on_deadline);
    buf_init(&c->backlog, server__limits(sc)->stream_window_bytes);
    arena_seed(c, server__limits(sc)->call_arena_bytes_max);
    if (h2 != NULL) {
        c->queued_bytes = &h2->queued_bytes;
        list_push(&h2->calls, &c->link);
        h2->calls_n++;
    }
    loop__count(&sc->sl->counters.calls_open, 1);
    return c;
}

void call__maybe_free(struct call *c)
{
    struct loop *l = c->sc->conn.loop;
    struct server_conn *sc = c->sc;

    if (c->stream_open || c->owned || c->http != NULL)
        return;
    ASSERT(c->out.head == NULL); /* invariant 14 */
    ASSERT(list_empty(&c->link));
    ASSERT(list_empty(&c->writable_link));
    ASSERT(list_empty(&c->deflate_link));
    ASSERT(c->inflation == NULL);
    loop__uncount(&sc->sl->counters.calls_open, 1);
    loop_timer_stop(l, &c->deadline);
    call__message_drop(c);
    kept__base(c, 0);
    ASSERT(c->kept_bytes == 0);
    buf_done(&c->backlog);
    arena_done(&c->arena);
    room_drop(l, c->more);
    sc->head_bytes -= c->head_bytes;
    if (l->calls_free_n < LOOP_CALLS_POOLED_MAX) {
        list_push_front(&l->calls_free, &c->link);
        l->calls_free_n++;
    } else {
        mem_free(c);
    }
    server__conn_unref(sc);
}

void call__pool_drop(struct loop *l)
{
    struct list *x;

    while ((x = list_pop(&l->calls_free)) != NULL)
        mem_free(CONTAINER_OF(x, struct call, link));
    while ((x = list_pop(&l->rooms_free)) != NULL)
        mem_free(CONTAINER_OF(x, union call_room, link));
    l->calls_free_n = l->rooms_free_n = 0;
}
