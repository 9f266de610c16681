/* The log between us and a real etcd, both ways.  Needs ~/.cache/reference-etcd/bin (tools of the
 * project fetch it); without it the test says so and is skipped. */
#define _DEFAULT_SOURCE
#include "engine/wal/wal.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "lib/cm.h"
#include "wire/pb.h"

#define SKIPPED 77
#define PUTS 20

static char bin[256];
static char dir[] = "/tmp/ketch-wal-XXXXXX";
static int client_port, peer_port;
static pid_t server;

static int free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *) &a, n), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *) &a, &n), 0);
    close(fd);
    return ntohs(a.sin_port);
}

static void start_etcd(void)
{
    char data[300], client[64], peer[64], initial[80], etcd[300];

    snprintf(data, sizeof data, "--data-dir=%s/data", dir);
    snprintf(client, sizeof client, "http://127.0.0.1:%d", client_port);
    snprintf(peer, sizeof peer, "http://127.0.0.1:%d", peer_port);
    snprintf(initial, sizeof initial, "m1=%s", peer);
    snprintf(etcd, sizeof etcd, "%s/etcd", bin);
    server = fork();
    if (server == 0) {
        char log[300];

        snprintf(log, sizeof log, "%s/etcd.log", dir);
        if (freopen(log, "a", stderr) == NULL || freopen("/dev/null", "w", stdout) == NULL)
            _exit(1);
        execl(etcd, etcd, "--name=m1", data, "--listen-client-urls", client,
              "--advertise-client-urls", client, "--listen-peer-urls", peer,
              "--initial-advertise-peer-urls", peer, "--initial-cluster", initial, "--log-level",
              "warn", (char *) NULL);
        _exit(1);
    }
    assert_true(server > 0);
}

static void stop_etcd(void)
{
    int status;

    kill(server, SIGTERM);
    assert_int_equal(waitpid(server, &status, 0), server);
}

/* What `etcdctl ARGS` prints, cut to n bytes; its exit status. */
static int etcdctl(const char *args, char *out, size_t n)
{
    char cmd[1024];
    size_t got;
    FILE *f;

    snprintf(cmd, sizeof cmd, "ETCDCTL_API=3 %s/etcdctl --endpoints=127.0.0.1:%d %s 2>/dev/null",
             bin, client_port, args);
    f = popen(cmd, "r");
    assert_non_null(f);
    got = fread(out, 1, n - 1, f);
    out[got] = '\0';
    return pclose(f);
}

static void wait_healthy(void)
{
    char out[256];

    for (int i = 0; i < 100; i++) {
        if (etcdctl("endpoint health", out, sizeof out) == 0)
            return;
        usleep(100000);
    }
    fail_msg("the server on port %d does not answer; see %s/etcd.log", client_port, dir);
}

static const char *wal_dir(void)
{
    static char path[300];

    snprintf(path, sizeof path, "%s/data/member/wal", dir);
    return path;
}

static void remove_data(void)
{
    char cmd[300];

    snprintf(cmd, sizeof cmd, "rm -rf %s/data", dir);
    assert_int_equal(system(cmd), 0);
}

/* We read what a real member has written, and continue it so that the member goes on with that. */
static void read_and_continue(void **state)
{
    struct wal_options o = {.disk = disk_posix(), .dir = wal_dir()};
    char out[256], cmd[64];
    struct wal_contents c;
    struct wal_snapshot *snaps;
    struct err e = ERR_INIT;
    struct wal *w;
    struct arena a;
    size_t n;

    (void) state;
    start_etcd();
    wait_healthy();
    for (int i = 0; i < PUTS; i++) {
        snprintf(cmd, sizeof cmd, "put key%d value%d", i, i);
        assert_int_equal(etcdctl(cmd, out, sizeof out), 0);
    }
    assert_int_equal(wal_open(&o, 0, 0, &c, &w, &e), ERR_LOCKED);
    stop_etcd();
    if (wal_open(&o, 0, 0, &c, &w, &e) != 0)
        fail_msg("%s", e.msg);
    assert_true(c.entries.n > PUTS);
    assert_true(c.metadata.node_id != 0 && c.metadata.cluster_id != 0);
    assert_true(c.snapshot_found && !c.repaired);
    assert_int_equal(c.entries.v[0].type, RAFT_ENTRY_CONF_CHANGE);
    arena_init(&a, 1 << 20);
    assert_int_equal(wal_valid_snapshots(disk_posix(), wal_dir(), &a, &snaps, &n, &e), 0);
    assert_int_equal(n, 1);
    assert_int_equal(snaps[0].index, 0);
    arena_done(&a);
    {
        struct raft_hard_state hs = c.hard_state;
        struct raft_entry en = {.term = hs.term, .index = c.entries.n + 1};
        struct wal_save save = {.entries = &en, .entries_n = 1, .hard_state = &hs};

        hs.commit = en.index;
        assert_int_equal(wal_append_batch(w, &save, 1, &e), 0);
    }
    wal_contents_done(&c);
    wal_close(w);
    start_etcd();
    wait_healthy();
    assert_int_equal(etcdctl("get --print-value-only key19", out, sizeof out), 0);
    assert_string_equal(out, "value19\n");
    stop_etcd();
    remove_data();
}

/* The data of an entry that puts key<i>. */
static struct bytes put_request(struct arena *a, unsigned i, size_t value_n)
{
    char key[32];
    size_t key_n = (size_t) snprintf(key, sizeof key, "ours%u", i);
    uint8_t *value = arena_alloc(a, value_n), *put, *all, *p;
    size_t n;

    memset(value, 'v', value_n);
    put = arena_alloc(a, value_n + 100);
    p = pb_put_bytes(put, 1, bytes_of(key, key_n));
    p = pb_put_bytes(p, 2, bytes_of(value, value_n));
    n = (size_t) (p - put);
    all = arena_alloc(a, n + 100);
    p = pb_put_head(pb_put_u64(all, 1, 1000 + i), 4, n);
    p = pb_put_raw(p, put, n);
    return bytes_of(all, (size_t) (p - all));
}

/* A real member starts on a log of several segments that only we have written, and has every entry
 * of it applied. */
static void write_for_etcd(void **state)
{
    struct wal_options o = {.disk = disk_posix(), .dir = wal_dir(), .segment_bytes = 262144};
    const struct wal_metadata m = {0x1234, 0x77};
    struct raft_conf_change cc = {.type = RAFT_CONF_ADD_NODE, .node_id = 0x1234};
    struct raft_hard_state hs = {.term = 1, .vote = 0x1234};
    struct err e = ERR_INIT;
    struct wal_stats st;
    uint8_t conf[256];
    char context[128], path[300], out[256];
    struct arena a;
    struct wal *w;

    (void) state;
    snprintf(path, sizeof path, "%s/data", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/data/member", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(wal_create(&o, &m, "20261125.120000.000000", &w, &e), 0);
    snprintf(context, sizeof context,
             "{\"id\":4660,\"peerURLs\":[\"http://127.0.0.1:%d\"],\"name\":\"m1\"}", peer_port);
    cc.context = bytes_str(context);
    arena_init(&a, 64 << 20);
    for (unsigned i = 1; i <= 500; i++) {
        struct raft_entry en = {.term = 1, .index = i};
        struct wal_save save = {.entries = &en, .entries_n = 1, .hard_state = &hs};

        if (i == 1) {
            en.type = RAFT_ENTRY_CONF_CHANGE;
            en.data = bytes_of(conf, (size_t) (raft_conf_change_put(&cc, conf) - conf));
        } else {
            en.data = put_request(&a, i, 1 + i * 20);
        }
        hs.commit = i;
        if (i == 250)
            assert_int_equal(wal_prepare(w, &e), 0);
        assert_int_equal(wal_append_batch(w, &save, 1, &e), 0);
    }
    arena_done(&a);
    wal_stats(w, &st);
    assert_true(st.cuts > 5);
    wal_close(w);
    start_etcd();
    wait_healthy();
    assert_int_equal(etcdctl("get --prefix --count-only -w fields ours", out, sizeof out), 0);
    assert_non_null(strstr(out, "\"Count\" : 499"));
    assert_non_null(strstr(out, "\"MemberID\" : 4660"));
    assert_int_equal(etcdctl("put more x", out, sizeof out), 0);
    stop_etcd();
    remove_data();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_and_continue),
        cmocka_unit_test(write_for_etcd),
    };
    const char *home = getenv("HOME");
    char etcd[300];
    int failed;

    snprintf(bin, sizeof bin, "%s/.cache/reference-etcd/bin", home == NULL ? "" : home);
    snprintf(etcd, sizeof etcd, "%s/etcd", bin);
    if (access(etcd, X_OK) != 0) {
        printf("skipped: no reference etcd at %s\n", etcd);
        return SKIPPED;
    }
    if (mkdtemp(dir) == NULL)
        return 1;
    client_port = free_port();
    peer_port = free_port();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (failed == 0) {
        char cmd[300];

        snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
        if (system(cmd) != 0)
            return 1;
    }
    return failed;
}
