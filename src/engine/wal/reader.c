#include "base/alloc.h"
#include "engine/wal/wal_int.h"

/* Finding the final version of an entry.  A record of entry i is final when no later record of an
 * index <= i follows, which the log shows by a hard state, written behind it, whose commit is >= i:
 * committed entries are never replaced.  So the reader walks on from the entries it wants until it
 * has seen such a state.
 *
 * It remembers the position behind the last entry it gave.  The final record of the next entry lies
 * behind the final record of that one: when the latter was written, everything with a higher index
 * was dropped. */
struct wal_reader {
    struct disk *disk;
    char *dir;
    struct wal__scan scan;
    bool open;       /* scan stands somewhere */
    raft_index next; /* of the entry whose record lies behind the remembered position */
    raft_index commit;
    /* The remembered position. */
    uint64_t seq;
    uint64_t off;
    uint32_t crc;
    struct wal_position near; /* where a seek may begin; off 0: nowhere */
};

int wal_reader_open(struct disk *d, const char *dir, struct wal_reader **ret, struct err *e)
{
    struct wal_reader *r = mem_calloc(1, sizeof *r);
    size_t n = strlen(dir) + 1;

    ASSERT(d != NULL);
    if (r != NULL)
        r->dir = mem_alloc(n);
    if (r == NULL || r->dir == NULL) {
        mem_free(r);
        return err_set(e, ERR_NOMEM, "read log %s: out of memory", dir);
    }
    memcpy(r->dir, dir, n);
    r->disk = d;
    wal__scan_init(&r->scan, d, r->dir);
    *ret = r;
    return 0;
}

void wal_reader_close(struct wal_reader *r)
{
    if (r == NULL)
        return;
    wal__scan_done(&r->scan);
    mem_free(r->dir);
    mem_free(r);
}

void wal_reader_near(struct wal_reader *r, const struct wal_position *at)
{
    r->near = *at;
}

static void restart(struct wal_reader *r)
{
    wal__scan_done(&r->scan);
    wal__scan_init(&r->scan, r->disk, r->dir);
    r->open = false;
    r->commit = 0;
}

/* Stands before the first record that can be entry lo. */
static int seek(struct wal_reader *r, raft_index lo, struct err *e)
{
    int rc = ERR_WAL_NO_SEGMENT;

    if (r->near.off > 0) {
        ASSERT(r->near.last < lo);
        restart(r);
        rc = wal__scan_begin_at(&r->scan, &r->near, e);
    }
    if (rc == ERR_WAL_NO_SEGMENT) {
        restart(r);
        rc = wal__scan_begin(&r->scan, lo, e);
    }
    if (rc == ERR_WAL_NO_SEGMENT)
        return err_set(e, ERR_NOT_FOUND, "entry %" PRIu64 " is older than the log", lo);
    r->open = rc == 0;
    r->next = lo;
    return rc;
}

static void remember(struct wal_reader *r, raft_index next)
{
    ASSERT(r->scan.file != NULL);
    ASSERT(next > 0);
    r->next = next;
    r->seq = r->scan.names.v[r->scan.at].seq;
    r->off = r->scan.decoder.off;
    r->crc = r->scan.decoder.crc;
}

/* Back to the remembered position, which lies in the segment that is open or in one before it. */
static int resume(struct wal_reader *r, struct err *e)
{
    uint64_t off = r->off;
    int rc = 0;

    ASSERT(r->open);
    ASSERT(r->scan.at < r->scan.names.n);
    if (r->scan.names.v[r->scan.at].seq != r->seq)
        return ERR_NOT_FOUND;
    rc = wal__decoder_refresh(&r->scan.decoder, e);
    if (rc == 0 && off > r->scan.decoder.file_bytes)
        return ERR_NOT_FOUND;
    r->scan.decoder.off = off;
    r->scan.decoder.crc = r->crc;
    return rc;
}

/* At the end of what could be read: has the writer gone on meanwhile?  0: yes, try again. */
static int look_again(struct wal_reader *r, struct err *e)
{
    struct wal__names names = {0};
    struct wal__scan *s = &r->scan;
    uint64_t seq = s->names.v[s->at].seq;
    size_t i = 0;
    int rc = wal__names_list(r->disk, r->dir, &names, e);

    if (rc != 0)
        return rc;
    while (i < names.n && names.v[i].seq < seq)
        i++;
    if (i == names.n || names.v[i].seq != seq || i + 1 == names.n) {
        wal__names_done(&names);
        return WAL__END;
    }
    ASSERT(names.v[i].seq == seq);
    /* A next segment has appeared: this one is whole now, so what is left of it can be read. */
    wal__names_done(&s->names);
    s->names = names;
    s->at = i;
    s->decoder.last = false;
    return wal__decoder_refresh(&s->decoder, e);
}

static int next_record(struct wal_reader *r, struct wal_record *ret, struct err *e)
{
    int rc;

    for (;;) {
        rc = wal__scan_next(&r->scan, ret, e);
        if (rc == ERR_WAL_TORN || (rc == ERR_CORRUPT && r->scan.decoder.last))
            rc = WAL__END; /* the writer is at work on it */
        if (rc != WAL__END)
            return rc;
        rc = look_again(r, e);
        if (rc != 0)
            return rc;
    }
}

struct wanted {
    raft_index lo;
    raft_index hi;
    size_t bytes_max;
    struct wal_entries *out;
    struct wal__block block;
    bool full; /* bytes_max is passed: no more behind the last one */
};

static int take_entry(struct wal_reader *r, struct wanted *w, const struct wal_record *rec,
                      struct err *e)
{
    raft_index end = w->lo + w->out->n;
    struct raft_entry en;
    int rc = raft_entry_get(rec->data, &en, e);

    if (rc != 0)
        return rc;
    if (en.index < w->lo || en.index > end) {
        /* Below: of no interest, but it drops what it replaces.  Above: past the window. */
        if (en.index < w->lo) {
            wal__entries_cut(w->out, 0);
            w->full = false;
        }
        return 0;
    }
    if (en.index < end) {
        wal__entries_cut(w->out, (size_t) (en.index - w->lo));
        w->full = false;
    }
    if (w->full || en.index >= w->hi)
        return 0;
    ASSERT(en.index == w->lo + w->out->n);
    rc = wal__entries_add(w->out, &w->block, &en, e);
    w->full = w->out->bytes > w->bytes_max;
    if (rc == 0)
        remember(r, en.index + 1);
    return rc;
}

/* All that is wanted is there and known to be final. */
static bool satisfied(const struct wal_reader *r, const struct wanted *w)
{
    raft_index end = w->lo + w->out->n;

    return w->out->n > 0 && (w->full || end == w->hi) && r->commit + 1 >= end;
}

static int collect(struct wal_reader *r, struct wanted *w, struct err *e)
{
    struct raft_hard_state state;
    struct wal_record rec;
    int rc = 0;

    while (rc == 0 && !satisfied(r, w)) {
        rc = next_record(r, &rec, e);
        if (rc == 0 && rec.type == WAL_RECORD_ENTRY)
            rc = take_entry(r, w, &rec, e);
        if (rc == 0 && rec.type == WAL_RECORD_STATE) {
            rc = raft_hard_state_get(rec.data, &state, e);
            r->commit = MAX(r->commit, state.commit);
        }
    }
    return rc == WAL__END ? 0 : rc;
}

int wal_reader_entries(struct wal_reader *r, raft_index lo, raft_index hi, size_t bytes_max,
                       struct wal_entries *ret, struct err *e)
{
    struct wal_entries out = {0};
    struct wanted w = {.lo = lo, .hi = hi, .bytes_max = bytes_max, .out = &out};
    int rc = ERR_NOT_FOUND;

    ASSERT(lo > 0);
    ASSERT(lo < hi);
    if (r->open && r->next == lo && r->off > 0)
        rc = resume(r, e);
    if (rc != 0)
        rc = seek(r, lo, e);
    if (rc == 0)
        rc = collect(r, &w, e);
    payload_unref(w.block.p);
    /* What is not known to be committed may yet be replaced. */
    if (rc == 0 && lo + out.n > r->commit + 1)
        wal__entries_cut(&out, r->commit + 1 > lo ? (size_t) (r->commit + 1 - lo) : 0);
    if (rc == 0 && out.n == 0)
        rc = err_set(e, ERR_NOT_FOUND, "entry %" PRIu64 " is not known to be committed", lo);
    if (rc != 0 || lo + out.n != r->next)
        r->open = false; /* the remembered position is not behind what is given */
    ASSERT(rc != 0 || (out.n > 0 && lo + out.n <= r->commit + 1));
    if (rc == 0)
        *ret = out;
    else
        wal_entries_done(&out);
    return err_wrap(e, rc, "read log %s", r->dir);
}
