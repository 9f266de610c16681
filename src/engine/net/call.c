#define _GNU_SOURCE
#include "engine/net/call.h"

#include <sys/un.h>

#include "base/alloc.h"
#include "engine/net/addr.h"
#include "engine/net/call_int.h"
#include "engine/net/h2_server.h"
#include "engine/net/http_int.h"
#include "engine/net/opening.h"

static void on_deadline(struct loop_timer *t);

/* ---- memory ---- */

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
    loop_timer_init(&c->deadline, on_deadline);
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
    loop__uncount(&sc->sl->counters.calls_open, 1);
    loop_timer_stop(l, &c->deadline);
    call__message_drop(c);
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

/* ---- the outgoing side ---- */

/* Keeps the connection's sum in step with a change of the body. */
static void queued_moved(struct call *c, uint64_t held_before)
{
    *c->queued_bytes += c->out.held_bytes - held_before;
}

static void body_drop(struct call *c)
{
    *c->queued_bytes -= c->out.held_bytes;
    body_clear(&c->out);
}

enum body_taken call__take(struct call *c, struct outq *q, size_t n)
{
    uint64_t before = c->out.held_bytes;
    enum body_taken rc = body_take(&c->out, q, n);

    queued_moved(c, before);
    if (c->above_mark && call__unsent(c) < c->writable_mark) {
        c->above_mark = false;
        if (list_empty(&c->writable_link))
            list_push(&c->h2->writable, &c->writable_link);
    }
    return rc;
}

void call__run_writable(struct call *c)
{
    if (c->owned && c->stream_open && c->on_writable != NULL)
        c->on_writable(c);
}

/* The reader of a call from within the process takes the text as it is. */
static char *status_text(struct call *c, struct bytes t)
{
    char *p = t.n == 0 ? NULL : arena_alloc(&c->arena, 3 * t.n + 1);

    if (p == NULL)
        return NULL;
    if (c->local != NULL)
        snprintf(p, t.n + 1, "%s", (const char *) t.p);
    else
        p[grpc_percent_encode(t, p)] = '\0';
    return p;
}

/* Decides the status and sets it on its way. */
void call__answer(struct call *c, int http_status, int code, const char *text)
{
    struct bytes t = text == NULL ? BYTES_EMPTY : bytes_str(text);

    ASSERT(!c->answered);
    c->answered = true;
    c->code = code;
    loop_timer_stop(c->sc->conn.loop, &c->deadline);
    if (c->counted) {
        const struct net_call_hooks *h = &c->sc->sl->server->options.hooks;

        c->counted = false;
        c->text = text;
        if (h->end != NULL)
            h->end(c, c->stream_open ? code : GRPC_STATUS_CANCELED, h->user);
        c->text = NULL;
    }
    if (!c->stream_open)
        return;
    c->message = status_text(c, t);
    if (c->local != NULL)
        call_local__wake(c->local);
    else if (c->headers_sent)
        h2_server__resume(c);
    else if (call__unsent(c) == 0)
        h2_server__submit_status(c, http_status);
    else
        h2_server__submit_headers(c);
}

static void release(struct call *c)
{
    ASSERT(c->owned);
    c->owned = false;
    c->on_cancel = NULL;
    c->on_writable = NULL;
    call__maybe_free(c);
}

void call__cancel(struct call *c, enum call_cancel_reason why)
{
    void (*fn)(struct call *, enum call_cancel_reason) = c->on_cancel;

    if (!c->owned || c->canceled != CALL_NOT_CANCELED)
        return;
    c->canceled = why;
    c->on_cancel = NULL;
    if (fn != NULL)
        fn(c, why);
}

void call__fail(struct call *c, int http_status, int code, const char *text)
{
    if (c->answered)
        return;
    call__answer(c, http_status, code, text);
    /* What was queued before still leaves; whoever works for the call may stop. */
    call__cancel(c, CALL_CANCELED_BY_CLIENT);
}

void call__stream_closed(struct call *c)
{
    struct h2_server *h2 = c->h2;

    ASSERT(c->stream_open);
    list_remove(&c->link);
    list_remove(&c->writable_link);
    call__deflate_drop(c);
    body_drop(c);
    call__message_drop(c);
    opening__end(c);
    loop_timer_stop(c->sc->conn.loop, &c->deadline);
    if (h2 != NULL) {
        h2->calls_n--;
        if (h2->last == c)
            h2->last = NULL;
    }
    c->stream_open = false;
    c->h2 = NULL;
    c->local = NULL;
    c->queued_bytes = NULL;
    /* The callbacks may end the call, and with it free it: nothing of c after them. */
    if (c->http != NULL)
        http__h2_closed(c);
    else if (c->owned && !c->answered)
        call__cancel(c, CALL_CANCELED_BY_CLIENT);
    else
        call__maybe_free(c);
}

static void on_deadline(struct loop_timer *t)
{
    struct call *c = CONTAINER_OF(t, struct call, deadline);

    ASSERT(!c->answered);
    ASSERT(c->stream_open); /* it keeps c alive through the callback */
    call__cancel(c, CALL_DEADLINE);
    if (!c->answered)
        call__answer(c, 200, GRPC_STATUS_DEADLINE_EXCEEDED, "context deadline exceeded");
}

/* ---- the service's view ---- */

struct loop *call_loop(const struct call *c)
{
    return c->sc->conn.loop;
}

struct arena *call_arena(struct call *c)
{
    return &c->arena;
}

const struct net_method *call_method(const struct call *c)
{
    return c->method;
}

void *call_service(const struct call *c)
{
    return c->service;
}

struct bytes call_request(const struct call *c)
{
    return c->request;
}

void call_set_user(struct call *c, void *user)
{
    c->user = user;
}

void *call_user(const struct call *c)
{
    return c->user;
}

bool call_metadata(const struct call *c, const char *name, struct bytes *ret)
{
    size_t n = strlen(name);

    for (const struct field *f = c->fields; f != NULL; f = f->next) {
        if (f->name.n == n && memcmp(f->name.p, name, n) == 0) {
            *ret = f->value;
            return true;
        }
    }
    return false;
}

const char *call_peer(const struct call *c)
{
    return c->sc->conn.peer;
}

void call_address(const struct call *c, char out[CALL_ADDRESS_BYTES])
{
    union {
        struct sockaddr sa;
        struct sockaddr_un un;
        struct sockaddr_storage any;
    } a = {.any = {0}};
    socklen_t n = sizeof a;

    _Static_assert(CALL_ADDRESS_BYTES > sizeof a.un.sun_path, "a path fits");
    _Static_assert(CALL_ADDRESS_BYTES >= ADDR_TEXT_BYTES, "an address fits");
    if (getsockname(c->sc->conn.fd, &a.sa, &n) != 0)
        out[0] = '\0'; /* there is no socket: a test */
    else if (a.sa.sa_family == AF_UNIX)
        snprintf(out, CALL_ADDRESS_BYTES, "%.*s", (int) sizeof a.un.sun_path, a.un.sun_path);
    else
        addr__text(&a.sa, out);
}

const char *call_status_text(const struct call *c)
{
    return c->text;
}

const char *call_common_name(const struct call *c)
{
    return c->inner ? NULL : c->sc->common_name;
}

mono_ns call_started_ns(const struct call *c)
{
    return c->started_ns;
}

mono_ns call_deadline_ns(const struct call *c)
{
    return c->deadline_ns;
}

size_t call_request_bytes(const struct call *c)
{
    return c->bytes_in;
}

size_t call_reply_bytes(const struct call *c)
{
    return c->bytes_out;
}

void call_on_cancel(struct call *c, void (*fn)(struct call *c, enum call_cancel_reason why))
{
    ASSERT(c->owned);
    c->on_cancel = fn;
}

enum call_cancel_reason call_canceled(const struct call *c)
{
    return c->canceled;
}

static uint64_t pieces_bytes(const struct net_piece *v, size_t vn)
{
    uint64_t n = 0;

    for (size_t i = 0; i < vn; i++)
        n += v[i].bytes.n;
    return n;
}

static void message_counted(struct call *c, uint64_t n)
{
    c->bytes_out += n;
    loop__count(&c->sc->sl->counters.grpc_bytes_out, n);
}

/* Takes `z`: a message, compressed; NULL: there was no memory for it. */
static bool queue_deflated(struct call *c, struct arena *a, struct payload *z)
{
    uint8_t head[GRPC_HEAD_BYTES];
    struct net_piece piece;
    bool added;

    if (z == NULL)
        return false;
    piece = net_piece_counted(z);
    grpc_head_put(head, GRPC_COMPRESSED, (uint32_t) z->bytes);
    added = body_add(&c->out, a, bytes_of(head, sizeof head), &piece, 1);
    payload_unref(z);
    return added;
}

/* Queues a message, unless it is too large; a: as body_add. */
static int queue(struct call *c, struct arena *a, const struct net_piece *v, size_t vn)
{
    uint64_t n = pieces_bytes(v, vn);
    uint64_t before = c->out.held_bytes;
    uint8_t head[GRPC_HEAD_BYTES];
    bool added;

    if (n > NET_SEND_MESSAGE_BYTES_MAX)
        return ERR_LIMIT;
    grpc_head_put(head, GRPC_PLAIN, (uint32_t) n);
    if (UNLIKELY(c->gzip) && call__deflates_later(c, n))
        added = call__deflate_later(c, v, vn, n);
    else if (UNLIKELY(c->gzip) && n > 0)
        added = queue_deflated(c, a, call__deflate(v, vn, n));
    else
        added = body_add(&c->out, a, bytes_of(head, sizeof head), v, vn);
    if (!added)
        return ERR_NOMEM;
    queued_moved(c, before);
    message_counted(c, n);
    return 0;
}

static bool queue_deflated_pull(struct call *c, struct arena *a, uint64_t n,
                                const struct net_pull *pull)
{
    bool added = queue_deflated(c, a, call__deflate_pull(n, pull));

    if (added && pull->done != NULL)
        pull->done(pull->arg);
    return added;
}

static int queue_pull(struct call *c, struct arena *a, uint64_t n, const struct net_pull *pull)
{
    uint64_t before = c->out.held_bytes;
    uint8_t head[GRPC_HEAD_BYTES];
    bool added;

    if (n > NET_SEND_MESSAGE_BYTES_MAX)
        return ERR_LIMIT;
    grpc_head_put(head, GRPC_PLAIN, (uint32_t) n);
    if (UNLIKELY(c->gzip) && call__deflates_later(c, n))
        added = call__deflate_pull_later(c, n, pull);
    else if (UNLIKELY(c->gzip) && n > 0 && n <= CALL_DEFLATED_BYTES_MAX)
        added = queue_deflated_pull(c, a, n, pull);
    else
        added = body_add_pull(&c->out, a, bytes_of(head, sizeof head), n, pull);
    if (!added)
        return ERR_NOMEM;
    queued_moved(c, before);
    message_counted(c, n);
    return 0;
}

static bool nobody_listens(const struct call *c)
{
    return c->answered || !c->stream_open;
}

/* The end of a call by its service: tells the hooks even when nobody listens. */
static void end(struct call *c, int code, const char *text)
{
    if (!c->answered)
        call__answer(c, 200, code, text);
    release(c);
}

/* The end of a call whose answer of n bytes could not be queued; in grpc-go's words. */
static void end_unsent(struct call *c, uint64_t n)
{
    char text[96];

    snprintf(text, sizeof text, "grpc: trying to send message larger than max (%" PRIu64 " vs. %u)",
             n, NET_SEND_MESSAGE_BYTES_MAX);
    end(c, GRPC_STATUS_RESOURCE_EXHAUSTED, n > NET_SEND_MESSAGE_BYTES_MAX ? text : "out of memory");
}

void call_reply(struct call *c, const struct net_piece *v, size_t vn)
{
    ASSERT(c->owned);
    if (nobody_listens(c) || queue(c, &c->arena, v, vn) == 0)
        end(c, GRPC_STATUS_OK, NULL);
    else
        end_unsent(c, pieces_bytes(v, vn));
}

void call_reply_pull(struct call *c, uint64_t bytes, struct net_pull pull)
{
    ASSERT(c->owned);
    if (!nobody_listens(c) && queue_pull(c, &c->arena, bytes, &pull) == 0) {
        end(c, GRPC_STATUS_OK, NULL);
        return;
    }
    if (pull.done != NULL)
        pull.done(pull.arg);
    end_unsent(c, bytes);
}

void call_finish(struct call *c, int code, const char *message)
{
    ASSERT(c->owned);
    ASSERT(code >= 0);
    ASSERT(code <= GRPC_STATUS_LAST);
    end(c, code, message);
}

/* After a message was queued on a stream. */
static void stream_queued(struct call *c)
{
    if (c->on_writable != NULL && call__unsent(c) >= c->writable_mark)
        c->above_mark = true;
    if (c->local != NULL)
        call_local__wake(c->local);
    else if (c->headers_sent)
        h2_server__resume(c);
    else
        h2_server__submit_headers(c);
}

static int may_send(const struct call *c)
{
    ASSERT(c->owned);
    if (nobody_listens(c))
        return ERR_CANCELED;
    return *c->queued_bytes >= server__limits(c->sc)->conn_queued_bytes_max ? ERR_LIMIT : 0;
}

int call_send(struct call *c, const struct net_piece *v, size_t vn)
{
    int rc = may_send(c);

    if (rc == 0)
        rc = queue(c, NULL, v, vn);
    if (rc == 0)
        stream_queued(c);
    return rc;
}

int call_send_pull(struct call *c, uint64_t bytes, struct net_pull pull)
{
    int rc = may_send(c);

    if (rc == 0)
        rc = queue_pull(c, NULL, bytes, &pull);
    if (rc == 0)
        stream_queued(c);
    else if (pull.done != NULL)
        pull.done(pull.arg);
    return rc;
}

void call_send_headers(struct call *c)
{
    ASSERT(c->owned);
    if (!nobody_listens(c) && !c->headers_sent && c->local == NULL)
        h2_server__submit_headers(c);
}

size_t call_queued_bytes(const struct call *c)
{
    return (size_t) call__unsent(c);
}

void call_on_writable(struct call *c, size_t below_bytes, void (*fn)(struct call *c))
{
    ASSERT(c->owned);
    c->on_writable = fn;
    c->writable_mark = below_bytes;
    c->above_mark = fn != NULL && call__unsent(c) >= below_bytes;
}
