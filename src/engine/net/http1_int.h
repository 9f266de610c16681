/* http1_int.h -- what the files of the HTTP/1 session share.  See http1.h. */
#ifndef KETCH_ENGINE_NET_HTTP1_INT_H
#define KETCH_ENGINE_NET_HTTP1_INT_H

#include "engine/net/h1_parser.h"
#include "engine/net/http1.h"
#include "engine/net/http_int.h"

/* Pipelined requests may wait up to here; then the socket is left alone. */
#define HTTP1_PENDING_BYTES_MAX (256u << 10)

/* Longer ones are no method that anybody knows. */
#define HTTP1_METHOD_BYTES_MAX 64

enum http1_state {
    HTTP1_IDLE,
    HTTP1_READING,
    HTTP1_BUSY, /* the header is complete and the handler has the request, or its answer is leaving
                 */
};

struct h1_req {
    struct http_req req;
    struct http1 *h; /* NULL: the connection is gone */
    struct arena arena;
    bool chunked;
    bool head_sent;
};

struct http1 {
    struct server_conn *sc;
    h1_parser parser;
    enum http1_state state;
    struct h1_req *busy; /* the request, until its handler has ended it */
    bool message_done;   /* the parser has seen the end of the request that is busy */
    bool request_ended;  /* by its handler */
    bool keep_alive;
    bool draining;
    bool eof;
    bool broken; /* the parser failed, or the request was refused: no more input */
    bool handler_paused;
    bool in_parser;
    bool raw; /* HTTP has ended on this connection: bytes are the handler's as they are */
    struct buf pending;
    struct body out;

    /* The head that is being read. */
    uint8_t method[HTTP1_METHOD_BYTES_MAX];
    size_t method_n;
    bool method_done;
    struct arena head;
    struct buf url;
    struct buf name;
    struct buf value;
    bool in_value;
    uint32_t head_bytes;
    uint32_t fields_n;
    struct field *fields;
    struct field **fields_end;
};

extern const struct http_ops http1__ops; /* http1_answer.c */

void http1__timer_set(struct http1 *h, int64_t ms);
/* What Go's server says to what it cannot take, and hangs up. */
void http1__refuse(struct http1 *h, int status, const char *why);
/* The same with another text in the body. */
void http1__refuse_with(struct http1 *h, int status, const char *why, const char *body);
/* Shows bytes to the parser.  Returns how many it took. */
size_t http1__execute(struct http1 *h, const uint8_t *p, size_t n);

static inline struct bytes http1__method(const struct http1 *h)
{
    return bytes_of(h->method, h->method_n);
}

/* ---- http1_head.c ---- */

/* Takes what comes of the method, and the blank behind it.  Returns how many bytes that were;
 * method_done is set when it is complete.  What is no method is refused. */
size_t http1__take_method(struct http1 *h, const uint8_t *p, size_t n);
/* "http://host/path" becomes "/path", and its host the request's (RFC 9112 3.2.2); another target
 * stays.  False: malformed. */
NODISCARD bool http1__split_target(struct bytes *target, struct bytes *ret_host);
/* Looks at the fields of a head that is complete.  False: refused. */
NODISCARD bool http1__head_ok(struct http1 *h, struct http_req *r);
/* Reads from the socket or leaves it alone, as the state demands. */
void http1__reading_update(struct http1 *h);

#endif
