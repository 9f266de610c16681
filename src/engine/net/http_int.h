/* http_int.h -- a plain HTTP request from the inside: what HTTP/1 and HTTP/2 have in common.
 *
 * The transport (http1.c, http_h2.c) fills in the head, hands over the body with http__input and
 * http__input_end, says http__gone when the client has left, and implements http_ops.  The request
 * is the handler's until it has ended it; the transport then forgets it.
 */
#ifndef KETCH_ENGINE_NET_HTTP_INT_H
#define KETCH_ENGINE_NET_HTTP_INT_H

#include "base/buf.h"
#include "engine/net/call_int.h"
#include "engine/net/http.h"

struct http_head {
    int status;
    const struct http_field *fields;
    size_t fields_n;
    int64_t length; /* of the body; -1: unknown */
    bool no_body;   /* 204, 304, or the request was HEAD */
};

struct http_ops {
    /* None of these is called after http__gone, `end` and `forget` apart. */
    void (*begin)(struct http_req *r, const struct http_head *h);
    int (*write)(struct http_req *r, const struct net_piece *v, size_t vn);
    void (*end)(struct http_req *r); /* all has been written */
    void (*abort)(struct http_req *r);
    void (*pause)(struct http_req *r, bool pause);
    uint64_t (*queued)(const struct http_req *r);
    void (*continue_100)(struct http_req *r); /* NULL: there is no such thing */
    void (*patient)(struct http_req *r);      /* NULL: the body has no time limit */
    bool (*upgrade)(struct http_req *r);      /* NULL: there is no such thing */
    void (*forget)(struct http_req *r);       /* the handler has ended it: free when possible */
};

enum http_reading {
    HTTP_READ_NOTHING,
    HTTP_READ_ALL,
    HTTP_READ_STREAM,
};

struct http_req {
    const struct http_ops *ops;
    struct server_conn *sc;
    struct arena *arena;
    void *user;

    struct bytes method;
    struct bytes path;
    struct bytes query;
    struct bytes host;
    struct field *fields;
    int version;
    bool expects_100;

    enum http_reading reading;
    bool input_done;
    bool too_large;
    struct buf body;
    void (*on_body)(struct http_req *r, struct bytes body, bool too_large);
    void (*on_data)(struct http_req *r, struct bytes part);
    void (*on_data_end)(struct http_req *r);

    bool began;
    bool ended;
    bool gone;
    bool no_body;
    bool above_mark;
    size_t writable_mark;
    void (*on_writable)(struct http_req *r);
    void (*on_cancel)(struct http_req *r);
};

/* `target` is "/path?query" and is split here, and what is written as %XX in its path without need
 * is decoded in place; it must live as long as r.  False: malformed; r can be discarded then. */
NODISCARD bool http__init(struct http_req *r, const struct http_ops *ops, struct server_conn *sc,
                          struct arena *a, struct bytes target);
/* Calls the server's handler.  It may have ended the request when this returns. */
void http__handle(struct http_req *r);
void http__input(struct http_req *r, struct bytes in);
void http__input_end(struct http_req *r);
/* Some of what was queued has left. */
void http__drained(struct http_req *r);
/* Nobody listens any more.  May end the request, from within its callback. */
void http__gone(struct http_req *r);

/* Frees a request that no handler has seen. */
void http__discard(struct http_req *r);

/* http_reason.c: "OK"; "Status" for one that has no words here. */
const char *http__reason(int status);

/* http_h2.c: requests that came as streams. */
void http__h2_begin(struct call *c);
/* The client says that at most NET_UNREAD_BYTES_MAX will come. */
bool http__h2_body_is_short(const struct call *c);
void http__h2_input(struct call *c, struct bytes in);
void http__h2_input_end(struct call *c);
void http__h2_closed(struct call *c);

#endif
