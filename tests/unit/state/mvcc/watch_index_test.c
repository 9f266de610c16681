#include "state/mvcc/watch_index.h"

#include "lib/cm.h"

#define SPANS 200

static const uint64_t seed[2] = {5, 6};
static uint64_t rnd_state = 1;

static uint64_t rnd(uint64_t below)
{
    rnd_state = rnd_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (rnd_state >> 33) % below;
}

struct text {
    uint8_t p[4];
    size_t n;
};

/* Short texts over three letters, so that equal and nested ranges are frequent. */
static struct text some_text(size_t n_min)
{
    struct text t = {.n = n_min + rnd(4 - n_min)};

    for (size_t i = 0; i < t.n; i++)
        t.p[i] = (uint8_t) rnd(3);
    return t;
}

static struct bytes of(const struct text *t)
{
    return bytes_of(t->p, t->n);
}

struct member {
    struct watch_span span;
    struct text key, end;
    bool in;
    unsigned hits;
};

static struct member members[SPANS];

static void count(void *ctx, struct watch_span *s)
{
    struct member *m = CONTAINER_OF(s, struct member, span);

    (void) ctx;
    assert_true(m->in);
    m->hits++;
}

static void renew(struct watch_index *x, struct member *m)
{
    m->key = some_text(1);
    m->end = rnd(3) == 0 ? (struct text){0} : some_text(1);
    if (rnd(6) == 0)
        m->end = (struct text){{0}, 1};
    if (m->end.n != 0 && !(m->end.n == 1 && m->end.p[0] == 0) &&
        bytes_cmp(of(&m->key), of(&m->end)) >= 0)
        return;
    m->span = watch_span_of(of(&m->key), of(&m->end), (uint32_t) rnd(2));
    if (watch_index_find(x, &m->span) != NULL)
        return; /* one of each kind, as the hub keeps it */
    assert_true(watch_index_add(x, &m->span));
    assert_ptr_equal(watch_index_find(x, &m->span), &m->span);
    m->in = true;
}

static void compare(const struct watch_index *x)
{
    struct text t = some_text(0);

    for (size_t i = 0; i < SPANS; i++)
        members[i].hits = 0;
    watch_index_match(x, of(&t), count, NULL);
    for (size_t i = 0; i < SPANS; i++)
        assert_int_equal(members[i].hits,
                         members[i].in && watch_span_has(&members[i].span, of(&t)));
}

/* Whatever comes and goes, a match yields exactly the spans that contain the key, each once. */
static void agrees_with_a_list(void **state)
{
    struct watch_index x;

    (void) state;
    watch_index_init(&x, seed);
    for (int step = 0; step < 40000; step++) {
        struct member *m = &members[rnd(SPANS)];

        if (m->in && rnd(2) == 0) {
            watch_index_remove(&x, &m->span);
            m->in = false;
        } else if (!m->in) {
            renew(&x, m);
        }
        if (step % 4 == 0)
            compare(&x);
        if (step % 256 == 0)
            watch_index_check(&x);
    }
    watch_index_done(&x);
}

static struct bytes str(const char *s)
{
    return bytes_str(s);
}

/* The three forms of a range: one key, up to an end that is left out, and without end. */
static void ranges_contain(void **state)
{
    const struct bytes zero = {(const uint8_t *) "", 1};
    struct watch_span one = watch_span_of(str("b"), BYTES_EMPTY, 0);
    struct watch_span upto = watch_span_of(str("b"), str("d"), 0);
    struct watch_span open = watch_span_of(str("b"), zero, 0);

    (void) state;
    assert_true(watch_span_has(&one, str("b")));
    assert_false(watch_span_has(&one, str("ba")));
    assert_true(watch_span_has(&upto, str("b")));
    assert_true(watch_span_has(&upto, str("czz")));
    assert_false(watch_span_has(&upto, str("d")));
    assert_false(watch_span_has(&upto, str("a")));
    assert_true(watch_span_has(&open, str("\xff\xff")));
    assert_false(watch_span_has(&open, str("a")));
}

/* The tree stays shallow when ranges come in order: ten thousand prefixes, each found. */
static void ascending_inserts_stay_balanced(void **state)
{
    enum { N = 10000 };
    static struct watch_span s[N];
    static char keys[N][8], ends[N][8];
    struct watch_index x;

    (void) state;
    watch_index_init(&x, seed);
    for (int i = 0; i < N; i++) {
        snprintf(keys[i], sizeof keys[i], "%06d", i);
        snprintf(ends[i], sizeof ends[i], "%06d~", i);
        s[i] = watch_span_of(str(keys[i]), str(ends[i]), 0);
        assert_true(watch_index_add(&x, &s[i]));
    }
    watch_index_check(&x);
    for (int i = 0; i < N; i++)
        assert_ptr_equal(watch_index_find(&x, &s[i]), &s[i]);
    for (int i = 0; i < N; i++)
        watch_index_remove(&x, &s[i]);
    assert_int_equal(x.n, 0);
    watch_index_done(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_list),
        cmocka_unit_test(ranges_contain),
        cmocka_unit_test(ascending_inserts_stay_balanced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
