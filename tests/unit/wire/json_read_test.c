#include "wire/json.h"

#include "rpc.pb-c.h"
#include "unit/wire/with_arena.h"
#include "wire/wire.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_fields),
        cmocka_unit_test(test_read_nested),
        cmocka_unit_test(test_read_errors),
        cmocka_unit_test(test_read_limits),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
