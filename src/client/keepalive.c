/* keepalive.c -- keeping a lease alive.
 *
 * One stream per lease.  A renewal is sent at once and then each time a third of the TTL has gone
 * by.  The lease is given up when the server says that it is gone (TTL 0 or less), when no renewal
 * was confirmed within the TTL (the first: within the time for dialling and a second more), or when
 * the stream ends with an error that trying again cannot mend.  A refused token can be mended.
 */
#include "client/client_int.h"

#define KEEP_ALIVE_PATH "/etcdserverpb.Lease/LeaseKeepAlive"
#define KEEP_ALIVE_FIRST_EXTRA_MS 1000
#define KEEP_ALIVE_PERIOD_MS_MIN 100

/* Receives the reply (and owns it) or the end of the lease. */
typedef void keep_alive_reply_fn(struct ketch_keep_alive *k, struct ketch_reply *reply,
                                 const struct ketch_error *e);

struct ketch_keep_alive {
    struct list link; /* of client->keep_alives */
    struct waiter waiter;
    struct login_waiter login;
    unsigned token_number; /* of the token that the stream was opened with */
    unsigned refusals;     /* in a row */
    struct loop_timer timer;
    struct ketch_client *client;
    struct rpc *rpc;
    int64_t lease_id;
    mono_ms deadline_ms; /* 0: none (once) */
    mono_ms next_ms;     /* of the next renewal */
    bool stopped;        /* no more callbacks; freed when the rpc has ended */
    keep_alive_reply_fn *on_reply;
    ketch_keep_alive_fn *fn;
    ketch_done_fn *done; /* of a single renewal that was not told yet, instead of fn */
    void *user;
};

static mono_ms now_ms(void)
{
    return clock_mono_ms(clock_posix());
}

/* Whoever was not told yet that it is over is told now: the client closes. */
static void keep_alive_free(struct ketch_keep_alive *k)
{
    struct ketch_error e;

    ASSERT(k->rpc == NULL);
    loop_timer_stop(client_loop(k->client), &k->timer);
    list_remove(&k->waiter.link);
    list_remove(&k->login.link);
    list_remove(&k->link);
    if (!k->stopped) {
        client__error(&e, KETCH_CANCELED, "grpc: the client connection is closing");
        k->on_reply(k, NULL, &e);
    }
    mem_free(k);
}

/* No more callbacks.  The object lives on until its rpc, which points to it, has ended. */
static void keep_alive_stop(struct ketch_keep_alive *k)
{
    ASSERT(!k->stopped);
    k->stopped = true;
    loop_timer_stop(client_loop(k->client), &k->timer);
    list_remove(&k->waiter.link);
    list_remove(&k->login.link);
    if (k->rpc != NULL)
        rpc_cancel(k->rpc);
    else
        keep_alive_free(k);
}

static void keep_alive_lost(struct ketch_keep_alive *k, const struct ketch_error *e)
{
    /* The callback comes last but one: it may not touch the object, so its words are taken first.
     */
    keep_alive_reply_fn *on_reply = k->on_reply;
    struct ketch_error copy = *e;

    on_reply(k, NULL, &copy);
    keep_alive_stop(k);
}

static void set_timer(struct ketch_keep_alive *k)
{
    mono_ms at = k->next_ms;

    if (k->deadline_ms != 0 && (k->rpc == NULL || k->deadline_ms < at))
        at = k->deadline_ms;
    client__timer(k->client, &k->timer, at - now_ms());
}

static void send_renewal(struct ketch_keep_alive *k)
{
    Etcdserverpb__LeaseKeepAliveRequest r = ETCDSERVERPB__LEASE_KEEP_ALIVE_REQUEST__INIT;
    struct buf b;
    struct net_piece piece;

    r.id = k->lease_id;
    buf_init(&b, 64);
    if (wire_encode(&r.base, &b)) {
        piece = net_piece_copied(b.p, b.len);
        if (rpc_send(k->rpc, &piece, 1) == ERR_NOMEM)
            rpc_cancel(k->rpc);
    }
    buf_done(&b);
}

static void on_message(struct rpc *rpc, struct bytes message, void *user)
{
    struct ketch_keep_alive *k = user;
    struct ketch_error e = {0};
    struct ketch_reply *reply;
    const Etcdserverpb__LeaseKeepAliveResponse *r;

    (void) rpc;
    if (k->stopped)
        return;
    reply = client__reply(&etcdserverpb__lease_keep_alive_response__descriptor, message, &e);
    r = reply == NULL ? NULL : (const void *) reply->message;
    if (r == NULL || r->ttl <= 0) {
        ketch_reply_free(reply);
        keep_alive_lost(k, &e);
        return;
    }
    k->refusals = 0;
    k->next_ms = now_ms() + MAX(r->ttl * 1000 / 3, KEEP_ALIVE_PERIOD_MS_MIN);
    if (k->deadline_ms != 0)
        k->deadline_ms = now_ms() + r->ttl * 1000;
    set_timer(k);
    k->on_reply(k, reply, &e);
}

static void on_login(struct login_waiter *w, const struct ketch_error *e)
{
    struct ketch_keep_alive *k = CONTAINER_OF(w, struct ketch_keep_alive, login);

    if (e->code != KETCH_OK) {
        keep_alive_lost(k, e);
        return;
    }
    k->next_ms = now_ms() + CLIENT_REOPEN_MS;
    client__timer(k->client, &k->timer, CLIENT_REOPEN_MS);
}

static void on_end(struct rpc *rpc, const struct rpc_result *res, void *user)
{
    struct ketch_keep_alive *k = user;
    struct ketch_error e;

    (void) rpc;
    k->rpc = NULL;
    if (k->stopped || k->client->closing) {
        keep_alive_free(k);
        return;
    }
    if (login__is_stale(k->client, res->message) && k->refusals++ < CLIENT_ATTEMPTS_MAX) {
        login__renew(k->client, k->token_number, &k->login);
        return;
    }
    if (res->code != GRPC_OK && !client__transient(res->code)) {
        client__status(&e, res->code, res->message);
        keep_alive_lost(k, &e);
        return;
    }
    k->next_ms = now_ms() + CLIENT_REOPEN_MS;
    client__timer(k->client, &k->timer, CLIENT_REOPEN_MS);
}

static const struct rpc_stream_callbacks rpc_callbacks = {
    .on_message = on_message,
    .on_end = on_end,
};

/* The time is over, a renewal is due, or the stream is to be opened again. */
static void on_timer(struct loop_timer *t)
{
    struct ketch_keep_alive *k = CONTAINER_OF(t, struct ketch_keep_alive, timer);
    struct ketch_error none = {0};
    mono_ms now = now_ms();

    if (k->deadline_ms != 0 && now >= k->deadline_ms) {
        keep_alive_lost(k, &none);
        return;
    }
    if (k->rpc == NULL) {
        if (list_empty(&k->waiter.link) && list_empty(&k->login.link))
            client__need_endpoint(k->client, &k->waiter);
        if (k->rpc == NULL && k->deadline_ms != 0)
            set_timer(k);
        return;
    }
    if (now >= k->next_ms) {
        send_renewal(k);
        k->next_ms = now + MAX(k->deadline_ms - now, KEEP_ALIVE_PERIOD_MS_MIN);
    }
    set_timer(k);
}

static void on_endpoint(struct waiter *w, struct endpoint *ep)
{
    struct ketch_keep_alive *k = CONTAINER_OF(w, struct ketch_keep_alive, waiter);
    struct rpc_metadata md[CLIENT_METADATA_MAX];
    struct rpc_options o = {
        .path = KEEP_ALIVE_PATH,
        .metadata = md,
        .metadata_n = client__metadata(k->client, false, md),
        .user = k,
    };

    k->token_number = k->client->login.token_number;
    k->rpc = rpc_open(ep->channel, &o, &rpc_callbacks);
    if (k->rpc != NULL)
        send_renewal(k);
    k->next_ms = now_ms() + (k->rpc == NULL ? CLIENT_REOPEN_MS : INT32_MAX);
    set_timer(k);
}

static struct ketch_keep_alive *keep_alive_new(struct ketch_client *c, int64_t lease_id,
                                               keep_alive_reply_fn *on_reply, void *user)
{
    struct ketch_keep_alive *k = mem_calloc(1, sizeof(*k));

    if (k == NULL)
        return NULL;
    k->client = c;
    k->lease_id = lease_id;
    k->on_reply = on_reply;
    k->user = user;
    k->waiter.go = on_endpoint;
    k->login.go = on_login;
    list_init(&k->waiter.link);
    list_init(&k->login.link);
    list_init(&k->link);
    list_push(&c->keep_alives, &k->link);
    loop_timer_init(&k->timer, on_timer);
    client__timer(c, &k->timer, 0); /* begins in the next turn: no callback from within */
    return k;
}

/* ---- public ---- */

static void on_renewed(struct ketch_keep_alive *k, struct ketch_reply *reply,
                       const struct ketch_error *e)
{
    k->fn(reply == NULL ? NULL : (const void *) reply->message, e, k->user);
    ketch_reply_free(reply);
}

struct ketch_keep_alive *ketch_keep_alive(struct ketch_client *c, int64_t lease_id,
                                          ketch_keep_alive_fn *fn, void *user)
{
    struct ketch_keep_alive *k = keep_alive_new(c, lease_id, on_renewed, user);

    if (k == NULL)
        return NULL;
    k->fn = fn;
    k->deadline_ms = now_ms() + c->options.dial_timeout_ms + KEEP_ALIVE_FIRST_EXTRA_MS;
    return k;
}

void ketch_keep_alive_stop(struct ketch_keep_alive *k)
{
    keep_alive_stop(k);
}

static void on_once(struct ketch_keep_alive *k, struct ketch_reply *reply,
                    const struct ketch_error *e)
{
    ketch_done_fn *done = k->done;
    void *user = k->user;
    struct ketch_error why = *e;

    k->done = NULL;
    if (reply == NULL && e->code == KETCH_OK)
        client__status(&why, GRPC_NOT_FOUND, bytes_str(api_error_text(API_LEASE_NOT_FOUND)));
    if (reply != NULL)
        keep_alive_stop(k);
    done(reply, &why, user);
}

bool ketch_keep_alive_once_start(struct ketch_client *c, int64_t lease_id, ketch_done_fn *done,
                                 void *user)
{
    struct ketch_keep_alive *k = keep_alive_new(c, lease_id, on_once, user);

    if (k == NULL)
        return false;
    k->done = done;
    return true;
}

struct waiting_once {
    bool done;
    struct ketch_reply *reply;
    struct ketch_error error;
};

static void on_waiting_done(struct ketch_reply *reply, const struct ketch_error *e, void *user)
{
    struct waiting_once *w = user;

    w->reply = reply;
    w->error = *e;
    w->done = true;
}

int ketch_keep_alive_once(struct ketch_client *c, int64_t lease_id, struct ketch_reply **ret,
                          const Etcdserverpb__LeaseKeepAliveResponse **ret_response,
                          struct ketch_error *e)
{
    struct waiting_once w = {0};

    *ret = NULL;
    *ret_response = NULL;
    if (!ketch_keep_alive_once_start(c, lease_id, on_waiting_done, &w)) {
        client__error(e, KETCH_E_NO_MEMORY, "out of memory");
        return KETCH_E_NO_MEMORY;
    }
    loop_run_until(client_loop(c), &w.done);
    *ret = w.reply;
    *ret_response = w.reply == NULL ? NULL : (const void *) w.reply->message;
    if (e != NULL)
        *e = w.error;
    return w.error.code;
}

/* Those with a stream end when their channel is freed: on_end. */
void keep_alive__close_all(struct ketch_client *c)
{
    LIST_EACH_SAFE (it, &c->keep_alives) {
        struct ketch_keep_alive *k = CONTAINER_OF(it, struct ketch_keep_alive, link);

        if (!k->stopped && k->rpc == NULL)
            keep_alive_free(k);
    }
}
