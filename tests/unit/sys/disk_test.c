#define _DEFAULT_SOURCE
#include "sys/disk.h"

#include <sys/resource.h>
#include <unistd.h>

#include "lib/cm.h"
#include "sys/digest.h"

static char dir[] = "/tmp/ketch-disk-XXXXXX";

static int make_dir(void **state)
{
    (void) state;
    return mkdtemp(dir) == NULL;
}

static int remove_dir(void **state)
{
    char **names, path[256];
    size_t n;

    (void) state;
    if (disk_list(disk_posix(), dir, &names, &n, NULL) != 0)
        return 1;
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        if (disk_remove(disk_posix(), path, NULL) != 0)
            return 1;
    }
    disk_list_free(names, n);
    return disk_remove(disk_posix(), dir, NULL);
}

static const char *in_dir(const char *name)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

/* Pieces are written one after another at the offset, and come back; the end of the file is told.
 */
static void pieces_round_trip(void **state)
{
    struct file *f;
    struct bytes v[3] = {BYTES_LIT("abc"), BYTES_EMPTY, BYTES_LIT("defg")};
    char got[16];
    size_t n;
    struct err e = ERR_INIT;

    (void) state;
    assert_int_equal(
        disk_open(disk_posix(), in_dir("a"), DISK_READ | DISK_WRITE | DISK_CREATE, 0600, &f, &e),
        0);
    assert_int_equal(file_write(f, v, 3, 5, &e), 0);
    assert_int_equal(file_sync(f, FILE_SYNC_DATA, &e), 0);
    assert_int_equal(file_read(f, got, sizeof got, 5, &n, &e), 0);
    assert_int_equal(n, 7);
    assert_memory_equal(got, "abcdefg", 7);
    assert_int_equal(file_read_full(f, got, sizeof got, 5, &e), ERR_TRUNCATED);
    assert_string_equal(e.msg, "short read at offset 5: 7 of 16 bytes");
    file_close(f);
}

/* More pieces than one system call takes are all written. */
static void many_pieces_are_written(void **state)
{
    static struct bytes v[1000];
    static char got[2000];
    struct file *f;

    (void) state;
    for (size_t i = 0; i < 1000; i++)
        v[i] = bytes_of(i % 2 == 0 ? "xy" : "zw", 2);
    assert_int_equal(
        disk_open(disk_posix(), in_dir("b"), DISK_READ | DISK_WRITE | DISK_CREATE, 0600, &f, NULL),
        0);
    assert_int_equal(file_write(f, v, 1000, 0, NULL), 0);
    assert_int_equal(file_read_full(f, got, 2000, 0, NULL), 0);
    for (size_t i = 0; i < 1000; i++)
        assert_memory_equal(got + 2 * i, i % 2 == 0 ? "xy" : "zw", 2);
    file_close(f);
}

/* What is written after file_map shows at the same address, also past the old end. */
static void a_mapping_follows_the_file(void **state)
{
    struct file *f;
    const uint8_t *map;

    (void) state;
    assert_int_equal(
        disk_open(disk_posix(), in_dir("m"), DISK_READ | DISK_WRITE | DISK_CREATE, 0600, &f, NULL),
        0);
    assert_int_equal(file_write_one(f, "one", 3, 0, NULL), 0);
    assert_int_equal(file_map(f, UINT64_C(1) << 33, &map, NULL), 0);
    assert_memory_equal(map, "one", 3);
    assert_int_equal(file_truncate(f, 1 << 20, NULL), 0);
    assert_int_equal(file_write_one(f, "two", 3, (1 << 20) - 3, NULL), 0);
    assert_memory_equal(map + (1 << 20) - 3, "two", 3);
    file_close(f);
}

static uint64_t size_of(struct file *f)
{
    uint64_t n = 0;

    assert_int_equal(file_size(f, &n, NULL), 0);
    return n;
}

/* A file without a name, which nobody else has open, gives its room back from its end; one that
 * has a name, here or elsewhere, or another reader keeps every byte. */
static void a_file_without_a_name_is_shed(void **state)
{
    char path[256];
    struct file *f, *reader;

    (void) state;
    snprintf(path, sizeof path, "%s", in_dir("s"));
    assert_int_equal(
        disk_open(disk_posix(), path, DISK_READ | DISK_WRITE | DISK_CREATE, 0600, &f, NULL), 0);
    assert_int_equal(file_truncate(f, 10000, NULL), 0);
    assert_int_equal(link(path, in_dir("other")), 0);
    assert_false(file_shed(f, 4096));
    assert_int_equal(disk_remove(disk_posix(), path, NULL), 0);
    assert_false(file_shed(f, 4096));
    assert_int_equal(disk_open(disk_posix(), in_dir("other"), DISK_READ, 0, &reader, NULL), 0);
    assert_int_equal(disk_remove(disk_posix(), in_dir("other"), NULL), 0);
    assert_false(file_shed(f, 4096));
    assert_int_equal(size_of(f), 10000);
    file_close(reader);
    assert_true(file_shed(f, 4096));
    assert_int_equal(size_of(f), 10000 - 4096);
    assert_true(file_shed(f, 4096));
    assert_false(file_shed(f, 4096));
    assert_int_equal(size_of(f), 0);
    file_close(f);
}

/* Kilobytes of mapped files that count as this process's memory. */
static long mapped_kb(void)
{
    char line[128];
    long kb = -1;
    FILE *f = fopen("/proc/self/status", "r");

    assert_non_null(f);
    while (kb < 0 && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, "RssFile:", 8) == 0)
            kb = strtol(line + 8, NULL, 10);
    fclose(f);
    return kb;
}

/* Pages of a mapping that are given back no longer count, and are there again when touched. */
static void mapped_pages_are_given_back(void **state)
{
    uint64_t sum = 0, n = 32 << 20;
    const uint8_t *map;
    struct file *f;
    long before, touched;

    (void) state;
    assert_int_equal(
        disk_open(disk_posix(), in_dir("r"), DISK_READ | DISK_WRITE | DISK_CREATE, 0600, &f, NULL),
        0);
    assert_int_equal(file_truncate(f, n, NULL), 0);
    assert_int_equal(file_write_one(f, "end", 3, n - 3, NULL), 0);
    assert_int_equal(file_map(f, UINT64_C(1) << 33, &map, NULL), 0);
    before = mapped_kb();
    for (uint64_t i = 0; i < n; i += 4096)
        sum += map[i];
    touched = mapped_kb();
    assert_int_equal(sum, 0);
    assert_true(touched - before > (long) (n >> 11));
    file_map_release(f, n);
    assert_true(touched - mapped_kb() > (long) (n >> 11));
    assert_memory_equal(map + n - 3, "end", 3);
    file_close(f);
    assert_int_equal(disk_remove(disk_posix(), in_dir("r"), NULL), 0);
}

/* A second opener is refused the lock, and gets it when the first lets go. */
static void locks_exclude(void **state)
{
    static const enum file_lock_kind kinds[] = {FILE_LOCK_FLOCK_EXCLUSIVE, FILE_LOCK_OFD_EXCLUSIVE};
    struct err e = ERR_INIT;

    (void) state;
    for (size_t i = 0; i < 2; i++) {
        struct file *a, *b;
        unsigned how = DISK_READ | DISK_WRITE | DISK_CREATE;

        assert_int_equal(disk_open(disk_posix(), in_dir("l"), how, 0600, &a, &e), 0);
        assert_int_equal(disk_open(disk_posix(), in_dir("l"), how, 0600, &b, &e), 0);
        assert_int_equal(file_lock(a, kinds[i], &e), 0);
        assert_int_equal(file_lock(b, kinds[i], &e), ERR_LOCKED);
        assert_int_equal(file_unlock(a, kinds[i], &e), 0);
        assert_int_equal(file_lock(b, kinds[i], &e), 0);
        file_close(a);
        file_close(b);
    }
}

/* Names come in byte order; what is missing is told from what is forbidden to be there. */
static void names_and_errors(void **state)
{
    char **names;
    size_t n;
    struct file *f;
    struct err e = ERR_INIT;

    (void) state;
    assert_int_equal(disk_open(disk_posix(), in_dir("none"), DISK_READ, 0, &f, &e), ERR_NOT_FOUND);
    assert_non_null(strstr(e.msg, "none: No such file or directory"));
    assert_int_equal(disk_open(disk_posix(), in_dir("a"), DISK_WRITE | DISK_CREATE | DISK_EXCLUSIVE,
                               0600, &f, &e),
                     ERR_EXISTS);
    assert_int_equal(disk_list(disk_posix(), dir, &names, &n, &e), 0);
    assert_int_equal(n, 4); /* a, b, l, m */
    assert_string_equal(names[0], "a");
    assert_string_equal(names[3], "m");
    disk_list_free(names, n);
    assert_true(disk_exists(disk_posix(), in_dir("a")));
    assert_false(disk_exists(disk_posix(), in_dir("none")));
}

/* Without a descriptor nothing opens, and that is told from worse; a directory that was synced once
 * is synced again. */
static void without_descriptors(void **state)
{
    struct rlimit before, none;
    struct file *f;
    struct err e = ERR_INIT;
    char **names;
    size_t n;

    (void) state;
    assert_int_equal(disk_sync_dir(disk_posix(), dir, &e), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(disk_open(disk_posix(), in_dir("a"), DISK_READ, 0, &f, &e), ERR_AGAIN);
    assert_int_equal(disk_list(disk_posix(), dir, &names, &n, &e), ERR_AGAIN);
    assert_int_equal(disk_sync_dir(disk_posix(), "/", &e), ERR_AGAIN);
    assert_int_equal(disk_sync_dir(disk_posix(), dir, &e), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(disk_sync_dir(disk_posix(), in_dir("none"), &e), ERR_NOT_FOUND);
}

/* The digests of "abc" from FIPS 180. */
static void digests_match_fips(void **state)
{
    static const uint8_t want1[] = {0xa9, 0x99, 0x3e, 0x36, 0x47, 0x06, 0x81, 0x6a, 0xba, 0x3e,
                                    0x25, 0x71, 0x78, 0x50, 0xc2, 0x6c, 0x9c, 0xd0, 0xd8, 0x9d};
    static const uint8_t want256_head[] = {0xba, 0x78, 0x16, 0xbf};
    uint8_t got[32], piecewise[32];
    struct digest *d = digest_sha256_new();

    (void) state;
    sha1("abc", 3, got);
    assert_memory_equal(got, want1, sizeof want1);
    sha256("abc", 3, got);
    assert_memory_equal(got, want256_head, sizeof want256_head);
    digest_add(d, "a", 1);
    digest_add(d, "bc", 2);
    digest_end(d, piecewise);
    assert_memory_equal(got, piecewise, 32);
    digest_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_round_trip),
        cmocka_unit_test(many_pieces_are_written),
        cmocka_unit_test(locks_exclude),
        cmocka_unit_test(a_mapping_follows_the_file),
        cmocka_unit_test(mapped_pages_are_given_back),
        cmocka_unit_test(a_file_without_a_name_is_shed),
        cmocka_unit_test(names_and_errors),
        cmocka_unit_test(without_descriptors),
        cmocka_unit_test(digests_match_fips),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
