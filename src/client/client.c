/* client.c -- endpoints, their connections, and whose turn it is.
 *
 * Every endpoint is dialled from the start and again whenever its connection is gone, a little
 * later each time.  Work that needs a connection when there is none waits in one queue and goes
 * out, in order, when the first endpoint is up.
 */
#include "client/client_int.h"

/* ---- connections ---- */

static void wake_waiting(struct ketch_client *c)
{
    struct list woken;
    struct list *it;

    list_init(&woken);
    list_splice(&woken, &c->waiting);
    while ((it = list_pop(&woken)) != NULL) {
        struct waiter *w = CONTAINER_OF(it, struct waiter, link);

        client__need_endpoint(c, w);
    }
}

void client__timer(struct ketch_client *c, struct loop_timer *t, int64_t after_ms)
{
    int rc = loop_timer_start(client_loop(c), t, MAX(after_ms, 0));

    /* Only for want of a few bytes: nothing can be promised any more. */
    ASSERT(rc == 0);
}

static void redial(struct loop_timer *t)
{
    struct endpoint *ep = CONTAINER_OF(t, struct endpoint, redial);

    channel_connect(ep->channel);
}

static void on_channel_state(struct channel *ch, enum channel_state s, const char *why, void *user)
{
    struct endpoint *ep = user;
    struct ketch_client *c = ep->client;

    (void) ch;
    if (c->closing)
        return;
    if (s == CHANNEL_READY) {
        ep->redial_ms = 0;
        wake_waiting(c);
        return;
    }
    if (s != CHANNEL_IDLE)
        return;
    if (why != NULL && why[0] != 0)
        snprintf(c->last_dial_error, sizeof(c->last_dial_error), "%s", why);
    client__timer(c, &ep->redial, ep->redial_ms);
    ep->redial_ms = MIN(MAX(ep->redial_ms * 2, CLIENT_REDIAL_MS_MIN), CLIENT_REDIAL_MS_MAX);
}

struct endpoint *client__pick(struct ketch_client *c)
{
    for (size_t i = 0; i < c->endpoint_count; i++) {
        struct endpoint *ep = &c->endpoints[c->turn];

        c->turn = (c->turn + 1) % c->endpoint_count;
        if (channel_state(ep->channel) == CHANNEL_READY)
            return ep;
    }
    return NULL;
}

void client__need_endpoint(struct ketch_client *c, struct waiter *w)
{
    struct endpoint *ep = client__pick(c);

    ASSERT(list_empty(&w->link));
    if (ep != NULL)
        w->go(w, ep);
    else
        list_push(&c->waiting, &w->link);
}

size_t client__metadata(const struct ketch_client *c, bool require_leader,
                        struct rpc_metadata md[CLIENT_METADATA_MAX])
{
    size_t n = 0;

    md[n++] = (struct rpc_metadata){"client-api-version", BYTES_LIT(KETCH_API_VERSION)};
    if (c->login.token != NULL)
        md[n++] = (struct rpc_metadata){"token", bytes_str(c->login.token)};
    if (require_leader)
        md[n++] = (struct rpc_metadata){"hasleader", BYTES_LIT("true")};
    ASSERT(n <= CLIENT_METADATA_MAX);
    return n;
}

/* ---- opening and closing ---- */

/* One for all endpoints of the client that need it. */
static int tls_open(struct ketch_client *c, struct ketch_error *e)
{
    const struct ketch_tls_options *t = &c->options.tls;
    struct tls_options o = {.cert_file = t->cert_file,
                            .key_file = t->key_file,
                            .ca_file = t->ca_file,
                            .server_name = t->server_name,
                            .skip_verify = t->skip_verify};
    struct err why = ERR_INIT;

    if (c->tls != NULL || tls_new(&o, &c->tls, &why) == 0)
        return KETCH_OK;
    client__error(e, KETCH_E_TLS, "%s", why.msg);
    return KETCH_E_TLS;
}

static int endpoint_open(struct endpoint *ep, const char *text, struct ketch_error *e)
{
    const struct ketch_options *o = &ep->client->options;
    struct channel_options co = {0};
    struct err why = ERR_INIT;
    int rc = endpoint_parse(text, &ep->address, &why);

    loop_timer_init(&ep->redial, redial);
    if (rc != 0) {
        client__error(e, KETCH_E_BAD_ENDPOINT, "%s", why.msg);
        return KETCH_E_BAD_ENDPOINT;
    }
    if (ep->address.tls || (o->tls.enabled && !ep->address.plain)) {
        rc = tls_open(ep->client, e);
        if (rc != KETCH_OK)
            return rc;
        co.tls = ep->client->tls;
        ep->uses_tls = true;
    }
    co.host = ep->address.host;
    co.port = ep->address.port;
    co.unix_path = ep->address.unix_path;
    co.connect_timeout_ms = o->dial_timeout_ms;
    co.keepalive_time_ms = o->keepalive_time_ms;
    co.keepalive_timeout_ms = o->keepalive_timeout_ms;
    co.recv_message_bytes_max = o->response_bytes_max;
    co.on_state = on_channel_state;
    co.user = ep;
    rc = channel_new(client_loop(ep->client), &co, &ep->channel, &why);
    if (rc != 0) {
        client__error(e, KETCH_E_NO_MEMORY, "%s", why.msg);
        return KETCH_E_NO_MEMORY;
    }
    return KETCH_OK;
}

static int loop_acquire(struct ketch_client *c, struct ketch_client *share, struct ketch_error *e)
{
    struct client_loop *l = share != NULL ? share->shared : mem_calloc(1, sizeof(*l));
    struct err why = ERR_INIT;

    if (l == NULL) {
        client__error(e, KETCH_E_NO_MEMORY, "out of memory");
        return KETCH_E_NO_MEMORY;
    }
    if (l->loop == NULL && loop_new("client", &l->loop, &why) != 0) {
        mem_free(l);
        client__error(e, KETCH_E_NO_MEMORY, "%s", why.msg);
        return KETCH_E_NO_MEMORY;
    }
    l->clients++;
    c->shared = l;
    return KETCH_OK;
}

static void loop_release(struct client_loop *l)
{
    if (l == NULL)
        return;
    ASSERT(l->clients > 0);
    if (--l->clients > 0)
        return;
    loop_free(l->loop);
    mem_free(l);
}

static struct ketch_options with_defaults(const struct ketch_options *o)
{
    struct ketch_options r = *o;

    if (r.dial_timeout_ms <= 0)
        r.dial_timeout_ms = CLIENT_DIAL_TIMEOUT_MS;
    if (r.keepalive_timeout_ms <= 0)
        r.keepalive_timeout_ms = CLIENT_KEEPALIVE_TIMEOUT_MS;
    if (r.request_bytes_max == 0)
        r.request_bytes_max = CLIENT_REQUEST_BYTES_MAX;
    if (r.response_bytes_max == 0)
        r.response_bytes_max = CLIENT_RESPONSE_BYTES_MAX;
    return r;
}

static int client_fill(struct ketch_client *c, const struct ketch_options *o, struct ketch_error *e)
{
    int rc = loop_acquire(c, o->share, e);

    if (rc != KETCH_OK)
        return rc;
    c->endpoints = mem_calloc(o->endpoint_count, sizeof(*c->endpoints));
    if (c->endpoints == NULL) {
        client__error(e, KETCH_E_NO_MEMORY, "out of memory");
        return KETCH_E_NO_MEMORY;
    }
    for (size_t i = 0; i < o->endpoint_count; i++) {
        struct endpoint *ep = &c->endpoints[i];

        ep->client = c;
        c->endpoint_count = i + 1;
        rc = endpoint_open(ep, o->endpoints[i], e);
        if (rc != KETCH_OK)
            return rc;
    }
    ketch_set_token(c, o->token);
    return KETCH_OK;
}

int ketch_open(const struct ketch_options *o, struct ketch_client **ret, struct ketch_error *e)
{
    struct ketch_client *c;
    int rc;

    if (o->endpoint_count == 0 || o->endpoint_count > CLIENT_ENDPOINTS_MAX) {
        client__error(e, KETCH_E_NO_ENDPOINTS, "etcdclient: no available endpoints");
        return KETCH_E_NO_ENDPOINTS;
    }
    if (o->response_bytes_max > 0 && o->request_bytes_max > o->response_bytes_max) {
        client__error(
            e, KETCH_E_BAD_OPTIONS,
            "gRPC message recv limit (%zu bytes) must be greater than send limit (%zu bytes)",
            o->response_bytes_max, o->request_bytes_max);
        return KETCH_E_BAD_OPTIONS;
    }
    c = mem_calloc(1, sizeof(*c));
    if (c == NULL) {
        client__error(e, KETCH_E_NO_MEMORY, "out of memory");
        return KETCH_E_NO_MEMORY;
    }
    list_init(&c->waiting);
    list_init(&c->calls);
    list_init(&c->streams);
    list_init(&c->keep_alives);
    list_init(&c->watch_streams);
    list_init(&c->delays);
    list_init(&c->login.waiting);
    c->options = with_defaults(o);
    rc = client_fill(c, o, e);
    if (rc != KETCH_OK) {
        ketch_close(c);
        return rc;
    }
    for (size_t i = 0; i < c->endpoint_count; i++)
        channel_connect(c->endpoints[i].channel);
    *ret = c;
    return KETCH_OK;
}

struct delay {
    struct list link; /* of client->delays */
    struct loop_timer timer;
    struct ketch_client *client;
    void (*fn)(void *arg);
    void *arg;
};

static void delay_free(struct delay *d)
{
    loop_timer_stop(client_loop(d->client), &d->timer);
    list_remove(&d->link);
    mem_free(d);
}

static void drop_delays(struct ketch_client *c)
{
    LIST_EACH_SAFE (it, &c->delays)
        delay_free(CONTAINER_OF(it, struct delay, link));
}

void ketch_close(struct ketch_client *c)
{
    if (c == NULL)
        return;
    c->closing = true;
    call__close_all(c);
    stream__close_all(c);
    watch__close_all(c);
    keep_alive__close_all(c);
    for (size_t i = 0; i < c->endpoint_count; i++) {
        struct endpoint *ep = &c->endpoints[i];

        if (ep->channel != NULL)
            loop_timer_stop(client_loop(c), &ep->redial);
        channel_free(ep->channel);
        endpoint_address_done(&ep->address);
    }
    watch__free_streams(c);
    drop_delays(c);
    ASSERT(list_empty(&c->waiting));
    tls_unref(c->tls);
    mem_free(c->endpoints);
    login__done(c);
    loop_release(c->shared);
    mem_free(c);
}

void ketch_run(struct ketch_client *c)
{
    c->shared->stop = false;
    loop_run_until(client_loop(c), &c->shared->stop);
}

void ketch_stop(struct ketch_client *c)
{
    c->shared->stop = true;
}

struct posted {
    struct loop_task task;
    void (*fn)(void *arg);
    void *arg;
};

static void run_posted(struct loop_task *t)
{
    struct posted *p = CONTAINER_OF(t, struct posted, task);

    p->fn(p->arg);
    mem_free(p);
}

void ketch_post(struct ketch_client *c, void (*fn)(void *arg), void *arg)
{
    struct posted *p = xmem_alloc(sizeof(*p));

    *p = (struct posted){.task = {.run = run_posted}, .fn = fn, .arg = arg};
    loop_post(client_loop(c), &p->task);
}

static void delay_over(struct loop_timer *t)
{
    struct delay *d = CONTAINER_OF(t, struct delay, timer);
    void (*fn)(void *arg) = d->fn;
    void *arg = d->arg;

    delay_free(d);
    fn(arg);
}

void ketch_after(struct ketch_client *c, int64_t ms, void (*fn)(void *arg), void *arg)
{
    struct delay *d = xmem_alloc(sizeof(*d));

    *d = (struct delay){.client = c, .fn = fn, .arg = arg};
    list_init(&d->link);
    list_push(&c->delays, &d->link);
    loop_timer_init(&d->timer, delay_over);
    client__timer(c, &d->timer, ms);
}
