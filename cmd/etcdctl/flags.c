/* flags.c -- the flags that every command understands. */
#include "etcdctl/ctl.h"

#define GLOBAL .persistent = true, .hidden = true

static const char *const write_out_values[] = {"fields", "json",  "protobuf",
                                               "simple", "table", NULL};

const struct cli_flag global_flags[] = {
    {.name = "auth-jwt-token",
     .type = CLI_STRING,
     GLOBAL,
     .help = "JWT token used for authentication (if this option is used, --user and --password "
             "should not be set)"},
    {.name = "cacert",
     .type = CLI_STRING,
     GLOBAL,
     .help = "verify certificates of TLS-enabled secure servers using this CA bundle"},
    {.name = "cert",
     .type = CLI_STRING,
     GLOBAL,
     .help = "identify secure client using this TLS certificate file"},
    {.name = "command-timeout",
     .type = CLI_DURATION,
     .def = "5s",
     GLOBAL,
     .help = "timeout for short running command (excluding dial timeout)"},
    {.name = "debug", .type = CLI_BOOL, GLOBAL, .help = "enable client-side debug logging"},
    {.name = "dial-timeout",
     .type = CLI_DURATION,
     .def = "2s",
     GLOBAL,
     .help = "dial timeout for client connections"},
    {.name = "discovery-srv",
     .shorthand = 'd',
     .type = CLI_STRING,
     GLOBAL,
     .help = "domain name to query for SRV records describing cluster endpoints"},
    {.name = "discovery-srv-name",
     .type = CLI_STRING,
     GLOBAL,
     .help = "service name to query when using DNS discovery"},
    {.name = "endpoints",
     .type = CLI_STRINGS,
     .def = "127.0.0.1:2379",
     GLOBAL,
     .help = "gRPC endpoints"},
    {.name = "hex", .type = CLI_BOOL, GLOBAL, .help = "print byte strings as hex encoded strings"},
    {.name = "insecure-discovery",
     .type = CLI_BOOL,
     .def = "true",
     GLOBAL,
     .help = "accept insecure SRV records describing cluster endpoints"},
    {.name = "insecure-skip-tls-verify",
     .type = CLI_BOOL,
     GLOBAL,
     .help = "skip server certificate verification (CAUTION: this option should be enabled only "
             "for testing purposes)"},
    {.name = "insecure-transport",
     .type = CLI_BOOL,
     .def = "true",
     GLOBAL,
     .help = "disable transport security for client connections"},
    {.name = "keepalive-time",
     .type = CLI_DURATION,
     .def = "2s",
     GLOBAL,
     .help = "keepalive time for client connections"},
    {.name = "keepalive-timeout",
     .type = CLI_DURATION,
     .def = "6s",
     GLOBAL,
     .help = "keepalive timeout for client connections"},
    {.name = "key",
     .type = CLI_STRING,
     GLOBAL,
     .help = "identify secure client using this TLS key file"},
    {.name = "max-recv-bytes",
     .type = CLI_INT,
     GLOBAL,
     .help = "client-side response receive limit in bytes (if 0, it defaults to "
             "\"math.MaxInt32\")"},
    {.name = "max-request-bytes",
     .type = CLI_INT,
     GLOBAL,
     .help = "client-side request send limit in bytes (if 0, it defaults to 2.0 MiB (2 * 1024 * "
             "1024).)"},
    {.name = "password",
     .type = CLI_STRING,
     GLOBAL,
     .help = "password for authentication (if this option is used, --user option shouldn't "
             "include password)"},
    {.name = "user",
     .type = CLI_STRING,
     GLOBAL,
     .help = "username[:password] for authentication (prompt if password is not supplied)"},
    {.name = "write-out",
     .shorthand = 'w',
     .type = CLI_STRING,
     .def = "simple",
     .values = write_out_values,
     GLOBAL,
     .help = "set the output format (fields, json, protobuf, simple, table)"},
};
const size_t global_flag_count = ARRAY_LEN(global_flags);

static int options_run(struct cli_call *call)
{
    const struct cli_flag *flags[ARRAY_LEN(global_flags)];
    struct buf b;

    (void) call;
    for (size_t i = 0; i < ARRAY_LEN(global_flags); i++)
        flags[i] = &global_flags[i];
    buf_init(&b, CLI_PAGE_BYTES_MAX);
    buf_add_str(&b, "The following options can be passed to any command:\n\n");
    cli_flags_usage(flags, ARRAY_LEN(flags), true, &b);
    cli_write(stdout, &b);
    buf_done(&b);
    return CTL_OK;
}

const struct cli_command options_command = {
    .use = "options",
    .brief = "Lists the options that all commands understand",
    .group = GROUP_UTILITY,
    .run = options_run,
};
