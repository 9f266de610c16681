#include "lib/cm.h"

#include "cli/command.h"

static int run(struct cli_call *c)
{
    return (int) c->arg_count;
}

static const struct cli_flag get_flags[] = {
    {.name = "limit", .type = CLI_INT, .help = "most pairs"},
    {.name = "prefix", .type = CLI_BOOL, .help = "by prefix"},
    {.name = "order", .type = CLI_STRING, .help = "sort"},
    {.name = "max-txn-ops", .type = CLI_UINT, .def = "128", .help = "most"},
};
static const struct cli_command get_cmd = {
    .use = "get [options] <key>", .brief = "Gets", CLI_FLAGS(get_flags), .run = run};
static const struct cli_flag compaction_flags[] = {
    {.name = "physical",
     .type = CLI_BOOL,
     .help = "'true' to wait for compaction to physically remove all old revisions"},
};
static const struct cli_command del_cmd = {.use = "del", .brief = "Deletes", .run = run};
static const struct cli_command compaction_cmd = {.use = "compaction [options] <revision>",
                                                  .brief = "Compacts",
                                                  CLI_FLAGS(compaction_flags),
                                                  .run = run};
static const struct cli_command endpoint_cmd_x = {.use = "endpoint", .brief = "E", .run = run};
static const struct cli_command elect_cmd = {.use = "elect", .brief = "E", .run = run};
static const struct cli_command grant_cmd = {.use = "grant <ttl>", .brief = "Grants", .run = run};
static const struct cli_command *const lease_subs[] = {&grant_cmd};
static const struct cli_command lease_cmd = {
    .use = "lease", .brief = "Lease commands", CLI_SUBS(lease_subs)};
static const struct cli_flag move_flags[] = {
    {.name = "to", .type = CLI_STRING, .help = "where to", .required = true},
    {.name = "dry-run", .type = CLI_BOOL, .help = "only look"},
    {.name = "from", .type = CLI_STRING, .help = "where from", .required = true},
};
static const struct cli_command move_cmd = {
    .use = "move", .brief = "Moves", CLI_FLAGS(move_flags), .run = run};
static const char *const shells[] = {"bash", "zsh", NULL};
static const struct cli_command completion_cmd = {.use = "completion [bash|zsh]",
                                                  .brief = "Completes",
                                                  .run = run,
                                                  .args_min = 1,
                                                  .args_max = 1,
                                                  .args_valid = shells};
static const struct cli_command *const subs[] = {
    &get_cmd,        &del_cmd,   &compaction_cmd,   &endpoint_cmd_x, &elect_cmd,
    &completion_cmd, &lease_cmd, &cli_help_command, &move_cmd,
};
static const struct cli_flag root_flags[] = {
    {.name = "command-timeout",
     .type = CLI_DURATION,
     .def = "5s",
     .help = "t",
     .persistent = true,
     .hidden = true},
    {.name = "endpoints",
     .type = CLI_STRINGS,
     .def = "127.0.0.1:2379",
     .help = "e",
     .persistent = true,
     .hidden = true},
    {.name = "write-out",
     .shorthand = 'w',
     .type = CLI_STRING,
     .def = "simple",
     .help = "w",
     .persistent = true,
     .hidden = true},
};
static const struct cli_command root = {
    .use = "etcdctl", .brief = "A client.", CLI_FLAGS(root_flags), CLI_SUBS(subs)};
static const struct cli_program program = {.root = &root, .prefix_match = true};

struct parsed {
    struct cli_call call;
    struct buf out;
    struct buf errs;
    enum cli_verdict verdict;
    int status;
};

/* Splits the line at blanks and parses it. */
static void parse(struct parsed *p, const char *line)
{
    static char copy[1024];
    static const char *argv[64];
    size_t n = 0;

    buf_init(&p->out, 1 << 20);
    buf_init(&p->errs, 1 << 20);
    snprintf(copy, sizeof(copy), "%s", line);
    for (char *s = copy; *s != 0;) {
        argv[n++] = s;
        s += strcspn(s, " ");
        if (*s != 0)
            *s++ = 0;
    }
    argv[n] = NULL;
    p->verdict = cli_parse(&program, n, argv, &p->call, &p->out, &p->errs, &p->status);
}

static void parsed_done(struct parsed *p)
{
    cli_call_done(&p->call);
    buf_done(&p->out);
    buf_done(&p->errs);
}

/* What a line prints on stderr; it must not run. */
static void expect_error(const char *line, const char *want)
{
    struct parsed p;

    parse(&p, line);
    assert_int_equal(p.verdict, CLI_DONE);
    assert_int_equal(p.status, 1);
    assert_string_equal(buf_cstr(&p.errs), want);
    parsed_done(&p);
}

static void expect_first_line(const char *line, const char *want)
{
    struct parsed p;
    const char *text;

    parse(&p, line);
    text = buf_cstr(&p.errs);
    assert_int_equal(p.verdict, CLI_DONE);
    assert_int_equal(strncmp(text, want, strlen(want)), 0);
    assert_int_equal(text[strlen(want)], '\n');
    parsed_done(&p);
}

/* Flags stand before and behind the command and its arguments, in all spellings. */
static void reads_flags_anywhere(void **state)
{
    static const char *const lines[] = {
        "-w json get a --limit 3 b --prefix",
        "get --limit=0x3 -wjson a --prefix=true b",
        "-w=json --command-timeout 5s get a b --prefix --limit 3",
        "get a --write-out json --limit 9 --limit 3 b --prefix",
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct parsed p;

        parse(&p, lines[i]);
        assert_int_equal(p.verdict, CLI_RUN);
        assert_ptr_equal(cli_command(&p.call), &get_cmd);
        assert_string_equal(cli_string(&p.call, "write-out"), "json");
        assert_int_equal(cli_int(&p.call, "limit"), 3);
        assert_true(cli_bool(&p.call, "prefix"));
        assert_int_equal(p.call.arg_count, 2);
        assert_string_equal(p.call.args[1], "b");
        assert_int_equal(cli_int(&p.call, "command-timeout"), 5000000000);
        parsed_done(&p);
    }
}

/* A boolean takes no value from the next word; -- ends the flags. */
static void keeps_words_apart(void **state)
{
    struct parsed p;

    (void) state;
    parse(&p, "get --prefix true -- -v --limit");
    assert_int_equal(p.verdict, CLI_RUN);
    assert_int_equal(p.call.arg_count, 3);
    assert_string_equal(p.call.args[0], "true");
    assert_string_equal(p.call.args[1], "-v");
    assert_int_equal(p.call.dash_at, 1);
    assert_false(cli_changed(&p.call, "limit"));
    assert_int_equal(cli_uint(&p.call, "max-txn-ops"), 128);
    parsed_done(&p);
}

/* A list flag collects; the first value replaces the default; quoted fields keep their commas. */
static void collects_lists(void **state)
{
    const struct cli_value *v;
    struct parsed p;

    (void) state;
    parse(&p, "get --endpoints a:1,b:2 --endpoints \"c,d\",e a");
    v = cli_value(&p.call, "endpoints");
    assert_int_equal(v->list_count, 4);
    assert_string_equal(v->list[0], "a:1");
    assert_string_equal(v->list[1], "b:2");
    assert_string_equal(v->list[2], "c,d");
    assert_string_equal(v->list[3], "e");
    parsed_done(&p);
    parse(&p, "get --endpoints= a");
    assert_int_equal(cli_value(&p.call, "endpoints")->list_count, 0);
    parsed_done(&p);
    parse(&p, "get a");
    assert_string_equal(cli_value(&p.call, "endpoints")->list[0], "127.0.0.1:2379");
    parsed_done(&p);
}

/* Names may be shortened at every level as long as one command only begins so. */
static void shortens_names(void **state)
{
    struct parsed p;

    (void) state;
    parse(&p, "le gr 10");
    assert_int_equal(p.verdict, CLI_RUN);
    assert_ptr_equal(cli_command(&p.call), &grant_cmd);
    parsed_done(&p);
    parse(&p, "g a");
    assert_ptr_equal(cli_command(&p.call), &get_cmd);
    parsed_done(&p);
}

/* An unknown command is answered with suggestions in the order of registration. */
static void suggests_commands(void **state)
{
    (void) state;
    expect_error("foo", "Error: unknown command \"foo\" for \"etcdctl\"\n"
                        "Run 'etcdctl --help' for usage.\n");
    expect_error("comp 3", "Error: unknown command \"comp\" for \"etcdctl\"\n\nDid you mean this?\n"
                           "\tcompaction\n\tcompletion\n\nRun 'etcdctl --help' for usage.\n");
    expect_error("e", "Error: unknown command \"e\" for \"etcdctl\"\n\nDid you mean this?\n"
                      "\tget\n\tdel\n\tendpoint\n\telect\n\nRun 'etcdctl --help' for usage.\n");
    expect_error("gte a", "Error: unknown command \"gte\" for \"etcdctl\"\n\nDid you mean this?\n"
                          "\tget\n\nRun 'etcdctl --help' for usage.\n");
}

/* A bad flag is answered with the error and the usage of the command. */
static void explains_flag_errors(void **state)
{
    (void) state;
    expect_error("compaction -5",
                 "Error: unknown shorthand flag: '5' in -5\n"
                 "Usage:\n"
                 "  etcdctl compaction [options] <revision> [flags]\n"
                 "\n"
                 "Flags:\n"
                 "  -h, --help       help for compaction\n"
                 "      --physical   'true' to wait for compaction to physically remove all old "
                 "revisions\n"
                 "\n");
    expect_first_line("get --bogus", "Error: unknown flag: --bogus");
    expect_first_line("get a --limit", "Error: flag needs an argument: --limit");
    expect_first_line("get --limit=x", "Error: invalid argument \"x\" for \"--limit\" flag: "
                                       "strconv.ParseInt: parsing \"x\": invalid syntax");
    expect_first_line("get --prefix=yes", "Error: invalid argument \"yes\" for \"--prefix\" flag: "
                                          "strconv.ParseBool: parsing \"yes\": invalid syntax");
    expect_first_line("get --max-txn-ops=-1",
                      "Error: invalid argument \"-1\" for \"--max-txn-ops\" flag: "
                      "strconv.ParseUint: parsing \"-1\": invalid syntax");
    expect_first_line("get --command-timeout=5x",
                      "Error: invalid argument \"5x\" for \"--command-timeout\" flag: time: "
                      "unknown unit \"x\" in duration \"5x\"");
    expect_first_line("completion", "Error: accepts 1 arg(s), received 0");
    expect_first_line("completion foo",
                      "Error: invalid argument \"foo\" for \"etcdctl completion\"");
}

/* A line that lacks required flags names them in the order of their names; all there, it runs. */
static void asks_for_required_flags(void **state)
{
    struct parsed p;

    (void) state;
    expect_first_line("move", "Error: required flag(s) \"from\", \"to\" not set");
    expect_first_line("move --dry-run --to x", "Error: required flag(s) \"from\" not set");
    parse(&p, "move --to= --from y");
    assert_int_equal(p.verdict, CLI_RUN);
    parsed_done(&p);
    parse(&p, "move --help");
    assert_int_equal(p.status, 0);
    parsed_done(&p);
}

/* A parent without a known subcommand, -h, help and no command at all print help on stdout. */
static void prints_help(void **state)
{
    static const char *const lines[] = {"lease", "lease foo", "lease -h", "help lease",
                                        "lease --help"};
    struct parsed p;

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        parse(&p, lines[i]);
        assert_int_equal(p.verdict, CLI_DONE);
        assert_int_equal(p.status, 0);
        assert_string_equal(buf_cstr(&p.errs), "");
        assert_string_equal(
            buf_cstr(&p.out),
            "Lease commands\n\nUsage:\n  etcdctl lease [command]\n\nAvailable Commands:\n"
            "  grant       Grants\n\nFlags:\n  -h, --help   help for lease\n\n"
            "Use \"etcdctl lease [command] --help\" for more information about a command.\n");
        parsed_done(&p);
    }
    parse(&p, "-- get a");
    assert_int_equal(p.status, 0);
    assert_int_equal(strncmp(buf_cstr(&p.out), "A client.\n\nUsage:\n", 17), 0);
    parsed_done(&p);
}

/* An unknown help topic is named on stderr, without failing. */
static void knows_no_such_topic(void **state)
{
    static const char want[] = "Unknown help topic [`nosuch`]\nUsage:\n  etcdctl [command]\n";
    struct parsed p;

    (void) state;
    parse(&p, "help nosuch");
    assert_int_equal(p.verdict, CLI_DONE);
    assert_int_equal(p.status, 0);
    assert_int_equal(strncmp(buf_cstr(&p.errs), want, sizeof(want) - 1), 0);
    parsed_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_flags_anywhere),
        cmocka_unit_test(keeps_words_apart),
        cmocka_unit_test(collects_lists),
        cmocka_unit_test(shortens_names),
        cmocka_unit_test(suggests_commands),
        cmocka_unit_test(explains_flag_errors),
        cmocka_unit_test(prints_help),
        cmocka_unit_test(knows_no_such_topic),
        cmocka_unit_test(asks_for_required_flags),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
