/* turn_crowd.h -- connections that ask for much beside one that asks for little, on turn_rig.h's
 * server: whose requests are begun, in which order. */
#ifndef KETCH_TESTS_NET_TURN_CROWD_H
#define KETCH_TESTS_NET_TURN_CROWD_H

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "unit/engine/net/turn_rig.h"

#define WORK_US 50
#define GREEDY_REQUESTS 1000
#define GREEDY_MAX 8
#define MODEST 100
#define DELIVERY_MS 200
#define ANSWER_BYTES (8u << 20)

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
static inline void note(struct bytes m)
{
    assert_int_equal(m.n, 5);
    assert_true(m.p[0] <= MODEST);
    assert_true(t.n < sizeof t.who);
    assert_int_equal(be32_get(m.p + 1), t.next[m.p[0]]++); /* none is lost, none overtakes */
    t.who[t.n++] = m.p[0];
    turns_work(WORK_US);
}

static inline void ask(struct call *c, struct bytes m)
{
    note(m);
    call_finish(c, 0, NULL);
}

static inline bool fill(void *arg, uint8_t *out, size_t n)
{
    (void) arg;
    memset(out, 'b', n);
    turns_work(WORK_US);
    return true;
}

static inline void fetch(struct call *c, struct bytes m)
{
    (void) m;
    call_reply_pull(c, ANSWER_BYTES, (struct net_pull){fill, NULL, NULL});
}

static inline void chat(struct call *c, struct bytes m)
{
    (void) c;
    note(m);
}

static inline void gone(struct call *c, enum call_cancel_reason why)
{
    (void) why;
    t.canceled++;
    turns_work(WORK_US);
    call_finish(c, 1, NULL);
}

static inline void chat_open(struct call *c)
{
    call_on_cancel(c, gone);
}

static inline void page(struct http_req *r, void *user)
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

static inline int begin(void **state)
{
    (void) state;
    memset(&t, 0, sizeof t);
    turns_begin(methods, ARRAY_LEN(methods), page);
    return 0;
}

static inline int end(void **state)
{
    (void) state;
    turns_end();
    return 0;
}

/* Sends, and waits until the other side's kernel has all of it: a busy one takes its time. */
static inline void send_all(int fd, const struct buf *b)
{
    int left = 1;

    assert_true(raw_send(fd, b->p, b->len));
    for (int i = 0; i < DELIVERY_MS && ioctl(fd, SIOCOUTQ, &left) == 0 && left > 0; i++)
        usleep(1000);
}

/* A connection that the server knows to ask for little. */
static inline int connect_modest(void)
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
static inline void calm(void)
{
    turns_work(NET_MODEST_US);
    turn();
}

static inline void add_message(struct buf *b, uint8_t who, uint32_t i)
{
    uint8_t m[10] = {0, 0, 0, 0, 5, who};

    be32_put(m + 6, i);
    buf_add(b, m, sizeof m);
}

static inline void add_call(struct buf *b, const char *path, uint8_t who, uint32_t i)
{
    struct buf m;

    buf_init(&m, 64);
    add_message(&m, who, i);
    raw_request(b, 1 + 2 * i, path, 0);
    raw_frame(b, RAW_DATA, RAW_END_STREAM, 1 + 2 * i, m.p, m.len);
    buf_done(&m);
}

static inline void send_calls(int fd, const char *path, uint8_t who, uint32_t from, uint32_t n)
{
    struct buf b;

    buf_init(&b, SIZE_MAX);
    for (uint32_t i = from; i < from + n; i++)
        add_call(&b, path, who, i);
    send_all(fd, &b);
    buf_done(&b);
}

static inline size_t begun(uint8_t who)
{
    size_t n = 0;

    for (size_t i = 0; i < t.n; i++)
        n += t.who[i] == who;
    return n;
}

static inline void turn_until_begun(uint8_t who, size_t n)
{
    for (int i = 0; i < TURNS_MAX && begun(who) < n; i++)
        turn();
    assert_int_equal(begun(who), n);
}

/* The i-th request of the modest one. */
static inline void ask_modest(int fd, uint32_t i)
{
    send_calls(fd, "/t.T/Ask", MODEST, i, 1);
}

/* A request of the modest one waits for one slice of connection 0's at most; these are all begun in
 * the end. */
static inline void expect_one_slice(int greedy, int modest)
{
    ask_modest(modest, 0);
    turn_until_begun(MODEST, 1);
    assert_true(begun(0) <= SLICE_REQUESTS);
    turn_until_begun(0, GREEDY_REQUESTS);
    close(greedy);
    close(modest);
}

/* Connections that ask for much, all of them before the loop turns again. */
static inline void crowd_ask(int fds[GREEDY_MAX], const char *path, uint32_t n)
{
    for (int i = 0; i < GREEDY_MAX; i++)
        fds[i] = turns_connect();
    for (uint8_t i = 0; i < GREEDY_MAX; i++)
        send_calls(fds[i], path, i, 0, n);
}

static inline void crowd_close(const int fds[GREEDY_MAX])
{
    for (int i = 0; i < GREEDY_MAX; i++)
        close(fds[i]);
}

/* All that they have asked for is begun in the end. */
static inline void crowd_finish(const int fds[GREEDY_MAX])
{
    for (uint8_t i = 0; i < GREEDY_MAX; i++)
        turn_until_begun(i, GREEDY_REQUESTS);
    crowd_close(fds);
}

#endif
