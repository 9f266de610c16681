/* grpc_int.h -- the parts of gRPC over HTTP/2 that are neither client nor server: status codes,
 * message framing, timeouts, percent-encoding.  (grpc.io, "gRPC over HTTP2".)
 *
 * A message on the stream:
 *
 *     +------+-----------------+------------------
 *     | flag | length, 4 bytes | length bytes ...
 *     +------+-----------------+------------------
 *      1: compressed, big-endian length
 */
#ifndef KETCH_ENGINE_NET_GRPC_INT_H
#define KETCH_ENGINE_NET_GRPC_INT_H

#include "base/base.h"

enum grpc_status {
    GRPC_STATUS_OK = 0,
    GRPC_STATUS_CANCELED = 1,
    GRPC_STATUS_UNKNOWN = 2,
    GRPC_STATUS_INVALID_ARGUMENT = 3,
    GRPC_STATUS_DEADLINE_EXCEEDED = 4,
    GRPC_STATUS_PERMISSION_DENIED = 7,
    GRPC_STATUS_RESOURCE_EXHAUSTED = 8,
    GRPC_STATUS_UNIMPLEMENTED = 12,
    GRPC_STATUS_INTERNAL = 13,
    GRPC_STATUS_UNAVAILABLE = 14,
    GRPC_STATUS_UNAUTHENTICATED = 16,
    GRPC_STATUS_LAST = 16,
};

#define GRPC_HEAD_BYTES 5

/* ---- messages out of a stream of bytes ---- */

struct grpc_deframer {
    uint8_t head[GRPC_HEAD_BYTES];
    uint8_t head_n;
    bool in_message;
    uint32_t length; /* of the message, once in_message */
    uint32_t have;   /* bytes of it in msg */
    uint8_t *msg;    /* the caller's memory for `length` bytes */
};

enum grpc_deframed {
    GRPC_DEFRAMED_MORE,    /* all input is used up */
    GRPC_DEFRAMED_HEAD,    /* a head is complete: look at flag and length, then set msg */
    GRPC_DEFRAMED_MESSAGE, /* msg holds all `length` bytes; call grpc_deframer_next before going on
                            */
};

static inline void grpc_deframer_init(struct grpc_deframer *d)
{
    memset(d, 0, sizeof *d);
}

/* Takes bytes from the front of *in until something is to be said.  After HEAD the caller sets
 * d->msg (also for length 0, to anything not NULL), or gives up. */
enum grpc_deframed grpc_deframe(struct grpc_deframer *d, struct bytes *in);

/* Instead of setting msg after HEAD: when the whole message lies in *in, take it from there without
 * copying.  False: it does not. */
bool grpc_deframe_in_place(struct grpc_deframer *d, struct bytes *in, struct bytes *ret);

static inline void grpc_deframer_next(struct grpc_deframer *d)
{
    grpc_deframer_init(d);
}

static inline uint8_t grpc_deframer_flag(const struct grpc_deframer *d)
{
    return d->head[0];
}

/* Nothing of a message has been seen. */
static inline bool grpc_deframer_idle(const struct grpc_deframer *d)
{
    return d->head_n == 0 && !d->in_message;
}

enum { GRPC_PLAIN = 0, GRPC_COMPRESSED = 1 }; /* the flag of a message */

void grpc_head_put(uint8_t out[GRPC_HEAD_BYTES], uint8_t flag, uint32_t length);

/* ---- fields ---- */

#define GRPC_TIMEOUT_TEXT_BYTES 12

/* "100m": up to 8 digits and a unit.  On failure the reason is in `why`, in grpc-go's words. */
#define GRPC_TIMEOUT_WHY_BYTES 160
bool grpc_timeout_parse(struct bytes s, int64_t *ret_ns, char why[GRPC_TIMEOUT_WHY_BYTES]);
/* The finest unit in which `ns` fits 8 digits, rounded up, as grpc-go writes it. */
void grpc_timeout_format(int64_t ns, char out[GRPC_TIMEOUT_TEXT_BYTES]);

/* grpc-message: bytes outside ' '..'~' and '%' become %XX.  Writes at most 3 * in.n bytes. */
size_t grpc_percent_encode(struct bytes in, char *out);
/* Writes at most in.n bytes; malformed escapes stay as they are. */
size_t grpc_percent_decode(struct bytes in, char *out);

/* "application/grpc", or that followed by "+..." or ";...". */
bool grpc_content_type(struct bytes s);

/* Statuses made up for answers that carry none (grpc.io, "HTTP to gRPC Status Code Mapping"; and
 * the table of RST_STREAM codes in "gRPC over HTTP2"). */
enum grpc_status grpc_status_of_http(int http_status);
enum grpc_status grpc_status_of_reset(uint32_t http2_error);
const char *http2_error_name(uint32_t http2_error);

#endif
