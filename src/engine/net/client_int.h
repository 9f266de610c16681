/* client_int.h -- channels, their connections and calls, from the inside.  See grpc_client.h.
 *
 * A channel has at most one connection that takes new calls.  One that got a GOAWAY leaves the
 * channel and lives until its last call has ended.
 *
 *   rpc:  WAITING (for a connection) -> OPEN (has a stream) -> ENDED (status known, on_end due)
 *
 * on_end runs from the channel's hook at the end of the turn, never from within a call into here.
 */
#ifndef KETCH_ENGINE_NET_CLIENT_INT_H
#define KETCH_ENGINE_NET_CLIENT_INT_H

#include <nghttp2/nghttp2.h>

#include "base/buf.h"
#include "engine/net/body.h"
#include "engine/net/conn.h"
#include "engine/net/dial.h"
#include "engine/net/grpc_client.h"
#include "engine/net/grpc_int.h"

#define RPC_ROOM_BYTES 1024
#define CLIENT_WHY_BYTES 512

/* Fields of a response's head and trailers, together. */
#define CLIENT_HEADER_BYTES_MAX (1u << 20)

struct client_conn;

enum rpc_state {
    RPC_WAITING,
    RPC_OPEN,
    RPC_ENDED,
};

struct rpc_field {
    struct rpc_field *next;
    struct bytes name;
    struct bytes value;
};

struct rpc {
    struct list link; /* channel.waiting, client_conn.rpcs, channel.held or channel.ended */
    struct channel *ch;
    struct client_conn *cc; /* while OPEN */
    int32_t id;
    enum rpc_state state;
    void *user;

    const char *path;
    struct rpc_field *metadata;
    int64_t timeout_ns;
    struct loop_timer deadline;
    bool wait_for_ready;

    struct body out;
    bool half_closed;
    bool deferred;
    struct list writable_link; /* in channel.writable: all of `out` has left */

    struct grpc_deframer in;
    bool msg_on_heap;
    bool paused;
    struct buf backlog; /* what came while paused */
    bool close_due;     /* the stream is closed, but the backlog comes first */
    uint32_t close_error;
    struct buf response; /* of a unary call */
    bool got_response;

    int http_status; /* 0: no head yet */
    bool is_grpc;
    int grpc_status; /* -1: none yet */
    uint32_t head_bytes;
    struct bytes grpc_message;
    struct bytes content_type;
    struct rpc_field *fields;

    int code;
    const char *text;

    const struct rpc_stream_callbacks *cb; /* NULL: unary */
    void (*on_unary_end)(struct rpc *r, const struct rpc_result *res, void *user);

    struct arena arena;
    _Alignas(16) uint8_t room[RPC_ROOM_BYTES];
};

struct channel {
    struct loop *loop;
    struct channel_options options; /* its strings are ours */
    enum channel_state state;
    struct dial *dial;
    struct client_conn *cc; /* the one that takes calls; CONNECTING or READY */
    struct list conns;      /* all, draining ones too */
    struct list waiting;
    struct list held; /* paused, their stream closed, messages left */
    struct list ended;
    struct list writable;
    bool calling; /* on_end of its calls: may not be freed from there */
    struct loop_timer connect_timer;
    struct loop_timer retry_timer; /* for calls that wait until the endpoint is there */
    int64_t retry_ms;
    struct loop_hook hook;
    char *authority;
    char *user_agent;
};

struct client_conn {
    struct conn conn;
    struct channel *ch; /* NULL: the channel is gone */
    struct list link;   /* channel.conns */
    nghttp2_session *session;
    struct list rpcs;
    uint32_t rpcs_n;
    bool ready;    /* the server's SETTINGS came */
    bool draining; /* GOAWAY came */
    bool blocked;
    bool ping_out;
    mono_ns ping_sent_ns;
    struct loop_timer keepalive;
    char why[CLIENT_WHY_BYTES]; /* what the calls are told when it breaks */
};

/* client_conn.c */
/* Takes fd.  NULL without memory. */
struct client_conn *client_conn__new(struct channel *ch, int fd);
/* Ends it; its calls end Unavailable with `why`. */
void client_conn__fail(struct client_conn *cc, const char *why);

/* client_session.c */
/* False: no memory; what was made is in cc->session. */
bool client_session__new(struct client_conn *cc);
/* Sends the call's head, and its body as it comes.  It waited; it is open, or has ended. */
void client_conn__start(struct client_conn *cc, struct rpc *r);
/* There is more to send, or the end of it.  Nothing for a call that has no stream. */
void client_conn__resume(struct rpc *r);
/* Ends its stream; the server hears CANCEL.  Nothing for a call that has no stream. */
void client_conn__reset(struct rpc *r);
/* The server may send n bytes more. */
void client_conn__consume(struct rpc *r, size_t n);
/* The call has no stream any more. */
void client_session__detach(struct client_conn *cc, struct rpc *r);

/* grpc_client.c, for client_conn.c */
void channel__ready(struct channel *ch);
/* The connection takes no more calls (GOAWAY), or is gone. */
void channel__lost(struct channel *ch, struct client_conn *cc, const char *why);

/* rpc.c */
void rpc__end(struct rpc *r, int code, const char *text); /* `text` is copied */
/* The same for a call that still has its stream: the answer cannot be taken, or nobody wants it. */
void rpc__give_up(struct rpc *r, int code, const char *text);
void rpc__run_ended(struct channel *ch); /* the channel's hook */

/* rpc_answer.c */
void rpc__input(struct rpc *r, const uint8_t *p, size_t n);
void rpc__head(struct rpc *r); /* the response's head is complete */
void rpc__stream_closed(struct rpc *r, uint32_t error);
bool rpc__field(struct rpc *r, struct bytes name, struct bytes value);

#endif
