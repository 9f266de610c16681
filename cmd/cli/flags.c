#include "cli/flags.h"

#include "cli/text.h"

#define FLAG_LIST_MAX 1024 /* values of one CLI_STRINGS flag */

void cli_value_init(struct cli_value *v, const struct cli_flag *f, struct arena *a)
{
    struct err e = ERR_INIT;
    int rc;

    *v = (struct cli_value){.flag = f, .s = ""};
    if (f->def == NULL)
        return;
    rc = cli_value_set(v, f->def, a, &e);
    ASSERT(rc == 0);
    v->changed = false;
}

/* One field of a CSV record at *p: quoted with doubled quotes, or up to the comma. */
static const char *csv_field(const char **p, struct arena *a)
{
    struct buf field;
    const char *s = *p;
    const char *ret;

    buf_init(&field, CSV_FIELD_BYTES_MAX);
    if (*s == '"') {
        for (s++; *s != 0 && !(s[0] == '"' && s[1] != '"'); s++) {
            s += s[0] == '"';
            buf_add_char(&field, *s);
        }
        s += *s == '"';
    }
    for (; *s != 0 && *s != ','; s++)
        buf_add_char(&field, *s);
    ret = field.failed ? NULL : arena_dup(a, buf_cstr(&field), field.len + 1);
    buf_done(&field);
    *p = s;
    return ret;
}

/* A first value given by the user replaces the default, later ones are added. */
static int strings_set(struct cli_value *v, const char *text, struct arena *a, struct err *e)
{
    size_t have = v->changed ? v->list_count : 0;
    const char **list = arena_calloc(a, FLAG_LIST_MAX, sizeof(*list));

    if (list == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < have; i++)
        list[i] = v->list[i];
    for (const char *p = text; *text != 0;) {
        if (have == FLAG_LIST_MAX)
            return err_set(e, ERR_LIMIT, "more than %d values", FLAG_LIST_MAX);
        list[have] = csv_field(&p, a);
        if (list[have++] == NULL)
            return err_set(e, ERR_LIMIT, "value too long");
        if (*p == 0)
            break;
        p++; /* the comma */
    }
    v->list = list;
    v->list_count = have;
    return 0;
}

int cli_value_set(struct cli_value *v, const char *text, struct arena *a, struct err *e)
{
    int rc = 0;

    switch (v->flag->type) {
    case CLI_BOOL:
        rc = text_parse_bool(text, &v->b, e);
        break;
    case CLI_INT:
        rc = text_parse_int(text, 0, &v->i, e);
        break;
    case CLI_UINT:
        rc = text_parse_uint(text, 0, &v->u, e);
        break;
    case CLI_DURATION:
        rc = text_parse_duration(text, &v->i, e);
        break;
    case CLI_FLOAT:
        rc = text_parse_float(text, &v->f, e);
        break;
    case CLI_STRINGS:
        rc = strings_set(v, text, a, e);
        break;
    case CLI_STRING:
        v->s = text;
        break;
    }
    if (rc == 0)
        v->changed = true;
    return rc;
}

void cli_value_print(const struct cli_value *v, struct buf *out)
{
    switch (v->flag->type) {
    case CLI_BOOL:
        buf_add_str(out, v->b ? "true" : "false");
        break;
    case CLI_INT:
        buf_printf(out, "%" PRId64, v->i);
        break;
    case CLI_UINT:
        buf_printf(out, "%" PRIu64, v->u);
        break;
    case CLI_DURATION:
        text_duration(out, v->i);
        break;
    case CLI_FLOAT:
        text_float(out, v->f);
        break;
    case CLI_STRING:
        buf_add_str(out, v->s);
        break;
    case CLI_STRINGS:
        buf_add_char(out, '[');
        for (size_t i = 0; i < v->list_count; i++)
            buf_printf(out, "%s%s", i == 0 ? "" : ",", v->list[i]);
        buf_add_char(out, ']');
        break;
    }
}

/* ---- help lines ---- */

static const char *type_name(enum cli_type t)
{
    switch (t) {
    case CLI_BOOL:
        return "";
    case CLI_STRING:
        return " string";
    case CLI_STRINGS:
        return " strings";
    case CLI_INT:
        return " int";
    case CLI_UINT:
        return " uint";
    case CLI_DURATION:
        return " duration";
    case CLI_FLOAT:
        return " float";
    }
    UNREACHABLE();
}

static size_t left_column(const struct cli_flag *f, struct buf *out)
{
    size_t before = out->len;

    if (f->shorthand != 0)
        buf_printf(out, "  -%c, --%s", f->shorthand, f->name);
    else
        buf_printf(out, "      --%s", f->name);
    buf_add_str(out, type_name(f->type));
    return out->len - before;
}

static size_t left_column_width(const struct cli_flag *f)
{
    struct buf b;
    size_t n;

    buf_init(&b, 1024);
    n = left_column(f, &b);
    buf_done(&b);
    return n;
}

/* " (default X)", unless X is the zero of its type. */
static void put_default(const struct cli_flag *f, struct buf *out)
{
    struct arena a;
    struct cli_value v;

    if (f->def == NULL)
        return;
    arena_init(&a, 1 << 20);
    cli_value_init(&v, f, &a);
    bool zero = !v.b && v.i == 0 && v.u == 0 && v.f == 0 && v.s[0] == 0 && v.list_count == 0;
    if (!zero) {
        buf_add_str(out, " (default ");
        if (f->type == CLI_STRING)
            text_quote(out, bytes_str(v.s));
        else
            cli_value_print(&v, out);
        buf_add_char(out, ')');
    }
    arena_done(&a);
}

static int by_name(const void *a, const void *b)
{
    const struct cli_flag *const *x = a;
    const struct cli_flag *const *y = b;

    return strcmp((*x)->name, (*y)->name);
}

void cli_flags_usage(const struct cli_flag *const *flags, size_t count, bool show_hidden,
                     struct buf *out)
{
    const struct cli_flag *sorted[FLAGS_USAGE_MAX];
    size_t n = 0;
    size_t width = 0;

    ASSERT(count <= FLAGS_USAGE_MAX);
    for (size_t i = 0; i < count; i++) {
        if (flags[i]->hidden && !show_hidden)
            continue;
        sorted[n++] = flags[i];
        width = MAX(width, left_column_width(flags[i]));
    }
    qsort(sorted, n, sizeof(sorted[0]), by_name);
    for (size_t i = 0; i < n; i++) {
        size_t used = left_column(sorted[i], out);

        buf_printf(out, "%*s%s", (int) (width - used + 3), "", sorted[i]->help);
        put_default(sorted[i], out);
        buf_add_char(out, '\n');
    }
}
