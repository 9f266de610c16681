#include "wire/json.h"

#include "base/alloc.h"
#include "rpc.pb-c.h"
#include "wire/json_int.h"
#include "wire/wire.h"

#include "lib/cm.h"

static struct arena arena;

static int setup(void **state)
{
    (void) state;
    arena_init(&arena, 16u << 20);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    arena_done(&arena);
    return 0;
}

/* ---- where a value ends ---- */

/* Scans `text` in pieces of `step` bytes: how much of it belongs to the value, or -1 with the words
 * in *ret_why, or -2 when there is none. */
static int scan(const char *text, size_t step, char ret_why[JSON_TEXT_BYTES_MAX])
{
    static struct json_scan s;
    size_t n = strlen(text), at = 0, used;
    enum json_scanned got = JSON_SCAN_MORE;

    json_scan_init(&s);
    while (at < n && got == JSON_SCAN_MORE) {
        got = json_scan(&s, bytes_of(text + at, MIN(step, n - at)), &used);
        at += used;
    }
    if (got == JSON_SCAN_MORE)
        got = json_scan_end(&s);
    snprintf(ret_why, JSON_TEXT_BYTES_MAX, "%s", s.text);
    return got == JSON_SCAN_BAD ? -1 : got == JSON_SCAN_MORE ? -2 : (int) at;
}

/* The end of a value is found wherever the input is cut, and what stands behind it is left. */
static void test_scan_end(void **state)
{
    static const struct {
        const char *text;
        int n;
    } cases[] = {
        {"{}", 2},
        {" {\"a\":[1,2.5e-3,true]} x", 22},
        {"{\"a\":\"}\\\"\"}{\"b\":1}", 11},
        {"[[],[[]],{}]]", 12},
        {"12 13", 2},
        {"-0.5e+10,", 8},
        {"null", 4},
        {"\"\\u00e9\\n\"", 10},
        {"  \r\n\t", -2},
        {"", -2},
    };
    char why[JSON_TEXT_BYTES_MAX];

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t step = 1; step <= strlen(cases[i].text) + 1; step++)
            assert_int_equal(scan(cases[i].text, step, why), cases[i].n);
    }
}

/* What is wrong is said in the words of Go's encoding/json (taken from a real etcd's answers). */
static void test_scan_words(void **state)
{
    static const struct {
        const char *text;
        const char *why;
    } cases[] = {
        {"{\"key\":}", "invalid character '}' looking for beginning of value"},
        {"xx", "invalid character 'x' looking for beginning of value"},
        {"{\"a\" 1}", "invalid character '1' after object key"},
        {"{\"a\":1 \"b\"}", "invalid character '\"' after object key:value pair"},
        {"{\"a\":1,}", "invalid character '}' looking for beginning of object key string"},
        {"{'a'", "invalid character '\\'' looking for beginning of object key string"},
        {"[1 2]", "invalid character '2' after array element"},
        {"[1,]", "invalid character ']' looking for beginning of value"},
        {"\"a\nb\"", "invalid character '\\n' in string literal"},
        {"\"\x01\"", "invalid character '\\x01' in string literal"},
        {"\"\\q\"", "invalid character 'q' in string escape code"},
        {"\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape"},
        {"tru1", "invalid character '1' in literal true (expecting 'e')"},
        {"nul}", "invalid character '}' in literal null (expecting 'l')"},
        {"-a", "invalid character 'a' in numeric literal"},
        {"1.e", "invalid character 'e' after decimal point in numeric literal"},
        {"1e-}", "invalid character '}' in exponent of numeric literal"},
        {"[01]", "invalid character '1' after array element"},
        {"\xc3\xa9", "invalid character '\xc3\x83' looking for beginning of value"},
        {"{\"key\":", "unexpected EOF"},
        {"\"abc", "unexpected EOF"},
        {"1.", "unexpected EOF"},
    };
    char why[JSON_TEXT_BYTES_MAX];

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t step = 1; step <= strlen(cases[i].text); step++) {
            assert_int_equal(scan(cases[i].text, step, why), -1);
            assert_string_equal(why, cases[i].why);
        }
    }
}

/* Ten thousand lists in one another are a value, one more is too deep. */
static void test_scan_depth(void **state)
{
    char *text = mem_alloc(2 * JSON_DEPTH_MAX + 4), why[JSON_TEXT_BYTES_MAX];

    (void) state;
    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    text[2 * JSON_DEPTH_MAX] = '\0';
    assert_int_equal(scan(text, 4096, why), 2 * JSON_DEPTH_MAX);
    text[JSON_DEPTH_MAX] = '[';
    assert_int_equal(scan(text, 4096, why), -1);
    assert_string_equal(why, "invalid character '[' exceeded max depth");
    mem_free(text);
}

/* ---- reading ---- */

/* The message that `text` says, decoded again by the generated decoder. */
static void *read_as(const ProtobufCMessageDescriptor *d, const char *text)
{
    struct err e = ERR_INIT;
    struct bytes b;
    ProtobufCMessage *m;
    int rc = json_read(d, bytes_str(text), 1u << 20, &arena, &b, &e);

    if (rc != 0)
        fail_msg("%s: %s", text, e.msg);
    assert_int_equal(wire_decode(d, b, &arena, &m, &e), 0);
    assert_int_equal(wire_size(m), b.n); /* minimal, nothing that says nothing */
    return m;
}

static void check_error(const ProtobufCMessageDescriptor *d, const char *text, const char *why)
{
    struct err e = ERR_INIT;
    struct bytes b;

    assert_int_equal(json_read(d, bytes_str(text), 1u << 20, &arena, &b, &e), ERR_INVALID);
    assert_string_equal(e.msg, why);
}

static const ProtobufCMessageDescriptor *range_request(void)
{
    return &etcdserverpb__range_request__descriptor;
}

/* Both kinds of names, numbers in all their forms, base64 in all its forms, names of enums; null,
 * defaults and unknown fields set nothing. */
static void test_read_fields(void **state)
{
    Etcdserverpb__RangeRequest *q = read_as(
        range_request(),
        " {\"key\":\"Zm9v\", \"rangeEnd\":\"_-8\", \"limit\":\"5\", \"revision\":50e-1,\n"
        " \"sort_order\":\"DESCEND\", \"sortTarget\":2, \"serializable\":true,\n"
        " \"keys_only\":false, \"count_only\":null, \"unknown\":{\"a\":[1,{\"b\":\"}\"}]},\n"
        " \"min_mod_revision\":7.0, \"max_mod_revision\":\"9223372036854775807\"}");

    (void) state;
    assert_int_equal(q->key.len, 3);
    assert_memory_equal(q->key.data, "foo", 3);
    assert_int_equal(q->range_end.len, 2);
    assert_memory_equal(q->range_end.data, "\xff\xef", 2);
    assert_int_equal(q->limit, 5);
    assert_int_equal(q->revision, 5);
    assert_int_equal(q->sort_order, ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND);
    assert_int_equal(q->sort_target, ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE);
    assert_true(q->serializable);
    assert_false(q->keys_only);
    assert_int_equal(q->min_mod_revision, 7);
    assert_true(q->max_mod_revision == INT64_MAX);
    q = read_as(range_request(), "{}");
    assert_int_equal(q->key.len, 0);
    q = read_as(range_request(), "{\"sort_order\":\"NOPE\",\"key\":\"\\u005am9v\"}");
    assert_int_equal(q->sort_order, 0);
    assert_memory_equal(q->key.data, "foo", 3);
}

/* Nested messages, lists and oneofs; a oneof's member counts even when it is a default. */
static void test_read_nested(void **state)
{
    Etcdserverpb__TxnRequest *q = read_as(
        &etcdserverpb__txn_request__descriptor,
        "{\"compare\":[{\"target\":\"VERSION\",\"key\":\"YQ==\",\"version\":0}],"
        "\"success\":[{\"request_txn\":{\"failure\":[{\"requestPut\":{\"key\":\"Yg\","
        "\"value\":\"YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5emFiY2RlZm"
        "doaWprbG1ub3BxcnN0dXZ3eHl6YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWZnaGlqa2xtbm9wcXJzdHV2"
        "d3h5eg\"}}]}},{\"request_range\":{}},{}]}");
    const Etcdserverpb__TxnRequest *inner;

    (void) state;
    assert_int_equal(q->n_compare, 1);
    assert_int_equal(q->compare[0]->target_union_case, ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION);
    assert_int_equal(q->n_success, 3);
    inner = q->success[0]->request_txn;
    assert_int_equal(inner->n_failure, 1);
    assert_int_equal(inner->failure[0]->request_put->value.len, 130);
    assert_int_equal(q->success[1]->request_case, ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE);
    assert_int_equal(q->success[2]->request_case, ETCDSERVERPB__REQUEST_OP__REQUEST__NOT_SET);
}

/* What does not fit its field is refused with place and words of protojson. */
static void test_read_errors(void **state)
{
    static const struct {
        const char *text;
        const char *why;
    } cases[] = {
        {"[]", "proto: syntax error (line 1:1): unexpected token ["},
        {"null", "proto: syntax error (line 1:1): unexpected token null"},
        {"{\"key\":5}", "proto: (line 1:8): invalid value for bytes field key: 5"},
        {"{\"key\":\"Zm9v\",\"limit\":\"x\"}",
         "proto: (line 1:23): invalid value for int64 field limit: \"x\""},
        {"{\n \"key\":\"a\"}", "proto: (line 2:8): invalid value for bytes field key: \"a\""},
        {"{\"key\":\"Zm9v\",\"key\":\"Zm9v\"}", "proto: (line 1:15): duplicate field \"key\""},
        {"{\"keys_only\":1}", "proto: (line 1:14): invalid value for bool field keysOnly: 1"},
        {"{\"keysOnly\":{}}", "proto: (line 1:13): invalid value for bool field keysOnly: {"},
        {"{\"limit\":1.5}", "proto: (line 1:10): invalid value for int64 field limit: 1.5"},
        {"{\"limit\":9223372036854775808}",
         "proto: (line 1:10): invalid value for int64 field limit: 9223372036854775808"},
        {"{\"limit\":\" 1\"}", "proto: (line 1:10): invalid value for int64 field limit: \" 1\""},
        {"{\"sort_order\":true}",
         "proto: (line 1:15): invalid value for enum field sortOrder: true"},
        {"{\"key\":\"\\ud800abcdef\"}",
         "proto: syntax error (line 1:8): invalid escape code \"abcdef\" in string"},
        {"{\"\xff\":1}", "proto: syntax error (line 1:2): invalid UTF-8 in string"},
        {"{\"key\":\"Zg=\"}", "proto: (line 1:8): invalid value for bytes field key: \"Zg=\""},
        {"{\"key\":\"Z===\"}", "proto: (line 1:8): invalid value for bytes field key: \"Z===\""},
        {"{\"key\":\"Zg==Zg==\"}",
         "proto: (line 1:8): invalid value for bytes field key: \"Zg==Zg==\""},
        {"{\"key\":\"_+==\"}", "proto: (line 1:8): invalid value for bytes field key: \"_+==\""},
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_error(range_request(), cases[i].text, cases[i].why);
    check_error(&etcdserverpb__txn_request__descriptor,
                "{\"success\":[{\"request_put\":{\"key\":\"YQ==\",\"value\":\"Yg==\"},"
                "\"request_range\":{\"key\":\"YQ==\"}}]}",
                "proto: (line 1:58): error parsing \"request_range\", oneof "
                "etcdserverpb.RequestOp.request is already set");
    check_error(&etcdserverpb__txn_request__descriptor, "{\"success\":{}}",
                "proto: syntax error (line 1:12): unexpected token {");
    check_error(&etcdserverpb__txn_request__descriptor, "{\"success\":[null]}",
                "proto: syntax error (line 1:13): unexpected token null");
}

/* Numbers of all widths at their edges, and strings of them. */
static void test_integers(void **state)
{
    static const struct {
        const char *text;
        unsigned bits;
        bool is_signed;
        bool ok;
        uint64_t v;
    } cases[] = {
        {"0", 64, true, true, 0},
        {"-0", 32, false, true, 0},
        {"-1", 64, true, true, UINT64_MAX},
        {"-1", 64, false, false, 0},
        {"18446744073709551615", 64, false, true, UINT64_MAX},
        {"18446744073709551616", 64, false, false, 0},
        {"-9223372036854775808", 64, true, true, (uint64_t) 1 << 63},
        {"-9223372036854775809", 64, true, false, 0},
        {"4294967295", 32, false, true, UINT32_MAX},
        {"4294967296", 32, false, false, 0},
        {"2147483648", 32, true, false, 0},
        {"1e3", 64, true, true, 1000},
        {"1.25e2", 64, true, true, 125},
        {"1.25e1", 64, true, false, 0},
        {"1200e-2", 64, true, true, 12},
        {"1e20", 64, false, false, 0},
        {"1e999999999", 64, false, false, 0},
        {"1e9999999999", 64, false, false, 0},
        {"5 6", 64, true, true, 5},
        {"5x", 64, true, false, 0},
        {"", 64, true, false, 0},
        {"+1", 64, true, false, 0},
        {"0x10", 64, true, false, 0},
        {"01", 64, true, false, 0},
        {"1.", 64, true, false, 0},
        {"1e-", 64, true, false, 0},
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t v = 1;
        bool ok = json__integer(bytes_str(cases[i].text), cases[i].bits, cases[i].is_signed, &v);

        if (ok != cases[i].ok || (ok && v != cases[i].v))
            fail_msg("%s as %u bits: %d %" PRIu64, cases[i].text, cases[i].bits, ok, v);
    }
}

/* What is too long or too deep is refused, and costs no memory beyond the text's length. */
static void test_read_limits(void **state)
{
    static const char open[] = "{\"success\":[{\"request_txn\":";
    struct err e = ERR_INIT;
    struct buf text;
    struct bytes b;

    (void) state;
    assert_int_equal(
        json_read(range_request(), bytes_str("{\"key\":\"Zm9vYmFy\"}"), 7, &arena, &b, &e),
        ERR_LIMIT);
    assert_string_equal(e.msg, "grpc: received message larger than max (8 vs. 7)");
    buf_init(&text, 1u << 20);
    for (int i = 0; i < WIRE_DEPTH_MAX / 2; i++)
        buf_add_str(&text, open);
    buf_add_str(&text, "{}");
    for (int i = 0; i < WIRE_DEPTH_MAX / 2; i++)
        buf_add_str(&text, "}]}");
    e = ERR_INIT;
    assert_int_equal(json_read(&etcdserverpb__txn_request__descriptor, buf_bytes(&text), 1u << 20,
                               &arena, &b, &e),
                     ERR_INVALID);
    assert_string_equal(e.msg, "proto: exceeded max recursion depth");
    buf_done(&text);
}

/* ---- writing ---- */

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
        cmocka_unit_test(test_scan_end),       cmocka_unit_test(test_scan_words),
        cmocka_unit_test(test_scan_depth),     cmocka_unit_test(test_read_fields),
        cmocka_unit_test(test_read_nested),    cmocka_unit_test(test_read_errors),
        cmocka_unit_test(test_integers),       cmocka_unit_test(test_read_limits),
        cmocka_unit_test(test_write_range),    cmocka_unit_test(test_write_others),
        cmocka_unit_test(test_write_odd_bytes)};

    return cmocka_run_group_tests(tests, setup, teardown);
}
