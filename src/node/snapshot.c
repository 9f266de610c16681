/* snapshot.c -- the copy of the data file that Maintenance.Snapshot and slow followers are given.
 *
 * The store actor pins the copy.  It is then read either by whoever owns it (node_snapshot_read),
 * or piece by piece on the work actor, which also sums it up: reading and hashing a megabyte takes
 * a millisecond or, from a cold disk, many, and an I/O thread has calls to answer meanwhile.
 */
#include "base/alloc.h"
#include "node/node_int.h"
#include "sys/digest.h"

struct node_snapshot {
    struct store_copy *copy;
    struct digest *digest; /* of all pieces so far */
    struct err err;
    uint8_t read[64 * 1024]; /* of node_snapshot_read */
};

int node__snapshot_of(struct store_copy *c, struct node_snapshot **ret)
{
    struct node_snapshot *s = mem_calloc(1, sizeof *s);

    if (s == NULL)
        return ERR_NOMEM;
    s->copy = c;
    *ret = s;
    return 0;
}

/* ---- what goes with it ---- */

static void describe_members(struct snap_v2_membership *m, const struct cluster_view *v,
                             struct arena *a, char text[CLUSTER_VERSION_TEXT_BYTES])
{
    struct snap_v2_member *members = arena_calloc(a, v->members_n + 1, sizeof *members);

    for (size_t i = 0; members != NULL && i < v->members_n; i++)
        members[i] = (struct snap_v2_member){.id = v->members[i].id,
                                             .peer_urls = v->members[i].peer_urls.v,
                                             .peer_urls_n = v->members[i].peer_urls.n,
                                             .is_learner = v->members[i].is_learner,
                                             .name = v->members[i].name,
                                             .client_urls = v->members[i].client_urls.v,
                                             .client_urls_n = v->members[i].client_urls.n};
    cluster_version_text(v->version, text);
    *m = (struct snap_v2_membership){.members = members,
                                     .members_n = members == NULL ? 0 : v->members_n,
                                     .removed = v->removed,
                                     .removed_n = v->removed_n,
                                     .cluster_version = v->version == 0 ? NULL : text};
}

int node__snapshot_describe(const struct cluster_view *v, struct arena *a,
                            struct raft_snapshot *ret)
{
    struct snap_v2_membership m;
    char text[CLUSTER_VERSION_TEXT_BYTES];
    struct buf out;
    int rc;

    buf_init(&out, SNAP_V2_BYTES_MAX);
    describe_members(&m, v, a, text);
    m.index = ret->meta.index;
    rc = m.members != NULL && snap_v2_write(&m, &out) ? 0 : ERR_NOMEM;
    if (rc == 0)
        rc = cluster_conf_state_of(v, a, &ret->meta.conf_state);
    if (rc == 0) {
        ret->data = bytes_of(arena_dup(a, out.p, out.len), out.len);
        rc = ret->data.p == NULL ? ERR_NOMEM : 0;
    }
    buf_done(&out);
    return rc;
}

/* ---- Maintenance.Snapshot ---- */

void node__snapshot_begin(struct node *n, struct node_request *r)
{
    struct node_snapshot *s = mem_calloc(1, sizeof *s);
    struct err e = ERR_INIT;

    if (s != NULL)
        s->digest = digest_sha256_new();
    if (s == NULL || s->digest == NULL || store_copy_begin(n->apply.store, &s->copy, &e) != 0) {
        node_snapshot_free(s);
        node__fail_text(n, &n->store.out, r, GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    r->result.answer = NODE_ANSWER_SNAPSHOT;
    r->result.snapshot = s;
    node__finish(n, &n->store.out, r);
}

uint64_t node_snapshot_bytes(const struct node_snapshot *s)
{
    return store_copy_bytes(s->copy);
}

/* The copy comes page by page at its beginning; who asked gets as much as there is. */
static int read_full(struct node_snapshot *s, uint8_t *p, size_t n_max, size_t *ret_n,
                     struct err *e)
{
    size_t n = 0, more = 1;
    int rc = 0;

    while (rc == 0 && n < n_max && more > 0) {
        rc = store_copy_read(s->copy, p + n, n_max - n, &more, e);
        if (rc == 0)
            n += more;
    }
    if (rc == 0)
        *ret_n = n;
    return rc;
}

int node_snapshot_read(struct node_snapshot *s, const uint8_t **ret, size_t n_max, size_t *ret_n,
                       struct err *e)
{
    int rc = read_full(s, s->read, MIN(n_max, sizeof s->read), ret_n, e);

    if (rc == 0)
        *ret = s->read;
    return rc;
}

void node__snapshot_piece(struct node *n, struct node_request *r)
{
    struct node_snapshot *s = r->snapshot;
    struct payload *p;

    if (atomic_load(&n->stopping)) { /* it does not wait for whoever takes gigabytes */
        node__fail(n, &n->work.out, r, API_STOPPED);
        return;
    }
    p = payload_new(NODE_SNAPSHOT_PIECE_BYTES);
    if (p == NULL) {
        node__fail_text(n, &n->work.out, r, GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    if (read_full(s, p->data, NODE_SNAPSHOT_PIECE_BYTES, &p->bytes, &s->err) != 0) {
        payload_unref(p);
        node__fail_text(n, &n->work.out, r, GRPC_UNKNOWN, s->err.msg);
        return;
    }
    ASSERT(p->bytes <= NODE_SNAPSHOT_PIECE_BYTES);
    if (s->digest != NULL) /* members give no sum */
        digest_add(s->digest, p->data, p->bytes);
    r->result.answer = NODE_ANSWER_PIECE;
    r->result.piece = p;
    node__finish(n, &n->work.out, r);
}

void node_snapshot_sum(struct node_snapshot *s, uint8_t ret[SHA256_BYTES])
{
    ASSERT(s->digest != NULL); /* once */
    digest_end(s->digest, ret);
    s->digest = NULL;
}

void node_snapshot_free(struct node_snapshot *s)
{
    if (s == NULL)
        return;
    store_copy_end(s->copy);
    digest_free(s->digest);
    mem_free(s);
}
