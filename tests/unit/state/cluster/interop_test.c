/* The membership in a real etcd's data file.  Needs ~/.cache/reference-etcd/bin; without it the
 * test says so and is skipped. */
#define _DEFAULT_SOURCE
#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cm.h"
#include "state/cluster/cluster.h"
#include "state/store/store.h"

#define SKIPPED 77

static char bin[256];
static char dir[] = "/tmp/ketch-cluster-XXXXXX";
static char client[64], peer[64];

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

static pid_t start_etcd(void)
{
    char data[300], initial[80], etcd[300], log[300];
    pid_t pid;

    snprintf(data, sizeof data, "--data-dir=%s/data", dir);
    snprintf(initial, sizeof initial, "m1=%s", peer);
    snprintf(etcd, sizeof etcd, "%s/etcd", bin);
    snprintf(log, sizeof log, "%s/etcd.log", dir);
    pid = fork();
    if (pid == 0) {
        if (freopen(log, "a", stderr) == NULL || freopen("/dev/null", "w", stdout) == NULL)
            _exit(1);
        execl(etcd, etcd, "--name=m1", data, "--listen-client-urls", client,
              "--advertise-client-urls", client, "--listen-peer-urls", peer,
              "--initial-advertise-peer-urls", peer, "--initial-cluster", initial, "--log-level",
              "warn", (char *) NULL);
        _exit(1);
    }
    assert_true(pid > 0);
    return pid;
}

static int etcdctl(const char *args)
{
    char cmd[1024];

    snprintf(cmd, sizeof cmd, "ETCDCTL_API=3 %s/etcdctl --endpoints=%s %s >/dev/null 2>&1", bin,
             client, args);
    return system(cmd);
}

/* A lone member with an alarm and a downgrade enabled, as a real 3.5 has stored them: ids follow
 * from the flags, name and URLs are there, and so is everything else. */
static void real_file(void **state)
{
    const char *const urls[] = {peer};
    const struct cluster_strings peer_urls = {urls, 1};
    uint64_t id = cluster_member_id(&peer_urls, "etcd-cluster", -1);
    struct store_config sc = {.disk = disk_posix()};
    struct cluster_config cc = {.local_id = id, .level = CLUSTER_VERSION(3, 5)};
    struct raft_conf_state cs;
    const struct cluster_view *v;
    struct err e = ERR_INIT;
    struct cluster *c;
    struct store *s;
    struct arena a;
    char path[300];
    bool found;
    int status;
    pid_t pid = start_etcd();

    (void) state;
    for (int i = 0; i < 100 && etcdctl("endpoint health") != 0; i++)
        usleep(100000);
    assert_int_equal(etcdctl("put a b"), 0);
    usleep(300000);
    kill(pid, SIGTERM);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    snprintf(path, sizeof path, "%s/data/member/snap/db", dir);
    sc.path = path;
    if (store_open(&sc, &s, &e) != 0 || cluster_open(&cc, s, &c, &e) != 0)
        fail_msg("%s", e.msg);
    v = cluster_view(c);
    assert_int_equal(v->members_n, 1);
    assert_true(v->members[0].id == id);
    assert_string_equal(v->members[0].name, "m1");
    assert_string_equal(v->members[0].peer_urls.v[0], peer);
    assert_string_equal(v->members[0].client_urls.v[0], client);
    assert_int_equal(v->version, CLUSTER_VERSION(3, 5));
    assert_int_equal(v->storage_version, CLUSTER_VERSION(3, 5));
    assert_false(v->downgrade.enabled);
    assert_int_equal(v->alarms_n, 0);
    arena_init(&a, 1 << 20);
    assert_int_equal(cluster_get_conf_state(s, &a, &cs, &found, &e), 0);
    assert_true(found);
    assert_int_equal(cs.voters.n, 1);
    assert_true(cs.voters.v[0] == id);
    arena_done(&a);
    cluster_free(c);
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(real_file)};
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
