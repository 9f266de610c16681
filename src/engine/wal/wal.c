#include "engine/wal/wal.h"

#include "base/alloc.h"
#include "base/plant.h"
#include "engine/wal/wal_int.h"

int wal__new(const struct wal_options *o, struct wal **ret, struct err *e)
{
    struct wal *w = mem_calloc(1, sizeof *w);
    size_t n = strlen(o->dir) + 1;

    ASSERT(o->disk != NULL);
    if (w != NULL)
        w->dir = mem_alloc(n);
    if (w == NULL || w->dir == NULL || !wal__encoder_init(&w->enc)) {
        wal_close(w);
        return err_set(e, ERR_NOMEM, "open log %s: out of memory", o->dir);
    }
    memcpy(w->dir, o->dir, n);
    w->disk = o->disk;
    w->room_end = o->segment_bytes == 0 ? WAL_SEGMENT_BYTES : o->segment_bytes;
    w->segment_bytes = o->segment_bytes == 0 ? WAL_SEGMENT_BYTES : o->segment_bytes;
    ASSERT(w->segment_bytes % WAL__FRAME_ALIGN == 0);
    w->observer = o->observer;
    w->enc.zero_limit = w->segment_bytes / WAL__BLOCK_BYTES * WAL__BLOCK_BYTES;
    atomic_init(&w->prepared, WAL__NONE_PREPARED);
    *ret = w;
    return 0;
}

/* Invariants W2, W3 and W5 as far as memory shows them. */
void wal__check(const struct wal *w)
{
    ASSERT(w->segments_n > 0);
    ASSERT(w->metadata_n > 0);
    ASSERT(w->metadata_n <= sizeof w->metadata);
    for (size_t i = 1; i < w->segments_n; i++)
        ASSERT(w->segments[i - 1].name.seq + 1 == w->segments[i].name.seq);
    if (w->poison != 0)
        return;
    ASSERT(w->enc.file == w->segments[w->segments_n - 1].file);
    ASSERT(w->enc.off % WAL__FRAME_ALIGN == 0);
    ASSERT(w->enc.zeroed_end >= w->enc.off);
    ASSERT(w->enc.pieces_n == 0);
    ASSERT(w->enc.buf_n == w->enc.kept);
    ASSERT(w->enc.kept == (w->enc.direct == NULL ? 0 : w->enc.off % WAL__BLOCK_BYTES));
    ASSERT(w->enc.synced_end <= w->enc.off);
    ASSERT(w->durable_index == w->last_index);
}

int wal__segments_add(struct wal *w, struct wal__name name, struct file *f, struct err *e)
{
    struct wal__segment *v = mem_realloc(w->segments, (w->segments_n + 1) * sizeof *v);

    if (v == NULL)
        return err_set(e, ERR_NOMEM, "log %s: out of memory", w->dir);
    ASSERT(f != NULL);
    w->segments = v;
    ASSERT(w->segments_n == 0 || v[w->segments_n - 1].name.seq + 1 == name.seq);
    v[w->segments_n++] = (struct wal__segment){name, f};
    return 0;
}

void wal_close(struct wal *w)
{
    char path[WAL__PATH_BYTES];
    struct err ignored;

    if (w == NULL)
        return;
    ASSERT(atomic_load(&w->prepared) != WAL__PREPARING);
    if (w->prepared_file != NULL) {
        file_close(w->prepared_file);
        if (wal__path(w->dir, WAL__PREPARED_NAME, path, &ignored) == 0 &&
            disk_remove(w->disk, path, &ignored) != 0)
            ignored.code = 0; /* the next open removes it */
    }
    for (size_t i = 0; i < w->segments_n; i++)
        file_close(w->segments[i].file);
    mem_free(w->segments);
    wal__encoder_done(&w->enc);
    mem_free(w->dir);
    mem_free(w);
}

static void sync_begins(const struct wal *w)
{
    if (w->observer.sync_begin != NULL)
        w->observer.sync_begin(w->observer.arg);
}

/* Everything encoded so far is durable if rc is 0. */
static int sync_ends(struct wal *w, int rc)
{
    if (w->observer.sync_end != NULL)
        w->observer.sync_end(w->observer.arg);
    if (rc != 0)
        return rc;
    ASSERT(w->enc.pieces_n == 0); /* what is called durable was written */
    ASSERT(w->enc.buf_n == w->enc.kept);
    w->stats.syncs++;
    w->unsynced = false;
    w->enc.synced_end = w->enc.off;
    w->durable_index = w->last_index;
    return 0;
}

int wal__sync(struct wal *w, enum file_sync_kind kind, struct err *e)
{
    sync_begins(w);
    return sync_ends(w, file_sync(wal__tail(w)->file, kind, e));
}

/* What was encoded, in one durable write; or written and synced, where that does not cover all. */
static int flush_and_sync(struct wal *w, struct err *e)
{
    int rc;

    if (PLANTED(WAL_UNSYNCED)) {
        sync_begins(w);
        return sync_ends(w, wal__encoder_flush(&w->enc, e));
    }
    if (wal__encoder_can_flush_durable(&w->enc)) {
        sync_begins(w);
        return sync_ends(w, wal__encoder_flush_durable(&w->enc, e));
    }
    rc = wal__encoder_flush(&w->enc, e);
    return rc == 0 ? wal__sync(w, FILE_SYNC_DATA, e) : rc;
}

int wal__go_direct(struct wal *w, struct err *e)
{
    char name[WAL__NAME_BYTES], path[WAL__PATH_BYTES];
    int rc;

    ASSERT(!w->unsynced);
    wal__name_format(wal__tail(w)->name, name);
    rc = wal__path(w->dir, name, path, e);
    return rc == 0 ? wal__direct_begin(&w->enc, w->disk, path, e) : rc;
}

/* The records that every segment begins with. */
int wal__write_head(struct wal *w, struct err *e)
{
    int rc = wal__encode_crc(&w->enc, e);

    ASSERT(w->enc.off == 0);
    ASSERT(w->metadata_n > 0);
    if (rc == 0)
        rc = wal__encode_data(&w->enc, WAL_RECORD_METADATA, bytes_of(w->metadata, w->metadata_n),
                              e);
    if (rc == 0 && !wal__state_empty(&w->state))
        rc = wal__encode_state(&w->enc, &w->state, e);
    return rc;
}

/* ---- the next segment ---- */

bool wal_wants_prepare(const struct wal *w)
{
    return atomic_load_explicit(&w->prepared, memory_order_acquire) == WAL__NONE_PREPARED;
}

int wal_prepare(struct wal *w, struct err *e)
{
    int expected = WAL__NONE_PREPARED;
    struct file *f = NULL;
    int rc;

    if (!atomic_compare_exchange_strong(&w->prepared, &expected, WAL__PREPARING))
        return 0;
    ASSERT(w->prepared_file == NULL);
    rc = wal__segment_make(w->disk, w->dir, WAL__PREPARED_NAME, w->segment_bytes, &f, e);
    w->prepared_file = f;
    atomic_store_explicit(&w->prepared, rc == 0 ? WAL__PREPARED : WAL__NONE_PREPARED,
                          memory_order_release);
    return rc;
}

/* The file for the next segment, and the name it has for now. */
static int next_file(struct wal *w, struct file **ret, const char **ret_name, bool *ret_prepared,
                     struct err *e)
{
    *ret_prepared = atomic_load_explicit(&w->prepared, memory_order_acquire) == WAL__PREPARED;
    if (*ret_prepared) {
        ASSERT(w->prepared_file != NULL);
        *ret = w->prepared_file;
        *ret_name = WAL__PREPARED_NAME;
        return 0;
    }
    w->stats.cuts_unprepared++;
    *ret_name = WAL__UNPREPARED_NAME;
    return wal__segment_make(w->disk, w->dir, WAL__UNPREPARED_NAME, w->segment_bytes, ret, e);
}

/* Renames the new segment to its own name, durably. */
static int publish(struct wal *w, const char *tmp, struct wal__name name, struct err *e)
{
    char from[WAL__PATH_BYTES], to[WAL__PATH_BYTES], final[WAL__NAME_BYTES];
    int rc;

    ASSERT(!w->unsynced);
    wal__name_format(name, final);
    rc = wal__path(w->dir, tmp, from, e);
    if (rc == 0)
        rc = wal__path(w->dir, final, to, e);
    if (rc == 0)
        rc = disk_rename(w->disk, from, to, e);
    return rc == 0 ? disk_sync_dir(w->disk, w->dir, e) : rc;
}

/* Where a write has begun, a full disk is no refusal after which nothing has changed. */
static int not_refused(int rc)
{
    return rc == ERR_NO_SPACE ? ERR_IO : rc;
}

/* No room, no memory or no descriptor for the next segment: the old one goes on growing until there
 * is; nothing is lost by that. */
static bool can_wait(int rc)
{
    return rc == ERR_NO_SPACE || rc == ERR_NOMEM || rc == ERR_AGAIN;
}

/* Ends the current segment and begins the next.  The old one is whole on disk before the new name
 * appears, and so is the new one's head: at every moment the directory is a good log (W4). */
int wal__cut(struct wal *w, struct err *e)
{
    struct wal__segment *tail = wal__tail(w);
    struct wal__name name = {tail->name.seq + 1, w->last_index + 1};
    struct file *f = NULL;
    const char *tmp;
    bool prepared;
    int rc = next_file(w, &f, &tmp, &prepared, e);

    ASSERT(w->enc.pieces_n == 0);
    ASSERT(w->durable_index == w->last_index);
    if (rc != 0)
        return can_wait(rc) ? 0 : rc;
    rc = wal__segments_add(w, name, f, e);
    if (rc != 0) {
        if (!prepared)
            file_close(f);
        return can_wait(rc) ? 0 : rc;
    }
    if (prepared)
        w->prepared_file = NULL;
    ASSERT(w->segments_n >= 2);
    w->room_end = w->segment_bytes;
    tail = &w->segments[w->segments_n - 2];
    rc = file_truncate(tail->file, w->enc.off, e);
    if (rc == 0)
        rc = file_sync(tail->file, FILE_SYNC_ALL, e);
    wal__direct_end(&w->enc);
    w->enc.file = f;
    w->enc.off = w->enc.synced_end = 0;
    w->enc.zeroed_end = 0;
    if (rc == 0)
        rc = wal__write_head(w, e);
    if (rc == 0)
        rc = wal__encoder_flush(&w->enc, e);
    if (rc == 0)
        rc = wal__sync(w, FILE_SYNC_ALL, e);
    if (rc == 0)
        rc = publish(w, tmp, name, e);
    if (rc == 0)
        rc = wal__go_direct(w, e);
    w->stats.cuts++;
    /* Only now may the helper use the temporary name again. */
    if (rc == 0 && prepared)
        atomic_store_explicit(&w->prepared, WAL__NONE_PREPARED, memory_order_release);
    return not_refused(rc);
}

/* ---- appending ---- */

static int encode_save(struct wal *w, const struct wal_save *s, bool *sync, struct err *e)
{
    int rc = 0;

    if (s->snapshot != NULL) {
        ASSERT(s->snapshot->index > 0);
        rc = wal__encode_snapshot(&w->enc, s->snapshot, e);
        w->last_index = MAX(w->last_index, s->snapshot->index);
        *sync = true;
    }
    for (size_t i = 0; rc == 0 && i < s->entries_n; i++) {
        ASSERT(s->entries[i].index > 0);
        ASSERT(i == 0 || s->entries[i].index == s->entries[i - 1].index + 1);
        rc = wal__encode_entry(&w->enc, &s->entries[i], e);
    }
    if (s->entries_n > 0) {
        w->last_index = s->entries[s->entries_n - 1].index;
        *sync = true;
    }
    return rc;
}

static int encode_last_state(struct wal *w, const struct raft_hard_state *s, bool *sync,
                             struct err *e)
{
    ASSERT(s->term >= w->state.term);
    if (wal__state_empty(s))
        return 0;
    if (s->term == w->state.term && s->vote == w->state.vote && s->commit == w->state.commit)
        return 0;
    if (s->term != w->state.term || s->vote != w->state.vote)
        *sync = true;
    w->state = *s;
    return wal__encode_state(&w->enc, s, e);
}

static int append(struct wal *w, const struct wal_save *saves, size_t n, struct err *e)
{
    const struct raft_hard_state *state = NULL;
    bool sync = false;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = encode_save(w, &saves[i], &sync, e);
        if (saves[i].hard_state != NULL)
            state = saves[i].hard_state;
    }
    if (rc == 0 && state != NULL)
        rc = encode_last_state(w, state, &sync, e);
    if (rc == 0) {
        w->unsynced = true;
        rc = sync ? flush_and_sync(w, e) : wal__encoder_flush(&w->enc, e);
    }
    if (rc == 0 && w->enc.off >= w->segment_bytes)
        rc = wal__cut(w, e);
    return rc;
}

/* Every path on which a write or a sync may have failed ends here (W3). */
static int poison(struct wal *w, int rc, struct err *e)
{
    char name[WAL__NAME_BYTES];

    if (rc == 0)
        return 0;
    ASSERT(w->poison == 0);
    rc = not_refused(rc);
    w->poison = rc;
    wal__name_format(wal__tail(w)->name, name);
    return err_wrap(e, rc, "append to log %s: segment %s", w->dir, name);
}

static int refuse_poisoned(const struct wal *w, struct err *e)
{
    ASSERT(w->poison != 0);
    return err_set(e, ERR_WAL_POISONED, "log %s failed before (%s) and takes no more", w->dir,
                   err_text(w->poison));
}

int wal_append_batch(struct wal *w, const struct wal_save *saves, size_t n, struct err *e)
{
    int rc;

    ASSERT(n == 0 || saves != NULL);
    if (w->poison != 0)
        return refuse_poisoned(w, e);
    w->stats.batches++;
    rc = wal__make_room(w, saves, n, e);
    if (rc == ERR_NO_SPACE)
        return err_wrap(e, rc, "append to log %s", w->dir);
    rc = poison(w, rc == 0 ? append(w, saves, n, e) : rc, e);
    wal__check(w);
    return rc;
}

int wal_sync(struct wal *w, struct err *e)
{
    if (w->poison != 0)
        return refuse_poisoned(w, e);
    return w->unsynced ? poison(w, wal__sync(w, FILE_SYNC_DATA, e), e) : 0;
}

raft_index wal_durable_index(const struct wal *w)
{
    return w->durable_index;
}

struct wal_position wal_position(struct wal *w)
{
    ASSERT(w->enc.buf_n == w->enc.kept); /* all that was encoded is written */
    return (struct wal_position){
        .seq = wal__tail(w)->name.seq, .off = w->enc.off, .crc = w->enc.crc, .last = w->last_index};
}

void wal_stats(const struct wal *w, struct wal_stats *ret)
{
    *ret = w->stats;
    ret->bytes_written = w->enc.bytes_written;
}
