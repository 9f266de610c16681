/* Snapshot files between us and a real etcd, both ways.  Needs ~/.cache/reference-etcd/bin; without
 * it the test says so and is skipped. */
#define _DEFAULT_SOURCE
#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "engine/snap/snap.h"
#include "lib/cm.h"

#define SKIPPED 77
#define PUTS 40

static char bin[256];
static char dir[] = "/tmp/ketch-snap-XXXXXX";
static char client[64], peer[64];
static pid_t server;

static int free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *) &a, n) != 0 ||
        getsockname(fd, (struct sockaddr *) &a, &n) != 0)
        return 0;
    close(fd);
    return ntohs(a.sin_port);
}

static void start_etcd(void)
{
    char data[300], initial[80], etcd[300], log[300];

    snprintf(data, sizeof data, "--data-dir=%s/data", dir);
    snprintf(initial, sizeof initial, "m1=%s", peer);
    snprintf(etcd, sizeof etcd, "%s/etcd", bin);
    snprintf(log, sizeof log, "%s/etcd.log", dir);
    server = fork();
    if (server == 0) {
        if (freopen(log, "a", stderr) == NULL || freopen("/dev/null", "w", stdout) == NULL)
            _exit(1);
        execl(etcd, etcd, "--name=m1", data, "--listen-client-urls", client,
              "--advertise-client-urls", client, "--listen-peer-urls", peer,
              "--initial-advertise-peer-urls", peer, "--initial-cluster", initial, "--log-level",
              "warn", "--snapshot-count=10", (char *) NULL);
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

static int etcdctl(const char *args, char *out, size_t n)
{
    char cmd[1024];
    size_t got;
    FILE *f;

    snprintf(cmd, sizeof cmd, "ETCDCTL_API=3 %s/etcdctl --endpoints=%s %s 2>/dev/null", bin, client,
             args);
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
    fail_msg("the server does not answer; see %s/etcd.log", dir);
}

/* The newest .snap file's position, from its name. */
static struct snap_position newest(const char *snap_dir)
{
    struct snap_position at = {0, 0};
    char **names;
    size_t n;

    assert_int_equal(disk_list(disk_posix(), snap_dir, &names, &n, NULL), 0);
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(names[i]);

        if (len > 5 && strcmp(names[i] + len - 5, ".snap") == 0)
            assert_int_equal(sscanf(names[i], "%" SCNx64 "-%" SCNx64, &at.term, &at.index), 2);
    }
    disk_list_free(names, n);
    return at;
}

/* We read the newest snapshot of a real member, write it anew with our own payload, and the member
 * starts from that with its membership and its keys. */
static void rewrite_snapshot(void **state)
{
    const char *const peers[] = {peer}, *const clients[] = {client};
    struct snap_v2_member member = {.peer_urls = peers,
                                    .peer_urls_n = 1,
                                    .name = "m1",
                                    .client_urls = clients,
                                    .client_urls_n = 1};
    struct snap_v2_membership m = {.members = &member, .members_n = 1, .cluster_version = "3.5.0"};
    char snap_dir[300], out[512], cmd[64], id[40];
    struct snap_position at;
    struct raft_snapshot s;
    struct err e = ERR_INIT;
    struct arena a;
    struct buf b;
    size_t broken;

    (void) state;
    snprintf(snap_dir, sizeof snap_dir, "%s/data/member/snap", dir);
    start_etcd();
    wait_healthy();
    for (int i = 0; i < PUTS; i++) {
        snprintf(cmd, sizeof cmd, "put key%d value%d", i, i);
        assert_int_equal(etcdctl(cmd, out, sizeof out), 0);
    }
    usleep(300000);
    stop_etcd();
    at = newest(snap_dir);
    assert_true(at.index > 0);
    arena_init(&a, (size_t) 16 << 20);
    if (snap_load_newest(disk_posix(), snap_dir, &at, 1, &a, &s, &broken, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(s.meta.index, at.index);
    assert_int_equal(s.meta.conf_state.voters.n, 1);
    assert_true(s.data.n > 100 && s.data.p[0] == '{');
    member.id = s.meta.conf_state.voters.v[0];
    m.index = at.index;
    buf_init(&b, SNAP_V2_BYTES_MAX);
    assert_true(snap_v2_write(&m, &b));
    s.data = buf_bytes(&b);
    assert_int_equal(snap_save(disk_posix(), snap_dir, &s, &e), 0);
    buf_done(&b);
    arena_done(&a);
    start_etcd();
    wait_healthy();
    assert_int_equal(etcdctl("get --print-value-only key39", out, sizeof out), 0);
    assert_string_equal(out, "value39\n");
    assert_int_equal(etcdctl("member list", out, sizeof out), 0);
    snprintf(id, sizeof id, "%" PRIx64 ", started, m1, ", member.id);
    assert_non_null(strstr(out, id));
    stop_etcd();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rewrite_snapshot)};
    const char *home = getenv("HOME");
    char cmd[300];
    int failed;

    snprintf(bin, sizeof bin, "%s/.cache/reference-etcd/bin", home == NULL ? "" : home);
    snprintf(cmd, sizeof cmd, "%s/etcd", bin);
    if (access(cmd, X_OK) != 0) {
        printf("skipped: no reference etcd at %s\n", cmd);
        return SKIPPED;
    }
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(client, sizeof client, "http://127.0.0.1:%d", free_port());
    snprintf(peer, sizeof peer, "http://127.0.0.1:%d", free_port());
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    if (failed == 0 && system(cmd) != 0)
        return 1;
    return failed;
}
