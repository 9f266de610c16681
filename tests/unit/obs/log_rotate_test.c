#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <zlib.h>

#include "base/alloc.h"
#include "lib/cm.h"
#include "obs/log_sink.h"

#define START INT64_C(1767323045678) /* 2026-01-02 03:04:05.678 UTC */
#define DAY INT64_C(86400000)

struct set_clock {
    struct clock clock;
    wall_ms wall;
};

static mono_ns no_mono(struct clock *c)
{
    (void) c;
    return 0;
}

static wall_ms set_wall(struct clock *c)
{
    return CONTAINER_OF(c, struct set_clock, clock)->wall;
}

/* A folder of its own with a log in it. */
struct fixture {
    struct set_clock clock;
    struct log_rotation rotation;
    struct log_rotated *f;
    char folder[64], path[96];
};

static struct fixture fx;

static int set_up(void **state)
{
    (void) state;
    setenv("TZ", "UTC", 1);
    memset(&fx, 0, sizeof fx);
    fx.clock = (struct set_clock){{no_mono, set_wall}, START};
    fx.rotation.max_bytes = 100;
    snprintf(fx.folder, sizeof fx.folder, "/tmp/ketch-rotate-test-XXXXXX");
    if (mkdtemp(fx.folder) == NULL)
        return -1;
    snprintf(fx.path, sizeof fx.path, "%s/etcd.log", fx.folder);
    return 0;
}

static int tear_down(void **state)
{
    char command[128];

    (void) state;
    snprintf(command, sizeof command, "rm -rf %s", fx.folder);
    return system(command);
}

static void begin(void)
{
    struct err e = ERR_INIT;

    assert_int_equal(log_rotated_open(fx.path, &fx.rotation, &fx.clock.clock, &fx.f, &e), 0);
}

/* 60 bytes of one letter and a newline: two of them are too many for one file. */
static void write_line(char letter)
{
    char line[61];

    memset(line, letter, 60);
    line[60] = '\n';
    log_rotated_write(fx.f, line, sizeof line);
    fx.clock.wall += 1000;
}

static size_t files(void)
{
    DIR *d = opendir(fx.folder);
    size_t n = 0;

    assert_non_null(d);
    for (struct dirent *x; (x = readdir(d)) != NULL;)
        n += x->d_name[0] != '.';
    closedir(d);
    return n;
}

/* The first letter of a file in the folder, plain or compressed; 0: there is none. */
static char letter_in(const char *name)
{
    char path[256], c = 0;
    gzFile f;

    snprintf(path, sizeof path, "%s/%s", fx.folder, name);
    if (access(path, F_OK) != 0)
        return 0;
    f = gzopen(path, "rb");
    assert_int_equal(gzread(f, &c, 1), 1);
    gzclose(f);
    return c;
}

/* The line that would make the file too large begins a new one; the old one has the time of that in
 * its name, and its mode stays. */
static void a_full_file_is_renamed(void **state)
{
    struct stat st;

    (void) state;
    begin();
    assert_int_equal(chmod(fx.path, 0640), 0);
    write_line('a');
    write_line('b');
    log_rotated_close(fx.f);
    assert_int_equal(files(), 2);
    assert_int_equal(letter_in("etcd.log"), 'b');
    assert_int_equal(letter_in("etcd-2026-01-02T03-04-06.678.log"), 'a');
    assert_int_equal(stat(fx.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
}

/* What was in the file before the start counts. */
static void a_file_that_was_there_counts(void **state)
{
    (void) state;
    begin();
    write_line('a');
    log_rotated_close(fx.f);
    begin();
    write_line('b');
    log_rotated_close(fx.f);
    assert_int_equal(files(), 2);
    assert_int_equal(letter_in("etcd.log"), 'b');
}

/* A line larger than a file is written whole; no old file is made of an empty one. */
static void a_long_line_is_written(void **state)
{
    char line[300];
    struct stat st;

    (void) state;
    begin();
    memset(line, 'x', sizeof line);
    log_rotated_write(fx.f, line, sizeof line);
    log_rotated_close(fx.f);
    assert_int_equal(files(), 1);
    assert_int_equal(stat(fx.path, &st), 0);
    assert_int_equal(st.st_size, sizeof line);
}

/* Only so many old files stay, the newest; what merely looks like one is not touched. */
static void old_files_are_counted(void **state)
{
    char other[128];
    FILE *f;

    (void) state;
    snprintf(other, sizeof other, "%s/etcd-2026-01-02T03-04-XX.678.log", fx.folder);
    f = fopen(other, "w");
    assert_non_null(f);
    assert_int_equal(fputs("mine", f) >= 0, 1);
    fclose(f);
    fx.rotation.max_backups = 2;
    for (char c = 'a'; c <= 'e'; c++) {
        begin();
        write_line(c);
        log_rotated_close(fx.f); /* waits for the old files */
    }
    assert_int_equal(files(), 4);
    assert_int_equal(letter_in("etcd.log"), 'e');
    assert_int_equal(letter_in("etcd-2026-01-02T03-04-09.678.log"), 'd');
    assert_int_equal(letter_in("etcd-2026-01-02T03-04-08.678.log"), 'c');
    assert_int_equal(letter_in("etcd-2026-01-02T03-04-XX.678.log"), 'm');
}

/* Old files beyond an age go at the next rotation. */
static void old_files_grow_old(void **state)
{
    (void) state;
    fx.rotation.max_age_days = 3;
    begin();
    write_line('a');
    write_line('b');
    fx.clock.wall += 2 * DAY;
    write_line('c');
    log_rotated_close(fx.f);
    assert_int_equal(files(), 3);
    begin();
    fx.clock.wall += 2 * DAY;
    write_line('d');
    log_rotated_close(fx.f);
    assert_int_equal(files(), 3);
    assert_int_equal(letter_in("etcd-2026-01-02T03-04-06.678.log"), 0);
    assert_int_equal(letter_in("etcd-2026-01-04T03-04-07.678.log"), 'b');
}

/* Old files are compressed, and count as one with what is left of them uncompressed. */
static void old_files_are_compressed(void **state)
{
    (void) state;
    fx.rotation.compress = true;
    fx.rotation.max_backups = 1;
    for (char c = 'a'; c <= 'c'; c++) {
        begin();
        write_line(c);
        log_rotated_close(fx.f);
    }
    assert_int_equal(files(), 2);
    assert_int_equal(letter_in("etcd.log"), 'c');
    assert_int_equal(letter_in("etcd-2026-01-02T03-04-07.678.log.gz"), 'b');
    assert_int_equal(letter_in("etcd-2026-01-02T03-04-07.678.log"), 0);
}

/* Many rotations in a row, with one thread at the old files or none: in the end all are done. */
static void rotations_overtake_the_tidying(void **state)
{
    (void) state;
    fx.rotation.compress = true;
    fx.rotation.max_backups = 3;
    begin();
    for (int i = 0; i < 200; i++)
        write_line((char) ('a' + i % 26));
    log_rotated_close(fx.f);
    assert_int_equal(files(), 4);
}

/* Missing folders are made; a path that cannot be opened is named. */
static void folders_are_made(void **state)
{
    struct err e = ERR_INIT;
    char want[256];

    (void) state;
    snprintf(fx.path, sizeof fx.path, "%s/x/y/etcd", fx.folder);
    begin();
    write_line('a');
    write_line('b');
    log_rotated_close(fx.f);
    assert_int_equal(letter_in("x/y/etcd"), 'b');
    assert_int_equal(letter_in("x/y/etcd-2026-01-02T03-04-06.678"), 'a');
    snprintf(fx.path, sizeof fx.path, "%s/x/y", fx.folder);
    assert_int_not_equal(log_rotated_open(fx.path, &fx.rotation, &fx.clock.clock, &fx.f, &e), 0);
    snprintf(want, sizeof want, "open sink \"%s\": open %s: Is a directory", fx.path, fx.path);
    assert_string_equal(e.msg, want);
}

/* The journal gets priority, folder, program and the whole line, in its own protocol. */
static void lines_for_the_journal(void **state)
{
    static const char tail[] = "{\"msg\":\"hello\"}\n";
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char got[512], want[256];
    int server = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), fd, head;
    ssize_t n;

    (void) state;
    snprintf(at.sun_path, sizeof at.sun_path, "%s/journal", fx.folder);
    assert_int_equal(log_journal_open(at.sun_path), -1);
    assert_int_equal(bind(server, (const struct sockaddr *) &at, sizeof at), 0);
    fd = log_journal_open(at.sun_path);
    assert_true(fd >= 0);
    assert_true(log_journal_send(fd, LOG_LEVEL_WARN, "src/node/open.c", tail, sizeof tail - 1));
    n = recv(server, got, sizeof got, 0);
    head = snprintf(want, sizeof want, "PRIORITY=4\nPACKAGE=node\nSYSLOG_IDENTIFIER=%s\nMESSAGE\n",
                    program_invocation_short_name);
    assert_int_equal(n, head + 8 + (int) sizeof tail - 1);
    assert_memory_equal(got, want, (size_t) head);
    assert_memory_equal(got + head, "\x0f\0\0\0\0\0\0\0", 8);
    assert_memory_equal(got + head + 8, tail, sizeof tail - 1);
    close(server);
    assert_false(log_journal_send(fd, LOG_LEVEL_INFO, "a/b.c", tail, sizeof tail - 1));
    close(fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_full_file_is_renamed),
        TEST(a_file_that_was_there_counts),
        TEST(a_long_line_is_written),
        TEST(old_files_are_counted),
        TEST(old_files_grow_old),
        TEST(old_files_are_compressed),
        TEST(rotations_overtake_the_tidying),
        TEST(folders_are_made),
        TEST(lines_for_the_journal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
