#include "lib/cm.h"

#include "engine/wal/wal.h"
#include "etcdutl/log_version.h"
#include "lib/simdisk.h"

#define DIR "wal"
#define SEGMENT_BYTES 65536

/* InternalRaftRequest{header{ID: 7}, put{key: "k"}} */
static const uint8_t put[] = {0x22, 0x03, 0x0a, 0x01, 'k', 0xa2, 0x06, 0x02, 0x08, 0x07};
/* InternalRaftRequest{downgrade_version_test{}}: field 9900 */
static const uint8_t plain_test[] = {0xe2, 0xea, 0x04, 0x00};
/* ... with ver "3.7.0" */
static const uint8_t test_of_3_7[] = {0xe2, 0xea, 0x04, 0x07, 0x0a, 0x05, '3', '.', '7', '.', '0'};

#define DATA(a) bytes_of((a), sizeof(a))

static struct simdisk *sim;
static struct wal *w;

static int setup(void **state)
{
    struct wal_metadata m = {1, 2};
    struct wal_options o;

    (void) state;
    sim = simdisk_new(1);
    o = (struct wal_options){.disk = simdisk_disk(sim), .dir = DIR, .segment_bytes = SEGMENT_BYTES};
    assert_int_equal(wal_create(&o, &m, "20261125.120000.000000", &w, NULL), 0);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    wal_close(w);
    simdisk_free(sim);
    return 0;
}

static void append(raft_term term, raft_index index, struct bytes data)
{
    struct raft_entry en = {.term = term, .index = index, .data = data};
    struct raft_hard_state hs = {.term = term, .vote = 1, .commit = index};
    struct wal_save save = {.entries = &en, .entries_n = 1, .hard_state = &hs};

    assert_int_equal(wal_append_batch(w, &save, 1, NULL), 0);
}

static void expect(cluster_version want)
{
    cluster_version got = 1;
    struct err e = ERR_INIT;

    if (log_version_read(simdisk_disk(sim), DIR, &got, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(got, want);
}

/* Requests that every release since 3.5 knows need nothing; one that asks for a release needs at
 * least 3.6, and what it asks for. */
static void finds_the_newest(void **state)
{
    (void) state;
    expect(0);
    append(1, 1, DATA(put));
    append(1, 2, BYTES_EMPTY);
    expect(0);
    append(1, 3, DATA(plain_test));
    expect(CLUSTER_VERSION(3, 6));
    append(1, 4, DATA(test_of_3_7));
    append(1, 5, DATA(put));
    expect(CLUSTER_VERSION(3, 7));
}

/* An entry that a later leader replaced needs nothing any more. */
static void forgets_what_was_replaced(void **state)
{
    (void) state;
    append(1, 1, DATA(put));
    append(1, 2, DATA(test_of_3_7));
    append(1, 3, DATA(test_of_3_7));
    append(2, 2, DATA(plain_test));
    expect(CLUSTER_VERSION(3, 6));
    append(3, 2, DATA(put));
    expect(0);
}

/* What a snapshot holds is not looked at, for nobody reads it again. */
static void begins_behind_the_snapshot(void **state)
{
    struct wal_snapshot marker = {.index = 2, .term = 1};
    struct wal_save save = {.snapshot = &marker};

    (void) state;
    append(1, 1, DATA(test_of_3_7));
    append(1, 2, DATA(put));
    append(1, 3, DATA(plain_test));
    expect(CLUSTER_VERSION(3, 7));
    assert_int_equal(wal_append_batch(w, &save, 1, NULL), 0);
    expect(CLUSTER_VERSION(3, 6));
}

/* No directory, in etcd's words; damage and entries that are no requests are errors. */
static void says_what_is_wrong(void **state)
{
    static const uint8_t junk[] = {0x22, 0x30, 'x'};
    cluster_version v;
    struct err e = ERR_INIT;

    (void) state;
    assert_int_equal(log_version_read(simdisk_disk(sim), "nodir", &v, &e), ERR_NOT_FOUND);
    assert_string_equal(e.msg, "failed to get the lastest snapshot: [readWALNames] "
                               "fileutil.ReadDir failed: open nodir: no such file or directory");
    append(1, 1, DATA(junk));
    assert_int_equal(log_version_read(simdisk_disk(sim), DIR, &v, &e), ERR_CORRUPT);
    assert_string_equal(e.msg, "failed to read wal: entry 1 is no request");
    simdisk_flip(sim, DIR "/0000000000000000-0000000000000000.wal", 30, 1);
    assert_int_equal(log_version_read(simdisk_disk(sim), DIR, &v, &e), ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_the_newest, setup, teardown),
        cmocka_unit_test_setup_teardown(forgets_what_was_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(begins_behind_the_snapshot, setup, teardown),
        cmocka_unit_test_setup_teardown(says_what_is_wrong, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
