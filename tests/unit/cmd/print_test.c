/* The printers, on messages as they come from the wire, against outputs recorded from etcdctl. */
#include "base/alloc.h"
#include "cli/print.h"
#include "cli/text.h"
#include "lib/cm.h"
#include "wire/wire.h"

static Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
static Mvccpb__KeyValue kv = MVCCPB__KEY_VALUE__INIT;
static struct buf out;
static struct buf errs;
static struct print_how how;
static struct print_what what;

static ProtobufCBinaryData data(const char *s)
{
    return wire_binary(bytes_str(s));
}

static int setup(void **state)
{
    (void) state;
    buf_init(&out, 1 << 20);
    buf_init(&errs, 1 << 20);
    how = (struct print_how){0};
    what = (struct print_what){.out = &out, .errs = &errs, .how = &how};
    header.cluster_id = UINT64_C(14841639068965178418);
    header.member_id = UINT64_C(10276657743932975437);
    header.revision = 12;
    header.raft_term = 2;
    kv.key = data("foo");
    kv.value = data("from stdin\n");
    kv.create_revision = 2;
    kv.mod_revision = 12;
    kv.version = 11;
    kv.lease = 0;
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    buf_done(&out);
    buf_done(&errs);
    return 0;
}

static void expect(const char *want)
{
    assert_string_equal(buf_cstr(&out), want);
    buf_clear(&out);
}

static void expect_hex(const char *want)
{
    struct buf hex;

    buf_init(&hex, 1 << 20);
    for (size_t i = 0; i < out.len; i++)
        buf_printf(&hex, "%02x", out.p[i]);
    assert_string_equal(buf_cstr(&hex), want);
    buf_done(&hex);
    buf_clear(&out);
}

#define HEADER_JSON                                                                        \
    "\"cluster_id\":14841639068965178418,\"member_id\":10276657743932975437,\"revision\":" \
    "12,\"raft_term\":2"
#define HEADER_FIELDS                        \
    "\"ClusterID\" : 14841639068965178418\n" \
    "\"MemberID\" : 10276657743932975437\n"  \
    "\"Revision\" : 12\n"                    \
    "\"RaftTerm\" : 2\n"
#define HEADER_BYTES "08b298eaf1948386fccd0110cdd2918bd2b881cf8e01180c2002"

/* A get of one pair, in the four formats that have one. */
static void prints_get(void **state)
{
    Etcdserverpb__RangeResponse r = ETCDSERVERPB__RANGE_RESPONSE__INIT;
    Mvccpb__KeyValue *kvs[] = {&kv};

    (void) state;
    r.header = &header;
    r.n_kvs = 1;
    r.kvs = kvs;
    r.count = 1;
    printer_simple.get(&what, &r);
    expect("foo\nfrom stdin\n\n");
    printer_json.get(&what, &r);
    expect("{\"header\":{" HEADER_JSON "},\"kvs\":[{\"key\":\"Zm9v\",\"create_revision\":2,"
           "\"mod_revision\":12,\"version\":11,\"value\":\"ZnJvbSBzdGRpbgo=\"}],\"count\":1}\n");
    printer_fields.get(&what, &r);
    expect(HEADER_FIELDS "\"Key\" : \"foo\"\n\"CreateRevision\" : 2\n\"ModRevision\" : 12\n"
                         "\"Version\" : 11\n\"Value\" : \"from stdin\\n\"\n\"Lease\" : 0\n"
                         "\"More\" : false\n\"Count\" : 1\n");
    printer_protobuf.get(&what, &r);
    expect_hex("0a1a" HEADER_BYTES "12180a03666f6f1002180c200b2a0b66726f6d20737464696e0a2001");
    assert_null(printer_table.get);
}

/* --hex and --print-value-only change the simple lines; fields show identifiers in hexadecimal. */
static void prints_get_in_hex(void **state)
{
    Etcdserverpb__RangeResponse r = ETCDSERVERPB__RANGE_RESPONSE__INIT;
    Mvccpb__KeyValue *kvs[] = {&kv};

    (void) state;
    r.header = &header;
    r.n_kvs = 1;
    r.kvs = kvs;
    r.more = true;
    how.hex = true;
    kv.lease = 0x694da20282bba08f;
    printer_simple.get(&what, &r);
    expect("\\x66\\x6f\\x6f\n\\x66\\x72\\x6f\\x6d\\x20\\x73\\x74\\x64\\x69\\x6e\\x0a\n");
    printer_fields.get(&what, &r);
    expect("\"ClusterID\" : cdf818194e3a8c32\n\"MemberID\" : 8e9e05c52164694d\n"
           "\"Revision\" : 12\n\"RaftTerm\" : 2\n\"Key\" : \"foo\"\n\"CreateRevision\" : 2\n"
           "\"ModRevision\" : 12\n\"Version\" : 11\n\"Value\" : \"from stdin\\n\"\n"
           "\"Lease\" : 694da20282bba08f\n\"More\" : true\n\"Count\" : 0\n");
    how.hex = false;
    how.value_only = true;
    printer_simple.get(&what, &r);
    expect("from stdin\n\n");
}

/* A put and a delete with their previous pairs. */
static void prints_put_and_del(void **state)
{
    Etcdserverpb__PutResponse p = ETCDSERVERPB__PUT_RESPONSE__INIT;
    Etcdserverpb__DeleteRangeResponse d = ETCDSERVERPB__DELETE_RANGE_RESPONSE__INIT;
    Mvccpb__KeyValue *kvs[] = {&kv};

    (void) state;
    p.header = d.header = &header;
    printer_simple.put(&what, &p);
    expect("OK\n");
    printer_json.put(&what, &p);
    expect("{\"header\":{" HEADER_JSON "}}\n");
    printer_fields.put(&what, &p);
    expect(HEADER_FIELDS);
    printer_protobuf.put(&what, &p);
    expect_hex("0a1a" HEADER_BYTES);
    p.prev_kv = &kv;
    printer_fields.put(&what, &p);
    expect(HEADER_FIELDS "\"PrevKey\" : \"foo\"\n\"PrevCreateRevision\" : 2\n"
                         "\"PrevModRevision\" : 12\n\"PrevVersion\" : 11\n"
                         "\"PrevValue\" : \"from stdin\\n\"\n\"PrevLease\" : 0\n");
    printer_json.del(&what, &d);
    expect("{\"header\":{" HEADER_JSON "}}\n");
    d.deleted = 1;
    d.n_prev_kvs = 1;
    d.prev_kvs = kvs;
    printer_simple.del(&what, &d);
    expect("1\nfoo\nfrom stdin\n\n");
    printer_protobuf.del(&what, &d);
    expect_hex("0a1a" HEADER_BYTES "10011a180a03666f6f1002180c200b2a0b66726f6d20737464696e0a");
}

/* The answers inside a transaction have headers of their own, with only the revision. */
static void prints_txn(void **state)
{
    Etcdserverpb__TxnResponse t = ETCDSERVERPB__TXN_RESPONSE__INIT;
    Etcdserverpb__ResponseOp ops[2] = {ETCDSERVERPB__RESPONSE_OP__INIT,
                                       ETCDSERVERPB__RESPONSE_OP__INIT};
    Etcdserverpb__ResponseOp *list[] = {&ops[0], &ops[1]};
    Etcdserverpb__ResponseHeader inner = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Etcdserverpb__PutResponse p = ETCDSERVERPB__PUT_RESPONSE__INIT;
    Etcdserverpb__DeleteRangeResponse d = ETCDSERVERPB__DELETE_RANGE_RESPONSE__INIT;

    (void) state;
    inner.revision = 4;
    p.header = d.header = &inner;
    ops[0].response_case = ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT;
    ops[0].response_put = &p;
    ops[1].response_case = ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE;
    ops[1].response_delete_range = &d;
    t.header = &header;
    t.succeeded = true;
    t.n_responses = 2;
    t.responses = list;
    printer_simple.txn(&what, &t);
    expect("SUCCESS\n\nOK\n\n0\n");
    printer_json.txn(&what, &t);
    expect("{\"header\":{" HEADER_JSON "},\"succeeded\":true,\"responses\":[{\"Response\":{"
           "\"response_put\":{\"header\":{\"revision\":4}}}},{\"Response\":{"
           "\"response_delete_range\":{\"header\":{\"revision\":4}}}}]}\n");
    printer_fields.txn(&what, &t);
    expect(HEADER_FIELDS "\"Succeeded\" : true\n"
                         "\"ClusterID\" : 0\n\"MemberID\" : 0\n\"Revision\" : 4\n\"RaftTerm\" : 0\n"
                         "\"ClusterID\" : 0\n\"MemberID\" : 0\n\"Revision\" : 4\n\"RaftTerm\" : 0\n"
                         "\"Deleted\" : 0\n");
    t.succeeded = false;
    t.n_responses = 0;
    printer_simple.txn(&what, &t);
    expect("FAILURE\n");
}

/* Watch answers: events, a refusal without header, a cancellation by compaction. */
static void prints_watch(void **state)
{
    Mvccpb__Event put = MVCCPB__EVENT__INIT;
    Mvccpb__Event del = MVCCPB__EVENT__INIT;
    Mvccpb__KeyValue tomb = MVCCPB__KEY_VALUE__INIT;
    Mvccpb__Event *events[] = {&put, &del};
    struct print_watch w = {.header = &header, .events = events, .event_count = 2};

    (void) state;
    kv.value = data("v1");
    tomb.key = data("foo");
    tomb.mod_revision = 7;
    put.kv = &kv;
    del.kv = &tomb;
    del.prev_kv = &kv;
    del.type = MVCCPB__EVENT__EVENT_TYPE__DELETE;
    printer_simple.watch(&what, &w);
    expect("PUT\nfoo\nv1\nDELETE\nfoo\nv1\nfoo\n\n");
    printer_json.watch(&what, &w);
    expect("{\"Header\":{" HEADER_JSON "},\"Events\":[{\"kv\":{\"key\":\"Zm9v\","
           "\"create_revision\":2,\"mod_revision\":12,\"version\":11,\"value\":\"djE=\"}},"
           "{\"type\":1,\"kv\":{\"key\":\"Zm9v\",\"mod_revision\":7},\"prev_kv\":{\"key\":"
           "\"Zm9v\",\"create_revision\":2,\"mod_revision\":12,\"version\":11,\"value\":"
           "\"djE=\"}}],\"CompactRevision\":0,\"Canceled\":false,\"Created\":false,"
           "\"CancelReason\":\"\"}\n");
    w = (struct print_watch){.canceled = true};
    printer_json.watch(&what, &w);
    expect("{\"Header\":{},\"Events\":null,\"CompactRevision\":0,\"Canceled\":true,"
           "\"Created\":false,\"CancelReason\":\"\"}\n");
    header.revision = 0;
    w = (struct print_watch){.header = &header, .canceled = true, .compact_revision = 10};
    printer_fields.watch(&what, &w);
    expect("\"ClusterID\" : 14841639068965178418\n\"MemberID\" : 10276657743932975437\n"
           "\"RaftTerm\" : 2\n");
    printer_protobuf.watch(&what, &w);
    expect_hex("0a1808b298eaf1948386fccd0110cdd2918bd2b881cf8e0120022001280a");
    printer_simple.watch(&what, &w);
    expect("");
}

/* Lease answers: flat JSON, identifiers of 16 digits in texts, the header alone as protobuf. */
static void prints_leases(void **state)
{
    Etcdserverpb__LeaseGrantResponse g = ETCDSERVERPB__LEASE_GRANT_RESPONSE__INIT;
    Etcdserverpb__LeaseTimeToLiveResponse t = ETCDSERVERPB__LEASE_TIME_TO_LIVE_RESPONSE__INIT;
    Etcdserverpb__LeaseLeasesResponse l = ETCDSERVERPB__LEASE_LEASES_RESPONSE__INIT;
    Etcdserverpb__LeaseKeepAliveResponse k = ETCDSERVERPB__LEASE_KEEP_ALIVE_RESPONSE__INIT;
    ProtobufCBinaryData keys[] = {data("k1"), data("k 2")};

    (void) state;
    g.header = t.header = l.header = k.header = &header;
    g.id = k.id = t.id = 0x1234abcd;
    g.ttl = k.ttl = 100;
    printer_simple.grant(&what, &g);
    expect("lease 000000001234abcd granted with TTL(100s)\n");
    printer_json.grant(&what, &g);
    expect("{" HEADER_JSON ",\"ID\":305441741,\"TTL\":100,\"Error\":\"\"}\n");
    printer_protobuf.grant(&what, &g);
    expect_hex(HEADER_BYTES);
    printer_json.keep_alive(&what, &k);
    expect("{" HEADER_JSON ",\"ID\":305441741,\"TTL\":100}\n");
    printer_simple.keep_alive(&what, &k);
    expect("lease 000000001234abcd keepalived with TTL(100)\n");
    printer_json.leases(&what, &l);
    expect("{" HEADER_JSON ",\"leases\":[]}\n");
    printer_simple.leases(&what, &l);
    expect("found 0 leases\n");
    t.ttl = 199;
    t.grantedttl = 200;
    t.n_keys = 2;
    t.keys = keys;
    how.with_keys = true;
    printer_simple.time_to_live(&what, &t);
    expect("lease 000000001234abcd granted with TTL(200s), remaining(199s), attached keys([k1 k "
           "2])\n");
    printer_json.time_to_live(&what, &t);
    expect("{" HEADER_JSON ",\"id\":305441741,\"ttl\":199,\"granted-ttl\":200,\"keys\":["
           "\"azE=\",\"ayAy\"]}\n");
    t.ttl = -1;
    t.grantedttl = 0;
    t.n_keys = 0;
    printer_simple.time_to_live(&what, &t);
    expect("lease 000000001234abcd already expired\n");
    printer_json.time_to_live(&what, &t);
    expect("{" HEADER_JSON ",\"id\":305441741,\"ttl\":-1,\"granted-ttl\":0,\"keys\":null}\n");
    what.lease_id = 1;
    printer_simple.revoke(&what, NULL);
    expect("lease 0000000000000001 revoked\n");
}

/* Members: an unstarted one has no name and no client URL; the new member's start-up settings. */
static void prints_members(void **state)
{
    Etcdserverpb__MemberListResponse l = ETCDSERVERPB__MEMBER_LIST_RESPONSE__INIT;
    Etcdserverpb__MemberAddResponse a = ETCDSERVERPB__MEMBER_ADD_RESPONSE__INIT;
    Etcdserverpb__Member m[2] = {ETCDSERVERPB__MEMBER__INIT, ETCDSERVERPB__MEMBER__INIT};
    Etcdserverpb__Member *members[] = {&m[0], &m[1]};
    char name[] = "infra2";
    char peer0[] = "http://127.0.0.1:23807";
    char client0[] = "http://127.0.0.1:23806";
    char peer1[] = "http://127.0.0.1:23811";
    char *peers0[] = {peer0};
    char *clients0[] = {client0};
    char *peers1[] = {peer1};

    (void) state;
    header.revision = 0;
    m[0].id = 0x38c12c72c338faf9;
    m[0].name = name;
    m[0].n_peerurls = m[0].n_clienturls = m[1].n_peerurls = 1;
    m[0].peerurls = peers0;
    m[0].clienturls = clients0;
    m[1].id = 0x627d03e6e3a189a;
    m[1].peerurls = peers1;
    m[1].islearner = true;
    l.header = a.header = &header;
    l.n_members = a.n_members = 2;
    l.members = a.members = members;
    printer_simple.member_list(&what, &l);
    expect("38c12c72c338faf9, started, infra2, http://127.0.0.1:23807, http://127.0.0.1:23806, "
           "false\n627d03e6e3a189a, unstarted, , http://127.0.0.1:23811, , true\n");
    how.hex = true;
    printer_json.member_list(&what, &l);
    expect("{\"header\":{\"cluster_id\":\"cdf818194e3a8c32\",\"member_id\":\"8e9e05c52164694d\","
           "\"raft_term\":2},\"members\":[{\"ID\":\"38c12c72c338faf9\",\"name\":\"infra2\","
           "\"peerURLs\":[\"http://127.0.0.1:23807\"],\"clientURLs\":["
           "\"http://127.0.0.1:23806\"]},{\"ID\":\"627d03e6e3a189a\",\"peerURLs\":["
           "\"http://127.0.0.1:23811\"],\"isLearner\":true}]}\n");
    how.hex = false;
    l.n_members = 1;
    printer_json.member_list(&what, &l);
    expect("{\"header\":{\"cluster_id\":14841639068965178418,\"member_id\":"
           "10276657743932975437,\"raft_term\":2},\"members\":[{\"ID\":4089598808042306297,"
           "\"name\":\"infra2\",\"peerURLs\":[\"http://127.0.0.1:23807\"],\"clientURLs\":["
           "\"http://127.0.0.1:23806\"]}]}\n");
    printer_table.member_list(&what, &l);
    expect(
        "┌──────────────────┬─────────┬────────┬────────────────────────┬───────────────────────"
        "─┬────────────┐\n"
        "│        ID        │ STATUS  │  NAME  │       PEER ADDRS       │      CLIENT ADDRS      "
        "│ IS LEARNER │\n"
        "├──────────────────┼─────────┼────────┼────────────────────────┼───────────────────────"
        "─┼────────────┤\n"
        "│ 38c12c72c338faf9 │ started │ infra2 │ http://127.0.0.1:23807 │ http://127.0.0.1:23806 "
        "│      false │\n"
        "└──────────────────┴─────────┴────────┴────────────────────────┴───────────────────────"
        "─┴────────────┘\n");
    a.member = &m[1];
    what.member_name = "L1";
    what.peer_urls = "http://127.0.0.1:23811";
    printer_simple.member_add(&what, &a);
    expect("Member  627d03e6e3a189a added as learner to cluster cdf818194e3a8c32\n\n"
           "ETCD_NAME=\"L1\"\n"
           "ETCD_INITIAL_CLUSTER=\"infra2=http://127.0.0.1:23807,L1=http://127.0.0.1:23811\"\n"
           "ETCD_INITIAL_ADVERTISE_PEER_URLS=\"http://127.0.0.1:23811\"\n"
           "ETCD_INITIAL_CLUSTER_STATE=\"existing\"\n");
    what.member_id = 0x6021896dc22999a7;
    printer_simple.member_remove(
        &what, &(Etcdserverpb__MemberRemoveResponse){.base = {0}, .header = &header});
    expect("Member 6021896dc22999a7 removed from cluster cdf818194e3a8c32\n");
}

/* Status of an endpoint in the recorded forms, with an alarm and a downgrade under way. */
static void prints_status(void **state)
{
    Etcdserverpb__StatusResponse s = ETCDSERVERPB__STATUS_RESPONSE__INIT;
    Etcdserverpb__DowngradeInfo d = ETCDSERVERPB__DOWNGRADE_INFO__INIT;
    struct print_status list[] = {{"127.0.0.1:2379", &s}};
    char version[] = "3.7.1";
    char storage[] = "3.7.0";
    char target[] = "3.6.0";
    char alarm[] = "memberID:1 alarm:NOSPACE";
    char *errors[] = {alarm};

    (void) state;
    header.revision = 4;
    s.header = &header;
    s.version = version;
    s.storageversion = storage;
    s.dbsize = 20480;
    s.dbsizeinuse = 16384;
    s.dbsizequota = 2147483648;
    s.leader = header.member_id;
    s.raftindex = s.raftappliedindex = 7;
    s.raftterm = 2;
    s.downgradeinfo = &d;
    printer_simple.status(&what, list, 1);
    expect("127.0.0.1:2379, 8e9e05c52164694d, 3.7.1, 3.7.0, 20 kB, 16 kB, 20%, 2.1 GB, true, false,"
           " 2, 7, 7, , , false\n");
    printer_json.status(&what, list, 1);
    expect("[{\"Endpoint\":\"127.0.0.1:2379\",\"Status\":{\"header\":{\"cluster_id\":"
           "14841639068965178418,\"member_id\":10276657743932975437,\"revision\":4,\"raft_term\":2}"
           ",\"version\":\"3.7.1\",\"dbSize\":20480,\"leader\":10276657743932975437,\"raftIndex\":7"
           ",\"raftTerm\":2,\"raftAppliedIndex\":7,\"dbSizeInUse\":16384,\"storageVersion\":"
           "\"3.7.0\",\"dbSizeQuota\":2147483648,\"downgradeInfo\":{}}}]\n");
    printer_fields.status(&what, list, 1);
    expect("\"ClusterID\" : 14841639068965178418\n\"MemberID\" : 10276657743932975437\n"
           "\"Revision\" : 4\n\"RaftTerm\" : 2\n\"Version\" : \"3.7.1\"\n"
           "\"StorageVersion\" : \"3.7.0\"\n\"DBSize\" : 20480\n\"DBSizeInUse\" : 16384\n"
           "\"DBSizeQuota\" : 2147483648\n\"Leader\" : 10276657743932975437\n"
           "\"IsLearner\" : false\n\"RaftIndex\" : 7\n\"RaftTerm\" : 2\n"
           "\"RaftAppliedIndex\" : 7\n\"Errors\" : []\n\"Endpoint\" : \"127.0.0.1:2379\"\n"
           "\"DowngradeTargetVersion\" : \"\"\n\"DowngradeEnabled\" : false\n\n");
    s.n_errors = 1;
    s.errors = errors;
    d.enabled = true;
    d.targetversion = target;
    printer_simple.status(&what, list, 1);
    expect("127.0.0.1:2379, 8e9e05c52164694d, 3.7.1, 3.7.0, 20 kB, 16 kB, 20%, 2.1 GB, true, false,"
           " 2, 7, 7, memberID:1 alarm:NOSPACE, 3.6.0, true\n");
    assert_null(printer_protobuf.status);
}

/* Health goes to two streams; hashes and alarms; lists without an answer. */
static void prints_health_hash_alarm(void **state)
{
    struct print_health health[] = {{"127.0.0.1:2379", true, "7.210344ms", ""},
                                    {"127.0.0.1:23819", false, "1.0006s",
                                     "context deadline "
                                     "exceeded"}};
    Etcdserverpb__HashKVResponse h = ETCDSERVERPB__HASH_KVRESPONSE__INIT;
    struct print_hash_kv hashes[] = {{"127.0.0.1:2379", &h}};
    Etcdserverpb__AlarmResponse a = ETCDSERVERPB__ALARM_RESPONSE__INIT;
    Etcdserverpb__AlarmMember m = ETCDSERVERPB__ALARM_MEMBER__INIT;
    Etcdserverpb__AlarmMember *alarms[] = {&m};

    (void) state;
    printer_simple.health(&what, health, 2);
    expect("127.0.0.1:2379 is healthy: successfully committed proposal: took = 7.210344ms\n");
    assert_string_equal(buf_cstr(&errs), "127.0.0.1:23819 is unhealthy: failed to commit proposal: "
                                         "context deadline exceeded\n");
    printer_json.health(&what, health, 2);
    expect("[{\"endpoint\":\"127.0.0.1:2379\",\"health\":true,\"took\":\"7.210344ms\"},{"
           "\"endpoint\":\"127.0.0.1:23819\",\"health\":false,\"took\":\"1.0006s\",\"error\":"
           "\"context deadline exceeded\"}]\n");
    printer_fields.health(&what, health + 1, 1);
    expect("\"Endpoint\" : \"127.0.0.1:23819\"\n\"Health\" : false\n\"Took\" : 1.0006s\n"
           "\"Error\" : context deadline exceeded\n\n");
    h.hash = 4178063679;
    h.compact_revision = -1;
    h.hash_revision = 4;
    printer_simple.hash_kv(&what, hashes, 1);
    expect("127.0.0.1:2379, 4178063679, 4\n");
    printer_json.hash_kv(&what, hashes, 1);
    expect("[{\"Endpoint\":\"127.0.0.1:2379\",\"HashKV\":{\"hash\":4178063679,"
           "\"compact_revision\":-1,\"hash_revision\":4}}]\n");
    printer_json.hash_kv(&what, hashes, 0);
    expect("null\n");
    printer_json.alarm(&what, &a);
    expect("{}\n");
    m.memberid = header.member_id;
    m.alarm = ETCDSERVERPB__ALARM_TYPE__NOSPACE;
    a.n_alarms = 1;
    a.alarms = alarms;
    printer_simple.alarm(&what, &a);
    expect("memberID:10276657743932975437 alarm:NOSPACE\n");
    printer_protobuf.alarm(&what, &a);
    expect_hex("120d08cdd2918bd2b881cf8e011001");
    printer_fields.alarm(&what, &a);
    expect("\"ClusterID\" : 0\n\"MemberID\" : 0\n\"RaftTerm\" : 0\n"
           "\"MemberID\" : 10276657743932975437\n\"AlarmType\" : NOSPACE\n\n");
}

/* A printer is found by its name only, case and all. */
static void finds_printers(void **state)
{
    (void) state;
    assert_ptr_equal(printer_find("json"), &printer_json);
    assert_ptr_equal(printer_find("table"), &printer_table);
    assert_null(printer_find("JSON"));
    assert_null(printer_find(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(prints_get, setup, teardown),
        cmocka_unit_test_setup_teardown(prints_get_in_hex, setup, teardown),
        cmocka_unit_test_setup_teardown(prints_put_and_del, setup, teardown),
        cmocka_unit_test_setup_teardown(prints_txn, setup, teardown),
        cmocka_unit_test_setup_teardown(prints_watch, setup, teardown),
        cmocka_unit_test_setup_teardown(prints_leases, setup, teardown),
        cmocka_unit_test_setup_teardown(prints_members, setup, teardown),
        cmocka_unit_test_setup_teardown(prints_status, setup, teardown),
        cmocka_unit_test_setup_teardown(prints_health_hash_alarm, setup, teardown),
        cmocka_unit_test_setup_teardown(finds_printers, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
