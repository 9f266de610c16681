/* simdisk_test.c -- the simulated disk keeps, loses and fails what it says it does: other tests
 * lean on it. */
#include "lib/cm.h"

#include "base/alloc.h"
#include "lib/simdisk.h"

struct fixture {
    struct simdisk *sim;
    struct disk *disk;
};

static int setup(void **state)
{
    static struct fixture f;

    f.sim = simdisk_new(7);
    f.disk = simdisk_disk(f.sim);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    simdisk_free(f->sim);
    return 0;
}

static struct file *file_new(struct fixture *f, const char *path)
{
    struct file *file;

    assert_int_equal(
        disk_open(f->disk, path, DISK_READ | DISK_WRITE | DISK_CREATE, 0600, &file, NULL), 0);
    return file;
}

static void write_text(struct file *file, uint64_t off, const char *text)
{
    assert_int_equal(file_write_one(file, text, strlen(text), off, NULL), 0);
}

/* Whether the file has exactly this text; NULL: whether there is no such file. */
static bool holds(struct fixture *f, const char *path, const char *text)
{
    size_t n = 0;
    uint8_t *p = simdisk_get_file(f->sim, path, &n);
    bool same;

    if (p == NULL || text == NULL)
        same = p == NULL && text == NULL;
    else
        same = n == strlen(text) && memcmp(p, text, n) == 0;
    mem_free(p);
    return same;
}

static void sync_root(struct fixture *f)
{
    assert_int_equal(disk_sync_dir(f->disk, "/", NULL), 0);
}

/* Bytes survive a crash when their file was synced, names when their directory was. */
static void test_what_survives(void **state)
{
    struct fixture *f = *state;
    struct file *a = file_new(f, "a"), *b = file_new(f, "b");

    write_text(a, 0, "synced");
    assert_int_equal(file_sync(a, FILE_SYNC_DATA, NULL), 0);
    sync_root(f);
    write_text(a, 0, "SYNC");
    write_text(b, 0, "never synced");
    assert_true(holds(f, "a", "SYNCed"));
    simdisk_crash(f->sim, SIM_CRASH_DROP);
    assert_true(holds(f, "a", "synced"));
    assert_true(holds(f, "b", ""));
    file_close(a);
    file_close(b);

    a = file_new(f, "c");
    write_text(a, 0, "synced, but without a name");
    assert_int_equal(file_sync(a, FILE_SYNC_ALL, NULL), 0);
    simdisk_crash(f->sim, SIM_CRASH_DROP);
    assert_true(holds(f, "c", NULL));
    file_close(a);
}

/* A crash of the process alone loses nothing; handles are dead in any case. */
static void test_keep(void **state)
{
    struct fixture *f = *state;
    struct file *a = file_new(f, "a");
    uint8_t byte;
    size_t n;

    write_text(a, 0, "written");
    simdisk_crash(f->sim, SIM_CRASH_KEEP);
    assert_true(holds(f, "a", "written"));
    assert_int_equal(file_read(a, &byte, 1, 0, &n, NULL), ERR_IO);
    assert_int_equal(file_write_one(a, "x", 1, 0, NULL), ERR_IO);
    assert_int_equal(file_sync(a, FILE_SYNC_DATA, NULL), ERR_IO);
    assert_true(holds(f, "a", "written"));
    file_close(a);
}

/* Torn writes keep some sectors and lose others, differently for each seed, and never touch what
 * was synced around them. */
static void test_tear(void **state)
{
    struct fixture *f = *state;
    static uint8_t old[8 * 512], new[8 * 512];
    unsigned mixed = 0;

    memset(new, 'n', sizeof new);
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct file *a;
        uint8_t *p;
        size_t n, kept = 0;

        simdisk_put_file(f->sim, "a", old, sizeof old);
        a = file_new(f, "a");
        assert_int_equal(file_write_one(a, new, 4 * 512, 2 * 512, NULL), 0);
        simdisk_seed(f->sim, seed);
        simdisk_crash(f->sim, SIM_CRASH_TEAR);
        file_close(a);
        p = simdisk_get_file(f->sim, "a", &n);
        assert_int_equal(n, sizeof old);
        for (size_t s = 0; s < 8; s++) {
            bool is_new = memcmp(p + s * 512, new, 512) == 0;

            assert_true(is_new || memcmp(p + s * 512, old, 512) == 0);
            assert_true(!is_new || (s >= 2 && s < 6));
            kept += is_new;
        }
        mixed += kept > 0 && kept < 4;
        mem_free(p);
    }
    assert_true(mixed > 3);
}

/* A rename replaces its target and is one change: after a crash there is the old or the new. */
static void test_rename(void **state)
{
    struct fixture *f = *state;

    simdisk_put_file(f->sim, "a", "old", 3);
    simdisk_put_file(f->sim, "b", "new", 3);
    assert_int_equal(disk_rename(f->disk, "b", "a", NULL), 0);
    assert_true(holds(f, "a", "new"));
    assert_true(holds(f, "b", NULL));
    simdisk_crash(f->sim, SIM_CRASH_DROP);
    assert_true(holds(f, "a", "old"));
    assert_true(holds(f, "b", "new"));
    assert_int_equal(disk_rename(f->disk, "b", "a", NULL), 0);
    sync_root(f);
    simdisk_crash(f->sim, SIM_CRASH_DROP);
    assert_true(holds(f, "a", "new"));
    assert_true(holds(f, "b", NULL));
    assert_int_equal(disk_rename(f->disk, "none", "a", NULL), ERR_NOT_FOUND);
}

/* Directories are made, listed in byte order, renamed with what is in them, and removed when empty.
 */
static void test_directories(void **state)
{
    struct fixture *f = *state;
    char **names;
    size_t n;

    assert_int_equal(disk_mkdir(f->disk, "d", 0700, NULL), 0);
    assert_int_equal(disk_mkdir(f->disk, "/d/", 0700, NULL), ERR_EXISTS);
    assert_int_equal(disk_mkdir(f->disk, "x/y", 0700, NULL), ERR_NOT_FOUND);
    file_close(file_new(f, "d/2"));
    file_close(file_new(f, "./d//1"));
    assert_int_equal(disk_mkdir(f->disk, "d/sub", 0700, NULL), 0);
    file_close(file_new(f, "d/sub/deep"));
    assert_int_equal(disk_list(f->disk, "d", &names, &n, NULL), 0);
    assert_int_equal(n, 3);
    assert_string_equal(names[0], "1");
    assert_string_equal(names[1], "2");
    assert_string_equal(names[2], "sub");
    disk_list_free(names, n);
    assert_int_equal(disk_remove(f->disk, "d", NULL), ERR_IO);
    assert_int_equal(disk_rename(f->disk, "d", "e", NULL), 0);
    assert_true(disk_exists(f->disk, "e/sub/deep"));
    assert_false(disk_exists(f->disk, "d/1"));
    assert_int_equal(disk_remove(f->disk, "e/sub/deep", NULL), 0);
    assert_int_equal(disk_remove(f->disk, "e/sub", NULL), 0);
    assert_int_equal(disk_remove(f->disk, "e/sub", NULL), ERR_NOT_FOUND);
}

/* What open promises about missing and present files. */
static void test_open_flags(void **state)
{
    struct fixture *f = *state;
    struct file *file;
    uint64_t n;

    assert_int_equal(disk_open(f->disk, "a", DISK_READ, 0, &file, NULL), ERR_NOT_FOUND);
    file = file_new(f, "a");
    write_text(file, 4, "text");
    file_close(file);
    assert_int_equal(
        disk_open(f->disk, "a", DISK_WRITE | DISK_CREATE | DISK_EXCLUSIVE, 0600, &file, NULL),
        ERR_EXISTS);
    assert_int_equal(disk_open(f->disk, "a", DISK_READ, 0, &file, NULL), 0);
    assert_int_equal(file_write_one(file, "x", 1, 0, NULL), ERR_IO);
    file_close(file);
    assert_int_equal(disk_open(f->disk, "a", DISK_WRITE | DISK_TRUNCATE, 0, &file, NULL), 0);
    assert_int_equal(file_size(file, &n, NULL), 0);
    assert_int_equal(n, 0);
    file_close(file);
}

/* Two handles see one file and one lock. */
static void test_locks(void **state)
{
    struct fixture *f = *state;
    struct file *a = file_new(f, "a"), *b = file_new(f, "a");

    assert_int_equal(file_lock(a, FILE_LOCK_FLOCK_EXCLUSIVE, NULL), 0);
    assert_int_equal(file_lock(b, FILE_LOCK_FLOCK_SHARED, NULL), ERR_LOCKED);
    assert_int_equal(file_unlock(a, FILE_LOCK_FLOCK_EXCLUSIVE, NULL), 0);
    assert_int_equal(file_lock(b, FILE_LOCK_FLOCK_SHARED, NULL), 0);
    assert_int_equal(file_lock(a, FILE_LOCK_FLOCK_SHARED, NULL), 0);
    assert_int_equal(file_lock(a, FILE_LOCK_FLOCK_EXCLUSIVE, NULL), ERR_LOCKED);
    file_close(b);
    assert_int_equal(file_lock(a, FILE_LOCK_OFD_EXCLUSIVE, NULL), 0);
    file_close(a);
    a = file_new(f, "a");
    assert_int_equal(file_lock(a, FILE_LOCK_OFD_EXCLUSIVE, NULL), 0);
    file_close(a);
}

/* A mapping shows what is written later, at the same address, also behind the old end of the file;
 * a second one of another length shows the same. */
static void test_map(void **state)
{
    struct fixture *f = *state;
    struct file *a = file_new(f, "a"), *b = file_new(f, "a");
    const uint8_t *p, *q;

    write_text(a, 0, "first");
    assert_int_equal(file_map(a, 1 << 20, &p, NULL), 0);
    assert_int_equal(file_map(b, 1 << 16, &q, NULL), 0);
    assert_memory_equal(p, "first", 5);
    write_text(b, 10000, "later");
    assert_memory_equal(p + 10000, "later", 5);
    assert_memory_equal(q + 10000, "later", 5);
    write_text(a, 2, "R");
    assert_memory_equal(q, "fiRst", 5);
    assert_int_equal(file_truncate(a, 20000, NULL), 0);
    assert_int_equal(p[19999], 0);
    simdisk_flip(f->sim, "a", 0, 0x20);
    assert_memory_equal(p, "FiRst", 5);
    simdisk_crash(f->sim, SIM_CRASH_DROP);
    assert_memory_equal(p, "FiRst", 5); /* the dead process still sees its mapping */
    file_close(a);
    file_close(b);
}

/* The nth call fails, once or from then on, and only calls of the kinds that were named. */
static void test_faults(void **state)
{
    struct fixture *f = *state;
    struct file *a = file_new(f, "a");
    uint64_t n;

    simdisk_fail(f->sim, SIM_WRITE, 2, ERR_NO_SPACE, false);
    write_text(a, 0, "12345678");
    assert_int_equal(file_sync(a, FILE_SYNC_DATA, NULL), 0);
    assert_int_equal(file_write_one(a, "abcdefgh", 8, 0, NULL), ERR_NO_SPACE);
    write_text(a, 8, "9");
    simdisk_fail(f->sim, SIM_SYNC | SIM_TRUNCATE, 1, ERR_IO, true);
    assert_int_equal(file_sync(a, FILE_SYNC_DATA, NULL), ERR_IO);
    assert_int_equal(file_truncate(a, 0, NULL), ERR_IO);
    assert_int_equal(file_size(a, &n, NULL), 0);
    assert_int_equal(n, 9);
    n = simdisk_calls(f->sim, SIM_SYNC);
    simdisk_fail(f->sim, 0, 0, 0, false);
    assert_int_equal(file_sync(a, FILE_SYNC_DATA, NULL), 0);
    assert_int_equal(simdisk_calls(f->sim, SIM_SYNC), n + 1);
    file_close(a);
}

/* From the cut on nothing is done any more: the machine has stopped. */
static void test_cut(void **state)
{
    struct fixture *f = *state;
    struct file *a = file_new(f, "a");
    uint8_t byte;
    size_t n;

    sync_root(f);
    simdisk_cut_after(f->sim, 2);
    write_text(a, 0, "1");
    assert_int_equal(file_sync(a, FILE_SYNC_DATA, NULL), ERR_IO);
    assert_int_equal(file_write_one(a, "2", 1, 1, NULL), ERR_IO);
    assert_int_equal(file_read(a, &byte, 1, 0, &n, NULL), ERR_IO);
    assert_int_equal(disk_remove(f->disk, "a", NULL), ERR_IO);
    simdisk_crash(f->sim, SIM_CRASH_KEEP);
    assert_true(holds(f, "a", "1"));
    file_close(a);
    a = file_new(f, "a");
    write_text(a, 0, "alive again");
    file_close(a);
}

/* A full disk refuses what needs room and still allows overwriting; what is removed makes room.  A
 * truncate needs none: the hole that it leaves is refused when it is written to. */
static void test_capacity(void **state)
{
    struct fixture *f = *state;
    struct file *a = file_new(f, "a");
    static const uint8_t sector[512];
    uint64_t room;

    simdisk_put_file(f->sim, "b", sector, sizeof sector);
    simdisk_set_capacity(f->sim, 3 * 512);
    write_text(a, 0, "12345");
    assert_int_equal(disk_space(f->disk, "/", &room, NULL), 0);
    assert_int_equal(room, 512);
    assert_int_equal(file_allocate(a, 0, 3 * 512, NULL), ERR_NO_SPACE);
    write_text(a, 0, "54321");
    assert_int_equal(file_truncate(a, 3 * 512, NULL), 0);
    assert_int_equal(file_write_one(a, "x", 1, 2 * 512, NULL), 0);
    assert_int_equal(file_write_one(a, "x", 1, 512, NULL), ERR_NO_SPACE);
    assert_int_equal(disk_remove(f->disk, "b", NULL), 0);
    assert_int_equal(file_allocate(a, 0, 3 * 512, NULL), 0);
    assert_int_equal(file_write_one(a, "x", 1, 512, NULL), 0);
    assert_int_equal(file_truncate(a, 0, NULL), 0);
    assert_int_equal(disk_space(f->disk, "/", &room, NULL), 0);
    assert_int_equal(room, 3 * 512);
    file_close(a);
}

/* A disk can be full for some files only; a crash gives back what was cut off by it. */
static void test_full_for_some(void **state)
{
    struct fixture *f = *state;
    struct file *a = file_new(f, "a"), *b = file_new(f, "b");

    write_text(a, 0, "12345");
    simdisk_set_full(f->sim, "a");
    write_text(b, 0, "12345");
    write_text(a, 0, "54321");
    assert_int_equal(file_write_one(a, "x", 1, 512, NULL), ERR_NO_SPACE);
    assert_int_equal(file_allocate(a, 0, 1024, NULL), ERR_NO_SPACE);
    simdisk_set_full(f->sim, NULL);
    assert_int_equal(file_write_one(a, "x", 1, 512, NULL), 0);
    file_close(a);
    file_close(b);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_what_survives), T(test_keep),       T(test_tear),     T(test_rename),
        T(test_directories),   T(test_open_flags), T(test_locks),    T(test_map),
        T(test_faults),        T(test_cut),        T(test_capacity), T(test_full_for_some),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
