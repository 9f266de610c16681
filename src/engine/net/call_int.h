/* call_int.h -- a call from the inside.  See call.h, and "States of a call" in README.md.
 *
 * Two sides hold a call: the HTTP/2 stream (stream_open) and the service (owned).  It goes back to
 * the loop's pool when neither does.
 *
 *   stream_open  owned  what it is
 *   yes          no     headers or a unary message are coming; or answered, and the answer leaves
 *   yes          yes    with the service
 *   no           yes    canceled; the service has not ended it yet
 *   no           no     in the pool
 *
 * `answered` says that the status is decided: by the service, or for it when its time was over.
 *
 * A call from within the process (call_local.h) has `local` in place of `h2`; "stream" then means
 * that end.
 *
 * Invariants: one of h2 and local is not NULL while stream_open; the body is empty when the stream
 * is closed; the deadline runs only while the status is undecided.
 */
#ifndef KETCH_ENGINE_NET_CALL_INT_H
#define KETCH_ENGINE_NET_CALL_INT_H

#include "base/buf.h"
#include "engine/net/body.h"
#include "engine/net/call.h"
#include "engine/net/grpc_int.h"
#include "engine/net/loop_int.h"
#include "engine/net/server_int.h"

/* Inside a call: for the head of its request, so that a call which nothing follows is small. */
#define CALL_HEAD_ROOM_BYTES 384

/* Added to it when its message is there, so that a small request needs no other memory; pooled, so
 * it is warm. */
#define CALL_ROOM_BYTES 2048

struct h2_server;
struct http_req;

/* The end of a call that came from within the process. */
struct call_local {
    struct call *call; /* NULL: freed by its owner while the task was on its way */
    struct loop *loop;
    struct loop_task task;
    bool posted;
    bool writable_due;
    bool broken; /* a pull gave up */
    void (*ready)(void *user);
    void *user;
    uint64_t queued_bytes;
    struct outq q;                 /* taken out of the body, not read yet */
    uint8_t head[GRPC_HEAD_BYTES]; /* of the message that is being read */
    size_t head_n;
    uint32_t left; /* of that message, `lent` included */
    size_t lent;   /* bytes of q that the reader looks at */
};

struct field {
    struct field *next;
    struct bytes name; /* lower case */
    struct bytes value;
};

struct call {
    struct call_head head; /* first: call_trace */
    struct list link;      /* h2_server.calls, or loop.calls_free */
    struct server_conn *sc;
    struct h2_server *h2; /* NULL: the connection is gone, or there is none of that kind */
    struct call_local *local;
    bool inner; /* from within the process: the connection's certificate is not the caller's */
    uint64_t *queued_bytes; /* of the bodies of h2 or local, pulls apart; out.held_bytes is in it */
    int32_t id;

    bool stream_open;
    bool owned;
    bool answered;      /* the status is decided */
    bool remote_closed; /* END_STREAM came */
    bool headers_sent;
    bool deferred; /* nghttp2 waits for more of the body */
    bool paused;
    bool plain;      /* HTTP, not gRPC: no trailers */
    bool short_body; /* at most NET_UNREAD_BYTES_MAX, says the client */
    bool counted;    /* hooks.begin ran, hooks.end has not */
    bool above_mark;
    bool arena_counted; /* by the service */
    bool given_up;      /* nothing leaves any more: the stream is being reset */
    enum call_cancel_reason canceled;

    /* The request's head. */
    bool is_grpc;
    bool malformed; /* a field that makes the request invalid: `bad_text` says what */
    bool gzip;      /* messages may be compressed, answers are */
    uint32_t head_bytes;
    uint32_t opening_bytes; /* counted in h2 and its loop while the request is not whole */
    uint32_t fields_n;
    uint32_t kept_base; /* counted beside the body: kept.h */
    int64_t timeout_ns; /* -1: none */
    struct bytes path;
    struct bytes http_method;
    struct bytes authority;
    struct bytes content_type;
    struct bytes encoding;
    const char *bad_text;
    struct field *fields; /* in order */
    struct field **fields_end;

    const struct net_method *method;
    void *service;
    void *user;
    struct http_req *http; /* a plain HTTP request over HTTP/2 */

    struct grpc_deframer in;
    bool msg_on_heap;
    bool got_message;    /* of a unary request */
    size_t unconsumed;   /* window of the stream, not given back yet */
    uint32_t held_bytes; /* counted in h2 and server for a message that came, or comes, in parts */
    struct bytes request;
    struct buf backlog; /* what came while paused; its window bytes are not given back yet */

    struct body out;
    uint64_t kept_bytes; /* counted in sc and its loop */
    int code;
    const char *text; /* of the status, while hooks.end runs */
    char *message;    /* percent-encoded, NUL-terminated; in the arena */
    size_t writable_mark;
    void (*on_writable)(struct call *c);
    void (*on_cancel)(struct call *c, enum call_cancel_reason why);
    struct list writable_link;

    struct inflation *inflation; /* of a message that waits to be inflated, or is being */

    /* Messages that are compressed in steps, in order; what is sent later waits behind them. */
    struct deflation *deflations;
    struct deflation *deflations_last;
    uint64_t deflating_bytes; /* of them, uncompressed */
    struct list deflate_link; /* h2_server.deflating, while there are any */

    struct loop_timer deadline;
    mono_ns started_ns;
    mono_ns deadline_ns;
    size_t bytes_in;
    size_t bytes_out;

    struct arena arena;
    union call_room *more; /* NULL: not yet */
    _Alignas(16) uint8_t room[CALL_HEAD_ROOM_BYTES];
};

union call_room {
    _Alignas(16) uint8_t bytes[CALL_ROOM_BYTES];
    struct list link; /* loop.rooms_free */
};

/* Of a call that keeps nothing else. */
static inline uint64_t call__own_bytes(const struct call *c)
{
    return NET_OPENING_BYTES + (c->more == NULL ? 0 : sizeof *c->more);
}

/* What the request of a call that is no stream has beside the call's own room. */
static inline size_t call__request_heap_bytes(const struct call *c)
{
    return arena_heap_bytes(&c->arena) + (c->msg_on_heap && c->got_message ? c->request.n : 0);
}

/* ---- call_pool.c ---- */

/* From the pool of the loop; NULL without memory.  h2 NULL: the caller sets the other end. */
struct call *call__new(struct h2_server *h2, struct server_conn *sc, int32_t id);
void call__maybe_free(struct call *c);
void call__pool_drop(struct loop *l);

/* More room, for a message or for a long head, once.  Without memory the arena will say so. */
void call__widen(struct call *c);

/* ---- call.c ---- */

/* The stream is gone: the service hears of it if it still holds the call. */
void call__stream_closed(struct call *c);

/* Runs the cancel callback, once. */
void call__cancel(struct call *c, enum call_cancel_reason why);

/* Decides the status, which was undecided, tells the hooks, and sets the answer on its way. */
void call__answer(struct call *c, int http_status, int code, const char *text);

/* Ends the call from this side, with a status and whoever holds it. */
void call__fail(struct call *c, int http_status, int code, const char *text);

/* The end by its service, which lets go of it: tells the hooks even when nobody listens. */
void call__end(struct call *c, int code, const char *text);

void call__on_deadline(struct loop_timer *t); /* of call.deadline */

/* h2_request.c: a copy of a header field behind those that are there. */
NODISCARD bool call__keep_field(struct call *c, struct bytes name, struct bytes value);

/* ---- call_begin.c ---- */

/* The head is complete. */
void call__begin(struct call *c);
/* Makes the call known to hooks and service; false: the hook has answered it. */
NODISCARD bool call__begin_service(struct call *c);

/* False: its time was over, and it has been answered so. */
NODISCARD bool call__in_time(struct call *c);

/* ---- call_input.c ---- */

/* Bytes of the request's body. */
void call__input(struct call *c, const uint8_t *p, size_t n);
/* END_STREAM. */
void call__input_end(struct call *c);
/* Forgets a message that is not complete. */
void call__message_drop(struct call *c);

/* An unfinished message of so many bytes is held, if it is not yet.  False: the call was failed. */
NODISCARD bool call__hold(struct call *c, uint32_t n);
/* A compressed message has become this one, whose memory may be taken. */
void call__inflated(struct call *c, struct buf *b);
/* What came meanwhile. */
void call__input_go_on(struct call *c);

/* ---- call_inflate.c ---- */

enum call_inflated {
    CALL_INFLATED,      /* into memory of its own */
    CALL_INFLATE_LATER, /* call.inflation keeps the message, and frees it if it is on the heap */
    CALL_INFLATE_FAILED /* so was the call */
};
/* A whole message of a call that has none that waits. */
NODISCARD enum call_inflated call__inflate(struct call *c, struct bytes in, bool on_heap,
                                           struct buf *out);
void call__inflate_drop(struct call *c); /* none: nothing */
void call__inflate_init(struct server_loop *sl);

/* ---- call_gzip.c ---- */

/* Longer answers that are made as they leave leave as they are: the length of a frame stands before
 * it, so that what is compressed has to be made first. */
#define CALL_DEFLATED_BYTES_MAX ((uint64_t) 1 << 20)

/* What is compressed at once, a tenth of a millisecond at the most.  A step of a longer message has
 * a slice (turn.h), and looks at the time after each piece. */
#define CALL_DEFLATE_ONCE_BYTES 8192
#define CALL_DEFLATE_PIECE_BYTES 4096

/* Messages of all calls that are being compressed in steps, 300 KB each beside what comes out; one
 * whose turn comes when there are so many leaves as it is. */
#define CALL_DEFLATIONS_MAX 16

/* NULL: no memory (or the pull gave up). */
NODISCARD struct payload *call__deflate(const struct net_piece *v, size_t vn, uint64_t n);
NODISCARD struct payload *call__deflate_pull(uint64_t n, const struct net_pull *pull);

/* Whether a message of n bytes cannot be queued now: it is long, or follows one that waits. */
static inline bool call__deflates_later(const struct call *c, uint64_t n)
{
    return c->h2 != NULL && (n > CALL_DEFLATE_ONCE_BYTES || c->deflations != NULL);
}

/* Lets a message wait for its steps.  False: no memory, nothing changed. */
NODISCARD bool call__deflate_later(struct call *c, const struct net_piece *v, size_t vn,
                                   uint64_t n);
NODISCARD bool call__deflate_pull_later(struct call *c, uint64_t n, const struct net_pull *pull);
/* A step of the first message of a call in h2_server.deflating; its stream is reset if that fails.
 */
void call__deflate_step(struct call *c);
void call__deflate_drop(struct call *c); /* all that wait; the connection's sum is adjusted */

/* Bytes that were queued and have not left; those that wait to be compressed as they are. */
static inline uint64_t call__unsent(const struct call *c)
{
    return c->out.bytes + c->deflating_bytes;
}

/* ---- call_output.c ---- */

/* Takes n bytes of the body for a DATA frame into q; tells on_writable later. */
enum body_taken call__take(struct call *c, struct outq *q, size_t n);
/* Runs on_writable if it is due. */
void call__run_writable(struct call *c);
/* Forgets what has not left; the connection's sum is adjusted. */
void call__body_drop(struct call *c);

/* call_local.c: its reader is told, later in this turn, that the call has moved. */
void call_local__wake(struct call_local *l);

#endif
