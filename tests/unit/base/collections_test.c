#define _POSIX_C_SOURCE 200809L
#include <pthread.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/map64.h"
#include "base/mpsc.h"
#include "lib/cm.h"

static uint64_t rnd_state = 1;

static uint64_t rnd(uint64_t below)
{
    rnd_state = rnd_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (rnd_state >> 33) % below;
}

struct item {
    struct list link;
    struct heap_item heap;
    int id;
};

/* A list keeps the order of pushes, and an element can leave from anywhere. */
static void list_keeps_order(void **state)
{
    struct list l, m;
    struct item it[5];
    int seen = 0;

    (void) state;
    list_init(&l);
    list_init(&m);
    for (int i = 0; i < 5; i++) {
        it[i].id = i;
        list_push(&l, &it[i].link);
    }
    list_remove(&it[2].link);
    list_push_front(&l, &it[2].link);
    list_splice(&m, &l);
    assert_true(list_empty(&l));
    LIST_EACH_SAFE (x, &m) {
        static const int want[] = {2, 0, 1, 3, 4};

        assert_int_equal(CONTAINER_OF(x, struct item, link)->id, want[seen++]);
        list_remove(x);
    }
    assert_int_equal(seen, 5);
    assert_null(list_pop(&m));
}

static uint64_t inverse(uint64_t odd)
{
    uint64_t x = odd; /* three bits of it are right, and each step doubles them */

    for (int i = 0; i < 5; i++)
        x *= 2 - odd * x;
    return x;
}

/* The key that the mix without a secret takes to `h`: each step of the mix, backwards. */
static uint64_t key_of(uint64_t h)
{
    h ^= h >> 33;
    h *= inverse(UINT64_C(0xc4ceb9fe1a85ec53));
    h ^= h >> 33;
    h *= inverse(UINT64_C(0xff51afd7ed558ccd));
    return h ^ h >> 33;
}

/* Slots one after another that are taken: the most that a search looks at. */
static size_t longest_run(const struct map64 *m)
{
    size_t run = 0, longest = 0;

    for (size_t i = 0; i < 2 * m->cap; i++) { /* twice, for the run that goes round the end */
        run = m->slots[i % m->cap].value == NULL ? 0 : run + 1;
        longest = MAX(longest, run);
    }
    return longest;
}

static void put_colliding(struct map64 *m, size_t n)
{
    static int value;

    for (uint64_t i = 0; i < n; i++)
        assert_true(map64_put(m, key_of(i << 32), &value));
    for (uint64_t i = 0; i < n; i++)
        assert_ptr_equal(map64_get(m, key_of(i << 32)), &value);
    assert_int_equal(m->count, n);
}

/* Keys made to collide do so without a secret, and no more than others with one; a map that was
 * emptied keeps it. */
static void map64_has_a_secret(void **state)
{
    const uint64_t secret[2] = {7, 8};
    struct map64 m;

    (void) state;
    map64_init(&m);
    put_colliding(&m, 3000);
    assert_int_equal(longest_run(&m), 3000);
    map64_done(&m);
    map64_init_secret(&m, secret);
    for (int i = 0; i < 2; i++) {
        put_colliding(&m, 3000);
        assert_in_range(longest_run(&m), 1, 200);
        map64_done(&m);
        assert_null(map64_get(&m, key_of(0)));
    }
}

/* Emptied from the front, slot by slot, a map gives each of its values once: also those that a
 * deletion moves, round the end of the table as well. */
static void map64_is_emptied_in_one_pass(void **state)
{
    static int values[3000];

    (void) state;
    for (size_t n = 1; n <= ARRAY_LEN(values); n = n * 2 + 1) {
        struct map64 m;
        size_t pos = 0, given = 0, steps = 0;
        uint64_t key;

        map64_init(&m);
        for (uint64_t i = 0; i < n; i++) /* half of them want the last slot */
            assert_true(map64_put(&m, i % 2 == 0 ? rnd(UINT64_MAX) : key_of(UINT64_MAX - (i << 32)),
                                  &values[i]));
        given = m.count;
        for (; map64_next(&m, &pos, &key) != NULL; pos--, given--, steps++)
            assert_non_null(map64_del(&m, key));
        assert_int_equal(given, 0);
        assert_int_equal(m.count, 0);
        assert_true(steps <= n);
        map64_done(&m);
    }
}

/* A map agrees with an array of what it should hold, through random puts and deletes. */
static void map64_agrees_with_an_array(void **state)
{
    struct map64 m;
    static int values[500];
    bool in[500] = {false};
    size_t count = 0;

    (void) state;
    map64_init(&m);
    for (int step = 0; step < 20000; step++) {
        uint64_t k = rnd(500);
        uint64_t key = k * UINT64_C(0x100000001); /* spread over both halves */

        if (rnd(2) == 0) {
            assert_true(map64_put(&m, key, &values[k]));
            count += !in[k];
            in[k] = true;
        } else {
            assert_ptr_equal(map64_del(&m, key), in[k] ? &values[k] : NULL);
            count -= in[k];
            in[k] = false;
        }
        assert_int_equal(m.count, count);
    }
    for (uint64_t k = 0; k < 500; k++)
        assert_ptr_equal(map64_get(&m, k * UINT64_C(0x100000001)), in[k] ? &values[k] : NULL);
    for (size_t pos = 0, n = 0;; n++) {
        uint64_t key;

        if (map64_next(&m, &pos, &key) == NULL) {
            assert_int_equal(n, count);
            break;
        }
        assert_true(in[key / UINT64_C(0x100000001)]);
    }
    map64_done(&m);
}

/* A heap gives the least key first, and among equal keys the first pushed, through moves and
 * removals. */
static void heap_gives_the_least(void **state)
{
    struct heap h;
    static struct item it[300];
    int64_t last = INT64_MIN;
    uint64_t last_seq = 0;

    (void) state;
    heap_init(&h);
    for (int i = 0; i < 300; i++) {
        heap_item_init(&it[i].heap);
        assert_true(heap_push(&h, &it[i].heap, (int64_t) rnd(50)));
    }
    for (int i = 0; i < 300; i += 3)
        heap_remove(&h, &it[i].heap);
    for (int i = 1; i < 300; i += 3)
        heap_move(&h, &it[i].heap, (int64_t) rnd(50));
    assert_int_equal(h.count, 200);
    while (h.count > 0) {
        struct heap_item *x = heap_min(&h);

        assert_true(x->key > last || (x->key == last && x->seq > last_seq));
        last = x->key;
        last_seq = x->seq;
        heap_remove(&h, x);
        assert_int_equal(x->at, HEAP_NOWHERE);
    }
    assert_null(heap_min(&h));
    heap_done(&h);
}

#define PUSHERS 4
#define PUSHES 20000

struct pushed {
    struct mpsc_node node;
    unsigned who;
    unsigned n;
};

static struct mpsc queue;
static struct pushed pool[PUSHERS][PUSHES];

static void *pusher(void *arg)
{
    unsigned who = (unsigned) (uintptr_t) arg;

    for (unsigned i = 0; i < PUSHES; i++) {
        pool[who][i] = (struct pushed){.who = who, .n = i};
        mpsc_push(&queue, &pool[who][i].node);
    }
    return NULL;
}

/* Nothing pushed by several threads is lost, and each thread's elements come out in its own order.
 */
static void mpsc_keeps_each_threads_order(void **state)
{
    pthread_t t[PUSHERS];
    unsigned next[PUSHERS] = {0}, total = 0;

    (void) state;
    mpsc_init(&queue);
    for (uintptr_t i = 0; i < PUSHERS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, pusher, (void *) i), 0);
    while (total < PUSHERS * PUSHES) {
        for (struct mpsc_node *n = mpsc_take(&queue), *after; n != NULL; n = after) {
            struct pushed *p = CONTAINER_OF(n, struct pushed, node);

            after = n->next;
            assert_int_equal(p->n, next[p->who]);
            next[p->who]++;
            total++;
        }
    }
    for (int i = 0; i < PUSHERS; i++)
        pthread_join(t[i], NULL);
    assert_true(mpsc_empty(&queue));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(list_keeps_order),     cmocka_unit_test(map64_agrees_with_an_array),
        cmocka_unit_test(map64_has_a_secret),   cmocka_unit_test(map64_is_emptied_in_one_pass),
        cmocka_unit_test(heap_gives_the_least), cmocka_unit_test(mpsc_keeps_each_threads_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
