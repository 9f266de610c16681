/* Long messages in gzip: they are inflated in steps between which others have their turn, handed to
 * their services whole and in order, and leave nothing behind when nobody waits for them any more.
 * Client and server are on this thread, the loop is turned by hand, and its clock moves with each
 * look at it. */
#define _GNU_SOURCE
#include <netinet/tcp.h>

#include "base/alloc.h"
#include "engine/net/call_int.h"
#include "engine/net/gzip.h"
#include "engine/net/server_int.h"
#include "unit/engine/net/turn_client.h"

#define LOOK_NS 10000 /* more than a step takes */
#define LONG_BYTES ((size_t) 1 << 20)
#define FRAME_BYTES 16384
#define BOMBS 3
#define HEARD_MAX 64
#define ALL_TURNS 5000

/* What services were told, in order. */
static struct {
    char letter[HEARD_MAX];
    size_t bytes[HEARD_MAX];
    int n;
    int asked;
    struct call *paused; /* until the test goes on */
} t;

/* ---- the server ---- */

static void hear(struct bytes m)
{
    assert_true(t.n < HEARD_MAX);
    t.letter[t.n] = m.n == 0 ? '-' : (char) m.p[0];
    t.bytes[t.n++] = m.n;
    for (size_t i = 0; i < m.n; i++)
        assert_int_equal(m.p[i], m.p[0]);
}

static void put(struct call *c, struct bytes m)
{
    hear(m);
    call_finish(c, 0, NULL);
}

static void ask(struct call *c, struct bytes m)
{
    (void) m;
    t.asked++;
    call_finish(c, 0, NULL);
}

static void say(struct call *c, struct bytes m)
{
    (void) c;
    hear(m);
}

/* What follows is in the backlog when it goes on. */
static void say_slowly(struct call *c, struct bytes m)
{
    hear(m);
    assert_null(t.paused);
    t.paused = c;
    call_pause(c);
}

static void gone(struct call *c, enum call_cancel_reason why)
{
    (void) why;
    t.paused = NULL;
    call_finish(c, 1, NULL);
}

static void opened(struct call *c)
{
    call_on_cancel(c, gone);
}

static void said(struct call *c)
{
    call_finish(c, 0, NULL);
}

static const struct net_method methods[] = {
    {.path = "/t.T/Put", .kind = NET_UNARY, .request = put},
    {.path = "/t.T/Ask", .kind = NET_UNARY, .request = ask},
    {.path = "/t.T/Say", .kind = NET_BIDI, .open = opened, .message = say, .half_closed = said},
    {.path = "/t.T/Slow",
     .kind = NET_BIDI,
     .open = opened,
     .message = say_slowly,
     .half_closed = said},
};

static int begin(void **state)
{
    (void) state;
    memset(&t, 0, sizeof t);
    turns_begin(methods, ARRAY_LEN(methods), NULL);
    turns.step = LOOK_NS;
    return 0;
}

static int end(void **state)
{
    (void) state;
    turns_stop();
    assert_int_equal(turns.w.server->held_bytes, 0);
    turns_free();
    return 0;
}

/* ---- clients ---- */

/* It has seen the server's settings, which widen the windows of its streams. */
static void client_open_wide(struct client *x)
{
    int yes = 1;
    struct buf b;

    client_open(x);
    assert_int_equal(setsockopt(x->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes), 0);
    buf_init(&b, 64);
    raw_frame(&b, RAW_SETTINGS, 1, 0, NULL, 0);
    assert_true(raw_send(x->fd, b.p, b.len));
    buf_done(&b);
}

/* n times the letter, behind a message's head. */
static void add_message(struct buf *b, char letter, size_t n, bool packed)
{
    uint8_t head[5] = {packed}, *p = mem_alloc(n + 1);
    struct buf z;

    buf_init(&z, SIZE_MAX);
    memset(p, letter, n);
    if (packed) {
        struct gzip_writer *w = gzip_begin(&z);

        assert_non_null(w);
        assert_true(gzip_add(w, bytes_of(p, n)) && gzip_finish(w));
        gzip_end(w);
    } else {
        buf_add(&z, p, n);
    }
    be32_put(head + 1, (uint32_t) z.len);
    buf_add(b, head, sizeof head);
    buf_add_bytes(b, buf_bytes(&z));
    buf_done(&z);
    mem_free(p);
}

/* A call with these messages; more may follow unless `whole`. */
static void client_call(struct client *x, const char *path, uint32_t id, const char *timeout,
                        const struct buf *messages, bool whole)
{
    struct buf b;

    buf_init(&b, SIZE_MAX);
    client_add_head(&b, path, id, timeout);
    for (size_t at = 0; at < messages->len; at += FRAME_BYTES) {
        size_t n = MIN(messages->len - at, (size_t) FRAME_BYTES);

        raw_frame(&b, RAW_DATA, whole && at + n == messages->len ? RAW_END_STREAM : 0, id,
                  messages->p + at, n);
    }
    assert_true(raw_send(x->fd, b.p, b.len));
    buf_done(&b);
}

static void client_put(struct client *x, uint32_t id, char letter, size_t n)
{
    struct buf m;

    buf_init(&m, SIZE_MAX);
    add_message(&m, letter, n, true);
    client_call(x, "/t.T/Put", id, NULL, &m, true);
    buf_done(&m);
}

static void client_ask(struct client *x, uint32_t id)
{
    struct buf m;

    buf_init(&m, SIZE_MAX);
    add_message(&m, 'q', 0, false);
    client_call(x, "/t.T/Ask", id, NULL, &m, true);
    buf_done(&m);
}

static void heard(int i, char letter, size_t n)
{
    assert_true(i < t.n);
    assert_int_equal(t.letter[i], letter);
    assert_int_equal(t.bytes[i], n);
}

static bool anything_waits(void)
{
    return !list_empty(&turns.w.loop->works);
}

static void turn_until_something_waits(void)
{
    for (int i = 0; i < TURNS_MAX && !anything_waits(); i++)
        turn();
    assert_true(anything_waits());
}

/* ---- what is shown ---- */

/* A kilobyte that stands for a megabyte takes as many turns as its steps need, and a modest client
 * is answered in the turn of its request. */
static void test_steps_take_turns(void **state)
{
    /* A step is bounded by LOOK_NS, so that a turn has so many. */
    size_t steps_a_turn = NET_SLICE_GREEDY_US * 1000 / LOOK_NS + 1;
    struct client modest, bomber;
    int turns_n = 0;
    uint32_t id = 1;

    (void) state;
    client_open_wide(&modest);
    for (; id < 1 + 2 * NET_CUTS_NEW; id += 2) {
        client_ask(&modest, id);
        client_wait(&modest, (int) (id + 1) / 2);
    }
    client_open_wide(&bomber);
    for (uint32_t i = 0; i < BOMBS; i++)
        client_put(&bomber, 1 + 2 * i, (char) ('x' + i), LONG_BYTES);
    for (; turns_n < ALL_TURNS && t.n < BOMBS; turns_n++, id += 2) {
        int before = t.asked;

        turns_work(NET_LATER_WAIT_US);
        client_ask(&modest, id);
        turn();
        client_take(&modest);
        assert_int_equal(t.asked, before + 1);
        assert_int_equal(modest.ended, (id + 1) / 2);
    }
    assert_true((size_t) turns_n >= BOMBS * LONG_BYTES / GZIP_STEP_BYTES / steps_a_turn);
    for (int i = 0; i < BOMBS; i++)
        heard(i, (char) ('x' + i), LONG_BYTES);
    client_wait(&bomber, BOMBS);
    client_close(&modest);
    client_close(&bomber);
}

/* One message at a time is made, so that two connections need no more room than one; and they take
 * turns with theirs. */
static void test_one_at_a_time(void **state)
{
    struct client two, one;
    int first = 0, all = 0;

    (void) state;
    client_open_wide(&two);
    client_open_wide(&one);
    client_put(&two, 1, 'a', LONG_BYTES);
    client_put(&two, 3, 'b', LONG_BYTES);
    turn_until_something_waits();
    client_put(&one, 1, 'c', LONG_BYTES);
    for (; all < ALL_TURNS && t.n < 3; all++) {
        turn();
        first += t.n == 0;
    }
    assert_true(first <= all / 2);
    heard(0, 'a', LONG_BYTES);
    heard(1, 'c', LONG_BYTES);
    heard(2, 'b', LONG_BYTES);
    client_wait(&one, 1);
    client_wait(&two, 2);
    client_close(&one);
    client_close(&two);
}

static const struct {
    char letter;
    size_t n;
    bool packed;
} parts[] = {
    {'a', LONG_BYTES, true}, {'b', 3, false},      {'c', 10, true},
    {'d', 200000, true},     {'e', 100000, false}, {'f', 2 * GZIP_STEP_BYTES, true},
    {'g', 65537, true},      {'-', 0, true},       {'h', LONG_BYTES, true},
};

static void send_parts(struct client *x, const char *path)
{
    struct buf m;

    buf_init(&m, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        add_message(&m, parts[i].letter, parts[i].n, parts[i].packed);
    client_call(x, path, 1, NULL, &m, true);
    buf_done(&m);
}

static void heard_parts(void)
{
    assert_int_equal(t.n, ARRAY_LEN(parts));
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        heard((int) i, parts[i].letter, parts[i].n);
}

/* Messages of a stream wait for the one before, and so does the end of the stream. */
static void test_order_of_a_stream(void **state)
{
    struct client x;

    (void) state;
    client_open_wide(&x);
    send_parts(&x, "/t.T/Say");
    client_wait(&x, 1);
    heard_parts();
    client_close(&x);
}

/* The same when the service pauses behind each of them, and its stream has ended meanwhile. */
static void test_paused_between(void **state)
{
    struct client x;

    (void) state;
    client_open_wide(&x);
    send_parts(&x, "/t.T/Slow");
    for (int i = 0; i < TURNS_MAX && x.ended == 0; i++) {
        struct call *c = t.paused;

        turn();
        if (c != NULL) {
            t.paused = NULL;
            call_resume(c);
        }
        client_take(&x);
    }
    assert_int_equal(x.ended, 1);
    heard_parts();
    client_close(&x);
}

/* What turns out to be damaged or too long is told to the client, not to the service; calls behind
 * it are served. */
static void test_refused_in_the_end(void **state)
{
    struct client x;
    struct buf m;

    (void) state;
    client_open_wide(&x);
    buf_init(&m, SIZE_MAX);
    add_message(&m, 'a', LONG_BYTES, true);
    m.p[m.len - 5] ^= 1; /* of the checksum */
    client_call(&x, "/t.T/Put", 1, NULL, &m, true);
    buf_done(&m);
    client_put(&x, 3, 'b', turns.w.server->options.limits.recv_message_bytes_max + 1);
    client_put(&x, 5, 'c', turns.w.server->options.limits.recv_message_bytes_max);
    client_wait(&x, 3);
    assert_int_equal(t.n, 1);
    heard(0, 'c', turns.w.server->options.limits.recv_message_bytes_max);
    client_close(&x);
}

/* A message that is being made is forgotten with its call: by its deadline, by a reset, with its
 * connection. */
static void test_nobody_waits(void **state)
{
    struct client late, reset, lost;
    struct buf m;

    (void) state;
    buf_init(&m, SIZE_MAX);
    add_message(&m, 'a', LONG_BYTES, true);
    client_open_wide(&late);
    client_call(&late, "/t.T/Put", 1, "50m", &m, true);
    turn_until_something_waits();
    turn(); /* which sets libuv's timer, that has a clock of its own */
    turns_work(60000);
    usleep(60000);
    client_wait(&late, 1);

    client_open_wide(&reset);
    client_call(&reset, "/t.T/Put", 1, NULL, &m, true);
    client_call(&reset, "/t.T/Say", 3, NULL, &m, false);
    turn_until_something_waits();
    client_reset(&reset, 1);
    client_reset(&reset, 3);
    client_put(&reset, 5, 'z', 100000);
    client_wait(&reset, 1);
    assert_int_equal(t.n, 1);
    heard(0, 'z', 100000);

    client_open_wide(&lost);
    client_call(&lost, "/t.T/Put", 1, NULL, &m, true);
    client_call(&lost, "/t.T/Say", 3, NULL, &m, false);
    turn_until_something_waits();
    client_close(&lost);
    for (int i = 0; i < ALL_TURNS; i++)
        turn();
    assert_int_equal(t.n, 1);
    client_close(&late);
    client_close(&reset);
    buf_done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_steps_take_turns, begin, end),
        cmocka_unit_test_setup_teardown(test_one_at_a_time, begin, end),
        cmocka_unit_test_setup_teardown(test_order_of_a_stream, begin, end),
        cmocka_unit_test_setup_teardown(test_paused_between, begin, end),
        cmocka_unit_test_setup_teardown(test_refused_in_the_end, begin, end),
        cmocka_unit_test_setup_teardown(test_nobody_waits, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
