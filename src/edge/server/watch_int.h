/* watch_int.h -- the Watch service from inside.  Private to edge/server.
 *
 * A stream of a client is a struct wstream, a watch on it a struct wwatch.  The hub
 * (state/mvcc/watch.h, on the apply thread) has the watches that are in step; those that are behind
 * are here, in the catch-up queue of their I/O thread:
 *
 *      create --> JOINING --- note JOINED ---> LIVE ---- note BEHIND ---> CATCHING
 *                   ^  |                        |                          |    |
 *                   |  +------ note BEHIND -----+--------------------------^    |
 *                   +------------------------- all history sent ----------------+
 *
 *      JOINING, LIVE -- cancel --> LEAVING -- note LEFT --> gone
 *      CATCHING ------- cancel --> gone
 *
 * Invariants:
 *   W1  In JOINING, LIVE and LEAVING the watcher is the hub's: only its constant fields are read
 *       here.
 *   W2  Nothing is sent for a watch before its `created` response, nothing after its `canceled`
 *       one.
 *   W3  `created` responses leave in the order of the requests, refused creations among them.
 *   W4  Notes of a stream are handled in order, and only while less than WATCH_QUEUED_HIGH bytes of
 *       it wait for the client; the rest stays counted in the hub, which then hands watches back
 *       (BEHIND).
 *   W5  A stream is freed when its call is ended, no request of it is with the node, and the hub
 *       has said CLOSED (or never heard of it).
 *   W6  While fragments of a response wait for the client (`rest`) nothing else leaves on their
 *       stream: clients put together what comes in a row.  What the client asks for meanwhile
 *       waits, too.
 */
#ifndef KETCH_EDGE_SERVER_WATCH_INT_H
#define KETCH_EDGE_SERVER_WATCH_INT_H

#include "base/map64.h"
#include "edge/server/server_int.h"

#define WATCH_QUEUED_HIGH (1u << 20) /* bytes waiting for the client: no more notes are handled */
#define WATCH_QUEUED_LOW (256u << 10)
#define WATCH_WANTS_MAX 512          /* watches caught up in one go, by one scan */
#define WATCH_LOOKED_MAX 4096        /* for these, in a turn */
#define WATCH_PER_STREAM_MAX 1000000 /* a watch costs about 400 bytes and its key */
#define WATCH_SCRATCH_BYTES_MAX (4u << 20)
#define WATCH_FRAGMENT_EXTRA_BYTES (512u << 10) /* above --max-request-bytes: then fragments */
#define WATCH_PROGRESS_WANTED_MAX 1000 /* progress requests of a stream not yet handed on */
#define WATCH_RETRY_MS 10              /* after a scan that found no memory */

enum wwatch_state { WWATCH_JOINING, WWATCH_LIVE, WWATCH_CATCHING, WWATCH_LEAVING };

struct otel_span;

/* What is owed to a create request: in the order of the requests. */
struct worder {
    struct list link;
    struct wwatch *watch; /* NULL: refused, for this reason */
    const char *reason;
};

struct wwatch {
    struct watcher hub;
    struct otel_span *span; /* NULL: not traced, or ended */
    struct wstream *stream;
    int64_t id;
    enum wwatch_state state;
    struct req req;    /* a join */
    bool busy;         /* req is with the node */
    bool join_again;   /* when it comes back */
    struct req *leave; /* with the node, or back from it; allocated when it is needed */
    bool leaving;      /* `leave` is with the node */
    bool created;      /* W2 */
    bool named;        /* in stream->by_id */
    bool dead;         /* to be freed when its requests come back */
    bool fragment;
    bool had_events;    /* since the last progress tick */
    bool skip_progress; /* of the tick under way */
    struct worder order;
    struct list link;     /* in stream->watches */
    struct list catching; /* in watch_io.catching or stream->stalled */
    uint8_t keys[];       /* key and range end */
};

/* Fragments of one response that wait for the client: the events from `at` on. */
struct wrest {
    struct payload *events; /* NULL: none */
    size_t at;
    struct wwatch *watch;
    int64_t revision;
};

struct wstream {
    struct watch_stream hub;
    struct io *io;
    struct call *call; /* NULL once ended */
    struct map64 by_id;
    struct list watches;
    size_t watches_n;
    size_t leaving_n; /* of these: no longer there for the client */
    int64_t next_id;
    struct list orders;        /* creations not yet answered, oldest first */
    struct list stalled;       /* CATCHING, while the client does not read */
    struct watch_batch *first; /* notes not yet handled */
    struct watch_batch *last;
    uint32_t at;  /* in `first` */
    bool blocked; /* waits for the client */
    struct wrest rest;
    bool joined; /* the hub knows it */
    bool closing;
    bool close_sent;
    bool closed;     /* the hub has said CLOSED */
    size_t requests; /* with the node */
    struct req progress;
    bool progress_busy;
    size_t progress_wanted;
    struct req each;
    bool each_busy;
    struct req close;
    struct loop_task settle;  /* after the end of the call */
    struct loop_work freeing; /* at the very end: of its watches */
    struct loop_timer timer;  /* progress */
    int64_t interval_ms;
    struct leader_guard guard;
};

struct watch_io {
    struct io *io;
    struct list catching; /* wwatch.catching */
    struct loop_task task;
    bool posted;
    struct loop_timer retry;
    struct arena scratch; /* of one request's decoding */
    uint64_t term;        /* for headers; as of the last batch */
    uint64_t secret[2];   /* of tables whose keys clients choose */
};

/* Everything here is called on the stream's loop. */

/* ---- watch.c ---- */

/* Ends the call, then the stream, which stays until a task of the loop has run. */
void wstream_fail(struct wstream *s, int code, const char *text);
/* Closes and frees what can be; the stream may be gone after it. */
void wstream_settle(struct wstream *s);
void wstream_progress_begin(struct wstream *s); /* from now on: progress now and then */

/* ---- watch_requests.c ---- */

/* Does what a message of the client asks for; `q` is borrowed.  The stream may have failed. */
void wstream_request(struct wstream *s, const Etcdserverpb__WatchRequest *q);
/* Sends what is owed to creations, as far as it is known (W3). */
void wwatch_owe(struct wstream *s);

/* ---- watch_hub.c ---- */

/* The hub is asked to take the watch, or to let it go: JOINING, LEAVING.  Without memory to ask for
 * the latter the stream fails. */
void wwatch_join(struct wwatch *w);
void wwatch_leave(struct wwatch *w);
/* No more is said about it; freed at once, or when its request returns. */
void wwatch_drop(struct wwatch *w);
void wwatch_forget_name(struct wwatch *w); /* its id may be used again */
void wwatch_end_span(struct wwatch *w);
void wstream_progress(struct wstream *s);      /* asks for what is in progress_wanted */
void wstream_progress_each(struct wstream *s); /* for all watches that want it, one by one */
void wstream_close_hub(struct wstream *s);     /* once; the last request of the stream */

/* ---- watch_notes.c ---- */

void wstream_pump(struct wstream *s); /* handles notes; the stream may be gone after it */

/* ---- watch_catchup.c ---- */

void wwatch_catch_up(struct wwatch *w);   /* it was handed back: puts it into the queue */
void wwatch_catch_stop(struct wwatch *w); /* takes it out */
void wstream_unstall(struct wstream *s);
void watch_catchup_init(struct watch_io *wio);

/* ---- watch_send.c ---- */

/* All of these end the stream themselves when the connection refuses; false then. */
bool wstream_send_created(struct wstream *s, int64_t id, int64_t revision);
bool wstream_send_refused(struct wstream *s, const char *reason);
bool wstream_send_canceled(struct wstream *s, int64_t id, int64_t revision,
                           int64_t compact_revision);
bool wstream_send_progress(struct wstream *s, int64_t id, int64_t revision);
bool wwatch_send_events(struct wwatch *w, struct payload *events, uint32_t n, int64_t revision);
bool wstream_send_rest(struct wstream *s); /* false, too, while some of it still waits */
void wstream_drop_rest(struct wstream *s);

/* Whether what is next has to wait for the client. */
bool wstream_full(const struct wstream *s);
int64_t io_revision(struct io *io); /* newest published */

#endif
