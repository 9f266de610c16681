/* watch_int.h -- watches that clients share, from the inside.
 *
 *   source   one Watch stream to a member, for all clients that come with the same token and wishes
 *   feed     one watch on it: a key range with its options
 *   stream   a client's Watch stream
 *   watcher  one watch of a client: it is on one stream and gets its events from one feed
 *
 * A new watcher gets a feed of its own, so that its first revision is exact.  As soon as that feed
 * has come as far as another one of the same range and options, its watchers go over to the other,
 * and the feed ends: of a thousand equal watches one is left at the member.
 *
 *   feed:  IDLE (no stream) --> CREATING (asked for) --> RUNNING (has the member's id)
 *            ^----------------------+------------------------+   the stream was lost: it is asked
 *                                                                for again, from next_rev on
 */
#ifndef KETCH_EDGE_PROXY_WATCH_INT_H
#define KETCH_EDGE_PROXY_WATCH_INT_H

#include "base/map64.h"
#include "edge/proxy/proxy_int.h"
#include "edge/proxy/watch_note.h"

struct source {
    struct list link; /* of proxy->sources */
    struct proxy *proxy;
    struct rpc_metadata metadata[PROXY_METADATA_MAX]; /* values are ours */
    size_t metadata_n;
    struct upstream_waiter waiter;
    struct loop_timer timer; /* to open the stream again */
    struct upstream_member *member;
    struct rpc *rpc; /* NULL: no stream */
    bool closing;    /* nobody needs it any more: it goes when its stream has ended */
    bool busy;       /* clients are being resumed: it may not go now */
    struct list streams;
    struct list doomed;   /* streams that end when the delivery at hand is over */
    struct list feeds;    /* in the order of their creation */
    struct list creating; /* feeds, in the order of the member's answers */
    struct map64 running; /* the member's id + 1 -> feed */
    struct map64 same;    /* hash of options -> one of the feeds that have it */
    struct buf header;    /* of the member's last answer, its tag included */
};

enum feed_state { FEED_IDLE, FEED_CREATING, FEED_RUNNING };

struct feed {
    struct list link;     /* of source->feeds */
    struct list creating; /* of source->creating */
    struct list same;     /* ring of feeds whose options have one hash */
    struct source *source;
    enum feed_state state;
    bool abandoned;   /* CREATING, and nobody waits for it */
    bool mergeable;   /* not of a client that takes its answers in fragments */
    bool started;     /* it has had an answer, perhaps on an earlier stream */
    int64_t id;       /* while RUNNING */
    int64_t next_rev; /* all events before it were delivered; 0: from now on */
    uint64_t hash;
    struct buf options; /* WatchCreateRequest without revision and id */
    struct list receivers;
    size_t receivers_n;
};

struct stream {
    struct list link; /* of source->streams */
    struct list doomed;
    struct source *source;
    struct call *call;
    struct list watchers;
    struct map64 ids; /* id + 1 -> watcher */
    int64_t next_id;
    bool wants_progress;
    bool paused;
};

struct watcher {
    struct list link;     /* of stream->watchers */
    struct list receiver; /* of feed->receivers */
    struct stream *stream;
    struct feed *feed;
    int64_t id;
    int64_t next_rev; /* events before it were sent, or are not wanted */
    bool announced;   /* "created" was sent */
};

/* ---- watch_source.c ---- */

/* The source for a client's call; NULL without memory. */
struct source *source__of(struct proxy *p, const struct call *c);
/* Ends it when it has no streams. */
void source__maybe_close(struct source *s);
void source__send(struct source *s, struct buf *request); /* frees the buffer */
void source__ask_progress(struct source *s);

/* ---- watch_feed.c ---- */

/* Takes the options; NULL without memory. */
struct feed *feed__new(struct source *s, struct buf *options, int64_t start_rev, bool mergeable);
void feed__ask(struct feed *f); /* IDLE, and there is a stream */
void feed__lost(struct feed *f);
void feed__add(struct feed *f, struct watcher *w);
void feed__remove(struct watcher *w);
void feed__free(struct feed *f);
/* An answer of the member, to the feed that it is for. */
void feed__note(struct feed *f, const struct watch_note *n);

/* ---- watch.c ---- */

/* Sends a note under the watcher's id, events from `from` on. */
void stream__send(struct stream *st, int64_t id, const struct watch_note *n, size_t from);
void stream__end(struct stream *st, int code, const char *text);
void watcher__free(struct watcher *w);

#endif
