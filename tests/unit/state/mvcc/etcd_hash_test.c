/* Needs a real etcd (tools put it into ~/.cache/reference-etcd/bin); skipped where there is none.
 */
#define _DEFAULT_SOURCE
#include "lib/real_etcd.h"
#include "state/mvcc/mvcc.h"
#include "state/store/store.h"

#define REVISIONS_MAX 64

/* Runs etcdctl; its output, or NULL when it failed. */
static char *ctl(const char *args)
{
    static char out[65536];

    return real_ctl(args, out, sizeof out) == 0 ? out : NULL;
}

static int64_t number_after(const char *text, const char *name)
{
    const char *p = strstr(text, name);

    return p == NULL ? 0 : strtoll(p + strlen(name), NULL, 10);
}

static void do_operations(void)
{
    char cmd[256];

    for (int i = 0; i < 40; i++) {
        snprintf(cmd, sizeof cmd, "put key%d value%d", i % 17, i);
        assert_non_null(ctl(cmd));
    }
    assert_non_null(ctl("del key3"));
    assert_non_null(ctl("del --prefix key1"));
    assert_non_null(ctl("put key3 again"));
    assert_non_null(ctl("lease grant 600"));
    assert_non_null(
        ctl("txn <<'END'\nmod(\"key5\") > \"0\"\n\nput t1 a\ndel key5\nput t2 b\n\n\nEND\n"));
    assert_non_null(ctl("compaction 30"));
    for (int i = 0; i < 10; i++) {
        snprintf(cmd, sizeof cmd, "put other%d v%d", i, i);
        assert_non_null(ctl(cmd));
    }
    assert_non_null(ctl("del other4"));
    assert_non_null(ctl("del key7"));
    assert_non_null(ctl("put last one"));
}

struct real_hash {
    int64_t revision, hash, compact;
};

static size_t collect_hashes(struct real_hash *v)
{
    size_t n = 0;

    for (int64_t rev = 30; n < REVISIONS_MAX && rev < 200; rev++) {
        char cmd[64];
        char *out;

        snprintf(cmd, sizeof cmd, "endpoint hashkv -w json --rev %lld", (long long) rev);
        out = ctl(cmd);
        if (out == NULL && n > 0)
            break; /* the future */
        if (out == NULL)
            continue; /* compacted */
        v[n++] = (struct real_hash){rev, number_after(out, "\"hash\":"),
                                    number_after(out, "\"compact_revision\":")};
    }
    return n;
}

static struct mvcc_hash_result our_hash(const struct mvcc_view *v, int64_t revision)
{
    struct mvcc_hash_result r;
    struct mvcc_hash *h;
    bool done = false;

    assert_int_equal(mvcc_hash_begin(v, revision, &h), 0);
    while (!done)
        assert_int_equal(mvcc_hash_step(h, 10, &done), 0);
    mvcc_hash_result(h, &r);
    mvcc_hash_end(h);
    return r;
}

static struct store *s;
static struct mvcc *kv;
static struct mvcc_reader *reader;
static struct err e;

static void open_file(const char *path)
{
    struct store_config cfg = {.disk = disk_posix(), .path = path};

    assert_int_equal(store_open(&cfg, &s, &e), 0);
    assert_int_equal(mvcc_open(s, NULL, &kv, &e), 0);
    reader = mvcc_reader_new(kv);
}

static void close_file(void)
{
    mvcc_reader_free(reader);
    mvcc_close(kv);
    store_close(s);
}

static void compact_to_the_end(int64_t revision)
{
    struct mvcc_compaction *c;
    bool done = false;

    assert_int_equal(mvcc_compact(kv, revision), 0);
    c = mvcc_compaction_take(kv);
    store_seal(s);
    assert_int_equal(store_commit(s, &e), 0);
    while (!done)
        assert_int_equal(mvcc_compaction_step(c, 7, &done, &e), 0);
    mvcc_compaction_end(kv, c, true);
    mvcc_publish(kv);
}

/* HashKV of each revision as `theirs` has it; how many were compared. */
static size_t compare(const struct real_hash *theirs, size_t n)
{
    const struct mvcc_view *view = mvcc_view_pin(reader);
    size_t compared = 0;

    for (size_t i = 0; i < n; i++) {
        struct mvcc_hash_result ours = our_hash(view, theirs[i].revision);

        if (ours.compact_revision != theirs[i].compact)
            continue; /* kept from a compaction: the other program has not made it itself */
        assert_int_equal(ours.hash, (uint32_t) theirs[i].hash);
        compared++;
    }
    mvcc_view_unpin(view);
    return compared;
}

static void hashkv_gives_the_numbers_of_a_real_etcd(void **state)
{
    /* Puts, deletes, transactions and a compaction on a real etcd; HashKV of its file at each
     * readable revision is what it said.  Then both compact on: the hash that a compaction leaves
     * behind is the same, too. */
    struct real_hash theirs[REVISIONS_MAX];
    char path[600], copy[600], cmd[1300];
    size_t n;

    (void) state;
    real_start(NULL);
    real_wait_healthy();
    do_operations();
    n = collect_hashes(theirs);
    real_stop();
    assert_true(n > 20);
    snprintf(path, sizeof path, "%s/data/member/snap/db", real.dir);
    snprintf(copy, sizeof copy, "%s/db", real.dir);
    snprintf(cmd, sizeof cmd, "cp %s %s", path, copy);
    assert_int_equal(system(cmd), 0);
    open_file(copy);
    assert_int_equal(mvcc_compact_revision(kv), 30);
    assert_true(compare(theirs, n) > 20);
    compact_to_the_end(45);

    real_start(NULL);
    real_wait_healthy();
    assert_non_null(ctl("compaction 45 --physical"));
    n = collect_hashes(theirs);
    real_stop();
    assert_int_equal(theirs[0].revision, 45);
    assert_int_equal(theirs[0].compact, 30);
    assert_int_equal(compare(theirs, n), n);
    close_file();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashkv_gives_the_numbers_of_a_real_etcd),
    };

    if (!real_init("hash"))
        return REAL_SKIPPED;
    return real_done(cmocka_run_group_tests(tests, NULL, NULL));
}
