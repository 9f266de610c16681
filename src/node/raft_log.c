/* raft_log.c -- how much of the log stays in memory, and what happens when a snapshot is on disk.
 *
 * The log reaches back `catchup_entries` behind what is applied, so that a follower that was away
 * for a moment need not be sent the whole store.  Only its newest part is in memory; the rest is
 * read back from the write-ahead log, by the work actor:
 *
 *     IDLE --(raft wants entries that are not in memory)--> ASKED --(work has read)--> READY
 *      ^                                                                                |
 *      '------------- raft has used them, or wants others, or needs none any more ------'
 *
 * While ASKED the reading belongs to the work actor, else to the raft actor, which tells the core
 * when it is READY.  So a follower gets the log as fast as it is read.  But while something is
 * written it gets small pieces with rests: whoever writes is waiting, and the follower has time.
 */
#include "base/alloc.h"
#include "node/node_int.h"

enum { READING_IDLE, READING_ASKED, READING_READY };

struct log_reading {
    _Atomic int state;
    raft_index lo;
    raft_index hi;
    struct wal_entries got;
    int rc;
    bool used;
    bool told;             /* the core knows that it is READY */
    size_t bytes_max;      /* of what is read */
    mono_ns due;           /* not to be used before */
    mono_ns now;           /* of the raft actor's turn */
    mono_ns logged_at;     /* when something was last written */
    uint64_t bytes_logged; /* written since something was asked for */
    unsigned passed_over;  /* others asked meanwhile */
    unsigned unused_for;   /* compactions of the log */
    struct wal_reader *wal;
    struct wal_position near; /* where it may begin; off 0: nowhere */
    /* A ring; the raft actor's alone. */
    struct wal_position marks[NODE_LOG_MARKS];
    size_t marks_n; /* that ever were */
};

/* ---- reading back: the raft actor ---- */

static const struct wal_position *mark_of(const struct log_reading *r, size_t i)
{
    return &r->marks[i % NODE_LOG_MARKS];
}

/* The log's place after a write, unless the last one remembered is near enough. */
static void mark_add(struct log_reading *r, const struct wal_position *at)
{
    const struct wal_position *last = r->marks_n == 0 ? NULL : mark_of(r, r->marks_n - 1);

    if (last != NULL && last->seq == at->seq && at->off < last->off + NODE_LOG_MARK_BYTES)
        return;
    r->marks[r->marks_n++ % NODE_LOG_MARKS] = *at;
}

/* The last place behind which entry lo must be; off 0 where none is remembered. */
static struct wal_position mark_before(const struct log_reading *r, raft_index lo)
{
    size_t oldest = r->marks_n < NODE_LOG_MARKS ? 0 : r->marks_n - NODE_LOG_MARKS;

    for (size_t i = r->marks_n; i > oldest; i--) {
        if (mark_of(r, i - 1)->last < lo)
            return *mark_of(r, i - 1);
    }
    return (struct wal_position){0};
}

static bool is_beside_writes(const struct log_reading *r)
{
    return r->logged_at != 0 && r->now - r->logged_at < NODE_LOG_BESIDE_NS;
}

/* Beside writes twice what came since the last piece, so that a follower comes nearer, however much
 * that is.  What came before the first piece says nothing. */
static size_t piece_bytes(const struct log_reading *r, int state)
{
    uint64_t bytes = state == READING_IDLE ? 0 : 2 * r->bytes_logged;

    if (!is_beside_writes(r))
        return NODE_LOG_READ_BYTES;
    return (size_t) MIN(MAX(bytes, NODE_LOG_READ_BESIDE_BYTES), NODE_LOG_READ_BYTES);
}

static void reading_ask(struct node *n, raft_index lo, int state)
{
    struct log_reading *r = n->raft.reading;

    r->bytes_max = piece_bytes(r, state);
    r->due = is_beside_writes(r) ? r->now + NODE_LOG_REST_NS : 0;
    r->bytes_logged = 0;
    r->told = false;
    wal_entries_done(&r->got);
    r->lo = lo;
    r->hi = raft_memory_storage_usage(n->raft.log).first_in_memory;
    r->near = mark_before(r, lo);
    r->used = false;
    r->passed_over = r->unused_for = 0;
    ASSERT(r->lo < r->hi);
    atomic_store_explicit(&r->state, READING_ASKED, memory_order_release);
    node__wake(n, NODE_WORK);
}

static bool reading_has(const struct log_reading *r, raft_index i)
{
    return r->got.n > 0 && i >= r->got.v[0].index && i - r->got.v[0].index < r->got.n;
}

static void hand_out(struct log_reading *r, raft_index lo, raft_index hi, uint64_t bytes_max,
                     struct raft_entry_list *ret)
{
    const struct raft_entry *v = r->got.v, *end = v + r->got.n;
    uint64_t bytes = 0;

    for (v += lo - v[0].index; v < end && v->index < hi; v++) {
        bytes += raft_entry_size(v);
        if (v->index > lo && bytes > bytes_max)
            break;
        raft_entry_list_add(ret, v);
    }
    r->used = true;
    r->unused_for = 0;
}

static int read_back(void *arg, raft_index lo, raft_index hi, uint64_t bytes_max,
                     struct raft_entry_list *ret)
{
    struct node *n = arg;
    struct log_reading *r = n->raft.reading;
    int state = atomic_load_explicit(&r->state, memory_order_acquire);

    if (state == READING_ASKED)
        return ERR_AGAIN;
    if (state == READING_READY && r->rc == 0 && reading_has(r, lo)) {
        if (r->now < r->due)
            return ERR_AGAIN;
        hand_out(r, lo, hi, bytes_max, ret);
        return 0;
    }
    if (state == READING_READY && r->rc != 0 && r->lo == lo) {
        atomic_store_explicit(&r->state, READING_IDLE, memory_order_relaxed);
        return r->rc;
    }
    /* What was read for another follower waits for it a few times. */
    if (state == READING_READY && r->rc == 0 && !r->used &&
        r->passed_over++ < NODE_LOG_READ_PATIENCE)
        return ERR_AGAIN;
    reading_ask(n, lo, state);
    return ERR_AGAIN;
}

void node__raft_log_turn(struct node *n, mono_ns now)
{
    struct log_reading *r = n->raft.reading;

    r->now = now;
    if (r->told || now < r->due ||
        atomic_load_explicit(&r->state, memory_order_acquire) != READING_READY)
        return;
    r->told = true;
    raft_entries_arrived(n->raft.raft);
}

mono_ns node__raft_log_due(const struct node *n)
{
    const struct log_reading *r = n->raft.reading;

    return r->told || atomic_load_explicit(&r->state, memory_order_acquire) != READING_READY
               ? INT64_MAX
               : r->due;
}

/* ---- reading back: the work actor ---- */

void node__raft_log_read(struct node *n)
{
    struct log_reading *r = n->raft.reading;
    struct err e = ERR_INIT;

    if (atomic_load_explicit(&r->state, memory_order_acquire) != READING_ASKED)
        return;
    r->rc = r->wal != NULL ? 0 : wal_reader_open(n->env.disk, n->wal_dir, &r->wal, &e);
    if (r->rc == 0) {
        wal_reader_near(r->wal, &r->near);
        r->rc = wal_reader_entries(r->wal, r->lo, r->hi, r->bytes_max, &r->got, &e);
    }
    if (r->rc != 0)
        LOG_WARN(n->env.log, "a follower needs entries that cannot be read back",
                 F_U64("first-index", r->lo), F_ERR(&e));
    atomic_store_explicit(&r->state, READING_READY, memory_order_release);
    node__wake(n, NODE_RAFT);
}

/* ---- what stays ---- */

void node__raft_log_init(struct node *n)
{
    n->raft.reading = xmem_calloc(1, sizeof *n->raft.reading);
}

void node__raft_log_done(struct node *n)
{
    struct log_reading *r = n->raft.reading;

    if (r == NULL)
        return;
    wal_entries_done(&r->got);
    wal_reader_close(r->wal);
    mem_free(r);
}

/* Only what the write-ahead log itself shows to be committed can be read back from it. */
void node__raft_log_stored(struct node *n, const struct wal_job *j)
{
    struct log_reading *r = n->raft.reading;

    for (size_t i = 0; i < j->entries.n; i++)
        r->bytes_logged += j->entries.v[i].data.n;
    if (j->entries.n > 0)
        r->logged_at = r->now;
    if (j->written.off > 0)
        mark_add(r, &j->written);
    if (j->has_hard)
        n->raft.commit_stored = MAX(n->raft.commit_stored, j->hard.commit);
}

static void offload(struct node *n)
{
    struct raft_actor *ra = &n->raft;
    bool alone = atomic_load_explicit(&n->pub.alone, memory_order_relaxed);
    struct raft_memory_options o = {
        .entries_max = alone ? NODE_LOG_ALONE_ENTRIES_MAX : NODE_LOG_ENTRIES_MAX,
        .bytes_max = alone ? NODE_LOG_ALONE_BYTES_MAX : NODE_LOG_BYTES_MAX,
        .reader = {read_back, n}};

    raft_memory_storage_offload(ra->log, &o, MIN(ra->applied, ra->commit_stored));
}

/* What nobody has asked for in a long while. */
static void forget_reading(struct node *n)
{
    struct log_reading *r = n->raft.reading;

    if (atomic_load_explicit(&r->state, memory_order_acquire) != READING_READY ||
        r->unused_for++ < NODE_LOG_READ_KEEP)
        return;
    wal_entries_done(&r->got);
    atomic_store_explicit(&r->state, READING_IDLE, memory_order_relaxed);
}

/* From where a follower goes on behind a snapshot that is sent to it: its message is made anew from
 * the data file, so that only the index counts (sending.c). */
static void remember(struct node *n)
{
    struct raft_actor *ra = &n->raft;

    if (ra->applied < ra->remembered + NODE_LOG_COMPACT_STEP)
        return;
    ra->remembered = ra->applied;
    if (raft_memory_storage_create_snapshot(ra->log, ra->applied, NULL, BYTES_EMPTY) != 0)
        UNREACHABLE();
}

void node__raft_log_compact(struct node *n)
{
    struct raft_actor *ra = &n->raft;
    raft_index to;
    int rc;

    offload(n);
    forget_reading(n);
    remember(n);
    if (ra->applied <= n->cfg.catchup_entries || atomic_load(&n->log_kept))
        return;
    to = ra->applied - n->cfg.catchup_entries;
    if (to < ra->compacted + NODE_LOG_COMPACT_STEP)
        return;
    rc = raft_memory_storage_compact(ra->log, to);
    ASSERT(rc == 0 || rc == ERR_RAFT_COMPACTED);
    ra->compacted = to;
}

void node__raft_marker_stored(struct node *n, struct wal_job *j)
{
    LOG_INFO(n->env.log, "saved snapshot to disk", F_U64("snapshot-index", j->marker.index),
             F_U64("snapshot-term", j->marker.term));
    j->marker_job->done = true;
    mpsc_push(&n->apply.store_done, &j->marker_job->link);
    j->marker_job = NULL;
    node__wake(n, NODE_APPLY);
}
