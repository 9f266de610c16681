/* Handshakes that are away: while a step of one is with the loop's worker others are served, and
 * whatever happens to its connection takes effect when the step is home.
 *
 * A step is held up by the lock of its configuration, which it takes to look at the files. */
#define _GNU_SOURCE
#include <time.h>

#include "engine/net/loop_int.h"
#include "engine/net/tls_int.h"
#include "unit/engine/net/tls_rig.h"

static void hold(void)
{
    uv_mutex_lock(&rig_tls.server->lock);
}

static void let_go(void)
{
    uv_mutex_unlock(&rig_tls.server->lock);
}

/* Until so many handshakes have begun: those are away, while they are held up. */
static void wait_begun(struct rig *g, size_t n)
{
    while (g->loop->shaking_n < n)
        rig_turn(g, 1);
}

/* A client whose handshake is away until let_go. */
static int dial_away(struct rig *g)
{
    int fd;

    hold();
    fd = dial(g, hello, sizeof hello);
    wait_begun(g, 1);
    return fd;
}

static void close_with_reset(int fd)
{
    struct linger at_once = {.l_onoff = 1};

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    close(fd);
}

/* ---- one is away ---- */

/* Who is connected is served while another one's handshake takes its time. */
static void others_are_served(void **state)
{
    struct rig g;
    struct outcome o;
    int fd;

    (void) state;
    open_server(&g, rig_tls.server, 0);
    open_client(&g, NULL, rig_tls.client);
    unary(&g, &o, "/t.T/Who", BYTES_LIT("x"));
    outcome_done(&o);
    fd = dial_away(&g);
    unary(&g, &o, "/t.T/Who", BYTES_LIT("x"));
    assert_int_equal(o.code, 0);
    outcome_done(&o);
    assert_int_equal(rejected.count, 0);
    let_go();
    close(fd);
    rig_wait(&g, &rejected.any);
    rig_done(&g);
}

/* What a client sends before its handshake is over stays in its socket, but for a little. */
static void much_is_sent_meanwhile(void **state)
{
    static const uint8_t much[200000];
    struct rig g;
    int fd;

    (void) state;
    open_server(&g, rig_tls.server, 0);
    fd = dial_away(&g);
    assert_int_equal(send(fd, much, sizeof much, 0), sizeof much);
    rig_turn(&g, 50);
    assert_true(atomic_load(&g.loop->counters.bytes_in) > sizeof hello);
    assert_true(atomic_load(&g.loop->counters.bytes_in) <= 2 * NET_HANDSHAKE_READ_BYTES);
    let_go();
    rig_wait(&g, &rejected.any);
    close(fd);
    rig_done(&g);
}

/* A handshake whose time is over meanwhile ends when its step is home, with that word. */
static void too_late_meanwhile(void **state)
{
    struct rig g;
    char c;
    int fd;

    (void) state;
    open_server(&g, rig_tls.server, 100);
    fd = dial_away(&g);
    rig_turn(&g, 200);
    assert_int_equal(rejected.count, 0);
    let_go();
    rig_wait(&g, &rejected.any);
    assert_non_null(strstr(rejected.error, ": i/o timeout"));
    rig_turn(&g, 1);
    assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), 0);
    assert_int_equal(rejected.count, 1);
    close(fd);
    rig_done(&g);
}

/* A client that leaves meanwhile, in good order or not, is gone when its step is home, and is
 * spoken of once. */
static void gone_meanwhile(void **state)
{
    struct rig g;

    (void) state;
    open_server(&g, rig_tls.server, 0);
    for (int by_reset = 0; by_reset < 2; by_reset++) {
        int fd;

        memset(&rejected, 0, sizeof rejected);
        fd = dial_away(&g);
        if (by_reset)
            close_with_reset(fd);
        else
            close(fd);
        rig_turn(&g, 20);
        assert_int_equal(rejected.count, 0);
        let_go();
        rig_wait(&g, &rejected.any);
        assert_true(by_reset ? strstr(rejected.error, "reset by peer") != NULL : rejected.hung_up);
        rig_turn(&g, 20);
        assert_int_equal(rejected.count, 1);
        assert_int_equal(g.loop->shaking_n, 0);
    }
    rig_done(&g);
}

/* A server that is told to stop has stopped when the step is home, not before. */
static void stopped_meanwhile(void **state)
{
    struct rig g;
    int fd;

    (void) state;
    open_server(&g, rig_tls.server, 0);
    fd = dial_away(&g);
    net_server_stop(g.server, 10, rig_stopped, &g);
    rig_turn(&g, 50);
    assert_false(g.stopped);
    let_go();
    rig_wait(&g, &g.stopped);
    assert_int_equal(rejected.count, 0);
    close(fd);
    net_server_free(g.server);
    loop_free(g.loop);
}

/* A step that comes home to a loop that does not run waits there until it does. */
static void home_to_a_loop_at_rest(void **state)
{
    const struct timespec a_while = {.tv_nsec = 20000000};
    struct rig g;
    int fd;

    (void) state;
    open_server(&g, rig_tls.server, 0);
    fd = dial_away(&g);
    close(fd);
    let_go();
    nanosleep(&a_while, NULL);
    assert_int_equal(g.loop->shaking_n, 1);
    assert_int_equal(rejected.count, 0);
    rig_wait(&g, &rejected.any);
    assert_true(rejected.hung_up);
    assert_int_equal(g.loop->shaking_n, 0);
    rig_done(&g);
}

/* ---- a client that cuts its bytes as it likes ---- */

struct client {
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out;
    int fd;
};

static void client_begin(struct client *c)
{
    c->ctx = SSL_CTX_new(TLS_client_method());
    c->ssl = SSL_new(c->ctx);
    c->in = BIO_new(BIO_s_mem());
    c->out = BIO_new(BIO_s_mem());
    assert_non_null(c->out);
    SSL_set_bio(c->ssl, c->in, c->out);
    SSL_set_connect_state(c->ssl);
    assert_int_equal(SSL_do_handshake(c->ssl), -1);
}

static void client_end(struct client *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    close(c->fd);
}

/* Takes what has come; false: the other side has ended. */
static bool client_hear(struct client *c, struct rig *g)
{
    uint8_t p[4096];
    ssize_t n = recv(c->fd, p, sizeof p, MSG_DONTWAIT);

    if (n > 0)
        assert_int_equal(BIO_write(c->in, p, (int) n), n);
    else if (n < 0)
        rig_turn(g, 1);
    return n != 0;
}

/* Sends n bytes of what it has to say; 0: all. */
static void client_say(struct client *c, size_t n)
{
    uint8_t p[8192];
    size_t got = 0;

    assert_int_equal(BIO_read_ex(c->out, p, n == 0 ? sizeof p : n, &got), 1);
    assert_int_equal(send(c->fd, p, got, MSG_NOSIGNAL), got);
}

/* Bytes that come while a step is away are kept in their order: the rest of a hello, and with the
 * last words of a handshake a request and the end of the connection. */
static void bytes_come_meanwhile(void **state)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    struct rig g;

    (void) state;
    open_server(&g, rig_tls.server, 0);
    for (int i = 0; i < 10; i++) {
        struct client c;
        char answer[1024] = "";
        size_t n = 0;

        client_begin(&c);
        hold();
        c.fd = dial(&g, "", 0);
        client_say(&c, 20);
        wait_begun(&g, 1);
        client_say(&c, 0);
        rig_turn(&g, 5);
        let_go();
        while (SSL_do_handshake(c.ssl) != 1)
            assert_true(client_hear(&c, &g));
        assert_int_equal(SSL_write(c.ssl, request, sizeof request - 1), sizeof request - 1);
        client_say(&c, 0);
        shutdown(c.fd, SHUT_WR);
        while (SSL_read_ex(c.ssl, answer, sizeof answer - 1, &n) != 1)
            assert_true(client_hear(&c, &g));
        assert_non_null(strstr(answer, "200 OK"));
        client_end(&c);
    }
    assert_int_equal(rejected.count, 0);
    rig_done(&g);
}

/* ---- many ---- */

static size_t length(const struct list *l)
{
    size_t n = 0;

    LIST_EACH (x, l)
        n++;
    return n;
}

/* The worker has a few steps at a time; the others wait on the loop, and a server that stops does
 * not wait for them. */
static void a_few_are_away(void **state)
{
    enum { MANY = 3 * NET_HANDSHAKES_AWAY_MAX };
    struct rig g;
    int fd[MANY];

    (void) state;
    open_server(&g, rig_tls.server, 0);
    hold();
    for (int i = 0; i < MANY; i++)
        fd[i] = dial(&g, hello, sizeof hello);
    while (length(&g.loop->shake_waiting) < MANY - NET_HANDSHAKES_AWAY_MAX)
        rig_turn(&g, 1);
    assert_int_equal(g.loop->shaking_n, NET_HANDSHAKES_AWAY_MAX);
    net_server_stop(g.server, 10, rig_stopped, &g);
    rig_turn(&g, 20);
    assert_int_equal(length(&g.loop->shake_waiting), 0);
    assert_int_equal(g.loop->shaking_n, NET_HANDSHAKES_AWAY_MAX);
    let_go();
    rig_wait(&g, &g.stopped);
    assert_int_equal(rejected.count, 0);
    for (int i = 0; i < MANY; i++)
        close(fd[i]);
    net_server_free(g.server);
    loop_free(g.loop);
}

/* Many clients at once, and among them as many that begin and leave: each of the former is served,
 * each of the latter spoken of. */
static void many_at_once(void **state)
{
    enum { MANY = 40 };
    static struct outcome o[MANY];
    struct channel *ch[MANY];
    struct rig g;

    (void) state;
    open_server(&g, rig_tls.server, 0);
    for (int i = 0; i < MANY; i++) {
        int fd = dial(&g, hello, sizeof hello);

        open_client(&g, NULL, rig_tls.client);
        start_unary(&g, &o[i], "/t.T/Who", BYTES_LIT("x"), 0);
        ch[i] = g.ch;
        g.ch = NULL;
        if (i % 2 == 0)
            close(fd);
        else
            close_with_reset(fd);
    }
    for (int i = 0; i < MANY; i++) {
        rig_wait(&g, &o[i].done);
        assert_int_equal(o[i].code, 0);
        outcome_done(&o[i]);
        channel_free(ch[i]);
    }
    while (rejected.count < MANY)
        rig_turn(&g, 1);
    assert_int_equal(g.loop->shaking_n, 0);
    assert_true(list_empty(&g.loop->shake_waiting));
    rig_done(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_are_served),      cmocka_unit_test(too_late_meanwhile),
        cmocka_unit_test(gone_meanwhile),         cmocka_unit_test(stopped_meanwhile),
        cmocka_unit_test(a_few_are_away),         cmocka_unit_test(home_to_a_loop_at_rest),
        cmocka_unit_test(much_is_sent_meanwhile), cmocka_unit_test(many_at_once),
        cmocka_unit_test(bytes_come_meanwhile),
    };

    return cmocka_run_group_tests(tests, rig_tls_on, rig_tls_off);
}
