/* read_index.c -- linearizable reads: one round for all that gathered (Raft thesis 6.4).
 *
 * Reads that come while a round is under way wait for the next one: an index asked for before a
 * read arrived may miss a write that was acknowledged before it.  A round that hears nothing is
 * sent again under a new id; the older ids of the same round stay good.  Reads that come during a
 * round wake nobody: its end finds them (N9).  When the leader changes,
 * the whole round fails: an answer of the old leader may be stale (etcd issue 20418).
 */
#include "base/endian.h"
#include "base/plant.h"
#include "node/measure.h"

static void send_round(struct node *n, mono_ns now)
{
    struct raft_actor *ra = &n->raft;
    uint8_t context[8];
    uint64_t id = node_next_id(n);

    if (ra->round_ids_n == ARRAY_LEN(ra->round_ids)) {
        memmove(ra->round_ids, ra->round_ids + 1, sizeof ra->round_ids - sizeof ra->round_ids[0]);
        ra->round_ids_n--;
    }
    ra->round_ids[ra->round_ids_n++] = id;
    ra->round_sent = now;
    be64_put(context, id);
    /* Refused without a leader: the round is sent again later. */
    if (raft_read_index(ra->raft, bytes_of(context, sizeof context)) != 0)
        ra->round_sent = now - NODE_READ_RETRY_NS + (mono_ns) n->cfg.tick_ms * 1000000;
}

/* How many were too late. */
static size_t fail_late(struct node *n, struct list *l, mono_ns now)
{
    size_t late = 0;

    LIST_EACH_SAFE (x, l) {
        struct node_request *r = CONTAINER_OF(x, struct node_request, age);

        if (r->deadline <= now) {
            list_remove(x);
            node__fail(n, &n->raft.out, r, API_TIMEOUT);
            late++;
        }
    }
    return late;
}

static void say_retrying(struct node *n)
{
    const struct raft_actor *ra = &n->raft;

    LOG_WARN(
        n->env.log, "waiting for ReadIndex response took too long, retrying",
        F_U64("sent-request-id", ra->round_ids_n == 0 ? 0 : ra->round_ids[ra->round_ids_n - 1]),
        F_NS("retry-timeout", NODE_READ_RETRY_NS));
}

static void take_reads(struct node *n, mono_ns now)
{
    for (struct mpsc_node *x = mpsc_take(&n->raft.reads), *next; x != NULL; x = next) {
        struct node_request *r = CONTAINER_OF(x, struct node_request, link);

        next = x->next;
        list_init(&r->age);
        r->begin = now;
        r->deadline = now + node__request_timeout_ns(n);
        list_push(&n->raft.reads_next, &r->age);
    }
}

void node__raft_reads_step(struct node *n, mono_ns now)
{
    struct raft_actor *ra = &n->raft;

    take_reads(n, now);
    fail_late(n, &ra->reads_next, now);
    if (fail_late(n, &ra->reads_round, now) > 0) {
        node__measure_slow_read(n);
        LOG_WARN(n->env.log, "timed out waiting for read index response (local node might have "
                             "slow network)");
    }
    if (PLANTED(READ_JOINS_ROUND) && !list_empty(&ra->reads_round))
        list_splice(&ra->reads_round, &ra->reads_next);
    if (list_empty(&ra->reads_round)) {
        if (list_empty(&ra->reads_next))
            return;
        list_splice(&ra->reads_round, &ra->reads_next);
        ra->round_ids_n = 0;
        ra->round_began = now;
        send_round(n, now);
    } else if (now - ra->round_sent >= NODE_READ_RETRY_NS) {
        if (atomic_load(&n->pub.lead) != RAFT_NONE)
            say_retrying(n); /* without a leader it was not even sent */
        send_round(n, now);
    }
}

/* What the trace of a slow round tells, kept by its first read. */
static void note_received(struct node *n)
{
    struct raft_actor *ra = &n->raft;
    struct node_request *first;

    if (list_empty(&ra->reads_round))
        return;
    first = CONTAINER_OF(ra->reads_round.next, struct node_request, age);
    first->round.began = ra->round_began;
    first->round.received = node__measure_now(n);
    first->round.applied = ra->applied;
}

void node__raft_read_state(struct node *n, const struct raft_read_state *rs)
{
    struct raft_actor *ra = &n->raft;
    uint64_t id = rs->context.n == 8 ? be64_get(rs->context.p) : 0;
    bool mine = false;
    struct list *x;

    for (size_t i = 0; i < ra->round_ids_n; i++)
        mine |= ra->round_ids[i] == id;
    if (!mine) { /* of an earlier round */
        node__measure_slow_read(n);
        LOG_WARN(n->env.log,
                 "ignored out-of-date read index response; local node read indexes queueing up and "
                 "waiting to be in sync with leader",
                 F_U64("received-request-id", id));
        return;
    }
    note_received(n);
    while ((x = list_pop(&ra->reads_round)) != NULL) {
        CONTAINER_OF(x, struct node_request, age)->index = rs->index;
        list_push(&ra->reads_apply, x);
    }
    ra->round_ids_n = 0;
}

/* Releases the reads whose index is applied. */
void node__raft_reads_applied(struct node *n)
{
    LIST_EACH_SAFE (x, &n->raft.reads_apply) {
        struct node_request *r = CONTAINER_OF(x, struct node_request, age);

        if (r->index <= n->raft.applied || PLANTED(READ_UNAPPLIED)) {
            list_remove(x);
            if (r->round.began != 0)
                node__measure_round(n, r);
            node__finish(n, &n->raft.out, r);
        }
    }
}

void node__raft_reads_fail(struct node *n, enum api_error err)
{
    struct raft_actor *ra = &n->raft;
    struct list *x;

    if (!list_empty(&ra->reads_round))
        node__measure_failed_read(n);
    while ((x = list_pop(&ra->reads_round)) != NULL)
        node__fail(n, &ra->out, CONTAINER_OF(x, struct node_request, age), err);
    ra->round_ids_n = 0;
}

/* ---- wake-ups ---- */

bool node__raft_reads_are_busy(struct node *n)
{
    return atomic_load(&n->raft.reads_busy);
}

/* The queue is looked at once more behind the store: whoever saw the old value has pushed before.
 */
bool node__raft_reads_wait(struct node *n)
{
    bool busy = !list_empty(&n->raft.reads_round);

    atomic_store(&n->raft.reads_busy, busy);
    return busy || mpsc_empty(&n->raft.reads);
}
