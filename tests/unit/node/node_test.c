#include "base/alloc.h"
#include "unit/node/lone.h"

/* A first start elects itself in term 2, publishes its name and decides the cluster version: four
 * entries, as in etcd, and revision 1. */
static void a_first_start_is_etcds(void **state)
{
    struct simdisk *disk = simdisk_new(1);
    struct member *m = lone_fresh(disk, 1);
    struct node_status st;

    (void) state;
    node_status(m->node, &st);
    assert_int_equal(st.member_id, UINT64_C(10276657743932975437));
    assert_int_equal(st.cluster_id, UINT64_C(14841639068965178418));
    assert_int_equal(st.term, 2);
    assert_int_equal(st.leader, st.member_id);
    assert_int_equal(st.commit, 4);
    assert_int_equal(st.applied, 4);
    assert_int_equal(st.cluster_version, 3 << 16 | 7);
    assert_true(st.ready);
    assert_int_equal(mvcc_revision(node_mvcc(m->node)), 1);
    lone_end(m, disk);
}

/* A put is answered with its revision, seen by readers at once, and there after a restart. */
static void puts_outlive_a_restart(void **state)
{
    struct simdisk *disk = simdisk_new(2);
    struct member *m = lone_fresh(disk, 2);
    struct err e = ERR_INIT;
    char value[64];
    int64_t mod;

    (void) state;
    assert_int_equal(member_put(m, "a", "1"), 2);
    assert_int_equal(member_put(m, "a", "2"), 3);
    assert_true(member_get(m, "a", value, sizeof value, &mod));
    assert_string_equal(value, "2");
    assert_int_equal(mod, 3);
    assert_true(node_read_now(m->node));
    member_close(m);
    assert_int_equal(member_open(m, &e), 0);
    assert_true(member_run(m, 1000, NULL));
    assert_true(member_get(m, "a", value, sizeof value, &mod));
    assert_string_equal(value, "2");
    assert_int_equal(mod, 3);
    assert_int_equal(member_put(m, "b", "3"), 4);
    lone_end(m, disk);
}

/* Power is cut at every point of a run of puts: after the restart every acknowledged one is there,
 * at its revision, and the store goes on. */
static void nothing_acknowledged_is_lost(void **state)
{
    (void) state;
    member_may_die();
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct simdisk *disk = simdisk_new(seed);
        struct member *m = lone_fresh(disk, seed);
        int64_t acked[40] = {0}, mod;
        struct err e = ERR_INIT;
        char key[16], value[64];
        size_t n = 0;

        simdisk_cut_after(disk, 1 + seed * 3 % 90);
        for (; n < ARRAY_LEN(acked); n++) {
            snprintf(key, sizeof key, "k%zu", n);
            acked[n] = member_put(m, key, "v");
            if (acked[n] == 0)
                break;
        }
        if (n < ARRAY_LEN(acked))
            assert_string_not_equal(m->died, "");
        member_abandon(m);
        simdisk_crash(disk, seed % 2 == 0 ? SIM_CRASH_DROP : SIM_CRASH_TEAR);
        assert_int_equal(member_open(m, &e), 0);
        assert_true(member_run(m, 2000, NULL));
        for (size_t i = 0; i < n; i++) {
            snprintf(key, sizeof key, "k%zu", i);
            assert_true(member_get(m, key, value, sizeof value, &mod));
            assert_int_equal(mod, acked[i]);
        }
        assert_true(member_put(m, "after", "x") > (n == 0 ? 1 : acked[n - 1]));
        lone_end(m, disk);
    }
    member_must_live();
}

/* A failed sync of the log stops the member with words that say so, and the put is not
 * acknowledged. */
static void a_failed_sync_stops_the_member(void **state)
{
    struct simdisk *disk = simdisk_new(3);
    struct member *m;

    (void) state;
    member_may_die();
    m = lone_fresh(disk, 3);
    assert_true(member_run(m, 1000, NULL));
    simdisk_fail(disk, SIM_SYNC, 1, ERR_IO, true);
    assert_int_equal(member_put(m, "a", "1"), 0);
    assert_non_null(strstr(m->died, "failed to save to the write-ahead log"));
    member_abandon(m);
    simdisk_crash(disk, SIM_CRASH_KEEP);
    test_free(m);
    simdisk_free(disk);
    member_must_live();
}

/* A request past the limit is refused with etcd's error and changes nothing. */
static void large_requests_are_refused(void **state)
{
    struct simdisk *disk = simdisk_new(4);
    struct member *m = lone_fresh(disk, 4);
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    uint8_t *big = test_calloc(1, 2 << 20);
    struct call *c;

    (void) state;
    put.key = wire_binary(BYTES_LIT("a"));
    put.value = wire_binary(bytes_of(big, 1572864));
    c = member_propose(m, 4, &put.base);
    assert_true(c->answered);
    assert_int_equal(c->r.result.err, API_REQUEST_TOO_LARGE);
    call_free(c);
    assert_int_equal(member_put(m, "a", "1"), 2);
    test_free(big);
    lone_end(m, disk);
}

/* A lease that nobody renews takes its keys with it, in one revision, when its time is up and not
 * before. */
static void leases_end_when_their_time_is_up(void **state)
{
    struct simdisk *disk = simdisk_new(5);
    struct member *m = lone_fresh(disk, 5);
    Etcdserverpb__LeaseGrantRequest grant = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct call *c;
    char value[64];
    int64_t mod;

    (void) state;
    grant.id = 77;
    grant.ttl = 5;
    c = member_propose(m, 8, &grant.base);
    assert_int_equal(c->r.result.err, API_OK);
    assert_int_equal(((Etcdserverpb__LeaseGrantResponse *) c->r.result.msg)->ttl, 5);
    call_free(c);
    c = member_propose(m, 8, &grant.base);
    assert_int_equal(c->r.result.err, API_LEASE_EXIST);
    call_free(c);
    put.key = wire_binary(BYTES_LIT("leased"));
    put.lease = 77;
    call_free(member_propose(m, 4, &put.base));
    assert_true(member_run(m, 4000, NULL));
    assert_true(member_get(m, "leased", value, sizeof value, &mod));
    c = member_ask(m, NODE_REQ_LEASE_KEEPALIVE, 77);
    assert_int_equal(((Etcdserverpb__LeaseKeepAliveResponse *) c->r.result.msg)->ttl, 5);
    call_free(c);
    assert_true(member_run(m, 4000, NULL));
    assert_true(member_get(m, "leased", value, sizeof value, &mod));
    assert_true(member_run(m, 3000, NULL));
    assert_false(member_get(m, "leased", value, sizeof value, &mod));
    c = member_ask(m, NODE_REQ_LEASE_TTL, 77);
    assert_int_equal(((Etcdserverpb__LeaseTimeToLiveResponse *) c->r.result.msg)->ttl, -1);
    call_free(c);
    put.lease = 78;
    c = member_propose(m, 4, &put.base);
    assert_int_equal(c->r.result.err, API_LEASE_NOT_FOUND);
    call_free(c);
    lone_end(m, disk);
}

/* A physical compaction answers when the file is rid of what went; older revisions are then
 * refused, and the same compaction again is refused, too. */
static void compaction_is_physical(void **state)
{
    struct simdisk *disk = simdisk_new(6);
    struct member *m = lone_fresh(disk, 6);
    Etcdserverpb__CompactionRequest compact = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    struct call *c;

    (void) state;
    for (int i = 0; i < 50; i++)
        assert_int_equal(member_put(m, "a", "x"), i + 2);
    compact.revision = 40;
    compact.physical = 1;
    c = member_propose(m, 7, &compact.base);
    assert_true(c->answered);
    assert_int_equal(c->r.result.err, API_OK);
    assert_int_equal(c->r.result.revision, 51);
    call_free(c);
    c = member_propose(m, 7, &compact.base);
    assert_int_equal(c->r.result.err, API_COMPACTED);
    call_free(c);
    compact.revision = 99;
    c = member_propose(m, 7, &compact.base);
    assert_int_equal(c->r.result.err, API_FUTURE_REV);
    call_free(c);
    c = member_ask(m, NODE_REQ_HASH_KV, 0);
    assert_int_equal(c->r.result.err, API_OK);
    assert_int_equal(((Etcdserverpb__HashKVResponse *) c->r.result.msg)->compact_revision, 40);
    call_free(c);
    c = member_ask(m, NODE_REQ_HASH_KV, 39);
    assert_int_equal(c->r.result.err, API_COMPACTED);
    call_free(c);
    lone_end(m, disk);
}

/* Over the quota a put is told so, the alarm is on, reads and deletes go on, and disarming helps.
 */
static void the_quota_raises_an_alarm(void **state)
{
    struct simdisk *disk = simdisk_new(7);
    struct member *m = lone_new(disk, 7);
    Etcdserverpb__AlarmRequest alarm = ETCDSERVERPB__ALARM_REQUEST__INIT;
    struct node_alarm on[4];
    char big[3000];
    int tries = 0;
    struct call *c;

    (void) state;
    m->cfg.quota_bytes = 64 * 1024;
    lone_open(m);
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    while (member_put(m, "a", big) != 0 && tries < 200) {
        tries++;
        assert_true(member_run(m, 150, NULL));
    }
    assert_in_range(tries, 1, 100);
    assert_true(member_run(m, 200, NULL));
    assert_int_equal(node_alarms(m->node, on, 4), 1);
    assert_int_equal(on[0].kind, 1);
    assert_int_equal(member_put(m, "b", "small"), 0);
    alarm.action = ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__DEACTIVATE;
    alarm.alarm = ETCDSERVERPB__ALARM_TYPE__NOSPACE;
    alarm.memberid = on[0].member_id;
    c = member_propose(m, 10, &alarm.base);
    assert_int_equal(((Etcdserverpb__AlarmResponse *) c->r.result.msg)->n_alarms, 1);
    call_free(c);
    assert_int_equal(node_alarms(m->node, on, 4), 0);
    lone_end(m, disk);
}

/* Setting an alarm, and taking it back, is answered by that alarm alone, also in the name of member
 * 0. */
static void alarms_are_answered_alone(void **state)
{
    struct simdisk *disk = simdisk_new(17);
    struct member *m = lone_fresh(disk, 17);
    Etcdserverpb__AlarmRequest alarm = ETCDSERVERPB__ALARM_REQUEST__INIT;
    static const struct {
        int activate;
        uint64_t id;
    } steps[] = {{1, 5}, {1, 0}, {0, 0}, {0, 5}};

    (void) state;
    alarm.alarm = ETCDSERVERPB__ALARM_TYPE__NOSPACE;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct call *c;
        Etcdserverpb__AlarmResponse *res;

        alarm.action = steps[i].activate ? ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__ACTIVATE
                                         : ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__DEACTIVATE;
        alarm.memberid = steps[i].id;
        c = member_propose(m, 10, &alarm.base);
        res = (Etcdserverpb__AlarmResponse *) c->r.result.msg;
        assert_int_equal(res->n_alarms, 1);
        assert_int_equal(res->alarms[0]->memberid, steps[i].id);
        call_free(c);
    }
    lone_end(m, disk);
}

/* The members are one, with the name and URLs that it published. */
static void the_member_is_listed(void **state)
{
    struct simdisk *disk = simdisk_new(8);
    struct member *m = lone_fresh(disk, 8);
    struct call *c = member_ask(m, NODE_REQ_MEMBER_LIST, 0);
    Etcdserverpb__MemberListResponse *res = (void *) c->r.result.msg;

    (void) state;
    assert_int_equal(res->n_members, 1);
    assert_string_equal(res->members[0]->name, "m");
    assert_string_equal(res->members[0]->peerurls[0], "http://localhost:2380");
    assert_string_equal(res->members[0]->clienturls[0], "http://localhost:2379");
    call_free(c);
    lone_end(m, disk);
}

/* After every snapshot_count entries a snapshot file is written with its marker, and a start from
 * there works. */
static void snapshots_are_taken(void **state)
{
    struct simdisk *disk = simdisk_new(9);
    struct member *m = lone_new(disk, 9);
    struct err e = ERR_INIT;
    char **names, value[64];
    size_t n, snaps = 0;
    int64_t mod;

    (void) state;
    m->cfg.snapshot_count = 50;
    m->cfg.catchup_entries = 20;
    lone_open(m);
    for (int i = 0; i < 200; i++)
        assert_int_equal(member_put(m, "a", "x"), i + 2);
    assert_true(member_run(m, 500, NULL));
    assert_int_equal(disk_list(m->disk, "/data/member/snap", &names, &n, &e), 0);
    for (size_t i = 0; i < n; i++)
        snaps += strstr(names[i], ".snap") != NULL;
    disk_list_free(names, n);
    assert_in_range(snaps, 2, 5);
    member_close(m);
    assert_int_equal(member_open(m, &e), 0);
    assert_true(member_run(m, 1000, NULL));
    assert_true(member_get(m, "a", value, sizeof value, &mod));
    assert_int_equal(mod, 201);
    lone_end(m, disk);
}

/* Turns all actors but the store's, whose disk hangs, for `ms` milliseconds. */
static void run_without_store(struct member *m, int ms)
{
    for (int i = 0; i < ms; i++, m->now += 1000000) {
        for (int k = 0; k < NODE_ACTORS; k++)
            if (k != NODE_STORE)
                node_run(m->node, (enum node_actor) k, m->now, 0);
    }
}

/* While the data file's disk hangs nothing more is sealed; a snapshot that falls due then is not
 * taken before the file holds its index: the member would not start again. */
static void a_snapshot_waits_for_the_data_file(void **state)
{
    struct simdisk *disk = simdisk_new(12);
    struct member *m = lone_new(disk, 12);
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct err e = ERR_INIT;
    struct call *c[16];
    char value[64];
    int64_t mod;

    (void) state;
    member_may_die();
    m->cfg.snapshot_count = 4 + ARRAY_LEN(c) - 1;
    lone_open(m);
    put.key = wire_binary(BYTES_LIT("a"));
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        c[i] = member_submit(m, 4, &put.base);
        run_without_store(m, i + 4 < ARRAY_LEN(c) ? 120 : 5);
        assert_true(c[i]->answered);
        call_free(c[i]);
    }
    /* The disk answers again; what the store then lets go of reaches the log before power is cut.
     */
    node_run(m->node, NODE_STORE, m->now, 0);
    node_run(m->node, NODE_RAFT, m->now, 0);
    node_run(m->node, NODE_WAL, m->now, 0);
    member_abandon(m);
    member_must_live();
    simdisk_crash(disk, SIM_CRASH_DROP);
    assert_int_equal(member_open(m, &e), 0);
    assert_true(member_run(m, 1000, NULL));
    assert_true(member_get(m, "a", value, sizeof value, &mod));
    assert_int_equal(mod, ARRAY_LEN(c) + 1);
    lone_end(m, disk);
}

/* What is submitted while the member stops is answered, with "server stopped" if nothing better. */
static void a_stop_answers_everybody(void **state)
{
    struct simdisk *disk = simdisk_new(10);
    struct member *m = lone_fresh(disk, 10);
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct call *c[20];

    (void) state;
    put.key = wire_binary(BYTES_LIT("a"));
    for (int i = 0; i < 20; i++)
        c[i] = member_submit(m, 4, &put.base);
    member_close(m);
    for (int i = 0; i < 20; i++) {
        assert_true(c[i]->answered);
        assert_true(c[i]->r.result.err == API_OK || c[i]->r.result.err == API_STOPPED);
        call_free(c[i]);
    }
    test_free(m);
    simdisk_free(disk);
}

/* Power is cut at every point of a first start: the next one ends in a member that takes writes. */
static void a_first_start_can_be_cut_short(void **state)
{
    (void) state;
    for (uint64_t cut = 1; cut <= 80; cut++) {
        struct simdisk *disk = simdisk_new(cut);
        struct member *m = lone_new(disk, cut);
        struct err e = ERR_INIT;

        member_may_die();
        simdisk_cut_after(disk, cut);
        if (member_open(m, &e) == 0) {
            member_run(m, 3000, NULL);
            member_abandon(m);
        }
        member_must_live();
        simdisk_crash(disk, cut % 2 == 0 ? SIM_CRASH_DROP : SIM_CRASH_TEAR);
        lone_open(m);
        assert_int_equal(member_put(m, "a", "1"), 2);
        lone_end(m, disk);
    }
}

static struct call *submit(struct member *m, enum node_request_kind kind, int64_t lease_id)
{
    struct call *c = xmem_calloc(1, sizeof *c);

    c->r.kind = kind;
    c->r.sink = &m->sink;
    c->r.arena = arena_new((size_t) 1 << 20);
    c->r.lease_id = lease_id;
    node_submit(m->node, &c->r);
    return c;
}

/* A keep-alive that waits for the end of a lease which cannot end (the CORRUPT alarm refuses its
 * revocation), and a compaction that waits for the file, come back as soon as waits are over. */
static void waits_end_before_the_stop(void **state)
{
    struct simdisk *disk = simdisk_new(13);
    struct member *m = lone_fresh(disk, 13);
    Etcdserverpb__LeaseGrantRequest grant = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    Etcdserverpb__AlarmRequest alarm = ETCDSERVERPB__ALARM_REQUEST__INIT;
    Etcdserverpb__CompactionRequest compact = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    struct call *c, *keep_alive, *physical;

    (void) state;
    grant.id = 7;
    grant.ttl = 1;
    call_free(member_propose(m, 8, &grant.base));
    assert_int_equal(member_put(m, "a", "x"), 2);
    assert_int_equal(member_put(m, "a", "x"), 3);
    compact.revision = 3;
    compact.physical = true;
    physical = member_submit(m, 7, &compact.base);
    run_without_store(m, 100);
    alarm.action = ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__ACTIVATE;
    alarm.alarm = ETCDSERVERPB__ALARM_TYPE__CORRUPT;
    c = member_submit(m, 10, &alarm.base);
    run_without_store(m, 8000);
    assert_true(c->answered);
    call_free(c);
    keep_alive = submit(m, NODE_REQ_LEASE_KEEPALIVE, 7);
    run_without_store(m, 60000);
    assert_false(keep_alive->answered);
    assert_false(physical->answered);
    node_end_waits(m->node);
    run_without_store(m, 100);
    assert_true(keep_alive->answered);
    assert_string_equal(keep_alive->r.result.text, "not a primary lessor");
    assert_true(physical->answered);
    assert_int_equal(physical->r.result.err, API_STOPPED);
    call_free(keep_alive);
    call_free(physical);
    lone_end(m, disk);
}

/* A compaction of the file that is under way when the member stops is broken off, and goes on at
 * the next start. */
static void a_stop_breaks_off_a_compaction(void **state)
{
    struct simdisk *disk = simdisk_new(14);
    struct member *m = lone_fresh(disk, 14);
    Etcdserverpb__CompactionRequest compact = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    struct call *c;

    (void) state;
    for (int i = 0; i < 20; i++)
        assert_int_equal(member_put(m, "a", "x"), i + 2);
    compact.revision = 15;
    c = member_submit(m, 7, &compact.base);
    run_without_store(m, 100);
    assert_true(c->answered);
    assert_int_equal(c->r.result.err, API_OK);
    call_free(c);
    node_stop(m->node);
    run_without_store(m, 20); /* all others have stopped when the store gives the compaction back */
    member_close(m);
    lone_open(m);
    assert_int_equal(mvcc_compact_revision(node_mvcc(m->node)), 15);
    assert_int_equal(member_put(m, "b", "x"), 22);
    lone_end(m, disk);
}

/* A snapshot that the store takes when all others have stopped goes into no log any more: its job
 * is freed (which the leak checker looks at), and the member starts again. */
static void a_stop_leaves_no_snapshot_behind(void **state)
{
    struct simdisk *disk = simdisk_new(15);
    struct member *m = lone_new(disk, 15);
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct call *c[12];

    (void) state;
    m->cfg.snapshot_count = 4 + ARRAY_LEN(c) - 1;
    lone_open(m);
    put.key = wire_binary(BYTES_LIT("a"));
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        c[i] = member_submit(m, 4, &put.base);
        run_without_store(m, 5);
        assert_true(c[i]->answered);
        call_free(c[i]);
    }
    node_stop(m->node);
    run_without_store(m, 20);
    member_close(m);
    assert_true(disk_exists(m->disk, "/data/member/snap/0000000000000002-0000000000000010.snap"));
    lone_open(m);
    assert_int_equal(member_put(m, "a", "x"), ARRAY_LEN(c) + 2);
    lone_end(m, disk);
}

/* Of databases that leaders have sent those are removed that the member is past, and no other,
 * however few are to be kept: a snapshot that is on its way through the log needs its own, be it
 * the oldest. */
static void received_databases_wait_for_their_snapshots(void **state)
{
    struct simdisk *disk = simdisk_new(16);
    struct member *m = lone_new(disk, 16);

    (void) state;
    m->cfg.snapshots_max = 1;
    lone_open(m);
    simdisk_put_file(disk, "/data/member/snap/0000000000000004.snap.db", "x", 1);
    simdisk_put_file(disk, "/data/member/snap/0000000000000100.snap.db", "x", 1);
    simdisk_put_file(disk, "/data/member/snap/0000000000000200.snap.db", "x", 1);
    assert_true(member_run(m, 60000, NULL));
    assert_false(disk_exists(m->disk, "/data/member/snap/0000000000000004.snap.db"));
    assert_true(disk_exists(m->disk, "/data/member/snap/0000000000000100.snap.db"));
    assert_true(disk_exists(m->disk, "/data/member/snap/0000000000000200.snap.db"));
    lone_end(m, disk);
}

/* The same seed gives the same bytes on disk: nothing of the outside leaks in. */
static void the_same_seed_gives_the_same_files(void **state)
{
    uint8_t *log[2];
    size_t n[2];

    (void) state;
    for (int k = 0; k < 2; k++) {
        struct simdisk *disk = simdisk_new(11);
        struct member *m = lone_fresh(disk, 11);
        char key[16];

        for (int i = 0; i < 30; i++) {
            snprintf(key, sizeof key, "k%d", i % 7);
            assert_int_equal(member_put(m, key, "v"), i + 2);
        }
        member_close(m);
        log[k] = simdisk_get_file(disk, "/data/member/snap/db", &n[k]);
        test_free(m);
        simdisk_free(disk);
    }
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(log[0], log[1], n[0]);
    mem_free(log[0]);
    mem_free(log[1]);
}

/* A transaction nested as deep as a client may send it is one level deeper in the log, and is
 * applied all the same. */
static void the_deepest_transaction_is_applied(void **state)
{
    static Etcdserverpb__TxnRequest txns[WIRE_DEPTH_MAX / 2];
    static Etcdserverpb__RequestOp ops[WIRE_DEPTH_MAX / 2], *op[WIRE_DEPTH_MAX / 2];
    struct simdisk *disk = simdisk_new(11);
    struct member *m = lone_fresh(disk, 11);
    Etcdserverpb__Compare compare = ETCDSERVERPB__COMPARE__INIT, *compares = &compare;
    Etcdserverpb__TxnRequest *decoded;
    struct call *c;

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(txns); i++) {
        etcdserverpb__txn_request__init(&txns[i]);
        etcdserverpb__request_op__init(&ops[i]);
        ops[i].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN;
        ops[i].request_txn = i + 1 < ARRAY_LEN(txns) ? &txns[i + 1] : NULL;
        op[i] = &ops[i];
        txns[i].success = &op[i];
        txns[i].n_success = i + 1 < ARRAY_LEN(txns) ? 1 : 0;
    }
    compare.key = wire_binary(BYTES_LIT("k"));
    txns[ARRAY_LEN(txns) - 1].compare = &compares;
    txns[ARRAY_LEN(txns) - 1].n_compare = 1;
    c = member_propose(m, 6, &txns[0].base);
    assert_string_equal(m->died, "");
    assert_true(c->answered);
    assert_int_equal(WIRE_DECODE(etcdserverpb__txn_request, c->r.body, c->r.arena, &decoded, NULL),
                     0);
    assert_int_equal(c->r.result.err, API_OK);
    call_free(c);
    lone_end(m, disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_start_is_etcds),
        cmocka_unit_test(puts_outlive_a_restart),
        cmocka_unit_test(nothing_acknowledged_is_lost),
        cmocka_unit_test(a_failed_sync_stops_the_member),
        cmocka_unit_test(large_requests_are_refused),
        cmocka_unit_test(leases_end_when_their_time_is_up),
        cmocka_unit_test(compaction_is_physical),
        cmocka_unit_test(the_quota_raises_an_alarm),
        cmocka_unit_test(alarms_are_answered_alone),
        cmocka_unit_test(the_member_is_listed),
        cmocka_unit_test(snapshots_are_taken),
        cmocka_unit_test(a_snapshot_waits_for_the_data_file),
        cmocka_unit_test(a_stop_answers_everybody),
        cmocka_unit_test(a_first_start_can_be_cut_short),
        cmocka_unit_test(waits_end_before_the_stop),
        cmocka_unit_test(a_stop_breaks_off_a_compaction),
        cmocka_unit_test(a_stop_leaves_no_snapshot_behind),
        cmocka_unit_test(received_databases_wait_for_their_snapshots),
        cmocka_unit_test(the_deepest_transaction_is_applied),
        cmocka_unit_test(the_same_seed_gives_the_same_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
