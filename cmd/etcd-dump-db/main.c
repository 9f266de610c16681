/* etcd-dump-db -- shows what is in a data file, without a server. */
#include "etcd-dump-db/dump.h"

static const struct cli_command *const commands[] = {
    &list_bucket_command, &iterate_bucket_command, &hash_command,
    &scan_keys_command,   &cli_help_command,
};

static const struct cli_flag global_flags[] = {
    {.name = "timeout",
     .type = CLI_DURATION,
     .def = "10s",
     .help = "how long to wait for a file that another process has locked, 0 for ever",
     .persistent = true},
};

int main(int argc, char **argv)
{
    static const struct cli_command root = {
        .use = "etcd-dump-db",
        .brief = "Shows what is in the database file of a member that is not running",
        CLI_FLAGS(global_flags),
        CLI_SUBS(commands),
    };
    static const struct cli_program program = {
        .root = &root,
        .error_style = CLI_ERROR_AGAIN_STDOUT,
    };

    return cli_main(&program, argc, argv);
}
