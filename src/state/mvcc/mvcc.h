/* mvcc.h -- the key space: every key, all its revisions since the last compaction.
 *
 * One thread, apply, changes it; any thread reads it through a *view*: the state at one revision,
 * published whole by one atomic store.  A view is pinned with a registered reader and may be kept
 * as long as one likes; what only old views can see is freed when the last of them goes.  Readers
 * and the writer never wait for each other.
 *
 *      apply thread                                   other threads
 *      mvcc_put, mvcc_delete_range, mvcc_txn ...      v = mvcc_view_pin(reader)
 *      mvcc_publish     -- one atomic store -->       mvcc_range(v, ...), mvcc_view_get(v, ...)
 *                                                     mvcc_view_unpin(v)
 *
 * Keys and their revisions are in an index in memory; values are in the store only, as encoded
 * KeyValue messages, and are handed out as they are.
 *
 * A write transaction (one put, one delete range, one txn, one revoked lease) that changes anything
 * takes one main revision; its changes are numbered 0, 1, ... in execution order.  The same calls
 * in the same order give the same bytes on every member: no clock, no chance.
 *
 * Requests come as the structs generated from rpc.proto, already checked by mvcc_check.h.  Results
 * are turned into wire bytes by mvcc_reply.h.  Without memory a read is refused (ERR_NOMEM); a
 * write stops the process before anything is half done.
 *
 * Threads: each function says which.   Memory: requests and keys are borrowed for the call, unless
 * something else is said; results are in the arena given, what they point to is the view's.
 */
#ifndef KETCH_STATE_MVCC_MVCC_H
#define KETCH_STATE_MVCC_MVCC_H

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "obs/trace.h"
#include "rpc.pb-c.h"
#include "state/store/store.h"
#include "wire/api_error.h"

/* name, code, the API's error, text */
#define MVCC_ERR_MAP(X)                                                             \
    X(COMPACTED, -520, COMPACTED, "mvcc: required revision has been compacted")     \
    X(FUTURE_REV, -521, FUTURE_REV, "mvcc: required revision is a future revision") \
    X(LEASE_NOT_FOUND, -522, LEASE_NOT_FOUND, "lease not found")                    \
    X(KEY_NOT_FOUND, -523, KEY_NOT_FOUND, "key not found")

enum mvcc_err {
#define X(name, code, api, text) ERR_MVCC_##name = code,
    MVCC_ERR_MAP(X)
#undef X
};

/* The API's error for one of the codes above; API_OK for any other. */
enum api_error mvcc_api_error(int rc);

#define MVCC_READERS_MAX 256        /* registered readers */
#define MVCC_COMPACT_HASHES 10      /* results of the newest compactions that are kept */
#define MVCC_INDEX_STEP_DEFAULT 256 /* keys per mvcc_compact_index_step */
/* ... or so many older revisions that stay and are copied: a key may have a million. */
#define MVCC_INDEX_STEP_REVISIONS 32768
#define MVCC_RECLAIM_STEP 16384 /* nodes and entries that one mvcc_publish frees: about 1 ms */

struct mvcc;
struct mvcc_view;
struct mvcc_reader;

/* ---- joined by the node ---- */

enum mvcc_event_type { MVCC_PUT = 0, MVCC_DELETE = 1 };

struct mvcc_event {
    enum mvcc_event_type type;
    int64_t main; /* the mod revision of the event */
    int64_t sub;
    bool created; /* a put that began a life of the key (create_revision == mod_revision) */
    struct bytes key;
    struct bytes kv; /* Event.kv as encoded: the stored KeyValue, or key and mod_revision */
    int64_t
        prev_main; /* the live revision just before, of which prev_kv tells; 0: there was none */
    int64_t prev_sub;
};

/* All are called on the apply thread, inside the write that causes them; NULL: not wanted.
 * Keys and events are borrowed: event bytes stay valid until the next mvcc_publish. */
struct mvcc_hooks {
    void *ctx;
    bool (*lease_exists)(void *ctx, int64_t id);
    /* The key now belongs to lease `id`, and to no other; nothing to do when it did before. */
    void (*lease_attach)(void *ctx, int64_t id, struct bytes key);
    void (*lease_detach)(void *ctx, struct bytes key); /* the key belongs to no lease any more */
    /* Once for each write transaction that changed something, all its events in order. */
    void (*events)(void *ctx, int64_t main, const struct mvcc_event *ev, size_t n);
};

/* ---- life ---- */

/* Reads bucket `key` and builds the index; lease_attach is called for each key whose newest value
 * has a lease.  The store must be fresh: nothing written to it yet but what other modules wrote.
 * ERR_STORE_BAD_REVISION_KEY, ERR_CORRUPT, ERR_NOMEM or the store's errors. */
NODISCARD int mvcc_open(struct store *s, const struct mvcc_hooks *hooks, struct mvcc **ret,
                        struct err *e);

/* No view is pinned, no compaction or hash is under way.  The store stays open; NULL is accepted.
 */
void mvcc_close(struct mvcc *kv);

/* Apply thread: true when no reader has a view pinned, so that mvcc_close may be called. */
bool mvcc_idle(struct mvcc *kv);

int64_t mvcc_revision(const struct mvcc *kv);         /* apply thread: newest, published or not */
int64_t mvcc_compact_revision(const struct mvcc *kv); /* apply thread; -1: never compacted */

/* ---- writes: apply thread ---- */

struct mvcc_range;

/* Encoded KeyValues. */
struct mvcc_kvs {
    struct bytes *v;
    size_t n;
};

struct mvcc_put_result {
    int64_t revision;
    bool has_prev;
    struct bytes prev_kv;
};

struct mvcc_delete_result {
    int64_t revision;
    int64_t deleted;
    struct mvcc_kvs prev_kvs;
};

struct mvcc_op_result;

struct mvcc_txn_result {
    int64_t revision; /* for the outer header; a nested one has an empty header */
    bool succeeded;
    struct mvcc_op_result *responses;
    size_t responses_n;
};

enum mvcc_op { MVCC_OP_RANGE, MVCC_OP_PUT, MVCC_OP_DELETE, MVCC_OP_TXN };

struct mvcc_op_result {
    enum mvcc_op op;
    union {
        struct mvcc_range *range;
        struct mvcc_put_result put;
        struct mvcc_delete_result del;
        struct mvcc_txn_result txn;
    };
};

/* In all of these `a` is where the answer's bytes go (copied: they need no view).  NULL says that
 * nobody waits for the answer: checks and changes are the same, kvs are left out.  When the answer
 * passes the arena's maximum the change is done all the same and *ret_too_large is set: the caller
 * answers ResourceExhausted.  `ret` is written on success only.
 *
 * Errors are part of the answer and the same on every member; nothing is changed then. */

/* ERR_MVCC_LEASE_NOT_FOUND, ERR_MVCC_KEY_NOT_FOUND (ignore_value or ignore_lease without a key). */
NODISCARD int mvcc_put(struct mvcc *kv, const Etcdserverpb__PutRequest *r, struct arena *a,
                       struct mvcc_put_result *ret, bool *ret_too_large);

void mvcc_delete_range(struct mvcc *kv, const Etcdserverpb__DeleteRangeRequest *r, struct arena *a,
                       struct mvcc_delete_result *ret, bool *ret_too_large);

/* A revoked lease: deletes the keys that exist, in the order given, in one revision.  Returns the
 * number of deleted keys (0: the revision stays). */
size_t mvcc_delete_keys(struct mvcc *kv, const struct bytes *keys, size_t n);

/* Where the writes note their steps, borrowed until the next call; NULL, as at first: nowhere.  The
 * last step of a write ends with it, and is left to the caller to note. */
void mvcc_trace(struct mvcc *kv, struct trace_steps *t);

/* Compares and pre-checks first, then all operations of the chosen path.  Errors are those of the
 * pre-checks: of mvcc_put, of mvcc_range for its ranges (ERR_NOMEM apart), and
 * ERR_MVCC_KEY_NOT_FOUND for an operation of a kind that is not known here. */
NODISCARD int mvcc_txn(struct mvcc *kv, const Etcdserverpb__TxnRequest *r, struct arena *a,
                       struct mvcc_txn_result *ret, bool *ret_too_large);

/* A range that came through the log: the result is copied.  ERR_MVCC_COMPACTED,
 * ERR_MVCC_FUTURE_REV; ERR_NOMEM: the answer passes the arena's maximum. */
NODISCARD int mvcc_range_applied(struct mvcc *kv, const Etcdserverpb__RangeRequest *r,
                                 struct arena *a, struct mvcc_range **ret);

/* The KeyValue that an event replaced, for prev_kv; false when it is below the compact revision.
 * For use inside hooks.events; valid until the next mvcc_publish. */
bool mvcc_event_prev_kv(struct mvcc *kv, const struct mvcc_event *ev, struct bytes *ret_kv);

/* Makes all writes so far visible to readers and frees what no reader can see any more.  Once for
 * each batch of applied entries, and after each commit or step of the store thread. */
void mvcc_publish(struct mvcc *kv);
/* Apply thread: there is more to free than one mvcc_publish does; it should come again soon. */
bool mvcc_reclaiming(const struct mvcc *kv);

/* ---- views ---- */

/* A registered reader: one for each thread that reads, for as long as the thread lives.  NULL: all
 * MVCC_READERS_MAX are in use. */
NODISCARD struct mvcc_reader *mvcc_reader_new(struct mvcc *kv);
void mvcc_reader_free(struct mvcc_reader *r); /* views pinned with it stay pinned */

/* The newest published view, counted; never NULL.  Two atomic operations, no lock.
 * mvcc_view_unpin and mvcc_view_ref may be called on any thread. */
NODISCARD const struct mvcc_view *mvcc_view_pin(struct mvcc_reader *r);
const struct mvcc_view *mvcc_view_ref(const struct mvcc_view *v);
void mvcc_view_unpin(const struct mvcc_view *v); /* NULL is accepted */

int64_t mvcc_view_revision(const struct mvcc_view *v);
int64_t mvcc_view_compact_revision(const struct mvcc_view *v);
const struct store_view *mvcc_view_store(const struct mvcc_view *v);
uint64_t mvcc_view_keys(const struct mvcc_view *v); /* live keys: a metric */

/* Numbers of what is kept for readers: any thread. */
struct mvcc_stats {
    uint64_t views;          /* not yet freed, the newest included */
    int64_t oldest_revision; /* of those */
    uint64_t index_bytes;    /* memory of the index, what only old views see included */
};
void mvcc_stats(const struct mvcc *kv, struct mvcc_stats *ret);

/* The encoded KeyValue of a live key at a revision that is not compacted; false: it does not exist
 * then.  Valid as long as the view. */
bool mvcc_view_get(const struct mvcc_view *v, struct bytes key, int64_t revision,
                   struct bytes *ret_kv);

/* ---- reads on a view: any thread ---- */

/* The result of a range: references, not values.  It points into the view (which must stay pinned)
 * or, from the apply thread, holds copies. */
struct mvcc_range_info {
    int64_t revision; /* for the header: the view's, whatever was asked for */
    int64_t count;    /* without regard to limit and filters */
    bool more;
    uint64_t kvs_n;     /* KeyValues in the answer */
    uint64_t kvs_bytes; /* of all `kvs` fields as encoded, tags and lengths included */
};

/* ERR_MVCC_COMPACTED, ERR_MVCC_FUTURE_REV, ERR_NOMEM (also past the arena's maximum: only sorting
 * and filters need memory per key).  The request is borrowed until the last mvcc_range_next. */
NODISCARD int mvcc_range(const struct mvcc_view *v, const Etcdserverpb__RangeRequest *r,
                         struct arena *a, struct mvcc_range **ret);
/* The same, noting its steps in t (NULL: nowhere), but for the reading of the records, which comes
 * with mvcc_range_next. */
NODISCARD int mvcc_range_traced(const struct mvcc_view *v, const Etcdserverpb__RangeRequest *r,
                                struct arena *a, struct trace_steps *t, struct mvcc_range **ret);

/* The same in steps, for who has other things to do: it is begun, and stepped until it is ready.
 * The view, the request and t stay until then.  A range that is given up needs no end.
 *
 * `units` of work are done, or a few more: one is what it takes to look at a key or to compare two
 * (some 20 ns, more where memory is cold); values that are found and compared cost many.
 * MVCC_RANGE_STEP is for who looks at a clock between steps.  Errors are those of mvcc_range, of
 * either; after one g is no longer used. */
#define MVCC_RANGE_STEP 256
NODISCARD int mvcc_range_begin(const struct mvcc_view *v, const Etcdserverpb__RangeRequest *r,
                               struct arena *a, struct trace_steps *t, struct mvcc_range **ret);
NODISCARD int mvcc_range_step(struct mvcc_range *g, uint64_t units, bool *ret_ready);

/* What is ahead of one that was begun and not stepped yet. */
struct mvcc_range_ahead {
    uint64_t keys;  /* that are looked at, at the most; 0: it is ready */
    uint64_t units; /* that it takes, about */
    uint64_t bytes; /* of the arena, for a list, at the most; 0: there is none */
    /* At an older revision: from the keys that live now.  There may be any number of others. */
    bool guessed;
};
void mvcc_range_ahead(const struct mvcc_range *g, struct mvcc_range_ahead *ret);

const struct mvcc_range_info *mvcc_range_info(const struct mvcc_range *g);
/* The next encoded KeyValue; valid until the call after it.  False: all have been given. */
bool mvcc_range_next(struct mvcc_range *g, struct bytes *ret_kv);
void mvcc_range_rewind(struct mvcc_range *g);

/* A read-only transaction on one view; the results point into the view.  Errors as of mvcc_range.
 */
NODISCARD int mvcc_txn_read(const struct mvcc_view *v, const Etcdserverpb__TxnRequest *r,
                            struct arena *a, struct mvcc_txn_result *ret);

/* The same in steps, as for ranges: a guard looks at each key of its range, at the record of each
 * when it asks for values or leases.  Notes its steps in t (NULL: nowhere).  The result is part of
 * what was begun, once that is ready. */
struct mvcc_txn_read;
NODISCARD int mvcc_txn_read_begin(const struct mvcc_view *v, const Etcdserverpb__TxnRequest *r,
                                  struct arena *a, struct trace_steps *t,
                                  struct mvcc_txn_read **ret);
NODISCARD int mvcc_txn_read_step(struct mvcc_txn_read *x, uint64_t units, bool *ret_ready);
/* What is ahead of one that is not ready, at the most, also when it was stepped: as long as the
 * guards are not decided, of either branch what is more.  Its lists are all held to the end. */
void mvcc_txn_read_ahead(const struct mvcc_txn_read *x, struct mvcc_range_ahead *ret);
const struct mvcc_txn_result *mvcc_txn_read_result(const struct mvcc_txn_read *x);

/* RangeStream: chunks of a growing number of keys, all at the revision of the first.  The view
 * stays pinned from first to last.  A chunk is begun in an arena of its own, stepped until it is
 * ready, as a range is, and taken: *ret_last says that it carries header, more and count; the
 * others carry kvs alone.  Chunks aim at max_request_bytes, whatever it is (0: few keys each).
 * The request is borrowed as long.  Errors as of mvcc_range_begin and mvcc_range_step; after one,
 * and after the last chunk, nothing but mvcc_range_stream_init is called. */
struct mvcc_range_stream {
    const struct mvcc_view *view;
    const Etcdserverpb__RangeRequest *request;
    Etcdserverpb__RangeRequest next;
    Etcdserverpb__RangeRequest sort;
    uint64_t max_request_bytes;
    int64_t chunk_limit;
    int64_t sent;
    uint64_t last_chunk_bytes;
    bool done;
    struct arena *arena; /* of the chunk under way */
    struct mvcc_range *chunk;
    struct mvcc_range *sorted; /* its keys in another order; NULL: not yet, or not wanted */
};
void mvcc_range_stream_init(struct mvcc_range_stream *t, const struct mvcc_view *v,
                            const Etcdserverpb__RangeRequest *r, uint64_t max_request_bytes);
NODISCARD int mvcc_range_stream_begin(struct mvcc_range_stream *t, struct arena *a);
NODISCARD int mvcc_range_stream_step(struct mvcc_range_stream *t, uint64_t units, bool *ret_ready);
/* What is ahead of a chunk that was begun and not stepped yet. */
void mvcc_range_stream_ahead(const struct mvcc_range_stream *t, struct mvcc_range_ahead *ret);
struct mvcc_range *mvcc_range_stream_chunk(struct mvcc_range_stream *t, bool *ret_last);

/* ---- compaction ---- */

/* Accepts a compaction at `revision` (apply thread): from now on older revisions cannot be read.
 * ERR_MVCC_COMPACTED, ERR_MVCC_FUTURE_REV.  Deleting is left to do:
 *   - mvcc_compact_index_step on the apply thread until it returns false (the index);
 *   - the jobs, one after another in order of acceptance, on the store thread (the file). */
NODISCARD int mvcc_compact(struct mvcc *kv, int64_t revision);

/* Apply thread.  Looks at up to max_keys keys; true: there is more to do. */
bool mvcc_compact_index_step(struct mvcc *kv, size_t max_keys);
bool mvcc_compact_index_pending(const struct mvcc *kv);

/* A job for the file.  Take it on the apply thread (NULL: none waits), step it on the store thread
 * after store_commit has committed all that was sealed when it was taken, paced by the caller, and
 * give it back on the apply thread, where its hash is kept.  At start an unfinished compaction is
 * such a job.  A step fails as store_compact_step does, and with ERR_NOMEM; it may be made again
 * after ERR_NO_SPACE only. */
struct mvcc_compaction;
NODISCARD struct mvcc_compaction *mvcc_compaction_take(struct mvcc *kv);
NODISCARD int mvcc_compaction_step(struct mvcc_compaction *c, size_t records, bool *ret_done,
                                   struct err *e);
/* done: it went to its end.  Otherwise (shutdown) it is resumed at the next start.  Frees c. */
void mvcc_compaction_end(struct mvcc *kv, struct mvcc_compaction *c, bool done);

struct mvcc_compaction_info {
    int64_t revision;
    uint64_t records_scanned;
    uint64_t records_removed;
    uint32_t hash;
};
void mvcc_compaction_info(const struct mvcc_compaction *c, struct mvcc_compaction_info *ret);

/* ---- another file in the place of this one ---- */

/* The index over what `v` shows, which has no batches: any thread, for it takes as long as a start.
 * Errors as for mvcc_open. */
struct mvcc_loaded;
NODISCARD int mvcc_load(const struct store_view *v, struct mvcc_loaded **ret, struct err *e);
void mvcc_loaded_free(struct mvcc_loaded *l); /* NULL is accepted */

/* Apply thread.  The store has taken over the file that `l` was loaded from: from now on the key
 * space is that one.  lease_attach is called as by mvcc_open.  Takes l; its revision is not below
 * the present one.  Compactions that wait are forgotten, those that are taken must be given back as
 * not done before the store is stepped again.  Views of the old state stay what they are;
 * mvcc_publish comes next, before any write. */
void mvcc_replace(struct mvcc *kv, struct mvcc_loaded *l);

/* ---- hash ---- */

struct mvcc_hash_result {
    uint32_t hash;
    int64_t compact_revision;
    int64_t hash_revision;
    int64_t current_revision;
};

/* HashKV at `revision` (0: the view's).  Refs the view.  *ret_done of a step: the result is there.
 * ERR_MVCC_COMPACTED, ERR_MVCC_FUTURE_REV, ERR_NOMEM. */
struct mvcc_hash;
NODISCARD int mvcc_hash_begin(const struct mvcc_view *v, int64_t revision, struct mvcc_hash **ret);
NODISCARD int mvcc_hash_step(struct mvcc_hash *h, size_t records, bool *ret_done);
void mvcc_hash_result(const struct mvcc_hash *h, struct mvcc_hash_result *ret);
void mvcc_hash_end(struct mvcc_hash *h);

/* The stored hashes of the newest compactions, oldest first, as of the view. */
size_t mvcc_view_compact_hashes(const struct mvcc_view *v,
                                struct mvcc_hash_result ret[MVCC_COMPACT_HASHES]);

#endif
