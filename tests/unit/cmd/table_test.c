#include "lib/cm.h"

#include "cli/json_out.h"
#include "cli/table.h"

static void expect(struct buf *b, const char *want)
{
    assert_string_equal(buf_cstr(b), want);
    buf_clear(b);
}

/* A table without rows has no rule under its header; titles are upper-cased, underscores go. */
static void draws_empty_table(void **state)
{
    static const char *const header[] = {"endpoint", "hash", "hash_revision"};
    struct buf b;

    (void) state;
    buf_init(&b, 1 << 20);
    table_print(&b, header, 3, NULL, 0);
    expect(&b, "┌──────────┬──────┬───────────────┐\n"
               "│ ENDPOINT │ HASH │ HASH REVISION │\n"
               "└──────────┴──────┴───────────────┘\n");
    buf_done(&b);
}

/* Cells are right-aligned and trimmed, titles centred with the odd blank to the right, widths are
 * counted in code points. */
static void draws_rows(void **state)
{
    static const char *const header[] = {"hash", "version"};
    static const char *const cells[] = {"9e50dd34", "3.7.0", " \xc3\xa9 ", ""};
    struct buf b;

    (void) state;
    buf_init(&b, 1 << 20);
    table_print(&b, header, 2, cells, 2);
    expect(&b, "┌──────────┬─────────┐\n"
               "│   HASH   │ VERSION │\n"
               "├──────────┼─────────┤\n"
               "│ 9e50dd34 │   3.7.0 │\n"
               "│        é │         │\n"
               "└──────────┴─────────┘\n");
    buf_done(&b);
}

/* Objects, arrays and omissions come out as encoding/json writes them. */
static void writes_json(void **state)
{
    struct buf b;
    struct json_out j;

    (void) state;
    buf_init(&b, 1 << 20);
    j = json_out_of(&b);
    json_begin(&j, NULL, '{');
    json_uint(&j, "ID", UINT64_MAX, JSON_OMIT_EMPTY);
    json_int(&j, "zero", 0, JSON_OMIT_EMPTY);
    json_begin(&j, "list", '[');
    json_bool(&j, NULL, false, JSON_ALWAYS);
    json_bytes(&j, NULL, BYTES_LIT("\xff"), JSON_ALWAYS);
    json_end(&j, ']');
    json_hex(&j, "hex", 0x8e, JSON_ALWAYS);
    json_null(&j, "none");
    json_end(&j, '}');
    expect(&b,
           "{\"ID\":18446744073709551615,\"list\":[false,\"/w==\"],\"hex\":\"8e\",\"none\":null}");
    buf_done(&b);
}

/* Text is escaped as Go escapes it: HTML characters, line separators, control and bad bytes. */
static void escapes_json(void **state)
{
    struct buf b;

    (void) state;
    buf_init(&b, 1 << 20);
    json_escape(&b, BYTES_LIT("<a>&\"\\\n\t\b\f\r\x01\x7f\xc3\xa9\xe2\x80\xa8\xff"));
    expect(&b,
           "\"\\u003ca\\u003e\\u0026\\\"\\\\\\n\\t\\b\\f\\r\\u0001\x7f\xc3\xa9\\u2028\\ufffd\"");
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_empty_table),
        cmocka_unit_test(draws_rows),
        cmocka_unit_test(writes_json),
        cmocka_unit_test(escapes_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
