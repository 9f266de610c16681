/* methods.h -- the gRPC methods that are served, and what is counted for each. */
#ifndef KETCH_EDGE_SERVER_METHODS_H
#define KETCH_EDGE_SERVER_METHODS_H

#include "engine/net/server.h"
#include "obs/metrics.h"

#define METHOD_CODES_N 17 /* gRPC status codes 0 to 16 */

/* X(ID, "service", "method", KIND): KIND is that of enum net_method_kind without its prefix. */
/* clang-format off */
#define METHOD_MAP(X) \
    X(KV_RANGE, "etcdserverpb.KV", "Range", UNARY) \
    X(KV_RANGE_STREAM, "etcdserverpb.KV", "RangeStream", SERVER_STREAM) \
    X(KV_PUT, "etcdserverpb.KV", "Put", UNARY) \
    X(KV_DELETE_RANGE, "etcdserverpb.KV", "DeleteRange", UNARY) \
    X(KV_TXN, "etcdserverpb.KV", "Txn", UNARY) \
    X(KV_COMPACT, "etcdserverpb.KV", "Compact", UNARY) \
    X(WATCH, "etcdserverpb.Watch", "Watch", BIDI) \
    X(LEASE_GRANT, "etcdserverpb.Lease", "LeaseGrant", UNARY) \
    X(LEASE_REVOKE, "etcdserverpb.Lease", "LeaseRevoke", UNARY) \
    X(LEASE_KEEP_ALIVE, "etcdserverpb.Lease", "LeaseKeepAlive", BIDI) \
    X(LEASE_TIME_TO_LIVE, "etcdserverpb.Lease", "LeaseTimeToLive", UNARY) \
    X(LEASE_LEASES, "etcdserverpb.Lease", "LeaseLeases", UNARY) \
    X(MEMBER_ADD, "etcdserverpb.Cluster", "MemberAdd", UNARY) \
    X(MEMBER_REMOVE, "etcdserverpb.Cluster", "MemberRemove", UNARY) \
    X(MEMBER_UPDATE, "etcdserverpb.Cluster", "MemberUpdate", UNARY) \
    X(MEMBER_LIST, "etcdserverpb.Cluster", "MemberList", UNARY) \
    X(MEMBER_PROMOTE, "etcdserverpb.Cluster", "MemberPromote", UNARY) \
    X(ALARM, "etcdserverpb.Maintenance", "Alarm", UNARY) \
    X(STATUS, "etcdserverpb.Maintenance", "Status", UNARY) \
    X(DEFRAGMENT, "etcdserverpb.Maintenance", "Defragment", UNARY) \
    X(HASH, "etcdserverpb.Maintenance", "Hash", UNARY) \
    X(HASH_KV, "etcdserverpb.Maintenance", "HashKV", UNARY) \
    X(SNAPSHOT, "etcdserverpb.Maintenance", "Snapshot", SERVER_STREAM) \
    X(MOVE_LEADER, "etcdserverpb.Maintenance", "MoveLeader", UNARY) \
    X(DOWNGRADE, "etcdserverpb.Maintenance", "Downgrade", UNARY) \
    X(HEALTH_CHECK, "grpc.health.v1.Health", "Check", UNARY) \
    X(HEALTH_LIST, "grpc.health.v1.Health", "List", UNARY) \
    X(HEALTH_WATCH, "grpc.health.v1.Health", "Watch", SERVER_STREAM)
/* clang-format on */

enum method_id {
#define X(id, service, method, kind) METHOD_##id,
    METHOD_MAP(X)
#undef X
        METHODS_N
};

struct method_info {
    const char *service;
    const char *method;
    const char *path; /* "/service/method" */
    enum net_method_kind kind;
};

extern const struct method_info methods[METHODS_N];

/* The series of one method: all of them exist from the start, with 0. */
struct method_metrics {
    struct metric *started;
    struct metric *handled[METHOD_CODES_N];
    struct metric *received; /* messages */
    struct metric *sent;
    struct histogram *seconds; /* NULL unless --metrics=extensive */
};

void methods_register(struct metrics *m, bool extensive, struct method_metrics ret[METHODS_N]);

/* A row of a service's table. */
#define METHOD_UNARY(id, fn)                                   \
    {                                                          \
        .kind = NET_UNARY, .request = (fn), .tag = METHOD_##id \
    }
#define METHOD_SERVER_STREAM(id, fn)                                   \
    {                                                                  \
        .kind = NET_SERVER_STREAM, .request = (fn), .tag = METHOD_##id \
    }

#endif
