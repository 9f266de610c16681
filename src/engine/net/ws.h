/* ws.h -- WebSocket frames (RFC 6455), the server's side, as bytes in and bytes out.
 *
 * What comes is unmasked part by part as it comes; a message is never held.  Whether text is UTF-8
 * is left to who reads it.
 *
 * Threads: any, one at a time.   Memory: none but the struct.
 */
#ifndef KETCH_ENGINE_NET_WS_H
#define KETCH_ENGINE_NET_WS_H

#include "base/base.h"

#define WS_ACCEPT_BYTES 29   /* with the final NUL */
#define WS_HEAD_BYTES_MAX 10 /* of a frame that we send */
#define WS_CONTROL_BYTES_MAX 125
#define WS_PART_BYTES 1024

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10,
};

/* Codes of a close frame that we send. */
#define WS_NORMAL 1000
#define WS_PROTOCOL_ERROR 1002

/* The value of Sec-WebSocket-Accept for a key.  False: out of memory. */
NODISCARD bool ws_accept(struct bytes key, char ret[WS_ACCEPT_BYTES]);

struct ws_in {
    uint8_t head[14]; /* of the frame that is being read */
    size_t head_n;
    uint64_t left; /* bytes of its payload still to come */
    size_t masked; /* bytes of it that were unmasked */
    bool in_frame;
    bool in_message; /* of data frames */
    uint8_t control_n;
    uint8_t part[WS_PART_BYTES];
};

enum ws_event {
    WS_EVENT_MORE,    /* all of `in` was taken */
    WS_EVENT_PART,    /* bytes of a message, valid until the next call */
    WS_EVENT_MESSAGE, /* a message is complete */
    WS_EVENT_PING,    /* with its payload, to be sent back in a pong */
    WS_EVENT_CLOSE,   /* with its payload */
    WS_EVENT_BAD,     /* against the rules: the connection is to be closed with 1002 */
};

void ws_in_init(struct ws_in *w);

/* Takes what the next event is made of off *in. */
enum ws_event ws_next(struct ws_in *w, struct bytes *in, struct bytes *ret);

/* The head of a frame of n bytes; `last`: of its message.  Returns its length. */
size_t ws_head_put(uint8_t out[WS_HEAD_BYTES_MAX], enum ws_opcode op, bool last, uint64_t n);

#endif
