/* call_services.h -- the services of the tests of calls, on rig.h's server: what they were told is
 * in struct service, and a call that they leave open is the test's to end. */
#ifndef KETCH_TESTS_NET_CALL_SERVICES_H
#define KETCH_TESTS_NET_CALL_SERVICES_H

#include "unit/engine/net/rig.h"

struct service {
    int begun;
    int canceled;
    enum call_cancel_reason why;
    struct call *open; /* a call that waits for the test */
    bool cancel_seen;
    bool request_seen;
    bool half_closed;
    int pulls_done;
    char metadata[64];
    char peer[64];
    int hook_begins;
    int hook_ends;
    int hook_code;
    int stream_sent;
    int writable_runs;
    size_t queued_max;
    int messages;
};

static inline void echo(struct call *c, struct bytes m)
{
    struct net_piece p = net_piece_kept(m.p, m.n);

    call_reply(c, &p, 1);
}

static inline void failing(struct call *c, struct bytes m)
{
    (void) m;
    call_finish(c, 9, "100% wrong: \xc3\xa4\n");
}

static inline void on_cancel(struct call *c, enum call_cancel_reason why)
{
    struct service *s = call_service(c);

    s->canceled++;
    s->why = why;
    s->cancel_seen = true;
}

static inline void hang(struct call *c, struct bytes m)
{
    struct service *s = call_service(c);
    struct bytes v = BYTES_EMPTY;

    (void) m;
    s->begun++;
    s->open = c;
    s->request_seen = true;
    if (call_metadata(c, "token", &v))
        snprintf(s->metadata, sizeof s->metadata, "%.*s", (int) v.n, (const char *) v.p);
    snprintf(s->peer, sizeof s->peer, "%s", call_peer(c));
    call_on_cancel(c, on_cancel);
}

static inline bool fill_pattern(void *arg, uint8_t *out, size_t n)
{
    size_t *at = arg;

    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t) ((*at)++ * 7);
    return true;
}

static size_t pull_at;
static struct service *pull_service;

static inline void pull_done(void *arg)
{
    (void) arg;
    pull_service->pulls_done++;
}

#define PULLED_BYTES 3000001u

static inline void pulled(struct call *c, struct bytes m)
{
    (void) m;
    pull_at = 0;
    pull_service = call_service(c);
    call_reply_pull(c, PULLED_BYTES, (struct net_pull){fill_pattern, pull_done, &pull_at});
}

static inline bool fill_fails(void *arg, uint8_t *out, size_t n)
{
    size_t *at = arg;

    memset(out, 0, n);
    *at += n;
    return *at < 100000;
}

static inline void broken_pull(struct call *c, struct bytes m)
{
    (void) m;
    pull_at = 0;
    pull_service = call_service(c);
    call_reply_pull(c, PULLED_BYTES, (struct net_pull){fill_fails, pull_done, &pull_at});
}

static inline void count_to(struct call *c, struct bytes m)
{
    int n = atoi(m.n == 0 ? "0" : (const char[]){(char) m.p[0], '\0'});
    struct payload *shared = payload_new(10000);

    memset(shared->data, 'e', shared->bytes);
    for (int i = 0; i < n; i++) {
        uint8_t head = (uint8_t) i;
        struct net_piece v[2] = {net_piece_copied(&head, 1), net_piece_counted(shared)};

        assert_int_equal(call_send(c, v, 2), 0);
    }
    payload_unref(shared);
    call_finish(c, 0, NULL);
}

static inline void chat_open(struct call *c)
{
    struct service *s = call_service(c);

    s->open = c;
    s->begun++;
    call_on_cancel(c, on_cancel);
    call_send_headers(c);
}

static inline void chat_message(struct call *c, struct bytes m)
{
    struct service *s = call_service(c);
    struct net_piece p = net_piece_copied(m.p, m.n);

    s->messages++;
    if (bytes_eq(m, BYTES_LIT("pause")))
        call_pause(c);
    assert_int_equal(call_send(c, &p, 1), 0);
}

static inline void chat_half_closed(struct call *c)
{
    struct service *s = call_service(c);

    s->half_closed = true;
    call_finish(c, 0, NULL);
}

static inline void leave(struct call *c, enum call_cancel_reason why)
{
    assert_int_equal(why, CALL_CANCELED_BY_CLIENT);
    call_finish(c, 1, NULL);
}

static inline void quiet_open(struct call *c)
{
    call_on_cancel(c, leave);
}

#define FLOOD_MESSAGES 2000
#define FLOOD_BYTES 8192
#define FLOOD_MARK (64u << 10)

static inline void flood(struct call *c)
{
    struct service *s = call_service(c);
    static uint8_t block[FLOOD_BYTES];
    struct net_piece p = net_piece_copied(block, sizeof block);

    s->writable_runs++;
    while (s->stream_sent < FLOOD_MESSAGES && call_queued_bytes(c) < FLOOD_MARK) {
        assert_int_equal(call_send(c, &p, 1), 0);
        s->stream_sent++;
        s->queued_max = MAX(s->queued_max, call_queued_bytes(c));
    }
    if (s->stream_sent == FLOOD_MESSAGES)
        call_finish(c, 0, NULL);
}

static inline void flood_begin(struct call *c, struct bytes m)
{
    (void) m;
    call_on_writable(c, FLOOD_MARK, flood);
    flood(c);
}

static const struct net_method methods[] = {
    {.path = "/t.T/Echo", .kind = NET_UNARY, .request = echo},
    {.path = "/t.T/Fail", .kind = NET_UNARY, .request = failing},
    {.path = "/t.T/Hang", .kind = NET_UNARY, .request = hang},
    {.path = "/t.T/Pulled", .kind = NET_UNARY, .request = pulled},
    {.path = "/t.T/BrokenPull", .kind = NET_UNARY, .request = broken_pull},
    {.path = "/t.T/Count", .kind = NET_SERVER_STREAM, .request = count_to},
    {.path = "/t.T/Flood", .kind = NET_SERVER_STREAM, .request = flood_begin},
    {.path = "/t.T/Quiet", .kind = NET_BIDI, .open = quiet_open},
    {.path = "/t.T/Chat",
     .kind = NET_BIDI,
     .open = chat_open,
     .message = chat_message,
     .half_closed = chat_half_closed},
};

#define RIG(g, s)           \
    struct rig g;           \
    struct service s = {0}; \
    (void) state;           \
    rig_init(&g, methods, ARRAY_LEN(methods), &s, NULL)

#endif
