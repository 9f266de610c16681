/* The HTTP/1.1 client against our own server, and against bytes written by hand. */
#define _GNU_SOURCE
#include "engine/net/http_client.h"

#include <unistd.h>

#include "unit/engine/net/by_hand.h"
#include "unit/engine/net/rig.h"

#define UPLOAD_PARTS 100
#define UPLOAD_PART_BYTES 10000

/* ---- the server's side ---- */

static size_t uploaded;
static struct http_req *endless;
static _Atomic int canceled;

static void on_echo(struct http_req *r, struct bytes body, bool too_large)
{
    assert_false(too_large);
    http_respond(r, 200, NULL, 0, body);
}

static void on_part(struct http_req *r, struct bytes part)
{
    (void) r;
    uploaded += part.n;
}

static void on_upload_end(struct http_req *r)
{
    http_respond(r, 204, NULL, 0, BYTES_EMPTY);
}

static void on_cancel(struct http_req *r)
{
    canceled++;
    endless = NULL;
    http_end(r);
}

static void handler(struct http_req *r, void *user)
{
    static const struct http_field f[] = {{"X-Server-Version", "3.7.1"}};
    struct bytes path = http_path(r);
    struct bytes v;

    (void) user;
    if (bytes_eq(path, BYTES_LIT("/echo"))) {
        assert_true(http_header(r, "x-raft-to", &v));
        assert_true(bytes_eq(v, BYTES_LIT("abc")));
        http_read_all(r, 1 << 20, on_echo);
    } else if (bytes_eq(path, BYTES_LIT("/upload"))) {
        uploaded = 0;
        http_read_stream(r, on_part, on_upload_end);
    } else if (bytes_eq(path, BYTES_LIT("/endless"))) {
        endless = r;
        http_on_cancel(r, on_cancel);
        http_begin(r, 200, f, 1);
    } else {
        http_error(r, 404, "404 page not found");
    }
}

/* ---- the client's side ---- */

struct answer {
    bool head;
    bool got_data;
    bool done;
    bool ok;
    int status;
    char why[200];
    char version[16];
    size_t bytes;
    char text[256];
    int parts_sent;
};

static void on_head(struct http_out *x, int status)
{
    struct answer *a = http_out_user(x);
    struct bytes v;

    a->head = true;
    a->status = status;
    if (http_out_header(x, "x-server-version", &v))
        snprintf(a->version, sizeof a->version, "%.*s", (int) v.n, (const char *) v.p);
}

static void on_data(struct http_out *x, struct bytes part)
{
    struct answer *a = http_out_user(x);
    size_t at = MIN(a->bytes, sizeof a->text - 1), n = MIN(part.n, sizeof a->text - 1 - at);

    memcpy(a->text + at, part.p, n);
    a->bytes += part.n;
    a->got_data = true;
}

static void on_end(struct http_out *x, const char *why)
{
    struct answer *a = http_out_user(x);

    a->done = true;
    a->ok = why == NULL;
    if (why != NULL)
        snprintf(a->why, sizeof a->why, "%s", why);
}

static struct http_out_options options(struct answer *a, const char *method, const char *path)
{
    memset(a, 0, sizeof *a);
    return (struct http_out_options){
        .method = method, .path = path, .head = on_head, .data = on_data, .end = on_end, .user = a};
}

static struct http_out *start(struct http_client *c, const struct http_out_options *o)
{
    struct http_out *x;
    struct err e = ERR_INIT;

    assert_int_equal(http_client_request(c, o, &x, &e), 0);
    return x;
}

/* Our server, a client, and what an answer came to. */
struct ends {
    struct rig g;
    struct http_client *c;
    struct answer a;
};

/* The client of a server by hand. */
static void ends_open_to(struct ends *x, uint16_t port)
{
    struct net_server_options o = {.http = handler};
    struct http_client_options co = {.host = "127.0.0.1", .port = port, .tls = rig_tls.client};

    net_limits_default(&o.limits);
    rig_server(&x->g, NULL, 0, NULL, &o);
    if (port == 0)
        co.port = x->g.port;
    x->c = http_client_new(x->g.loop, &co);
}

static void ends_open(struct ends *x)
{
    ends_open_to(x, 0);
}

static void ends_close(struct ends *x)
{
    http_client_free(x->c);
    rig_done(&x->g);
}

/* A request with a body and a field of its own is answered; the next one uses the same connection.
 */
static void requests_share_a_connection(void **state)
{
    static const struct http_field f[] = {{"X-Raft-To", "abc"}};
    struct ends x;
    struct net_counters before, after;

    (void) state;
    ends_open(&x);
    for (int i = 0; i < 3; i++) {
        struct http_out_options o = options(&x.a, "POST", "/echo");

        o.fields = f;
        o.fields_n = 1;
        o.body = BYTES_LIT("hello");
        start(x.c, &o);
        rig_wait(&x.g, &x.a.done);
        assert_true(x.a.ok);
        assert_int_equal(x.a.status, 200);
        assert_string_equal(x.a.text, "hello");
        if (i == 0)
            net_server_counters(x.g.server, &before);
    }
    net_server_counters(x.g.server, &after);
    assert_int_equal(before.connections_total, 1);
    assert_int_equal(after.connections_total, 1);
    ends_close(&x);
}

static void upload_more(struct http_out *x)
{
    struct answer *a = http_out_user(x);
    static uint8_t part[UPLOAD_PART_BYTES];
    struct net_piece p = net_piece_copied(part, sizeof part);

    while (a->parts_sent < UPLOAD_PARTS && http_out_queued_bytes(x) < 3 * UPLOAD_PART_BYTES) {
        assert_int_equal(http_out_write(x, &p, 1), 0);
        a->parts_sent++;
    }
    if (a->parts_sent == UPLOAD_PARTS)
        http_out_finish(x);
    else
        http_out_on_writable(x, UPLOAD_PART_BYTES, upload_more);
}

/* A streamed body leaves in pieces as the socket takes them, and nothing of it is lost. */
static void body_is_streamed(void **state)
{
    struct ends x;
    struct http_out_options o = options(&x.a, "POST", "/upload");

    (void) state;
    ends_open(&x);
    o.streamed = true;
    upload_more(start(x.c, &o));
    rig_wait(&x.g, &x.a.done);
    assert_true(x.a.ok);
    assert_int_equal(x.a.status, 204);
    assert_int_equal(uploaded, (size_t) UPLOAD_PARTS * UPLOAD_PART_BYTES);
    ends_close(&x);
}

/* An endless answer comes part by part; giving the request up tells the server. */
static void endless_answer_comes_in_parts(void **state)
{
    struct ends x;
    struct http_out_options o = options(&x.a, "GET", "/endless");
    struct http_out *out;
    struct net_piece p = net_piece_copied("abc", 3);

    (void) state;
    canceled = 0;
    ends_open(&x);
    out = start(x.c, &o);
    rig_wait(&x.g, &x.a.head);
    assert_string_equal(x.a.version, "3.7.1");
    for (int i = 0; i < 3; i++) {
        x.a.got_data = false;
        assert_int_equal(http_write(endless, &p, 1), 0);
        rig_wait(&x.g, &x.a.got_data);
    }
    assert_string_equal(x.a.text, "abcabcabc");
    http_out_abort(out);
    rig_turn(&x.g, 50);
    assert_int_equal(canceled, 1);
    assert_false(x.a.done);
    ends_close(&x);
}

/* A server that says nothing for too long is given up. */
static void silence_ends_a_request(void **state)
{
    struct ends x;
    struct http_out_options o = options(&x.a, "GET", "/endless");

    (void) state;
    ends_open(&x);
    o.silence_ms = 2000; /* of which the head may take its time on a busy machine */
    start(x.c, &o);
    rig_wait(&x.g, &x.a.done);
    assert_true(x.a.head);
    assert_false(x.a.ok);
    assert_string_equal(x.a.why, "i/o timeout");
    ends_close(&x);
}

/* Nobody listens: the words are Go's. */
static void refused_connection_is_said(void **state)
{
    struct ends x;
    struct http_out_options o = options(&x.a, "GET", "/x");

    (void) state;
    ends_open_to(&x, 1);
    start(x.c, &o);
    rig_wait(&x.g, &x.a.done);
    assert_string_equal(x.a.why, "dial tcp 127.0.0.1:1: connect: connection refused");
    ends_close(&x);
}

/* Freeing the client ends what is under way, at once. */
static void free_ends_requests(void **state)
{
    struct ends x;
    struct http_out_options o = options(&x.a, "GET", "/endless");

    (void) state;
    ends_open(&x);
    start(x.c, &o);
    rig_wait(&x.g, &x.a.head);
    http_client_free(x.c);
    assert_true(x.a.done);
    assert_string_equal(x.a.why, "client closed");
    rig_done(&x.g);
}

/* ---- a server by hand ---- */

/* What servers may answer, and what comes of it. */
static void answers_by_hand(void **state)
{
    static const struct {
        const char *bytes;
        bool ok;
        int status;
        const char *text; /* of the body, or the failure */
    } rows[] = {
        {"HTTP/1.1 200 OK\r\n\r\nup to the end", true, 200, "up to the end"},
        {"HTTP/1.0 404 Not Found\r\nContent-Length: 2\r\n\r\nno", true, 404, "no"},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", true, 204, ""},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", true, 200,
         "abc"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", false, 200, "unexpected EOF"},
        {"", false, 0, "EOF"},
        {"nonsense\r\n\r\n", false, 0, "malformed HTTP response"},
    };
    struct ends x;
    uint16_t port;
    int fd = listen_by_hand(&port);

    (void) state;
    ends_open_to(&x, port);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_out_options o = options(&x.a, "GET", "/x");
        int s;

        start(x.c, &o);
        rig_turn(&x.g, 5);
        s = accept(fd, NULL, NULL);
        assert_true(s >= 0);
        assert_int_equal(write(s, rows[i].bytes, strlen(rows[i].bytes)), strlen(rows[i].bytes));
        shutdown(s, SHUT_WR);
        rig_wait(&x.g, &x.a.done);
        close(s);
        assert_int_equal(x.a.ok, rows[i].ok);
        assert_int_equal(x.a.status, rows[i].status);
        assert_string_equal(rows[i].ok ? x.a.text : x.a.why, rows[i].text);
        rig_turn(&x.g, 5);
    }
    close(fd);
    ends_close(&x);
}

struct again {
    struct loop_timer timer;
    struct http_client *client;
    struct answer *answer;
};

static void ask_again(struct loop_timer *t)
{
    struct again *x = CONTAINER_OF(t, struct again, timer);
    struct http_out_options o = options(x->answer, "GET", "/x");

    start(x->client, &o);
}

/* Answers one request on a connection of its own, and hangs up. */
static void answer_once(struct ends *x, int listener)
{
    static const char bytes[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab";
    int s = accept(listener, NULL, NULL);

    assert_int_equal(write(s, bytes, sizeof bytes - 1), sizeof bytes - 1);
    rig_wait(&x->g, &x->a.done);
    assert_true(x->a.ok);
    close(s);
}

/* A server hangs up on a connection that waits for the next request: who asks in that very turn
 * gets a new one. */
static void idle_connection_lost(void **state)
{
    struct ends x;
    struct http_out_options o = options(&x.a, "GET", "/x");
    struct again again = {.answer = &x.a};
    uint16_t port;
    int fd = listen_by_hand(&port);

    (void) state;
    ends_open_to(&x, port);
    again.client = x.c;
    start(x.c, &o);
    rig_turn(&x.g, 5);
    answer_once(&x, fd);
    usleep(5000);
    x.a.done = false;
    loop_timer_init(&again.timer, ask_again);
    assert_int_equal(loop_timer_start(x.g.loop, &again.timer, 0), 0);
    rig_turn(&x.g, 20);
    assert_string_equal(x.a.why, "");
    answer_once(&x, fd);
    close(fd);
    ends_close(&x);
}

static struct http_client *freed;
static int refused_n;

static void on_end_ask(struct http_out *x, const char *why)
{
    struct http_out_options o = {.method = "GET", .path = "/endless", .end = on_end_ask};
    struct http_out *ret;
    struct err e = ERR_INIT;

    (void) x;
    assert_string_equal(why, "client closed");
    assert_int_equal(http_client_request(freed, &o, &ret, &e), ERR_CLOSED);
    refused_n++;
}

/* Who begins another request when one ends is told, when the client goes, that there are no more.
 */
static void no_requests_while_freed(void **state)
{
    struct http_out_options o = {.method = "GET", .path = "/endless", .end = on_end_ask};
    struct ends x;

    (void) state;
    ends_open(&x);
    refused_n = 0;
    freed = x.c;
    start(freed, &o);
    start(freed, &o);
    rig_turn(&x.g, 10);
    http_client_free(freed);
    assert_int_equal(refused_n, 2);
    rig_done(&x.g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_share_a_connection),   cmocka_unit_test(body_is_streamed),
        cmocka_unit_test(endless_answer_comes_in_parts), cmocka_unit_test(silence_ends_a_request),
        cmocka_unit_test(refused_connection_is_said),    cmocka_unit_test(free_ends_requests),
        cmocka_unit_test(no_requests_while_freed),
    };
    const struct CMUnitTest by_hand[] = {
        cmocka_unit_test(answers_by_hand),
        cmocka_unit_test(idle_connection_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL) +
           cmocka_run_group_tests_name("over TLS", tests, rig_tls_on, rig_tls_off) +
           cmocka_run_group_tests(by_hand, NULL, NULL);
}
