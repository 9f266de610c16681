/* entries.c -- the entries behind a snapshot, as raft would find them: an entry that a later leader
 * replaced is not shown.
 *
 * The log is read twice, as it goes by.  The first time, the place of each entry's last record is
 * noted (its number among all records: 8 bytes); the second time those records are shown. */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <dirent.h>
#include <errno.h>

#include "base/alloc.h"
#include "cli/command.h"
#include "engine/wal/wal.h"
#include "etcd-dump-logs/dump.h"

#define MARKER_BYTES_MAX ((size_t) 1 << 20)

struct reading {
    const struct dump_options *o;
    struct dump_start start;
    uint64_t *at; /* of entry start.index + 1 + i: the number of its record */
    size_t n;
    size_t cap;
    uint64_t records; /* that went by */
    struct wal_metadata metadata;
    struct bytes first_metadata; /* owned */
    struct raft_hard_state state;
    bool marker_found;
};

struct showing {
    const struct reading *r;
    struct dump_filters filters;
    struct decoder *decoder;
    uint64_t records;
    uint64_t shown;
    bool gave_up; /* the decoder answered no more */
    struct buf *out;
};

/* ---- the first time ---- */

static int grow(struct reading *r, struct err *e)
{
    size_t cap = r->cap == 0 ? 1024 : r->cap * 2;
    uint64_t *v = mem_realloc(r->at, cap * sizeof *v);

    if (v == NULL)
        return err_set(e, ERR_NOMEM, "out of memory after %zu entries", r->n);
    r->at = v;
    r->cap = cap;
    return 0;
}

static int note_entry(struct reading *r, const struct wal_record *rec, struct err *e)
{
    struct raft_entry en;
    uint64_t i;
    int rc = raft_entry_get(rec->data, &en, e);

    if (rc != 0 || en.index <= r->start.index)
        return rc;
    i = en.index - r->start.index - 1;
    if (i > r->n)
        return err_set(e, ERR_LIMIT,
                       "wal: slice bounds out of range, snapshot[Index: %" PRIu64 ", Term: %" PRIu64
                       "], current entry[Index: %" PRIu64 ", Term: %" PRIu64 "], len(ents): %zu",
                       r->start.index, r->start.term, en.index, en.term, r->n);
    if (i == r->cap)
        rc = grow(r, e);
    if (rc != 0)
        return rc;
    r->at[i] = r->records;
    r->n = (size_t) i + 1;
    return 0;
}

static int note_metadata(struct reading *r, const struct wal_record *rec, struct err *e)
{
    void *copy;

    if (r->first_metadata.p != NULL)
        return bytes_eq(r->first_metadata, rec->data)
                   ? 0
                   : err_set(e, ERR_WAL_METADATA_MISMATCH, "wal: conflicting metadata found");
    copy = mem_alloc(rec->data.n + 1);
    if (copy == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    memcpy(copy, rec->data.p == NULL ? (const void *) "" : rec->data.p, rec->data.n);
    r->first_metadata = bytes_of(copy, rec->data.n);
    return wal_metadata_get(rec->data, &r->metadata, e);
}

static int note_marker(struct reading *r, const struct wal_record *rec, struct err *e)
{
    struct wal_snapshot s;
    struct arena a;
    int rc;

    arena_init(&a, MARKER_BYTES_MAX);
    rc = wal_snapshot_get(rec->data, &a, &s, e);
    arena_done(&a);
    /* Who asks for an index does not say a term. */
    if (rc != 0 || s.index != r->start.index || r->o->from_index)
        return rc;
    if (s.term != r->start.term)
        return err_set(e, ERR_WAL_SNAPSHOT_MISMATCH, "wal: snapshot mismatch");
    r->marker_found = true;
    return 0;
}

static int note(void *arg, const struct wal_record *rec, struct err *e)
{
    struct reading *r = arg;

    r->records++;
    switch (rec->type) {
    case WAL_RECORD_ENTRY:
        return note_entry(r, rec, e);
    case WAL_RECORD_METADATA:
        return note_metadata(r, rec, e);
    case WAL_RECORD_STATE:
        return raft_hard_state_get(rec->data, &r->state, e);
    case WAL_RECORD_SNAPSHOT:
        return note_marker(r, rec, e);
    case WAL_RECORD_CRC:
        return 0;
    default:
        return err_set(e, ERR_CORRUPT, "unexpected block type %d", (int) rec->type);
    }
}

/* The words for a log that is not there, as etcd's tool has them. */
static bool is_there(const char *dir)
{
    static const char where[] =
        "Failed opening WAL: [openAtIndex] selectWALFiles failed: readWALNames failed:";
    DIR *d = opendir(dir);
    char why[128];

    if (d == NULL) {
        if (strerror_r(errno, why, sizeof why) != 0)
            snprintf(why, sizeof why, "unknown error");
        (void) !cli_log_fatal("%s [readWALNames] fileutil.ReadDir failed: open %s: %c%s", where,
                              dir, tolower((unsigned char) why[0]), why + 1);
        return false;
    }
    closedir(d);
    if (wal_exists(disk_posix(), dir))
        return true;
    (void) !cli_log_fatal("%s wal: file not found", where);
    return false;
}

/* 0, or the exit status.  With an end that is asked for, a hole in the log ends the reading only.
 */
static int read_log(struct reading *r)
{
    struct err e = ERR_INIT;
    bool torn;
    int rc;

    if (!is_there(r->o->wal_dir))
        return 1;
    rc = wal_visit(disk_posix(), r->o->wal_dir, r->start.index, note, r, &torn, &e);
    if (rc == ERR_WAL_NO_SEGMENT)
        return cli_log_fatal("Failed opening WAL: %s", e.msg);
    if (rc == 0 && !r->marker_found && !r->o->from_index)
        rc = err_set(&e, ERR_WAL_SNAPSHOT_NOT_FOUND, "wal: snapshot not found");
    if (rc == ERR_LIMIT && r->o->end_index != UINT64_MAX) {
        (void) !cli_log_fatal("Failed reading all WAL: %s", e.msg);
        return 0;
    }
    return rc == 0 ? 0 : cli_log_fatal("Failed reading WAL: %s", e.msg);
}

/* ---- the second time ---- */

static int show_entry(struct showing *s, const struct raft_entry *en, struct err *e)
{
    if (!dump_entry(&s->filters, en, s->out))
        return 0;
    s->shown++;
    if (s->decoder != NULL)
        return decoder_ask(s->decoder, en->data, s->out, e);
    buf_add_char(s->out, '\n');
    dump_flush(s->out, false);
    return 0;
}

/* Returns 1 to end the visit: beside a running member the log may have grown. */
static int show(void *arg, const struct wal_record *rec, struct err *e)
{
    struct showing *s = arg;
    const struct reading *r = s->r;
    struct raft_entry en;
    int rc;

    if (s->records++ == r->records)
        return 1;
    if (rec->type != WAL_RECORD_ENTRY)
        return 0;
    rc = raft_entry_get(rec->data, &en, e);
    if (rc != 0 || en.index <= r->start.index || en.index >= r->o->end_index)
        return rc;
    if (en.index - r->start.index > r->n || r->at[en.index - r->start.index - 1] != s->records)
        return 0;
    return show_entry(s, &en, e);
}

static int decoder_failed(const struct err *e)
{
    (void) !cli_log_fatal("%s", e->msg);
    fprintf(stderr, "panic: %s\n", e->msg);
    return 2;
}

static int show_all(const struct reading *r, struct showing *s)
{
    struct err e = ERR_INIT;
    bool torn;
    int rc = wal_visit(disk_posix(), r->o->wal_dir, r->start.index, show, s, &torn, &e);

    if (rc == ERR_TRUNCATED && s->decoder != NULL) {
        buf_printf(s->out, "%s\n", e.msg); /* etcd's tool ends there, in peace */
        s->gave_up = true;
        return 0;
    }
    /* A hole: what lies before it has been shown. */
    return rc < 0 && rc != ERR_LIMIT ? cli_log_fatal("Failed reading WAL: %s", e.msg) : 0;
}

static int show_entries(const struct reading *r, struct buf *out)
{
    struct showing s = {.r = r, .out = out};
    struct err e = ERR_INIT;
    int status;

    dump_flush(out, true);
    dump_filters_read(r->o->entry_types, &s.filters);
    if (*r->o->decoder != 0 && decoder_start(r->o->decoder, &s.decoder, &e) != 0)
        return decoder_failed(&e);
    status = show_all(r, &s);
    dump_flush(out, true);
    if (status != 0 || s.gave_up) {
        decoder_free(s.decoder);
        return status;
    }
    if (s.decoder != NULL && decoder_end(s.decoder, &e) != 0)
        return decoder_failed(&e);
    buf_printf(out, "\nEntry types (%s) count is : %" PRIu64 "\n", r->o->entry_types, s.shown);
    return 0;
}

/* ---- both ---- */

static void put_heads(const struct reading *r, struct buf *out)
{
    raft_index end = r->start.index + r->n; /* the last one */
    uint64_t n = r->n;

    buf_printf(out,
               "WAL metadata:\nnodeID=%" PRIx64 " clusterID=%" PRIx64 " term=%" PRIu64
               " commitIndex=%" PRIu64 " vote=%" PRIx64 "\n",
               r->metadata.node_id, r->metadata.cluster_id, r->state.term, r->state.commit,
               r->state.vote);
    if (n > 0 && end >= r->o->end_index) {
        n = r->o->end_index > r->start.index ? r->o->end_index - r->start.index - 1 : 0;
        end = r->start.index + n;
    }
    buf_printf(out, "WAL entries: %" PRIu64 "\n", n);
    if (n > 0)
        buf_printf(out, "lastIndex=%" PRIu64 "\n", end);
    buf_printf(out, "%4s\t%10s\ttype\tdata%s\n", "term", "index",
               *r->o->decoder != 0 ? "\tdecoder_status\tdecoded_data" : "");
}

int dump_entries(const struct dump_options *o, const struct dump_start *start, struct buf *out)
{
    struct reading r = {.o = o, .start = *start};
    int status;

    dump_flush(out, true);
    status = read_log(&r);
    if (status == 0) {
        put_heads(&r, out);
        status = show_entries(&r, out);
    }
    mem_free((void *) (uintptr_t) r.first_metadata.p);
    mem_free(r.at);
    return status;
}
