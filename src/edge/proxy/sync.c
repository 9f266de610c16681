/* sync.c -- --endpoints-auto-sync-interval: the list of members is asked of the members. */
#include "edge/proxy/proxy_int.h"

static void again(struct proxy *p)
{
    int rc = loop_timer_start(p->loop, &p->sync.timer, p->options.sync_interval_ms);

    ASSERT(rc == 0);
}

/* As etcd's client: members that have begun and are no learners. */
static void take(struct proxy *p, const Etcdserverpb__MemberListResponse *m)
{
    const char *urls[PROXY_ENDPOINTS_MAX];
    struct err e = ERR_INIT;
    size_t n = 0;

    for (size_t i = 0; i < m->n_members; i++) {
        const Etcdserverpb__Member *one = m->members[i];

        if (one->name[0] == 0 || one->islearner)
            continue;
        for (size_t k = 0; k < one->n_clienturls && n < ARRAY_LEN(urls); k++)
            urls[n++] = one->clienturls[k];
    }
    if (n > 0 && upstream_set(p->up, urls, n, &e) != 0)
        LOG_WARN(p->log, "the members' list cannot be used", F_ERR(&e));
}

static void on_done(struct ask *a, int code, struct bytes message, struct bytes response)
{
    struct proxy *p = CONTAINER_OF(CONTAINER_OF(a, struct proxy_sync, ask), struct proxy, sync);
    Etcdserverpb__MemberListResponse *m;
    struct arena arena;

    p->sync.asking = false;
    arena_init(&arena, response.n * PROXY_DECODED_PER_BYTE + PROXY_DECODED_BYTES_MIN);
    if (code != GRPC_OK)
        LOG_WARN(p->log, "the members cannot be asked for their list", F_BYTES("error", message));
    else if (WIRE_DECODE(etcdserverpb__member_list_response, response, &arena, &m, NULL) == 0)
        take(p, m);
    arena_done(&arena);
    if (!p->stopping)
        again(p);
}

static void on_timer(struct loop_timer *t)
{
    static const uint8_t request[] = {0x08, 0x01}; /* MemberListRequest: linearizable */
    struct proxy *p = CONTAINER_OF(CONTAINER_OF(t, struct proxy_sync, timer), struct proxy, sync);

    p->sync.asking = true;
    p->sync.ask = (struct ask){.up = p->up,
                               .loop = p->loop,
                               .path = "/etcdserverpb.Cluster/MemberList",
                               .request = bytes_of(request, sizeof request),
                               .deadline_ns = loop_now_ns(p->loop) + PROXY_WAIT_MS * 1000000LL,
                               .repeatable = true,
                               .done = on_done};
    ask_start(&p->sync.ask);
}

void sync__start(struct proxy *p)
{
    loop_timer_init(&p->sync.timer, on_timer);
    if (p->options.sync_interval_ms > 0)
        again(p);
}

void sync__stop(struct proxy *p)
{
    loop_timer_stop(p->loop, &p->sync.timer);
    if (p->sync.asking)
        ask_cancel(&p->sync.ask);
}

void sync__done(struct proxy *p)
{
    loop_timer_stop(p->loop, &p->sync.timer);
    if (p->sync.asking)
        loop_timer_stop(p->loop, &p->sync.ask.timer);
}
