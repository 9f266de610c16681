/* Snapshot files between us and a real etcd, both ways.  Needs ~/.cache/reference-etcd/bin; without
 * it the test says so and is skipped. */
#define _DEFAULT_SOURCE

#include "base/alloc.h"
#include "engine/snap/snap.h"
#include "lib/real_etcd.h"

#define PUTS 40

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
    const char *const peers[] = {real.peer}, *const clients[] = {real.client};
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
    snprintf(snap_dir, sizeof snap_dir, "%s/data/member/snap", real.dir);
    real_start("--snapshot-count=10");
    real_wait_healthy();
    for (int i = 0; i < PUTS; i++) {
        snprintf(cmd, sizeof cmd, "put key%d value%d", i, i);
        assert_int_equal(real_ctl(cmd, out, sizeof out), 0);
    }
    usleep(300000);
    real_stop();
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
    real_start("--snapshot-count=10");
    real_wait_healthy();
    assert_int_equal(real_ctl("get --print-value-only key39", out, sizeof out), 0);
    assert_string_equal(out, "value39\n");
    assert_int_equal(real_ctl("member list", out, sizeof out), 0);
    snprintf(id, sizeof id, "%" PRIx64 ", started, m1, ", member.id);
    assert_non_null(strstr(out, id));
    real_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rewrite_snapshot)};

    if (!real_init("snap"))
        return REAL_SKIPPED;
    return real_done(cmocka_run_group_tests(tests, NULL, NULL));
}
