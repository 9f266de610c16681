#include "engine/wal/wal_int.h"

/* Opens and locks the segments from number `first` on. */
static int lock_segments(struct wal *w, const struct wal__names *names, size_t first, struct err *e)
{
    int rc = 0;

    ASSERT(first < names->n);
    for (size_t i = first; rc == 0 && i < names->n; i++) {
        char name[WAL__NAME_BYTES], path[WAL__PATH_BYTES];
        struct file *f = NULL;

        wal__name_format(names->v[i], name);
        rc = wal__path(w->dir, name, path, e);
        if (rc == 0)
            rc = disk_open(w->disk, path, DISK_READ | DISK_WRITE, 0, &f, e);
        if (rc == 0)
            rc = file_lock(f, FILE_LOCK_OFD_EXCLUSIVE, e);
        if (rc == 0)
            rc = wal__segments_add(w, names->v[i], f, e);
        if (rc != 0)
            file_close(f);
    }
    return rc;
}

/* Reads all locked segments.  0 at a clean end; ERR_WAL_TORN when the last one ends in a torn
 * record, which begins at x->off. */
static int read_segments(struct wal *w, struct wal__decoder *x, struct wal__collector *c,
                         struct err *e)
{
    char name[WAL__NAME_BYTES];
    struct wal_record rec;
    int rc = 0;

    ASSERT(w->segments_n > 0);
    for (size_t i = 0; rc == 0 && i < w->segments_n; i++) {
        wal__name_format(w->segments[i].name, name);
        rc = wal__decoder_begin(x, w->segments[i].file, name, i + 1 == w->segments_n, e);
        while (rc == 0) {
            rc = wal__decoder_next(x, &rec, e);
            if (rc == 0)
                rc = wal__collect(c, &rec, e);
        }
        if (rc == WAL__END)
            rc = 0;
    }
    x->name = NULL;
    return rc;
}

/* Makes the last segment ready to be written behind its last good record. */
static int take_tail(struct wal *w, const struct wal__decoder *x, bool torn,
                     struct wal__collector *c, struct err *e)
{
    struct wal__segment *tail = wal__tail(w);
    char name[WAL__NAME_BYTES];
    int rc = 0;

    ASSERT(x->file == tail->file);
    wal__name_format(tail->name, name);
    if (torn) {
        rc = wal__keep_broken(w->disk, w->dir, name, tail->file, c->c.broken_name, e);
        c->c.repaired = rc == 0;
    }
    if (rc == 0)
        rc = wal__rewrite(tail->file, x->off, w->segment_bytes, e);
    if (rc != 0)
        return err_wrap(e, rc, "prepare segment %s for writing", name);
    w->enc.file = tail->file;
    rc = file_size(tail->file, &w->room_end, e);
    if (rc != 0)
        return rc;
    w->enc.off = w->enc.zeroed_end = w->enc.synced_end = x->off;
    w->enc.crc = x->crc;
    return 0;
}

/* What a crash may have left of segments in preparation. */
static int remove_temporary(struct wal *w, struct err *e)
{
    static const char *const names[] = {WAL__PREPARED_NAME, WAL__UNPREPARED_NAME};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(names); i++) {
        char path[WAL__PATH_BYTES];

        rc = wal__path(w->dir, names[i], path, e);
        if (rc == 0 && disk_exists(w->disk, path))
            rc = disk_remove(w->disk, path, e);
    }
    return rc;
}

static int open_at(struct wal *w, struct wal__collector *c, struct err *e)
{
    struct wal__names names = {0};
    struct wal__decoder x;
    size_t first;
    int rc = wal__names_list(w->disk, w->dir, &names, e);

    wal__decoder_init(&x);
    if (rc == 0)
        rc = wal__names_from(&names, c->start_index, &first, e);
    if (rc == 0)
        rc = lock_segments(w, &names, first, e);
    wal__names_done(&names);
    if (rc == 0)
        rc = read_segments(w, &x, c, e);
    if (rc == 0 || rc == ERR_WAL_TORN) {
        bool torn = rc == ERR_WAL_TORN;

        rc = wal__collector_end(c, e);
        if (rc == 0)
            rc = take_tail(w, &x, torn, c, e);
    }
    if (rc == 0)
        rc = remove_temporary(w, e);
    if (rc == 0) /* what was removed; and a later cut finds the directory open */
        rc = disk_sync_dir(w->disk, w->dir, e);
    if (rc == 0)
        rc = wal__go_direct(w, e);
    wal__decoder_done(&x);
    return rc;
}

int wal_open(const struct wal_options *o, raft_index index, raft_term term,
             struct wal_contents *ret_contents, struct wal **ret, struct err *e)
{
    struct wal__collector c;
    struct wal *w = NULL;
    int rc = wal__new(o, &w, e);

    wal__collector_init(&c, index, term);
    if (rc == 0)
        rc = open_at(w, &c, e);
    if (rc == 0) {
        memcpy(w->metadata, c.metadata, c.metadata_n);
        w->metadata_n = c.metadata_n;
        w->state = c.c.hard_state;
        w->last_index = w->durable_index = c.last_index;
        wal__check(w);
        *ret_contents = c.c;
        c.c = (struct wal_contents){0};
        *ret = w;
        w = NULL;
    }
    wal__collector_done(&c);
    wal_close(w);
    return err_wrap(e, rc, "open log %s", o->dir);
}
