/* client.h -- the C client library of Ketch and etcd (API v3).
 *
 * A client knows one or more endpoints of a cluster, keeps a connection to each, and sends every
 * call to one of those that are up, in turn.  Requests and responses are the messages of etcd's
 * rpc.proto, as protobuf-c generates them.
 *
 * Two ways to use it.  Blocking: ketch_put(), ketch_range() and the like (all made from
 * KETCH_METHOD_MAP) return when the answer is there.  Event-driven: ketch_start(), ketch_watch(),
 * ketch_keep_alive() and ketch_stream() return at once; ketch_run() then waits for events and calls
 * the callbacks.
 *
 * What is tried again
 *   - A call waits, within its time, until some endpoint can be reached.
 *   - A call that only reads is repeated when an endpoint answers Unavailable or its connection is
 *     lost, up to 100 times, about 25 ms apart.
 *   - A call that writes is never repeated once it may have reached a server: only the caller knows
 *     whether doing it twice does harm.
 *   - Of several endpoints each is asked in its turn; the pause comes after a majority of them.  A
 *     learner that may not answer a call is passed over for the next one.
 *   - A call that a server refuses for its token (expired, lost, older than the users) is repeated
 *     after a new login, when the client knows a name and a password: nothing was done yet.
 *   - A watch goes on, on another endpoint, behind the last revision that it delivered.
 *
 * Threads: a client, and all clients that share its loop, belong to one thread.  Callbacks run
 * inside ketch_run() or a blocking call of that thread, and may start and cancel things, but may
 * not call a blocking function or close the client.
 *
 * Memory: what is passed in is borrowed during the call; a reply is owned by the caller and freed
 * with ketch_reply_free(); what a callback is given is valid until it returns.  Where no other
 * answer is named, the process stops without memory.
 *
 * Errors: functions that return int give 0 or a code (enum ketch_code), which is also in *e, with
 * words.  `e` may be NULL, except for ketch_login() and ketch_page().
 */
#ifndef KETCH_CLIENT_H
#define KETCH_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rpc.pb-c.h>

struct ketch_client;
struct ketch_reply;
struct ketch_call;
struct ketch_watch;
struct ketch_keep_alive;
struct ketch_stream;

/* ---- errors ---- */

#define KETCH_ERROR_TEXT_BYTES 1024

/* 0 is success, 1 to 16 are gRPC status codes, negative ones are the library's own. */
enum ketch_code {
    KETCH_OK = 0,
    KETCH_CANCELED = 1,
    KETCH_DEADLINE_EXCEEDED = 4,
    KETCH_UNAVAILABLE = 14,
    KETCH_E_NO_ENDPOINTS = -1100,
    KETCH_E_BAD_ENDPOINT = -1101,
    KETCH_E_NO_MEMORY = -1102,
    KETCH_E_BAD_REPLY = -1103, /* not the message that the method promises */
    KETCH_E_BAD_OPTIONS = -1105,
    KETCH_E_TLS = -1104, /* certificate, key or CA file cannot be used */
};

struct ketch_error {
    int code;
    /* As etcd's own client words it: the bare text of an API error ("etcdserver: key is not
     * provided"), "context deadline exceeded", else "rpc error: code = X desc = Y". */
    char text[KETCH_ERROR_TEXT_BYTES];
};

/* The name of a gRPC status code: "NotFound".  NULL: it has none. */
const char *ketch_code_name(int code);

/* ---- a client ---- */

/* Files are read again when they change, before the next connection is made. */
struct ketch_tls_options {
    bool enabled;          /* false: only endpoints that say https or unixs use TLS */
    const char *ca_file;   /* NULL or "": the system's CAs */
    const char *cert_file; /* shown to servers; with key_file or not at all */
    const char *key_file;
    const char *server_name; /* verified in place of each endpoint's host; NULL: that */
    bool skip_verify;
};

/* One failed attempt of a call: what etcd's client reports as "retrying of unary invoker failed".
 */
struct ketch_attempt {
    const void *client;
    const char *first_endpoint; /* host:port of the first endpoint of the list */
    const char *peer;           /* host:port that was asked, or NULL: none was reached */
    const char *method;         /* "/etcdserverpb.KV/Range" */
    unsigned attempt;           /* from 0 */
    int code;
    const char *text; /* "rpc error: code = X desc = Y" */
};

struct ketch_options {
    /* "host:port", "http://host:port", "https://...", "unix://path", "unix:path", "unixs://path".
     */
    const char *const *endpoints;
    size_t endpoint_count;
    int64_t dial_timeout_ms;      /* of one attempt to connect; 0: 2000 */
    int64_t keepalive_time_ms;    /* ping a connection that was silent so long; 0: never */
    int64_t keepalive_timeout_ms; /* and give it up when the answer takes longer; 0: 6000 */
    size_t request_bytes_max;     /* 0: 2 MiB */
    size_t response_bytes_max;    /* 0: 2^31 - 1 */
    const char *token;            /* metadata `token` of every call; NULL: none */
    struct ketch_tls_options tls;
    void (*on_attempt)(const struct ketch_attempt *a, void *user); /* may be NULL */
    void *user;
    struct ketch_client *share; /* NULL, or a client whose loop this one uses too */
};

/* Copies the options; begins to connect, does not wait.  KETCH_E_NO_ENDPOINTS (none, or more than
 * 1024), KETCH_E_BAD_ENDPOINT, KETCH_E_BAD_OPTIONS (a request may be larger than a response),
 * KETCH_E_TLS, KETCH_E_NO_MEMORY. */
int ketch_open(const struct ketch_options *o, struct ketch_client **ret, struct ketch_error *e);

/* Ends all that is open (their callbacks run with KETCH_CANCELED).  A client whose loop others
 * share is closed after them.  NULL is accepted. */
void ketch_close(struct ketch_client *c);

/* From now on sent with every call; NULL: no token. */
void ketch_set_token(struct ketch_client *c, const char *token);

/* Asks the server for a token, and waits for it.  Copies name and password and asks again, by
 * itself, whenever a server refuses the token.  A server without users is no error: calls then go
 * out without a token.  An empty name or password: nothing is asked.  Not while it asks by itself.
 * Codes are those of the call. */
int ketch_login(struct ketch_client *c, const char *user, const char *password, int64_t timeout_ms,
                struct ketch_error *e);

/* GETs a page of one endpoint (its index in the options), such as "/metrics", and waits for it.
 * *ret is text, freed with ketch_page_free.  KETCH_UNAVAILABLE (also for a status that is not 200),
 * KETCH_E_BAD_REPLY (the page is too large), KETCH_E_NO_MEMORY. */
int ketch_page(struct ketch_client *c, size_t endpoint, const char *path, int64_t timeout_ms,
               char **ret, struct ketch_error *e);
void ketch_page_free(char *page);

/* A server that DNS names for clients of a domain (RFC 2782): by a record of _etcd-client-ssl._tcp
 * for https, or of _etcd-client._tcp for http. */
struct ketch_discovered {
    bool https;
    const char *host; /* without the dot at its end */
    uint16_t port;
    uint16_t priority;
    uint16_t weight;
};
typedef void ketch_discovered_fn(const struct ketch_discovered *found, void *user);

/* Looks up both, with "-SUFFIX" behind their names unless it is empty, and waits; `found` hears of
 * https first, each by priority.  Fails when neither gives any, with KETCH_UNAVAILABLE and Go's
 * words: "dns lookup errors: lookup N on S: no such host and lookup ...". */
int ketch_discover(const char *domain, const char *suffix, ketch_discovered_fn *found, void *user,
                   struct ketch_error *e);

/* Runs callbacks until ketch_stop() is called from one of them. */
void ketch_run(struct ketch_client *c);
void ketch_stop(struct ketch_client *c);

/* Any thread: `fn` runs, once, inside ketch_run() of the client's thread. */
void ketch_post(struct ketch_client *c, void (*fn)(void *arg), void *arg);

/* `fn` runs, once, inside ketch_run(), that many milliseconds from now or a little later; never
 * when the client is closed before. */
void ketch_after(struct ketch_client *c, int64_t ms, void (*fn)(void *arg), void *arg);

/* ---- unary methods ---- */

/* X(name, Request, Response, descriptor, path, repeatable) */
/* clang-format off */
#define KETCH_METHOD_MAP(X) \
    X(range, RangeRequest, RangeResponse, range_response, "KV/Range", 1) \
    X(put, PutRequest, PutResponse, put_response, "KV/Put", 0) \
    X(delete_range, DeleteRangeRequest, DeleteRangeResponse, delete_range_response, "KV/DeleteRange", 0) \
    X(txn, TxnRequest, TxnResponse, txn_response, "KV/Txn", 0) \
    X(compact, CompactionRequest, CompactionResponse, compaction_response, "KV/Compact", 0) \
    X(lease_grant, LeaseGrantRequest, LeaseGrantResponse, lease_grant_response, "Lease/LeaseGrant", 0) \
    X(lease_revoke, LeaseRevokeRequest, LeaseRevokeResponse, lease_revoke_response, "Lease/LeaseRevoke", 0) \
    X(lease_time_to_live, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse, lease_time_to_live_response, "Lease/LeaseTimeToLive", 1) \
    X(lease_leases, LeaseLeasesRequest, LeaseLeasesResponse, lease_leases_response, "Lease/LeaseLeases", 1) \
    X(member_add, MemberAddRequest, MemberAddResponse, member_add_response, "Cluster/MemberAdd", 0) \
    X(member_remove, MemberRemoveRequest, MemberRemoveResponse, member_remove_response, "Cluster/MemberRemove", 0) \
    X(member_update, MemberUpdateRequest, MemberUpdateResponse, member_update_response, "Cluster/MemberUpdate", 0) \
    X(member_list, MemberListRequest, MemberListResponse, member_list_response, "Cluster/MemberList", 1) \
    X(member_promote, MemberPromoteRequest, MemberPromoteResponse, member_promote_response, "Cluster/MemberPromote", 0) \
    X(alarm, AlarmRequest, AlarmResponse, alarm_response, "Maintenance/Alarm", 1) \
    X(status, StatusRequest, StatusResponse, status_response, "Maintenance/Status", 1) \
    X(defragment, DefragmentRequest, DefragmentResponse, defragment_response, "Maintenance/Defragment", 0) \
    X(hash, HashRequest, HashResponse, hash_response, "Maintenance/Hash", 1) \
    X(hash_kv, HashKVRequest, HashKVResponse, hash_kvresponse, "Maintenance/HashKV", 1) \
    X(move_leader, MoveLeaderRequest, MoveLeaderResponse, move_leader_response, "Maintenance/MoveLeader", 0) \
    X(downgrade, DowngradeRequest, DowngradeResponse, downgrade_response, "Maintenance/Downgrade", 0) \
    X(auth_enable, AuthEnableRequest, AuthEnableResponse, auth_enable_response, "Auth/AuthEnable", 0) \
    X(auth_disable, AuthDisableRequest, AuthDisableResponse, auth_disable_response, "Auth/AuthDisable", 0) \
    X(auth_status, AuthStatusRequest, AuthStatusResponse, auth_status_response, "Auth/AuthStatus", 1) \
    X(authenticate, AuthenticateRequest, AuthenticateResponse, authenticate_response, "Auth/Authenticate", 0) \
    X(user_add, AuthUserAddRequest, AuthUserAddResponse, auth_user_add_response, "Auth/UserAdd", 0) \
    X(user_get, AuthUserGetRequest, AuthUserGetResponse, auth_user_get_response, "Auth/UserGet", 1) \
    X(user_list, AuthUserListRequest, AuthUserListResponse, auth_user_list_response, "Auth/UserList", 1) \
    X(user_delete, AuthUserDeleteRequest, AuthUserDeleteResponse, auth_user_delete_response, "Auth/UserDelete", 0) \
    X(user_change_password, AuthUserChangePasswordRequest, AuthUserChangePasswordResponse, auth_user_change_password_response, "Auth/UserChangePassword", 0) \
    X(user_grant_role, AuthUserGrantRoleRequest, AuthUserGrantRoleResponse, auth_user_grant_role_response, "Auth/UserGrantRole", 0) \
    X(user_revoke_role, AuthUserRevokeRoleRequest, AuthUserRevokeRoleResponse, auth_user_revoke_role_response, "Auth/UserRevokeRole", 0) \
    X(role_add, AuthRoleAddRequest, AuthRoleAddResponse, auth_role_add_response, "Auth/RoleAdd", 0) \
    X(role_get, AuthRoleGetRequest, AuthRoleGetResponse, auth_role_get_response, "Auth/RoleGet", 1) \
    X(role_list, AuthRoleListRequest, AuthRoleListResponse, auth_role_list_response, "Auth/RoleList", 1) \
    X(role_delete, AuthRoleDeleteRequest, AuthRoleDeleteResponse, auth_role_delete_response, "Auth/RoleDelete", 0) \
    X(role_grant_permission, AuthRoleGrantPermissionRequest, AuthRoleGrantPermissionResponse, auth_role_grant_permission_response, "Auth/RoleGrantPermission", 0) \
    X(role_revoke_permission, AuthRoleRevokePermissionRequest, AuthRoleRevokePermissionResponse, auth_role_revoke_permission_response, "Auth/RoleRevokePermission", 0)
/* clang-format on */

/* The lock service: V3lockpb__LockRequest and so on, by ketch_invoke and ketch_start. */
#define KETCH_LOCK_METHOD_MAP(X)                  \
    X(lock, lock_response, "/v3lockpb.Lock/Lock") \
    X(unlock, unlock_response, "/v3lockpb.Lock/Unlock")

enum ketch_method {
#define X(name, req, res, desc, path, repeat) KETCH_METHOD_##name,
    KETCH_METHOD_MAP(X)
#undef X
#define X(name, desc, path) KETCH_METHOD_##name,
        KETCH_LOCK_METHOD_MAP(X)
#undef X
            KETCH_METHOD_COUNT
};

/* The decoded response; freed with its reply. */
const ProtobufCMessage *ketch_reply_message(const struct ketch_reply *r);
void ketch_reply_free(struct ketch_reply *r); /* NULL is accepted */

/* Sends and waits.  timeout_ms: 0 for ever; negative: it is already too late.  On failure *ret is
 * NULL. */
int ketch_invoke(struct ketch_client *c, enum ketch_method m, const ProtobufCMessage *request,
                 int64_t timeout_ms, struct ketch_reply **ret, struct ketch_error *e);

/* int ketch_put(c, &request, timeout_ms, &reply, &response, &error), and so for each method:
 * the response lies in the reply. */
#define X(name, req, res, desc, path, repeat)                                                      \
    static inline int ketch_##name(                                                                \
        struct ketch_client *c, const Etcdserverpb__##req *request, int64_t timeout_ms,            \
        struct ketch_reply **ret, const Etcdserverpb__##res **ret_response, struct ketch_error *e) \
    {                                                                                              \
        int rc = ketch_invoke(c, KETCH_METHOD_##name, &request->base, timeout_ms, ret, e);         \
                                                                                                   \
        *ret_response =                                                                            \
            rc == 0 ? (const Etcdserverpb__##res *) (const void *) ketch_reply_message(*ret) : 0;  \
        return rc;                                                                                 \
    }
KETCH_METHOD_MAP(X)
#undef X

/* Event-driven.  `done` runs exactly once, never from within ketch_start; `reply` is the callback's
 * to free, NULL on failure.  NULL is returned (and `done` never runs) without memory. */
typedef void ketch_done_fn(struct ketch_reply *reply, const struct ketch_error *e, void *user);
struct ketch_call *ketch_start(struct ketch_client *c, enum ketch_method m,
                               const ProtobufCMessage *request, int64_t timeout_ms,
                               ketch_done_fn *done, void *user);
/* The same for who wants to know only whether it was done: the response is not decoded, `reply` is
 * NULL in any case. */
struct ketch_call *ketch_start_unread(struct ketch_client *c, enum ketch_method m,
                                      const ProtobufCMessage *request, int64_t timeout_ms,
                                      ketch_done_fn *done, void *user);
/* Before `done` has run, which then runs with KETCH_CANCELED. */
void ketch_cancel(struct ketch_call *call);

/* ---- answers in many parts ---- */

enum ketch_stream_method {
    KETCH_SNAPSHOT,     /* SnapshotRequest -> SnapshotResponse ... */
    KETCH_RANGE_STREAM, /* RangeRequest -> RangeStreamResponse ... */
};

struct ketch_stream_callbacks {
    void (*on_open)(void *user); /* the server has accepted the call; may be NULL */
    /* False ends the stream; on_end follows with KETCH_CANCELED. */
    bool (*on_message)(const ProtobufCMessage *message, void *user);
    void (*on_end)(const struct ketch_error *e, void *user); /* exactly once; code 0: complete */
};

/* `cb` is borrowed until on_end.  timeout_ms as of ketch_invoke.  NULL (and no callback runs): no
 * memory, or a request of more than request_bytes_max. */
struct ketch_stream *ketch_stream(struct ketch_client *c, enum ketch_stream_method m,
                                  const ProtobufCMessage *request, int64_t timeout_ms,
                                  const struct ketch_stream_callbacks *cb, void *user);

/* ---- watch ---- */

struct ketch_watch_event {
    const Etcdserverpb__ResponseHeader *header; /* NULL: refused before it began */
    Mvccpb__Event *const *events;
    size_t event_count;
    int64_t compact_revision;
    bool canceled; /* the watch is over; no more callbacks */
    bool progress; /* no events, but everything up to the header's revision has been delivered */
    const char *error; /* canceled: why, in etcd's words; else NULL */
};

typedef void ketch_watch_fn(const struct ketch_watch_event *ev, void *user);

struct ketch_watch_options {
    bool require_leader; /* end the watch when the member asked loses sight of a leader */
    unsigned stream;     /* watches with different numbers do not share a stream */
    /* The server has begun the watch (not: begun it again after a reconnection).  May be NULL. */
    void (*on_created)(void *user);
};

/* Copies the request.  `fn` runs for each answer that concerns this watch.  All watches of a client
 * with the same options share one stream.  `o` may be NULL: all zero.  NULL without memory. */
struct ketch_watch *ketch_watch(struct ketch_client *c, const Etcdserverpb__WatchCreateRequest *r,
                                const struct ketch_watch_options *o, ketch_watch_fn *fn,
                                void *user);
void ketch_watch_cancel(struct ketch_watch *w); /* no more callbacks; not after canceled */

/* Asks the server how far it is; each watch of the client hears of it as `progress`. */
void ketch_watch_progress(struct ketch_client *c);

/* ---- keeping a lease alive ---- */

/* response: one renewal.  NULL: the lease is gone or could not be renewed in time (with the reason
 * in `e`, code 0 when it ran out); this is the last callback. */
typedef void ketch_keep_alive_fn(const Etcdserverpb__LeaseKeepAliveResponse *response,
                                 const struct ketch_error *e, void *user);

/* Renews now, then after every third of the TTL.  NULL without memory. */
struct ketch_keep_alive *ketch_keep_alive(struct ketch_client *c, int64_t lease_id,
                                          ketch_keep_alive_fn *fn, void *user);
void ketch_keep_alive_stop(struct ketch_keep_alive *k); /* no more callbacks; not after the last */

/* One renewal, blocking, without time limit. */
int ketch_keep_alive_once(struct ketch_client *c, int64_t lease_id, struct ketch_reply **ret,
                          const Etcdserverpb__LeaseKeepAliveResponse **ret_response,
                          struct ketch_error *e);

/* The same, event-driven: `done` as ketch_start has it, with a LeaseKeepAliveResponse.  False (and
 * `done` never runs): no memory. */
bool ketch_keep_alive_once_start(struct ketch_client *c, int64_t lease_id, ketch_done_fn *done,
                                 void *user);

#endif
