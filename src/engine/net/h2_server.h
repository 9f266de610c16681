/* h2_server.h -- the HTTP/2 side of a server connection, over nghttp2.
 *
 * Bytes in: conn_ops.input hands them to nghttp2 whole.  Bytes out: conn_ops.output takes frames
 * until the queue is full.  Streams are calls (call_int.h), also those that turn out to be plain
 * HTTP.
 *
 * Everything here runs on the connection's loop.
 */
#ifndef KETCH_ENGINE_NET_H2_SERVER_H
#define KETCH_ENGINE_NET_H2_SERVER_H

#include <nghttp2/nghttp2.h>

#include "engine/net/call_int.h"
#include "engine/net/rate.h"
#include "engine/net/turn.h"

struct h2_server {
    struct server_conn *sc;
    nghttp2_session *session;
    struct list calls;        /* with an open stream */
    struct list writable;     /* struct call.writable_link: on_writable is due */
    struct list deflating;    /* struct call.deflate_link: messages to be compressed in steps */
    struct list inflating;    /* struct inflation.link: messages to be inflated in steps */
    struct list inflate_link; /* server_loop.inflating, while there are any */
    bool deflate_turn; /* the next round of output has a step: it is that of one who waited */
    uint32_t calls_n;
    struct call *last; /* of the last DATA, to save a lookup */
    bool blocked;      /* nghttp2 was told to wait because the queue is full */
    bool draining;     /* GOAWAY has been submitted */
    bool terminated;   /* GOAWAY with an error is on its way; input is ignored */
    bool ending;       /* nothing leaves any more; streams are freed */
    bool ran;          /* a request was begun since the time was looked at */
    bool cutting;      /* the slice is over: stop at the next field */
    bool cut;          /* nghttp2 was stopped; the rest of the input is carried */
    uint32_t heads_n;
    int32_t highest_id;    /* of the streams that the client has begun */
    uint64_t queued_bytes; /* of all calls' bodies, pulls apart */
    uint64_t held_bytes;   /* of messages begun and not finished */
    struct list opening_link;
    size_t opening_bytes; /* of requests that are not whole: opening.h */
    size_t unconsumed;    /* window of the connection, not given back yet */

    /* Keepalive, as grpc-go enforces it. */
    mono_ns last_ping_ns;
    int ping_strikes;
    bool sent_since_ping;
    bool ping_out; /* ours, not answered yet */
    mono_ns ping_sent_ns;

    struct rate resets;
    struct rate idle_frames;
};

/* Takes over the connection, whose first bytes were the preface.  False: no memory. */
NODISCARD bool h2_server__attach(struct server_conn *sc);

void h2_server__drain(struct h2_server *h2); /* GOAWAY; closes when the last call is done */
void h2_server__cut(struct h2_server *h2);

/* The call of a stream; NULL: none, or no more. */
static inline struct call *h2_server__call(struct h2_server *h2, int32_t id)
{
    if (h2->last != NULL && h2->last->id == id)
        return h2->last;
    return nghttp2_session_get_stream_user_data(h2->session, id);
}

void h2_server__request_callbacks(nghttp2_session_callbacks *cb); /* h2_request.c */
void h2_server__answer_callbacks(nghttp2_session_callbacks *cb);  /* h2_answer.c */

/* Frames to submit, for call.c.  Each asks for output at the end of the turn. */
void h2_server__submit_headers(struct call *c);
void h2_server__submit_status(struct call *c, int http_status); /* trailers only */
void h2_server__submit_reset(struct call *c, uint32_t error);
void h2_server__resume(struct call *c);
void h2_server__consume(struct call *c, size_t n);        /* gives n bytes of window back */
void h2_server__consume_stream(struct call *c, size_t n); /* the stream's only */
void h2_server__consume_conn(struct call *c, size_t n);   /* the connection's only */
/* A plain HTTP answer's head; `end`: nothing follows. */
NODISCARD bool h2_server__submit_http(struct call *c, const nghttp2_nv *nv, size_t n, bool end);

/* Whether the connection's slice is over; the time is looked at once for each request. */
static inline bool h2_server__spent(struct h2_server *h2)
{
    if (!h2->ran)
        return false;
    h2->ran = false;
    return turn__slice_over(h2->sc->conn.loop);
}

/* Ends the connection for breaking a limit. */
void h2_server__calm_down(struct h2_server *h2, const char *why);
/* The same with another code of HTTP/2. */
void h2_server__go_away(struct h2_server *h2, uint32_t error, const char *why);

#endif
