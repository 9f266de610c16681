/* http_client.h -- plain HTTP/1.1 requests to one server, and their answers.
 *
 * A client keeps a few idle connections; a request takes one or makes a new one, and has it for
 * itself until its answer is complete.  An endless answer (a stream) keeps its connection for as
 * long as it lasts.  There are no redirects, no retries and no proxies: a request that fails ends
 * with words, and the caller decides.
 *
 *      http_client_request --> connecting --> sent --> head --> data ... --> end
 *                                   \___________\_________\_______________/  failure, time-out
 *
 * Every request ends with exactly one `end`, never from within a function that the caller called on
 * it (http_client_free apart); afterwards the pointer is dead.  http_out_abort ends one without.
 *
 * Threads: the loop's only.   Memory: options and fields are copied.
 */
#ifndef KETCH_ENGINE_NET_HTTP_CLIENT_H
#define KETCH_ENGINE_NET_HTTP_CLIENT_H

#include "engine/net/http.h"

struct http_client;
struct http_out;
struct tls;

#define HTTP_CLIENT_CONNECT_MS 5000
#define HTTP_CLIENT_IDLE_MAX 2

struct http_client_options {
    const char *host; /* name or numeric address */
    uint16_t port;
    const char *unix_path;      /* not NULL: host and port are ignored */
    struct tls *tls;            /* NULL: cleartext.  A reference is taken */
    int64_t connect_timeout_ms; /* until a connection is there, its handshake included; 0:
                                   HTTP_CLIENT_CONNECT_MS */
};

/* Connects nowhere yet.  Without memory the process stops. */
NODISCARD struct http_client *http_client_new(struct loop *l, const struct http_client_options *o);

/* Requests under way end (with "client closed") before this returns.  Not from within an `end` of
 * the client's own.  NULL is accepted. */
void http_client_free(struct http_client *c);

struct http_out_options {
    const char *method;
    const char *path; /* "/raft/stream/message/8e9e05c52164694d" */
    const struct http_field *fields;
    size_t fields_n;
    struct bytes body;  /* the whole body (copied), unless streamed */
    bool streamed;      /* chunked: it follows with http_out_write, up to http_out_finish */
    int64_t timeout_ms; /* for everything; 0: none */
    int64_t silence_ms; /* ended when no byte came or left for so long; 0: never */

    /* The answer's header is complete.  May be NULL. */
    void (*head)(struct http_out *x, int status);
    /* A part of its body, valid during the callback.  NULL: it is thrown away. */
    void (*data)(struct http_out *x, struct bytes part);
    /* why: NULL when the answer is complete; else what went wrong, in Go's words where it has any.
     */
    void (*end)(struct http_out *x, const char *why);
    void *user;
};

/* ERR_NOMEM, ERR_LIMIT (a header beyond NET_HEADER_BYTES_MAX, or no memory for it), ERR_CLOSED
 * (from an `end` that runs while the client is freed): none of the callbacks runs then. */
NODISCARD int http_client_request(struct http_client *c, const struct http_out_options *o,
                                  struct http_out **ret, struct err *e);

/* Gives it up; no callback follows. */
void http_out_abort(struct http_out *x);

void *http_out_user(const struct http_out *x);
int http_out_status(const struct http_out *x); /* 0: no head yet */
/* Of the answer, `name` in lower case; valid as long as the request. */
bool http_out_header(const struct http_out *x, const char *name, struct bytes *ret);

/* ---- a streamed body ---- */

/* ERR_NOMEM: nothing was queued.  After the end of the request, 0: it goes nowhere. */
NODISCARD int http_out_write(struct http_out *x, const struct net_piece *v, size_t vn);
void http_out_finish(struct http_out *x);
size_t http_out_queued_bytes(const struct http_out *x);
/* `fn` runs once, when fewer than below_bytes wait to be sent. */
void http_out_on_writable(struct http_out *x, size_t below_bytes, void (*fn)(struct http_out *x));

#endif
