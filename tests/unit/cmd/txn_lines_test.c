/* Words, comparisons and requests as etcdctl's txn and watch read them. */
#include "base/alloc.h"
#include "cli/txn_lines.h"
#include "lib/cm.h"
#include "wire/wire.h"

static struct arena arena;
static struct err error;

static int setup(void **state)
{
    (void) state;
    arena_init(&arena, TXN_ARENA_BYTES_MAX);
    error = ERR_INIT;
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    arena_done(&arena);
    return 0;
}

/* The words of a line, each in brackets. */
static void expect_words(const char *line, const char *want)
{
    struct words w;
    struct buf b;

    buf_init(&b, 1 << 16);
    assert_int_equal(words_split(&w, bytes_str(line), &error), 0);
    for (size_t i = 0; i < w.count; i++) {
        assert_int_equal(strlen(w.text[i]), w.len[i]);
        buf_printf(&b, "[%s]", w.text[i]);
    }
    assert_string_equal(buf_cstr(&b), want);
    words_done(&w);
    buf_done(&b);
}

/* Quotes of both kinds, escapes, bare words with quotes inside, unterminated quotes. */
static void splits_words(void **state)
{
    (void) state;
    expect_words("", "");
    expect_words("  put\tkey1  \"overwrote key1\" ", "[put][key1][overwrote key1]");
    expect_words("put 'a \"b\" c' d'e", "[put][a \"b\" c][d'e]");
    expect_words("put \"a\\x41\\\"\" ''", "[put][aA\"][]");
    expect_words("get \"k1 k2", "[get][k1][k2]");
    expect_words("a\"b\"c", "[a\"b\"c]");
}

/* A word may hold a NUL byte, and its length says so; bad escapes are refused. */
static void splits_odd_words(void **state)
{
    struct words w;

    (void) state;
    assert_int_equal(words_split(&w, BYTES_LIT("get \"a\\x00b\""), &error), 0);
    assert_int_equal(w.count, 2);
    assert_int_equal(w.len[1], 3);
    assert_memory_equal(w.text[1], "a\0b", 4);
    assert_null(w.text[2]);
    words_done(&w);
    assert_int_equal(words_split(&w, BYTES_LIT("get \"\\q\""), &error), ERR_INVALID);
    words_done(&w);
}

static Etcdserverpb__Compare compare(const char *line)
{
    Etcdserverpb__Compare c;

    assert_int_equal(txn_compare(bytes_str(line), &arena, &c, &error), 0);
    return c;
}

/* Every target and operator, with what follows the value left out. */
static void reads_comparisons(void **state)
{
    Etcdserverpb__Compare c = compare("mod(\"k\\x00\") > \"-5\"");

    (void) state;
    assert_int_equal(c.target, ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD);
    assert_int_equal(c.result, ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER);
    assert_int_equal(c.mod_revision, -5);
    assert_true(bytes_eq(wire_bytes(c.key), bytes_of("k", 2)));
    c = compare("ver(\"k\") != \"1\" and more");
    assert_int_equal(c.target, ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION);
    assert_int_equal(c.result, ETCDSERVERPB__COMPARE__COMPARE_RESULT__NOT_EQUAL);
    assert_int_equal(c.version, 1);
    c = compare("create(\"k\")   <   \"7\"");
    assert_int_equal(c.target, ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE);
    assert_int_equal(c.target_union_case, ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION);
    assert_int_equal(c.create_revision, 7);
    c = compare("val(\"k\") = \"a b\\n\"");
    assert_int_equal(c.target, ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE);
    assert_true(bytes_eq(wire_bytes(c.value), BYTES_LIT("a b\n")));
    c = compare("lease(\"k\") = \"1f\"");
    assert_int_equal(c.target_union_case, ETCDSERVERPB__COMPARE__TARGET_UNION_LEASE);
    assert_int_equal(c.lease, 0x1f);
}

/* What is no comparison is refused in etcdctl's words, with status 3. */
static void refuses_comparisons(void **state)
{
    static const struct {
        const char *line;
        const char *words;
    } bad[] = {
        {"mod \"key1\" = \"1\"", "malformed comparison: mod \"key1\" = \"1\""},
        {"mod(key1) = \"1\"", "malformed comparison: mod(key1) = \"1\"; got mod(\"\")  \"\""},
        {"mod(\"k\" ) = \"1\"", "malformed comparison: mod(\"k\" ) = \"1\"; got mod(\"k\")  \"\""},
        {"mod(\"k\")= \"1\"", "malformed comparison: mod(\"k\")= \"1\"; got mod(\"k\")  \"\""},
        {"mod(\"k\") = 1", "malformed comparison: mod(\"k\") = 1; got mod(\"k\") = \"\""},
        {"Mod(\"k\") = \"1\"", "malformed comparison: Mod(\"k\") = \"1\" (unknown target Mod)"},
        {"mod(\"k\") = \"x\"", "invalid txn compare request: mod(\"k\") = \"x\""},
        {"lease(\"k\") = \"zz\"", "invalid txn compare request: lease(\"k\") = \"zz\""},
        {"mod(\"k\") == \"1\"", "malformed comparison: mod(\"k\") == \"1\" (unknown result op ==)"},
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        Etcdserverpb__Compare c;

        assert_int_equal(txn_compare(bytes_str(bad[i].line), &arena, &c, &error),
                         CTL_INVALID_INPUT);
        assert_string_equal(error.msg, bad[i].words);
    }
}

/* ---- requests ---- */

static bool no_input(struct kv_input *in, struct buf *out)
{
    (void) in;
    (void) out;
    return true;
}

static struct kv_input input = {.read_all = no_input};

static int request(const char *line, Etcdserverpb__RequestOp *ret, struct buf *usage)
{
    return txn_request(bytes_str(line), &input, &arena, usage, ret, &error);
}

static Etcdserverpb__RequestOp good_request(const char *line)
{
    Etcdserverpb__RequestOp op;
    struct buf usage;

    buf_init(&usage, 1 << 16);
    assert_int_equal(request(line, &op, &usage), 0);
    assert_string_equal(buf_cstr(&usage), "");
    buf_done(&usage);
    return op;
}

/* put, get and del with their flags, shortened, quoted; ranges as the commands make them. */
static void reads_requests(void **state)
{
    Etcdserverpb__RequestOp op = good_request("put key1 \"a b\" --lease=1f --prev-kv");

    (void) state;
    assert_int_equal(op.request_case, ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT);
    assert_true(bytes_eq(wire_bytes(op.request_put->value), BYTES_LIT("a b")));
    assert_int_equal(op.request_put->lease, 0x1f);
    assert_true(op.request_put->prev_kv);
    op = good_request("g \"a\\x00\" --prefix --order descend --sort-by version --limit 3");
    assert_int_equal(op.request_case, ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE);
    assert_true(bytes_eq(wire_bytes(op.request_range->key), bytes_of("a", 2)));
    assert_true(bytes_eq(wire_bytes(op.request_range->range_end), BYTES_LIT("a\x01")));
    assert_int_equal(op.request_range->sort_order,
                     ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND);
    assert_int_equal(op.request_range->sort_target,
                     ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VERSION);
    assert_int_equal(op.request_range->limit, 3);
    op = good_request("get \"\" --from-key --order=ascend");
    assert_true(bytes_eq(wire_bytes(op.request_range->key), bytes_of("", 1)));
    assert_true(bytes_eq(wire_bytes(op.request_range->range_end), bytes_of("", 1)));
    assert_int_equal(op.request_range->sort_order, ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__NONE);
    op = good_request("del \"a\\xff\\xff\" --prefix --prev-kv");
    assert_int_equal(op.request_case, ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE);
    assert_true(bytes_eq(wire_bytes(op.request_delete_range->range_end), BYTES_LIT("b")));
    op = good_request("del \"\\xff\" --prefix");
    assert_true(bytes_eq(wire_bytes(op.request_delete_range->range_end), bytes_of("", 1)));
}

/* Lines that are no request; a bad flag shows the usage of its command. */
static void refuses_requests(void **state)
{
    static const struct {
        const char *line;
        int status;
        const char *words;
    } bad[] = {
        {"put", CTL_INVALID_INPUT, "invalid txn compare request: put"},
        {"delete a", CTL_INVALID_INPUT, "invalid txn request: delete a"},
        {"get a --bogus", CTL_INVALID_INPUT, "invalid txn request: get a --bogus"},
        {"get a -w json", CTL_INVALID_INPUT, "invalid txn request: get a -w json"},
        {"put a", CTL_BAD_ARGS, "put command needs 1 argument and input from stdin or 2 arguments"},
        {"get a b --prefix", CTL_BAD_ARGS,
         "too many arguments, only accept one argument when `--prefix` or `--from-key` is set"},
        {"get a --order x", CTL_BAD_FEATURE, "bad sort order x"},
    };
    struct buf usage;

    (void) state;
    buf_init(&usage, 1 << 16);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        Etcdserverpb__RequestOp op;

        buf_clear(&usage);
        assert_int_equal(request(bad[i].line, &op, &usage), bad[i].status);
        assert_string_equal(error.msg, bad[i].words);
        assert_int_equal(strncmp(buf_cstr(&usage), "Usage:\n", 7) == 0,
                         strchr(bad[i].words, '-') != NULL && bad[i].status == CTL_INVALID_INPUT);
    }
    buf_done(&usage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(splits_words, setup, teardown),
        cmocka_unit_test_setup_teardown(splits_odd_words, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_comparisons, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_comparisons, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_requests, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
