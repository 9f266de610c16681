/* Lease, Cluster, Maintenance and Health, and the checks before every call. */
#include "world.h"

#include "health.pb-c.h"
#include "sys/digest.h"

static int setup(void **state)
{
    (void) state;
    world_open(NULL);
    put("a", "b");
    return 0;
}

static Etcdserverpb__LeaseGrantResponse *grant(int64_t id, int64_t ttl)
{
    Etcdserverpb__LeaseGrantRequest q = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    Etcdserverpb__LeaseGrantResponse *res;

    q.id = id;
    q.ttl = ttl;
    ASK_OK("/etcdserverpb.Lease/LeaseGrant", &q.base, lease_grant_response, &res);
    return res;
}

/* Leases are granted with given or chosen ids, listed, asked about and revoked with their keys. */
static void test_lease(void **state)
{
    Etcdserverpb__LeaseGrantRequest bad = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    Etcdserverpb__LeaseRevokeRequest revoke = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    Etcdserverpb__LeaseTimeToLiveRequest ttl = ETCDSERVERPB__LEASE_TIME_TO_LIVE_REQUEST__INIT;
    Etcdserverpb__LeaseTimeToLiveResponse *left;
    Etcdserverpb__LeaseLeasesRequest all = ETCDSERVERPB__LEASE_LEASES_REQUEST__INIT;
    Etcdserverpb__LeaseLeasesResponse *listed;
    Etcdserverpb__PutRequest p = ETCDSERVERPB__PUT_REQUEST__INIT;

    (void) state;
    assert_int_equal(grant(77, 100)->id, 77);
    assert_true(grant(0, 1)->id > 0);
    assert_int_equal(grant(0, 1)->header->revision, 2);
    bad.id = 77;
    bad.ttl = 5;
    ask_fails("/etcdserverpb.Lease/LeaseGrant", &bad.base, 9, "etcdserver: lease already exists");
    bad.id = 78;
    bad.ttl = INT64_C(9000000001);
    ask_fails("/etcdserverpb.Lease/LeaseGrant", &bad.base, 11, "etcdserver: too large lease TTL");
    p.key = bin("l");
    p.lease = 77;
    ASK_OK("/etcdserverpb.KV/Put", &p.base, put_response, NULL);
    ttl.id = 77;
    ttl.keys = true;
    ASK_OK("/etcdserverpb.Lease/LeaseTimeToLive", &ttl.base, lease_time_to_live_response, &left);
    assert_int_equal(left->grantedttl, 100);
    assert_true(left->ttl > 90);
    assert_int_equal(left->n_keys, 1);
    ttl.id = 12345;
    ASK_OK("/etcdserverpb.Lease/LeaseTimeToLive", &ttl.base, lease_time_to_live_response, &left);
    assert_int_equal(left->ttl, -1);
    ASK_OK("/etcdserverpb.Lease/LeaseLeases", &all.base, lease_leases_response, &listed);
    assert_int_equal(listed->n_leases, 3);
    revoke.id = 77;
    ASK_OK("/etcdserverpb.Lease/LeaseRevoke", &revoke.base, lease_revoke_response, NULL);
    ask_fails("/etcdserverpb.Lease/LeaseRevoke", &revoke.base, 5,
              "etcdserver: requested lease not found");
}

static void keep_alive_send(struct flow *f, int64_t id)
{
    Etcdserverpb__LeaseKeepAliveRequest q = ETCDSERVERPB__LEASE_KEEP_ALIVE_REQUEST__INIT;

    q.id = id;
    flow_send(f, &q.base);
}

static Etcdserverpb__LeaseKeepAliveResponse *kept(struct flow *f, size_t i)
{
    Etcdserverpb__LeaseKeepAliveResponse *m;

    flow_wait(f, i + 1);
    assert_true(f->n > i);
    assert_int_equal(WIRE_DECODE(etcdserverpb__lease_keep_alive_response, f->messages[i],
                                 &world.arena, &m, NULL),
                     0);
    return m;
}

/* Renewals are answered in order; unknown leases with TTL 0; half-closing ends the stream with OK.
 */
static void test_keep_alive(void **state)
{
    static struct flow f;

    (void) state;
    grant(5, 50);
    flow_open(&f, "/etcdserverpb.Lease/LeaseKeepAlive");
    keep_alive_send(&f, 5);
    keep_alive_send(&f, 6);
    keep_alive_send(&f, 5);
    assert_int_equal(kept(&f, 0)->ttl, 50);
    assert_int_equal(kept(&f, 0)->header->revision, 2);
    assert_int_equal(kept(&f, 1)->id, 6);
    assert_int_equal(kept(&f, 1)->ttl, 0);
    assert_int_equal(kept(&f, 2)->id, 5);
    rpc_half_close(f.rpc);
    flow_wait_end(&f);
    assert_int_equal(f.code, 0);
    flow_open(&f, "/etcdserverpb.Lease/LeaseKeepAlive");
    keep_alive_send(&f, 5);
    rpc_cancel(f.rpc);
    flow_wait_end(&f);
    assert_int_equal(f.code, 1);
}

/* A lease that nobody renews ends, and its keys with it. */
static void test_expiry(void **state)
{
    Etcdserverpb__PutRequest p = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RangeRequest r = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RangeResponse *res;

    (void) state;
    grant(9, 1);
    p.key = r.key = bin("e");
    p.lease = 9;
    ASK_OK("/etcdserverpb.KV/Put", &p.base, put_response, NULL);
    for (int i = 0; i < 100; i++) {
        ASK_OK("/etcdserverpb.KV/Range", &r.base, range_response, &res);
        if (res->count == 0)
            break;
        pause_ms(100);
    }
    assert_int_equal(res->count, 0);
}

/* The member list names this member; changes of the membership are refused with the right words. */
static void test_cluster(void **state)
{
    Etcdserverpb__MemberListRequest q = ETCDSERVERPB__MEMBER_LIST_REQUEST__INIT;
    Etcdserverpb__MemberListResponse *res;
    Etcdserverpb__MemberAddRequest add = ETCDSERVERPB__MEMBER_ADD_REQUEST__INIT;
    Etcdserverpb__MemberRemoveRequest gone = ETCDSERVERPB__MEMBER_REMOVE_REQUEST__INIT;
    Etcdserverpb__MemberPromoteRequest promote = ETCDSERVERPB__MEMBER_PROMOTE_REQUEST__INIT;
    char bad[] = "x:1";
    char *urls[] = {bad};

    (void) state;
    q.linearizable = true;
    ASK_OK("/etcdserverpb.Cluster/MemberList", &q.base, member_list_response, &res);
    assert_int_equal(res->n_members, 1);
    assert_string_equal(res->members[0]->name, "default");
    assert_string_equal(res->members[0]->peerurls[0], "http://localhost:2380");
    assert_int_equal(res->members[0]->id, res->header->member_id);
    assert_int_equal(res->header->revision, 0);
    ask_fails("/etcdserverpb.Cluster/MemberAdd", &add.base, 3,
              "etcdserver: given member URLs are invalid");
    add.peerurls = urls;
    add.n_peerurls = 1;
    ask_fails("/etcdserverpb.Cluster/MemberAdd", &add.base, 3,
              "etcdserver: given member URLs are invalid");
    gone.id = 3;
    ask_fails("/etcdserverpb.Cluster/MemberRemove", &gone.base, 5, "etcdserver: member not found");
    gone.id = res->header->member_id;
    ask_fails("/etcdserverpb.Cluster/MemberRemove", &gone.base, 2,
              "etcdserver: re-configuration failed due to not enough started members");
    promote.id = res->header->member_id;
    ask_fails("/etcdserverpb.Cluster/MemberPromote", &promote.base, 9,
              "etcdserver: can only promote a learner member");
}

/* The URLs of a new member are kept as etcd's parser writes them: no blanks, the scheme in lower
 * case. */
static void test_member_urls(void **state)
{
    Etcdserverpb__MemberAddRequest q = ETCDSERVERPB__MEMBER_ADD_REQUEST__INIT;
    Etcdserverpb__MemberAddResponse *res;
    char url[] = " HTTP://127.0.0.1:1";
    char *urls[] = {url};

    (void) state;
    q.islearner = true;
    q.peerurls = urls;
    q.n_peerurls = 1;
    ASK_OK("/etcdserverpb.Cluster/MemberAdd", &q.base, member_add_response, &res);
    assert_string_equal(res->member->peerurls[0], "http://127.0.0.1:1");
}

/* Status, hashes, leadership and downgrade checks answer as etcd's. */
static void test_maintenance(void **state)
{
    Etcdserverpb__StatusRequest sq = ETCDSERVERPB__STATUS_REQUEST__INIT;
    Etcdserverpb__StatusResponse *st;
    Etcdserverpb__HashKVRequest hq = ETCDSERVERPB__HASH_KVREQUEST__INIT;
    Etcdserverpb__HashKVResponse *h1, *h2;
    Etcdserverpb__MoveLeaderRequest mq = ETCDSERVERPB__MOVE_LEADER_REQUEST__INIT;
    Etcdserverpb__DowngradeRequest dq = ETCDSERVERPB__DOWNGRADE_REQUEST__INIT;
    char x[] = "v3.6";

    (void) state;
    ASK_OK("/etcdserverpb.Maintenance/Status", &sq.base, status_response, &st);
    assert_string_equal(st->version, "3.7.1");
    assert_int_equal(st->leader, st->header->member_id);
    assert_int_equal(st->raftterm, st->header->raft_term);
    assert_true(st->raftappliedindex > 0 && st->dbsize > 0);
    assert_int_equal(st->dbsizequota, INT64_C(2147483648));
    assert_non_null(st->downgradeinfo);
    ASK_OK("/etcdserverpb.Maintenance/HashKV", &hq.base, hash_kvresponse, &h1);
    assert_int_equal(h1->hash_revision, 2);
    assert_int_equal(h1->compact_revision, -1);
    put("more", "x");
    hq.revision = 2;
    ASK_OK("/etcdserverpb.Maintenance/HashKV", &hq.base, hash_kvresponse, &h2);
    assert_int_equal(h1->hash, h2->hash);
    hq.revision = 100;
    ask_fails("/etcdserverpb.Maintenance/HashKV", &hq.base, 11,
              "etcdserver: mvcc: required revision is a future revision");
    mq.targetid = 1;
    ask_fails("/etcdserverpb.Maintenance/MoveLeader", &mq.base, 9,
              "etcdserver: bad leader transferee");
    mq.targetid = st->header->member_id;
    ASK_OK("/etcdserverpb.Maintenance/MoveLeader", &mq.base, move_leader_response, NULL);
    dq.version = x;
    ask_fails("/etcdserverpb.Maintenance/Downgrade", &dq.base, 3,
              "etcdserver: wrong downgrade target version format");
    dq.action = (Etcdserverpb__DowngradeRequest__DowngradeAction) 9;
    ask_fails("/etcdserverpb.Maintenance/Downgrade", &dq.base, 2, "etcdserver: unknown method");
}

/* Status tells of alarms in the text form of their message, without a member id that is zero. */
static void test_alarm_texts(void **state)
{
    Etcdserverpb__StatusRequest sq = ETCDSERVERPB__STATUS_REQUEST__INIT;
    Etcdserverpb__StatusResponse *st;
    Etcdserverpb__AlarmRequest aq = ETCDSERVERPB__ALARM_REQUEST__INIT;

    (void) state;
    aq.action = ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__ACTIVATE;
    aq.alarm = ETCDSERVERPB__ALARM_TYPE__CORRUPT;
    ASK_OK("/etcdserverpb.Maintenance/Alarm", &aq.base, alarm_response, NULL);
    ASK_OK("/etcdserverpb.Maintenance/Status", &sq.base, status_response, &st);
    assert_int_equal(st->n_errors, 1);
    assert_string_equal(st->errors[0], "alarm:CORRUPT");
    aq.memberid = 77;
    ASK_OK("/etcdserverpb.Maintenance/Alarm", &aq.base, alarm_response, NULL);
    ASK_OK("/etcdserverpb.Maintenance/Status", &sq.base, status_response, &st);
    assert_int_equal(st->n_errors, 2);
    assert_string_equal(st->errors[1], "memberID:77 alarm:CORRUPT");
}

/* The snapshot stream is the data file in pieces that count down, and then their SHA-256. */
static void test_snapshot(void **state)
{
    static struct flow f;
    static char value[30000];
    Etcdserverpb__SnapshotRequest q = ETCDSERVERPB__SNAPSHOT_REQUEST__INIT;
    Etcdserverpb__SnapshotResponse *m;
    struct digest *d = digest_sha256_new();
    uint8_t sum[SHA256_BYTES];
    uint64_t left = 0;
    char key[16];

    (void) state;
    memset(value, 'v', sizeof value - 1);
    for (int i = 0; i < 60; i++) {
        snprintf(key, sizeof key, "s%d", i);
        put(key, value);
    }
    flow_open(&f, "/etcdserverpb.Maintenance/Snapshot");
    flow_send(&f, &q.base);
    rpc_half_close(f.rpc);
    flow_wait_end(&f);
    assert_string_equal(f.text, "");
    assert_int_equal(f.code, 0);
    for (size_t i = 0; i < f.n; i++) {
        assert_int_equal(
            WIRE_DECODE(etcdserverpb__snapshot_response, f.messages[i], &world.arena, &m, NULL), 0);
        assert_true(i + 2 >= f.n ? m->blob.len <= 32768 : m->blob.len == 32768);
        if (i > 0 && i + 1 < f.n)
            assert_int_equal(m->remaining_bytes, left - m->blob.len);
        left = m->remaining_bytes;
        if (i + 1 < f.n)
            digest_add(d, m->blob.data, m->blob.len);
    }
    digest_end(d, sum);
    assert_true(f.n > 2);
    assert_int_equal(left, 0);
    assert_int_equal(m->blob.len, SHA256_BYTES);
    assert_memory_equal(m->blob.data, sum, SHA256_BYTES);
}

/* What cannot be decoded is refused in grpc-go's words, which are others on streams. */
static void test_undecodable(void **state)
{
    static struct flow f;
    static const char *const streams[] = {
        "/etcdserverpb.Watch/Watch", "/etcdserverpb.Lease/LeaseKeepAlive",
        "/etcdserverpb.KV/RangeStream", "/etcdserverpb.Maintenance/Snapshot"};
    struct bytes bad = BYTES_LIT("\x0a\x05x");
    struct net_piece piece = net_piece_copied(bad.p, bad.n);
    struct answer a = ask_with("/etcdserverpb.KV/Range", bad, NULL, 0);

    (void) state;
    assert_string_equal(a.text, "grpc: error unmarshalling request: proto: cannot parse invalid "
                                "wire-format data");
    assert_int_equal(a.code, 13);
    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
        flow_open(&f, streams[i]);
        assert_int_equal(rpc_send(f.rpc, &piece, 1), 0);
        rpc_half_close(f.rpc);
        flow_wait_end(&f);
        assert_string_equal(f.text, "grpc: failed to unmarshal the received message: proto: cannot "
                                    "parse invalid wire-format data");
        assert_int_equal(f.code, 13);
    }
}

/* The health service knows the empty name and no other. */
static void test_health(void **state)
{
    static struct flow f;
    Grpc__Health__V1__HealthCheckRequest q = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    char other[] = "x";
    struct answer a = ask_with("/grpc.health.v1.Health/Check", BYTES_EMPTY, NULL, 0);

    (void) state;
    assert_int_equal(a.code, 0);
    assert_true(bytes_eq(a.body, BYTES_LIT("\x08\x01")));
    q.service = other;
    ask_fails("/grpc.health.v1.Health/Check", &q.base, 5, "unknown service");
    a = ask_with("/grpc.health.v1.Health/List", BYTES_EMPTY, NULL, 0);
    assert_int_equal(a.code, 0);
    flow_open(&f, "/grpc.health.v1.Health/Watch");
    flow_send(&f, &q.base);
    rpc_half_close(f.rpc);
    flow_wait(&f, 1);
    assert_true(bytes_eq(f.messages[0], BYTES_LIT("\x08\x03")));
    rpc_cancel(f.rpc);
    flow_wait_end(&f);
}

/* Metadata is checked before a method hears of the call. */
static void test_metadata(void **state)
{
    const struct rpc_metadata bad[] = {{"client-api-version", BYTES_LIT("\xff")}};
    const struct rpc_metadata good[] = {{"client-api-version", BYTES_LIT("3.6.1")},
                                        {"hasleader", BYTES_LIT("true")}};
    struct answer a = ask_with("/etcdserverpb.Maintenance/Status", BYTES_EMPTY, bad, 1);

    (void) state;
    assert_int_equal(a.code, 3);
    assert_string_equal(a.text, "etcdserver: invalid client api version");
    a = ask_with("/etcdserverpb.Maintenance/Status", BYTES_EMPTY, good, 2);
    assert_int_equal(a.code, 0);
    assert_non_null(strstr(
        http_ask("GET", "/metrics", ""),
        "\netcd_server_client_requests_total{client_api_version=\"3.6.1\",type=\"unary\"} 1\n"));
}

/* Streams that their client cancels end at once, and the member stops without waiting for them. */
static void test_stop_with_open_calls(void **state)
{
    static struct flow watch, alive;
    const char *const args[] = {"--election-timeout=100", "--heartbeat-interval=10", NULL};

    (void) state;
    world_close();
    world_open(args);
    put("a", "b");
    flow_open(&watch, "/etcdserverpb.Watch/Watch");
    flow_open(&alive, "/etcdserverpb.Lease/LeaseKeepAlive");
    keep_alive_send(&alive, 1);
    flow_wait(&alive, 1);
    rpc_cancel(alive.rpc);
    rpc_cancel(watch.rpc);
    flow_wait_end(&watch);
    assert_int_equal(watch.code, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lease, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_keep_alive, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_expiry, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_cluster, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_member_urls, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_maintenance, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_alarm_texts, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_snapshot, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_undecodable, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_health, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_metadata, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_stop_with_open_calls, setup, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
