/* report.c -- one row of values in the format that -w asks for. */
#include "cli/json_out.h"
#include "cli/table.h"
#include "etcdutl/utl.h"

#define COLUMNS_MAX 8

static const char *const formats[] = {"simple", "fields", "json", "protobuf", "table"};

bool utl_format(const struct cli_call *c, int *ret_status)
{
    const char *format = cli_string(c, "write-out");

    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (strcmp(format, formats[i]) == 0)
            return true;
    }
    *ret_status = cli_fail(UTL_BAD_FORMAT, "unsupported output format");
    return false;
}

static void put_json(const struct utl_column *v, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        buf_printf(out, "%s\"%s\":", i == 0 ? "{" : ",", v[i].json);
        if (v[i].text)
            json_escape(out, bytes_str(v[i].exact));
        else
            buf_add_str(out, v[i].exact);
    }
    buf_add_str(out, "}\n");
}

static void put_table(const struct utl_column *v, size_t n, struct buf *out)
{
    const char *header[COLUMNS_MAX], *cells[COLUMNS_MAX];

    ASSERT(n <= COLUMNS_MAX);
    for (size_t i = 0; i < n; i++) {
        header[i] = v[i].table;
        cells[i] = v[i].shown;
    }
    table_print(out, header, n, cells, 1);
}

int utl_report(const struct cli_call *c, const struct utl_column *v, size_t n)
{
    const char *format = cli_string(c, "write-out");
    struct buf out;

    if (strcmp(format, "protobuf") == 0)
        return cli_fail(UTL_BAD_FORMAT, "protobuf not supported as output format");
    buf_init(&out, CLI_PAGE_BYTES_MAX);
    if (strcmp(format, "json") == 0)
        put_json(v, n, &out);
    else if (strcmp(format, "table") == 0)
        put_table(v, n, &out);
    else if (strcmp(format, "fields") == 0)
        for (size_t i = 0; i < n; i++)
            buf_printf(&out, "\"%s\" : %s\n", v[i].fields, v[i].exact);
    else
        for (size_t i = 0; i < n; i++)
            buf_printf(&out, "%s%s", v[i].shown, i + 1 < n ? ", " : "\n");
    cli_write(stdout, &out);
    buf_done(&out);
    return UTL_OK;
}
