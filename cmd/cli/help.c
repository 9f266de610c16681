/* help.c -- help pages, laid out as cobra lays them out, from the command tables. */
#include "cli/command.h"
#include "cli/command_int.h"

#define NAME_COLUMNS_MIN 11

const struct cli_command cli_help_command = {
    .use = "help [command]",
    .brief = "Help about any command",
    .about = "Prints the help page of the command whose name follows.",
    .group = "Utility commands",
};

static void put_path(const struct cli_call *c, size_t depth, struct buf *out)
{
    for (size_t i = 0; i < depth; i++) {
        struct bytes name = cli_command_name(c->path[i]);

        if (i > 0)
            buf_add_char(out, ' ');
        buf_add_bytes(out, name);
    }
}

void cli_command_path(const struct cli_call *c, struct buf *out)
{
    put_path(c, c->depth, out);
}

static bool has_visible_subs(const struct cli_command *cmd)
{
    for (size_t i = 0; i < cmd->sub_count; i++)
        if (!cmd->subs[i]->hidden)
            return true;
    return false;
}

static bool runnable(const struct cli_command *cmd)
{
    return cmd->run != NULL || cmd == &cli_help_command;
}

static void put_usage_lines(const struct cli_call *c, struct buf *out)
{
    const struct cli_command *cmd = cli_command(c);

    buf_add_str(out, "Usage:\n");
    if (runnable(cmd)) {
        buf_add_str(out, "  ");
        put_path(c, c->depth - 1, out);
        buf_printf(out, "%s%s%s\n", c->depth > 1 ? " " : "", cmd->use,
                   cmd->args_valid == NULL ? " [flags]" : "");
    }
    if (has_visible_subs(cmd)) {
        buf_add_str(out, "  ");
        cli_command_path(c, out);
        buf_add_str(out, " [command]\n");
    }
}

/* ---- the list of subcommands ---- */

static int by_name(const void *a, const void *b)
{
    const struct cli_command *const *x = a;
    const struct cli_command *const *y = b;

    return bytes_cmp(cli_command_name(*x), cli_command_name(*y));
}

size_t cli__sorted_subs(const struct cli_command *cmd, const struct cli_command *ret[CLI_SUBS_MAX])
{
    size_t n = 0;

    ASSERT(cmd->sub_count <= CLI_SUBS_MAX);
    for (size_t i = 0; i < cmd->sub_count; i++)
        if (!cmd->subs[i]->hidden)
            ret[n++] = cmd->subs[i];
    qsort(ret, n, sizeof(ret[0]), by_name);
    return n;
}

static bool in_group(const struct cli_command *s, const char *group)
{
    return group == NULL || (s->group != NULL && strcmp(s->group, group) == 0);
}

static void put_group(const struct cli_command *const *subs, size_t n, const char *group,
                      struct buf *out)
{
    size_t width = NAME_COLUMNS_MIN;

    for (size_t i = 0; i < n; i++)
        width = MAX(width, cli_command_name(subs[i]).n);
    buf_printf(out, "\n%s\n", group == NULL ? "Available Commands:" : group);
    for (size_t i = 0; i < n; i++) {
        struct bytes name = cli_command_name(subs[i]);

        if (in_group(subs[i], group))
            buf_printf(out, "  %.*s%*s %s\n", (int) name.n, (const char *) name.p,
                       (int) (width - name.n), "", subs[i]->brief);
    }
}

static void put_subs(const struct cli_call *c, struct buf *out)
{
    const struct cli_command *subs[CLI_SUBS_MAX];
    size_t n = cli__sorted_subs(cli_command(c), subs);

    if (n == 0)
        return;
    if (c->program->groups == NULL || c->depth > 1) {
        put_group(subs, n, NULL, out);
        return;
    }
    for (const char *const *group = c->program->groups; *group != NULL; group++)
        put_group(subs, n, *group, out);
}

/* ---- pages ---- */

/* Flags of the values [from, to) under a heading, when any of them is visible.  The text of --help
 * names the command, so it is made here. */
static void put_flags(const struct cli_call *c, size_t from, size_t to, const char *heading,
                      struct buf *out)
{
    const struct cli_flag *flags[CLI_FLAGS_MAX];
    struct cli_flag help_here;
    struct buf text;
    size_t n = 0;

    buf_init(&text, 1024);
    buf_add_str(&text, "help for ");
    buf_add_bytes(&text, cli_command_name(cli_command(c)));
    for (size_t i = from; i < to; i++) {
        const struct cli_flag *f = c->values[i].flag;
        bool help = f->help == NULL;

        if (f->hidden || (help && c->depth == 1 && c->program->groups != NULL))
            continue;
        if (help) {
            help_here = *f;
            help_here.help = buf_cstr(&text);
            f = &help_here;
        }
        flags[n++] = f;
    }
    if (n > 0) {
        buf_printf(out, "\n%s\n", heading);
        cli_flags_usage(flags, n, false, out);
    }
    buf_done(&text);
}

void cli_usage(const struct cli_call *c, struct buf *out)
{
    const struct cli_command *cmd = cli_command(c);

    put_usage_lines(c, out);
    if (cmd->example != NULL)
        buf_printf(out, "\nExamples:\n%s\n", cmd->example);
    put_subs(c, out);
    put_flags(c, 0, c->own_count, "Flags:", out);
    put_flags(c, c->own_count, c->value_count, "Global Flags:", out);
    if (has_visible_subs(cmd)) {
        buf_add_str(out, "\nUse \"");
        cli_command_path(c, out);
        buf_add_str(out, " [command] --help\" for more information about a command.\n");
    }
}

void cli_help_page(const struct cli_call *c, struct buf *out)
{
    const struct cli_command *cmd = cli_command(c);
    const char *about = cmd->about != NULL ? cmd->about : cmd->brief;

    if (about != NULL && about[0] != 0)
        buf_printf(out, "%s\n\n", about);
    cli_usage(c, out);
    if (c->program->hint != NULL)
        buf_printf(out, "%s\n", c->program->hint);
}
