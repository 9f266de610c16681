#define _GNU_SOURCE
#include "engine/net/grpc_client.h"

#include <unistd.h>

#include "base/alloc.h"
#include "engine/net/addr.h"
#include "engine/net/client_int.h"
#include "engine/net/tls.h"

#define CONNECT_TIMEOUT_MS 5000
#define KEEPALIVE_TIMEOUT_MS 20000

/* Between attempts for calls that wait: doubled each time, as grpc's connection backoff is. */
#define RETRY_MS_MIN 50
#define RETRY_MS_MAX 3000

static void set_state(struct channel *ch, enum channel_state s, const char *why)
{
    if (ch->state == s)
        return;
    ch->state = s;
    if (ch->options.on_state != NULL)
        ch->options.on_state(ch, s, why, ch->options.user);
}

static void on_retry(struct loop_timer *t)
{
    channel_connect(CONTAINER_OF(t, struct channel, retry_timer));
}

static void retry_later(struct channel *ch)
{
    ch->retry_ms = MIN(MAX(2 * ch->retry_ms, RETRY_MS_MIN), RETRY_MS_MAX);
    if (loop_timer_start(ch->loop, &ch->retry_timer, ch->retry_ms) == 0)
        return;
    while (!list_empty(&ch->waiting))
        rpc__end(CONTAINER_OF(ch->waiting.next, struct rpc, link), GRPC_STATUS_UNAVAILABLE,
                 "out of memory");
}

/* The attempt to connect has failed: calls that do not wait for another one end. */
static void connect_failed(struct channel *ch, const char *why)
{
    char text[512];
    bool again = false;

    loop_timer_stop(ch->loop, &ch->connect_timer);
    snprintf(text, sizeof text, "%s", why);
    set_state(ch, CHANNEL_IDLE, text);
    LIST_EACH_SAFE (x, &ch->waiting) {
        struct rpc *r = CONTAINER_OF(x, struct rpc, link);

        if (r->wait_for_ready)
            again = true;
        else
            rpc__end(r, GRPC_STATUS_UNAVAILABLE, text);
    }
    if (again)
        retry_later(ch);
}

static void dial_failed(struct channel *ch, const char *why)
{
    char text[480];

    snprintf(text, sizeof text, "connection error: desc = \"transport: Error while dialing: %s\"",
             why);
    connect_failed(ch, text);
}

static void on_dialed(void *user, int fd, const char *why)
{
    struct channel *ch = user;

    ch->dial = NULL;
    if (fd < 0) {
        dial_failed(ch, why);
        return;
    }
    ch->cc = client_conn__new(ch, fd);
    if (ch->cc == NULL) {
        close(fd);
        dial_failed(ch, "out of memory");
    }
}

static void target_text(const struct channel *ch, char *out, size_t n)
{
    if (ch->options.unix_path != NULL)
        snprintf(out, n, "unix %s", ch->options.unix_path);
    else
        snprintf(out, n, "tcp %s:%u", ch->options.host, ch->options.port);
}

static void on_connect_late(struct loop_timer *t)
{
    struct channel *ch = CONTAINER_OF(t, struct channel, connect_timer);
    char target[300], why[340];

    target_text(ch, target, sizeof target);
    snprintf(why, sizeof why, "dial %s: i/o timeout", target);
    if (ch->dial != NULL) {
        dial__cancel(ch->dial);
        ch->dial = NULL;
        dial_failed(ch, why);
    } else if (ch->cc != NULL) {
        client_conn__fail(ch->cc, "connection error: desc = \"error reading server preface: "
                                  "context deadline exceeded\"");
    }
}

void channel_connect(struct channel *ch)
{
    if (ch->state != CHANNEL_IDLE)
        return;
    loop_timer_stop(ch->loop, &ch->retry_timer);
    set_state(ch, CHANNEL_CONNECTING, "");
    if (loop_timer_start(ch->loop, &ch->connect_timer, ch->options.connect_timeout_ms) == 0)
        ch->dial = dial__start(ch->loop, ch->options.host, ch->options.port, ch->options.unix_path,
                               on_dialed, ch);
    if (ch->dial == NULL)
        dial_failed(ch, "out of memory");
}

void channel__ready(struct channel *ch)
{
    loop_timer_stop(ch->loop, &ch->connect_timer);
    ch->retry_ms = 0;
    set_state(ch, CHANNEL_READY, "");
    while (!list_empty(&ch->waiting) && ch->state == CHANNEL_READY)
        client_conn__start(ch->cc, CONTAINER_OF(ch->waiting.next, struct rpc, link));
}

void channel__lost(struct channel *ch, struct client_conn *cc, const char *why)
{
    if (ch->cc != cc)
        return;
    ch->cc = NULL;
    if (ch->state == CHANNEL_CONNECTING)
        connect_failed(ch, why);
    else
        set_state(ch, CHANNEL_IDLE, why);
}

/* A callback may end any call: that takes it out of either list. */
static void run_writable(struct channel *ch)
{
    struct list due;
    struct list *x;

    list_init(&due);
    list_splice(&due, &ch->writable);
    while ((x = list_pop(&due)) != NULL) {
        struct rpc *r = CONTAINER_OF(x, struct rpc, writable_link);

        if (r->out.bytes == 0)
            r->cb->on_writable(r, r->user);
    }
}

static void on_hook(struct loop_hook *h)
{
    struct channel *ch = CONTAINER_OF(h, struct channel, hook);

    run_writable(ch);
    rpc__run_ended(ch);
    if (!list_empty(&ch->waiting) && !loop_timer_active(&ch->retry_timer))
        channel_connect(ch);
}

static char *text_or(const char *s, const char *otherwise)
{
    return xmem_strdup(s != NULL ? s : otherwise);
}

int channel_new(struct loop *l, const struct channel_options *o, struct channel **ret,
                struct err *e)
{
    struct channel *ch;
    char target[300];

    if (o->unix_path == NULL && (o->host == NULL || o->host[0] == '\0' || o->port == 0))
        return err_set(e, ERR_INVALID, "open channel: no address");
    ch = mem_calloc(1, sizeof *ch);
    if (ch == NULL)
        return err_set(e, ERR_NOMEM, "open channel: out of memory");
    ch->loop = l;
    ch->options = *o;
    ch->options.host = text_or(o->host, "localhost");
    ch->options.unix_path = o->unix_path == NULL ? NULL : xmem_strdup(o->unix_path);
    ch->options.tls = tls_ref(o->tls);
    addr__target_text(ch->options.host, o->port, target, sizeof target);
    ch->authority = text_or(o->authority, o->unix_path == NULL ? target : "localhost");
    ch->user_agent = text_or(o->user_agent, "grpc-c-ketch/" KETCH_VERSION);
    if (o->connect_timeout_ms == 0)
        ch->options.connect_timeout_ms = CONNECT_TIMEOUT_MS;
    if (o->keepalive_timeout_ms == 0)
        ch->options.keepalive_timeout_ms = KEEPALIVE_TIMEOUT_MS;
    if (o->recv_message_bytes_max == 0)
        ch->options.recv_message_bytes_max = UINT32_MAX;
    list_init(&ch->conns);
    list_init(&ch->waiting);
    list_init(&ch->held);
    list_init(&ch->ended);
    list_init(&ch->writable);
    loop_timer_init(&ch->connect_timer, on_connect_late);
    loop_timer_init(&ch->retry_timer, on_retry);
    loop_hook_init(&ch->hook, on_hook);
    *ret = ch;
    return 0;
}

enum channel_state channel_state(const struct channel *ch)
{
    return ch->state;
}

static void end_all(struct channel *ch)
{
    static const char why[] = "grpc: the client connection is closing";

    while (!list_empty(&ch->waiting))
        rpc__end(CONTAINER_OF(ch->waiting.next, struct rpc, link), GRPC_STATUS_CANCELED, why);
    while (!list_empty(&ch->held))
        rpc__end(CONTAINER_OF(ch->held.next, struct rpc, link), GRPC_STATUS_CANCELED, why);
    LIST_EACH_SAFE (x, &ch->conns) {
        struct client_conn *cc = CONTAINER_OF(x, struct client_conn, link);

        while (!list_empty(&cc->rpcs)) {
            struct rpc *r = CONTAINER_OF(cc->rpcs.next, struct rpc, link);

            client_conn__reset(r);
            rpc__end(r, GRPC_STATUS_CANCELED, why);
        }
        cc->ch = NULL;
        list_remove(&cc->link);
        cc->conn.no_linger = true; /* the loop may end with the channel: nobody would see the EOF */
        if (cc->conn.lingering)
            conn__doom(&cc->conn, 0);
        else
            conn__close_soon(&cc->conn);
    }
}

void channel_free(struct channel *ch)
{
    if (ch == NULL)
        return;
    ASSERT(!ch->calling);
    ch->options.on_state = NULL;
    loop_timer_stop(ch->loop, &ch->connect_timer);
    loop_timer_stop(ch->loop, &ch->retry_timer);
    if (ch->dial != NULL)
        dial__cancel(ch->dial);
    ch->state = CHANNEL_CONNECTING; /* calls that callbacks begin now end below */
    do {
        end_all(ch);
        rpc__run_ended(ch);
    } while (!list_empty(&ch->waiting));
    ASSERT(list_empty(&ch->writable));
    ASSERT(!loop_timer_active(&ch->connect_timer)); /* invariant 14 */
    ASSERT(!loop_timer_active(&ch->retry_timer));
    loop_hook_disarm(&ch->hook);
    mem_free((void *) (uintptr_t) ch->options.host);
    mem_free((void *) (uintptr_t) ch->options.unix_path);
    tls_unref(ch->options.tls);
    mem_free(ch->authority);
    mem_free(ch->user_agent);
    mem_free(ch);
}
