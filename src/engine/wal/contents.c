#include "base/alloc.h"
#include "engine/wal/wal_int.h"

#define BLOCK_BYTES                                                               \
    65536 /* entry data is gathered in blocks of this size, larger data by itself \
           */
#define CONF_BYTES_MAX ((size_t) 1 << 20) /* memory for the lists of one ConfState */

void wal_entries_done(struct wal_entries *x)
{
    wal__entries_cut(x, 0);
    mem_free(x->v);
    *x = (struct wal_entries){0};
}

void wal_contents_done(struct wal_contents *c)
{
    wal_entries_done(&c->entries);
    *c = (struct wal_contents){0};
}

void wal__entries_cut(struct wal_entries *x, size_t n)
{
    ASSERT(n <= x->n);
    while (x->n > n) {
        struct raft_entry *en = &x->v[--x->n];

        x->bytes -= en->data.n;
        payload_unref(en->owner);
    }
}

/* Bytes for one entry's data, inside a block that it then shares. */
static uint8_t *block_take(struct wal__block *b, size_t n, struct payload **ret_owner)
{
    uint8_t *p;

    ASSERT(n > 0);
    if (b->p == NULL || n > b->p->bytes - b->used) {
        payload_unref(b->p);
        b->p = payload_new(MAX(n, (size_t) BLOCK_BYTES));
        b->used = 0;
        if (b->p == NULL)
            return NULL;
    }
    p = b->p->data + b->used;
    b->used += n;
    ASSERT(b->used <= b->p->bytes);
    *ret_owner = payload_ref(b->p);
    return p;
}

int wal__entries_add(struct wal_entries *x, struct wal__block *b, const struct raft_entry *en,
                     struct err *e)
{
    struct raft_entry copy = *en;

    if (x->n == x->cap) {
        size_t cap = x->cap == 0 ? 64 : x->cap * 2;
        struct raft_entry *v = mem_realloc(x->v, cap * sizeof *v);

        if (v == NULL)
            return err_set(e, ERR_NOMEM, "read entries: out of memory");
        x->v = v;
        x->cap = cap;
    }
    copy.owner = NULL;
    if (en->data.n != 0) {
        uint8_t *p = block_take(b, en->data.n, &copy.owner);

        if (p == NULL)
            return err_set(e, ERR_NOMEM, "read entries: out of memory");
        memcpy(p, en->data.p, en->data.n);
        copy.data.p = p;
    }
    ASSERT(x->n == 0 || x->v[x->n - 1].index + 1 == copy.index);
    x->v[x->n++] = copy;
    x->bytes += copy.data.n;
    return 0;
}

void wal__collector_init(struct wal__collector *x, raft_index index, raft_term term)
{
    *x = (struct wal__collector){.start_index = index, .start_term = term, .last_index = index};
}

void wal__collector_done(struct wal__collector *x)
{
    wal_contents_done(&x->c);
    payload_unref(x->block.p);
    x->block.p = NULL;
}

/* An entry takes the place of the one with its index, and of all behind that one: a new leader
 * replaced them. */
static int collect_entry(struct wal__collector *x, const struct wal_record *rec, struct err *e)
{
    struct raft_entry en;
    int rc = raft_entry_get(rec->data, &en, e);

    if (rc != 0)
        return rc;
    if (en.index <= x->start_index)
        return 0;
    if (en.index - x->start_index - 1 > x->c.entries.n)
        return err_set(e, ERR_CORRUPT, "entry %" PRIu64 " follows entry %" PRIu64, en.index,
                       x->start_index + x->c.entries.n);
    wal__entries_cut(&x->c.entries, (size_t) (en.index - x->start_index - 1));
    ASSERT(x->start_index + x->c.entries.n + 1 == en.index);
    x->last_index = en.index;
    return wal__entries_add(&x->c.entries, &x->block, &en, e);
}

static int collect_metadata(struct wal__collector *x, const struct wal_record *rec, struct err *e)
{
    if (x->metadata_n == 0) {
        if (rec->data.n == 0 || rec->data.n > sizeof x->metadata)
            return err_set(e, ERR_CORRUPT, "metadata of %zu bytes", rec->data.n);
        memcpy(x->metadata, rec->data.p, rec->data.n);
        x->metadata_n = rec->data.n;
        return wal_metadata_get(rec->data, &x->c.metadata, e);
    }
    if (!bytes_eq(rec->data, bytes_of(x->metadata, x->metadata_n)))
        return err_set(e, ERR_WAL_METADATA_MISMATCH, "its metadata differs from the first one");
    return 0;
}

static int collect_snapshot(struct wal__collector *x, const struct wal_record *rec, struct err *e)
{
    struct wal_snapshot s;
    struct arena a;
    int rc;

    arena_init(&a, CONF_BYTES_MAX);
    rc = wal_snapshot_get(rec->data, &a, &s, e);
    arena_done(&a);
    if (rc != 0)
        return rc;
    ASSERT(x->last_index >= x->start_index);
    x->last_index = MAX(x->last_index, s.index);
    if (s.index != x->start_index)
        return 0;
    if (s.term != x->start_term)
        return err_set(e, ERR_WAL_SNAPSHOT_MISMATCH,
                       "snapshot %" PRIu64 " has term %" PRIu64 ", not %" PRIu64, s.index, s.term,
                       x->start_term);
    x->c.snapshot_found = true;
    return 0;
}

int wal__collect(struct wal__collector *x, const struct wal_record *rec, struct err *e)
{
    int rc;

    ASSERT(rec->segment != NULL);
    ASSERT(rec->offset % WAL__FRAME_ALIGN == 0);
    switch (rec->type) {
    case WAL_RECORD_METADATA:
        rc = collect_metadata(x, rec, e);
        break;
    case WAL_RECORD_ENTRY:
        rc = collect_entry(x, rec, e);
        break;
    case WAL_RECORD_STATE:
        rc = raft_hard_state_get(rec->data, &x->c.hard_state, e);
        break;
    case WAL_RECORD_CRC:
        rc = 0;
        break;
    case WAL_RECORD_SNAPSHOT:
        rc = collect_snapshot(x, rec, e);
        break;
    default:
        rc = err_set(e, ERR_CORRUPT, "unknown record type %d", (int) rec->type);
    }
    return err_wrap(e, rc, "segment %s: record at offset %" PRIu64, rec->segment, rec->offset);
}

int wal__collector_end(struct wal__collector *x, struct err *e)
{
    ASSERT(x->start_index + x->c.entries.n >= x->start_index);
    if (x->metadata_n == 0)
        return err_set(e, ERR_CORRUPT, "the log has no metadata record");
    return 0;
}

int wal_read(struct disk *d, const char *dir, raft_index index, raft_term term,
             struct wal_contents *ret, struct err *e)
{
    struct wal__collector x;
    struct wal__scan s;
    struct wal_record rec;
    int rc;

    wal__collector_init(&x, index, term);
    wal__scan_init(&s, d, dir);
    rc = wal__scan_begin(&s, index, e);
    while (rc == 0) {
        rc = wal__scan_next(&s, &rec, e);
        if (rc == 0)
            rc = wal__collect(&x, &rec, e);
    }
    wal__scan_done(&s);
    if (rc == WAL__END || rc == ERR_WAL_TORN)
        rc = wal__collector_end(&x, e);
    if (rc == 0 && !x.c.snapshot_found)
        rc = err_set(e, ERR_WAL_SNAPSHOT_NOT_FOUND, "no record of snapshot %" PRIu64, index);
    if (rc == 0) {
        *ret = x.c;
        x.c = (struct wal_contents){0};
    }
    wal__collector_done(&x);
    return err_wrap(e, rc, "read log %s", dir);
}

struct snapshots {
    struct arena *arena;
    struct wal_snapshot *v;
    size_t n;
    size_t cap;
    struct raft_hard_state state;
};

static int add_snapshot(struct snapshots *x, const struct wal_record *rec, struct err *e)
{
    if (x->n == x->cap) {
        size_t cap = x->cap == 0 ? 16 : x->cap * 2;
        struct wal_snapshot *v = arena_calloc(x->arena, cap, sizeof *v);

        if (v == NULL)
            return err_set(e, ERR_NOMEM, "snapshot records: out of memory");
        if (x->n != 0)
            memcpy(v, x->v, x->n * sizeof *v);
        x->v = v;
        x->cap = cap;
    }
    ASSERT(x->n < x->cap);
    return wal_snapshot_get(rec->data, x->arena, &x->v[x->n++], e);
}

static int visit_snapshot(void *arg, const struct wal_record *rec, struct err *e)
{
    struct snapshots *x = arg;

    if (rec->type == WAL_RECORD_STATE)
        return raft_hard_state_get(rec->data, &x->state, e);
    return rec->type == WAL_RECORD_SNAPSHOT ? add_snapshot(x, rec, e) : 0;
}

/* Leaves the markers that may be opened at. */
static size_t keep_valid(struct snapshots *x)
{
    size_t n = 0;

    for (size_t i = 0; i < x->n; i++) {
        if (x->v[i].index <= x->state.commit)
            x->v[n++] = x->v[i];
    }
    ASSERT(n <= x->n);
    return n;
}

int wal_valid_snapshots(struct disk *d, const char *dir, struct arena *a, struct wal_snapshot **ret,
                        size_t *ret_n, struct err *e)
{
    struct snapshots x = {.arena = a};
    bool torn;
    int rc = wal_visit(d, dir, 0, visit_snapshot, &x, &torn, e);

    if (rc != 0)
        return err_wrap(e, rc, "read log %s", dir);
    *ret = x.v;
    *ret_n = keep_valid(&x);
    return 0;
}

/* The newest valid marker among the segments from number `first` on. */
static int newest_from(struct disk *d, const char *dir, const struct wal__names *names,
                       size_t first, struct arena *a, struct wal_snapshot *ret, bool *ret_found,
                       struct err *e)
{
    struct snapshots x = {.arena = a};
    bool torn;
    int rc = wal_visit(d, dir, names->v[first].index, visit_snapshot, &x, &torn, e);
    size_t n = rc == 0 ? keep_valid(&x) : 0;

    *ret_found = n > 0;
    if (n > 0)
        *ret = x.v[n - 1];
    return rc;
}

/* Markers lie in the order of their indexes, and the last hard state is in the last segment that
 * has any: what the newest segments show decides, and twice as many are read only where they show
 * no marker. */
int wal_newest_snapshot(struct disk *d, const char *dir, struct arena *a, struct wal_snapshot *ret,
                        struct err *e)
{
    struct wal__names names = {0};
    size_t back = 1;
    bool found = false;
    int rc = wal__names_list(d, dir, &names, e);

    *ret = (struct wal_snapshot){0};
    for (bool more = true; rc == 0 && more && !found; back *= 2) {
        more = back < names.n;
        rc = newest_from(d, dir, &names, more ? names.n - back : 0, a, ret, &found, e);
    }
    wal__names_done(&names);
    return err_wrap(e, rc, "read log %s", dir);
}
