/* Long answers in gzip: they are compressed in steps between which others have their turn, arrive
 * whole and in order, and leave nothing behind when nobody waits for them any more.  Client and
 * server are on this thread, the loop is turned by hand, and its clock moves with the work. */
#define _GNU_SOURCE
#include "base/alloc.h"
#include "engine/net/call_int.h"
#include "engine/net/gzip.h"
#include "unit/engine/net/turn_client.h"

#define FILL_US 100
#define LONG_BYTES ((size_t) CALL_DEFLATED_BYTES_MAX)
#define LONGER_BYTES (LONG_BYTES + 5)
#define CLIENTS (CALL_DEFLATIONS_MAX + 4)
#define TURNS 50 /* in which both kinds are looked at */
#define GREEDY 4
#define CALLS 3

static struct {
    size_t filled;
    int pulls; /* begun and not done */
    int asked;
} t;

static struct client clients[CLIENTS];

/* ---- the server ---- */

static bool fill(void *arg, uint8_t *out, size_t n)
{
    (void) arg;
    memset(out, 'p', n);
    turns_work(FILL_US);
    t.filled += n;
    return true;
}

static void filled(void *arg)
{
    (void) arg;
    t.pulls--;
}

static struct net_pull pull(void)
{
    t.pulls++;
    return (struct net_pull){fill, filled, NULL};
}

static void fetch(struct call *c, struct bytes m)
{
    (void) m;
    call_reply_pull(c, LONG_BYTES, pull());
}

static void ask(struct call *c, struct bytes m)
{
    (void) m;
    t.asked++;
    call_finish(c, 0, NULL);
}

/* Messages of all kinds and lengths, each but the empty one of one letter. */
static const struct {
    char letter;
    bool pulled;
    size_t n;
} parts[] = {
    {'a', false, 3},           {'b', false, 100000},
    {'c', false, 10},          {'d', false, 0},
    {'p', true, LONGER_BYTES}, {'e', false, 1},
    {'p', true, 20},           {'f', false, CALL_DEFLATE_ONCE_BYTES},
    {'p', true, LONG_BYTES},
};

static void say_all(struct call *c)
{
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        uint8_t *p = mem_alloc(parts[i].n + 1);
        struct net_piece two[2] = {
            net_piece_copied(p, parts[i].n / 2),
            net_piece_copied(p + parts[i].n / 2, parts[i].n - parts[i].n / 2)};

        memset(p, parts[i].letter, parts[i].n);
        if (parts[i].pulled)
            assert_int_equal(call_send_pull(c, parts[i].n, pull()), 0);
        else
            assert_int_equal(call_send(c, two, 2), 0);
        mem_free(p);
    }
    assert_true(call_queued_bytes(c) > 2 * LONG_BYTES);
    call_finish(c, 0, NULL);
}

static const struct net_method methods[] = {
    {.path = "/t.T/Fetch", .kind = NET_UNARY, .request = fetch},
    {.path = "/t.T/Ask", .kind = NET_UNARY, .request = ask},
    {.path = "/t.T/Say", .kind = NET_BIDI, .open = say_all},
};

static int begin(void **state)
{
    (void) state;
    memset(&t, 0, sizeof t);
    turns_begin(methods, ARRAY_LEN(methods), NULL);
    return 0;
}

static int end(void **state)
{
    (void) state;
    turns_end();
    assert_int_equal(t.pulls, 0); /* each was told that it is done */
    return 0;
}

/* ---- clients ---- */

static void client_ask(struct client *x, const char *path, uint32_t id)
{
    static const uint8_t empty[5];
    struct buf b;

    buf_init(&b, SIZE_MAX);
    client_add_head(&b, path, id, NULL);
    raw_frame(&b, RAW_DATA, RAW_END_STREAM, id, empty, sizeof empty);
    assert_true(raw_send(x->fd, b.p, b.len));
    buf_done(&b);
}

/* The next message must be n times the letter.  Returns whether it was compressed. */
static bool client_message(struct client *x, char letter, size_t n)
{
    struct bytes m;
    struct buf b;
    char text[GZIP_TEXT_BYTES];
    bool packed;

    assert_true(x->messages.len >= 5);
    packed = x->messages.p[0] == 1;
    m = bytes_of(x->messages.p + 5, be32_get(x->messages.p + 1));
    assert_true(x->messages.len >= 5 + m.n);
    buf_init(&b, LONGER_BYTES + 1);
    if (packed)
        assert_int_equal(gzip_inflate(m, LONGER_BYTES, &b, text), 0);
    else
        buf_add_bytes(&b, m);
    assert_int_equal(b.len, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(b.p[i], letter);
    buf_done(&b);
    buf_consume(&x->messages, 5 + m.n);
    return packed;
}

/* ---- what is shown ---- */

/* However many connections have long answers to be compressed, a turn has a step of one of them,
 * and a modest client is answered in the turn of its request. */
static void test_steps_take_turns(void **state)
{
    struct client *modest = &clients[GREEDY];
    uint32_t known = NET_CUTS_NEW; /* calls until it is known to be modest */
    size_t before;

    (void) state;
    for (int i = 0; i <= GREEDY; i++)
        client_open(&clients[i]);
    for (uint32_t k = 0; k < known; k++) {
        client_ask(modest, "/t.T/Ask", 1 + 2 * k);
        client_wait(modest, k + 1);
    }
    for (int i = 0; i < GREEDY; i++)
        for (uint32_t k = 0; k < CALLS; k++)
            client_ask(&clients[i], "/t.T/Fetch", 1 + 2 * k);
    turn();
    for (uint32_t k = known; k < known + TURNS; k++) {
        client_ask(modest, "/t.T/Ask", 1 + 2 * k);
        before = t.filled;
        turns_work(NET_LATER_WAIT_US);
        turn();
        assert_true(t.filled - before <= CALL_DEFLATE_PIECE_BYTES);
        assert_int_equal(t.asked, k + 1);
        client_take(modest);
        assert_int_equal(modest->ended, k + 1);
    }
    assert_in_range(t.filled, TURNS / 4 * CALL_DEFLATE_PIECE_BYTES,
                    GREEDY * CALLS * LONG_BYTES - 1);
    for (int i = 0; i < GREEDY; i++) {
        client_wait(&clients[i], CALLS);
        assert_true(client_message(&clients[i], 'p', LONG_BYTES));
        assert_int_equal(clients[i].messages.len, 0);
    }
    for (int i = 0; i <= GREEDY; i++)
        client_close(&clients[i]);
}

/* Short messages, empty ones and those too long to be compressed wait behind the one that is being
 * compressed: a stream keeps its order, and its status comes last. */
static void test_order_of_a_stream(void **state)
{
    struct client *x = &clients[0];

    (void) state;
    client_open(x);
    client_ask(x, "/t.T/Say", 1);
    client_wait(x, 1);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        bool packed = client_message(x, parts[i].letter, parts[i].n);

        assert_int_equal(packed, parts[i].n > 0 && parts[i].n != LONGER_BYTES);
    }
    assert_int_equal(x->messages.len, 0);
    client_close(x);
}

/* Of messages whose turn comes when enough of others are under way some leave as they are; all are
 * whole. */
static void test_many_at_once(void **state)
{
    int packed = 0;

    (void) state;
    for (int i = 0; i < CLIENTS; i++)
        client_open(&clients[i]);
    for (int i = 0; i < CLIENTS; i++)
        client_ask(&clients[i], "/t.T/Fetch", 1);
    for (int i = 0; i < CLIENTS; i++) {
        client_wait(&clients[i], 1);
        packed += client_message(&clients[i], 'p', LONG_BYTES);
        client_close(&clients[i]);
    }
    assert_in_range(packed, CALL_DEFLATIONS_MAX, CLIENTS - 1);
}

/* A stream that is reset and connections that are lost, each in the middle of
 * a message with others behind it: every pull is told that it is done. */
static void test_nobody_waits(void **state)
{
    (void) state;
    for (int i = 0; i < 3; i++) {
        client_open(&clients[i]);
        client_ask(&clients[i], "/t.T/Fetch", 1);
        client_ask(&clients[i], "/t.T/Say", 3);
        client_ask(&clients[i], "/t.T/Fetch", 5);
    }
    for (int i = 0; i < 5; i++)
        turn();
    assert_in_range(t.filled, CALL_DEFLATE_PIECE_BYTES, LONG_BYTES - 1);
    client_reset(&clients[0], 1);
    client_reset(&clients[0], 3);
    client_close(&clients[1]);
    client_wait(&clients[0], 1); /* the third call's */
    client_close(&clients[0]);
    client_close(&clients[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_steps_take_turns, begin, end),
        cmocka_unit_test_setup_teardown(test_order_of_a_stream, begin, end),
        cmocka_unit_test_setup_teardown(test_many_at_once, begin, end),
        cmocka_unit_test_setup_teardown(test_nobody_waits, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
