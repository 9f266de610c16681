/* methods.h -- the gRPC methods that are served, and what is counted for each. */
#ifndef KETCH_EDGE_SERVER_METHODS_H
#define KETCH_EDGE_SERVER_METHODS_H

#include "engine/net/server.h"
#include "obs/metrics.h"
#include "sys/clock.h"

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
    X(AUTH_ENABLE, "etcdserverpb.Auth", "AuthEnable", UNARY) \
    X(AUTH_DISABLE, "etcdserverpb.Auth", "AuthDisable", UNARY) \
    X(AUTH_STATUS, "etcdserverpb.Auth", "AuthStatus", UNARY) \
    X(AUTHENTICATE, "etcdserverpb.Auth", "Authenticate", UNARY) \
    X(USER_ADD, "etcdserverpb.Auth", "UserAdd", UNARY) \
    X(USER_GET, "etcdserverpb.Auth", "UserGet", UNARY) \
    X(USER_LIST, "etcdserverpb.Auth", "UserList", UNARY) \
    X(USER_DELETE, "etcdserverpb.Auth", "UserDelete", UNARY) \
    X(USER_CHANGE_PASSWORD, "etcdserverpb.Auth", "UserChangePassword", UNARY) \
    X(USER_GRANT_ROLE, "etcdserverpb.Auth", "UserGrantRole", UNARY) \
    X(USER_REVOKE_ROLE, "etcdserverpb.Auth", "UserRevokeRole", UNARY) \
    X(ROLE_ADD, "etcdserverpb.Auth", "RoleAdd", UNARY) \
    X(ROLE_GET, "etcdserverpb.Auth", "RoleGet", UNARY) \
    X(ROLE_LIST, "etcdserverpb.Auth", "RoleList", UNARY) \
    X(ROLE_DELETE, "etcdserverpb.Auth", "RoleDelete", UNARY) \
    X(ROLE_GRANT_PERMISSION, "etcdserverpb.Auth", "RoleGrantPermission", UNARY) \
    X(ROLE_REVOKE_PERMISSION, "etcdserverpb.Auth", "RoleRevokePermission", UNARY) \
    X(HEALTH_CHECK, "grpc.health.v1.Health", "Check", UNARY) \
    X(HEALTH_LIST, "grpc.health.v1.Health", "List", UNARY) \
    X(HEALTH_WATCH, "grpc.health.v1.Health", "Watch", SERVER_STREAM) \
    X(LOCK, "v3lockpb.Lock", "Lock", UNARY) \
    X(UNLOCK, "v3lockpb.Lock", "Unlock", UNARY) \
    X(CAMPAIGN, "v3electionpb.Election", "Campaign", UNARY) \
    X(PROCLAIM, "v3electionpb.Election", "Proclaim", UNARY) \
    X(LEADER, "v3electionpb.Election", "Leader", UNARY) \
    X(OBSERVE, "v3electionpb.Election", "Observe", SERVER_STREAM) \
    X(RESIGN, "v3electionpb.Election", "Resign", UNARY)
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

/* The methods from here on have their series from their first use on, the others from the start. */
#define METHODS_LATE METHOD_LOCK

enum method_count { METHOD_STARTED, METHOD_RECEIVED, METHOD_SENT, METHOD_HANDLED, METHOD_COUNTS_N };

/* The series of one method; NULL for a late one. */
struct method_metrics {
    struct metric *started;
    struct metric *handled[METHOD_CODES_N];
    struct metric *received; /* messages */
    struct metric *sent;
    struct histogram *seconds; /* NULL unless --metrics=extensive */
};

struct methods_metrics {
    struct method_metrics of[METHODS_N];
    struct metric_family *families[METHOD_COUNTS_N];
    struct metric_family *seconds;
};

void methods_register(struct metrics *m, bool extensive, struct methods_metrics *ret);

/* Counts for a late method.  code: of METHOD_HANDLED only. */
void methods_count_late(struct methods_metrics *m, enum method_id id, enum method_count what,
                        int code);

static inline void methods_count_started(struct methods_metrics *m, enum method_id id)
{
    if (LIKELY(id < METHODS_LATE))
        metric_inc(m->of[id].started);
    else
        methods_count_late(m, id, METHOD_STARTED, 0);
}

static inline void methods_count_received(struct methods_metrics *m, enum method_id id)
{
    if (LIKELY(id < METHODS_LATE))
        metric_inc(m->of[id].received);
    else
        methods_count_late(m, id, METHOD_RECEIVED, 0);
}

static inline void methods_count_sent(struct methods_metrics *m, enum method_id id)
{
    if (LIKELY(id < METHODS_LATE))
        metric_inc(m->of[id].sent);
    else
        methods_count_late(m, id, METHOD_SENT, 0);
}

/* A call has ended. */
void methods_count_handled(struct methods_metrics *m, enum method_id id, int code, mono_ns took);

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
