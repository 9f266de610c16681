/* datadriven.h -- files of commands and expected output, in the format of cockroachdb/datadriven.
 *
 *     # comment
 *     command arg key=value key=(a,b, c)
 *     input
 *     ----
 *     expected output, to the first blank line
 *
 * Two "----" instead of one: the output may hold blank lines and ends at two "----" on successive
 * lines. With KETCH_REWRITE set in the environment a file is rewritten with what came out, to be
 * read as a diff.
 */
#ifndef KETCH_TESTS_UNIT_ENGINE_RAFT_DATADRIVEN_H
#define KETCH_TESTS_UNIT_ENGINE_RAFT_DATADRIVEN_H

#include "base/alloc.h"
#include "base/buf.h"

#define DD_ARGS_MAX 32
#define DD_VALS_MAX 64
#define DD_FILE_BYTES_MAX (1u << 22)

struct dd_arg {
    char *key;
    char *vals[DD_VALS_MAX];
    size_t vals_n;
};

struct dd_case {
    const char *path;
    int line; /* of the directive */
    char *cmd;
    struct dd_arg args[DD_ARGS_MAX];
    size_t args_n;
    char *input; /* trimmed */
};

/* Appends the output of one case. */
typedef void dd_handler(void *arg, const struct dd_case *c, struct buf *out);

static const struct dd_arg *dd_find(const struct dd_case *c, const char *key)
{
    for (size_t i = 0; i < c->args_n; i++)
        if (strcmp(c->args[i].key, key) == 0 && c->args[i].vals_n > 0)
            return &c->args[i];
    return NULL;
}

/* The single value of a key, or `otherwise`. */
static const char *dd_val(const struct dd_case *c, const char *key, const char *otherwise)
{
    const struct dd_arg *a = dd_find(c, key);

    return a == NULL ? otherwise : a->vals[0];
}

static uint64_t dd_u64(const struct dd_case *c, const char *key, uint64_t otherwise)
{
    const char *v = dd_val(c, key, NULL);

    return v == NULL ? otherwise : strtoull(v, NULL, 10);
}

static bool dd_flag(const struct dd_case *c, const char *key)
{
    return strcmp(dd_val(c, key, "false"), "true") == 0;
}

/* ---- reading ---- */

static char *dd_trim(char *s)
{
    char *end;

    while (*s == ' ' || *s == '\t' || *s == '\r' || *s == '\n')
        s++;
    end = s + strlen(s);
    while (end > s && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r' || end[-1] == '\n'))
        *--end = '\0';
    return s;
}

/* `key`, `key=value` or `key=(a,b, c)`; returns what follows. */
static char *dd_parse_arg(char *s, struct dd_arg *a)
{
    *a = (struct dd_arg){.key = s};
    while (*s != '\0' && *s != ' ' && *s != '=')
        s++;
    if (*s != '=')
        goto end;
    *s++ = '\0';
    if (*s != '(') {
        a->vals[a->vals_n++] = s;
        while (*s != '\0' && *s != ' ')
            s++;
        goto end;
    }
    s++;
    while (true) {
        char *v = s;
        int depth = 0;

        while (*s != '\0' && (depth > 0 || (*s != ',' && *s != ')'))) {
            depth += *s == '(' ? 1 : *s == ')' ? -1 : 0;
            s++;
        }
        if (a->vals_n < DD_VALS_MAX && (s > v || *s == ',' || a->vals_n > 0))
            a->vals[a->vals_n++] = v;
        if (*s == '\0')
            return s;
        if (*s == ')') {
            *s++ = '\0';
            break;
        }
        *s++ = '\0';
        while (*s == ' ')
            s++;
    }
end:
    if (*s != '\0')
        *s++ = '\0';
    return s;
}

static void dd_parse_directive(char *line, struct dd_case *c)
{
    c->cmd = line;
    while (*line != '\0' && *line != ' ')
        line++;
    if (*line != '\0')
        *line++ = '\0';
    while (true) {
        while (*line == ' ')
            line++;
        if (*line == '\0' || c->args_n == DD_ARGS_MAX)
            return;
        line = dd_parse_arg(line, &c->args[c->args_n++]);
    }
}

static bool dd_read_file(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "r");
    char chunk[4096];
    size_t n;

    if (f == NULL)
        return false;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        (void) buf_add(out, chunk, n);
    (void) fclose(f);
    return true;
}

/* The text's next line, without its end; NULL behind the last. */
static char *dd_next_line(char **at)
{
    char *line = *at, *end;

    if (line == NULL || *line == '\0')
        return NULL;
    end = strchr(line, '\n');
    if (end == NULL) {
        *at = NULL;
        return line;
    }
    *end = '\0';
    *at = end + 1;
    return line;
}

struct dd_reader {
    char *at;
    int line;
    bool (*leave_out)(const char *line); /* of what is expected; NULL: nothing */
    struct buf copy;                     /* what a rewritten file will hold */
};

static char *dd_line(struct dd_reader *r)
{
    char *s = dd_next_line(&r->at);

    r->line += s != NULL;
    return s;
}

/* Without the lines that are to be left out; a text of which nothing is left says "ok". */
static void dd_filter(const struct dd_reader *r, struct buf *text)
{
    struct buf copy;
    char *at, *line;

    if (r->leave_out == NULL || text->len == 0)
        return;
    buf_init(&copy, DD_FILE_BYTES_MAX);
    (void) buf_add_bytes(&copy, buf_bytes(text));
    buf_clear(text);
    at = (char *) (uintptr_t) buf_cstr(&copy);
    while ((line = dd_next_line(&at)) != NULL)
        if (!r->leave_out(line))
            (void) buf_printf(text, "%s\n", line);
    if (text->len == 0)
        (void) buf_add_str(text, "ok\n");
    buf_done(&copy);
}

/* The expected text behind "----". */
static void dd_read_expected(struct dd_reader *r, struct buf *out)
{
    char *s = dd_line(r);
    bool twice = s != NULL && strcmp(s, "----") == 0;

    if (!twice) {
        for (; s != NULL && *dd_trim(s) != '\0'; s = dd_line(r))
            (void) buf_printf(out, "%s\n", s);
        return;
    }
    while ((s = dd_line(r)) != NULL) {
        if (strcmp(s, "----") == 0) {
            char *next = dd_line(r);

            if (next != NULL && strcmp(next, "----") == 0)
                break;
            (void) buf_printf(out, "----\n%s\n", next == NULL ? "" : next);
            continue;
        }
        (void) buf_printf(out, "%s\n", s);
    }
    (void) dd_line(r); /* the blank line behind */
}

/* Runs the handler and compares; false on a difference, which is printed. */
static bool dd_run_case(struct dd_reader *r, struct dd_case *c, dd_handler *handler, void *arg)
{
    struct buf input, expected, actual;
    char *s;
    bool same;

    buf_init(&input, DD_FILE_BYTES_MAX);
    buf_init(&expected, DD_FILE_BYTES_MAX);
    buf_init(&actual, DD_FILE_BYTES_MAX);
    while ((s = dd_line(r)) != NULL && strcmp(s, "----") != 0) {
        (void) buf_printf(&input, "%s\n", s);
        (void) buf_printf(&r->copy, "%s\n", s);
    }
    (void) buf_add_str(&r->copy, "----\n");
    c->input = dd_trim((char *) (uintptr_t) buf_cstr(&input));
    dd_read_expected(r, &expected);
    dd_filter(r, &expected);
    handler(arg, c, &actual);
    if (actual.len > 0 && actual.p[actual.len - 1] != '\n')
        (void) buf_add_char(&actual, '\n');
    (void) buf_add_bytes(&r->copy, buf_bytes(&actual));
    (void) buf_add_char(&r->copy, '\n');
    same = bytes_eq(buf_bytes(&actual), buf_bytes(&expected));
    if (!same)
        printf("%s:%d: %s\n--- expected\n%s--- actual\n%s---\n", c->path, c->line, c->cmd,
               buf_cstr(&expected), buf_cstr(&actual));
    buf_done(&input);
    buf_done(&expected);
    buf_done(&actual);
    return same;
}

static void dd_rewrite(const char *path, struct buf *text)
{
    FILE *f;

    while (text->len > 1 && text->p[text->len - 1] == '\n' && text->p[text->len - 2] == '\n')
        text->len--;
    f = fopen(path, "w");
    if (f == NULL)
        return;
    (void) fwrite(text->p, 1, text->len, f);
    (void) fclose(f);
}

/* Runs one file; stops at the first difference, unless rewriting.  Counts cases in *cases. */
static bool dd_run_file(const char *path, dd_handler *handler, void *arg,
                        bool (*leave_out)(const char *line), size_t *cases)
{
    bool rewrite = getenv("KETCH_REWRITE") != NULL && leave_out == NULL, ok = true;
    struct dd_reader r = {.leave_out = leave_out};
    struct buf text;
    char *s;

    buf_init(&text, DD_FILE_BYTES_MAX);
    buf_init(&r.copy, DD_FILE_BYTES_MAX);
    ok = dd_read_file(path, &text);
    r.at = (char *) (uintptr_t) buf_cstr(&text);
    while (ok && (s = dd_line(&r)) != NULL) {
        struct dd_case c = {.path = path, .line = r.line};

        (void) buf_printf(&r.copy, "%s\n", s);
        s = dd_trim(s);
        if (*s == '\0' || *s == '#')
            continue;
        dd_parse_directive(s, &c);
        ok = dd_run_case(&r, &c, handler, arg) || rewrite;
        (*cases)++;
    }
    if (rewrite && ok)
        dd_rewrite(path, &r.copy);
    buf_done(&text);
    buf_done(&r.copy);
    return ok;
}

#endif
