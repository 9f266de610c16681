/* Needs a real etcd (tools put it into ~/.cache/reference-etcd/bin); skipped where there is none.
 */
#define _GNU_SOURCE
#include "lib/cm.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "state/mvcc/mvcc.h"
#include "state/store/store.h"

#define SKIPPED 77
#define REVISIONS_MAX 64
#define READY_SECONDS 60  /* on a machine with much else to do */
#define PORTS_FIRST 28000 /* below those that the kernel gives to clients */
#define PORTS_N 4000

static char bin[512];
static char dir[] = "/tmp/ketch-etcd-XXXXXX";
static pid_t etcd;
static unsigned port;

static bool is_free(unsigned p)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t) p)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool is;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    is = fd >= 0 && bind(fd, (struct sockaddr *) &a, sizeof a) == 0;
    close(fd);
    return is;
}

/* Two ports in a row that nobody has. */
static unsigned free_ports(void)
{
    unsigned n = (unsigned) getpid();

    for (unsigned i = 0; i < PORTS_N; i += 2) {
        unsigned p = PORTS_FIRST + (2 * n + i) % PORTS_N;

        if (is_free(p) && is_free(p + 1))
            return p;
    }
    fail_msg("no port is free");
    return 0;
}

static void start_etcd(void)
{
    char client[64], peer[64], cluster[96], data[600];

    port = free_ports();
    snprintf(client, sizeof client, "http://127.0.0.1:%u", port);
    snprintf(peer, sizeof peer, "http://127.0.0.1:%u", port + 1);
    snprintf(cluster, sizeof cluster, "default=%s", peer);
    snprintf(data, sizeof data, "%s/data", dir);
    etcd = fork();
    if (etcd == 0) {
        char exe[600], log[600];

        snprintf(exe, sizeof exe, "%s/etcd", bin);
        snprintf(log, sizeof log, "%s/log", dir);
        if (freopen(log, "w", stderr) == NULL || freopen(log, "a", stdout) == NULL)
            _exit(1);
        execl(exe, "etcd", "--data-dir", data, "--listen-client-urls", client,
              "--advertise-client-urls", client, "--listen-peer-urls", peer,
              "--initial-advertise-peer-urls", peer, "--initial-cluster", cluster, (char *) NULL);
        _exit(1);
    }
}

/* Runs etcdctl; its output, or NULL when it failed. */
static char *ctl(const char *args)
{
    static char out[65536];
    char cmd[2048];
    FILE *f;
    size_t n;

    snprintf(cmd, sizeof cmd, "%s/etcdctl --endpoints 127.0.0.1:%u %s 2>/dev/null", bin, port,
             args);
    f = popen(cmd, "r");
    assert_non_null(f);
    n = fread(out, 1, sizeof out - 1, f);
    out[n] = '\0';
    return pclose(f) == 0 ? out : NULL;
}

static void wait_until_ready(void)
{
    for (int i = 0; i < READY_SECONDS * 10; i++) {
        if (ctl("endpoint health") != NULL)
            return;
        usleep(100000);
    }
    fail_msg("etcd did not become ready");
}

static void stop_etcd(void)
{
    int status;

    kill(etcd, SIGTERM);
    waitpid(etcd, &status, 0);
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

/* HashKV of each revision as `real` has it; how many were compared. */
static size_t compare(const struct real_hash *real, size_t n)
{
    const struct mvcc_view *view = mvcc_view_pin(reader);
    size_t compared = 0;

    for (size_t i = 0; i < n; i++) {
        struct mvcc_hash_result ours = our_hash(view, real[i].revision);

        if (ours.compact_revision != real[i].compact)
            continue; /* kept from a compaction: the other program has not made it itself */
        assert_int_equal(ours.hash, (uint32_t) real[i].hash);
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
    struct real_hash real[REVISIONS_MAX];
    char path[600], copy[600], cmd[1300];
    size_t n;

    (void) state;
    start_etcd();
    wait_until_ready();
    do_operations();
    n = collect_hashes(real);
    stop_etcd();
    assert_true(n > 20);
    snprintf(path, sizeof path, "%s/data/member/snap/db", dir);
    snprintf(copy, sizeof copy, "%s/db", dir);
    snprintf(cmd, sizeof cmd, "cp %s %s", path, copy);
    assert_int_equal(system(cmd), 0);
    open_file(copy);
    assert_int_equal(mvcc_compact_revision(kv), 30);
    assert_true(compare(real, n) > 20);
    compact_to_the_end(45);

    start_etcd();
    wait_until_ready();
    assert_non_null(ctl("compaction 45 --physical"));
    n = collect_hashes(real);
    stop_etcd();
    assert_int_equal(real[0].revision, 45);
    assert_int_equal(real[0].compact, 30);
    assert_int_equal(compare(real, n), n);
    close_file();
}

static int setup(void **state)
{
    (void) state;
    return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
    char cmd[600];

    (void) state;
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    return system(cmd) != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(hashkv_gives_the_numbers_of_a_real_etcd, setup, teardown),
    };
    const char *home = getenv("HOME");
    char exe[600];

    snprintf(bin, sizeof bin, "%s/.cache/reference-etcd/bin", home == NULL ? "" : home);
    snprintf(exe, sizeof exe, "%s/etcd", bin);
    if (access(exe, X_OK) != 0)
        return SKIPPED;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
