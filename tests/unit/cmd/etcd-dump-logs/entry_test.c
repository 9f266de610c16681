#include "lib/cm.h"

#include "etcd-dump-logs/dump.h"
#include "raft_internal.pb-c.h"
#include "wire/wire.h"

#define OUT_BYTES_MAX ((size_t) 1 << 20)

static bool show(const char *types, const struct raft_entry *en, struct buf *out)
{
    struct dump_filters f;

    dump_filters_read(types, &f);
    buf_clear(out);
    return dump_entry(&f, en, out);
}

static void expect(const char *types, enum raft_entry_type type, struct bytes data,
                   const char *want)
{
    struct raft_entry en = {.term = 2, .index = 5, .type = type, .data = data};
    struct buf out;
    bool shown;

    buf_init(&out, OUT_BYTES_MAX);
    shown = show(types, &en, &out);
    assert_int_equal(shown, want != NULL);
    assert_string_equal(buf_cstr(&out), want == NULL ? "" : want);
    buf_done(&out);
}

/* The line of a request, as it was built. */
static void expect_request(const Etcdserverpb__InternalRaftRequest *r, const char *types,
                           const char *want)
{
    struct buf data;

    buf_init(&data, OUT_BYTES_MAX);
    assert_true(wire_encode(&r->base, &data));
    expect(types, RAFT_ENTRY_NORMAL, buf_bytes(&data), want);
    buf_done(&data);
}

/* A request in protobuf's text form, its header first; without anything in it the text is empty. */
static void shows_requests(void **state)
{
    Etcdserverpb__InternalRaftRequest r = ETCDSERVERPB__INTERNAL_RAFT_REQUEST__INIT;
    Etcdserverpb__RequestHeader h = ETCDSERVERPB__REQUEST_HEADER__INIT;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    static uint8_t key[] = "k1", value[] = "a\"b\x01\xff";
    static char user[] = "root";

    (void) state;
    expect_request(&r, "Normal", "   2\t         5\tnorm\t");
    h.id = 7;
    r.header = &h;
    expect_request(&r, "Normal", "   2\t         5\tnorm\theader:{ID:7}");
    h.username = user;
    put.key = (ProtobufCBinaryData){2, key};
    put.value = (ProtobufCBinaryData){5, value};
    r.put = &put;
    expect_request(&r, "Normal",
                   "   2\t         5\tnorm\theader:{ID:7  username:\"root\"}  "
                   "put:{key:\"k1\"  value:\"a\\\"b\\x01\\xff\"}");
}

/* A password that somebody chose is not shown. */
static void hides_passwords(void **state)
{
    Etcdserverpb__InternalRaftRequest r = ETCDSERVERPB__INTERNAL_RAFT_REQUEST__INIT;
    Etcdserverpb__AuthUserChangePasswordRequest c =
        ETCDSERVERPB__AUTH_USER_CHANGE_PASSWORD_REQUEST__INIT;
    static char name[] = "u", password[] = "secret";

    (void) state;
    c.name = name;
    c.password = password;
    r.auth_user_change_password = &c;
    expect_request(&r, "Normal",
                   "   2\t         5\tnorm\tauth_user_change_password:{name:\"u\"  "
                   "password:\"<value removed>\"}");
}

/* Each filter lets through what it names; lists let through what any of them does; what is no
 * filter lets nothing through. */
static void filters(void **state)
{
    static const char *const kinds[] = {
        "IRRRange",      "IRRPut",        "IRRDeleteRange", "IRRTxn",
        "IRRCompaction", "IRRLeaseGrant", "IRRLeaseRevoke", "IRRLeaseCheckpoint"};
    /* Tag and length of an empty message: the request of each kind. */
    static const uint8_t tags[] = {0x1a, 0x22, 0x2a, 0x32, 0x3a, 0x42, 0x4a, 0x5a};
    static const char *const names[] = {
        "range",      "put",         "delete_range", "txn",
        "compaction", "lease_grant", "lease_revoke", "lease_checkpoint"};

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
        uint8_t data[] = {tags[i], 0};
        char want[64], list[64];

        snprintf(want, sizeof want, "   2\t         5\tnorm\t%s:{}", names[i]);
        snprintf(list, sizeof list, "bogus,%s,ConfigChange", kinds[i]);
        for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
            expect(kinds[k], RAFT_ENTRY_NORMAL, bytes_of(data, 2), k == i ? want : NULL);
        expect(list, RAFT_ENTRY_NORMAL, bytes_of(data, 2), want);
        expect("Normal", RAFT_ENTRY_NORMAL, bytes_of(data, 2), want);
        expect("InternalRaftRequest", RAFT_ENTRY_NORMAL, bytes_of(data, 2), want);
        expect("Request,ConfigChange", RAFT_ENTRY_NORMAL, bytes_of(data, 2), NULL);
    }
    expect("", RAFT_ENTRY_NORMAL, BYTES_EMPTY, NULL);
    expect("bogus", RAFT_ENTRY_NORMAL, BYTES_EMPTY, NULL);
}

/* What is no request shows as such: among all normal entries, and where such are asked for. */
static void shows_what_it_cannot_read(void **state)
{
    static const uint8_t bad[] = {0x1a, 0x05, 0x01};
    const char *want = "   2\t         5\tnorm\t???";

    (void) state;
    expect("Normal", RAFT_ENTRY_NORMAL, bytes_of(bad, sizeof bad), want);
    expect("Request", RAFT_ENTRY_NORMAL, bytes_of(bad, sizeof bad), want);
    expect("InternalRaftRequest", RAFT_ENTRY_NORMAL, bytes_of(bad, sizeof bad), NULL);
    expect("IRRRange", RAFT_ENTRY_NORMAL, bytes_of(bad, sizeof bad), NULL);
    expect("ConfigChange", RAFT_ENTRY_CONF_CHANGE, bytes_of(bad, sizeof bad),
           "   2\t         5\tconf\t???");
}

/* A change of membership shows its kind and the member; one of the second version is passed over,
 * as etcd writes none. */
static void shows_changes_of_membership(void **state)
{
    static const char *const names[] = {"ConfChangeAddNode", "ConfChangeRemoveNode",
                                        "ConfChangeUpdateNode", "ConfChangeAddLearnerNode", "4"};

    (void) state;
    for (uint8_t i = 0; i < ARRAY_LEN(names); i++) {
        uint8_t data[] = {0x10, i, 0x18, 0xff, 0x01};
        char want[80];

        snprintf(want, sizeof want, "   2\t         5\tconf\tmethod=%s id=ff", names[i]);
        if (i < 4)
            expect("ConfigChange", RAFT_ENTRY_CONF_CHANGE, bytes_of(data, sizeof data), want);
        expect("Normal", RAFT_ENTRY_CONF_CHANGE, bytes_of(data, sizeof data), NULL);
    }
    expect("ConfigChange,Normal", RAFT_ENTRY_CONF_CHANGE_V2, BYTES_EMPTY, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_requests),
        cmocka_unit_test(hides_passwords),
        cmocka_unit_test(filters),
        cmocka_unit_test(shows_what_it_cannot_read),
        cmocka_unit_test(shows_changes_of_membership),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
