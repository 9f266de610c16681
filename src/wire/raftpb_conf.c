/* raftpb_conf.c -- configurations of a group, and the changes from one to the next. */
#include "wire/raftpb_int.h"

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
            return take_no_memory(a, count[k - 1] * sizeof *ids->v, "raft conf state", e);
    }
    return take_done(&r, "raft conf state", e);
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
    return take_done(&r, "raft conf state", e);
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
    return take_done(&r, "raft conf change", e);
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
    return take_done(&r, "raft conf change", e);
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
    size_t n = take_count(in, 2);
    struct pb_field f;
    int rc = 0;

    if (n > RAFTPB_CONF_IDS_MAX)
        return err_set(e, ERR_LIMIT, "raft conf change: more than %d changes", RAFTPB_CONF_IDS_MAX);
    if (n != 0)
        c.changes = arena_calloc(a, n, sizeof *c.changes);
    if (n != 0 && c.changes == NULL)
        return take_no_memory(a, n * sizeof *c.changes, "raft conf change", e);
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
        rc = take_done(&r, "raft conf change", e);
    if (rc == 0)
        *ret = c;
    return rc;
}
