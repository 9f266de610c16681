/* defrag_first_test.c -- a start that writes the data file anew where enough of it is unused. */
#include "base/alloc.h"
#include "unit/node/lone.h"

#define KEYS 400
#define LARGE 100000

static size_t file_bytes(struct simdisk *disk)
{
    size_t n;

    mem_free(simdisk_get_file(disk, "/data/member/snap/db", &n));
    return n;
}

static struct member *open_with(struct simdisk *disk, uint64_t threshold)
{
    struct member *m = lone_new(disk, 1);

    m->cfg.defrag_first_bytes = threshold;
    lone_open(m);
    return m;
}

static void end(struct member *m)
{
    member_close(m);
    test_free(m);
}

/* Large values, all but the last of them overwritten and compacted away. */
static void fill_and_compact(struct member *m)
{
    Etcdserverpb__CompactionRequest compact = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    char *value = test_malloc(LARGE + 1);

    memset(value, 'v', LARGE);
    value[LARGE] = 0;
    for (int i = 0; i < KEYS; i++)
        assert_int_equal(member_put(m, "key", value), i + 2);
    assert_int_equal(member_put(m, "key", "small"), KEYS + 2);
    compact.revision = KEYS + 2;
    compact.physical = true;
    call_free(member_propose(m, 7, &compact.base));
    assert_true(member_run(m, 5000, NULL));
    test_free(value);
}

/* Less room than the threshold: the file stays as it is.  As much: it shrinks, and holds what it
 * held. */
static void a_start_defragments_from_a_threshold_on(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct member *m = open_with(disk, 0);
    char value[64];
    int64_t mod;
    size_t full;

    (void) state;
    fill_and_compact(m);
    end(m);
    full = file_bytes(disk);
    end(open_with(disk, (uint64_t) KEYS * LARGE * 2));
    assert_true(file_bytes(disk) >= full);
    end(open_with(disk, 0));
    assert_true(file_bytes(disk) >= full);
    m = open_with(disk, (uint64_t) KEYS * LARGE / 2);
    assert_true(file_bytes(disk) < full / 2);
    assert_true(member_get(m, "key", value, sizeof value, &mod));
    assert_string_equal(value, "small");
    assert_int_equal(mod, KEYS + 2);
    assert_int_equal(member_put(m, "key", "more"), KEYS + 3);
    end(m);
    simdisk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_start_defragments_from_a_threshold_on)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
