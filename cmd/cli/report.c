/* report.c -- what is said about a line that is not understood. */
#include <ctype.h>

#include "cli/command_int.h"
#include "cli/text.h"

/* ---- wrong commands ---- */

#define SUGGESTION_WORD_MAX 64
#define SUGGESTION_DISTANCE_MAX 2

/* Levenshtein distance without regard to case; words longer than the maximum are far apart. */
static size_t edit_distance(struct bytes a, struct bytes b)
{
    size_t row[SUGGESTION_WORD_MAX + 1];

    if (a.n > SUGGESTION_WORD_MAX || b.n > SUGGESTION_WORD_MAX)
        return SUGGESTION_WORD_MAX;
    for (size_t j = 0; j <= b.n; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t above = row[j];
            bool same = tolower(a.p[i - 1]) == tolower(b.p[j - 1]);

            row[j] = MIN(MIN(row[j] + 1, row[j - 1] + 1), diagonal + !same);
            diagonal = above;
        }
    }
    return row[b.n];
}

static bool starts_with_nocase(struct bytes s, struct bytes prefix)
{
    return prefix.n <= s.n && edit_distance(bytes_of(s.p, prefix.n), prefix) == 0;
}

static void put_suggestions(const struct cli_command *root, const char *word, struct buf *errs)
{
    bool any = false;

    for (size_t i = 0; i < root->sub_count; i++) {
        struct bytes name = cli_command_name(root->subs[i]);

        if (root->subs[i]->hidden ||
            (edit_distance(bytes_str(word), name) > SUGGESTION_DISTANCE_MAX &&
             !starts_with_nocase(name, bytes_str(word))))
            continue;
        buf_printf(errs, "%s\t%.*s\n", any ? "" : "\n\nDid you mean this?\n", (int) name.n,
                   (const char *) name.p);
        any = true;
    }
}

static void unknown_command(struct cli_call *c, const char *word, struct buf *ret)
{
    struct bytes root = cli_command_name(c->program->root);

    buf_add_str(ret, "unknown command ");
    text_quote(ret, bytes_str(word));
    buf_printf(ret, " for \"%.*s\"", (int) root.n, (const char *) root.p);
    err_set(&c->err, ERR_INVALID, "%s", buf_cstr(ret));
    put_suggestions(c->program->root, word, ret);
}

/* ---- reports ---- */

enum cli_verdict cli__report(struct cli_call *c, const char *text, bool unknown_name,
                             struct buf *out, struct buf *errs, int *ret_status)
{
    enum cli_error_style style = c->program->error_style;
    struct bytes root = cli_command_name(c->program->root);

    *ret_status = c->program->usage_status == 0 ? 1 : c->program->usage_status;
    if (style == CLI_ERROR_SILENT)
        return CLI_DONE;
    if (style != CLI_ERROR_USAGE_ONLY)
        buf_printf(errs, "Error: %s\n", text);
    if (!unknown_name) {
        cli_usage(c, errs);
        buf_add_char(errs, '\n');
    } else if (style != CLI_ERROR_USAGE_ONLY) {
        buf_printf(errs, "Run '%.*s --help' for usage.\n", (int) root.n, (const char *) root.p);
    }
    if (style == CLI_ERROR_AGAIN_STDERR)
        buf_printf(errs, "Error: %s\n", text);
    if (style == CLI_ERROR_AGAIN_STDOUT)
        buf_printf(out, "%s\n", text);
    if (style == CLI_ERROR_AGAIN_NO_EOL)
        buf_add_str(errs, text);
    return CLI_DONE;
}

enum cli_verdict cli__report_unknown(struct cli_call *c, const char *word, struct buf *out,
                                     struct buf *errs, int *ret_status)
{
    enum cli_verdict v;
    struct buf text;

    buf_init(&text, CLI_PAGE_BYTES_MAX);
    unknown_command(c, word, &text);
    v = cli__report(c, buf_cstr(&text), true, out, errs, ret_status);
    buf_done(&text);
    return v;
}
