/* benchmark -- loads a server and says how long its answers took. */
#include "benchmark/bench.h"

static const struct cli_command *const commands[] = {
    &put_command,       &stm_command,           &range_command,
    &txn_put_command,   &txn_mixed_command,     &watch_command,
    &watch_get_command, &watch_latency_command, &lease_keepalive_command,
    &mvcc_command,      &cli_help_command,
};

#define GLOBAL .persistent = true

static const struct cli_flag global_flags[] = {
    {.name = "auto-sync-interval",
     .type = CLI_DURATION,
     .def = "0s",
     GLOBAL,
     .help = "accepted for etcd's sake: the endpoints stay those given"},
    {.name = "cacert", .type = CLI_STRING, GLOBAL, .help = "CA bundle to check the server with"},
    {.name = "cert", .type = CLI_STRING, GLOBAL, .help = "our TLS certificate file"},
    {.name = "clients",
     .type = CLI_UINT,
     .def = "1",
     GLOBAL,
     .help = "requests that are under way at a time"},
    {.name = "conns",
     .type = CLI_UINT,
     .def = "1",
     GLOBAL,
     .help = "connections that they share, given to the endpoints in turn"},
    {.name = "dial-timeout",
     .type = CLI_DURATION,
     .def = "0s",
     GLOBAL,
     .help = "time for one attempt to connect (0: 2s)"},
    {.name = "endpoints",
     .type = CLI_STRINGS,
     .def = "127.0.0.1:2379",
     GLOBAL,
     .help = "gRPC endpoints"},
    {.name = "insecure-skip-tls-verify",
     .type = CLI_BOOL,
     GLOBAL,
     .help = "take any certificate of the server"},
    {.name = "key", .type = CLI_STRING, GLOBAL, .help = "our TLS key file"},
    {.name = "precise", .type = CLI_BOOL, GLOBAL, .help = "print numbers with all their digits"},
    {.name = "report-perfdash",
     .type = CLI_BOOL,
     GLOBAL,
     .help = "write the percentiles to a JSON file, too"},
    {.name = "sample", .type = CLI_BOOL, GLOBAL, .help = "add a table with a line per second"},
    {.name = "seed",
     .type = CLI_UINT,
     .def = "0",
     GLOBAL,
     .help = "what keys, values and choices are drawn from (0: different each time)"},
    {.name = "user",
     .type = CLI_STRING,
     GLOBAL,
     .help = "NAME:PASSWORD, or NAME to be asked for the password"},
};

int main(int argc, char **argv)
{
    static const struct cli_command root = {
        .use = "benchmark",
        .brief = "Loads an etcd server and measures its answers.",
        .about = "benchmark loads an etcd server and says how long its answers took.",
        CLI_FLAGS(global_flags),
        CLI_SUBS(commands),
    };
    static const struct cli_program program = {
        .root = &root,
        .error_style = CLI_ERROR_ONCE,
        .usage_status = 255,
    };

    return cli_main(&program, argc, argv);
}
