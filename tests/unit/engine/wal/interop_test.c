/* The log between us and a real etcd, both ways.  Needs ~/.cache/reference-etcd/bin (tools of the
 * project fetch it); without it the test says so and is skipped. */
#define _DEFAULT_SOURCE
#include "engine/wal/wal.h"

#include <sys/stat.h>

#include "base/alloc.h"
#include "lib/real_etcd.h"
#include "wire/pb.h"

#define PUTS 20

static const char *wal_dir(void)
{
    static char path[300];

    snprintf(path, sizeof path, "%s/data/member/wal", real.dir);
    return path;
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
    real_start(NULL);
    real_wait_healthy();
    for (int i = 0; i < PUTS; i++) {
        snprintf(cmd, sizeof cmd, "put key%d value%d", i, i);
        assert_int_equal(real_ctl(cmd, out, sizeof out), 0);
    }
    assert_int_equal(wal_open(&o, 0, 0, &c, &w, &e), ERR_LOCKED);
    real_stop();
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
    real_start(NULL);
    real_wait_healthy();
    assert_int_equal(real_ctl("get --print-value-only key19", out, sizeof out), 0);
    assert_string_equal(out, "value19\n");
    real_stop();
    real_remove_data();
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
    snprintf(path, sizeof path, "%s/data", real.dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/data/member", real.dir);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(wal_create(&o, &m, "20261125.120000.000000", &w, &e), 0);
    snprintf(context, sizeof context, "{\"id\":4660,\"peerURLs\":[\"%s\"],\"name\":\"m1\"}",
             real.peer);
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
    real_start(NULL);
    real_wait_healthy();
    assert_int_equal(real_ctl("get --prefix --count-only -w fields ours", out, sizeof out), 0);
    assert_non_null(strstr(out, "\"Count\" : 499"));
    assert_non_null(strstr(out, "\"MemberID\" : 4660"));
    assert_int_equal(real_ctl("put more x", out, sizeof out), 0);
    real_stop();
    real_remove_data();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_and_continue),
        cmocka_unit_test(write_for_etcd),
    };

    if (!real_init("wal"))
        return REAL_SKIPPED;
    return real_done(cmocka_run_group_tests(tests, NULL, NULL));
}
