/* grpc_client.h -- the client's end of gRPC: a channel to one endpoint, and calls on it.
 *
 * A channel is at most one connection.  It connects when the first call needs it, and again after
 * it was lost when the next call comes; calls begun meanwhile wait for the connection, up to the
 * connect timeout.  Trying several endpoints, and trying again, is the business of the client
 * library.
 *
 *              call or channel_connect           connected
 *      IDLE ------------------------> CONNECTING -----------> READY
 *       ^                                |  failed: its calls     |  lost, GOAWAY drained
 *       +--------------------------------+  end Unavailable       |
 *       +---------------------------------------------------------+  open calls end Unavailable
 *
 * Every rpc ends with exactly one on_end, never from within a function that the caller called on
 * it; afterwards the pointer is dead.
 *
 * Threads: the channel's loop only.  Codes are gRPC status codes, 0 (OK) to 16.
 */
#ifndef KETCH_ENGINE_NET_GRPC_CLIENT_H
#define KETCH_ENGINE_NET_GRPC_CLIENT_H

#include "engine/net/loop.h"
#include "engine/net/piece.h"

struct channel;
struct rpc;
struct tls;

enum channel_state {
    CHANNEL_IDLE,
    CHANNEL_CONNECTING,
    CHANNEL_READY,
};

struct channel_options {
    const char *host; /* name or numeric address */
    uint16_t port;
    const char *unix_path;        /* not NULL: host and port are ignored */
    struct tls *tls;              /* NULL: cleartext.  A reference is taken */
    const char *authority;        /* NULL: host:port */
    const char *user_agent;       /* NULL: "grpc-c-ketch/<version>" */
    int64_t connect_timeout_ms;   /* 0: 5000 */
    int64_t keepalive_time_ms;    /* 0: no pings; else after so long without a frame */
    int64_t keepalive_timeout_ms; /* 0: 20000 */
    bool keepalive_without_calls;
    size_t recv_message_bytes_max; /* 0: no limit but 2^32-1, as etcd's client */
    /* May be NULL.  `why` is empty except on the way to IDLE. */
    void (*on_state)(struct channel *ch, enum channel_state s, const char *why, void *user);
    void *user;
};

/* Copies the options, texts too; does not connect yet.  ERR_NOMEM; ERR_INVALID: no address. */
NODISCARD int channel_new(struct loop *l, const struct channel_options *o, struct channel **ret,
                          struct err *e);
void channel_connect(struct channel *ch); /* nothing, unless it is IDLE */
enum channel_state channel_state(const struct channel *ch);

/* Open calls end with Canceled "grpc: the client connection is closing" (on_end runs before this
 * returns: the exception to the rule above), the connection is closed, the channel freed.  NULL is
 * accepted.  Not from within a callback of the same channel. */
void channel_free(struct channel *ch);

/* One pair of metadata; names in lower case. */
struct rpc_metadata {
    const char *name;
    struct bytes value;
};

struct rpc_result {
    int code;
    struct bytes message;  /* the status text, percent-decoded; valid during the callback */
    struct bytes response; /* of rpc_unary: the message when code is 0; valid during the callback */
};

struct rpc_options {
    const char *path; /* "/etcdserverpb.KV/Range"; kept by the caller until the call ended */
    const struct rpc_metadata *metadata; /* borrowed during the call of rpc_unary or rpc_open */
    size_t metadata_n;
    int64_t timeout_ms;  /* 0: none.  Sent as grpc-timeout and kept here: DeadlineExceeded "context
                            deadline exceeded" */
    bool wait_for_ready; /* a failed attempt to connect does not end the call: there will be others,
                            50 ms to 3 s apart */
    void *user;
};

/* ---- unary ---- */

/* Sends `request` (copied) and waits for one message.  NULL without memory, when on_end never runs.
 * Unavailable "connection error: desc = \"transport: Error while dialing: dial tcp HOST:PORT:
 * connect: connection refused\"" when the endpoint cannot be reached. */
NODISCARD struct rpc *
rpc_unary(struct channel *ch, const struct rpc_options *o, struct bytes request,
          void (*on_end)(struct rpc *r, const struct rpc_result *res, void *user));

/* ---- streams, of all three kinds ---- */

struct rpc_stream_callbacks {
    void (*on_open)(struct rpc *r, void *user); /* response headers are there; may be NULL */
    void (*on_message)(struct rpc *r, struct bytes message,
                       void *user);                 /* valid during the callback */
    void (*on_writable)(struct rpc *r, void *user); /* rpc_queued_bytes is 0 again; may be NULL */
    void (*on_end)(struct rpc *r, const struct rpc_result *res, void *user);
};

/* `cb` is borrowed until on_end.  NULL without memory, when on_end never runs. */
NODISCARD struct rpc *rpc_open(struct channel *ch, const struct rpc_options *o,
                               const struct rpc_stream_callbacks *cb);
/* One message of INT32_MAX bytes at most, not after rpc_half_close.  ERR_CANCELED: the call is over
 * and on_end is on its way; ERR_NOMEM: nothing was queued. */
NODISCARD int rpc_send(struct rpc *r, const struct net_piece *v, size_t vn);
void rpc_half_close(struct rpc *r);           /* no more messages from us */
size_t rpc_queued_bytes(const struct rpc *r); /* of messages that were not framed yet */
void rpc_pause(struct rpc *r); /* no on_message until rpc_resume; the server's window fills */
void rpc_resume(struct rpc *r);

/* Of both kinds: resets the stream; on_end follows with Canceled "context canceled". */
void rpc_cancel(struct rpc *r);

struct channel *rpc_channel(const struct rpc *r);
void *rpc_user(const struct rpc *r);

/* A response header or trailer field; valid until on_end returned.  False: absent. */
bool rpc_response_metadata(const struct rpc *r, const char *name, struct bytes *ret);

#endif
