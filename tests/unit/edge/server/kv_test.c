#include "world.h"

static int setup_extensive(void **state)
{
    (void) state;
    world_open((const char *[]){"--metrics=extensive", NULL});
    return 0;
}

static Etcdserverpb__RangeResponse *range(const char *key, const char *end)
{
    Etcdserverpb__RangeRequest q = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RangeResponse *res;

    q.key = bin(key);
    q.range_end = bin(end);
    ASK_OK("/etcdserverpb.KV/Range", &q.base, range_response, &res);
    return res;
}

/* Puts, ranges and deletes over the wire have the values, revisions and headers that etcd gives. */
static void test_put_range_delete(void **state)
{
    Etcdserverpb__RangeResponse *res;

    (void) state;
    assert_int_equal(put("a", "1"), 2);
    assert_int_equal(put("b", "2"), 3);
    assert_int_equal(put("a", "3"), 4);
    res = range("a", "z");
    assert_int_equal(res->header->revision, 4);
    assert_true(res->header->cluster_id != 0);
    assert_true(res->header->member_id != 0);
    assert_true(res->header->raft_term != 0);
    assert_int_equal(res->count, 2);
    assert_int_equal(res->n_kvs, 2);
    assert_int_equal(res->kvs[0]->create_revision, 2);
    assert_int_equal(res->kvs[0]->mod_revision, 4);
    assert_int_equal(res->kvs[0]->version, 2);
    assert_memory_equal(res->kvs[0]->value.data, "3", 1);
    assert_int_equal(del("a"), 5);
    assert_int_equal(range("a", "z")->count, 1);
    assert_int_equal(del("nothing"), 5);
}

/* prev_kv of a put comes back; without an earlier value there is none. */
static void test_prev_kv(void **state)
{
    Etcdserverpb__PutRequest q = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__PutResponse *res;

    (void) state;
    q.key = bin("k");
    q.value = bin("1");
    q.prev_kv = true;
    ASK_OK("/etcdserverpb.KV/Put", &q.base, put_response, &res);
    assert_null(res->prev_kv);
    ASK_OK("/etcdserverpb.KV/Put", &q.base, put_response, &res);
    assert_non_null(res->prev_kv);
    assert_int_equal(res->prev_kv->mod_revision, res->header->revision - 1);
}

/* Bad requests are refused with etcd's code and text, in etcd's order. */
static void test_refusals(void **state)
{
    Etcdserverpb__PutRequest p = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RangeRequest r = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__CompactionRequest c = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    struct answer a;

    (void) state;
    ask_fails("/etcdserverpb.KV/Put", &p.base, 3, "etcdserver: key is not provided");
    p.key = bin("k");
    p.value = bin("v");
    p.ignore_value = true;
    ask_fails("/etcdserverpb.KV/Put", &p.base, 3, "etcdserver: value is provided");
    p.value = bin("");
    ask_fails("/etcdserverpb.KV/Put", &p.base, 3, "etcdserver: key not found");
    p.ignore_value = false;
    p.lease = 77;
    ask_fails("/etcdserverpb.KV/Put", &p.base, 5, "etcdserver: requested lease not found");
    ask_fails("/etcdserverpb.KV/Range", &r.base, 3, "etcdserver: key is not provided");
    r.key = bin("k");
    r.sort_target = (Etcdserverpb__RangeRequest__SortTarget) 9;
    ask_fails("/etcdserverpb.KV/Range", &r.base, 3, "etcdserver: invalid sort option");
    r.sort_target = 0;
    r.revision = 1000;
    ask_fails("/etcdserverpb.KV/Range", &r.base, 11,
              "etcdserver: mvcc: required revision is a future revision");
    c.revision = 1000;
    ask_fails("/etcdserverpb.KV/Compact", &c.base, 11,
              "etcdserver: mvcc: required revision is a future revision");
    a = ask_with("/etcdserverpb.KV/Put", BYTES_LIT("\x0a\x05x"), NULL, 0);
    assert_int_equal(a.code, 13);
    a = ask_with("/etcdserverpb.KV/Nothing", BYTES_EMPTY, NULL, 0);
    assert_int_equal(a.code, 12);
    assert_string_equal(a.text, "unknown method Nothing for service etcdserverpb.KV");
}

/* A value over the request limit is refused by the node, one over the message limit by the
 * connection. */
static void test_too_large(void **state)
{
    Etcdserverpb__PutRequest p = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct answer a;
    size_t n = 3u << 20;

    (void) state;
    p.key = bin("k");
    p.value = (ProtobufCBinaryData){1572864, mem_calloc(1, n)};
    ask_fails("/etcdserverpb.KV/Put", &p.base, 3, "etcdserver: request is too large");
    p.value.len = n;
    a = ask_with("/etcdserverpb.KV/Put", encoded(&p.base), NULL, 0);
    assert_int_equal(a.code, 8);
    assert_non_null(strstr(a.text, "grpc: received message larger than max ("));
    mem_free(p.value.data);
}

/* A transaction takes the branch its guards choose; a read-only one makes no revision. */
static void test_txn(void **state)
{
    Etcdserverpb__Compare cmp = ETCDSERVERPB__COMPARE__INIT, *cmps[] = {&cmp};
    Etcdserverpb__PutRequest p = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RangeRequest r = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RequestOp yes = ETCDSERVERPB__REQUEST_OP__INIT, *success[] = {&yes, &yes};
    Etcdserverpb__RequestOp no = ETCDSERVERPB__REQUEST_OP__INIT, *failure[] = {&no};
    Etcdserverpb__TxnRequest q = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__TxnResponse *res;

    (void) state;
    p.key = r.key = cmp.key = bin("t");
    p.value = bin("x");
    cmp.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION;
    cmp.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION;
    yes.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    yes.request_put = &p;
    no.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    no.request_range = &r;
    q.n_compare = q.n_success = q.n_failure = 1;
    q.compare = cmps;
    q.success = success;
    q.failure = failure;
    ASK_OK("/etcdserverpb.KV/Txn", &q.base, txn_response, &res);
    assert_true(res->succeeded);
    assert_int_equal(res->header->revision, 2);
    assert_int_equal(res->responses[0]->response_case,
                     ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT);
    ASK_OK("/etcdserverpb.KV/Txn", &q.base, txn_response, &res);
    assert_false(res->succeeded);
    assert_int_equal(res->responses[0]->response_range->n_kvs, 1);
    q.n_success = 2;
    ask_fails("/etcdserverpb.KV/Txn", &q.base, 3, "etcdserver: duplicate key given in txn request");
    q.n_success = 0;
    ASK_OK("/etcdserverpb.KV/Txn", &q.base, txn_response, &res);
    assert_int_equal(res->header->revision, 2);
    assert_int_equal(res->responses[0]->response_range->count, 1);
}

/* A range far above the whole-reply size is made piece by piece and arrives whole. */
static void test_large_range(void **state)
{
    static char value[20000];
    Etcdserverpb__RangeResponse *res;
    char key[16];

    (void) state;
    memset(value, 'v', sizeof value - 1);
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "k%03d", i);
        put(key, value);
    }
    res = range("k", "l");
    assert_int_equal(res->n_kvs, 100);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(res->kvs[i]->value.len, sizeof value - 1);
}

static Etcdserverpb__RangeResponse *chunk(struct flow *f, size_t i)
{
    Etcdserverpb__RangeStreamResponse *m;

    assert_int_equal(
        WIRE_DECODE(etcdserverpb__range_stream_response, f->messages[i], &world.arena, &m, NULL),
        0);
    return m->range_response;
}

static void stream_all(struct flow *f, Etcdserverpb__RangeRequest *q)
{
    flow_open(f, "/etcdserverpb.KV/RangeStream");
    flow_send(f, &q->base);
    rpc_half_close(f->rpc);
    flow_wait_end(f);
}

/* RangeStream gives growing chunks; only the last has header and count; bad orders are refused. */
static void test_range_stream(void **state)
{
    static struct flow f;
    Etcdserverpb__RangeRequest q = ETCDSERVERPB__RANGE_REQUEST__INIT;
    char key[16];
    size_t kvs = 0;

    (void) state;
    for (int i = 0; i < 35; i++) {
        snprintf(key, sizeof key, "s%03d", i);
        put(key, "v");
    }
    q.key = bin("s");
    q.range_end = bin("t");
    stream_all(&f, &q);
    assert_int_equal(f.code, 0);
    assert_int_equal(f.n, 3);
    assert_int_equal(chunk(&f, 0)->n_kvs, 10);
    assert_int_equal(chunk(&f, 1)->n_kvs, 20);
    assert_null(chunk(&f, 1)->header);
    for (size_t i = 0; i < f.n; i++)
        kvs += chunk(&f, i)->n_kvs;
    assert_int_equal(kvs, 35);
    assert_int_equal(chunk(&f, 2)->count, 35);
    assert_int_equal(chunk(&f, 2)->header->revision, 36);
    q.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    stream_all(&f, &q);
    assert_int_equal(f.code, 12);
    assert_string_equal(f.text, "RangeStream does not support custom sort orders");
}

/* A target without an order sorts each chunk by itself; no key is lost at a border. */
static void test_range_stream_target(void **state)
{
    static struct flow f;
    Etcdserverpb__RangeRequest q = ETCDSERVERPB__RANGE_REQUEST__INIT;
    char key[16], value[16];
    size_t first[] = {0, 10, 12}; /* with a limit of 12: two chunks */

    (void) state;
    for (int i = 0; i < 15; i++) {
        snprintf(key, sizeof key, "t%03d", i);
        snprintf(value, sizeof value, "%03d", 100 - i);
        put(key, value);
    }
    q.key = bin("t");
    q.range_end = bin("u");
    q.limit = 12;
    q.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE;
    stream_all(&f, &q);
    assert_int_equal(f.code, 0);
    assert_int_equal(f.n, 2);
    for (size_t c = 0; c < f.n; c++) {
        assert_int_equal(chunk(&f, c)->n_kvs, first[c + 1] - first[c]);
        for (size_t i = 0; i < chunk(&f, c)->n_kvs; i++) {
            snprintf(key, sizeof key, "t%03zu", first[c + 1] - 1 - i);
            assert_memory_equal(chunk(&f, c)->kvs[i]->key.data, key, 4);
        }
    }
    assert_int_equal(chunk(&f, 1)->count, 15);
    assert_true(chunk(&f, 1)->more);
}

/* A transaction that holds 127 others in one another is executed; one more is one too many. */
static void test_nested_txn(void **state)
{
    static Etcdserverpb__TxnRequest txns[129];
    static Etcdserverpb__RequestOp ops[129], *op[129];
    Etcdserverpb__PutRequest p = ETCDSERVERPB__PUT_REQUEST__INIT;
    size_t last = ARRAY_LEN(txns) - 1;

    (void) state;
    p.key = bin("deep");
    for (size_t i = 0; i <= last; i++) {
        etcdserverpb__txn_request__init(&txns[i]);
        etcdserverpb__request_op__init(&ops[i]);
        op[i] = &ops[i];
        txns[i].success = &op[i];
        txns[i].n_success = 1;
        ops[i].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN;
        if (i < last)
            ops[i].request_txn = &txns[i + 1];
    }
    ops[last].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    ops[last].request_put = &p;
    ask_fails("/etcdserverpb.KV/Txn", &txns[0].base, 3,
              "etcdserver: too many operations in txn request");
    ASK_OK("/etcdserverpb.KV/Txn", &txns[1].base, txn_response, NULL);
    assert_int_equal(del("deep"), 3); /* it was there: the deletion has a revision of its own */
}

/* Over the quota a put raises the alarm and is refused; deletes go on. */
static void test_quota(void **state)
{
    Etcdserverpb__PutRequest p = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__StatusRequest s = ETCDSERVERPB__STATUS_REQUEST__INIT;
    Etcdserverpb__StatusResponse *res;
    const char *const args[] = {"--quota-backend-bytes=1", NULL};

    (void) state;
    world_close();
    world_open(args);
    p.key = bin("k");
    ask_fails("/etcdserverpb.KV/Put", &p.base, 8, "etcdserver: mvcc: database space exceeded");
    assert_int_equal(del("k"), 1);
    ASK_OK("/etcdserverpb.Maintenance/Status", &s.base, status_response, &res);
    assert_int_equal(res->n_errors, 1);
    assert_non_null(strstr(res->errors[0], " alarm:NOSPACE"));
    assert_int_equal(res->dbsizequota, 1);
}

/* A read that begins and ends in one turn of its thread has taken time all the same. */
static void test_time_of_a_read(void **state)
{
    static const char *const sums[] = {
        "\netcd_server_request_duration_seconds_sum{success=\"true\",type=\"Range\"} ",
        "\ngrpc_server_handling_seconds_sum{grpc_method=\"Range\",grpc_service=\"etcdserverpb.KV\","
        "grpc_type=\"unary\"} ",
    };
    const char *page, *at;

    (void) state;
    put("a", "1");
    range("a", "z");
    page = http_ask("GET", "/metrics", "");
    for (size_t i = 0; i < ARRAY_LEN(sums); i++) {
        at = strstr(page, sums[i]);
        assert_non_null(at);
        assert_true(strtod(at + strlen(sums[i]), NULL) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_put_range_delete, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_prev_kv, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_refusals, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_too_large, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_txn, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_nested_txn, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_large_range, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_range_stream, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_range_stream_target, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_quota, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_time_of_a_read, setup_extensive, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
