#include "wire/raftpb.h"

#include "wire/pb.h"

/* ---- reading: the pieces ----
 *
 * A take_* function that dislikes a field marks the reader bad; pb_next then ends the loop, so that
 * each decoder tests once, behind its loop.
 */

static void take_u64(struct pb_reader *r, const struct pb_field *f, uint64_t *ret)
{
    if (f->type == PB_VARINT)
        *ret = f->value;
    else
        r->bad = true;
}

static void take_bool(struct pb_reader *r, const struct pb_field *f, bool *ret)
{
    uint64_t v = 0;

    take_u64(r, f, &v);
    *ret = v != 0;
}

/* An enum whose values are 0 to max. */
static unsigned take_enum(struct pb_reader *r, const struct pb_field *f, unsigned max)
{
    uint64_t v = 0;

    take_u64(r, f, &v);
    if (v > max)
        r->bad = true;
    return r->bad ? 0 : (unsigned) v;
}

static void take_bytes(struct pb_reader *r, const struct pb_field *f, struct bytes *ret)
{
    if (f->type == PB_LEN)
        *ret = f->bytes;
    else
        r->bad = true;
}

static int done(const struct pb_reader *r, const char *what, struct err *e)
{
    return r->bad ? err_set(e, ERR_CORRUPT, "malformed %s", what) : 0;
}

/* How often a field occurs, before anything is allocated for it. */
static size_t count_field(struct bytes in, uint32_t number)
{
    struct pb_reader r = pb_reader_of(in);
    struct pb_field f;
    size_t n = 0;

    while (pb_next(&r, &f))
        n += f.number == number;
    return n;
}

/* After the arena refused n bytes: past its maximum, or the machine has none. */
static int no_memory(const struct arena *a, size_t n, const char *what, struct err *e)
{
    if (n > a->bytes_max || a->used_bytes > a->bytes_max - n)
        return err_set(e, ERR_LIMIT, "%s needs more than %zu bytes of memory", what, a->bytes_max);
    return err_set(e, ERR_NOMEM, "%s: out of memory", what);
}

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
    return done(&r, "raft entry", e);
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
    return done(&r, "raft hard state", e);
}

/* ---- ConfState ---- */

#define CONF_LISTS 4 /* fields 1 to 4 are lists of ids, 5 is auto_leave */

static struct raft_ids *conf_list(struct raft_conf_state *s, uint32_t field)
{
    struct raft_ids *const lists[CONF_LISTS] = {&s->voters, &s->learners, &s->voters_outgoing,
                                                &s->learners_next};

    ASSERT(field >= 1);
    ASSERT(field <= CONF_LISTS);
    return lists[field - 1];
}

static size_t ids_size(uint32_t field, const struct raft_ids *ids)
{
    size_t n = 0;

    for (size_t i = 0; i < ids->n; i++)
        n += pb_tag_size(field) + pb_varint_size(ids->v[i]);
    return n;
}

/* Unpacked, as etcd does it; a zero id keeps its place. */
static uint8_t *ids_put(uint8_t *p, uint32_t field, const struct raft_ids *ids)
{
    for (size_t i = 0; i < ids->n; i++)
        p = pb_put_varint(pb_put_tag(p, field, PB_VARINT), ids->v[i]);
    return p;
}

size_t raft_conf_state_size(const struct raft_conf_state *s)
{
    return ids_size(1, &s->voters) + ids_size(2, &s->learners) + ids_size(3, &s->voters_outgoing) +
           ids_size(4, &s->learners_next) + pb_tag_size(5) + 1;
}

uint8_t *raft_conf_state_put(const struct raft_conf_state *s, uint8_t *p)
{
    p = ids_put(p, 1, &s->voters);
    p = ids_put(p, 2, &s->learners);
    p = ids_put(p, 3, &s->voters_outgoing);
    p = ids_put(p, 4, &s->learners_next);
    return pb_put_varint(pb_put_tag(p, 5, PB_VARINT), s->auto_leave);
}

/* The ids in one field of a list: one, or when packed one for each byte that ends a varint. */
static size_t ids_in(const struct pb_field *f)
{
    size_t n = 0;

    if (f->type != PB_LEN)
        return 1;
    for (size_t i = 0; i < f->bytes.n; i++)
        n += f->bytes.p[i] < 0x80;
    return n;
}

static void ids_take(struct pb_reader *r, const struct pb_field *f, struct raft_ids *ids)
{
    struct pb_reader in;
    uint64_t id;

    if (f->type == PB_VARINT) {
        ids->v[ids->n++] = f->value;
        return;
    }
    if (f->type != PB_LEN) {
        r->bad = true;
        return;
    }
    in = pb_reader_of(f->bytes);
    while (in.p != in.end && pb_get_varint(&in, &id))
        ids->v[ids->n++] = id;
    r->bad |= in.bad;
}

/* Room for all four lists, by a first walk over the fields. */
static int conf_room(struct bytes in, struct arena *a, struct raft_conf_state *s, struct err *e)
{
    struct pb_reader r = pb_reader_of(in);
    size_t count[CONF_LISTS] = {0};
    struct pb_field f;

    while (pb_next(&r, &f)) {
        if (f.number < 1 || f.number > CONF_LISTS)
            continue;
        count[f.number - 1] += ids_in(&f);
        if (count[f.number - 1] > RAFTPB_CONF_IDS_MAX)
            return err_set(e, ERR_LIMIT, "raft conf state: more than %d members",
                           RAFTPB_CONF_IDS_MAX);
    }
    for (uint32_t k = 1; k <= CONF_LISTS; k++) {
        struct raft_ids *ids = conf_list(s, k);

        if (count[k - 1] == 0)
            continue;
        ids->v = arena_calloc(a, count[k - 1], sizeof *ids->v);
        if (ids->v == NULL)
            return no_memory(a, count[k - 1] * sizeof *ids->v, "raft conf state", e);
    }
    return done(&r, "raft conf state", e);
}

int raft_conf_state_get(struct bytes in, struct arena *a, struct raft_conf_state *ret,
                        struct err *e)
{
    struct pb_reader r = pb_reader_of(in);
    struct raft_conf_state s = {0};
    struct pb_field f;
    int rc = conf_room(in, a, &s, e);

    if (rc != 0)
        return rc;
    while (pb_next(&r, &f)) {
        if (f.number >= 1 && f.number <= CONF_LISTS)
            ids_take(&r, &f, conf_list(&s, f.number));
        else if (f.number == 5)
            take_bool(&r, &f, &s.auto_leave);
    }
    if (!r.bad)
        *ret = s;
    return done(&r, "raft conf state", e);
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
    rc = done(&r, "raft snapshot metadata", e);
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
    rc = done(&r, "raft snapshot", e);
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
        return no_memory(a, sizeof *s, "raft snapshot", e);
    rc = raft_snapshot_get(in, a, s, e);
    if (rc == 0)
        *ret = s->meta.index == 0 ? NULL : s; /* etcd 3.5 puts an empty one into every message */
    return rc;
}

static int message_entries_room(struct bytes in, struct arena *a, struct raft_message *m,
                                struct err *e)
{
    size_t n = count_field(in, 7);

    if (n > RAFTPB_ENTRIES_MAX)
        return err_set(e, ERR_LIMIT, "raft message: more than %d entries", RAFTPB_ENTRIES_MAX);
    if (n == 0)
        return 0;
    m->entries = arena_alloc(a, n * sizeof *m->entries);
    return m->entries != NULL ? 0 : no_memory(a, n * sizeof *m->entries, "raft message", e);
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
        rc = done(&r, "raft message", e);
    if (rc == 0)
        *ret = m;
    return rc;
}

/* ---- ConfChange ---- */

size_t raft_conf_change_size(const struct raft_conf_change *c)
{
    return pb_u64_size(1, c->id) + pb_u64_size(2, c->type) + pb_u64_size(3, c->node_id) +
           pb_bytes_size(4, c->context.n);
}

uint8_t *raft_conf_change_put(const struct raft_conf_change *c, uint8_t *p)
{
    p = pb_put_u64(p, 1, c->id);
    p = pb_put_u64(p, 2, c->type);
    p = pb_put_u64(p, 3, c->node_id);
    return pb_put_bytes(p, 4, c->context);
}

int raft_conf_change_get(struct bytes in, struct raft_conf_change *ret, struct err *e)
{
    struct pb_reader r = pb_reader_of(in);
    struct raft_conf_change c = {0};
    struct pb_field f;

    while (pb_next(&r, &f)) {
        if (f.number == 1)
            take_u64(&r, &f, &c.id);
        else if (f.number == 2)
            c.type = (enum raft_conf_change_type) take_enum(&r, &f, RAFT_CONF_ADD_LEARNER_NODE);
        else if (f.number == 3)
            take_u64(&r, &f, &c.node_id);
        else if (f.number == 4)
            take_bytes(&r, &f, &c.context);
    }
    if (!r.bad)
        *ret = c;
    return done(&r, "raft conf change", e);
}

/* ---- ConfChangeV2 ---- */

static size_t single_size(const struct raft_conf_change_single *c)
{
    return pb_u64_size(1, c->type) + pb_u64_size(2, c->node_id);
}

static int single_get(struct bytes in, struct raft_conf_change_single *ret, struct err *e)
{
    struct pb_reader r = pb_reader_of(in);
    struct raft_conf_change_single c = {0};
    struct pb_field f;

    while (pb_next(&r, &f)) {
        if (f.number == 1)
            c.type = (enum raft_conf_change_type) take_enum(&r, &f, RAFT_CONF_ADD_LEARNER_NODE);
        else if (f.number == 2)
            take_u64(&r, &f, &c.node_id);
    }
    if (!r.bad)
        *ret = c;
    return done(&r, "raft conf change", e);
}

size_t raft_conf_change_v2_size(const struct raft_conf_change_v2 *c)
{
    size_t n = pb_u64_size(1, c->transition) + pb_bytes_size(3, c->context.n);

    for (size_t i = 0; i < c->changes_n; i++) {
        size_t k = single_size(&c->changes[i]);

        n += pb_head_size(2, k) + k;
    }
    return n;
}

uint8_t *raft_conf_change_v2_put(const struct raft_conf_change_v2 *c, uint8_t *p)
{
    p = pb_put_u64(p, 1, c->transition);
    for (size_t i = 0; i < c->changes_n; i++) {
        p = pb_put_head(p, 2, single_size(&c->changes[i]));
        p = pb_put_u64(p, 1, c->changes[i].type);
        p = pb_put_u64(p, 2, c->changes[i].node_id);
    }
    return pb_put_bytes(p, 3, c->context);
}

int raft_conf_change_v2_get(struct bytes in, struct arena *a, struct raft_conf_change_v2 *ret,
                            struct err *e)
{
    struct pb_reader r = pb_reader_of(in);
    struct raft_conf_change_v2 c = {0};
    size_t n = count_field(in, 2);
    struct pb_field f;
    int rc = 0;

    if (n > RAFTPB_CONF_IDS_MAX)
        return err_set(e, ERR_LIMIT, "raft conf change: more than %d changes", RAFTPB_CONF_IDS_MAX);
    if (n != 0)
        c.changes = arena_calloc(a, n, sizeof *c.changes);
    if (n != 0 && c.changes == NULL)
        return no_memory(a, n * sizeof *c.changes, "raft conf change", e);
    while (rc == 0 && pb_next(&r, &f)) {
        struct bytes sub = BYTES_EMPTY;

        if (f.number == 1)
            c.transition = (enum raft_conf_transition) take_enum(&r, &f, RAFT_CONF_JOINT_EXPLICIT);
        else if (f.number == 2)
            take_bytes(&r, &f, &sub);
        else if (f.number == 3)
            take_bytes(&r, &f, &c.context);
        if (f.number == 2 && !r.bad)
            rc = single_get(sub, &c.changes[c.changes_n++], e);
    }
    if (rc == 0)
        rc = done(&r, "raft conf change", e);
    if (rc == 0)
        *ret = c;
    return rc;
}
