#include "etcd-dump-logs/goflag.h"

#include "base/err.h"
#include "cli/text.h"

#define IN_ORDER (-1)
#define STATUS_HELP 0
#define STATUS_USAGE 2

struct line {
    const char *program;
    struct goflag *v;
    size_t n;
    struct buf *errs;
};

/* ---- the usage ---- */

static void put_default(const struct goflag *f, struct buf *out)
{
    if (f->type == GOFLAG_STRING && *f->s != 0) {
        buf_add_str(out, " (default ");
        text_quote(out, bytes_str(f->s));
        buf_add_char(out, ')');
    } else if (f->type == GOFLAG_UINT && f->u != 0) {
        buf_printf(out, " (default %" PRIu64 ")", f->u);
    }
}

static void put_flag(const struct goflag *f, struct buf *out)
{
    static const char *const types[] = {
        [GOFLAG_BOOL] = "", [GOFLAG_STRING] = " string", [GOFLAG_UINT] = " uint"};

    buf_printf(out, "  -%s%s\n    \t", f->name, types[f->type]);
    for (const char *p = f->help; *p != 0; p++) {
        buf_add_char(out, *p);
        if (*p == '\n')
            buf_add_str(out, "    \t");
    }
    put_default(f, out);
    buf_add_char(out, '\n');
}

/* The defaults shown are what the table holds, so this is for lines of which nothing is kept. */
static int usage(const struct line *l, int status)
{
    buf_printf(l->errs, "Usage of %s:\n", l->program);
    for (size_t i = 0; i < l->n; i++)
        put_flag(&l->v[i], l->errs);
    return status;
}

/* ---- one flag ---- */

static struct goflag *find(const struct line *l, struct bytes name)
{
    for (size_t i = 0; i < l->n; i++) {
        if (bytes_eq(bytes_str(l->v[i].name), name))
            return &l->v[i];
    }
    return NULL;
}

static int wrong_value(const struct line *l, const struct goflag *f, const char *value,
                       const char *why)
{
    buf_add_str(l->errs, f->type == GOFLAG_BOOL ? "invalid boolean value " : "invalid value ");
    text_quote(l->errs, bytes_str(value));
    buf_printf(l->errs, f->type == GOFLAG_BOOL ? " for -%s: %s\n" : " for flag -%s: %s\n", f->name,
               why);
    return usage(l, STATUS_USAGE);
}

/* What usage shows must still be the defaults when a later flag is wrong: values are kept aside
 * until the line is in order. */
struct kept {
    const char *s;
    uint64_t u;
    bool b;
};

static int set(const struct line *l, struct goflag *f, const char *value, struct kept *ret)
{
    struct err e = ERR_INIT;
    int rc = 0;

    if (f->type == GOFLAG_BOOL)
        rc = text_parse_bool(value, &ret->b, &e);
    else if (f->type == GOFLAG_UINT)
        rc = text_parse_uint(value, 0, &ret->u, &e);
    else
        ret->s = value;
    if (rc != 0)
        return wrong_value(l, f, value, rc == ERR_LIMIT ? "value out of range" : "parse error");
    f->given = true;
    return IN_ORDER;
}

/* *ret_used: how many words it took. */
static int read_flag(const struct line *l, struct kept *kept, const char *word, const char *next,
                     size_t *ret_used)
{
    const char *name = word + (word[1] == '-' ? 2 : 1);
    const char *equal = *name == 0 ? NULL : strchr(name + 1, '=');
    struct bytes n = bytes_of(name, equal == NULL ? strlen(name) : (size_t) (equal - name));
    struct goflag *f;

    *ret_used = 1;
    if (n.n == 0 || *name == '-' || *name == '=') {
        buf_printf(l->errs, "bad flag syntax: %s\n", word);
        return usage(l, STATUS_USAGE);
    }
    f = find(l, n);
    if (f == NULL && (bytes_eq(n, BYTES_LIT("h")) || bytes_eq(n, BYTES_LIT("help"))))
        return usage(l, STATUS_HELP);
    if (f == NULL) {
        buf_printf(l->errs, "flag provided but not defined: -%.*s\n", (int) n.n, name);
        return usage(l, STATUS_USAGE);
    }
    if (equal != NULL)
        return set(l, f, equal + 1, &kept[f - l->v]);
    if (f->type == GOFLAG_BOOL)
        return set(l, f, "true", &kept[f - l->v]);
    if (next == NULL) {
        buf_printf(l->errs, "flag needs an argument: -%s\n", f->name);
        return usage(l, STATUS_USAGE);
    }
    *ret_used = 2;
    return set(l, f, next, &kept[f - l->v]);
}

#define FLAGS_MAX 32

int goflag_parse(const char *program, struct goflag *v, size_t n, size_t argc,
                 const char *const *argv, size_t *ret_rest, struct buf *errs)
{
    struct line l = {program, v, n, errs};
    struct kept kept[FLAGS_MAX];
    size_t i = 0, used;

    ASSERT(n <= FLAGS_MAX);
    for (size_t k = 0; k < n; k++)
        kept[k] = (struct kept){v[k].s, v[k].u, v[k].b};
    for (; i < argc && argv[i][0] == '-' && argv[i][1] != 0; i += used) {
        int status;

        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        status = read_flag(&l, kept, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &used);
        if (status != IN_ORDER)
            return status;
    }
    for (size_t k = 0; k < n; k++) {
        v[k].s = kept[k].s;
        v[k].u = kept[k].u;
        v[k].b = kept[k].b;
    }
    *ret_rest = i;
    return IN_ORDER;
}
