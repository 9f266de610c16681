/* probe.c -- how far away the other members are: GET /raft/probing, now and then. */
#include "edge/peer/peer_int.h"

/* etcd's prober shows a smoothed time, and observes it every 30 s, or 5 s after an error. */
#define SHARE 8 /* of one measurement in the smoothed time: 1 / SHARE */
#define OBSERVE_EVERY (30000 / PEER_PROBE_MS)

static void again(struct peer *p)
{
    if (loop_timer_start(p->ps->loop, &p->probe, PEER_PROBE_MS) != 0)
        LOG_ERROR(p->ps->o.log, "out of memory for a timer: a peer is not probed any more",
                  F_STR("remote-peer-id", p->hex));
}

static void on_end(struct http_out *x, const char *why)
{
    struct peer *p = http_out_user(x);
    int64_t took = loop_now_ns(p->ps->loop) - p->probe_sent;

    p->probe_out = NULL;
    if (why == NULL && http_out_status(x) == 200) {
        p->round_trip_ns = p->round_trip_ns == 0
                               ? took
                               : p->round_trip_ns + (took - p->round_trip_ns) / SHARE;
        if (p->probes_n++ % OBSERVE_EVERY == 0 && p->metrics.round_trip != NULL)
            histogram_observe(p->metrics.round_trip, p->round_trip_ns);
    } else if (why != NULL) {
        LOG_WARN(p->ps->o.log, "prober detected unhealthy status",
                 F_STR("round-tripper-name", "ROUND_TRIPPER_RAFT_MESSAGE"),
                 F_STR("remote-peer-id", p->hex), F_NS("rtt", p->round_trip_ns),
                 F_STR("error", why));
    }
    again(p);
}

static void on_probe(struct loop_timer *t)
{
    struct peer *p = CONTAINER_OF(t, struct peer, probe);
    struct http_client *c = peer__client(p);
    struct http_out_options o = {.method = "GET",
                                 .path = "/raft/probing",
                                 .timeout_ms = PEER_PROBE_MS,
                                 .end = on_end,
                                 .user = p};

    peer__version_ask(p);
    p->probe_sent = loop_now_ns(p->ps->loop);
    if (c == NULL || http_client_request(c, &o, &p->probe_out, NULL) != 0) {
        p->probe_out = NULL;
        again(p);
    }
}

void peer__probe_start(struct peer *p)
{
    loop_timer_init(&p->probe, on_probe);
    again(p);
}

void peer__probe_close(struct peer *p)
{
    if (p->probe_out != NULL)
        http_out_abort(p->probe_out);
    p->probe_out = NULL;
    if (!p->is_remote)
        loop_timer_stop(p->ps->loop, &p->probe);
}
