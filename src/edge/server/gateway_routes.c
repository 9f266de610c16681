/* gateway_routes.c -- which path is which method. */
#include "edge/server/gateway_int.h"

#include "rpc.pb-c.h"
#include "v3election.pb-c.h"
#include "v3lock.pb-c.h"

/* clang-format off */
#define ROUTE(path, method, kind, package, request, response) \
    {"/v3/" path, "/" method, NET_##kind, &package##__##request##__descriptor, \
     &package##__##response##__descriptor},

const struct gateway_route gateway_routes[] = {
    ROUTE("kv/range", "etcdserverpb.KV/Range", UNARY, etcdserverpb,
          range_request, range_response)
    ROUTE("kv/put", "etcdserverpb.KV/Put", UNARY, etcdserverpb, put_request, put_response)
    ROUTE("kv/deleterange", "etcdserverpb.KV/DeleteRange", UNARY, etcdserverpb,
          delete_range_request, delete_range_response)
    ROUTE("kv/txn", "etcdserverpb.KV/Txn", UNARY, etcdserverpb, txn_request, txn_response)
    ROUTE("kv/compaction", "etcdserverpb.KV/Compact", UNARY, etcdserverpb,
          compaction_request, compaction_response)
    ROUTE("watch", "etcdserverpb.Watch/Watch", BIDI, etcdserverpb,
          watch_request, watch_response)
    ROUTE("lease/grant", "etcdserverpb.Lease/LeaseGrant", UNARY, etcdserverpb,
          lease_grant_request, lease_grant_response)
    ROUTE("lease/revoke", "etcdserverpb.Lease/LeaseRevoke", UNARY, etcdserverpb,
          lease_revoke_request, lease_revoke_response)
    ROUTE("kv/lease/revoke", "etcdserverpb.Lease/LeaseRevoke", UNARY, etcdserverpb,
          lease_revoke_request, lease_revoke_response)
    ROUTE("lease/keepalive", "etcdserverpb.Lease/LeaseKeepAlive", BIDI, etcdserverpb,
          lease_keep_alive_request, lease_keep_alive_response)
    ROUTE("lease/timetolive", "etcdserverpb.Lease/LeaseTimeToLive", UNARY, etcdserverpb,
          lease_time_to_live_request, lease_time_to_live_response)
    ROUTE("kv/lease/timetolive", "etcdserverpb.Lease/LeaseTimeToLive", UNARY, etcdserverpb,
          lease_time_to_live_request, lease_time_to_live_response)
    ROUTE("lease/leases", "etcdserverpb.Lease/LeaseLeases", UNARY, etcdserverpb,
          lease_leases_request, lease_leases_response)
    ROUTE("kv/lease/leases", "etcdserverpb.Lease/LeaseLeases", UNARY, etcdserverpb,
          lease_leases_request, lease_leases_response)
    ROUTE("cluster/member/add", "etcdserverpb.Cluster/MemberAdd", UNARY, etcdserverpb,
          member_add_request, member_add_response)
    ROUTE("cluster/member/remove", "etcdserverpb.Cluster/MemberRemove", UNARY, etcdserverpb,
          member_remove_request, member_remove_response)
    ROUTE("cluster/member/update", "etcdserverpb.Cluster/MemberUpdate", UNARY, etcdserverpb,
          member_update_request, member_update_response)
    ROUTE("cluster/member/list", "etcdserverpb.Cluster/MemberList", UNARY, etcdserverpb,
          member_list_request, member_list_response)
    ROUTE("cluster/member/promote", "etcdserverpb.Cluster/MemberPromote", UNARY, etcdserverpb,
          member_promote_request, member_promote_response)
    ROUTE("maintenance/alarm", "etcdserverpb.Maintenance/Alarm", UNARY, etcdserverpb,
          alarm_request, alarm_response)
    ROUTE("maintenance/status", "etcdserverpb.Maintenance/Status", UNARY, etcdserverpb,
          status_request, status_response)
    ROUTE("maintenance/defragment", "etcdserverpb.Maintenance/Defragment", UNARY, etcdserverpb,
          defragment_request, defragment_response)
    ROUTE("maintenance/hash", "etcdserverpb.Maintenance/Hash", UNARY, etcdserverpb,
          hash_request, hash_response)
    ROUTE("maintenance/hashkv", "etcdserverpb.Maintenance/HashKV", UNARY, etcdserverpb,
          hash_kvrequest, hash_kvresponse)
    ROUTE("maintenance/snapshot", "etcdserverpb.Maintenance/Snapshot", SERVER_STREAM, etcdserverpb,
          snapshot_request, snapshot_response)
    ROUTE("maintenance/transfer-leadership", "etcdserverpb.Maintenance/MoveLeader", UNARY, etcdserverpb,
          move_leader_request, move_leader_response)
    ROUTE("maintenance/downgrade", "etcdserverpb.Maintenance/Downgrade", UNARY, etcdserverpb,
          downgrade_request, downgrade_response)
    ROUTE("auth/enable", "etcdserverpb.Auth/AuthEnable", UNARY, etcdserverpb,
          auth_enable_request, auth_enable_response)
    ROUTE("auth/disable", "etcdserverpb.Auth/AuthDisable", UNARY, etcdserverpb,
          auth_disable_request, auth_disable_response)
    ROUTE("auth/status", "etcdserverpb.Auth/AuthStatus", UNARY, etcdserverpb,
          auth_status_request, auth_status_response)
    ROUTE("auth/authenticate", "etcdserverpb.Auth/Authenticate", UNARY, etcdserverpb,
          authenticate_request, authenticate_response)
    ROUTE("auth/user/add", "etcdserverpb.Auth/UserAdd", UNARY, etcdserverpb,
          auth_user_add_request, auth_user_add_response)
    ROUTE("auth/user/get", "etcdserverpb.Auth/UserGet", UNARY, etcdserverpb,
          auth_user_get_request, auth_user_get_response)
    ROUTE("auth/user/list", "etcdserverpb.Auth/UserList", UNARY, etcdserverpb,
          auth_user_list_request, auth_user_list_response)
    ROUTE("auth/user/delete", "etcdserverpb.Auth/UserDelete", UNARY, etcdserverpb,
          auth_user_delete_request, auth_user_delete_response)
    ROUTE("auth/user/changepw", "etcdserverpb.Auth/UserChangePassword", UNARY, etcdserverpb,
          auth_user_change_password_request, auth_user_change_password_response)
    ROUTE("auth/user/grant", "etcdserverpb.Auth/UserGrantRole", UNARY, etcdserverpb,
          auth_user_grant_role_request, auth_user_grant_role_response)
    ROUTE("auth/user/revoke", "etcdserverpb.Auth/UserRevokeRole", UNARY, etcdserverpb,
          auth_user_revoke_role_request, auth_user_revoke_role_response)
    ROUTE("auth/role/add", "etcdserverpb.Auth/RoleAdd", UNARY, etcdserverpb,
          auth_role_add_request, auth_role_add_response)
    ROUTE("auth/role/get", "etcdserverpb.Auth/RoleGet", UNARY, etcdserverpb,
          auth_role_get_request, auth_role_get_response)
    ROUTE("auth/role/list", "etcdserverpb.Auth/RoleList", UNARY, etcdserverpb,
          auth_role_list_request, auth_role_list_response)
    ROUTE("auth/role/delete", "etcdserverpb.Auth/RoleDelete", UNARY, etcdserverpb,
          auth_role_delete_request, auth_role_delete_response)
    ROUTE("auth/role/grant", "etcdserverpb.Auth/RoleGrantPermission", UNARY, etcdserverpb,
          auth_role_grant_permission_request, auth_role_grant_permission_response)
    ROUTE("auth/role/revoke", "etcdserverpb.Auth/RoleRevokePermission", UNARY, etcdserverpb,
          auth_role_revoke_permission_request, auth_role_revoke_permission_response)
    ROUTE("lock/lock", "v3lockpb.Lock/Lock", UNARY, v3lockpb, lock_request, lock_response)
    ROUTE("lock/unlock", "v3lockpb.Lock/Unlock", UNARY, v3lockpb,
          unlock_request, unlock_response)
    ROUTE("election/campaign", "v3electionpb.Election/Campaign", UNARY, v3electionpb,
          campaign_request, campaign_response)
    ROUTE("election/proclaim", "v3electionpb.Election/Proclaim", UNARY, v3electionpb,
          proclaim_request, proclaim_response)
    ROUTE("election/leader", "v3electionpb.Election/Leader", UNARY, v3electionpb,
          leader_request, leader_response)
    ROUTE("election/observe", "v3electionpb.Election/Observe", SERVER_STREAM, v3electionpb,
          leader_request, leader_response)
    ROUTE("election/resign", "v3electionpb.Election/Resign", UNARY, v3electionpb,
          resign_request, resign_response)
};
/* clang-format on */
const size_t gateway_routes_n = ARRAY_LEN(gateway_routes);

const struct gateway_route *gateway_route_find(struct bytes path)
{
    for (size_t i = 0; i < gateway_routes_n; i++) {
        if (bytes_eq(path, bytes_str(gateway_routes[i].path)))
            return &gateway_routes[i];
    }
    return NULL;
}
