/* call.h -- one gRPC call, seen from the service that answers it.
 *
 * A call begins when its method's callback runs (server.h) and is ended by the service with exactly
 * one call_reply, call_reply_pull or call_finish, at once or later.  Until then the pointer is
 * valid, also when the client has gone; afterwards it is dead.
 *
 *        method callback                     call_reply / call_finish
 *   ----------------------> OPEN -----------------------------------------> (gone)
 *                            |                                                ^
 *                            | reset, connection lost, deadline               | call_finish
 *                            v                                                | (says nothing)
 *                         CANCELED -------------------------------------------+
 *
 * When the client goes or the deadline passes, the cancel callback runs once.  It need not end the
 * call; it only tells the service that nobody waits any more.
 *
 * Threads: the call's loop only.  Another thread that has the result posts a loop_task, embedded in
 * its own request, to call_loop(): no allocation, one wake-up per batch.
 *
 * Codes are gRPC status codes, 0 (OK) to 16.
 */
#ifndef KETCH_ENGINE_NET_CALL_H
#define KETCH_ENGINE_NET_CALL_H

#include "base/arena.h"
#include "engine/net/loop.h"
#include "engine/net/piece.h"

struct call;
struct net_method;

struct loop *call_loop(const struct call *c);

/* Memory that lives until the call has ended and its answer has left.  Bounded by
 * net_limits.call_arena_bytes_max.  The request message of a unary call lies in it. */
struct arena *call_arena(struct call *c);

/* The service bounds by itself what this arena holds beside the request; else it is counted with
 * what its client makes us keep until the answer is taken. */
void call_arena_counted(struct call *c);

const struct net_method *call_method(const struct call *c);
void *call_service(const struct call *c); /* the pointer given to net_server_add */

/* The message of a call that is no stream of the client's, inflated. */
struct bytes call_request(const struct call *c);

/* One pointer for the service: its request. */
void call_set_user(struct call *c, void *user);
void *call_user(const struct call *c);

/* One pointer for whoever traces calls, NULL at first, and read at the cost of a load: most calls
 * are not traced.  It belongs to who has set it; nothing here looks at what it points to. */
struct call_head {
    void *trace;
};

static inline void *call_trace(const struct call *c)
{
    return ((const struct call_head *) (const void *) c)->trace;
}

static inline void call_set_trace(struct call *c, void *trace)
{
    ((struct call_head *) (void *) c)->trace = trace;
}

/* The first value of the metadata key `name` (lower case), valid as long as the call.  Keys that
 * end in "-bin" come as sent (base64).  False: absent. */
bool call_metadata(const struct call *c, const char *name, struct bytes *ret);

/* The client's address as etcd prints it: "127.0.0.1:51234", "[::1]:51234", or "@" for a unix
 * socket.  Valid as long as the call. */
const char *call_peer(const struct call *c);

/* The address that the client has reached, in the same form; of a unix socket its path. */
#define CALL_ADDRESS_BYTES 128
void call_address(const struct call *c, char out[CALL_ADDRESS_BYTES]);

/* The common name of the client's certificate, which was verified, "" when it has none; NULL: the
 * client has shown no certificate, or the connection has no TLS.  Valid as long as the call. */
const char *call_common_name(const struct call *c);

mono_ns call_started_ns(const struct call *c);
mono_ns call_deadline_ns(const struct call *c);  /* 0: the client set none */
size_t call_request_bytes(const struct call *c); /* of the messages received so far */
size_t call_reply_bytes(const struct call *c);   /* of the messages sent or queued so far */

/* ---- the client goes ---- */

enum call_cancel_reason {
    CALL_NOT_CANCELED,
    CALL_CANCELED_BY_CLIENT, /* RST_STREAM, or the connection was lost */
    CALL_DEADLINE,           /* the time in grpc-timeout is over */
    CALL_SERVER_STOPPING,    /* the grace time of net_server_stop is over */
};

/* `fn` runs at most once, on the loop, never from within a function of this header, and never after
 * the call was ended.  After CALL_DEADLINE the service may still answer from within `fn`, in its
 * own words; if it does not, the client gets DeadlineExceeded "context deadline exceeded" right
 * after.  Before CALL_SERVER_STOPPING the client was answered Unavailable "transport is closing".
 */
void call_on_cancel(struct call *c, void (*fn)(struct call *c, enum call_cancel_reason why));
enum call_cancel_reason call_canceled(const struct call *c);

/* ---- unary answers ---- */

/* Answers with one message, the pieces put together, and status OK.  Ends the call: with
 * ResourceExhausted where there is no memory, or the message is larger than
 * NET_SEND_MESSAGE_BYTES_MAX.  Likewise below. */
void call_reply(struct call *c, const struct net_piece *v, size_t vn);

/* Answers with one message of exactly `bytes` bytes that `pull` makes.  Ends the call; pull.done is
 * called later, also when the client is already gone (perhaps before this returns). */
void call_reply_pull(struct call *c, uint64_t bytes, struct net_pull pull);

/* The text of the status that was decided, in the `end` hook of server.h only; NULL: there is none.
 */
const char *call_status_text(const struct call *c);

/* Ends a call of any kind with a status.  Messages of call_send leave first.  `message` is UTF-8
 * and may be NULL; it is copied, and percent-encoded on its way. */
void call_finish(struct call *c, int code, const char *message);

/* ---- streams ---- */

/* Queues one message.  Pieces of kind "kept" must stay until the call is over, which for a stream
 * is long: rather use counted ones.
 *
 *   ERR_CANCELED   nobody listens any more
 *   ERR_LIMIT      the connection holds net_limits.conn_queued_bytes_max already, or the message is
 *                  larger than NET_SEND_MESSAGE_BYTES_MAX
 *   ERR_NOMEM
 * Nothing was queued then. */
NODISCARD int call_send(struct call *c, const struct net_piece *v, size_t vn);

/* One message of known length that is made as it leaves.  Errors as of call_send.  `pull.done` runs
 * in any case, perhaps before this returns. */
NODISCARD int call_send_pull(struct call *c, uint64_t bytes, struct net_pull pull);

/* Sends the response headers now rather than with the first message: a client that waits for them
 * (a watch) sees that the stream is open.  Ignored when they have gone. */
void call_send_headers(struct call *c);

/* Bytes of messages queued by call_send that have not been framed yet: what a slow client leaves
 * here. */
size_t call_queued_bytes(const struct call *c);

/* From a pull that is not done yet, of a call that may have been ended: nothing more of it leaves.
 * Its pulls are done before this returns, and its stream is reset with INTERNAL_ERROR. */
void call_give_up(struct call *c);

/* `fn` runs, on the loop, each time call_queued_bytes falls below `below_bytes` after it had been
 * at or above it.  Never from within call_send.  NULL ends it. */
void call_on_writable(struct call *c, size_t below_bytes, void (*fn)(struct call *c));

/* Of a bidi stream: no more messages are handed over until call_resume; the client's window fills
 * and it waits.  Pausing during the message callback takes effect before the next message. */
void call_pause(struct call *c);
void call_resume(struct call *c);

#endif
