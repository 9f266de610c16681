/* ask.c -- see ask.h. */
#include "edge/proxy/ask.h"

#include "edge/proxy/proxy_limits.h"
#include "wire/api_error.h"

static void seek(struct ask *a);

static void start_timer(struct ask *a, int64_t ms)
{
    int rc = loop_timer_start(a->loop, &a->timer, ms);

    ASSERT(rc == 0);
}

/* At most `ms`, less when the call's own time ends sooner. */
static int64_t at_most(const struct ask *a, int64_t ms)
{
    mono_ns left = a->deadline_ns - loop_now_ns(a->loop);

    if (a->deadline_ns == 0)
        return ms;
    return left <= 0 ? 0 : MIN(ms, (left + 999999) / 1000000);
}

static bool is_late(const struct ask *a)
{
    return a->deadline_ns != 0 && a->deadline_ns <= loop_now_ns(a->loop);
}

static void end_soon(struct ask *a, int code, const char *text)
{
    a->state = ASK_ENDING;
    a->code = code;
    a->text = text;
    start_timer(a, 0);
}

static void give_up_waiting(struct ask *a)
{
    upstream_forget(a->up, &a->waiter);
    if (is_late(a))
        a->done(a, GRPC_DEADLINE_EXCEEDED, BYTES_LIT("context deadline exceeded"), BYTES_EMPTY);
    else if (upstream_why(a->up)[0] != 0)
        a->done(a, GRPC_UNAVAILABLE, bytes_str(upstream_why(a->up)), BYTES_EMPTY);
    else
        a->done(a, GRPC_UNAVAILABLE, BYTES_LIT("no member can be reached"), BYTES_EMPTY);
}

static void on_timer(struct loop_timer *t)
{
    struct ask *a = CONTAINER_OF(t, struct ask, timer);

    switch (a->state) {
    case ASK_WAITING:
        give_up_waiting(a);
        break;
    case ASK_PAUSED:
        seek(a);
        break;
    case ASK_ENDING:
        a->done(a, a->code, bytes_str(a->text), BYTES_EMPTY);
        break;
    case ASK_ASKING:
        UNREACHABLE();
    }
}

static bool may_repeat(const struct ask *a, int code)
{
    return a->repeatable && !a->canceled && code == GRPC_UNAVAILABLE && !is_late(a) &&
           a->attempt + 1 < PROXY_ATTEMPTS_MAX && !upstream_is_closed(a->up);
}

/* After each round through a majority of the members. */
static int64_t pause_ms(const struct ask *a)
{
    return a->attempt % (upstream_count(a->up) / 2 + 1) == 0 ? PROXY_RETRY_MS : 0;
}

static void on_end(struct rpc *r, const struct rpc_result *res, void *user)
{
    struct ask *a = user;

    (void) r;
    ASSERT(a->state == ASK_ASKING);
    a->rpc = NULL;
    upstream_give(a->member);
    a->member = NULL;
    if (may_repeat(a, res->code)) {
        a->attempt++;
        a->state = ASK_PAUSED;
        start_timer(a, pause_ms(a));
        return;
    }
    a->done(a, res->code, res->message, res->response);
}

static void on_member(struct upstream_waiter *w, struct upstream_member *m)
{
    struct ask *a = CONTAINER_OF(w, struct ask, waiter);
    struct rpc_options o = {
        .path = a->path,
        .metadata = a->metadata,
        .metadata_n = a->metadata_n,
        .timeout_ms = a->deadline_ns == 0 ? 0 : MAX(at_most(a, INT64_MAX / 4000000), 1),
        .user = a,
    };

    loop_timer_stop(a->loop, &a->timer);
    a->state = ASK_ASKING;
    a->member = m;
    a->rpc = rpc_unary(upstream_channel(m), &o, a->request, on_end);
    if (a->rpc != NULL)
        return;
    upstream_give(m);
    a->member = NULL;
    end_soon(a, GRPC_RESOURCE_EXHAUSTED, "out of memory");
}

/* Takes a member, or waits for one. */
static void seek(struct ask *a)
{
    a->state = ASK_WAITING;
    start_timer(a, at_most(a, PROXY_WAIT_MS));
    if (upstream_wait(a->up, &a->waiter) != 0)
        end_soon(a, GRPC_UNAVAILABLE, "too many calls wait for a member");
}

void ask_start(struct ask *a)
{
    a->waiter.go = on_member;
    list_init(&a->waiter.link);
    loop_timer_init(&a->timer, on_timer);
    seek(a);
}

void ask_cancel(struct ask *a)
{
    if (a->state == ASK_ASKING) {
        a->canceled = true; /* its rpc may have ended already in this turn */
        rpc_cancel(a->rpc);
        return;
    }
    upstream_forget(a->up, &a->waiter);
    end_soon(a, GRPC_CANCELED, "context canceled");
}
