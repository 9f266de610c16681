/* reference_test.c -- files of a real etcd read by us, and ours read by its tools.
 *
 * Needs a folder with etcd, etcdctl and etcdutl: $KETCH_REFERENCE_BIN, else
 * ~/.cache/reference-etcd/bin.  Without it the tests say "skipped: why". */
#define _POSIX_C_SOURCE 200809L
#include "bolt_util.h"

#include <unistd.h>

#include "base/crc32c.h"
#include "base/endian.h"

static char bin[512];
static char dir[64];

static bool reference_found(void)
{
    const char *env = getenv("KETCH_REFERENCE_BIN"), *home = getenv("HOME");
    char path[600];

    if (env != NULL)
        snprintf(bin, sizeof bin, "%s", env);
    else
        snprintf(bin, sizeof bin, "%s/.cache/reference-etcd/bin", home == NULL ? "" : home);
    snprintf(path, sizeof path, "%s/etcdutl", bin);
    return access(path, X_OK) == 0;
}

static int setup(void **state)
{
    (void) state;
    snprintf(dir, sizeof dir, "/tmp/ketch-bolt-XXXXXX");
    return mkdtemp(dir) == NULL ? -1 : 0;
}

/* Runs a shell script with BIN and DIR set; the first line of its output goes to `out`. */
static int shell(const char *script, char *out, size_t n)
{
    char cmd[4096];
    FILE *p;
    int rc;

    snprintf(cmd, sizeof cmd, "set -eu; BIN='%s'; DIR='%s'; %s", bin, dir, script);
    p = popen(cmd, "r");
    assert_non_null(p);
    if (fgets(out, (int) n, p) == NULL)
        out[0] = '\0';
    while (fgetc(p) != EOF)
        ;
    rc = pclose(p);
    return rc;
}

static int teardown(void **state)
{
    char out[8];

    (void) state;
    return shell("rm -r \"$DIR\"", out, sizeof out);
}

#define NEEDS_REFERENCE()                                        \
    do {                                                         \
        if (!reference_found()) {                                \
            print_message("skipped: no real etcd in %s\n", bin); \
            skip();                                              \
        }                                                        \
    } while (0)

static struct bolt_db *db_open(const char *name, const struct bolt_options *opt)
{
    struct bolt_db *db;
    struct err e = ERR_INIT;
    char path[128];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    OK(bolt_open(disk_posix(), path, opt, &db, &e), &e);
    return db;
}

/* The hash of `etcdutl snapshot status`: CRC-32C over all bucket names, keys and values. */
static uint32_t db_hash(struct bolt_db *db, uint64_t *ret_keys)
{
    struct bolt_tx *tx = read_begin(db);
    struct bolt_cursor names, c;
    struct bolt_bucket root, b;
    struct bytes name, k, v;
    uint32_t crc = 0;
    int rc;

    *ret_keys = 0;
    bolt_bucket_root(tx, &root);
    bolt_cursor_init(&names, &root);
    for (rc = bolt_cursor_first(&names, &name, &v, NULL); rc == 0;
         rc = bolt_cursor_next(&names, &name, &v, NULL)) {
        crc = crc32c(crc, name.p, name.n);
        assert_int_equal(bolt_bucket_get(tx, name, &b, NULL), 0);
        bolt_cursor_init(&c, &b);
        for (rc = bolt_cursor_first(&c, &k, &v, NULL); rc == 0;
             rc = bolt_cursor_next(&c, &k, &v, NULL)) {
            crc = crc32c(crc, k.p, k.n);
            crc = crc32c(crc, v.p, v.n);
            ++*ret_keys;
        }
        assert_int_equal(rc, ERR_NOT_FOUND);
    }
    assert_int_equal(rc, ERR_NOT_FOUND);
    bolt_rollback(tx);
    return crc;
}

/* What the real tool says of a file, after its own check of it. */
static void status_compare(const char *name, uint32_t hash, uint64_t keys)
{
    char script[256], out[256], want[64];

    snprintf(script, sizeof script, "\"$BIN\"/etcdutl snapshot status \"$DIR\"/%s 2>&1", name);
    assert_int_equal(shell(script, out, sizeof out), 0);
    snprintf(want, sizeof want, "%x, ", hash);
    if (strncmp(out, want, strlen(want)) != 0)
        fail_msg("etcdutl says %s, we say %s", out, want);
    snprintf(want, sizeof want, ", %" PRIu64 ", ", keys);
    if (strstr(out, want) == NULL)
        fail_msg("etcdutl says %s, we counted %" PRIu64 " records", out, keys);
}

/* A database that a real etcd wrote is whole by our check, and has the contents that its own tool
 * sees; after we have written to it, its tool finds it whole and sees what we see. */
static void test_file_of_real_etcd(void **state)
{
    static const char run[] =
        "cd \"$DIR\"; \"$BIN\"/etcd --data-dir \"$DIR\"/data --log-level error "
        "--listen-client-urls "
        "unix://localhost:1 --advertise-client-urls unix://localhost:1 --listen-peer-urls "
        "unix://localhost:2 --initial-advertise-peer-urls unix://localhost:2 "
        "--initial-cluster default=unix://localhost:2 >\"$DIR\"/log 2>&1 & pid=$!; "
        "ctl() { \"$BIN\"/etcdctl --endpoints unix://localhost:1 \"$@\"; }; "
        "for i in $(seq 50); do ctl endpoint health >/dev/null 2>&1 && break; "
        "sleep 0.2; done; big=$(head -c 20000 /dev/zero | tr '\\0' x); "
        "for i in $(seq 40); do ctl put key$i value$i-$big >/dev/null; done; "
        "ctl del key3 --prefix >/dev/null; ctl compaction 20 >/dev/null; "
        "ctl lease grant 1000 >/dev/null; kill $pid; wait $pid || true; "
        "cp data/member/snap/db theirs; echo done";
    struct bolt_db *db;
    char out[64];
    uint64_t keys;
    uint32_t hash;

    (void) state;
    NEEDS_REFERENCE();
    assert_int_equal(shell(run, out, sizeof out), 0);
    assert_string_equal(out, "done\n");
    db = db_open("theirs", &(struct bolt_options){.read_only = true});
    hash = db_hash(db, &keys);
    assert_true(keys > 25);
    bolt_close(db);
    status_compare("theirs", hash, keys);

    db = db_open("theirs", NULL);
    db_check(db);
    for (unsigned i = 0; i < 30; i++) {
        char name[16];

        snprintf(name, sizeof name, "bucket%u", i % 3);
        put_one(db, name, "a key of ours", "and its value");
        db_check(db);
    }
    hash = db_hash(db, &keys);
    bolt_close(db);
    status_compare("theirs", hash, keys);
}

/* A revision as a key, and a KeyValue that says little more. */
static void record_make(uint64_t rev, uint8_t key[17], uint8_t value[64])
{
    memset(key, 0, 17);
    be64_put(key, rev);
    key[8] = '_';
    memset(value, 'v', 64);
    memcpy(value,
           "\x0a\x03"
           "foo"
           "\x2a\x39",
           7); /* f1 key, f5 value of 57 bytes */
}

/* A database that we create, fill in order and thin out is whole for the real tool, which sees
 * every record; the real tool's defragmentation of it gives a file in which we see the same. */
static void test_our_file(void **state)
{
    enum { BATCH = 500 };
    static uint8_t keys[BATCH][17], values[BATCH][64];
    struct bolt_db *db = db_open("ours", NULL);
    uint64_t records, again;
    uint32_t hash;
    char out[64];

    (void) state;
    if (!reference_found())
        bolt_close(db);
    NEEDS_REFERENCE();
    for (uint64_t rev = 2; rev < 10000; rev += BATCH) {
        struct bolt_tx *tx = write_begin(db);
        struct bolt_bucket b = bucket(tx, "key"), meta = bucket(tx, "meta");

        bolt_bucket_set_fill(&b, 90);
        for (unsigned i = 0; i < BATCH; i++) {
            record_make(rev + i, keys[i], values[i]);
            put(&b, bytes_of(keys[i], 17), bytes_of(values[i], 64));
        }
        put(&meta, BYTES_LIT("consistent_index"), BYTES_LIT("\0\0\0\0\0\0\0\1"));
        for (unsigned i = 0; i + 1 < BATCH && rev > BATCH; i += 2) {
            uint8_t key[17], value[64];

            record_make(rev - BATCH + i, key, value);
            assert_int_equal(bolt_delete(&b, bytes_of(key, 17), NULL), 0);
        }
        commit(tx);
    }
    db_check(db);
    hash = db_hash(db, &records);
    bolt_close(db);
    status_compare("ours", hash, records);

    assert_int_equal(shell("mkdir -p \"$DIR\"/our-data/member/snap; cp \"$DIR\"/ours "
                           "\"$DIR\"/our-data/member/snap/db; \"$BIN\"/etcdutl defrag --data-dir "
                           "\"$DIR\"/our-data >/dev/null 2>&1; echo done",
                           out, sizeof out),
                     0);
    assert_string_equal(out, "done\n");
    db = db_open("our-data/member/snap/db", NULL);
    db_check(db);
    assert_int_equal(db_hash(db, &again), hash);
    assert_int_equal(again, records);
    bolt_close(db);
}

/* While one process has the file, another is refused; the lock is the one that etcd's tools take.
 */
static void test_lock_against_real_tool(void **state)
{
    struct bolt_db *db = db_open("locked", NULL), *other;
    struct err e = ERR_INIT;
    char path[128], out[128];

    (void) state;
    snprintf(path, sizeof path, "%s/locked", dir);
    assert_int_equal(bolt_open(disk_posix(), path, NULL, &other, &e), ERR_LOCKED);
    assert_int_equal(
        bolt_open(disk_posix(), path, &(struct bolt_options){.read_only = true}, &other, &e),
        ERR_LOCKED);
    if (!reference_found())
        bolt_close(db);
    NEEDS_REFERENCE();
    put_one(db, "meta", "key", "value");
    assert_int_not_equal(
        shell("timeout 2 \"$BIN\"/etcdutl snapshot status \"$DIR\"/locked 2>&1", out, sizeof out),
        0);
    bolt_close(db);
    assert_int_equal(
        shell("timeout 20 \"$BIN\"/etcdutl snapshot status \"$DIR\"/locked 2>&1", out, sizeof out),
        0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_of_real_etcd),
        cmocka_unit_test(test_our_file),
        cmocka_unit_test(test_lock_against_real_tool),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
