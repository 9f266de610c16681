/* auth_int.h -- what the files of state/auth share.
 *
 * Users, roles, views and tokens are blocks of memory of their own, each with a struct
 * auth_garbage in front, so that freeing one later needs no more than its address.
 */
#ifndef KETCH_STATE_AUTH_AUTH_INT_H
#define KETCH_STATE_AUTH_AUTH_INT_H

#include <stdatomic.h>

#include "auth.pb-c.h"
#include "base/alloc.h"
#include "base/hash.h"
#include "base/heap.h"
#include "state/auth/auth.h"
#include "state/store/store.h"
#include "wire/wire.h"

#define AUTH_TOKEN_SLOTS 8192 /* chains of the table of tokens */
_Static_assert(AUTH_NAME_BYTES_MAX <= STORE_PUT_KEY_BYTES_MAX, "a name can be a key");

struct auth_garbage {
    struct auth_garbage *next;
    uint64_t epoch; /* readers that began later cannot see it */
};

struct auth_permission {
    int32_t type; /* authpb.Permission.Type; unknown numbers are kept and grant nothing */
    struct bytes key;
    struct bytes range_end;
};

struct auth_role {
    struct auth_garbage garbage;
    struct bytes name;
    struct auth_permission *permissions; /* by key, as etcd keeps them */
    size_t permissions_n;
};

/* [start, end), or all from start on.  The bytes are those of a role: one that has the user's view
 * has the role's, too, and both go in the same epoch. */
struct auth_span {
    struct bytes start;
    struct bytes end;
    bool open;
    bool after; /* the end is `end` with a zero byte behind it: that key still belongs to it */
};

/* Disjoint, not even touching, in ascending order. */
struct auth_spans {
    struct auth_span *v;
    size_t n;
};

struct auth_user {
    struct auth_garbage garbage;
    struct bytes name;
    struct bytes password;
    bool has_options; /* old records lack them */
    bool no_password;
    struct bytes *roles; /* ascending */
    size_t roles_n;
    bool root;                    /* holds the role root */
    struct auth_spans allowed[2]; /* by enum auth_access: the roles' permissions, merged */
};

struct auth_view {
    struct auth_garbage garbage;
    bool on;
    uint64_t revision;
    struct auth_user **users; /* ascending by name */
    size_t users_n;
    struct auth_role **roles;
    size_t roles_n;
};

struct auth_token {
    struct auth_garbage garbage;
    _Atomic(struct auth_token *) next; /* in its chain */
    _Atomic int64_t until;             /* moved on by readers; the heap learns it late */
    struct heap_item expiry;
    uint64_t hash;
    struct bytes text;
    struct bytes user;
};

struct auth_reader {
    struct auth_store *store;
    _Atomic uint64_t epoch; /* since which it is pinned; 0: it is not */
    bool used;
};

struct auth_store {
    struct auth_config cfg;
    struct store *store;
    struct auth_view now; /* its arrays are the store's own, changed in place */
    size_t users_cap;
    size_t roles_cap;
    bool changed; /* since the last publication */
    struct heap tokens;

    _Atomic(struct auth_view *) published;
    _Atomic bool on;
    _Atomic uint64_t revision;
    _Atomic(_Atomic(struct auth_token *) *) slots; /* NULL: there never was a token */
    _Atomic uint64_t epoch;
    struct auth_garbage *unlinked; /* readers of what is published may find it still */
    struct auth_garbage *retired;  /* only readers that began before its epoch may */
    struct auth_reader readers[AUTH_READERS_MAX];
};

/* auth.c */
void auth__drop(struct auth_store *a, struct auth_garbage *g); /* unlinked; NULL is accepted */
void auth__revision_moved(struct auth_store *a);
/* The place of `name`, or where it would be.  True: it is there. */
bool auth__find_user(const struct auth_view *v, struct bytes name, size_t *ret_at);
bool auth__find_role(const struct auth_view *v, struct bytes name, size_t *ret_at);
const struct auth_user *auth__user(const struct auth_view *v, struct bytes name); /* or NULL */
const struct auth_role *auth__role(const struct auth_view *v, struct bytes name);

/* users.c: the new one takes the place of the old, or its own */
void auth__set_user(struct auth_store *a, struct auth_user *u);
/* Merges the permissions of its roles anew. */
void auth__rebuild_user(struct auth_store *a, size_t at);
/* A copy in a block of its own, with the permissions of its roles, whose bytes stay theirs. */
struct auth_user *auth__user_new(const struct auth_view *v, const struct auth_user *from);
void auth__users_lose_role(struct auth_store *a, struct bytes role);
void auth__users_see_role(struct auth_store *a, struct bytes role); /* it has changed */

/* roles.c */
void auth__set_role(struct auth_store *a, struct auth_role *r);
struct auth_role *auth__role_new(struct bytes name, const struct auth_permission *p, size_t n);

/* records.c */
void auth__put_user(struct auth_store *a, const struct auth_user *u);
void auth__put_role(struct auth_store *a, const struct auth_role *r);
void auth__put_on(struct auth_store *a);
void auth__put_revision(struct auth_store *a);
NODISCARD int auth__load(struct auth_store *a, struct err *e);
/* RFC 4648 section 4, with padding; line ends are passed over, as Go's decoder does. */
bool auth__base64(const char *in, uint8_t *ret, size_t n_max, size_t *ret_n);

/* spans.c */
/* How many permissions the user's roles have. */
size_t auth__permissions_of(const struct auth_view *v, const struct auth_user *u);
/* Merges those for one access into `ret`, which has room for all of them; how many spans. */
size_t auth__merge(const struct auth_view *v, const struct auth_user *u, enum auth_access access,
                   struct auth_span *ret);
/* The end of a span against a key: below zero, zero, above. */
int auth__end_cmp(const struct auth_span *s, struct bytes key);
bool auth__spans_have(const struct auth_spans *s, struct bytes key);
bool auth__spans_cover(const struct auth_spans *s, struct bytes key, struct bytes range_end);
bool auth__grants(const struct auth_permission *p, enum auth_access access);
bool auth__is_open(struct bytes range_end);

/* tokens.c */
void auth__tokens_drop_all(struct auth_store *a);
void auth__tokens_drop_user(struct auth_store *a, struct bytes user);
void auth__tokens_done(struct auth_store *a);

static inline void auth__garbage_free(struct auth_garbage *g)
{
    mem_free(g);
}

#endif
