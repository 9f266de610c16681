#include "engine/wal/wal_int.h"

void wal__scan_init(struct wal__scan *s, struct disk *d, const char *dir)
{
    *s = (struct wal__scan){.disk = d, .dir = dir};
    wal__decoder_init(&s->decoder);
}

void wal__scan_done(struct wal__scan *s)
{
    wal__names_done(&s->names);
    wal__decoder_done(&s->decoder);
    file_close(s->file);
    s->file = NULL;
}

/* Opens segment number s->at.  The decoder's running checksum goes on. */
static int scan_open(struct wal__scan *s, struct err *e)
{
    char path[WAL__PATH_BYTES];
    int rc;

    ASSERT(s->at < s->names.n);
    file_close(s->file);
    s->file = NULL;
    wal__name_format(s->names.v[s->at], s->name);
    rc = wal__path(s->dir, s->name, path, e);
    if (rc == 0)
        rc = disk_open(s->disk, path, DISK_READ, 0, &s->file, e);
    if (rc == 0)
        rc = wal__decoder_begin(&s->decoder, s->file, s->name, s->at + 1 == s->names.n, e);
    return rc;
}

int wal__scan_begin(struct wal__scan *s, raft_index index, struct err *e)
{
    int rc;

    ASSERT(s->names.n == 0);
    s->at = 0;
    rc = wal__names_list(s->disk, s->dir, &s->names, e);
    if (rc == 0)
        rc = wal__names_from(&s->names, index, &s->at, e);
    return rc == 0 ? scan_open(s, e) : rc;
}

int wal__scan_begin_at(struct wal__scan *s, const struct wal_position *at, struct err *e)
{
    size_t ignored;
    int rc;

    ASSERT(s->names.n == 0);
    ASSERT(at->off > 0);
    s->at = 0;
    rc = wal__names_list(s->disk, s->dir, &s->names, e);
    while (rc == 0 && s->at < s->names.n && s->names.v[s->at].seq != at->seq)
        s->at++;
    if (rc == 0 && s->at == s->names.n)
        return err_set(e, ERR_WAL_NO_SEGMENT, "segment %" PRIu64 " is gone", at->seq);
    if (rc == 0)
        rc = wal__names_from(&s->names, s->names.v[s->at].index, &ignored, e);
    if (rc == 0)
        rc = scan_open(s, e);
    if (rc == 0 && at->off > s->decoder.file_bytes)
        rc = err_set(e, ERR_CORRUPT, "segment %s: shorter than it was", s->name);
    if (rc == 0) {
        s->decoder.off = at->off;
        s->decoder.crc = at->crc;
    }
    return rc;
}

int wal__scan_begin_oldest(struct wal__scan *s, struct err *e)
{
    size_t ignored;
    int rc;

    ASSERT(s->names.n == 0);
    s->at = 0;
    rc = wal__names_list(s->disk, s->dir, &s->names, e);
    if (rc == 0)
        rc = wal__names_from(&s->names, s->names.v[0].index, &ignored, e);
    return rc == 0 ? scan_open(s, e) : rc;
}

int wal__scan_begin_raw(struct wal__scan *s, struct err *e)
{
    int rc;

    ASSERT(s->names.n == 0);
    s->at = 0;
    s->decoder.lenient = true;
    rc = wal__names_list(s->disk, s->dir, &s->names, e);
    return rc == 0 ? scan_open(s, e) : rc;
}

/* Beside a running member a record may be seen half written: then a second look finds it whole. */
static int decode(struct wal__scan *s, struct wal_record *ret, struct err *e)
{
    int rc = wal__decoder_next(&s->decoder, ret, e);

    ASSERT(s->decoder.file == s->file);
    if (rc != ERR_CORRUPT || !s->decoder.last)
        return rc;
    rc = wal__decoder_refresh(&s->decoder, e);
    return rc == 0 ? wal__decoder_next(&s->decoder, ret, e) : rc;
}

int wal__scan_next(struct wal__scan *s, struct wal_record *ret, struct err *e)
{
    int rc = decode(s, ret, e);

    ASSERT(s->file != NULL);
    ASSERT(s->at < s->names.n);
    while (rc == WAL__END && s->at + 1 < s->names.n) {
        s->at++;
        rc = scan_open(s, e);
        if (rc == 0)
            rc = decode(s, ret, e);
    }
    return rc;
}

/* Goes on from where the scan stands, if `rc` says that it stands anywhere, and ends it. */
static int visit(struct wal__scan *s, int rc,
                 int (*fn)(void *arg, const struct wal_record *rec, struct err *e), void *arg,
                 bool *ret_torn, struct err *e)
{
    struct wal_record rec;

    ASSERT(fn != NULL);
    while (rc == 0) {
        rc = wal__scan_next(s, &rec, e);
        if (rc == 0)
            rc = fn(arg, &rec, e);
        else if (rc == WAL__END || rc == ERR_WAL_TORN)
            break;
    }
    wal__scan_done(s);
    if (rc != WAL__END && rc != ERR_WAL_TORN)
        return rc;
    *ret_torn = rc == ERR_WAL_TORN;
    return 0;
}

int wal_visit(struct disk *d, const char *dir, raft_index index,
              int (*fn)(void *arg, const struct wal_record *rec, struct err *e), void *arg,
              bool *ret_torn, struct err *e)
{
    struct wal__scan s;
    int rc;

    wal__scan_init(&s, d, dir);
    rc = index == 0 ? wal__scan_begin_oldest(&s, e) : wal__scan_begin(&s, index, e);
    return visit(&s, rc, fn, arg, ret_torn, e);
}

int wal_visit_raw(struct disk *d, const char *dir,
                  int (*fn)(void *arg, const struct wal_record *rec, struct err *e), void *arg,
                  bool *ret_torn, struct err *e)
{
    struct wal__scan s;
    int rc;

    wal__scan_init(&s, d, dir);
    rc = wal__scan_begin_raw(&s, e);
    return visit(&s, rc, fn, arg, ret_torn, e);
}
