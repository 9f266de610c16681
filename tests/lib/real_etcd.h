/* real_etcd.h -- a real etcd beside a test: one member over a directory of its own, and its
 * etcdctl.  They are looked for in ~/.cache/reference-etcd/bin.
 *
 *      int main(void)
 *      {
 *          const struct CMUnitTest tests[] = {cmocka_unit_test(...)};
 *
 *          if (!real_init("wal"))
 *              return REAL_SKIPPED;
 *          return real_done(cmocka_run_group_tests(tests, NULL, NULL));
 *      }
 *
 * Files that include this define _DEFAULT_SOURCE.
 */
#ifndef KETCH_TESTS_LIB_REAL_ETCD_H
#define KETCH_TESTS_LIB_REAL_ETCD_H

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "lib/cm.h"

#define REAL_SKIPPED 77 /* as CTest has it */
#define REAL_PORTS_FIRST 26000
#define REAL_PORTS_N 2000

static struct {
    char bin[256];
    char dir[64];              /* its data in data/, its log in etcd.log */
    char client[64], peer[64]; /* URLs */
    pid_t pid;
} real;

static UNUSED bool real_port_is_free(unsigned port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t) port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool is;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    is = fd >= 0 && bind(fd, (struct sockaddr *) &a, sizeof a) == 0;
    close(fd);
    return is;
}

/* The first of two in a row that nobody has; of those that the kernel gives to nobody, and for each
 * process others. */
static UNUSED unsigned real_free_ports(void)
{
    for (unsigned i = 0; i < REAL_PORTS_N; i += 2) {
        unsigned p = REAL_PORTS_FIRST + (2 * (unsigned) getpid() + i) % REAL_PORTS_N;

        if (real_port_is_free(p) && real_port_is_free(p + 1))
            return p;
    }
    abort();
}

/* False: there is none, which has been said. */
static UNUSED bool real_init(const char *name)
{
    const char *home = getenv("HOME");
    char etcd[300];
    unsigned port;

    snprintf(real.bin, sizeof real.bin, "%s/.cache/reference-etcd/bin", home == NULL ? "" : home);
    snprintf(etcd, sizeof etcd, "%s/etcd", real.bin);
    if (access(etcd, X_OK) != 0) {
        printf("skipped: no reference etcd at %s\n", etcd);
        return false;
    }
    snprintf(real.dir, sizeof real.dir, "/tmp/ketch-%s-XXXXXX", name);
    if (mkdtemp(real.dir) == NULL)
        abort();
    port = real_free_ports();
    snprintf(real.client, sizeof real.client, "http://127.0.0.1:%u", port);
    snprintf(real.peer, sizeof real.peer, "http://127.0.0.1:%u", port + 1);
    return true;
}

static UNUSED void real_remove(const char *what)
{
    char cmd[300];

    snprintf(cmd, sizeof cmd, "rm -rf %s%s", real.dir, what);
    if (system(cmd) != 0)
        abort();
}

static UNUSED void real_remove_data(void)
{
    real_remove("/data");
}

/* The status to end with.  What a failed test has left stays, to be looked at. */
static UNUSED int real_done(int failed)
{
    if (failed == 0)
        real_remove("");
    return failed;
}

/* The member m1, new or over what is there; `flag` or NULL: one more flag of its own. */
static UNUSED void real_start(const char *flag)
{
    char data[300], initial[80], etcd[300], log[300];

    snprintf(data, sizeof data, "--data-dir=%s/data", real.dir);
    snprintf(initial, sizeof initial, "m1=%s", real.peer);
    snprintf(etcd, sizeof etcd, "%s/etcd", real.bin);
    snprintf(log, sizeof log, "%s/etcd.log", real.dir);
    real.pid = fork();
    if (real.pid == 0) {
        if (freopen(log, "a", stderr) == NULL || freopen("/dev/null", "w", stdout) == NULL)
            _exit(1);
        execl(etcd, etcd, "--name=m1", data, "--listen-client-urls", real.client,
              "--advertise-client-urls", real.client, "--listen-peer-urls", real.peer,
              "--initial-advertise-peer-urls", real.peer, "--initial-cluster", initial,
              "--log-level", "warn", flag, (char *) NULL);
        _exit(1);
    }
    assert_true(real.pid > 0);
}

static UNUSED void real_stop(void)
{
    int status;

    kill(real.pid, SIGTERM);
    assert_int_equal(waitpid(real.pid, &status, 0), real.pid);
}

/* What `etcdctl ARGS` prints, cut to n bytes; its exit status. */
static UNUSED int real_ctl(const char *args, char *out, size_t n)
{
    char cmd[1024];
    size_t got;
    FILE *f;

    snprintf(cmd, sizeof cmd, "ETCDCTL_API=3 %s/etcdctl --endpoints=%s %s 2>/dev/null", real.bin,
             real.client, args);
    f = popen(cmd, "r");
    assert_non_null(f);
    got = fread(out, 1, n - 1, f);
    out[got] = '\0';
    return pclose(f);
}

/* A real one decides on the cluster's version when it leads, a moment before or after it is
 * healthy. */
static UNUSED void real_wait_versioned(void)
{
    char cmd[256];

    snprintf(cmd, sizeof cmd, "curl -s %s/version | grep -q '\"etcdcluster\":\"3'", real.client);
    for (int i = 0; i < 600; i++) {
        if (system(cmd) == 0)
            return;
        usleep(100000);
    }
    fail_msg("%s knows no version of its cluster; see %s/etcd.log", real.client, real.dir);
}

static UNUSED void real_wait_healthy(void)
{
    char out[256];

    for (int i = 0; i < 600; i++) {
        if (real_ctl("endpoint health", out, sizeof out) == 0)
            return;
        usleep(100000);
    }
    fail_msg("%s does not answer; see %s/etcd.log", real.client, real.dir);
}

#endif
