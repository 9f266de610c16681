/* api_error.h -- the errors that etcd's API gives, by the name that etcd's rpctypes has for them.
 *
 * Clients recognise them by code and text together, so both are exact.  Two of them
 * (MEMBER_NOT_ENOUGH_STARTED, REQUEST_TOO_MANY_REQUESTS) really travel with code Unknown, although
 * etcd's own table gives them another; three texts (NO_PASSWORD_USER, TOKEN_VERIFY_ONLY,
 * PASSWORD_TOO_LONG) are not in that table and travel as they are.
 *
 * Source: the interface facts of etcd 3.7.1.   Threads: any.   Memory: texts and names are static.
 */
#ifndef KETCH_WIRE_API_ERROR_H
#define KETCH_WIRE_API_ERROR_H

#include "base/base.h"

/* gRPC status codes (https://grpc.io, "Status codes and their use in gRPC"). */
enum grpc_code {
    GRPC_OK = 0,
    GRPC_CANCELED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_ALREADY_EXISTS = 6,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
    GRPC_UNAUTHENTICATED = 16,
};

/* clang-format off */
#define API_ERROR_MAP(X) \
    X(EMPTY_KEY, 3, "etcdserver: key is not provided")                                                           \
    X(KEY_NOT_FOUND, 3, "etcdserver: key not found")                                                             \
    X(VALUE_PROVIDED, 3, "etcdserver: value is provided")                                                        \
    X(LEASE_PROVIDED, 3, "etcdserver: lease is provided")                                                        \
    X(TOO_MANY_OPS, 3, "etcdserver: too many operations in txn request")                                         \
    X(DUPLICATE_KEY, 3, "etcdserver: duplicate key given in txn request")                                        \
    X(INVALID_CLIENT_API_VERSION, 3, "etcdserver: invalid client api version")                                   \
    X(INVALID_SORT_OPTION, 3, "etcdserver: invalid sort option")                                                 \
    X(COMPACTED, 11, "etcdserver: mvcc: required revision has been compacted")                                   \
    X(FUTURE_REV, 11, "etcdserver: mvcc: required revision is a future revision")                                \
    X(NO_SPACE, 8, "etcdserver: mvcc: database space exceeded")                                                  \
    X(LEASE_NOT_FOUND, 5, "etcdserver: requested lease not found")                                               \
    X(LEASE_EXIST, 9, "etcdserver: lease already exists")                                                        \
    X(LEASE_TTL_TOO_LARGE, 11, "etcdserver: too large lease TTL")                                                \
    X(WATCH_CANCELED, 1, "etcdserver: watch canceled")                                                           \
    X(MEMBER_EXIST, 9, "etcdserver: member ID already exist")                                                    \
    X(PEER_URL_EXIST, 9, "etcdserver: Peer URLs already exists")                                                 \
    X(MEMBER_NOT_ENOUGH_STARTED, 2, "etcdserver: re-configuration failed due to not enough started members")     \
    X(MEMBER_BAD_URLS, 3, "etcdserver: given member URLs are invalid")                                          \
    X(MEMBER_NOT_FOUND, 5, "etcdserver: member not found")                                                       \
    X(MEMBER_NOT_LEARNER, 9, "etcdserver: can only promote a learner member")                                    \
    X(LEARNER_NOT_READY, 9, "etcdserver: can only promote a learner member which is in sync with leader")        \
    X(TOO_MANY_LEARNERS, 9, "etcdserver: too many learner members in cluster")                                   \
    X(CLUSTER_ID_MISMATCH, 9, "etcdserver: cluster ID mismatch")                                                 \
    X(REQUEST_TOO_LARGE, 3, "etcdserver: request is too large")                                                  \
    X(REQUEST_TOO_MANY_REQUESTS, 2, "etcdserver: too many requests")                                             \
    X(ROOT_USER_NOT_EXIST, 9, "etcdserver: root user does not exist")                                            \
    X(ROOT_ROLE_NOT_EXIST, 9, "etcdserver: root user does not have root role")                                   \
    X(USER_ALREADY_EXIST, 9, "etcdserver: user name already exists")                                             \
    X(USER_EMPTY, 3, "etcdserver: user name is empty")                                                           \
    X(USER_NOT_FOUND, 9, "etcdserver: user name not found")                                                      \
    X(ROLE_ALREADY_EXIST, 9, "etcdserver: role name already exists")                                             \
    X(ROLE_NOT_FOUND, 9, "etcdserver: role name not found")                                                      \
    X(ROLE_EMPTY, 3, "etcdserver: role name is empty")                                                           \
    X(AUTH_FAILED, 3, "etcdserver: authentication failed, invalid user ID or password")                          \
    X(PERMISSION_NOT_GIVEN, 3, "etcdserver: permission not given")                                               \
    X(PERMISSION_DENIED, 7, "etcdserver: permission denied")                                                     \
    X(ROLE_NOT_GRANTED, 9, "etcdserver: role is not granted to the user")                                        \
    X(PERMISSION_NOT_GRANTED, 9, "etcdserver: permission is not granted to the role")                            \
    X(AUTH_NOT_ENABLED, 9, "etcdserver: authentication is not enabled")                                          \
    X(INVALID_AUTH_TOKEN, 16, "etcdserver: invalid auth token")                                                  \
    X(NO_PASSWORD_USER, 2, "auth: authentication failed, password was given for no password user")               \
    X(TOKEN_VERIFY_ONLY, 2, "auth: token signing attempted with verify-only key")                                \
    X(PASSWORD_TOO_LONG, 2, "bcrypt: password length exceeds 72 bytes")                                          \
    X(INVALID_AUTH_MGMT, 3, "etcdserver: invalid auth management")                                               \
    X(AUTH_OLD_REVISION, 3, "etcdserver: revision of auth store is old")                                         \
    X(NO_LEADER, 14, "etcdserver: no leader")                                                                    \
    X(NOT_LEADER, 9, "etcdserver: not leader")                                                                   \
    X(LEADER_CHANGED, 14, "etcdserver: leader changed")                                                          \
    X(NOT_CAPABLE, 9, "etcdserver: not capable")                                                                 \
    X(STOPPED, 14, "etcdserver: server stopped")                                                                 \
    X(TIMEOUT, 14, "etcdserver: request timed out")                                                              \
    X(TIMEOUT_DUE_TO_LEADER_FAIL, 14, "etcdserver: request timed out, possibly due to previous leader failure")  \
    X(TIMEOUT_DUE_TO_CONNECTION_LOST, 14, "etcdserver: request timed out, possibly due to connection lost")      \
    X(TIMEOUT_WAIT_APPLIED_INDEX, 14, "etcdserver: request timed out, waiting for the applied index took too long") \
    X(UNHEALTHY, 14, "etcdserver: unhealthy cluster")                                                            \
    X(CORRUPT, 15, "etcdserver: corrupt cluster")                                                                \
    X(NOT_SUPPORTED_FOR_LEARNER, 9, "etcdserver: rpc not supported for learner")                                 \
    X(BAD_LEADER_TRANSFEREE, 9, "etcdserver: bad leader transferee")                                             \
    X(WRONG_DOWNGRADE_VERSION_FORMAT, 3, "etcdserver: wrong downgrade target version format")                    \
    X(INVALID_DOWNGRADE_TARGET_VERSION, 3, "etcdserver: invalid downgrade target version")                       \
    X(CLUSTER_VERSION_UNAVAILABLE, 9, "etcdserver: cluster version not found during downgrade")                  \
    X(DOWNGRADE_IN_PROCESS, 9, "etcdserver: cluster has a downgrade job in progress")                            \
    X(NO_INFLIGHT_DOWNGRADE, 9, "etcdserver: no inflight downgrade job")                                         \
    X(CANCELED, 1, "etcdserver: request canceled")                                                               \
    X(DEADLINE_EXCEEDED, 4, "etcdserver: context deadline exceeded")
/* clang-format on */

enum api_error {
    API_OK = 0,
#define X(name, code, text) API_##name,
    API_ERROR_MAP(X)
#undef X
        API_ERROR_END
};

/* Of API_OK: GRPC_OK and "". */
enum grpc_code api_error_code(enum api_error e);
const char *api_error_text(enum api_error e);

/* The error with exactly this text, or API_OK. */
enum api_error api_error_find(struct bytes text);

/* The name of a gRPC code as grpc-go prints it: "InvalidArgument"; "Code(17)" for an unknown one is
 * the caller's to make: NULL is returned. */
const char *grpc_code_name(unsigned code);

#endif
