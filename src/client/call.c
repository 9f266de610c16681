/* call.c -- a unary call: its time, its attempts.
 *
 *                no endpoint up              endpoint up
 *      start ------------------> WAITING --------------------> ASKING <----------+
 *        |                          |                            |  | Unavailable, |
 *        | endpoint up -> ASKING    | time is over               |  | may repeat   | 25 ms
 *        |                          v                            |  +---> PAUSED --+
 *        +- too large, too late -> ENDING <----------------------+ answer, other error
 *                                                                |              PAUSED
 *                                                                |                ^ a new token
 *                                                                +---> REFUSED ---+
 *                                                     the token is not accepted
 *
 * One timer serves all states: the deadline while WAITING, the pause while PAUSED, the next turn of
 * the loop while ENDING (an error found in ketch_start is told later, never from within), the
 * deadline again while REFUSED.  While ASKING the deadline is grpc's.
 */
#include "client/client_int.h"

enum call_state { CALL_WAITING, CALL_ASKING, CALL_REFUSED, CALL_PAUSED, CALL_ENDING };

/* What can be wrong with a call without a server's answer.  (The words are made when they are told:
 * room for them in every call would cost more than the rest of it.) */
enum ending { ENDING_NONE, ENDING_LATE, ENDING_LARGE, ENDING_CANCELED, ENDING_MEMORY };

struct ketch_call {
    struct list link; /* of client->calls */
    struct waiter waiter;
    struct login_waiter login;
    struct loop_timer timer;
    struct ketch_client *client;
    unsigned token_number; /* of the token that was sent */
    enum ketch_method method;
    enum call_state state;
    mono_ns deadline_ns; /* 0: none */
    unsigned attempt;
    struct endpoint *endpoint; /* while ASKING */
    struct rpc *rpc;           /* while ASKING */
    ketch_done_fn *done;
    void *user;
    bool canceled;      /* while ASKING: its rpc may have ended, and will not be repeated */
    bool unread;        /* the caller does not want the response */
    enum ending ending; /* while ENDING: why */
    struct buf request;
};

static void call_try(struct ketch_call *call, struct endpoint *ep);

static void call_free(struct ketch_call *call)
{
    ASSERT(call->rpc == NULL);
    loop_timer_stop(client_loop(call->client), &call->timer);
    list_remove(&call->waiter.link);
    list_remove(&call->login.link);
    list_remove(&call->link);
    buf_done(&call->request);
    mem_free(call);
}

static void call_finish(struct ketch_call *call, struct ketch_reply *reply,
                        const struct ketch_error *e)
{
    ketch_done_fn *done = call->done;
    void *user = call->user;

    call_free(call);
    done(reply, e, user);
}

/* Milliseconds that are left, rounded up; 0 when the time is over. */
static int64_t call_left_ms(const struct ketch_call *call)
{
    mono_ns left = call->deadline_ns - clock_mono_ns(clock_posix());

    return left <= 0 ? 0 : (left + 999999) / 1000000;
}

static void report_attempt(struct ketch_call *call, int code, struct bytes message)
{
    const struct ketch_options *o = &call->client->options;
    char text[KETCH_ERROR_TEXT_BYTES];

    if (o->on_attempt == NULL)
        return;
    client__status_text(text, sizeof(text), code, message);
    struct ketch_attempt a = {
        .client = call->client,
        .first_endpoint = call->client->endpoints[0].address.authority,
        .peer = call->endpoint == NULL ? NULL : call->endpoint->address.authority,
        .method = client__method(call->method)->path,
        .attempt = call->attempt,
        .code = code,
        .text = text,
    };
    o->on_attempt(&a, o->user);
}

/* The time ran out before any endpoint was up. */
static void call_expired(struct ketch_call *call)
{
    struct ketch_error e;
    char text[ERR_MSG_BYTES + 64] = "context deadline exceeded";
    const char *dial = call->client->last_dial_error;

    if (dial[0] != 0)
        snprintf(text, sizeof(text), "latest balancer error: %s", dial);
    report_attempt(call, KETCH_DEADLINE_EXCEEDED, bytes_str(text));
    client__error(&e, KETCH_DEADLINE_EXCEEDED, "context deadline exceeded");
    call_finish(call, NULL, &e);
}

/* Takes an endpoint, or waits for one as long as the call may. */
static void call_seek(struct ketch_call *call)
{
    struct endpoint *ep = client__pick(call->client);

    if (call->deadline_ns != 0 && call_left_ms(call) == 0) {
        call_expired(call);
    } else if (ep != NULL) {
        call_try(call, ep);
    } else {
        call->state = CALL_WAITING;
        list_push(&call->client->waiting, &call->waiter.link);
        if (call->deadline_ns != 0)
            client__timer(call->client, &call->timer, call_left_ms(call));
    }
}

static void call_end_early(struct ketch_call *call)
{
    struct ketch_error e;

    switch (call->ending) {
    case ENDING_LATE:
        client__error(&e, KETCH_DEADLINE_EXCEEDED, "context deadline exceeded");
        break;
    case ENDING_LARGE:
        client__error(&e, GRPC_RESOURCE_EXHAUSTED,
                      "rpc error: code = ResourceExhausted desc = trying to send message larger "
                      "than max (%zu vs. %zu)",
                      call->request.len, call->client->options.request_bytes_max);
        break;
    case ENDING_CANCELED:
        client__error(&e, KETCH_CANCELED, "context canceled");
        break;
    case ENDING_MEMORY:
        client__error(&e, KETCH_E_NO_MEMORY, "out of memory");
        break;
    case ENDING_NONE:
        UNREACHABLE();
    }
    call_finish(call, NULL, &e);
}

static void call_end_soon(struct ketch_call *call, enum ending why)
{
    call->state = CALL_ENDING;
    call->ending = why;
    client__timer(call->client, &call->timer, 0);
}

static void on_timer(struct loop_timer *t)
{
    struct ketch_call *call = CONTAINER_OF(t, struct ketch_call, timer);

    switch (call->state) {
    case CALL_WAITING:
    case CALL_REFUSED:
        list_remove(&call->waiter.link);
        call_expired(call);
        break;
    case CALL_PAUSED:
        call_seek(call);
        break;
    case CALL_ENDING:
        call_end_early(call);
        break;
    case CALL_ASKING:
        UNREACHABLE();
    }
}

/* A learner has refused a call that it does not answer: another member will do it. */
static bool is_learners_refusal(const struct ketch_call *call, struct bytes message)
{
    return call->client->endpoint_count > 1 &&
           api_error_find(message) == API_NOT_SUPPORTED_FOR_LEARNER;
}

static bool may_repeat(const struct ketch_call *call, const struct rpc_result *res)
{
    if (call->attempt + 1 >= CLIENT_ATTEMPTS_MAX || call->client->closing || call->canceled)
        return false;
    return is_learners_refusal(call, res->message) ||
           (client__method(call->method)->repeatable && res->code == GRPC_UNAVAILABLE);
}

/* After each round through a majority of the endpoints. */
static bool pause_is_due(const struct ketch_call *call)
{
    return call->attempt % (call->client->endpoint_count / 2 + 1) == 0;
}

static void call_pause(struct ketch_call *call)
{
    uint64_t jitter = CLIENT_RETRY_US * CLIENT_RETRY_JITTER_PERCENT / 100;
    uint64_t us = CLIENT_RETRY_US - jitter + random_below(random_posix(), 2 * jitter + 1);

    call->state = CALL_PAUSED;
    call->attempt++;
    client__timer(call->client, &call->timer, pause_is_due(call) ? (int64_t) (us / 1000) : 0);
}

/* ---- a token that is not accepted ---- */

static bool is_refused(const struct ketch_call *call, struct bytes message)
{
    return call->method != KETCH_METHOD_authenticate && login__is_stale(call->client, message) &&
           call->attempt + 1 < CLIENT_ATTEMPTS_MAX && !call->client->closing && !call->canceled;
}

static void on_login(struct login_waiter *w, const struct ketch_error *e)
{
    struct ketch_call *call = CONTAINER_OF(w, struct ketch_call, login);

    if (e->code == KETCH_OK)
        call_pause(call);
    else
        call_finish(call, NULL, e);
}

static void call_renew_token(struct ketch_call *call)
{
    call->state = CALL_REFUSED;
    if (call->deadline_ns != 0)
        client__timer(call->client, &call->timer, call_left_ms(call));
    login__renew(call->client, call->token_number, &call->login);
}

static void on_end(struct rpc *r, const struct rpc_result *res, void *user)
{
    struct ketch_call *call = user;
    struct ketch_reply *reply = NULL;
    struct ketch_error e;

    (void) r;
    ASSERT(call->state == CALL_ASKING);
    call->rpc = NULL;
    e.code = KETCH_OK;
    e.text[0] = 0;
    if (res->code == GRPC_OK) {
        if (!call->unread)
            reply = client__reply(client__method(call->method)->response, res->response, &e);
        call_finish(call, reply, &e);
        return;
    }
    report_attempt(call, res->code, res->message);
    if (is_refused(call, res->message)) {
        call_renew_token(call);
        return;
    }
    if (may_repeat(call, res)) {
        call_pause(call);
        return;
    }
    /* However the server words it: when the time is over, that is what the caller is told; and when
     * it has given up, that. */
    if (call->canceled)
        client__error(&e, KETCH_CANCELED, "context canceled");
    else if (res->code == GRPC_CANCELED && call->deadline_ns != 0 && call_left_ms(call) == 0)
        client__error(&e, KETCH_DEADLINE_EXCEEDED, "context deadline exceeded");
    else
        client__status(&e, res->code, res->message);
    call_finish(call, NULL, &e);
}

static void call_try(struct ketch_call *call, struct endpoint *ep)
{
    struct rpc_metadata md[CLIENT_METADATA_MAX];
    struct rpc_options o = {
        .path = client__method(call->method)->path,
        .metadata = md,
        .metadata_n = client__metadata(call->client, false, md),
        .timeout_ms = call->deadline_ns == 0 ? 0 : MAX(call_left_ms(call), 1),
        .user = call,
    };

    loop_timer_stop(client_loop(call->client), &call->timer);
    call->state = CALL_ASKING;
    call->endpoint = ep;
    call->token_number = call->client->login.token_number;
    call->rpc = rpc_unary(ep->channel, &o, buf_bytes(&call->request), on_end);
    if (call->rpc == NULL)
        call_end_soon(call, ENDING_MEMORY);
}

static void on_endpoint(struct waiter *w, struct endpoint *ep)
{
    call_try(CONTAINER_OF(w, struct ketch_call, waiter), ep);
}

/* What is wrong with a call before it is sent. */
static enum ending refusal(const struct ketch_call *call, int64_t timeout_ms)
{
    if (timeout_ms < 0)
        return ENDING_LATE;
    return call->request.len > call->client->options.request_bytes_max ? ENDING_LARGE : ENDING_NONE;
}

static struct ketch_call *start(struct ketch_client *c, enum ketch_method m,
                                const ProtobufCMessage *request, int64_t timeout_ms,
                                ketch_done_fn *done, void *user)
{
    struct ketch_call *call = mem_calloc(1, sizeof(*call));

    ASSERT(m < KETCH_METHOD_COUNT);
    if (call == NULL)
        return NULL;
    call->client = c;
    call->method = m;
    call->done = done;
    call->user = user;
    call->waiter.go = on_endpoint;
    call->login.go = on_login;
    list_init(&call->waiter.link);
    list_init(&call->login.link);
    list_init(&call->link);
    loop_timer_init(&call->timer, on_timer);
    buf_init(&call->request, SIZE_MAX);
    if (!wire_encode(request, &call->request)) {
        call_free(call);
        return NULL;
    }
    list_push(&c->calls, &call->link);
    if (refusal(call, timeout_ms) != ENDING_NONE) {
        call_end_soon(call, refusal(call, timeout_ms));
        return call;
    }
    if (timeout_ms > 0)
        call->deadline_ns = clock_mono_ns(clock_posix()) + timeout_ms * 1000000;
    call_seek(call);
    return call;
}

struct ketch_call *ketch_start(struct ketch_client *c, enum ketch_method m,
                               const ProtobufCMessage *request, int64_t timeout_ms,
                               ketch_done_fn *done, void *user)
{
    return start(c, m, request, timeout_ms, done, user);
}

struct ketch_call *ketch_start_unread(struct ketch_client *c, enum ketch_method m,
                                      const ProtobufCMessage *request, int64_t timeout_ms,
                                      ketch_done_fn *done, void *user)
{
    struct ketch_call *call = start(c, m, request, timeout_ms, done, user);

    if (call != NULL)
        call->unread = true;
    return call;
}

void ketch_cancel(struct ketch_call *call)
{
    if (call->state == CALL_ASKING) {
        call->canceled = true;
        if (call->rpc != NULL) /* else this is said from within on_attempt */
            rpc_cancel(call->rpc);
        return;
    }
    list_remove(&call->waiter.link);
    list_remove(&call->login.link);
    call_end_soon(call, ENDING_CANCELED);
}

/* Calls under way end when their channels are freed. */
void call__close_all(struct ketch_client *c)
{
    struct ketch_error e;

    client__error(&e, KETCH_CANCELED, "grpc: the client connection is closing");
    LIST_EACH_SAFE (it, &c->calls) {
        struct ketch_call *call = CONTAINER_OF(it, struct ketch_call, link);

        if (call->state != CALL_ASKING)
            call_finish(call, NULL, &e);
    }
}
