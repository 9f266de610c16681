/* Maintenance.Snapshot where things go wrong: clients that leave or take nothing, and other
 * maintenance meanwhile. */
#include "world.h"

#include "sys/digest.h"

#define VALUES 120
#define VALUE_BYTES 30000

static const char *const snapshot_path = "/etcdserverpb.Maintenance/Snapshot";

static int setup(void **state)
{
    static char value[VALUE_BYTES + 1];
    char key[16];

    (void) state;
    world_open(NULL);
    memset(value, 'v', VALUE_BYTES);
    for (int i = 0; i < VALUES; i++) {
        snprintf(key, sizeof key, "s%d", i);
        put(key, value);
    }
    return 0;
}

static void snapshot_open(struct flow *f)
{
    Etcdserverpb__SnapshotRequest q = ETCDSERVERPB__SNAPSHOT_REQUEST__INIT;

    flow_open(f, snapshot_path);
    flow_send(f, &q.base);
    rpc_half_close(f->rpc);
}

static void defragment(void)
{
    Etcdserverpb__DefragmentRequest q = ETCDSERVERPB__DEFRAGMENT_REQUEST__INIT;

    ASK_OK("/etcdserverpb.Maintenance/Defragment", &q.base, defragment_response, NULL);
}

/* A number of the metrics page. */
static long metric(const char *name)
{
    const char *page = http_body(http_ask("GET", "/metrics", "")), *at = page;
    size_t n = strlen(name);

    while ((at = strstr(at, name)) != NULL && (at[n] != ' ' || (at != page && at[-1] != '\n')))
        at += n;
    assert_non_null(at);
    return strtol(at + n + 1, NULL, 10);
}

static void wait_open_transactions(long at_most)
{
    for (int i = 0; i < 2000; i++) {
        if (metric("etcd_mvcc_db_open_read_transactions") <= at_most)
            return;
        pause_ms(10);
    }
    fail_msg("%ld read transactions stay open", metric("etcd_mvcc_db_open_read_transactions"));
}

/* All that came is a whole file and its sum. */
static void check_whole(const struct flow *f)
{
    struct digest *d = digest_sha256_new();
    Etcdserverpb__SnapshotResponse *m = NULL;
    uint8_t sum[SHA256_BYTES];
    uint64_t bytes = 0;

    assert_string_equal(f->text, "");
    assert_int_equal(f->code, 0);
    for (size_t i = 0; i < f->n; i++) {
        assert_int_equal(
            WIRE_DECODE(etcdserverpb__snapshot_response, f->messages[i], &world.arena, &m, NULL),
            0);
        if (i + 1 < f->n) {
            digest_add(d, m->blob.data, m->blob.len);
            bytes += m->blob.len;
        }
    }
    digest_end(d, sum);
    assert_true(bytes > (uint64_t) VALUES * VALUE_BYTES);
    assert_int_equal(bytes % 4096, 0);
    assert_memory_equal(m->blob.data, sum, SHA256_BYTES);
}

/* A client that leaves after any number of messages leaves nothing open behind it. */
static void test_client_leaves(void **state)
{
    static struct flow f;
    int left_early = 0;
    long before;

    (void) state;
    pause_ms(300); /* batches that are committed later would count too */
    before = metric("etcd_mvcc_db_open_read_transactions");
    for (size_t n = 0; n < 12; n++) {
        snapshot_open(&f);
        if (n > 0)
            flow_wait(&f, n * 10);
        if (!f.ended)
            rpc_cancel(f.rpc);
        flow_wait_end(&f);
        if (f.code == 0)
            check_whole(&f); /* on a busy machine the file is faster than the client */
        else
            assert_int_equal(f.code, 1);
        left_early += f.code != 0;
    }
    assert_true(left_early > 0);
    wait_open_transactions(before + 1);
    snapshot_open(&f);
    flow_wait_end(&f);
    check_whole(&f);
}

/* A snapshot that is being read while the file is defragmented twice, written to and compacted is
 * the file as it was at its beginning. */
static void test_defragmented_meanwhile(void **state)
{
    static struct flow f;
    int64_t revision = 0;

    (void) state;
    pause_ms(300);
    snapshot_open(&f);
    flow_wait(&f, 3);
    rpc_pause(f.rpc);
    defragment();
    for (int i = 0; i < VALUES; i++)
        revision = del("s0") + put("s0", "x") - put("s0", "y") + 1;
    compact(put("s1", "small"));
    assert_true(revision > 0);
    defragment();
    assert_false(f.ended);
    rpc_resume(f.rpc);
    flow_wait_end(&f);
    check_whole(&f);
    wait_open_transactions(2);
}

/* Two streams at once and a hash: each gets all of the file. */
static void test_side_by_side(void **state)
{
    static struct flow a, b;
    Etcdserverpb__HashRequest q = ETCDSERVERPB__HASH_REQUEST__INIT;
    Etcdserverpb__HashResponse *h;

    (void) state;
    snapshot_open(&a);
    snapshot_open(&b);
    flow_wait(&a, 2);
    ASK_OK("/etcdserverpb.Maintenance/Hash", &q.base, hash_response, &h);
    assert_true(h->hash != 0);
    flow_wait_end(&a);
    flow_wait_end(&b);
    check_whole(&a);
    check_whole(&b);
    assert_int_equal(a.n, b.n);
}

/* A server that stops does not wait for a client that takes nothing. */
static void test_stop_meanwhile(void **state)
{
    static struct flow f;

    (void) state;
    snapshot_open(&f);
    flow_wait(&f, 1);
    rpc_pause(f.rpc);
    pause_ms(50);
    assert_false(f.ended);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_client_leaves, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_defragmented_meanwhile, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_side_by_side, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_stop_meanwhile, setup, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
