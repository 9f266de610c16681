/* snapshots.c -- what snapshots in both directions share: the way to the node and back, and their
 * numbers. */
#include "base/alloc.h"
#include "edge/peer/peer_int.h"

/* ---- from the node: any thread, then the loop ---- */

static void on_send_snapshot(void *ctx, struct node_sending *s)
{
    struct peer_server *ps = ctx;

    mpsc_push(&ps->snapshots.outgoing, &s->link);
    if (!atomic_exchange(&ps->snapshots.take_posted, true))
        loop_post(ps->loop, &ps->snapshots.take);
}

static void on_take(struct loop_task *t)
{
    struct peer_server *ps = CONTAINER_OF(t, struct peer_server, snapshots.take);

    atomic_store(&ps->snapshots.take_posted, false);
    peer__snapshots_take(ps);
}

static void on_deliver(struct node_sink *s, struct node_request *first)
{
    struct peer_server *ps = CONTAINER_OF(s, struct peer_server, snapshots.sink);

    while (first != NULL) {
        struct node_request *next = first->next;

        mpsc_push(&ps->snapshots.back, &first->link);
        first = next;
    }
    if (!atomic_exchange(&ps->snapshots.back_posted, true))
        loop_post(ps->loop, &ps->snapshots.take_back);
}

static void end_loop_when_idle(struct peer_server *ps)
{
    struct peer_snapshots *x = &ps->snapshots;

    if (x->ends_loop && list_empty(&x->sending) && list_empty(&x->coming))
        loop_stop(ps->loop);
}

static void on_back(struct loop_task *t)
{
    struct peer_server *ps = CONTAINER_OF(t, struct peer_server, snapshots.take_back);

    atomic_store(&ps->snapshots.back_posted, false);
    for (struct mpsc_node *x = mpsc_take(&ps->snapshots.back), *next; x != NULL; x = next) {
        struct node_request *r = CONTAINER_OF(x, struct node_request, link);

        next = x->next;
        r->done(r);
    }
    end_loop_when_idle(ps);
}

/* ---- life ---- */

void peer__snapshots_open(struct peer_server *ps)
{
    struct peer_snapshots *x = &ps->snapshots;

    mpsc_init(&x->outgoing);
    mpsc_init(&x->back);
    list_init(&x->sending);
    list_init(&x->coming);
    x->take.run = on_take;
    x->take_back.run = on_back;
    x->sink.deliver = on_deliver;
    ps->transport.send_snapshot = on_send_snapshot;
}

void peer__snapshots_stop(struct peer_server *ps)
{
    peer__sendings_stop(ps);
    peer__comings_stop(ps);
}

void peer__snapshots_end_loop(struct peer_server *ps)
{
    ps->snapshots.ends_loop = true;
    end_loop_when_idle(ps);
}

void peer__snapshots_close(struct peer_server *ps)
{
    peer__snapshots_take(ps);                /* which are given up */
    ASSERT(mpsc_empty(&ps->snapshots.back)); /* P5 */
    ASSERT(list_empty(&ps->snapshots.sending));
    ASSERT(list_empty(&ps->snapshots.coming));
}

/* ---- numbers ---- */

struct numbers {
    const char *label;
    const char *success, *success_help;
    const char *failures, *failures_help;
    const char *under_way, *under_way_help;
    const char *seconds;
};

static const struct numbers sent = {
    "To",
    "etcd_network_snapshot_send_success",
    "Snapshots that were sent to another member.",
    "etcd_network_snapshot_send_failures",
    "Snapshots that could not be sent.",
    "etcd_network_snapshot_send_inflights_total",
    "Snapshots being sent.",
    "etcd_network_snapshot_send_total_duration_seconds",
};

static const struct numbers received = {
    "From",
    "etcd_network_snapshot_receive_success",
    "Snapshots that came from another member.",
    "etcd_network_snapshot_receive_failures",
    "Snapshots that did not arrive.",
    "etcd_network_snapshot_receive_inflights_total",
    "Snapshots being received.",
    "etcd_network_snapshot_receive_total_duration_seconds",
};

struct peer_snapshot_metrics
peer__snapshot_metrics(struct peer_server *ps, enum peer_direction direction, const char *other)
{
    const struct numbers *n = direction == PEER_SENT ? &sent : &received;
    const char *const names[] = {n->label, NULL}, *const values[] = {other, NULL};
    struct peer_snapshot_metrics x = {0};

    if (ps->o.metrics == NULL)
        return x;
    x.success = peer__metric(ps, METRIC_COUNTER, n->success, n->success_help, names, values);
    x.failures = peer__metric(ps, METRIC_COUNTER, n->failures, n->failures_help, names, values);
    x.under_way = peer__metric(ps, METRIC_GAUGE, n->under_way, n->under_way_help, names, values);
    x.seconds = histogram_with(
        metrics_histogram_family(ps->o.metrics, n->seconds, "Time that a snapshot took.",
                                 METRIC_B2.bounds, METRIC_B2.n, METRIC_NS_PER_S, names),
        values);
    return x;
}
