/* raftpb.c -- entries, hard states, snapshots and messages: what is logged and sent. */
#include "wire/raftpb_int.h"

/* ---- Entry ---- */

size_t raft_entry_size(const struct raft_entry *en)
{
    return pb_u64_size(1, en->type) + pb_u64_size(2, en->term) + pb_u64_size(3, en->index) +
           pb_bytes_size(4, en->data.n);
}

uint8_t *raft_entry_put(const struct raft_entry *en, uint8_t *p)
{
    p = pb_put_u64(p, 1, en->type);
    p = pb_put_u64(p, 2, en->term);
    p = pb_put_u64(p, 3, en->index);
    return pb_put_bytes(p, 4, en->data);
}

int raft_entry_get(struct bytes in, struct raft_entry *ret, struct err *e)
{
    struct pb_reader r = pb_reader_of(in);
    struct raft_entry en = {0};
    struct pb_field f;

    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            en.type = (enum raft_entry_type) take_enum(&r, &f, RAFT_ENTRY_CONF_CHANGE_V2);
            break;
        case 2:
            take_u64(&r, &f, &en.term);
            break;
        case 3:
            take_u64(&r, &f, &en.index);
            break;
        case 4:
            take_bytes(&r, &f, &en.data);
            break;
        default:
            break;
        }
    }
    if (!r.bad)
        *ret = en;
    return take_done(&r, "raft entry", e);
}

/* ---- HardState ---- */

size_t raft_hard_state_size(const struct raft_hard_state *s)
{
    return pb_u64_size(1, s->term) + pb_u64_size(2, s->vote) + pb_u64_size(3, s->commit);
}

uint8_t *raft_hard_state_put(const struct raft_hard_state *s, uint8_t *p)
{
    p = pb_put_u64(p, 1, s->term);
    p = pb_put_u64(p, 2, s->vote);
    return pb_put_u64(p, 3, s->commit);
}

int raft_hard_state_get(struct bytes in, struct raft_hard_state *ret, struct err *e)
{
    struct pb_reader r = pb_reader_of(in);
    struct raft_hard_state s = {0};
    struct pb_field f;

    while (pb_next(&r, &f)) {
        if (f.number == 1)
            take_u64(&r, &f, &s.term);
        else if (f.number == 2)
            take_u64(&r, &f, &s.vote);
        else if (f.number == 3)
            take_u64(&r, &f, &s.commit);
    }
    if (!r.bad)
        *ret = s;
    return take_done(&r, "raft hard state", e);
}

/* ---- Snapshot ---- */

static size_t meta_size(const struct raft_snapshot_meta *m)
{
    size_t n = raft_conf_state_size(&m->conf_state);

    return pb_head_size(1, n) + n + pb_u64_size(2, m->index) + pb_u64_size(3, m->term);
}

static uint8_t *meta_put(const struct raft_snapshot_meta *m, uint8_t *p)
{
    p = pb_put_head(p, 1, raft_conf_state_size(&m->conf_state));
    p = raft_conf_state_put(&m->conf_state, p);
    p = pb_put_u64(p, 2, m->index);
    return pb_put_u64(p, 3, m->term);
}

static int meta_get(struct bytes in, struct arena *a, struct raft_snapshot_meta *ret, struct err *e)
{
    struct pb_reader r = pb_reader_of(in);
    struct raft_snapshot_meta m = {0};
    struct bytes conf = BYTES_EMPTY;
    struct pb_field f;
    int rc;

    while (pb_next(&r, &f)) {
        if (f.number == 1)
            take_bytes(&r, &f, &conf);
        else if (f.number == 2)
            take_u64(&r, &f, &m.index);
        else if (f.number == 3)
            take_u64(&r, &f, &m.term);
    }
    rc = take_done(&r, "raft snapshot metadata", e);
    if (rc == 0)
        rc = raft_conf_state_get(conf, a, &m.conf_state, e);
    if (rc == 0)
        *ret = m;
    return rc;
}

size_t raft_snapshot_size(const struct raft_snapshot *s)
{
    size_t n = meta_size(&s->meta);

    return pb_bytes_size(1, s->data.n) + pb_head_size(2, n) + n;
}

uint8_t *raft_snapshot_put(const struct raft_snapshot *s, uint8_t *p)
{
    p = pb_put_bytes(p, 1, s->data);
    p = pb_put_head(p, 2, meta_size(&s->meta));
    return meta_put(&s->meta, p);
}

int raft_snapshot_get(struct bytes in, struct arena *a, struct raft_snapshot *ret, struct err *e)
{
    struct pb_reader r = pb_reader_of(in);
    struct raft_snapshot s = {0};
    struct bytes meta = BYTES_EMPTY;
    struct pb_field f;
    int rc;

    while (pb_next(&r, &f)) {
        if (f.number == 1)
            take_bytes(&r, &f, &s.data);
        else if (f.number == 2)
            take_bytes(&r, &f, &meta);
    }
    rc = take_done(&r, "raft snapshot", e);
    if (rc == 0)
        rc = meta_get(meta, a, &s.meta, e);
    if (rc == 0)
        *ret = s;
    return rc;
}

/* ---- Message ---- */

size_t raft_message_size(const struct raft_message *m)
{
    size_t n = pb_u64_size(1, m->type) + pb_u64_size(2, m->to) + pb_u64_size(3, m->from) +
               pb_u64_size(4, m->term) + pb_u64_size(5, m->log_term) + pb_u64_size(6, m->index);

    for (size_t i = 0; i < m->entries_n; i++) {
        size_t k = raft_entry_size(&m->entries[i]);

        n += pb_head_size(7, k) + k;
    }
    n += pb_u64_size(8, m->commit);
    if (m->snapshot != NULL) {
        size_t k = raft_snapshot_size(m->snapshot);

        n += pb_head_size(9, k) + k;
    }
    return n + pb_u64_size(10, m->reject) + pb_u64_size(11, m->reject_hint) +
           pb_bytes_size(12, m->context.n) + pb_u64_size(13, m->vote);
}

uint8_t *raft_message_put(const struct raft_message *m, uint8_t *p)
{
    ASSERT(m->responses_n == 0); /* local storage messages never travel */
    p = pb_put_u64(p, 1, m->type);
    p = pb_put_u64(p, 2, m->to);
    p = pb_put_u64(p, 3, m->from);
    p = pb_put_u64(p, 4, m->term);
    p = pb_put_u64(p, 5, m->log_term);
    p = pb_put_u64(p, 6, m->index);
    for (size_t i = 0; i < m->entries_n; i++) {
        p = pb_put_head(p, 7, raft_entry_size(&m->entries[i]));
        p = raft_entry_put(&m->entries[i], p);
    }
    p = pb_put_u64(p, 8, m->commit);
    if (m->snapshot != NULL) {
        p = pb_put_head(p, 9, raft_snapshot_size(m->snapshot));
        p = raft_snapshot_put(m->snapshot, p);
    }
    p = pb_put_u64(p, 10, m->reject);
    p = pb_put_u64(p, 11, m->reject_hint);
    p = pb_put_bytes(p, 12, m->context);
    return pb_put_u64(p, 13, m->vote);
}

/* The fields that are one number or one run of bytes; entries and snapshot are the caller's. */
static void message_scalar(struct pb_reader *r, const struct pb_field *f, struct raft_message *m)
{
    uint64_t *const numbers[] = {
        [2] = &m->to,    [3] = &m->from,   [4] = &m->term,         [5] = &m->log_term,
        [6] = &m->index, [8] = &m->commit, [11] = &m->reject_hint, [13] = &m->vote,
    };

    if (f->number == 1)
        m->type = (enum raft_message_type) take_enum(r, f, RAFT_MSG_END - 1);
    else if (f->number == 10)
        take_bool(r, f, &m->reject);
    else if (f->number == 12)
        take_bytes(r, f, &m->context);
    else if (f->number < ARRAY_LEN(numbers) && numbers[f->number] != NULL)
        take_u64(r, f, numbers[f->number]);
}

static int message_snapshot(struct bytes in, struct arena *a, struct raft_snapshot **ret,
                            struct err *e)
{
    struct raft_snapshot *s = arena_alloc(a, sizeof *s);
    int rc;

    if (s == NULL)
        return take_no_memory(a, sizeof *s, "raft snapshot", e);
    rc = raft_snapshot_get(in, a, s, e);
    if (rc == 0)
        *ret = s->meta.index == 0 ? NULL : s; /* etcd 3.5 puts an empty one into every message */
    return rc;
}

static int message_entries_room(struct bytes in, struct arena *a, struct raft_message *m,
                                struct err *e)
{
    size_t n = take_count(in, 7);

    if (n > RAFTPB_ENTRIES_MAX)
        return err_set(e, ERR_LIMIT, "raft message: more than %d entries", RAFTPB_ENTRIES_MAX);
    if (n == 0)
        return 0;
    m->entries = arena_alloc(a, n * sizeof *m->entries);
    return m->entries != NULL ? 0 : take_no_memory(a, n * sizeof *m->entries, "raft message", e);
}

int raft_message_get(struct bytes in, struct arena *a, struct raft_message *ret, struct err *e)
{
    struct pb_reader r = pb_reader_of(in);
    struct raft_message m = {0};
    struct pb_field f;
    int rc = message_entries_room(in, a, &m, e);

    while (rc == 0 && pb_next(&r, &f)) {
        struct bytes sub = BYTES_EMPTY;

        if (f.number != 7 && f.number != 9) {
            message_scalar(&r, &f, &m); /* 14, responses, is local and so is skipped */
            continue;
        }
        take_bytes(&r, &f, &sub);
        if (r.bad)
            break;
        if (f.number == 7)
            rc = raft_entry_get(sub, &m.entries[m.entries_n++], e);
        else
            rc = message_snapshot(sub, a, &m.snapshot, e);
    }
    if (rc == 0)
        rc = take_done(&r, "raft message", e);
    if (rc == 0)
        *ret = m;
    return rc;
}
