/* auth.h -- users, roles, permissions, and the simple tokens of who has logged in.
 *
 * All of it but the tokens is on disk, byte for byte as etcd writes it (buckets `auth`,
 * `authUsers`, `authRoles`), and changes only by entries of the log, so that every member comes to
 * the same answer for the same request.  Tokens are in memory; entries of the log make them, the
 * change of a password or the end of authentication takes them away, and so does time, on each
 * member for itself.
 *
 *      apply thread                                   any thread that has a struct auth_reader
 *      auth_user_add, auth_role_grant, ...              auth_pin -> struct auth_view
 *      auth_publish  ------ new struct auth_view --->     auth_check_*, auth_token_use
 *                                                       auth_unpin
 *
 * A view never changes.  What readers may still look at is freed when none of them is pinned that
 * began before it was replaced; nobody waits for anybody, and there is no lock.
 *
 * Source: etcd's server/auth (which checks are made, and in which order).
 *
 * Threads: "apply" functions on the apply thread, or on any one thread before the others start.
 * Memory: copies whatever it keeps.  On the apply side, without memory the process stops.
 */
#ifndef KETCH_STATE_AUTH_AUTH_H
#define KETCH_STATE_AUTH_AUTH_H

#include "base/arena.h"
#include "base/err.h"
#include "rpc.pb-c.h"
#include "sys/clock.h"
#include "wire/api_error.h"

#define AUTH_ERR_MAP(X) X(DAMAGED, -700, "damaged auth record")

enum auth_err {
#define X(name, code, text) ERR_AUTH_##name = code,
    AUTH_ERR_MAP(X)
#undef X
};

#define AUTH_READERS_MAX 128
#define AUTH_TOKENS_MAX 100000 /* live ones; then the one that would end first makes room */
#define AUTH_TOKEN_LETTERS 16  /* in front of the point and the index */
#define AUTH_TOKEN_BYTES_MAX (AUTH_TOKEN_LETTERS + 1 + 20)
#define AUTH_NAME_BYTES_MAX 32768 /* of a user or role: it is a key of the data file */
#define AUTH_HASH_BYTES_MAX 128   /* of a password's hash; bcrypt's has 60 */
#define AUTH_ROOT "root" /* the user that must exist, and the role that may do everything */

struct store;
struct auth_store;
struct auth_view;
struct auth_reader;

struct auth_config {
    bool simple_tokens;   /* logins give simple tokens; else they give none here */
    mono_ns token_ttl_ns; /* since the last use */
    uint64_t
        hash_seed[2]; /* from the process's random source: strangers choose what is looked up */
    /* For an entry from before 3.5, whose password is not hashed yet: writes a NUL-terminated hash.
     */
    bool (*hash_password)(void *ctx, const char *password, char ret[AUTH_HASH_BYTES_MAX]);
    void *ctx;
};

/* ---- life ---- */

/* Loads what the store has.  Where there is no auth revision yet, it becomes 1 and is written.
 *   ERR_AUTH_DAMAGED   a record that cannot be read, or an error of the store */
NODISCARD int auth_open(const struct auth_config *cfg, struct store *s, struct auth_store **ret,
                        struct err *e);
/* No reader is pinned any more.  NULL is accepted. */
void auth_free(struct auth_store *a);

/* apply: the store was replaced by another one (a snapshot).  Publish afterwards, before the next
 * entry is answered.  Tokens stay.  Errors as of auth_open: the process stops, for users and roles
 * are half loaded. */
NODISCARD int auth_reload(struct auth_store *a, struct store *s, struct err *e);

/* ---- readers ---- */

/* Before the threads start, or under their own lock.  NULL: there are AUTH_READERS_MAX. */
NODISCARD struct auth_reader *auth_reader_new(struct auth_store *a);
void auth_reader_free(struct auth_reader *r); /* NULL is accepted */

/* Any thread, cheaper than a pin: whether authentication is on as published. */
bool auth_on(const struct auth_store *a);

/* Any thread, likewise: the revision of users and roles as published. */
uint64_t auth_revision(const struct auth_store *a);

/* The newest view, until auth_unpin.  A pin is short: within one function, never across a turn.
 * Pins of one reader do not nest. */
const struct auth_view *auth_pin(struct auth_reader *r);
void auth_unpin(struct auth_reader *r);

/* While pinned.  Who logged in with this token; its time starts anew.  False: no such token, or its
 * time is up.  *ret_user lives as long as the pin. */
bool auth_token_use(struct auth_reader *r, struct bytes token, mono_ns now, struct bytes *ret_user);

/* ---- views ---- */

bool auth_view_on(const struct auth_view *v);
uint64_t auth_view_revision(const struct auth_view *v);

/* What a login is checked against.  False: no such user. */
struct auth_login {
    struct bytes hash; /* as long as the view */
    bool no_password;
};
bool auth_view_login(const struct auth_view *v, struct bytes user, struct auth_login *ret);

/* Who asks.  All zero: nobody has said who he is. */
struct auth_who {
    bool known;
    struct bytes user;
    uint64_t revision; /* of the auth state when the identity was established */
};

enum auth_access { AUTH_READ, AUTH_WRITE };

/* May `w` touch `key` (range_end empty) or all of [key, range_end)?  A range_end of one zero byte
 * means without end.  API_OK, or USER_EMPTY, AUTH_OLD_REVISION, PERMISSION_DENIED. */
enum api_error auth_check_range(const struct auth_view *v, const struct auth_who *w,
                                enum auth_access access, struct bytes key, struct bytes range_end);

/* API_OK, or USER_EMPTY, USER_NOT_FOUND, PERMISSION_DENIED.  The revision does not matter. */
enum api_error auth_check_admin(const struct auth_view *v, const struct auth_who *w);

/* API_OK, or USER_EMPTY when nobody is known. */
enum api_error auth_check_known(const struct auth_view *v, const struct auth_who *w);

/* What writes are checked with: whoever puts a key on a lease must be allowed to write all keys
 * that hang on it already.  `keys` calls `fn` for each of them until it returns false; for none
 * where there is no such lease.  All of a request is checked before any of it is done, so it may
 * pass over a lease that it was asked for before in the same request: the answer was yes. */
struct auth_leases {
    void (*keys)(void *ctx, int64_t lease, bool (*fn)(void *to, struct bytes key), void *to);
    void *ctx;
};

enum api_error auth_check_put(const struct auth_view *v, const struct auth_who *w,
                              const struct auth_leases *leases, const Etcdserverpb__PutRequest *r);
enum api_error auth_check_delete(const struct auth_view *v, const struct auth_who *w,
                                 const Etcdserverpb__DeleteRangeRequest *r);
/* Compares and both branches, at any depth.  `leases` may be NULL when nothing is put. */
enum api_error auth_check_txn(const struct auth_view *v, const struct auth_who *w,
                              const struct auth_leases *leases, const Etcdserverpb__TxnRequest *r);
/* Needs `access` on every key of the lease; administrators do not. */
enum api_error auth_check_lease(const struct auth_view *v, const struct auth_who *w,
                                const struct auth_leases *leases, int64_t lease,
                                enum auth_access access);

/* ---- apply: changes that come out of the log, the same on every member ---- */

/* What the next entry is checked against: all changes so far, published or not.  Valid until the
 * next change. */
const struct auth_view *auth_now(const struct auth_store *a);

/* Makes the changes visible to readers, and frees what none of them can see any more. */
void auth_publish(struct auth_store *a);

/* API_OK, also where it is on; ROOT_USER_NOT_EXIST, ROOT_ROLE_NOT_EXIST. */
enum api_error auth_enable(struct auth_store *a);
void auth_disable(struct auth_store *a); /* all tokens go */

/* Names of users and roles have up to AUTH_NAME_BYTES_MAX bytes: whoever proposes has seen to it.
 * On an error nothing has changed:
 *
 *   add               USER_EMPTY, USER_ALREADY_EXIST, NO_PASSWORD_USER (no hash in base64 of up to
 *                     AUTH_HASH_BYTES_MAX bytes, where there must be one)
 *   delete            INVALID_AUTH_MGMT (root, while it is on), USER_NOT_FOUND
 *   change_password   USER_NOT_FOUND, NO_PASSWORD_USER
 *   grant_role        USER_NOT_FOUND, ROLE_NOT_FOUND; API_OK where the user has it
 *   revoke_role       INVALID_AUTH_MGMT (root's role root, while it is on), USER_NOT_FOUND,
 *                     ROLE_NOT_GRANTED
 */
enum api_error auth_user_add(struct auth_store *a, const Etcdserverpb__AuthUserAddRequest *r);
enum api_error auth_user_delete(struct auth_store *a, const Etcdserverpb__AuthUserDeleteRequest *r);
enum api_error auth_user_change_password(struct auth_store *a,
                                         const Etcdserverpb__AuthUserChangePasswordRequest *r);
enum api_error auth_user_grant_role(struct auth_store *a,
                                    const Etcdserverpb__AuthUserGrantRoleRequest *r);
enum api_error auth_user_revoke_role(struct auth_store *a,
                                     const Etcdserverpb__AuthUserRevokeRoleRequest *r);

/* Likewise:
 *
 *   add                 ROLE_EMPTY, ROLE_ALREADY_EXIST
 *   delete              INVALID_AUTH_MGMT (root, while it is on), ROLE_NOT_FOUND
 *   grant_permission    PERMISSION_NOT_GIVEN, INVALID_AUTH_MGMT (an empty range), ROLE_NOT_FOUND
 *   revoke_permission   ROLE_NOT_FOUND, PERMISSION_NOT_GRANTED
 */
enum api_error auth_role_add(struct auth_store *a, const Etcdserverpb__AuthRoleAddRequest *r);
enum api_error auth_role_delete(struct auth_store *a, const Etcdserverpb__AuthRoleDeleteRequest *r);
enum api_error auth_role_grant_permission(struct auth_store *a,
                                          const Etcdserverpb__AuthRoleGrantPermissionRequest *r);
enum api_error auth_role_revoke_permission(struct auth_store *a,
                                           const Etcdserverpb__AuthRoleRevokePermissionRequest *r);

/* An entry has logged `user` in; the token is `letters`, a point and `index`, which is that of the
 * entry before.  AUTH_NOT_ENABLED; AUTH_FAILED: no such user, or one without a password.  Without
 * simple tokens *ret_token is empty. */
enum api_error auth_authenticate(struct auth_store *a, const char *user, const char *letters,
                                 uint64_t index, mono_ns now,
                                 char ret_token[AUTH_TOKEN_BYTES_MAX + 1]);

/* Drops tokens whose time is up.  When to come again; INT64_MAX: there is none. */
mono_ns auth_expire_tokens(struct auth_store *a, mono_ns now);
size_t auth_tokens_n(const struct auth_store *a);

/* ---- apply: questions.  Names and permissions are copied into the arena. ---- */

/* False: no memory. */
bool auth_list_users(const struct auth_store *a, struct arena *mem, char ***ret, size_t *ret_n);
bool auth_list_roles(const struct auth_store *a, struct arena *mem, char ***ret, size_t *ret_n);

/* USER_NOT_FOUND; on API_OK *ret may be NULL for want of memory. */
enum api_error auth_user_roles(const struct auth_store *a, const char *user, struct arena *mem,
                               char ***ret, size_t *ret_n);
bool auth_user_has_role(const struct auth_store *a, struct bytes user, const char *role);

/* ROLE_NOT_FOUND; as above.  The role `root` has one permission, on everything. */
enum api_error auth_role_permissions(const struct auth_store *a, const char *role,
                                     struct arena *mem, Authpb__Permission ***ret, size_t *ret_n);

/* Aborts when an invariant of README.md does not hold. */
void auth_check_store(const struct auth_store *a);

#endif
