/* receiving.c -- the work actor: a snapshot that comes from the leader, piece by piece, into a file
 * of its own.
 *
 *     PIECE ... PIECE  member/snap/tmpN, written back as it grows
 *     END              synced; is it what the message speaks of?  named INDEX.snap.db, durably;
 *                      only then raft hears of it
 *
 * Nothing that comes later depends on the file before raft has accepted the message, so whatever
 * goes wrong ends with the file removed and the sender told why.
 */
#include "base/alloc.h"
#include "node/measure.h"

struct node_receiving {
    raft_index index;
    struct snap_db *db; /* NULL: nothing has come yet, or it is over */
    _Atomic uint64_t bytes;
    bool over; /* ended, aborted or failed */
    mono_ns began;
    struct err err;
};

struct node_receiving *node_receiving_new(raft_index index)
{
    struct node_receiving *v = xmem_calloc(1, sizeof *v);

    ASSERT(index > 0);
    v->index = index;
    return v;
}

uint64_t node_receiving_bytes(const struct node_receiving *v)
{
    return atomic_load(&v->bytes);
}

void node_receiving_free(struct node_receiving *v)
{
    if (v == NULL)
        return;
    ASSERT(v->db == NULL); /* an END has named it, or it was removed */
    mem_free(v);
}

static void give_up(struct node_receiving *v)
{
    snap_db_abort(v->db);
    v->db = NULL;
    v->over = true;
}

static void fail(struct node *n, struct node_request *r)
{
    if (!r->receiving->over)
        give_up(r->receiving);
    node__fail_text(n, &n->work.out, r, GRPC_UNKNOWN, r->receiving->err.msg);
}

/* A member that stops does not wait for what its leader has yet to send. */
static int check_goes_on(struct node *n, struct node_receiving *v)
{
    if (v->over)
        return ERR_CANCELED;
    if (atomic_load(&n->stopping))
        return err_set(&v->err, ERR_CANCELED, "the member stops");
    return 0;
}

static void take_piece(struct node *n, struct node_request *r)
{
    struct node_receiving *v = r->receiving;
    int rc = check_goes_on(n, v);

    if (rc == 0 && v->db == NULL) {
        v->began = node__measure_now(n);
        rc = snap_db_begin(n->env.disk, n->snap_dir, node_next_id(n), &v->db, &v->err);
    }
    if (rc == 0)
        rc = snap_db_write(v->db, r->piece->data, r->piece->bytes, &v->err);
    if (rc != 0) {
        fail(n, r);
        return;
    }
    atomic_store(&v->bytes, snap_db_bytes(v->db));
    node__finish(n, &n->work.out, r);
}

/* A file of another state than the message's would be found out only when it is in use. */
static int check(struct node *n, struct node_receiving *v)
{
    uint64_t index, term;
    int rc = store_peek_applied(n->env.disk, snap_db_path(v->db), &index, &term, &v->err);

    if (rc == 0 && index != v->index)
        rc = err_set(&v->err, ERR_CORRUPT,
                     "the data file is at index %" PRIu64 ", its message at %" PRIu64, index,
                     v->index);
    return rc;
}

/* Raft would pass over it, and the file would lie there. */
static int check_term(struct node *n, struct node_receiving *v, const struct node_message *m)
{
    if (m->m.term >= atomic_load(&n->pub.term))
        return 0;
    return err_set(&v->err, ERR_CANCELED, "a leader of a later term has followed its sender");
}

static void end(struct node *n, struct node_request *r)
{
    struct node_receiving *v = r->receiving;
    mono_ns began = node__measure_now(n);
    int rc = check_goes_on(n, v);

    ASSERT(r->message->m.type == RAFT_MSG_SNAP);
    ASSERT(r->message->m.snapshot->meta.index == v->index);
    if (rc == 0 && v->db == NULL)
        rc = err_set(&v->err, ERR_TRUNCATED, "unexpected EOF");
    if (rc == 0)
        rc = check_term(n, v, r->message);
    if (rc == 0)
        rc = snap_db_sync(v->db, &v->err);
    if (rc == 0) {
        node__measure_received(n, v->began, began);
        rc = check(n, v);
    }
    if (rc != 0) {
        fail(n, r);
        return;
    }
    rc = snap_db_commit(v->db, v->index, &v->err);
    v->db = NULL;
    v->over = true;
    if (rc != 0) {
        fail(n, r);
        return;
    }
    r->message->has_db = true;
    r->message->link.next = NULL;
    node_receive(n, r->message);
    node__finish(n, &n->work.out, r);
}

void node__receive(struct node *n, struct node_request *r)
{
    if (r->kind == NODE_REQ_RECEIVE_PIECE) {
        take_piece(n, r);
    } else if (r->kind == NODE_REQ_RECEIVE_END) {
        end(n, r);
    } else {
        ASSERT(r->kind == NODE_REQ_RECEIVE_ABORT);
        if (!r->receiving->over)
            give_up(r->receiving);
        node__finish(n, &n->work.out, r);
    }
}
