/* carry.c -- snapshots between members: piece after piece from the sender's copy to the receiver's
 * file, and either may die, be cut off or lose one on the way. */
#include "sim/member/sim.h"

#define LOOK_NS (100 * SIM_MS) /* how soon a dead end is noticed */

struct carrying {
    struct sim_member *from, *to;
    uint32_t from_life, to_life;
    uint64_t to_id;
    struct node_sending *sending;
    struct node_receiving *receiving; /* NULL: not begun */
    struct payload *piece;            /* on its way, or being taken */
    struct node_message *message;     /* likewise, behind the last piece */
    enum { ON_THE_WAY, AT_SENDER, AT_RECEIVER } where;
    bool over; /* this is only kept for what still knows it */
    struct sim_event look;
};

static bool sender_lives(const struct carrying *c)
{
    return c->from->up && c->from->life == c->from_life;
}

static bool receiver_lives(const struct carrying *c)
{
    return c->to->up && c->to->life == c->to_life;
}

static void message_free(struct node_message *x)
{
    arena_done(&x->arena);
    payload_unref(x->block);
    mem_free(x);
}

/* ---- the end ---- */

static void on_aborted(struct sim_call *call)
{
    struct carrying *c = call->owner;

    node_receiving_free(c->receiving);
    c->to->carryings--;
    sim_call_free(call);
}

static void end(struct carrying *c, bool ok)
{
    struct sim *s = c->from->sim;
    struct sim_call *abort;

    ASSERT(!c->over);
    c->over = true;
    sim_cancel(s, &c->look);
    sim_trace(s, c->from, "the snapshot for %u %s", c->to->index + 1,
              ok ? "has arrived" : "is lost");
    s->result.counts.snapshots += ok;
    payload_unref(c->piece); /* the message stays with who had it last */
    if (sender_lives(c)) {
        node_sent(c->from->node, c->sending, ok);
        c->from->carryings--;
    }
    if (c->receiving == NULL || !receiver_lives(c))
        return;
    if (ok) {
        node_receiving_free(c->receiving);
        c->to->carryings--;
        return;
    }
    abort = sim_call_new(c->to, NODE_REQ_RECEIVE_ABORT, on_aborted, c);
    abort->r.receiving = c->receiving;
    sim_call_submit(abort);
}

/* Somebody is gone whose answer would have moved it on. */
static void look(struct sim *s, void *arg)
{
    struct carrying *c = arg;

    if ((c->where == AT_SENDER && !sender_lives(c)) ||
        (c->where == AT_RECEIVER && !receiver_lives(c)))
        end(c, false);
    else
        sim_post(s, &c->look, LOOK_NS);
}

/* ---- on the way ---- */

static void pull(struct carrying *c);

static void on_received(struct sim_call *call)
{
    struct carrying *c = call->owner;
    bool ok = sim_call_ok(call), was_end = call->r.kind == NODE_REQ_RECEIVE_END;

    sim_call_free(call);
    if (c->over)
        return;
    c->where = ON_THE_WAY;
    payload_unref(c->piece);
    c->piece = NULL;
    if (was_end && !ok)
        message_free(c->message); /* else it is the node's */
    if (!ok || was_end)
        end(c, ok);
    else if (!sender_lives(c) || c->from->stopping || c->to->stopping)
        end(c, false);
    else
        pull(c);
}

static struct node_message *message_of(struct carrying *c)
{
    const struct raft_message *m = &c->sending->m;
    struct node_message *x = xmem_calloc(1, sizeof *x);
    struct err e = ERR_INIT;

    arena_init(&x->arena, (size_t) 64 << 20);
    x->block = payload_new(raft_message_size(m));
    ASSERT(x->block != NULL);
    raft_message_put(m, x->block->data);
    x->release = message_free;
    x->bytes = x->block->bytes;
    if (raft_message_get(bytes_of(x->block->data, x->block->bytes), &x->arena, &x->m, &e) != 0)
        sim_fail(c->from->sim, "a snapshot's message cannot be decoded: %s", e.msg);
    return x;
}

/* The receiver is reached: it stays the same until the end. */
static bool begin_there(struct carrying *c)
{
    if (c->receiving != NULL)
        return receiver_lives(c);
    if (!c->to->up || c->to->stopping || c->to->id != c->to_id)
        return false;
    c->to_life = c->to->life;
    c->to->carryings++;
    c->receiving = node_receiving_new(c->sending->m.snapshot->meta.index);
    return true;
}

static void arrive(struct sim *s, void *arg)
{
    struct carrying *c = arg;
    struct sim_call *call;

    if (!sender_lives(c) || c->from->stopping || !sim_reaches(s, c->from->index, c->to->index) ||
        !begin_there(c) || c->to->stopping) {
        end(c, false);
        return;
    }
    if (c->to->paused > 0) {
        sim_at(s, 100 * SIM_MS, arrive, c);
        return;
    }
    c->where = AT_RECEIVER;
    if (c->piece->bytes > 0) {
        call = sim_call_new(c->to, NODE_REQ_RECEIVE_PIECE, on_received, c);
        call->r.piece = c->piece;
    } else {
        call = sim_call_new(c->to, NODE_REQ_RECEIVE_END, on_received, c);
        call->r.message = c->message = message_of(c);
    }
    call->r.receiving = c->receiving;
    sim_call_submit(call);
}

static void on_pulled(struct sim_call *call)
{
    struct carrying *c = call->owner;
    struct sim *s = c->from->sim;
    bool ok = sim_call_ok(call);

    if (ok)
        c->piece = call->r.result.piece;
    sim_call_free(call);
    c->where = ON_THE_WAY;
    if (!ok)
        end(c, false);
    else
        sim_at(s, SIM_MS + sim_delay(&s->network_random, 20 * SIM_MS), arrive, c);
}

static void pull(struct carrying *c)
{
    struct sim_call *call = sim_call_new(c->from, NODE_REQ_SNAPSHOT_PIECE, on_pulled, c);

    c->where = AT_SENDER;
    call->r.snapshot = c->sending->copy;
    sim_call_submit(call);
}

static void begin(struct sim *s, void *arg)
{
    struct carrying *c = arg;

    if (sender_lives(c) && !c->from->stopping)
        pull(c);
    else
        end(c, false);
    (void) s;
}

void sim_send_snapshot(void *ctx, struct node_sending *sending)
{
    struct sim_member *m = ctx;
    struct carrying *c = xmem_calloc(1, sizeof *c);

    c->from = m;
    c->from_life = m->life;
    c->sending = sending;
    c->to_id = sending->m.to;
    c->to = sim_member_of(m->sim, c->to_id);
    m->carryings++;
    heap_item_init(&c->look.item);
    c->look.run = look;
    c->look.arg = c;
    if (c->to == NULL)
        c->to = m; /* nobody: never reached */
    sim_trace(m->sim, m, "sends a snapshot at %" PRIu64 " to %u", sending->m.snapshot->meta.index,
              c->to->index + 1);
    sim_post(m->sim, &c->look, LOOK_NS);
    sim_at(m->sim, SIM_MS, begin, c);
}
