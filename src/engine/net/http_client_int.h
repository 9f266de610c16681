/* http_client_int.h -- an HTTP/1.1 client from the inside.  See http_client.h.
 *
 *   http_out:  WAITING (its connection is being made) -> SENT (has a connection) -> ENDED
 *
 * A connection without a request is idle: it is watched, and closed when the server says anything.
 * `end` runs from the client's hook at the end of the turn.
 */
#ifndef KETCH_ENGINE_NET_HTTP_CLIENT_INT_H
#define KETCH_ENGINE_NET_HTTP_CLIENT_INT_H

#include "base/buf.h"
#include "engine/net/body.h"
#include "engine/net/call_int.h"
#include "engine/net/conn.h"
#include "engine/net/dial.h"
#include "engine/net/h1_parser.h"
#include "engine/net/http_client.h"

#define HTTP_OUT_WHY_BYTES 256

struct http_conn;

struct http_out {
    struct list link; /* client.outs, or client.ended */
    struct http_client *client;
    struct http_conn *hc; /* while SENT */
    struct dial *dial;    /* while WAITING */
    bool ended;
    void (*head)(struct http_out *x, int status);
    void (*data)(struct http_out *x, struct bytes part);
    void (*end)(struct http_out *x, const char *why);
    void *user;
    int64_t silence_ms;
    struct body out; /* the request's head, and what is known of its body */
    bool streamed;
    bool finished; /* the body is complete */
    int status;
    struct arena arena; /* the answer's fields */
    struct field *fields;
    struct loop_timer connect;
    struct loop_timer whole;
    struct loop_timer silence;
    size_t writable_mark;
    void (*on_writable)(struct http_out *x);
    bool failed;
    char why[HTTP_OUT_WHY_BYTES];
};

struct http_conn {
    struct conn conn;
    struct list link;           /* client.idle, or by itself */
    struct http_client *client; /* NULL: the client is gone */
    struct http_out *x;         /* NULL: idle */
    h1_parser parser;
    bool message_done;
    bool keep_alive;
    /* the field that is being read */
    struct buf name;
    struct buf value;
    bool in_value;
    size_t head_bytes;
    size_t fields_n;
};

struct http_client {
    struct loop *loop;
    char *host; /* or NULL */
    char *unix_path;
    char *authority;
    struct tls *tls;
    uint16_t port;
    int64_t connect_ms;
    struct list outs;
    struct list ended;
    struct list idle;
    size_t idle_n;
    bool closing; /* takes no more requests */
    bool calling; /* `end` of its requests: may not be freed from there */
    struct loop_hook hook;
};

/* http_client.c */
void http_client__end(struct http_out *x, const char *why); /* NULL: a whole answer */
void http_client__progress(struct http_out *x);             /* a byte came or left */

/* http_client_conn.c */
struct http_conn *http_conn__new(struct http_client *c, int fd, struct err *e);
void http_conn__take(struct http_conn *hc, struct http_out *x);
/* The request ends before its answer: the connection is of no use any more. */
void http_conn__drop(struct http_conn *hc);

#endif
