/* watch_int.h -- watches and the streams that carry them, shared by watch*.c.
 *
 *     watch.c          a watch: its states, what it asks of the server, what its user calls
 *     watch_answer.c   what the server says, handed to the watches
 *     watch_stream.c   the stream: opened, opened again, ended
 *
 * All watches of a client (of one kind: with and without require_leader) share one gRPC stream. The
 * server answers create requests in the order in which they came, so the oldest watch without an id
 * is the one that a "created" answer speaks of.
 *
 *                 create sent                "created", id
 *      NEW ----------------------> CREATING ----------------> RUNNING --- canceled ---> (gone)
 *       ^                              |                         |
 *       +------------------------------+-------------------------+
 *              the stream broke: again, from next_revision
 *
 * Callbacks may cancel any watch: a watch is only marked dead while answers are handed out, and
 * freed by the sweep that follows (invariant: nothing is freed while stream->busy).
 *
 * Threads: the client's.
 */
#ifndef KETCH_CLIENT_WATCH_INT_H
#define KETCH_CLIENT_WATCH_INT_H

#include "client/client_int.h"

enum watch_state { WATCH_NEW, WATCH_CREATING, WATCH_RUNNING };

struct ketch_watch {
    struct list link;     /* of stream->watches, in the order of creation */
    struct list creating; /* of stream->creating, while CREATING */
    struct watch_stream *stream;
    enum watch_state state;
    bool dead; /* no more callbacks; freed by the sweep */
    int64_t id;
    int64_t next_revision; /* where to go on; 0: wherever the store is */
    Etcdserverpb__WatchCreateRequest request;
    ketch_watch_fn *fn;
    void (*on_created)(void *user); /* NULL once it was called */
    void *user;
};

struct watch_stream {
    struct list link; /* of client->watch_streams */
    struct ketch_client *client;
    struct waiter waiter;
    struct login_waiter login;
    unsigned token_number; /* of the token that it was opened with */
    unsigned refusals;     /* in a row */
    bool refused;          /* its token was: it is about to end */
    struct loop_timer reopen;
    struct list watches;
    struct list creating; /* in the order in which the server was asked */
    struct map64 running; /* by id */
    struct rpc *rpc;
    bool require_leader;
    unsigned number;
    unsigned busy;
    bool some_dead; /* the sweep has work */
};

/* ---- watch.c ---- */

/* The one place where a watch changes its state.  `id`: of a running one. */
void watch__become(struct ketch_watch *w, enum watch_state state, int64_t id);

/* No more callbacks.  The next sweep frees it, when the server knows nothing of it any more. */
void watch__die(struct ketch_watch *w);
void watch__sweep(struct watch_stream *s);
void watch__free(struct ketch_watch *w);

/* Asks for it from next_revision on; the stream is open. */
void watch__send_create(struct ketch_watch *w);
void watch__send_cancel(struct ketch_watch *w);

/* ---- watch_answer.c ---- */

/* A message of the stream. */
void watch__on_message(struct rpc *rpc, struct bytes message, void *stream);

/* Is it the token, and will another one help? */
bool watch__is_refused(const struct watch_stream *s, struct bytes message);

/* Ends every watch of the stream with these words. */
void watch__fail_all(struct watch_stream *s, const char *text);

/* ---- watch_stream.c ---- */

/* The stream for such a watch, made when there is none.  NULL: no memory. */
struct watch_stream *watch__stream_of(struct ketch_client *c, const struct ketch_watch_options *o);

/* Opens it, unless that is under way. */
void watch__stream_connect(struct watch_stream *s);

#endif
