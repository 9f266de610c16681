/* command.c -- finding the command that a line names, and its flags.
 *
 * Two passes over the words, as cobra makes them.  The first looks for command names: a word is one
 * when it is no flag and not the value of a flag; what a word in flag's clothing takes for its
 * value is judged by the flags known so far.  The second reads the flags with all that the command
 * found has, own and inherited.
 */
#include "cli/command.h"

#include "base/alloc.h"
#include "cli/command_int.h"
#include "cli/text.h"

static const struct cli_flag help_flag = {
    .name = "help", .shorthand = 'h', .type = CLI_BOOL, .help = NULL};

struct bytes cli_command_name(const struct cli_command *cmd)
{
    return bytes_of(cmd->use, strcspn(cmd->use, " "));
}

static bool name_is(const struct cli_command *cmd, const char *word)
{
    return bytes_eq(cli_command_name(cmd), bytes_str(word));
}

/* ---- flags of the command found so far ---- */

static void add_value(struct cli_call *c, const struct cli_flag *f)
{
    ASSERT(c->value_count < CLI_FLAGS_MAX);
    cli_value_init(&c->values[c->value_count++], f, &c->arena);
}

/* Own flags and --help first, then the persistent ones of the commands above, nearest first. */
static void collect_flags(struct cli_call *c)
{
    const struct cli_command *cmd = cli_command(c);

    c->value_count = 0;
    for (size_t i = 0; i < cmd->flag_count; i++)
        add_value(c, &cmd->flags[i]);
    add_value(c, &help_flag);
    c->own_count = c->value_count;
    for (size_t d = c->depth - 1; d-- > 0;)
        for (size_t i = 0; i < c->path[d]->flag_count; i++)
            if (c->path[d]->flags[i].persistent)
                add_value(c, &c->path[d]->flags[i]);
}

/* Indexes into c->values; value_count when the flag is unknown. */
size_t cli__find(const struct cli_call *c, struct bytes name)
{
    size_t i = 0;

    while (i < c->value_count && !bytes_eq(name, bytes_str(c->values[i].flag->name)))
        i++;
    return i;
}

static size_t find_short(const struct cli_call *c, char letter)
{
    size_t i = 0;

    while (i < c->value_count && (letter == 0 || c->values[i].flag->shorthand != letter))
        i++;
    return i;
}

/* Does this word, taken for a flag, swallow the next one?  An unknown flag is thought to. */
bool cli__takes_next(const struct cli_call *c, const char *word)
{
    size_t at;

    if (strchr(word, '=') != NULL)
        return false;
    if (strncmp(word, "--", 2) == 0)
        at = cli__find(c, bytes_str(word + 2));
    else if (word[0] == '-' && strlen(word) == 2)
        at = find_short(c, word[1]);
    else
        return false;
    return at == c->value_count || c->values[at].flag->type != CLI_BOOL;
}

/* ---- first pass: names ---- */

/* Index of the first word that is neither a flag nor the value of one; argc when there is none. */
static size_t first_word(const struct cli_call *c, size_t argc, const char *const *argv)
{
    for (size_t i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0)
            return argc;
        if (cli__takes_next(c, argv[i]))
            i++;
        else if (argv[i][0] != '-' && argv[i][0] != 0)
            return i;
    }
    return argc;
}

static const struct cli_command *find_sub(const struct cli_program *p,
                                          const struct cli_command *parent, const char *word)
{
    const struct cli_command *found = NULL;
    size_t matches = 0;

    for (size_t i = 0; i < parent->sub_count; i++) {
        const struct cli_command *s = parent->subs[i];

        if (name_is(s, word))
            return s;
        if (p->prefix_match && strncmp(s->use, word, strlen(word)) == 0) {
            found = s;
            matches++;
        }
    }
    return matches == 1 ? found : NULL;
}

/* Goes down the tree; what is left of the words is kept in argv[0..*argc). */
void cli__find_command(struct cli_call *c, size_t *argc, const char **argv)
{
    c->path[0] = c->program->root;
    c->depth = 1;
    collect_flags(c);
    for (;;) {
        size_t at = first_word(c, *argc, argv);
        const struct cli_command *sub;

        if (at == *argc)
            return;
        sub = find_sub(c->program, cli_command(c), argv[at]);
        if (sub == NULL)
            return;
        ASSERT(c->depth < CLI_DEPTH_MAX);
        c->path[c->depth++] = sub;
        collect_flags(c);
        memmove(argv + at, argv + at + 1, (*argc - at - 1) * sizeof(*argv));
        (*argc)--;
    }
}

/* ---- second pass: flags ---- */

static int set_flag(struct cli_call *c, struct cli_value *v, const char *text)
{
    struct err why = ERR_INIT;
    struct buf quoted;
    int rc = cli_value_set(v, text, &c->arena, &why);

    if (rc == 0)
        return 0;
    buf_init(&quoted, CLI_PAGE_BYTES_MAX);
    text_quote(&quoted, bytes_str(text));
    if (v->flag->shorthand != 0)
        err_set(&c->err, rc, "invalid argument %s for \"-%c, --%s\" flag: %s", buf_cstr(&quoted),
                v->flag->shorthand, v->flag->name, why.msg);
    else
        err_set(&c->err, rc, "invalid argument %s for \"--%s\" flag: %s", buf_cstr(&quoted),
                v->flag->name, why.msg);
    buf_done(&quoted);
    return rc;
}

/* "--name", "--name=value" or "--name value"; *used counts the words. */
static int read_long(struct cli_call *c, const char *word, const char *next, size_t *used)
{
    const char *name = word + 2;
    size_t len = strcspn(name, "=");
    size_t at = cli__find(c, bytes_of(name, len));
    struct cli_value *v = &c->values[at];

    if (name[0] == '-' || name[0] == '=')
        return err_set(&c->err, ERR_INVALID, "bad flag syntax: %s", word);
    if (at == c->value_count)
        return err_set(&c->err, ERR_INVALID, "unknown flag: --%.*s", (int) len, name);
    if (name[len] == '=')
        return set_flag(c, v, name + len + 1);
    if (v->flag->type == CLI_BOOL)
        return set_flag(c, v, "true");
    if (next == NULL)
        return err_set(&c->err, ERR_INVALID, "flag needs an argument: %s", word);
    (*used)++;
    return set_flag(c, v, next);
}

/* "-w", "-wvalue", "-w=value", "-w value", and several booleans in one word. */
static int read_short(struct cli_call *c, const char *word, const char *next, size_t *used)
{
    for (const char *p = word + 1; *p != 0; p++) {
        size_t at = find_short(c, *p);
        struct cli_value *v = &c->values[at];
        int rc;

        if (at == c->value_count)
            return err_set(&c->err, ERR_INVALID, "unknown shorthand flag: '%c' in -%s", *p, p);
        if (p[1] == '=' && p[2] != 0)
            return set_flag(c, v, p + 2);
        if (v->flag->type == CLI_BOOL) {
            rc = set_flag(c, v, "true");
            if (rc != 0)
                return rc;
            continue;
        }
        if (p[1] != 0)
            return set_flag(c, v, p + 1);
        if (next == NULL)
            return err_set(&c->err, ERR_INVALID, "flag needs an argument: '%c' in -%s", *p, p);
        (*used)++;
        return set_flag(c, v, next);
    }
    return 0;
}

static int read_flags(struct cli_call *c, size_t argc, const char **argv)
{
    c->args = arena_calloc(&c->arena, argc + 1, sizeof(*c->args));
    if (c->args == NULL)
        return err_set(&c->err, ERR_NOMEM, "too many arguments");
    for (size_t i = 0; i < argc;) {
        const char *word = argv[i];
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;
        size_t used = 1;
        int rc = 0;

        if (word[0] != '-' || word[1] == 0) {
            c->args[c->arg_count++] = word;
        } else if (strcmp(word, "--") == 0) {
            c->dash_at = (int) c->arg_count;
            for (i++; i < argc; i++)
                c->args[c->arg_count++] = argv[i];
            return 0;
        } else if (word[1] == '-') {
            rc = read_long(c, word, next, &used);
        } else {
            rc = read_short(c, word, next, &used);
        }
        if (rc != 0)
            return rc;
        i += used;
    }
    return 0;
}

/* ---- the whole line ---- */

/* The number of words, and whether they are among those that the command knows. */
static int check_args(struct cli_call *c)
{
    const struct cli_command *cmd = cli_command(c);
    const char *const *valid = cmd->args_valid;

    if (cmd->args_max == 0 && cmd->args_min == 0)
        return 0;
    if (c->arg_count < cmd->args_min || c->arg_count > cmd->args_max)
        return err_set(&c->err, ERR_INVALID, "accepts %zu arg(s), received %zu", cmd->args_max,
                       c->arg_count);
    if (valid == NULL || c->arg_count == 0)
        return 0;
    for (; *valid != NULL; valid++)
        if (strcmp(*valid, c->args[0]) == 0)
            return 0;
    struct buf text;
    buf_init(&text, CLI_PAGE_BYTES_MAX);
    text_quote(&text, bytes_str(c->args[0]));
    buf_add_str(&text, " for \"");
    cli_command_path(c, &text);
    err_set(&c->err, ERR_INVALID, "invalid argument %s\"", buf_cstr(&text));
    buf_done(&text);
    return ERR_INVALID;
}

/* The required flags that are missing, in the order of their names. */
static int check_required(struct cli_call *c)
{
    const char *missing[CLI_FLAGS_MAX + 1];
    size_t n = 0;
    struct buf text;

    for (size_t i = 0; i < c->value_count; i++) {
        size_t at = n;

        if (!c->values[i].flag->required || c->values[i].changed)
            continue;
        for (; at > 0 && strcmp(missing[at - 1], c->values[i].flag->name) > 0; at--)
            missing[at] = missing[at - 1];
        missing[at] = c->values[i].flag->name;
        n++;
    }
    if (n == 0)
        return 0;
    buf_init(&text, CLI_PAGE_BYTES_MAX);
    for (size_t i = 0; i < n; i++)
        buf_printf(&text, "%s\"%s\"", i == 0 ? "" : ", ", missing[i]);
    err_set(&c->err, ERR_INVALID, "required flag(s) %s not set", buf_cstr(&text));
    buf_done(&text);
    return ERR_INVALID;
}

/* `help foo bar`: the page of that command, or a word about the unknown topic. */
static enum cli_verdict help_topic(struct cli_call *c, struct buf *out, struct buf *errs)
{
    const char **words = c->args;
    size_t count = c->arg_count;
    size_t left = count;
    struct cli_call *topic = xmem_calloc(1, sizeof(*topic));
    const char **copy = arena_dup(&c->arena, words, count * sizeof(*words));

    topic->program = c->program;
    arena_init(&topic->arena, CLI_CALL_BYTES_MAX);
    cli__find_command(topic, &left, copy == NULL ? words : copy);
    if (topic->depth == 1 && left > 0) {
        buf_add_str(errs, "Unknown help topic [");
        for (size_t i = 0; i < count; i++)
            buf_printf(errs, "%s`%s`", i == 0 ? "" : " ", words[i]);
        buf_add_str(errs, "]\n");
        cli_usage(topic, errs);
    } else {
        cli_help_page(topic, out);
    }
    cli_call_done(topic);
    mem_free(topic);
    return CLI_DONE;
}

enum cli_verdict cli_parse(const struct cli_program *p, size_t argc, const char *const *argv,
                           struct cli_call *c, struct buf *out, struct buf *errs, int *ret_status)
{
    const char **words;
    size_t at;

    *c = (struct cli_call){.program = p, .dash_at = -1};
    *ret_status = 0;
    arena_init(&c->arena, CLI_CALL_BYTES_MAX);
    words = arena_dup(&c->arena, argv, (argc + 1) * sizeof(*argv));
    if (words == NULL) {
        c->path[c->depth++] = p->root;
        err_set(&c->err, ERR_LIMIT, "command line too long");
        return cli__report(c, c->err.msg, true, out, errs, ret_status);
    }
    cli__find_command(c, &argc, words);
    at = c->depth == 1 ? first_word(c, argc, words) : argc;
    if (at < argc && p->root->sub_count > 0)
        return cli__report_unknown(c, words[at], out, errs, ret_status);
    if (read_flags(c, argc, words) != 0)
        return cli__report(c, c->err.msg, false, out, errs, ret_status);
    if (cli_bool(c, "help") ||
        (cli_command(c)->run == NULL && cli_command(c) != &cli_help_command)) {
        cli_help_page(c, out);
        return CLI_DONE;
    }
    if (cli_command(c) == &cli_help_command)
        return help_topic(c, out, errs);
    if (check_args(c) != 0 || check_required(c) != 0)
        return cli__report(c, c->err.msg, false, out, errs, ret_status);
    return CLI_RUN;
}

void cli_call_done(struct cli_call *c)
{
    arena_done(&c->arena);
}

int cli_main(const struct cli_program *p, int argc, char **argv)
{
    struct cli_call *c = xmem_calloc(1, sizeof(*c));
    struct buf out;
    struct buf errs;
    int status;
    enum cli_verdict v;

    if (cli__complete(p, argc, argv, &status)) {
        mem_free(c);
        return status;
    }
    buf_init(&out, CLI_PAGE_BYTES_MAX);
    buf_init(&errs, CLI_PAGE_BYTES_MAX);
    v = cli_parse(p, argc > 0 ? (size_t) argc - 1 : 0, (const char *const *) (argv + 1), c, &out,
                  &errs, &status);
    cli_write(stdout, &out);
    cli_write(stderr, &errs);
    if (v == CLI_RUN)
        status = cli_command(c)->run(c);
    buf_done(&out);
    buf_done(&errs);
    cli_call_done(c);
    mem_free(c);
    return status;
}
