/* threads_test.c -- one writer and three readers at once, on a real file; for ThreadSanitizer too.
 */
#define _POSIX_C_SOURCE 200809L
#include "bolt_util.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#define READERS 3
#define COMMITS 400
#define KEYS 64

struct shared {
    struct bolt_db *db;
    _Atomic(struct bolt_tx *) handed; /* begun by one thread, read by all, ended by the last */
    _Atomic bool stop;
    _Atomic uint64_t committed;
    _Atomic unsigned failures;
};

static char keys[KEYS][8];

/* In every commit all keys have one and the same value: the number of the commit. */
static uint64_t state_read(struct bolt_tx *tx, struct shared *s)
{
    struct bolt_bucket b;
    struct bolt_cursor c;
    struct bytes k, v;
    uint64_t number = 0;
    unsigned n = 0;
    int rc;

    if (bolt_bucket_get(tx, BYTES_LIT("b"), &b, NULL) != 0)
        return 0;
    bolt_cursor_init(&c, &b);
    for (rc = bolt_cursor_first(&c, &k, &v, NULL); rc == 0;
         rc = bolt_cursor_next(&c, &k, &v, NULL)) {
        uint64_t x;

        memcpy(&x, v.p, sizeof x);
        if (n++ == 0)
            number = x;
        if (x != number)
            atomic_fetch_add(&s->failures, 1);
    }
    if (n != KEYS || rc != ERR_NOT_FOUND)
        atomic_fetch_add(&s->failures, 1);
    return number;
}

static void *reader_run(void *arg)
{
    struct shared *s = arg;
    struct bolt_tx *held = NULL;
    uint64_t held_number = 0;

    for (unsigned i = 0; !atomic_load(&s->stop); i++) {
        uint64_t least = atomic_load(&s->committed), number;
        struct bolt_tx *tx, *other;
        struct bolt_stats st;

        if (bolt_begin_read(s->db, &tx, NULL) != 0)
            abort();
        number = state_read(tx, s);
        if (number < least)
            atomic_fetch_add(&s->failures, 1);
        if (i % 50 == 0) { /* a long one meanwhile */
            if (held != NULL && state_read(held, s) != held_number)
                atomic_fetch_add(&s->failures, 1);
            bolt_rollback(held);
            held = tx;
            held_number = number;
        } else { /* ended by whichever thread comes next */
            other = atomic_exchange(&s->handed, tx);
            if (other != NULL)
                state_read(other, s);
            bolt_rollback(other);
        }
        bolt_get_stats(s->db, &st);
    }
    bolt_rollback(held);
    return NULL;
}

static void writer_run(struct shared *s)
{
    static uint64_t values[KEYS][40];

    for (uint64_t n = 1; n <= COMMITS; n++) {
        struct bolt_tx *tx = write_begin(s->db);
        struct bolt_bucket b = bucket(tx, "b");

        for (unsigned i = 0; i < KEYS; i++) {
            values[i][0] = n;
            put(&b, bytes_of(keys[i], 6), bytes_of(values[i], sizeof values[i]));
        }
        commit(tx);
        atomic_store(&s->committed, n);
    }
}

/* Every reader sees the whole of one commit, never older than the last one before it began; reads
 * are begun and ended by different threads; no waiting, no race. */
static void test_one_writer_three_readers(void **state)
{
    struct shared s = {0};
    struct err e = ERR_INIT;
    struct bolt_options opt = {.page_bytes = 1024, .reserve_bytes = 1};
    pthread_t threads[READERS];
    char path[] = "/tmp/ketch-bolt-threads-XXXXXX";
    int fd = mkstemp(path);

    (void) state;
    assert_true(fd >= 0);
    close(fd);
    for (unsigned i = 0; i < KEYS; i++)
        snprintf(keys[i], sizeof keys[i], "k%05u", i);
    OK(bolt_open(disk_posix(), path, &opt, &s.db, &e), &e);
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reader_run, &s), 0);
    writer_run(&s);
    atomic_store(&s.stop, true);
    for (unsigned i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    bolt_rollback(atomic_load(&s.handed));
    assert_int_equal(atomic_load(&s.failures), 0);
    db_check(s.db);
    bolt_close(s.db);
    assert_int_equal(disk_remove(disk_posix(), path, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_writer_three_readers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
