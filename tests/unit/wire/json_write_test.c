#include "wire/json.h"

#include "rpc.pb-c.h"
#include "unit/wire/with_arena.h"
#include "wire/wire.h"

/* The text of a message, made of its bytes in pieces of `step`. */
static char *written(const ProtobufCMessage *m, size_t step, bool html)
{
    struct json_write w;
    struct buf bytes, out;
    char *text;

    buf_init(&bytes, 1u << 20);
    buf_init(&out, 1u << 20);
    assert_true(wire_encode(m, &bytes));
    json_write_init(&w, html);
    assert_true(json_write_begin(&w, m->descriptor, &out));
    for (size_t at = 0; at < bytes.len; at += step)
        assert_true(json_write_part(&w, bytes_of(bytes.p + at, MIN(step, bytes.len - at)), &out));
    assert_true(json_write_end(&w, &out));
    json_write_done(&w);
    text = arena_printf(&arena, "%s", buf_cstr(&out));
    buf_done(&bytes);
    buf_done(&out);
    return text;
}

static void check_written(const ProtobufCMessage *m, const char *want)
{
    for (size_t step = 1; step < 40; step++)
        assert_string_equal(written(m, step, false), want);
}

/* A range's answer as etcd's gateway gives it, wherever its bytes are cut. */
static void test_write_range(void **state)
{
    Etcdserverpb__ResponseHeader h = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Mvccpb__KeyValue a = MVCCPB__KEY_VALUE__INIT, b = MVCCPB__KEY_VALUE__INIT, *kvs[] = {&a, &b};
    Etcdserverpb__RangeResponse r = ETCDSERVERPB__RANGE_RESPONSE__INIT;

    (void) state;
    h.cluster_id = 14841639068965178418u;
    h.member_id = 1;
    h.revision = -1;
    a.key = wire_binary(bytes_str("foo"));
    a.value = wire_binary(bytes_str("ba"));
    a.version = 1;
    b.key = wire_binary(bytes_str("f"));
    b.lease = 7;
    r.header = &h;
    r.kvs = kvs;
    r.n_kvs = 2;
    r.more = true;
    check_written(&r.base, "{\"header\":{\"cluster_id\":\"14841639068965178418\","
                           "\"member_id\":\"1\",\"revision\":\"-1\"},"
                           "\"kvs\":[{\"key\":\"Zm9v\",\"version\":\"1\",\"value\":\"YmE=\"},"
                           "{\"key\":\"Zg==\",\"lease\":\"7\"}],\"more\":true}");
    r = (Etcdserverpb__RangeResponse) ETCDSERVERPB__RANGE_RESPONSE__INIT;
    check_written(&r.base, "{}");
}

/* Empty messages, members of oneofs, enums, lists of strings, 32 bits, and text that needs escapes:
 * in a stream's answers Go escapes more of it. */
static void test_write_others(void **state)
{
    Etcdserverpb__ResponseOp op = ETCDSERVERPB__RESPONSE_OP__INIT, *ops[] = {&op, &op};
    Etcdserverpb__PutResponse put = ETCDSERVERPB__PUT_RESPONSE__INIT;
    Etcdserverpb__ResponseHeader h = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Etcdserverpb__TxnResponse t = ETCDSERVERPB__TXN_RESPONSE__INIT;
    Etcdserverpb__AlarmMember alarm = ETCDSERVERPB__ALARM_MEMBER__INIT, *alarms[] = {&alarm};
    Etcdserverpb__AlarmResponse al = ETCDSERVERPB__ALARM_RESPONSE__INIT;
    Etcdserverpb__StatusResponse st = ETCDSERVERPB__STATUS_RESPONSE__INIT;
    Etcdserverpb__HashKVResponse hash = ETCDSERVERPB__HASH_KVRESPONSE__INIT;
    Etcdserverpb__WatchCreateRequest w = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    Etcdserverpb__WatchCreateRequest__FilterType filters[] = {
        ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NOPUT,
        ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NODELETE};
    char empty[] = "", odd[] = "a\"<\xe2\x80\xa8\x01\n\xff", *errors[] = {empty, odd};

    (void) state;
    op.response_case = ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT;
    op.response_put = &put;
    t.succeeded = true;
    t.responses = ops;
    t.n_responses = 2;
    check_written(
        &t.base,
        "{\"succeeded\":true,\"responses\":[{\"response_put\":{}},{\"response_put\":{}}]}");
    put.header = &h;
    t.n_responses = 1;
    check_written(&t.base,
                  "{\"succeeded\":true,\"responses\":[{\"response_put\":{\"header\":{}}}]}");
    alarm.memberid = 1;
    alarm.alarm = ETCDSERVERPB__ALARM_TYPE__NOSPACE;
    al.alarms = alarms;
    al.n_alarms = 1;
    check_written(&al.base, "{\"alarms\":[{\"memberID\":\"1\",\"alarm\":\"NOSPACE\"}]}");
    alarm.alarm = 77;
    check_written(&al.base, "{\"alarms\":[{\"memberID\":\"1\",\"alarm\":77}]}");
    hash.hash = UINT32_MAX;
    hash.compact_revision = -1;
    check_written(&hash.base, "{\"hash\":4294967295,\"compact_revision\":\"-1\"}");
    w.filters = filters;
    w.n_filters = 2;
    w.progress_notify = true;
    check_written(&w.base, "{\"progress_notify\":true,\"filters\":[\"NOPUT\",\"NODELETE\"]}");
    st.errors = errors;
    st.n_errors = 2;
    assert_string_equal(written(&st.base, 3, false),
                        "{\"errors\":[\"\",\"a\\\"<\xe2\x80\xa8\\u0001\\n\xef\xbf\xbd\"]}");
    assert_string_equal(written(&st.base, 3, true),
                        "{\"errors\":[\"\",\"a\\\"\\u003c\\u2028\\u0001\\n\xef\xbf\xbd\"]}");
}

/* Bytes that are no message, and fields that the descriptor does not know. */
static void test_write_odd_bytes(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *text; /* NULL: refused */
    } cases[] = {
        {"\x0a\x05\x08", 3, NULL},     /* a header that is cut */
        {"\x0a\x02\x08\xff", 4, NULL}, /* a number beyond its message */
        {"\x0a\x02\x0a\x05", 4, NULL}, /* a string beyond its message */
        {"\x0a\x01\x09", 3, NULL},     /* eight bytes beyond their message */
        {"\x0b\x0c", 2, NULL},         /* a group */
        {"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 12, NULL}, /* too long a number */
        {"\x98\x06\x01\xa2\x06\x02hi\x22\x00\x20\x03", 12, "{\"count\":\"3\"}"},
        {"\x11\x01\x02\x03\x04\x05\x06\x07\x08\x25zzzz", 14, "{}"},
        {"\x20\x00", 2, "{}"},
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct json_write w;
        struct buf out;
        bool ok;

        buf_init(&out, 4096);
        json_write_init(&w, false);
        assert_true(json_write_begin(&w, &etcdserverpb__range_response__descriptor, &out));
        (void) json_write_part(&w, bytes_of(cases[i].bytes, cases[i].n), &out);
        ok = json_write_end(&w, &out);
        assert_int_equal(ok, cases[i].text != NULL);
        if (ok)
            assert_string_equal(buf_cstr(&out), cases[i].text);
        json_write_done(&w);
        buf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_range),
        cmocka_unit_test(test_write_others),
        cmocka_unit_test(test_write_odd_bytes),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
