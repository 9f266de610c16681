/* Users and roles through the log: who may have what executed, and that it outlives a restart. */
#include "base/alloc.h"
#include "raft_internal.pb-c.h"
#include "unit/node/lone.h"

enum {
    OP_PUT = 4,
    OP_TXN = 6,
    OP_LEASE_GRANT = 8,
    OP_LEASE_REVOKE = 9,
    OP_AUTH_ENABLE = 1000,
    OP_AUTH_DISABLE = 1011,
    OP_AUTHENTICATE = 1012,
    OP_AUTH_STATUS = 1013,
    OP_USER_ADD = 1100,
    OP_USER_GET = 1102,
    OP_USER_GRANT_ROLE = 1104,
    OP_USER_LIST = 1106,
    OP_ROLE_ADD = 1200,
    OP_ROLE_GRANT = 1203,
};

static struct simdisk *disk;

static char *str(const char *s)
{
    return (char *) (uintptr_t) s;
}

static struct member *fresh(uint64_t seed)
{
    struct member *m;

    disk = simdisk_new(seed);
    m = lone_new(disk, seed);
    m->cfg.simple_tokens = true;
    m->cfg.token_ttl_ns = INT64_C(300000000000);
    lone_open(m);
    return m;
}

static void end(struct member *m)
{
    lone_end(m, disk);
}

static enum api_error result_of(struct call *c)
{
    enum api_error err = c->r.result.err;

    call_free(c);
    return err;
}

static enum api_error as(struct member *m, const char *user, uint64_t revision, uint32_t op,
                         const ProtobufCMessage *msg)
{
    struct call *c = member_submit_as(m, op, msg, user, revision);

    assert_true(member_run(m, 10000, &c->answered));
    assert_true(c->answered);
    return result_of(c);
}

static enum api_error user_add(struct member *m, const char *name)
{
    Etcdserverpb__AuthUserAddRequest r = ETCDSERVERPB__AUTH_USER_ADD_REQUEST__INIT;

    r.name = str(name);
    return as(m, "root", 100, OP_USER_ADD, &r.base);
}

static enum api_error grant_role(struct member *m, const char *user, const char *role)
{
    Etcdserverpb__AuthUserGrantRoleRequest r = ETCDSERVERPB__AUTH_USER_GRANT_ROLE_REQUEST__INIT;

    r.user = str(user);
    r.role = str(role);
    return as(m, "root", 100, OP_USER_GRANT_ROLE, &r.base);
}

/* Root; a user `u` who may write the keys from "a" to "c"; authentication on. */
static void set_up(struct member *m)
{
    Etcdserverpb__AuthRoleAddRequest role = ETCDSERVERPB__AUTH_ROLE_ADD_REQUEST__INIT;
    Etcdserverpb__AuthRoleGrantPermissionRequest grant =
        ETCDSERVERPB__AUTH_ROLE_GRANT_PERMISSION_REQUEST__INIT;
    Authpb__Permission perm = AUTHPB__PERMISSION__INIT;
    Etcdserverpb__AuthEnableRequest enable = ETCDSERVERPB__AUTH_ENABLE_REQUEST__INIT;

    assert_int_equal(as(m, NULL, 0, OP_AUTH_ENABLE, &enable.base), API_ROOT_USER_NOT_EXIST);
    assert_int_equal(user_add(m, "root"), API_OK);
    assert_int_equal(grant_role(m, "root", "root"), API_OK);
    assert_int_equal(user_add(m, "u"), API_OK);
    role.name = str("r");
    assert_int_equal(as(m, NULL, 0, OP_ROLE_ADD, &role.base), API_OK);
    perm.permtype = AUTHPB__PERMISSION__TYPE__WRITE;
    perm.key = wire_binary(BYTES_LIT("a"));
    perm.range_end = wire_binary(BYTES_LIT("c"));
    grant.name = str("r");
    grant.perm = &perm;
    assert_int_equal(as(m, NULL, 0, OP_ROLE_GRANT, &grant.base), API_OK);
    assert_int_equal(grant_role(m, "u", "r"), API_OK);
    assert_int_equal(as(m, NULL, 0, OP_AUTH_ENABLE, &enable.base), API_OK);
    assert_true(auth_on(node_auth(m->node)));
}

static uint64_t revision_of(struct member *m)
{
    struct auth_reader *r = auth_reader_new(node_auth(m->node));
    uint64_t revision = auth_view_revision(auth_pin(r));

    auth_unpin(r);
    auth_reader_free(r);
    return revision;
}

static enum api_error put_as(struct member *m, const char *user, uint64_t revision, const char *key,
                             int64_t lease)
{
    Etcdserverpb__PutRequest r = ETCDSERVERPB__PUT_REQUEST__INIT;

    r.key = wire_binary(bytes_str(key));
    r.lease = lease;
    return as(m, user, revision, OP_PUT, &r.base);
}

/* The entry's header decides: nobody, an old revision, no right; a refused entry is applied all the
 * same, and the store stays where it was. */
static void the_header_decides(void **state)
{
    struct member *m = fresh(1);
    uint64_t rev, applied;
    int64_t before;
    struct node_status st;

    (void) state;
    set_up(m);
    rev = revision_of(m);
    assert_int_equal(rev, 7);
    before = mvcc_revision(node_mvcc(m->node));
    node_status(m->node, &st);
    applied = st.applied;
    assert_int_equal(put_as(m, NULL, 0, "a", 0), API_USER_EMPTY);
    assert_int_equal(put_as(m, "u", rev - 1, "a", 0), API_AUTH_OLD_REVISION);
    assert_int_equal(put_as(m, "u", rev, "c", 0), API_PERMISSION_DENIED);
    assert_int_equal(put_as(m, "gone", rev, "a", 0), API_PERMISSION_DENIED);
    node_status(m->node, &st);
    assert_int_equal(st.applied, applied + 4);
    assert_int_equal(mvcc_revision(node_mvcc(m->node)), before);
    assert_int_equal(put_as(m, "u", rev, "a", 0), API_OK);
    assert_int_equal(put_as(m, "root", rev, "z", 0), API_OK);
    end(m);
}

/* Users and roles are changed by administrators; one's own user may be looked at. */
static void administration_is_roots(void **state)
{
    struct member *m = fresh(2);
    Etcdserverpb__AuthUserListRequest list = ETCDSERVERPB__AUTH_USER_LIST_REQUEST__INIT;
    Etcdserverpb__AuthUserGetRequest get = ETCDSERVERPB__AUTH_USER_GET_REQUEST__INIT;
    Etcdserverpb__AuthStatusRequest status = ETCDSERVERPB__AUTH_STATUS_REQUEST__INIT;

    (void) state;
    set_up(m);
    assert_int_equal(as(m, NULL, 0, OP_USER_LIST, &list.base), API_USER_EMPTY);
    assert_int_equal(as(m, "u", 7, OP_USER_LIST, &list.base), API_PERMISSION_DENIED);
    assert_int_equal(as(m, "x", 7, OP_USER_LIST, &list.base), API_USER_NOT_FOUND);
    assert_int_equal(as(m, "root", 1, OP_USER_LIST, &list.base), API_OK);
    get.name = str("u");
    assert_int_equal(as(m, "u", 7, OP_USER_GET, &get.base), API_OK);
    get.name = str("root");
    assert_int_equal(as(m, "u", 7, OP_USER_GET, &get.base), API_PERMISSION_DENIED);
    assert_int_equal(as(m, NULL, 0, OP_AUTH_STATUS, &status.base), API_OK);
    end(m);
}

/* A key is put on a lease, and a lease revoked, by who may write all keys on it (and by root). */
static void leases_want_all_their_keys(void **state)
{
    struct member *m = fresh(3);
    Etcdserverpb__LeaseGrantRequest grant = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    Etcdserverpb__LeaseRevokeRequest revoke = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;

    (void) state;
    set_up(m);
    grant.id = revoke.id = 9;
    grant.ttl = 1000;
    assert_int_equal(as(m, "u", 7, OP_LEASE_GRANT, &grant.base), API_OK);
    assert_int_equal(put_as(m, "u", 7, "a", 9), API_OK);
    assert_int_equal(put_as(m, "root", 7, "z", 9), API_OK);
    assert_int_equal(put_as(m, "u", 7, "b", 9), API_PERMISSION_DENIED);
    assert_int_equal(as(m, "u", 7, OP_LEASE_REVOKE, &revoke.base), API_PERMISSION_DENIED);
    assert_int_equal(as(m, "root", 1, OP_LEASE_REVOKE, &revoke.base), API_OK);
    end(m);
}

#define SIDE 64 /* a transaction of so many transactions of so many puts */

struct large_txn {
    Etcdserverpb__TxnRequest all, each[SIDE];
    Etcdserverpb__RequestOp nested[SIDE], *nested_at[SIDE];
    Etcdserverpb__PutRequest put[SIDE][SIDE];
    Etcdserverpb__RequestOp op[SIDE][SIDE], *op_at[SIDE][SIDE];
    char key[SIDE][SIDE][8];
};

static void add_put(struct large_txn *t, size_t i, size_t k, int64_t lease)
{
    snprintf(t->key[i][k], sizeof t->key[i][k], "a%02zu-%02zu", i, k);
    etcdserverpb__put_request__init(&t->put[i][k]);
    t->put[i][k].key = wire_binary(bytes_str(t->key[i][k]));
    t->put[i][k].lease = lease;
    etcdserverpb__request_op__init(&t->op[i][k]);
    t->op[i][k].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    t->op[i][k].request_put = &t->put[i][k];
    t->op_at[i][k] = &t->op[i][k];
}

/* Puts of SIDE * SIDE keys on one lease. */
static struct large_txn *large_txn(int64_t lease)
{
    struct large_txn *t = test_malloc(sizeof *t);

    etcdserverpb__txn_request__init(&t->all);
    t->all.success = t->nested_at;
    t->all.n_success = SIDE;
    for (size_t i = 0; i < SIDE; i++) {
        for (size_t k = 0; k < SIDE; k++)
            add_put(t, i, k, lease);
        etcdserverpb__txn_request__init(&t->each[i]);
        t->each[i].success = t->op_at[i];
        t->each[i].n_success = SIDE;
        etcdserverpb__request_op__init(&t->nested[i]);
        t->nested[i].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN;
        t->nested[i].request_txn = &t->each[i];
        t->nested_at[i] = &t->nested[i];
    }
    return t;
}

/* 4,096 puts on a lease of 4,096 keys by somebody who may write them all: the keys are looked at
 * once and copied never.  (4,096 copies of them were more than an entry may have, on every member
 * and at every start.)  One key that is not theirs, and all of it is refused. */
static void many_puts_on_a_lease_of_many_keys(void **state)
{
    struct member *m = fresh(7);
    Etcdserverpb__LeaseGrantRequest grant = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    struct large_txn *t = large_txn(9);
    int64_t before;

    (void) state;
    set_up(m);
    grant.id = 9;
    grant.ttl = 100000;
    assert_int_equal(as(m, "u", 7, OP_LEASE_GRANT, &grant.base), API_OK);
    assert_int_equal(as(m, "root", 7, OP_TXN, &t->all.base), API_OK);
    before = mvcc_revision(node_mvcc(m->node));
    assert_int_equal(as(m, "u", 7, OP_TXN, &t->all.base), API_OK);
    assert_int_equal(mvcc_revision(node_mvcc(m->node)), before + 1);
    assert_int_equal(put_as(m, "root", 7, "z", 9), API_OK);
    assert_int_equal(as(m, "u", 7, OP_TXN, &t->all.base), API_PERMISSION_DENIED);
    assert_int_equal(mvcc_revision(node_mvcc(m->node)), before + 2);
    test_free(t);
    end(m);
}

static enum api_error ask_as(struct member *m, const char *user, enum node_request_kind kind,
                             int64_t lease)
{
    struct call *c = xmem_calloc(1, sizeof *c);

    c->r = (struct node_request){.kind = kind,
                                 .sink = &m->sink,
                                 .arena = arena_new(1 << 20),
                                 .username = user,
                                 .auth_revision = 7,
                                 .lease_id = lease,
                                 .keys = true};
    node_submit(m->node, &c->r);
    assert_true(member_run(m, 10000, &c->answered));
    assert_true(c->answered);
    return result_of(c);
}

/* Leases are looked at, listed and kept alive by who may read or write all keys on them, by each
 * request anew. */
static void questions_want_all_keys_of_a_lease(void **state)
{
    struct member *m = fresh(8);
    Etcdserverpb__LeaseGrantRequest grant = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;

    (void) state;
    set_up(m);
    for (grant.id = 9, grant.ttl = 1000; grant.id < 11; grant.id++)
        assert_int_equal(as(m, "u", 7, OP_LEASE_GRANT, &grant.base), API_OK);
    assert_int_equal(ask_as(m, "u", NODE_REQ_LEASE_LIST, 0), API_OK);
    assert_int_equal(put_as(m, "u", 7, "a", 9), API_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ask_as(m, "u", NODE_REQ_LEASE_KEEPALIVE, 9), API_OK);
        assert_int_equal(ask_as(m, "u", NODE_REQ_LEASE_TTL, 10), API_OK);
        assert_int_equal(ask_as(m, "u", NODE_REQ_LEASE_TTL, 9), API_PERMISSION_DENIED);
        assert_int_equal(ask_as(m, "u", NODE_REQ_LEASE_LIST, 0), API_PERMISSION_DENIED);
        assert_int_equal(ask_as(m, "root", NODE_REQ_LEASE_LIST, 0), API_OK);
    }
    assert_int_equal(put_as(m, "root", 7, "z", 9), API_OK);
    assert_int_equal(ask_as(m, "u", NODE_REQ_LEASE_KEEPALIVE, 9), API_PERMISSION_DENIED);
    end(m);
}

/* With authentication on, leases that have expired are still revoked: as root. */
static void expired_leases_go(void **state)
{
    struct member *m = fresh(4);
    Etcdserverpb__LeaseGrantRequest grant = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    char value[8];
    int64_t mod;

    (void) state;
    set_up(m);
    grant.id = 9;
    grant.ttl = 2;
    assert_int_equal(as(m, "u", 7, OP_LEASE_GRANT, &grant.base), API_OK);
    assert_int_equal(put_as(m, "root", 7, "z", 9), API_OK);
    assert_true(member_get(m, "z", value, sizeof value, &mod));
    assert_true(member_run(m, 8000, NULL));
    assert_false(member_get(m, "z", value, sizeof value, &mod));
    end(m);
}

/* A login through the log leaves a token on the member, with the number of the entry before it. */
static void logins_leave_tokens(void **state)
{
    struct member *m = fresh(5);
    Etcdserverpb__InternalAuthenticateRequest login =
        ETCDSERVERPB__INTERNAL_AUTHENTICATE_REQUEST__INIT;
    struct auth_reader *reader;
    struct bytes user;
    struct call *c;
    const char *token;

    (void) state;
    login.name = str("u");
    login.simple_token = str("abcdefghijklmnop");
    assert_int_equal(as(m, NULL, 0, OP_AUTHENTICATE, &login.base), API_AUTH_NOT_ENABLED);
    set_up(m);
    c = member_propose(m, OP_AUTHENTICATE, &login.base);
    assert_int_equal(c->r.result.err, API_OK);
    token = ((Etcdserverpb__AuthenticateResponse *) c->r.result.msg)->token;
    assert_memory_equal(token, "abcdefghijklmnop.", 17);
    assert_int_equal(strtoull(token + 17, NULL, 10), c->r.index - 1);
    reader = auth_reader_new(node_auth(m->node));
    auth_pin(reader);
    assert_true(auth_token_use(reader, bytes_str(token), m->now, &user));
    assert_true(bytes_eq(user, BYTES_LIT("u")));
    auth_unpin(reader);
    auth_reader_free(reader);
    call_free(c);
    end(m);
}

/* What was decided outlives a restart: authentication is on, its revision and rights as before. */
static void a_restart_keeps_users(void **state)
{
    struct member *m = fresh(6);

    (void) state;
    set_up(m);
    member_close(m);
    lone_open(m);
    assert_true(auth_on(node_auth(m->node)));
    assert_int_equal(revision_of(m), 7);
    assert_int_equal(put_as(m, "u", 7, "a", 0), API_OK);
    assert_int_equal(put_as(m, "u", 7, "c", 0), API_PERMISSION_DENIED);
    end(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_header_decides),
        cmocka_unit_test(administration_is_roots),
        cmocka_unit_test(leases_want_all_their_keys),
        cmocka_unit_test(expired_leases_go),
        cmocka_unit_test(logins_leave_tokens),
        cmocka_unit_test(a_restart_keeps_users),
        cmocka_unit_test(many_puts_on_a_lease_of_many_keys),
        cmocka_unit_test(questions_want_all_keys_of_a_lease),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
