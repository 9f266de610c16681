/* watch.h -- who is told what when keys change.
 *
 * The *hub* lives on the apply thread and holds the watchers that are in step with it: each write
 * is matched against them and what they are to be told is put on their streams.  A watcher that
 * wants older events, or whose stream does not take what it is given, is not the hub's business: it
 * belongs to the thread of its stream, which reads what is missing from a pinned view
 * (state/mvcc/history.h) and then joins the hub again.  So a slow consumer pays for itself.
 *
 *                     stream's thread               |            hub (apply thread)
 *                                                   |
 *      create --> [apart] ------ watch_join --------+---> next_rev <= current? --yes--+
 *                 ^  ^  |                           |             | no                |
 *                 |  |  | history_scan, deliver     |             v                   |
 *                 |  |  | to R, next_rev = R + 1    |   [future]  -->  [live]         |
 *                 |  |  +-- watch_join again -------+    start_rev      |             |
 *                 |  |                              |    reached        | stream full |
 *                 |  +------- WATCH_BEHIND ---------+-------------------+             |
 *                 |                                 |                                 |
 *                 +---------- WATCH_BEHIND ---------+---------------------------------+
 *
 * Everything the hub says to a stream comes in one ordered queue of struct watch_note: answers to
 * joins and leaves, events, progress, "you are behind".  What the hub promises about it:
 *
 *   W1  A watcher gets every event with revision >= its next_rev that passes its range and filters,
 *       once, in order of revision, inside a revision in order of execution; all events of one
 *       revision are in one note.
 *   W2  WATCH_PROGRESS at R comes after every event <= R of the watchers it speaks for.
 *   W3  When a watcher is handed back (BEHIND), next_rev is the first revision that it was not
 *       told of.
 *   W4  A stream holds a bounded number of bytes and notes that it has not taken yet.
 *
 * Memory: a struct watcher and a struct watch_stream are the stream side's.  From watch_join to the
 * note that hands it back (WATCH_BEHIND, WATCH_COMPACTED, WATCH_LEFT) a watcher is the hub's: its
 * maker may read its constant fields but must neither write nor free it.  A stream is the hub's
 * from its first join to WATCH_CLOSED.
 *
 * Without memory the process stops.
 *
 * Threads: watch_hub_*, watch_join ... watch_flush on the apply thread; watch_batch_free,
 * watch_stats and the init functions on any.
 */
#ifndef KETCH_STATE_MVCC_WATCH_H
#define KETCH_STATE_MVCC_WATCH_H

#include <stdatomic.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/payload.h"
#include "state/mvcc/mvcc.h"

#define WATCH_STREAM_NOTES_MAX 1024 /* untaken notes of a stream, besides two for each watcher */
#define WATCH_STREAM_BYTES_MAX ((uint64_t) 8 << 20) /* untaken bytes of a stream ... */
#define WATCH_HUB_BYTES_MAX ((uint64_t) 256 << 20)  /* ... and of all streams together */
#define WATCH_JOIN_GAP_MAX 64 /* revisions that the hub itself reads to let a watcher in */

/* Pairs of an event and a group of watchers that one write is matched to.  Whoever is hit past it
 * goes behind and reads the write from history, which is done in pieces and elsewhere.  A write
 * with one event may hit all groups there are. */
#define WATCH_HITS_MAX (1u << 20)

struct watch_hub;
struct watch_group;
struct watch_batch;

enum watch_filter { WATCH_NOPUT = 1, WATCH_NODELETE = 2 };

enum watch_note_kind {
    WATCH_EVENTS,    /* `events`; revision is theirs (after a join: the store's) */
    WATCH_JOINED,    /* answers watch_join: live, events follow; revision is the store's */
    WATCH_BEHIND,    /* the watcher is yours again: catch up from w->next_rev, then join again.
                        Answers watch_join, or comes unasked; revision is the store's, and views
                        pinned from now on have reached it */
    WATCH_COMPACTED, /* answers watch_join: next_rev is compacted, the watcher is yours again;
                        revision is the compact revision */
    WATCH_PROGRESS,  /* everything up to `revision` has been said; watcher NULL: to all of the
                        stream's watchers (answers watch_progress) */
    WATCH_LEFT,   /* answers watch_leave: the watcher is yours again, nothing more comes for it */
    WATCH_CLOSED, /* answers watch_stream_close: the last note; all watchers and the stream are
                     yours again */
};

/* Where batches go: one per I/O thread. */
struct watch_sink {
    /* A list linked by `next`, oldest first, once per watch_flush; on the apply thread.  It must
     * only queue and wake.  Each batch is given back with watch_batch_free. */
    void (*deliver)(struct watch_sink *s, struct watch_batch *first);
    /* private */
    struct watch_batch *first;
    struct watch_batch *last;
    struct list link;
};

void watch_sink_init(struct watch_sink *s,
                     void (*deliver)(struct watch_sink *s, struct watch_batch *first));

/* Embed it in the record of a client's stream. */
struct watch_stream {
    struct watch_sink *sink;
    /* private */
    _Atomic uint64_t queued_bytes; /* given out and not yet freed */
    _Atomic uint64_t queued_notes;
    struct list watchers; /* live or future */
    size_t live_n;
    size_t future_n;
    struct watch_batch *batch; /* open */
    struct list link;          /* in the hub's list of streams with an open batch */
    uint64_t base_bytes;       /* what was queued when the batch was opened */
    uint64_t base_notes;
};

void watch_stream_init(struct watch_stream *s, struct watch_sink *sink);

enum watch_state { WATCH_APART, WATCH_FUTURE, WATCH_LIVE };

/* Embed it in the record of a watch. */
struct watcher {
    /* Set by watcher_init, constant.  Keys are borrowed for as long as the watcher lives. */
    struct watch_stream *stream;
    struct bytes key;
    struct bytes range_end; /* empty: only `key`; one zero byte: all keys from `key` on */
    unsigned filters;       /* of enum watch_filter */
    bool prev_kv;
    bool progress_notify;
    int64_t start_rev; /* as the client sent it; 0: from now on */

    /* The next revision that it is to be told of; 0: the one after the current.  The owner's. */
    int64_t next_rev;

    /* private */
    enum watch_state state;
    struct watch_group *group;
    struct list in_group;
    struct list in_stream;
    struct heap_item wake; /* in the hub's heap of futures, by start_rev */
};

struct watch_options {
    struct bytes key;
    struct bytes range_end;
    unsigned filters;
    bool prev_kv;
    bool progress_notify;
    int64_t start_rev;
};

/* An empty key is taken as one zero byte.  False: the range is empty ("mvcc: watcher range is
 * empty"). start_rev >= 0. */
NODISCARD bool watcher_init(struct watcher *w, struct watch_stream *s,
                            const struct watch_options *o);

/* ---- what a stream gets ---- */

struct watch_note {
    struct watcher *watcher;
    /* WATCH_EVENTS: the field `events` of a WatchResponse, as often as there are events, encoded.
     * Borrowed until the batch is freed; who wants it longer takes a reference. */
    struct payload *events;
    int64_t revision;
    uint32_t events_n;
    uint8_t kind;     /* enum watch_note_kind */
    bool owns_events; /* private: this note holds the batch's reference */
};

struct watch_batch {
    struct watch_batch *next;
    struct watch_stream *stream;
    struct watch_hub *hub; /* private */
    uint64_t bytes;        /* private: counted */
    uint32_t cap;          /* private */
    uint32_t n;
    struct watch_note notes[];
};

/* The notes are done with: their bytes count no more.  The batch with WATCH_CLOSED is freed before
 * its stream is. */
void watch_batch_free(struct watch_batch *b);

/* ---- the hub ---- */

struct watch_hub_config {
    int64_t revision; /* of the store */
    int64_t compact_revision;
    uint64_t stream_notes_max; /* 0: the defaults above */
    uint64_t stream_bytes_max;
    uint64_t hub_bytes_max;
    uint32_t hits_max;
    uint64_t hash_seed[2]; /* from the process's random source: clients choose the keys */
    /* The pair that an event replaced: mvcc_event_prev_kv.  Called inside watch_publish, once per
     * event and only when a watcher wants it. */
    bool (*prev_kv)(void *ctx, const struct mvcc_event *ev, struct bytes *ret_kv);
    /* A reader for the apply thread, which keeps it; NULL: no gap is closed by the hub. */
    struct mvcc_reader *reader;
    void *ctx;
};

/* Copies the configuration. */
NODISCARD struct watch_hub *watch_hub_new(const struct watch_hub_config *cfg);
/* No watcher is the hub's and all batches are freed.  NULL is accepted. */
void watch_hub_free(struct watch_hub *h);

enum watch_join_result { WATCH_JOIN_SYNCED, WATCH_JOIN_BEHIND, WATCH_JOIN_COMPACTED };

/* Takes the watcher: all revisions < w->next_rev have been delivered.  The answer is also the first
 * note about it; with BEHIND and COMPACTED it goes back with that note.  A gap of at most
 * WATCH_JOIN_GAP_MAX revisions is read here and the watcher let in, so that catching up with a busy
 * store comes to an end. */
enum watch_join_result watch_join(struct watch_hub *h, struct watcher *w);

/* No more notes for this watcher but WATCH_LEFT, whatever state it is in.  The stream's side has no
 * join of it under way that the hub has not seen. */
void watch_leave(struct watch_hub *h, struct watcher *w);

/* One write transaction: all its events in order, main greater than the revision before.  For
 * mvcc_hooks.events. */
void watch_publish(struct watch_hub *h, int64_t main, const struct mvcc_event *ev, size_t n);

/* A compaction was accepted.  Live watchers do not notice. */
void watch_compacted(struct watch_hub *h, int64_t compact_revision);

/* The store was replaced by a snapshot: if it is newer, all live watchers are BEHIND from what they
 * had reached, and the future ones that it overtook from their start; those whose start is still to
 * come stay.  revision and compact_revision do not go back. */
void watch_restored(struct watch_hub *h, int64_t revision, int64_t compact_revision);

/* A progress request.  watchers_n: how many watchers the stream has, whoever holds them.  If all of
 * them are live and none has a start_rev above the current revision, and there is at least one, a
 * WATCH_PROGRESS note for the whole stream follows and true is returned; else nothing at all. */
bool watch_progress(struct watch_hub *h, struct watch_stream *s, size_t watchers_n);

/* The progress timer of a stream: a WATCH_PROGRESS note for each live watcher with progress_notify
 * (the stream's side drops those that had events since the last tick).  Returns how many. */
size_t watch_progress_each(struct watch_hub *h, struct watch_stream *s);

/* All its watchers leave without a note of their own; then WATCH_CLOSED. */
void watch_stream_close(struct watch_hub *h, struct watch_stream *s);

/* Hands all open batches to their sinks.  Once for each batch of applied entries, after
 * mvcc_publish. */
void watch_flush(struct watch_hub *h);

struct watch_stats {
    uint64_t watchers;     /* live or future: etcd's synced */
    uint64_t groups;       /* distinct ranges and options */
    uint64_t events_total; /* events put into notes */
    uint64_t behind_total; /* handed back: their stream was full, or a write hit too many */
    uint64_t queued_bytes; /* in batches not yet freed */
};
void watch_stats(const struct watch_hub *h, struct watch_stats *ret);

/* Aborts when an invariant of WATCH.md does not hold. */
void watch_hub_check(const struct watch_hub *h);

#endif
