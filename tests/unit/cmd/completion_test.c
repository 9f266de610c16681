#include "lib/cm.h"

#include "cli/command_int.h"

#define LINE_WORDS_MAX 16

static int run(struct cli_call *c)
{
    (void) c;
    return 0;
}

static const char *const formats[] = {"json", "simple", NULL};
static const struct cli_flag root_flags[] = {
    {.name = "write-out",
     .shorthand = 'w',
     .help = "form",
     .values = formats,
     .type = CLI_STRING,
     .persistent = true},
    {.name = "secret", .help = "hidden", .hidden = true, .persistent = true},
};
static const struct cli_flag save_flags[] = {
    {.name = "path", .type = CLI_STRING, .help = "where to\nsecond line"},
    {.name = "force", .type = CLI_BOOL, .help = "even so"},
};
static const struct cli_command save = {
    .use = "save <name>", .brief = "Saves", CLI_FLAGS(save_flags), .run = run};
static const struct cli_command scrub = {
    .use = "scrub", .brief = "Hidden", .hidden = true, .run = run};
static const struct cli_command *const file_subs[] = {&save, &scrub};
static const struct cli_command file = {.use = "file", .brief = "Files", CLI_SUBS(file_subs)};
static const struct cli_command fill = {.use = "fill", .brief = "Fills", .run = run};
static const struct cli_command *const subs[] = {&file, &fill, &cli_completion_command,
                                                 &cli_help_command};
static const struct cli_command root = {.use = "tool", CLI_FLAGS(root_flags), CLI_SUBS(subs)};
static const struct cli_program program = {.root = &root};

/* Words parted by blanks; the last one is what is being typed, "_" an empty one. */
static void expect(const char *line, bool with_text, const char *want)
{
    const char *argv[LINE_WORDS_MAX];
    char copy[256], *p = copy;
    struct buf out;
    size_t n = 0;

    snprintf(copy, sizeof copy, "%s", line);
    while (p != NULL) {
        char *word = p;

        p = strchr(p, ' ');
        if (p != NULL)
            *p++ = 0;
        argv[n++] = strcmp(word, "_") == 0 ? "" : word;
    }
    buf_init(&out, 65536);
    cli__candidates(&program, n, argv, with_text, &out);
    assert_string_equal(buf_cstr(&out), want);
    buf_done(&out);
}

/* Commands that begin with what was typed, without hidden ones; behind a command that holds others,
 * those; files are none of them. */
static void offers_commands(void **state)
{
    (void) state;
    expect("_", true,
           "completion\tPrints a script that lets a shell complete command lines\n"
           "file\tFiles\nfill\tFills\nhelp\tHelp about any command\n:4\n");
    expect("fi", false, "file\nfill\n:4\n");
    expect("nosuch", false, ":4\n");
    expect("file _", true, "save\tSaves\n:4\n");
    expect("-w json file s", false, "save\n:4\n");
    expect("help fil", false, "file\nfill\n:4\n");
}

/* Words that a command chooses from; otherwise the shell may offer files. */
static void offers_words(void **state)
{
    (void) state;
    expect("completion _", false, "bash\nzsh\nfish\npowershell\n:4\n");
    expect("completion bash _", false, ":4\n");
    expect("file save _", false, ":0\n");
    expect("fill x", false, ":0\n");
}

/* Flags of the command and of those above it, their first line of help, and not the hidden ones. */
static void offers_flags(void **state)
{
    (void) state;
    expect("file save --", true,
           "--force\teven so\n--help\thelp for this command\n--path\twhere to\n"
           "--write-out\tform\n:4\n");
    expect("fill --w", false, "--write-out\n:4\n");
    expect("fill --s", false, ":4\n");
}

/* The values of a flag, however the line was parted; a flag without a list takes files. */
static void offers_values(void **state)
{
    (void) state;
    expect("fill -w _", false, "json\nsimple\n:0\n");
    expect("--write-out s", false, "simple\n:0\n");
    expect("--write-out=j", false, "json\n:0\n");
    expect("--write-out =", false, "json\nsimple\n:0\n");
    expect("--write-out = s", false, "simple\n:0\n");
    expect("file save --path _", false, ":0\n");
    expect("file save --force _", false, ":0\n");
    expect("--nosuch=x", false, ":0\n");
}

/* Every shell has its script, and each asks the program. */
static void has_scripts(void **state)
{
    static const char *const shells[] = {"bash", "zsh", "fish", "powershell"};

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(shells); i++)
        assert_non_null(strstr(cli__completion_script(shells[i]), "__complete"));
    assert_null(cli__completion_script("cmd.exe"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offers_commands), cmocka_unit_test(offers_words),
        cmocka_unit_test(offers_flags),    cmocka_unit_test(offers_values),
        cmocka_unit_test(has_scripts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
