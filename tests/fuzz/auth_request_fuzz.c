/* Requests about users and roles, as the log may hold them, one behind the other on one store; then
 * what is on disk is loaded again and must be the same. */
#include "raft_internal.pb-c.h"
#include "state/auth/auth.h"
#include "unit/state/auth/fake_store.h"
#include "wire/wire.h"

#define REQUEST_BYTES_MAX ((size_t) 1 << 20)

typedef Etcdserverpb__InternalRaftRequest Request;

static const struct auth_config cfg = {.simple_tokens = true, .token_ttl_ns = 10};

static void apply(struct auth_store *a, const Request *r)
{
    char token[AUTH_TOKEN_BYTES_MAX + 1];

    if (r->auth_enable != NULL)
        (void) auth_enable(a);
    if (r->auth_disable != NULL)
        auth_disable(a);
    if (r->auth_user_add != NULL)
        (void) auth_user_add(a, r->auth_user_add);
    if (r->auth_user_delete != NULL)
        (void) auth_user_delete(a, r->auth_user_delete);
    if (r->auth_user_change_password != NULL)
        (void) auth_user_change_password(a, r->auth_user_change_password);
    if (r->auth_user_grant_role != NULL)
        (void) auth_user_grant_role(a, r->auth_user_grant_role);
    if (r->auth_user_revoke_role != NULL)
        (void) auth_user_revoke_role(a, r->auth_user_revoke_role);
    if (r->auth_role_add != NULL)
        (void) auth_role_add(a, r->auth_role_add);
    if (r->auth_role_delete != NULL)
        (void) auth_role_delete(a, r->auth_role_delete);
    if (r->auth_role_grant_permission != NULL)
        (void) auth_role_grant_permission(a, r->auth_role_grant_permission);
    if (r->auth_role_revoke_permission != NULL)
        (void) auth_role_revoke_permission(a, r->auth_role_revoke_permission);
    if (r->authenticate != NULL)
        (void) auth_authenticate(a, r->authenticate->name, r->authenticate->simple_token, 1, 0,
                                 token);
}

static void no_keys(void *ctx, int64_t lease, bool (*fn)(void *to, struct bytes key), void *to)
{
    (void) ctx;
    (void) lease;
    (void) fn;
    (void) to;
}

static void check_some(const struct auth_store *a, const Request *r)
{
    struct auth_leases leases = {no_keys, NULL};
    struct auth_who w = {true, BYTES_LIT("u"), UINT64_MAX};

    if (r->txn != NULL)
        (void) auth_check_txn(auth_now(a), &w, &leases, r->txn);
    if (r->range != NULL)
        (void) auth_check_range(auth_now(a), &w, AUTH_READ, wire_bytes(r->range->key),
                                wire_bytes(r->range->range_end));
}

static void load_again(struct store *s, const struct auth_store *a)
{
    struct auth_store *b = NULL;

    if (auth_open(&cfg, s, &b, NULL) != 0)
        assert_fail(__FILE__, __LINE__, "what was written is read");
    ASSERT(auth_view_revision(auth_now(a)) == auth_view_revision(auth_now(b)));
    ASSERT(auth_view_on(auth_now(a)) == auth_view_on(auth_now(b)));
    auth_check_store(b);
    auth_free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each request is two bytes of length and as many bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct store s = {0};
    struct auth_store *a = NULL;
    struct arena mem;

    arena_init(&mem, REQUEST_BYTES_MAX * 64);
    if (auth_open(&cfg, &s, &a, NULL) != 0)
        return 0;
    while (size >= 2) {
        size_t n = MIN((size_t) data[0] << 8 | data[1], size - 2);
        Request *r;

        if (WIRE_DECODE(etcdserverpb__internal_raft_request, bytes_of(data + 2, n), &mem, &r,
                        NULL) == 0) {
            check_some(a, r);
            apply(a, r);
            auth_publish(a);
            auth_check_store(a);
        }
        arena_reset(&mem);
        data += 2 + n;
        size -= 2 + n;
    }
    load_again(&s, a);
    auth_free(a);
    fake_done(&s);
    arena_done(&mem);
    return 0;
}
