/* Who waits for whom on one loop: greedy connections beside a modest one, on a clock that only the
 * services move.  Client and server are on this thread, and the loop is turned by hand. */
#define _GNU_SOURCE
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>

#include "unit/engine/net/turn_rig.h"

#define WORK_US 50
#define GREEDY_REQUESTS 1000
#define GREEDY_MAX 8
#define MODEST 100
#define DELIVERY_MS 200
#define ANSWER_MS 20000
#define ENDED_MAX 32 /* calls of a broken connection, in one turn or two */
#define ANSWER_BYTES (8u << 20)
#define FRAME_BYTES_MAX (9 + 16384)

/* How many requests fit into a slice, and into what all greedy ones have together of a turn. */
#define SLICE_REQUESTS (NET_SLICE_US / WORK_US)
#define LATER_REQUESTS (NET_LATER_US / WORK_US)
/* The same of a greedy one while a modest one is near: at least one, however long it takes. */
#define GREEDY_SLICE_REQUESTS ((NET_SLICE_GREEDY_US + WORK_US - 1) / WORK_US)

_Static_assert(NET_LATER_US <= NET_SLICE_US, "a turn has one slice for those that carry");

static struct {
    uint8_t who[2 * GREEDY_MAX * GREEDY_REQUESTS]; /* whose request was begun, in order */
    size_t n;
    size_t canceled;           /* streams of Chat */
    uint32_t next[MODEST + 1]; /* of each connection */
} t;

/* A request says whose it is and which one; each takes a while. */
static void note(struct bytes m)
{
    assert_int_equal(m.n, 5);
    assert_true(m.p[0] <= MODEST);
    assert_true(t.n < sizeof t.who);
    assert_int_equal(be32_get(m.p + 1), t.next[m.p[0]]++); /* none is lost, none overtakes */
    t.who[t.n++] = m.p[0];
    turns_work(WORK_US);
}

static void ask(struct call *c, struct bytes m)
{
    note(m);
    call_finish(c, 0, NULL);
}

static bool fill(void *arg, uint8_t *out, size_t n)
{
    (void) arg;
    memset(out, 'b', n);
    turns_work(WORK_US);
    return true;
}

static void fetch(struct call *c, struct bytes m)
{
    (void) m;
    call_reply_pull(c, ANSWER_BYTES, (struct net_pull){fill, NULL, NULL});
}

static void chat(struct call *c, struct bytes m)
{
    (void) c;
    note(m);
}

static void gone(struct call *c, enum call_cancel_reason why)
{
    (void) why;
    t.canceled++;
    turns_work(WORK_US);
    call_finish(c, 1, NULL);
}

static void chat_open(struct call *c)
{
    call_on_cancel(c, gone);
}

static void page(struct http_req *r, void *user)
{
    (void) user;
    note(bytes_of("\0\0\0\0\0", 5));
    t.next[0] = 0;
    http_error(r, 404, "404 page not found");
}

static const struct net_method methods[] = {
    {.path = "/t.T/Ask", .kind = NET_UNARY, .request = ask},
    {.path = "/t.T/Fetch", .kind = NET_UNARY, .request = fetch},
    {.path = "/t.T/Chat", .kind = NET_BIDI, .open = chat_open, .message = chat},
};

static int begin(void **state)
{
    (void) state;
    memset(&t, 0, sizeof t);
    turns_begin(methods, ARRAY_LEN(methods), page);
    return 0;
}

static int end(void **state)
{
    (void) state;
    turns_end();
    return 0;
}

/* Sends, and waits until the other side's kernel has all of it: a busy one takes its time. */
static void send_all(int fd, const struct buf *b)
{
    int left = 1;

    assert_true(raw_send(fd, b->p, b->len));
    for (int i = 0; i < DELIVERY_MS && ioctl(fd, SIOCOUTQ, &left) == 0 && left > 0; i++)
        usleep(1000);
}

/* A connection that the server knows to ask for little. */
static int connect_modest(void)
{
    static const uint8_t one[4] = {0, 0, 0, 1};
    int fd = turns_connect();
    struct buf b;

    buf_init(&b, SIZE_MAX);
    raw_frame(&b, RAW_WINDOW_UPDATE, 0, 0, one, sizeof one);
    for (int i = 0; i < NET_CUTS_NEW; i++) {
        size_t reads = turns.w.loop->counters.reads;

        send_all(fd, &b);
        for (int n = 0; n < TURNS_MAX && turns.w.loop->counters.reads == reads; n++)
            turn();
    }
    buf_done(&b);
    return fd;
}

/* So long nobody had anything to say that those that ask for much are among their like. */
static void calm(void)
{
    turns_work(NET_MODEST_US);
    turn();
}

static void add_message(struct buf *b, uint8_t who, uint32_t i)
{
    uint8_t m[10] = {0, 0, 0, 0, 5, who};

    be32_put(m + 6, i);
    buf_add(b, m, sizeof m);
}

static void add_call(struct buf *b, const char *path, uint8_t who, uint32_t i)
{
    struct buf m;

    buf_init(&m, 64);
    add_message(&m, who, i);
    raw_request(b, 1 + 2 * i, path, 0);
    raw_frame(b, RAW_DATA, RAW_END_STREAM, 1 + 2 * i, m.p, m.len);
    buf_done(&m);
}

static void send_calls(int fd, const char *path, uint8_t who, uint32_t from, uint32_t n)
{
    struct buf b;

    buf_init(&b, SIZE_MAX);
    for (uint32_t i = from; i < from + n; i++)
        add_call(&b, path, who, i);
    send_all(fd, &b);
    buf_done(&b);
}

static size_t begun(uint8_t who)
{
    size_t n = 0;

    for (size_t i = 0; i < t.n; i++)
        n += t.who[i] == who;
    return n;
}

static void turn_until_begun(uint8_t who, size_t n)
{
    for (int i = 0; i < TURNS_MAX && begun(who) < n; i++)
        turn();
    assert_int_equal(begun(who), n);
}

/* A thousand requests in one read are begun a slice at a time, in their order, and a request of
 * another connection waits for one slice at most. */
static void one_slice_each(void **state)
{
    int greedy = turns_connect(), modest = connect_modest();

    (void) state;
    send_calls(greedy, "/t.T/Ask", 0, 0, GREEDY_REQUESTS);
    send_calls(modest, "/t.T/Ask", MODEST, 0, 1);
    turn_until_begun(MODEST, 1);
    assert_true(begun(0) <= SLICE_REQUESTS);
    turn_until_begun(0, GREEDY_REQUESTS);
    close(greedy);
    close(modest);
}

/* However many connections ask for much: once they were cut short they have a part of the turn
 * together, and take turns in it. */
static void greedy_ones_share(void **state)
{
    int fds[GREEDY_MAX], modest = connect_modest();
    size_t least = SIZE_MAX, most = 0, before;

    (void) state;
    for (int i = 0; i < GREEDY_MAX; i++)
        fds[i] = turns_connect();
    for (uint8_t i = 0; i < GREEDY_MAX; i++)
        send_calls(fds[i], "/t.T/Ask", i, 0, GREEDY_REQUESTS);
    for (int i = 0; i < 100; i++)
        turn();
    for (uint32_t i = 0; i < 20; i++) {
        before = t.n;
        send_calls(modest, "/t.T/Ask", MODEST, i, 1);
        turn_until_begun(MODEST, i + 1);
        assert_true(t.n - before <= (i == 0 ? SLICE_REQUESTS : 2 * GREEDY_SLICE_REQUESTS) + 1);
    }
    for (uint8_t i = 0; i < GREEDY_MAX; i++) {
        least = MIN(least, begun(i));
        most = MAX(most, begun(i));
    }
    assert_true(least > 0);
    assert_true(most - least <= 2 * SLICE_REQUESTS);
    for (uint8_t i = 0; i < GREEDY_MAX; i++)
        turn_until_begun(i, GREEDY_REQUESTS);
    for (uint8_t i = 0; i < GREEDY_MAX; i++)
        close(fds[i]);
    close(modest);
}

/* Whoever has just come waits in the same row, so that many who come at once and ask for much hold
 * up nobody who is known to ask for little. */
static void newcomers_share(void **state)
{
    int fds[GREEDY_MAX], modest = connect_modest();
    size_t before;

    (void) state;
    for (int i = 0; i < GREEDY_MAX; i++)
        fds[i] = turns_connect();
    for (uint8_t i = 0; i < GREEDY_MAX; i++)
        send_calls(fds[i], "/t.T/Ask", i, 0, GREEDY_REQUESTS);
    for (uint32_t i = 0; i < 40; i++) {
        before = t.n;
        send_calls(modest, "/t.T/Ask", MODEST, i, 1);
        turn();
        assert_int_equal(begun(MODEST), i + 1);
        assert_true(t.n - before <= 2 * GREEDY_SLICE_REQUESTS + 1);
    }
    for (uint8_t i = 0; i < GREEDY_MAX; i++)
        turn_until_begun(i, GREEDY_REQUESTS);
    for (uint8_t i = 0; i < GREEDY_MAX; i++)
        close(fds[i]);
    close(modest);
}

/* What one of them has to say is taken out of its socket a little at a time: the kernel, too, takes
 * its time for a quarter of a megabyte. */
static void newcomers_are_read_bit_by_bit(void **state)
{
    int fd = turns_connect(), modest = connect_modest();
    const _Atomic uint64_t *in = &turns.w.loop->counters.bytes_in;
    static uint8_t part[16384];
    struct buf b;

    (void) state;
    buf_init(&b, SIZE_MAX);
    raw_request(&b, 1, "/t.T/Ask", 0);
    be32_put(part + 1, 1u << 20); /* of a message that is longer than what comes of it */
    for (size_t i = 0; i < 4; i++) {
        raw_frame(&b, RAW_DATA, 0, 1, part, sizeof part);
        memset(part, 'x', 5);
    }
    send_all(fd, &b);
    buf_done(&b);
    turns.step = 4000;
    for (uint32_t i = 0; i < 20; i++) {
        uint64_t before = *in;

        turns_work(NET_LATER_WAIT_US);
        send_calls(modest, "/t.T/Ask", MODEST, i, 1);
        turn();
        assert_in_range(*in - before, 1, NET_READ_LITTLE_BYTES + 1000);
    }
    assert_true(*in > 4 * sizeof part);
    close(fd);
    close(modest);
}

/* While modest ones have something to ask in turn after turn, greedy ones have a part of one of
 * these after a while; a turn in which they have not has it at once. */
static void modest_ones_first(void **state)
{
    int greedy = turns_connect(), modest = connect_modest();
    bool long_ago = false; /* a turn comes to its end when the next one begins */
    size_t before, first;

    (void) state;
    send_calls(greedy, "/t.T/Ask", 0, 0, GREEDY_REQUESTS);
    while (begun(0) == 0)
        turn();
    first = begun(0);
    for (uint32_t i = 0; i < 16; i++) {
        bool waited = i % 2 == 1;

        before = begun(0);
        if (waited)
            turns_work(NET_LATER_WAIT_US);
        send_calls(modest, "/t.T/Ask", MODEST, i, 1);
        turn();
        assert_int_equal(begun(MODEST), i + 1);
        assert_true(begun(0) - before <= (long_ago ? GREEDY_SLICE_REQUESTS : 0));
        long_ago = waited;
    }
    assert_true(begun(0) - first >= 16 / 2 / 2); /* the others were rounds of output */
    before = begun(0);
    turn();
    turn();
    assert_in_range(begun(0) - before, 1, GREEDY_SLICE_REQUESTS);
    turn_until_begun(0, GREEDY_REQUESTS);
    close(greedy);
    close(modest);
}

/* A slice that is over when the last bytes have been taken leaves a request to be begun: it is,
 * also when nothing more comes. */
static void cut_behind_the_last_byte(void **state)
{
    int modest = connect_modest(), fd = turns_connect();
    struct buf b, m;

    (void) state;
    buf_init(&b, SIZE_MAX);
    buf_init(&m, 64);
    raw_request(&b, 1, "/t.T/Ask", 0);
    raw_request(&b, 3, "/t.T/Ask", 0);
    add_message(&m, 0, 0);
    raw_frame(&b, RAW_DATA, RAW_END_STREAM, 3, m.p, m.len);
    buf_consume(&m, m.len);
    add_message(&m, 0, 1);
    raw_frame(&b, RAW_DATA, RAW_END_STREAM, 1, m.p, m.len);
    send_all(fd, &b);
    turn_until_begun(0, 2);
    buf_done(&m);
    buf_done(&b);
    close(fd);
    close(modest);
}

/* Who has asked for much for a while has shorter slices, but only while another one asks for
 * little. */
static void short_slices_beside_modest_ones(void **state)
{
    int greedy = turns_connect(), modest = connect_modest();
    size_t before;

    (void) state;
    send_calls(greedy, "/t.T/Ask", 0, 0, GREEDY_REQUESTS);
    while (begun(0) < (NET_CUTS_GREEDY + 2) * SLICE_REQUESTS)
        turn();
    send_calls(modest, "/t.T/Ask", MODEST, 0, 1);
    turn_until_begun(MODEST, 1);
    before = begun(0);
    for (int i = 0; i < 10; i++)
        turn();
    assert_in_range(begun(0) - before, 3, 10 * GREEDY_SLICE_REQUESTS);
    calm();
    before = begun(0);
    turn();
    assert_int_equal(begun(0) - before, SLICE_REQUESTS);
    turn_until_begun(0, GREEDY_REQUESTS);
    close(greedy);
    close(modest);
}

/* The socket of a connection that carries input is left alone: what the server holds of it is
 * bounded, and the client has to wait. */
static void what_is_carried_is_bounded(void **state)
{
    int fd = turns_connect();
    uint32_t sent = 0;
    struct buf b;

    (void) state;
    buf_init(&b, SIZE_MAX);
    while (sent < 2 * GREEDY_MAX * GREEDY_REQUESTS)
        add_call(&b, "/t.T/Ask", 0, sent++);
    for (size_t at = 0; at < b.len || begun(0) < sent;) {
        ssize_t n = at == b.len ? 0 : send(fd, b.p + at, b.len - at, MSG_DONTWAIT | MSG_NOSIGNAL);

        at += n > 0 ? (size_t) n : 0;
        turn();
        assert_true(turns.w.loop->carried_bytes <= NET_READ_BYTES);
        while (recv(fd, b.p, 1024, MSG_DONTWAIT) > 0 && at == b.len)
            ;
    }
    buf_done(&b);
    close(fd);
}

/* A connection that is lost, and a server that stops, while input is carried: nothing stays
 * behind. */
static void gone_while_it_carries(void **state)
{
    struct linger at_once = {.l_onoff = 1};
    int lost = turns_connect(), open = turns_connect();

    (void) state;
    calm();
    send_calls(lost, "/t.T/Ask", 0, 0, GREEDY_REQUESTS);
    send_calls(open, "/t.T/Ask", 1, 0, GREEDY_REQUESTS);
    turn();
    turn();
    assert_true(turns.w.loop->carried_bytes > 0);
    setsockopt(lost, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(lost);
    for (int i = 0; i < 10; i++)
        turn();
    assert_true(begun(0) <= 10 * SLICE_REQUESTS);
    assert_in_range(begun(1), 8 * SLICE_REQUESTS, GREEDY_REQUESTS - 1);
    close(open);
}

static size_t calls_open(void)
{
    struct net_counters n;

    net_server_counters(turns.w.server, &n);
    return n.calls_open;
}

/* A connection with a thousand streams that breaks off is ended a slice at a time: a request of
 * another connection waits for one of them. */
static void the_end_takes_turns(void **state)
{
    int full = turns_connect(), modest = connect_modest();
    struct linger at_once = {.l_onoff = 1};
    size_t before;
    struct buf b;

    (void) state;
    buf_init(&b, SIZE_MAX);
    for (uint32_t i = 0; i < GREEDY_REQUESTS; i++)
        raw_request(&b, 1 + 2 * i, "/t.T/Chat", 0);
    assert_true(raw_send(full, b.p, b.len));
    buf_done(&b);
    for (int i = 0; i < TURNS_MAX && calls_open() < GREEDY_REQUESTS; i++)
        turn();
    setsockopt(full, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(full);
    for (uint32_t i = 0; t.canceled < GREEDY_REQUESTS; i++) {
        before = t.canceled;
        send_calls(modest, "/t.T/Ask", MODEST, i, 1);
        turn_until_begun(MODEST, i + 1);
        assert_true(t.canceled - before <= ENDED_MAX);
    }
    assert_true(begun(MODEST) >= GREEDY_REQUESTS / ENDED_MAX);
    close(modest);
}

/* Messages of a stream count as requests; a frame is handed over whole. */
static void messages_of_a_stream(void **state)
{
    int greedy = turns_connect(), modest = connect_modest();
    struct buf b, m;

    (void) state;
    buf_init(&b, SIZE_MAX);
    raw_request(&b, 1, "/t.T/Chat", 0);
    for (uint32_t i = 0; i < GREEDY_REQUESTS; i++) {
        buf_init(&m, 64);
        add_message(&m, 0, i);
        raw_frame(&b, RAW_DATA, 0, 1, m.p, m.len);
        buf_done(&m);
    }
    send_all(greedy, &b);
    buf_done(&b);
    send_calls(modest, "/t.T/Ask", MODEST, 0, 1);
    turn_until_begun(MODEST, 1);
    assert_true(begun(0) <= SLICE_REQUESTS);
    turn_until_begun(0, GREEDY_REQUESTS);
    close(greedy);
    close(modest);
}

/* Frames that begin no request take time as well: after a piece of them the others have their
 * turn, and what follows them is not lost. */
static void frames_that_ask_for_nothing(void **state)
{
    int greedy = turns_connect(), modest = connect_modest();
    struct buf b;

    (void) state;
    calm();
    buf_init(&b, SIZE_MAX);
    while (b.len < 4 * NET_FEED_BYTES)
        raw_frame(&b, 77, 0, 0, NULL, 0);
    add_call(&b, "/t.T/Ask", 0, 0);
    send_all(greedy, &b);
    buf_done(&b);
    turns.step = (mono_ns) NET_SLICE_US * 1000;
    turn();
    assert_in_range(turns.w.loop->carried_bytes, 1, 3 * NET_FEED_BYTES + 200);
    send_calls(modest, "/t.T/Ask", MODEST, 0, 1);
    turn();
    assert_int_equal(begun(MODEST), 1);
    assert_int_equal(begun(0), 0);
    turn_until_begun(0, 1);
    close(greedy);
    close(modest);
}

/* Requests of HTTP/1 that were sent without waiting for the answers. */
static void pipelined_requests(void **state)
{
    int greedy = raw_connect(&turns.w), modest = connect_modest();
    size_t before;

    (void) state;
    for (int i = 0; i < GREEDY_REQUESTS; i++)
        assert_true(raw_say(greedy, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    for (int i = 0; i < 10 && begun(0) == 0; i++)
        turn();
    assert_true(begun(0) > 0);
    before = t.n;
    send_calls(modest, "/t.T/Ask", MODEST, 0, 1);
    turn_until_begun(MODEST, 1);
    assert_true(t.n - before <= SLICE_REQUESTS + 2);
    turn_until_begun(0, GREEDY_REQUESTS);
    close(greedy);
    close(modest);
}

/* What the client takes of a connection, without waiting. */
static size_t take(int fd)
{
    static uint8_t into[1 << 20];
    size_t sum = 0;
    ssize_t n;

    while ((n = recv(fd, into, sizeof into, MSG_DONTWAIT)) > 0)
        sum += (size_t) n;
    return sum;
}

/* Large answers to clients that take all they get: one round of one of them in a turn, each as
 * much as the others, and the answer of a modest one leaves in the turn of its request. */
static void large_answers_take_turns(void **state)
{
    int fds[GREEDY_MAX], modest = connect_modest();
    size_t got[GREEDY_MAX] = {0}, least = SIZE_MAX, most = 0;

    (void) state;
    for (int i = 0; i < GREEDY_MAX; i++)
        fds[i] = turns_connect();
    for (uint8_t i = 0; i < GREEDY_MAX; i++)
        send_calls(fds[i], "/t.T/Fetch", i, 0, 2);
    for (int i = 0; i < 10; i++)
        turn();
    take(modest);
    for (uint32_t k = 0; k < 100; k++) {
        size_t before = 0, after = 0;

        for (int i = 0; i < GREEDY_MAX; i++)
            before += got[i] += take(fds[i]);
        send_calls(modest, "/t.T/Ask", MODEST, k, 1);
        turn();
        assert_int_equal(begun(MODEST), k + 1);
        assert_int_equal(poll(&(struct pollfd){modest, POLLIN, 0}, 1, ANSWER_MS), 1);
        take(modest);
        for (int i = 0; i < GREEDY_MAX; i++)
            after += got[i] += take(fds[i]);
        assert_true(after - before <= NET_OUT_GREEDY_BYTES + FRAME_BYTES_MAX);
    }
    for (int i = 0; i < GREEDY_MAX; i++) {
        least = MIN(least, got[i]);
        most = MAX(most, got[i]);
    }
    assert_true(most - least <= 2 * LOOP_OUT_BYTES);
    for (int n = 0; n < TURNS_MAX && least < 2 * ANSWER_BYTES; n++) {
        turn();
        least = SIZE_MAX;
        for (int i = 0; i < GREEDY_MAX; i++)
            least = MIN(least, got[i] += take(fds[i]));
    }
    assert_true(least >= 2 * ANSWER_BYTES);
    for (int i = 0; i < GREEDY_MAX; i++)
        close(fds[i]);
    close(modest);
}

#define PIECE_US 10 /* of long work, between two looks at the clock */

static struct {
    struct loop_work w;
    mono_ns left_us;
    size_t slices;
    mono_ns longest;
} lasting;

static void go_on(struct loop_work *w, mono_ns until)
{
    mono_ns began = turns.now;

    do {
        turns_work(PIECE_US);
        lasting.left_us -= PIECE_US;
    } while (lasting.left_us > 0 && !loop_work_over(turns.w.loop, until));
    lasting.slices++;
    lasting.longest = MAX(lasting.longest, turns.now - began);
    if (lasting.left_us > 0)
        loop_work_add(turns.w.loop, w);
}

/* How many turns until it is done. */
static size_t turns_of_long_work(mono_ns us, bool modest_near)
{
    size_t n = 0;

    memset(&lasting, 0, sizeof lasting);
    loop_work_init(&lasting.w, go_on);
    lasting.left_us = us;
    loop_work_add(turns.w.loop, &lasting.w);
    loop_work_add(turns.w.loop, &lasting.w);
    for (; lasting.left_us > 0; n++) {
        size_t before = lasting.slices;

        if (modest_near)
            turns.w.loop->modest_ns = turns.now;
        turn();
        assert_in_range(lasting.slices, before, before + 1);
    }
    return n;
}

/* Long work has a slice in each turn, however often it was added: a short one beside a connection
 * that asks for little. */
static void long_work_has_slices(void **state)
{
    const mono_ns us = 20 * NET_LATER_US;

    (void) state;
    assert_in_range(turns_of_long_work(us, false), us / NET_LATER_US, us / NET_LATER_US + 1);
    assert_true(lasting.longest <= (mono_ns) (NET_LATER_US + PIECE_US) * 1000);
    assert_in_range(turns_of_long_work(us, true), us / NET_SLICE_GREEDY_US,
                    us / NET_SLICE_GREEDY_US + 1);
    assert_true(lasting.longest <= (mono_ns) (NET_SLICE_GREEDY_US + PIECE_US) * 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(long_work_has_slices, begin, end),
        cmocka_unit_test_setup_teardown(one_slice_each, begin, end),
        cmocka_unit_test_setup_teardown(greedy_ones_share, begin, end),
        cmocka_unit_test_setup_teardown(newcomers_share, begin, end),
        cmocka_unit_test_setup_teardown(newcomers_are_read_bit_by_bit, begin, end),
        cmocka_unit_test_setup_teardown(modest_ones_first, begin, end),
        cmocka_unit_test_setup_teardown(cut_behind_the_last_byte, begin, end),
        cmocka_unit_test_setup_teardown(what_is_carried_is_bounded, begin, end),
        cmocka_unit_test_setup_teardown(gone_while_it_carries, begin, end),
        cmocka_unit_test_setup_teardown(the_end_takes_turns, begin, end),
        cmocka_unit_test_setup_teardown(short_slices_beside_modest_ones, begin, end),
        cmocka_unit_test_setup_teardown(messages_of_a_stream, begin, end),
        cmocka_unit_test_setup_teardown(frames_that_ask_for_nothing, begin, end),
        cmocka_unit_test_setup_teardown(pipelined_requests, begin, end),
        cmocka_unit_test_setup_teardown(large_answers_take_turns, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
