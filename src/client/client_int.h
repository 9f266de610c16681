/* client_int.h -- the parts of one client, shared by the files of this folder.
 *
 *   endpoint   one address: its channel, and when to dial again
 *   waiter     somebody who needs a channel that is up; woken in the order of asking
 *   login      a token, and a new one when it is refused    (login.c)
 *   call       a unary call with its time and attempts      (call.c)
 *   stream     a call with many answers                     (stream.c)
 *   watch      watchers over one or two streams             (watch_int.h)
 *   keep_alive a lease kept alive over a stream of its own  (keepalive.c)
 */
#ifndef KETCH_CLIENT_CLIENT_INT_H
#define KETCH_CLIENT_CLIENT_INT_H

#include <ketch/client.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/map64.h"
#include "client/client_limits.h"
#include "client/endpoint.h"
#include "engine/net/grpc_client.h"
#include "engine/net/loop.h"
#include "engine/net/tls.h"
#include "sys/random.h"
#include "wire/api_error.h"
#include "wire/wire.h"

/* ---- endpoints ---- */

struct endpoint {
    struct ketch_client *client;
    struct endpoint_address address;
    struct channel *channel;
    bool uses_tls;
    struct loop_timer redial;
    int64_t redial_ms;
};

/* ---- the client ---- */

/* One loop, perhaps of several clients, all on one thread. */
struct client_loop {
    struct loop *loop;
    size_t clients;
    bool stop; /* ketch_run returns */
};

struct waiter {
    struct list link; /* empty: not waiting */
    void (*go)(struct waiter *w, struct endpoint *ep);
};

/* Somebody whose token was refused.  `e->code` 0: go on with the token that the client has now. */
struct login_waiter {
    struct list link; /* empty: not waiting */
    void (*go)(struct login_waiter *w, const struct ketch_error *e);
};

/* What a client knows of itself. */
struct login {
    char *user; /* NULL: nothing */
    char *password;
    char *token;
    unsigned token_number; /* counts the tokens: a refusal of an old one asks for no newer */
    bool fixed;            /* the token was given, and is not asked for anew */
    struct ketch_call *asking;
    struct list waiting; /* struct login_waiter */
};

struct watch_stream;

struct ketch_client {
    struct client_loop *shared;
    struct tls *tls; /* NULL: no endpoint needs it */
    struct endpoint *endpoints;
    size_t endpoint_count;
    size_t turn;         /* the endpoint that is asked next */
    struct list waiting; /* struct waiter */
    struct list calls;   /* struct ketch_call */
    struct list streams; /* struct ketch_stream */
    struct list keep_alives;
    struct list watch_streams; /* struct watch_stream */
    struct list delays;        /* struct delay */
    struct login login;
    char last_dial_error[ERR_MSG_BYTES];
    struct ketch_options options; /* strings in it are not kept */
    bool closing;
};

static inline struct loop *client_loop(const struct ketch_client *c)
{
    return c->shared->loop;
}

/* An endpoint that is up, each in its turn; NULL: none. */
struct endpoint *client__pick(struct ketch_client *c);

/* Wakes `w` as soon as an endpoint is up: at once when one is. */
void client__need_endpoint(struct ketch_client *c, struct waiter *w);

/* Starts or moves a timer; never fails (as xmem_alloc). */
void client__timer(struct ketch_client *c, struct loop_timer *t, int64_t after_ms);

/* The metadata of every call; returns how many pairs were written to `md`. */
#define KETCH_API_VERSION "3.7"
#define CLIENT_METADATA_MAX 3
size_t client__metadata(const struct ketch_client *c, bool require_leader,
                        struct rpc_metadata md[CLIENT_METADATA_MAX]);

/* ---- login ---- */

/* Does a refusal in these words end with a new token?  (clientv3, shouldRefreshToken.) */
bool login__is_stale(const struct ketch_client *c, struct bytes message);

/* Calls `w->go`, perhaps at once, when there is a newer token than number `seen`.  A client that
 * goes by its certificate has none: it only tries again. */
void login__renew(struct ketch_client *c, unsigned seen, struct login_waiter *w);

void login__done(struct ketch_client *c);

/* ---- methods ---- */

struct client_method {
    const char *path;
    const ProtobufCMessageDescriptor *response;
    bool repeatable; /* after Unavailable */
};

const struct client_method *client__method(enum ketch_method m);

/* ---- replies and errors ---- */

struct ketch_reply {
    struct arena arena;
    ProtobufCMessage *message;
};

/* NULL with the reason in *e. */
struct ketch_reply *client__reply(const ProtobufCMessageDescriptor *d, struct bytes in,
                                  struct ketch_error *e);

void client__error(struct ketch_error *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* As etcd's client words a status. */
void client__status(struct ketch_error *e, int code, struct bytes message);

/* The text that names code and message: "rpc error: code = X desc = Y". */
void client__status_text(char *out, size_t out_bytes, int code, struct bytes message);

/* Will trying again do good?  (Not: no leader, for a watch that insists on one.) */
bool client__transient(int code);

/* ---- the kinds of work ---- */

void call__close_all(struct ketch_client *c);
void stream__close_all(struct ketch_client *c);
void watch__close_all(struct ketch_client *c);
void watch__free_streams(struct ketch_client *c); /* after the channels */
void keep_alive__close_all(struct ketch_client *c);

#endif
