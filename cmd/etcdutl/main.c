/* etcdutl -- looks after the files of a member that is not running. */
#include "etcdutl/utl.h"

struct log *utl_log;

static const struct cli_command *const commands[] = {
    &defrag_command,  &snapshot_command,       &hashkv_command,   &version_command,
    &migrate_command, &cli_completion_command, &cli_help_command,
};

static const char *const formats[] = {"fields", "json", "protobuf", "simple", "table", NULL};

static const struct cli_flag global_flags[] = {
    {.name = "timeout",
     .type = CLI_DURATION,
     .def = "10s",
     .help = "how long to wait for a database file that another process has locked, 0 for ever",
     .persistent = true},
    {.name = "write-out",
     .shorthand = 'w',
     .type = CLI_STRING,
     .def = "simple",
     .help = "the form of the output: fields, json, protobuf, simple or table",
     .values = formats,
     .persistent = true},
};

static void open_log(void)
{
    struct log_options o = {
        .level = LOG_LEVEL_INFO, .format = LOG_FORMAT_CONSOLE, .clock = clock_posix()};
    struct err e = ERR_INIT;

    if (log_open(&o, &utl_log, &e) != 0)
        utl_log = NULL; /* the lines only inform */
}

int main(int argc, char **argv)
{
    static const struct cli_command root = {
        .use = "etcdutl",
        .brief = "Looks after the files of a member that is not running.",
        .about = "",
        CLI_FLAGS(global_flags),
        CLI_SUBS(commands),
    };
    static const struct cli_program program = {
        .root = &root,
        .error_style = CLI_ERROR_AGAIN_STDERR,
        .prefix_match = true,
    };
    int status;

    open_log();
    status = cli_main(&program, argc, argv);
    log_close(utl_log);
    return status;
}
