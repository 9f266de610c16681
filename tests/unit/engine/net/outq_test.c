/* The output queue and the bodies that feed it, against a plain copy of the same bytes. */
#include "base/buf.h"
#include "engine/net/body.h"
#include "engine/net/net_limits.h"
#include "engine/net/outq.h"
#include "lib/cm.h"

static uint64_t rnd_state;

static uint64_t rnd(uint64_t below)
{
    rnd_state = rnd_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (rnd_state >> 33) % below;
}

/* "Writes" up to `n` bytes of q, as a socket would that takes only so many, to the end of `out`. */
static void drain(struct outq *q, size_t n, struct buf *out)
{
    struct iovec iov[4]; /* few, so that a queue with more parts needs several writes */
    int k = outq_iov(q, iov, 4);
    size_t took = 0;

    assert_true(k > 0);
    for (int i = 0; i < k && took < n; i++) {
        size_t m = MIN(iov[i].iov_len, n - took);

        assert_true(iov[i].iov_len > 0);
        buf_add(out, iov[i].iov_base, m);
        took += m;
    }
    outq_consume(q, took);
}

static struct payload *pattern(size_t n)
{
    struct payload *p = payload_new(n);

    for (size_t i = 0; i < n; i++)
        p->data[i] = (uint8_t) rnd(256);
    return p;
}

/* Random appends, some by reference, and random partial writes, through scratch and own memory: the
 * bytes come out in order and every reference is given back. */
static void bytes_in_order(void **state)
{
    static uint8_t scratch[1 << 20];
    struct payload *shared = pattern(100000);

    (void) state;
    for (rnd_state = 1; rnd_state < 30; rnd_state++) {
        struct buf want, got;
        struct outq q;
        uint64_t seed = rnd_state;

        buf_init(&want, SIZE_MAX);
        buf_init(&got, SIZE_MAX);
        outq_init(&q);
        for (int i = 0; i < 200; i++) {
            size_t n = rnd(3) == 0 ? rnd(50000) : rnd(100);
            size_t at = rnd(shared->bytes - n);

            if (q.bytes == 0 && rnd(2) == 0) {
                assert_true(outq_unlend(&q));
                outq_lend(&q, scratch, sizeof scratch);
            }
            if (outq_add_counted(&q, shared->data + at, n, rnd(2) ? shared : NULL))
                buf_add(&want, shared->data + at, n);
            if (q.bytes > 0 && rnd(3) == 0)
                drain(&q, rnd(80000) + 1, &got);
            if (rnd(5) == 0)
                assert_true(outq_unlend(&q));
            assert_int_equal(q.bytes, want.len - got.len);
        }
        while (q.bytes > 0)
            drain(&q, rnd(80000) + 1, &got);
        assert_true(bytes_eq(buf_bytes(&want), buf_bytes(&got)));
        outq_done(&q);
        assert_int_equal(shared->refs, 1);
        buf_done(&want);
        buf_done(&got);
        rnd_state = seed;
    }
    payload_unref(shared);
}

/* Going back to a mark forgets what was added since, references too. */
static void rewind_to_mark(void **state)
{
    struct payload *shared = pattern(10000);
    struct outq_mark m;
    struct outq q;

    (void) state;
    outq_init(&q);
    assert_true(outq_add(&q, "abc", 3));
    m = outq_mark(&q);
    assert_true(outq_add_counted(&q, shared->data, shared->bytes, shared));
    assert_true(outq_add(&q, "def", 3));
    assert_int_equal(shared->refs, 2);
    outq_rewind(&q, m);
    assert_int_equal(shared->refs, 1);
    assert_int_equal(q.bytes, 3);
    outq_done(&q);
    payload_unref(shared);
}

static bool fill_counting(void *arg, uint8_t *out, size_t n)
{
    uint8_t *at = arg;

    for (size_t i = 0; i < n; i++)
        out[i] = (*at)++;
    return true;
}

static int dones;

static void count_done(void *arg)
{
    (void) arg;
    dones++;
}

static struct net_piece random_piece(struct payload *shared, size_t n)
{
    struct net_piece p = net_piece_counted(shared);

    p.kind = (enum net_piece_kind) rnd(3);
    p.bytes = bytes_of(shared->data + rnd(shared->bytes - n), n);
    if (p.kind != NET_PIECE_COUNTED)
        p.owner = NULL;
    return p;
}

/* Messages of random pieces of all kinds, taken in random portions: the bytes of a plain copy. */
static void bodies_in_order(void **state)
{
    struct payload *shared = pattern(20000);

    (void) state;
    dones = 0;
    for (uint64_t seed = 1; seed < 60; seed++) {
        struct buf want, got;
        struct outq q;
        struct body b;
        uint8_t counter = 0, expected = 0;

        rnd_state = seed;
        buf_init(&want, SIZE_MAX);
        buf_init(&got, SIZE_MAX);
        outq_init(&q);
        body_init(&b);
        for (int i = 0; i < 50; i++) {
            struct net_piece v[3];
            size_t n = rnd(4);

            buf_add_str(&want, "HEAD:");
            for (size_t k = 0; k < MIN(n, (size_t) 3); k++) {
                v[k] = random_piece(shared, rnd(2) ? rnd(1000) : 0);
                buf_add_bytes(&want, v[k].bytes);
            }
            if (n == 3) {
                struct net_pull pull = {fill_counting, count_done, &counter};

                want.len -= v[0].bytes.n + v[1].bytes.n + v[2].bytes.n;
                assert_true(body_add_pull(&b, NULL, BYTES_LIT("HEAD:"), 300, &pull));
                for (int k = 0; k < 300; k++)
                    buf_add_char(&want, (char) expected++);
            } else {
                assert_true(body_add(&b, NULL, BYTES_LIT("HEAD:"), v, n));
            }
            while (b.bytes > 0 && rnd(3) == 0) {
                size_t portion = rnd(900);

                assert_int_equal(body_take(&b, &q, (size_t) MIN(b.bytes, portion)), BODY_TAKEN);
            }
        }
        assert_int_equal(body_take(&b, &q, (size_t) b.bytes), BODY_TAKEN);
        assert_int_equal(b.held_bytes, 0);
        while (q.bytes > 0)
            drain(&q, SIZE_MAX, &got);
        assert_true(bytes_eq(buf_bytes(&want), buf_bytes(&got)));
        body_clear(&b);
        outq_done(&q);
        buf_done(&want);
        buf_done(&got);
        assert_int_equal(shared->refs, 1);
    }
    assert_true(dones > 0);
    payload_unref(shared);
}

/* A body that is dropped gives back its references and tells its pulls, once each. */
static void dropping_a_body(void **state)
{
    struct payload *shared = pattern(5000);
    struct net_piece p = net_piece_counted(shared);
    struct net_pull pull = {fill_counting, count_done, NULL};
    struct body b;

    (void) state;
    dones = 0;
    body_init(&b);
    assert_true(body_add(&b, NULL, BYTES_EMPTY, &p, 1));
    assert_true(body_add_pull(&b, NULL, BYTES_LIT("h"), 1 << 30, &pull));
    assert_int_equal(b.bytes, 5000 + 1 + (1 << 30));
    assert_int_equal(b.held_bytes, 5001);
    assert_int_equal(shared->refs, 2);
    body_clear(&b);
    assert_int_equal(shared->refs, 1);
    assert_int_equal(dones, 1);
    assert_int_equal(b.bytes, 0);
    payload_unref(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_in_order),
        cmocka_unit_test(rewind_to_mark),
        cmocka_unit_test(bodies_in_order),
        cmocka_unit_test(dropping_a_body),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
