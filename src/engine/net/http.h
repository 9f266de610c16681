/* http.h -- a plain HTTP request, over HTTP/1.1 or HTTP/2, seen from the handler that answers it.
 *
 * The server's `http` function is called when the request's header is complete.  From within it the
 * handler may ask for the body (http_read_all, http_read_stream); then or later it ends the request
 * with exactly one http_respond, http_error, http_end or http_abort.  Until then the pointer is
 * valid, also when the client has gone (the answer then goes nowhere); afterwards it is dead.
 *
 * What the handler did not read of a body is thrown away.  Date, Content-Length or chunked
 * encoding, Connection, and the absence of a body for HEAD, 204 and 304 are this layer's business.
 *
 * Sources: RFC 9110, 9112, 9113.
 *
 * Threads: the request's loop only; others post to http_loop().   Memory: what is passed in is
 * borrowed for the call, pieces as piece.h says.
 */
#ifndef KETCH_ENGINE_NET_HTTP_H
#define KETCH_ENGINE_NET_HTTP_H

#include "base/arena.h"
#include "engine/net/loop.h"
#include "engine/net/piece.h"

struct http_req;

struct loop *http_loop(const struct http_req *r);
struct arena *http_arena(struct http_req *r); /* lives as long as the request */
void http_set_user(struct http_req *r, void *user);
void *http_user(const struct http_req *r);

/* All valid as long as the request. */
struct bytes http_method(const struct http_req *r); /* "GET" */
struct bytes http_path(const struct http_req *r);   /* without the query, as sent (not decoded) */
struct bytes http_query(const struct http_req *r);  /* behind the "?", as sent; empty without */
struct bytes http_host(const struct http_req *r);   /* Host or :authority */
const char *http_peer(const struct http_req *r);
const char *http_common_name(const struct http_req *r); /* see call_common_name */
bool http_over_tls(const struct http_req *r);
int http_version(const struct http_req *r); /* 10, 11 or 20 */

/* The first header field `name` (lower case).  False: absent. */
bool http_header(const struct http_req *r, const char *name, struct bytes *ret);
/* Field number i, names in lower case; false past the last. */
bool http_header_at(const struct http_req *r, size_t i, struct bytes *ret_name,
                    struct bytes *ret_value);

/* The value of `key` in a query or form ("a=1&b=%20x"), decoded into the arena.  *pos is 0 at
 * first, so that repeated keys can be walked; false at the end. */
bool http_query_next(struct bytes query, const char *key, size_t *pos, struct arena *a,
                     struct bytes *ret);

/* ---- the body of the request ---- */

/* `fn` runs once, with the whole body, which lives as long as the request; or, when the body has
 * more than bytes_max (at most net_limits.http_body_bytes_max), with too_large = true: then it
 * answers 413 (http_error) or whatever it likes.  It does not run when the client is gone before
 * that: then the request ends by itself, unless http_on_cancel has named somebody who ends it. */
void http_read_all(struct http_req *r, size_t bytes_max,
                   void (*fn)(struct http_req *r, struct bytes body, bool too_large));

/* `data` runs for each part as it comes (valid during the callback), `end` once behind the last.
 * When the client goes before that neither runs any more: who reads so names somebody with
 * http_on_cancel, who ends the request. */
void http_read_stream(struct http_req *r, void (*data)(struct http_req *r, struct bytes part),
                      void (*end)(struct http_req *r));
/* The body may take as long as it likes: a stream of requests.  Otherwise it has http_header_ms. */
void http_read_patiently(struct http_req *r);
void http_pause(struct http_req *r); /* of http_read_stream */
void http_resume(struct http_req *r);

/* ---- the answer ---- */

struct http_field {
    const char *name; /* as it is to be written: "Content-Type" (lowered for HTTP/2) */
    const char *value;
};

/* The whole answer.  Fields and body are copied.  Ends the request. */
void http_respond(struct http_req *r, int status, const struct http_field *f, size_t fn,
                  struct bytes body);

/* Go's http.Error: text/plain, nosniff, text and a newline.  Ends the request. */
void http_error(struct http_req *r, int status, const char *text);

/* A body of unknown length: chunked, or a stream of DATA frames. */
void http_begin(struct http_req *r, int status, const struct http_field *f, size_t fn);
/* ERR_CANCELED: nobody listens any more.  ERR_LIMIT: the connection holds
 * net_limits.conn_queued_bytes_max already; ERR_NOMEM.  Nothing was queued then. */
NODISCARD int http_write(struct http_req *r, const struct net_piece *v, size_t vn);
void http_end(struct http_req *r); /* ends the request */
/* Instead of http_end, when the body cannot be completed: the client sees a broken answer. */
void http_abort(struct http_req *r);

/* From within the server's `http` function: answers 101 with these fields (Connection and Upgrade
 * among them), and bytes go both ways as they are from then on: in by http_read_stream, which has
 * no end, out by http_write, until http_end closes the connection.  False: not over HTTP/1.1 or not
 * a request for it; nothing was answered. */
NODISCARD bool http_upgrade(struct http_req *r, const struct http_field *f, size_t fn);

/* As call_queued_bytes and call_on_writable. */
size_t http_queued_bytes(const struct http_req *r);
void http_on_writable(struct http_req *r, size_t below_bytes, void (*fn)(struct http_req *r));

/* `fn` runs at most once, when the client is gone before the request was ended. */
void http_on_cancel(struct http_req *r, void (*fn)(struct http_req *r));
bool http_canceled(const struct http_req *r);

#endif
