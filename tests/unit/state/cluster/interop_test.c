/* The membership in a real etcd's data file.  Needs ~/.cache/reference-etcd/bin; without it the
 * test says so and is skipped. */
#define _DEFAULT_SOURCE
#include "lib/real_etcd.h"
#include "state/cluster/cluster.h"
#include "state/store/store.h"

/* A lone member with an alarm and a downgrade enabled, as a real 3.5 has stored them: ids follow
 * from the flags, name and URLs are there, and so is everything else. */
static void real_file(void **state)
{
    const char *const urls[] = {real.peer};
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
    char path[300], out[64];
    bool found;

    (void) state;
    real_start(NULL);
    real_wait_healthy();
    assert_int_equal(real_ctl("put a b", out, sizeof out), 0);
    real_wait_versioned();
    real_stop();
    snprintf(path, sizeof path, "%s/data/member/snap/db", real.dir);
    sc.path = path;
    if (store_open(&sc, &s, &e) != 0 || cluster_open(&cc, s, &c, &e) != 0)
        fail_msg("%s", e.msg);
    v = cluster_view(c);
    assert_int_equal(v->members_n, 1);
    assert_true(v->members[0].id == id);
    assert_string_equal(v->members[0].name, "m1");
    assert_string_equal(v->members[0].peer_urls.v[0], real.peer);
    assert_string_equal(v->members[0].client_urls.v[0], real.client);
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

    if (!real_init("cluster"))
        return REAL_SKIPPED;
    return real_done(cmocka_run_group_tests(tests, NULL, NULL));
}
