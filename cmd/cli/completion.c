/* completion.c -- what may stand in place of the last word of a line, for the shells.
 *
 * The answer is cobra's: one candidate a line, NAME or NAME<TAB>DESCRIPTION, then ":N", where bit 2
 * of N says that files are none of the candidates. */
#include "cli/command_int.h"

#include "base/alloc.h"

#define COMPLETE "__complete"
#define COMPLETE_NAMES "__completeNoDesc"
#define FILES 0    /* the shell may offer files when there is nothing else */
#define NO_FILES 4 /* it may not */

struct completing {
    const struct cli_call *call;
    const char *word; /* what has been typed of it */
    bool with_text;
    struct buf *out;
};

static void offer(const struct completing *x, struct bytes name, const char *text)
{
    struct bytes line = BYTES_EMPTY;

    if (text != NULL)
        line = bytes_of(text, strcspn(text, "\n")); /* one line each */
    buf_add_bytes(x->out, name);
    if (x->with_text && line.n > 0) {
        buf_add_char(x->out, '\t');
        buf_add_bytes(x->out, line);
    }
    buf_add_char(x->out, '\n');
}

static bool begins(struct bytes name, const char *word)
{
    size_t n = strlen(word);

    return name.n >= n && memcmp(name.p, word, n) == 0;
}

/* ---- flags ---- */

static const struct cli_flag *flag_of(const struct cli_call *c, struct bytes name)
{
    for (size_t i = 0; i < c->value_count; i++) {
        const struct cli_flag *f = c->values[i].flag;

        if (bytes_eq(bytes_str(f->name), name) ||
            (name.n == 1 && f->shorthand != 0 && f->shorthand == (char) name.p[0]))
            return f;
    }
    return NULL;
}

/* The flag that a word such as "--name", "--name=" or "-n" names; NULL: none. */
static const struct cli_flag *flag_named(const struct cli_call *c, const char *word)
{
    const char *name = word + (strncmp(word, "--", 2) == 0 ? 2 : 1);

    if (word[0] != '-' || *name == 0)
        return NULL;
    if (name == word + 1 && name[1] != 0 && name[1] != '=')
        return NULL;
    return flag_of(c, bytes_of(name, strcspn(name, "=")));
}

static int offer_values(const struct completing *x, const struct cli_flag *f, const char *word)
{
    if (f == NULL || f->values == NULL)
        return FILES;
    for (const char *const *v = f->values; *v != NULL; v++) {
        if (begins(bytes_str(*v), word))
            offer(x, bytes_str(*v), NULL);
    }
    return FILES;
}

static int by_name(const void *a, const void *b)
{
    const struct cli_flag *const *x = a;
    const struct cli_flag *const *y = b;

    return strcmp((*x)->name, (*y)->name);
}

static int offer_flags(const struct completing *x)
{
    const struct cli_call *c = x->call;
    const struct cli_flag *flags[CLI_FLAGS_MAX];

    for (size_t i = 0; i < c->value_count; i++)
        flags[i] = c->values[i].flag;
    qsort(flags, c->value_count, sizeof(flags[0]), by_name);
    for (size_t i = 0; i < c->value_count; i++) {
        const struct cli_flag *f = flags[i];
        char name[128];

        snprintf(name, sizeof name, "--%s", f->name);
        if (!f->hidden && begins(bytes_str(name), x->word))
            offer(x, bytes_str(name), f->help != NULL ? f->help : "help for this command");
    }
    return NO_FILES;
}

/* ---- words ---- */

static int offer_commands(const struct completing *x, const struct cli_command *parent)
{
    const struct cli_command *subs[CLI_SUBS_MAX];
    size_t n = cli__sorted_subs(parent, subs);

    for (size_t i = 0; i < n; i++)
        if (begins(cli_command_name(subs[i]), x->word))
            offer(x, cli_command_name(subs[i]), subs[i]->brief);
    return NO_FILES;
}

static int offer_words(const struct completing *x, size_t words)
{
    const struct cli_command *cmd = cli_command(x->call);

    if (cmd == &cli_help_command)
        return offer_commands(x, x->call->program->root);
    if (cmd->sub_count > 0)
        return words == 0 ? offer_commands(x, cmd) : NO_FILES;
    if (cmd->args_valid == NULL)
        return FILES;
    for (const char *const *v = cmd->args_valid; *v != NULL && words == 0; v++) {
        if (begins(bytes_str(*v), x->word))
            offer(x, bytes_str(*v), NULL);
    }
    return NO_FILES;
}

/* Words that are no flags and no values of flags, among those that follow the command. */
static size_t count_words(const struct cli_call *c, size_t argc, const char *const *argv)
{
    size_t n = 0;

    for (size_t i = 0; i < argc; i++) {
        if (argv[i][0] != '-')
            n++;
        else if (cli__takes_next(c, argv[i]))
            i++;
    }
    return n;
}

/* A shell that parts words at '=' gives "--flag", "=", "val". */
static int candidates(struct completing *x, size_t argc, const char *const *argv)
{
    const char *last = argc > 0 ? argv[argc - 1] : "";
    const char *before = argc > 1 ? argv[argc - 2] : "";
    const char *equal = strchr(x->word, '=');

    if (strcmp(last, "=") == 0)
        return offer_values(x, flag_named(x->call, before), x->word);
    if (strcmp(x->word, "=") == 0)
        return offer_values(x, flag_named(x->call, last), "");
    if (x->word[0] == '-' && equal != NULL)
        return offer_values(x, flag_named(x->call, x->word), equal + 1);
    if (last[0] == '-' && cli__takes_next(x->call, last))
        return offer_values(x, flag_named(x->call, last), x->word);
    if (x->word[0] == '-')
        return offer_flags(x);
    return offer_words(x, count_words(x->call, argc, argv));
}

void cli__candidates(const struct cli_program *p, size_t argc, const char *const *argv,
                     bool with_text, struct buf *out)
{
    struct cli_call *c = xmem_calloc(1, sizeof *c);
    struct completing x = {.call = c, .word = argc > 0 ? argv[argc - 1] : "", .out = out};
    size_t n = argc > 0 ? argc - 1 : 0;
    const char **words;

    x.with_text = with_text;
    c->program = p;
    arena_init(&c->arena, CLI_CALL_BYTES_MAX);
    words = arena_dup(&c->arena, argv, (argc + 1) * sizeof *argv);
    if (words != NULL) {
        cli__find_command(c, &n, words);
        buf_printf(out, ":%d\n", candidates(&x, n, words));
    }
    cli_call_done(c);
    mem_free(c);
}

/* ---- the commands ---- */

static bool has_completion(const struct cli_program *p)
{
    for (size_t i = 0; i < p->root->sub_count; i++) {
        if (p->root->subs[i] == &cli_completion_command)
            return true;
    }
    return false;
}

bool cli__complete(const struct cli_program *p, int argc, char **argv, int *ret_status)
{
    bool with_text;
    struct buf out, errs;

    if (argc < 2 || !has_completion(p))
        return false;
    with_text = strcmp(argv[1], COMPLETE) == 0;
    if (!with_text && strcmp(argv[1], COMPLETE_NAMES) != 0)
        return false;
    buf_init(&out, CLI_PAGE_BYTES_MAX);
    buf_init(&errs, CLI_PAGE_BYTES_MAX);
    cli__candidates(p, (size_t) argc - 2, (const char *const *) (argv + 2), with_text, &out);
    buf_add_str(&errs, "Completion ended with directive: ShellCompDirective");
    buf_add_str(&errs,
                out.len > 0 && out.p[out.len - 2] == '0' + NO_FILES ? "NoFileComp\n" : "Default\n");
    cli_write(stdout, &out);
    cli_write(stderr, &errs);
    buf_done(&out);
    buf_done(&errs);
    *ret_status = 0;
    return true;
}

static int completion_run(struct cli_call *c)
{
    struct bytes name = cli_command_name(c->program->root);
    const char *s = cli__completion_script(c->args[0]), *at;
    struct buf out;

    ASSERT(s != NULL); /* args_valid */
    buf_init(&out, CLI_PAGE_BYTES_MAX);
    for (; (at = strstr(s, "PROGRAM")) != NULL; s = at + sizeof "PROGRAM" - 1) {
        buf_add(&out, s, (size_t) (at - s));
        buf_add_bytes(&out, name);
    }
    buf_add_str(&out, s);
    cli_write(stdout, &out);
    buf_done(&out);
    return 0;
}

static const char *const shells[] = {"bash", "zsh", "fish", "powershell", NULL};

const struct cli_command cli_completion_command = {
    .use = "completion [bash|zsh|fish|powershell]",
    .brief = "Prints a script that lets a shell complete command lines",
    .about = "",
    .group = "Utility commands",
    .args_min = 1,
    .args_max = 1,
    .args_valid = shells,
    .run = completion_run,
};
