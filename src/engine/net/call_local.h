/* call_local.h -- a gRPC call made from within the process, by the handler of a plain HTTP request:
 * how a gateway reaches the methods that are served on the same loop.
 *
 * The call runs through the server's hooks and method table as one from the wire does, under the
 * same limits, and its service cannot tell the difference.  Its messages go in whole and come out
 * in parts, as fast as the caller takes them: what is not read counts as queued, so that a service
 * that waits for its client waits for the reader of the HTTP answer.
 *
 *      call_local_open, call_local_send, call_local_close_send    the request
 *      `ready`, call_local_read until NOTHING or ENDED            the answer
 *      call_local_free                                            in any case; cancels what runs
 *
 * Threads: the request's loop only.  Memory: the caller owns what call_local_open returned.
 */
#ifndef KETCH_ENGINE_NET_CALL_LOCAL_H
#define KETCH_ENGINE_NET_CALL_LOCAL_H

#include "engine/net/call.h"

struct call_local;
struct http_req;

struct call_local_options {
    struct http_req *http;     /* whose connection, peer and loop the call shares */
    const char *path;          /* "/etcdserverpb.KV/Put"; an unknown one ends with Unimplemented */
    const char *timeout;       /* as in grpc-timeout: "5S"; NULL: none.  Checked by the caller with
                                  call_local_timeout_ok */
    void (*ready)(void *user); /* there is something to read, or the call takes messages again;
                                  never from within a function of this header */
    void *user;
};

/* `path` is borrowed until call_local_free.  NULL: no memory. */
struct call_local *call_local_open(const struct call_local_options *o);
void call_local_free(struct call_local *l); /* NULL is accepted */

/* Whether `text` is a duration that grpc-gateway accepts: digits and one of H, M, S, m, u, n. */
bool call_local_timeout_ok(struct bytes text);

/* One more pair of metadata, copied; before call_local_start.  False: no memory. */
NODISCARD bool call_local_metadata(struct call_local *l, struct bytes name, struct bytes value);

/* The head is complete: a call of a bidi method begins. */
void call_local_start(struct call_local *l);

/* One message of the request.  False: no memory. */
NODISCARD bool call_local_send(struct call_local *l, struct bytes message);
/* The service asked to wait with the next message; `ready` says when it goes on. */
bool call_local_paused(const struct call_local *l);
void call_local_close_send(struct call_local *l);

enum call_local_got {
    CALL_LOCAL_NOTHING, /* not now */
    CALL_LOCAL_PART,    /* bytes of the present message, valid until the next read */
    CALL_LOCAL_MESSAGE, /* the present message is complete */
    CALL_LOCAL_ENDED,   /* by a status, and all that came before it has been read */
};

enum call_local_got call_local_read(struct call_local *l, struct bytes *ret_part);

/* After CALL_LOCAL_ENDED: the code, and the text (never NULL). */
int call_local_status(const struct call_local *l, const char **ret_text);

#endif
