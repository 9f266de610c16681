/* mvcc_int.h -- private to state/mvcc. */
#ifndef KETCH_STATE_MVCC_INT_H
#define KETCH_STATE_MVCC_INT_H

#include <stdatomic.h>

#include "base/alloc.h"
#include "base/list.h"
#include "state/mvcc/index.h"
#include "state/mvcc/mvcc.h"

#define FIRST_REVISION 1 /* of an empty store */
#define NEVER_COMPACTED (-1)
#define SUB_MAX \
    (INT64_C(1) << 31) /* changes in one transaction: key_revision has 31 bits for them */

/* ---- KeyValue as bytes ---- */

struct kv_fields {
    struct bytes key;
    struct bytes value;
    int64_t create_main;
    int64_t mod_main;
    int64_t version;
    int64_t lease;
};

size_t kv_encoded_bytes(const struct kv_fields *f);
uint8_t *kv_encode(const struct kv_fields *f, uint8_t *p);
void kv_encode_exactly(const struct kv_fields *f, uint8_t *p, size_t n); /* into n bytes */
/* False: not a KeyValue. */
bool kv_decode(struct bytes in, struct kv_fields *ret);
/* A record of the store, which must be one: stops otherwise. */
void kv_decode_stored(struct bytes in, struct kv_fields *ret);

/* ---- the state that a read looks at ---- */

/* One state of the key space: that of a view, or what apply sees now. */
struct kv_state {
    const struct index_node *root;
    const struct store_view *store;
    int64_t revision; /* newest */
    int64_t compact_revision;
};

/* [key, end) after the rules of range_end; a single key when `single`. */
struct key_range {
    struct bytes key;
    struct bytes end;
    bool single;
    bool to_the_end; /* all keys >= key */
};

struct key_range key_range_of(struct bytes key, struct bytes range_end);

static inline bool key_range_passed(const struct key_range *g, struct bytes key)
{
    return !g->to_the_end && bytes_cmp(key, g->end) >= 0;
}

/* The record of a revision that the index has: stops when the store lacks it. */
struct bytes state_value(const struct kv_state *st, int64_t main, int64_t sub);
/* The live entry of a key in its newest revision; NULL. */
struct key_entry *state_live(const struct kv_state *st, struct bytes key);
/* 0 and the revision to read at, or ERR_MVCC_COMPACTED, ERR_MVCC_FUTURE_REV. */
int state_revision(const struct kv_state *st, int64_t asked, int64_t *ret);

/* ---- views ---- */

struct compact_hashes {
    size_t n;
    struct mvcc_hash_result v[MVCC_COMPACT_HASHES];
};

/* Invariants:
 *   V1  a view is freed only by the apply thread, when it is not the newest, nobody has counted it,
 *       and no reader's slot names it;
 *   V2  garbage of a view can be seen by it and older views, never by newer ones;
 *   V3  an index lives as long as it is the key space's or a view shows it; garbage is handed down
 *       between views of one index only. */
struct mvcc_view {
    _Atomic uint32_t refs; /* pins */
    uint64_t epoch;
    struct kv_state state; /* .store points at `store` */
    struct store_view store;
    struct compact_hashes hashes;
    struct index *index;
    struct list link; /* in mvcc.views, oldest first */
    struct garbage garbage;
    bool ending; /* dead: its garbage goes in steps */
};

/* A slot says: I am about to count this view. */
struct mvcc_reader {
    struct mvcc *kv;
    _Atomic(struct mvcc_view *) slot;
    _Atomic bool used;
    char apart[64 - sizeof(struct mvcc *) - sizeof(void *) - sizeof(_Atomic bool)];
};

/* ---- the key space ---- */

struct write_txn {
    bool active;
    int64_t main; /* the revision that its changes get */
    int64_t sub;  /* changes so far */
};

struct mvcc {
    struct store *store;
    struct mvcc_hooks hooks;
    struct trace_steps *trace; /* of the write under way; NULL: nobody wants to know */

    /* Apply thread. */
    struct index *index; /* another one after mvcc_replace */
    int64_t revision;
    int64_t compact_revision;
    int64_t published_revision; /* of the newest view: I3 */
    int64_t scheduled_compact;  /* as in bucket meta; NEVER_COMPACTED: absent */
    int64_t finished_compact;
    struct write_txn txn;
    struct mvcc_event *events; /* of the open transaction */
    size_t events_n;
    size_t events_cap;
    struct arena event_arena; /* encoded kvs of delete events, until the next publish */
    struct key_entry **scratch;
    size_t scratch_cap;
    struct compact_hashes hashes;
    struct list views;
    struct list ending; /* indexes */
    bool reclaiming;    /* more is to be freed than the last step could */
    bool dirty;         /* something to publish besides the root and the revision */

    /* Compaction of the index, to a revision that is not above that of the oldest job in
     * `compactions`: what the job keeps is still to be read from it.  Keys from `cursor_key` on are
     * still to be looked at. */
    bool index_compacting;
    int64_t index_compact_to;
    uint8_t *cursor_key;
    size_t cursor_key_n;
    struct list compactions; /* jobs that wait to be taken */

    /* Shared. */
    _Atomic(struct mvcc_view *) newest;
    _Atomic uint32_t readers_n; /* slots below this may be in use */
    struct mvcc_reader readers[MVCC_READERS_MAX];
    _Atomic uint64_t stat_views;
    _Atomic int64_t stat_oldest;
    _Atomic uint64_t stat_index_bytes;
};

/* A pinned view of the newest index, without the store: for long work that must not keep pages of
 * the file from being used again.  Apply thread; mvcc_view_unpin on any. */
struct mvcc_view *mvcc__index_view_new(struct mvcc *kv);
void mvcc__views_init(struct mvcc *kv);
void mvcc__views_done(struct mvcc *kv);

/* What apply sees now; `sv` must live as long as the result is used, and nothing may be sealed
 * meanwhile. */
struct kv_state mvcc__now(struct mvcc *kv, struct store_view *sv);

/* ---- writing ---- */

void mvcc__txn_begin(struct mvcc *kv);
void mvcc__txn_end(
    struct mvcc *kv); /* takes the revision when there were changes, tells the hooks */
/* The revision for a header at this point of the transaction. */
int64_t mvcc__txn_revision(const struct mvcc *kv);

void mvcc__event_add(struct mvcc *kv, const struct mvcc_event *ev);

struct put_args {
    struct bytes key;
    struct bytes value;
    int64_t lease;
};

void mvcc__put_key(struct mvcc *kv, const struct put_args *a);
bool mvcc__delete_key(struct mvcc *kv, struct bytes key); /* false: not there */

/* Replaces the newest revision of an entry: gives it back changed in place or as a copy in the
 * tree, the replaced revision in its history.  `e` NULL: a new entry at the path. */
struct key_entry *mvcc__entry_advance(struct mvcc *kv, struct index_path *p, struct key_entry *e,
                                      struct bytes key, bool tombstone, bool leased,
                                      size_t value_bytes);

/* Copies for an answer; once memory is out, *too_large is set and nothing more is copied. */
struct answer {
    struct arena *arena; /* NULL: nobody waits */
    bool too_large;
};

struct bytes answer_copy(struct answer *an, struct bytes b);
void *answer_alloc(struct answer *an, size_t n, size_t size);

/* One operation inside an open transaction.  Both are made legal by checks before. */
void mvcc__apply_put(struct mvcc *kv, const Etcdserverpb__PutRequest *r, struct answer *an,
                     struct mvcc_put_result *ret);
void mvcc__apply_delete_range(struct mvcc *kv, const Etcdserverpb__DeleteRangeRequest *r,
                              struct answer *an, struct mvcc_delete_result *ret);
int mvcc__apply_range(struct mvcc *kv, const Etcdserverpb__RangeRequest *r, struct answer *an,
                      struct mvcc_range **ret);

/* ---- transactions ---- */

/* The branches that the guards choose, for a transaction and those nested in the chosen lists. */
struct txn_path {
    bool succeeded;
    struct txn_path *nested; /* one for each nested transaction in the chosen list, in order */
};

size_t txn_ops(const Etcdserverpb__TxnRequest *r, bool succeeded,
               Etcdserverpb__RequestOp ***ret_ops);
/* All guards, on the state before.  NULL: no memory. */
struct txn_path *txn_choose(const struct kv_state *st, const Etcdserverpb__TxnRequest *r,
                            struct arena *a);
/* The first operation of the path that cannot be done: its error. */
int txn_check(const struct kv_state *st, const struct mvcc_hooks *hooks,
              const Etcdserverpb__TxnRequest *r, const struct txn_path *path);
/* A lone put looks at its lease first, a put in a transaction at its key: as etcd does. */
int put_check_lease(const struct mvcc_hooks *hooks, const Etcdserverpb__PutRequest *r);
int put_check_key(const struct kv_state *st, const Etcdserverpb__PutRequest *r);

/* ---- range results ---- */

enum range_form {
    RANGE_RECORDS,  /* stored KeyValues as they are */
    RANGE_KEYS,     /* made from the index: no value, lease 0 */
    RANGE_STRIPPED, /* stored KeyValues without their value */
};

/* A key at a revision, and what it is sorted by. */
struct range_ref {
    union {
        const struct key_entry *entry;
        const uint8_t *record; /* instead of it, when sorted by value */
    };
    struct key_revision rev;
    union {
        int64_t number;
        struct {
            uint32_t value_at; /* where in the record */
            uint32_t value_n;
        };
    };
};

_Static_assert(sizeof(struct range_ref) == 32, "what a key in a list costs is a promise");

/* It is the entry's newest revision, of which the index knows all but the value. */
static inline bool range_ref_is_newest(const struct range_ref *ref)
{
    return ref->rev.main == ref->entry->mod_main &&
           ref->rev.sub_tombstone == ref->entry->mod_sub_tombstone;
}

enum range_source { RANGE_NONE, RANGE_ONE, RANGE_WALK, RANGE_REFS, RANGE_COPIES };

/* What is done next, in the order in which it is done; which of them, depends on the request. */
enum range_phase {
    RANGE_COUNTS,   /* the keys at an older revision, one by one */
    RANGE_COLLECTS, /* references */
    RANGE_SORTS,
    RANGE_MEASURES, /* the answer */
    RANGE_READY,
};

struct range_list;

struct mvcc_range {
    struct mvcc_range_info info;
    struct kv_state state;
    struct key_range keys;
    int64_t at_revision;
    enum range_form form;
    enum range_source source;
    uint64_t given; /* KeyValues handed out since the last rewind */
    struct index_cursor cursor;
    struct store_cursor *records;
    struct range_ref *one;   /* RANGE_ONE */
    struct range_list *list; /* RANGE_REFS, and on the way there */
    struct mvcc_kvs copies;  /* RANGE_COPIES */
    uint8_t *made;           /* room for the longest KeyValue made from the index, or stripped */
    struct arena *arena;

    /* Until it is ready. */
    enum range_phase phase;
    const Etcdserverpb__RangeRequest *request;
    struct trace_steps *trace;
    uint64_t measured; /* KeyValues */
    size_t longest;    /* of them */
    /* For range_stream.c: */
    uint64_t count_most;            /* not 0: no more than so many are counted one by one */
    bool finds_behind;              /* of what the limit leaves out, the first key is wanted, */
    const struct key_entry *behind; /* and this is it */
};

/* Begins a range; single keys are ready then.  All else is done in steps. */
int range_begin(const struct kv_state *st, const Etcdserverpb__RangeRequest *r, struct arena *a,
                struct trace_steps *t, struct mvcc_range *g);
/* Up to *units of work: mvcc_range_step. */
int range_step(struct mvcc_range *g, uint64_t *units);
/* Both, to its end. */
int range_run(const struct kv_state *st, const Etcdserverpb__RangeRequest *r, struct arena *a,
              struct trace_steps *t, struct mvcc_range *g);
/* Encoded bytes of a `kvs` element of n bytes in a RangeResponse. */
uint64_t range_kv_field_bytes(uint64_t n);
/* Bytes of the KeyValue that ref will be given out as. */
size_t range_ref_bytes(const struct mvcc_range *g, const struct range_ref *ref);
struct bytes range_ref_kv(struct mvcc_range *g, const struct range_ref *ref);
struct bytes range_ref_record(const struct mvcc_range *g, const struct range_ref *ref);
void range_ref_fields(const struct mvcc_range *g, const struct range_ref *ref,
                      struct kv_fields *ret); /* create, mod, version, key; value and lease 0 */

/* ---- what a compaction or hash keeps ---- */

enum keep_rule { KEEP_COMPACT, KEEP_HASH };

/* The revisions at or below `main` that are kept, one for each key, in windows: those from a place
 * on in ascending order, as many as fit.  The records of the file are compared with them as they go
 * by. Collected by walks over the index of a pinned view. */
struct keep_set {
    const struct index_node *root;
    int64_t main;
    enum keep_rule rule;
    struct revision *v; /* of the window, ascending once it is complete */
    size_t n;
    size_t cap;
    size_t at;             /* those before have gone by */
    size_t window_max;     /* KEEP_WINDOW_MAX */
    struct revision from;  /* the window begins here */
    struct revision limit; /* and holds all up to here */
    struct index_cursor cursor;
    bool walking;
    bool any; /* some key keeps something, in any window */
};

#define KEEP_WINDOW_MAX \
    ((size_t) 1 << 20) /* revisions in a window: 16 MiB, doubled while collecting */

void keep_set_init(struct keep_set *k, const struct index_node *root, int64_t main,
                   enum keep_rule rule);
void keep_set_done(struct keep_set *k);
/* Looks at up to `keys` keys; true: the window is complete.  ERR_NOMEM: *ret_no_memory. */
bool keep_set_collect(struct keep_set *k, size_t keys, bool *ret_no_memory);
/* The window does not reach to `r`: it must be collected anew from there, see keep_set_restart. */
bool keep_set_covers(const struct keep_set *k, struct revision r);
void keep_set_restart(struct keep_set *k, struct revision from);
/* `r` ascends from call to call and is covered. */
bool keep_set_has(struct keep_set *k, struct revision r);

/* ---- restore, compaction, hash ---- */

int mvcc__restore(struct mvcc *kv, struct err *e);
/* The index is the views' from now on, and goes with the last of them: view.c. */
void mvcc__index_retire(struct mvcc *kv);
/* Sets the compact revision and queues the job. */
void mvcc__compact_accept(struct mvcc *kv, int64_t revision);
void mvcc__compactions_done(struct mvcc *kv);

#endif
