/* grpc_proxy_flags.c -- the flags of `etcd grpc-proxy start`, and their rules. */
#include "etcd/grpc_proxy_int.h"

/* clang-format off */
const struct cli_flag grpc_proxy_flags[] = {
    {.name = "listen-addr", .type = CLI_STRING, .def = "127.0.0.1:23790", .help = "where clients connect"},
    {.name = "discovery-srv", .type = CLI_STRING, .help = "domain whose SRV records name the members"},
    {.name = "discovery-srv-name", .type = CLI_STRING, .help = "suffix of the service in those records"},
    {.name = "metrics-addr", .type = CLI_STRING, .help = "URL of a further listener for /metrics and /health"},
    {.name = "insecure-discovery", .type = CLI_BOOL, .help = "take members from DNS that do not use TLS"},
    {.name = "endpoints", .type = CLI_STRINGS, .def = "127.0.0.1:2379", .help = "the members"},
    {.name = "endpoints-auto-sync-interval", .type = CLI_DURATION, .help = "how often the cluster is asked for its members (0: never)"},
    {.name = "dial-keepalive-time", .type = CLI_DURATION, .help = "ping a member that was silent so long (0: never)"},
    {.name = "dial-keepalive-timeout", .type = CLI_DURATION, .def = "20s", .help = "give up a member whose answer to a ping takes longer"},
    {.name = "permit-without-stream", .type = CLI_BOOL, .help = "ping members without open calls, too"},
    {.name = "advertise-client-url", .type = CLI_STRING, .def = "127.0.0.1:23790", .help = "address to register, and to watch the own health at"},
    {.name = "resolver-prefix", .type = CLI_STRING, .help = "key prefix under which the proxies of a cluster register"},
    {.name = "resolver-ttl", .type = CLI_INT, .help = "seconds that a registration outlives its proxy"},
    {.name = "namespace", .type = CLI_STRING, .help = "put before every key of every request"},
    {.name = "enable-pprof", .type = CLI_BOOL, .help = "accepted; there is no Go runtime to profile"},
    {.name = "data-dir", .type = CLI_STRING, .def = "default.proxy", .help = "where generated certificates are kept"},
    {.name = "max-send-bytes", .type = CLI_INT, .def = "1572864", .help = "largest message to a member"},
    {.name = "max-recv-bytes", .type = CLI_INT, .def = "2147483647", .help = "largest message from a member"},
    {.name = "grpc-keepalive-min-time", .type = CLI_DURATION, .def = "5s", .help = "clients that ping more often are cut off"},
    {.name = "grpc-keepalive-interval", .type = CLI_DURATION, .def = "2h0m0s", .help = "ping a client that was silent so long"},
    {.name = "grpc-keepalive-timeout", .type = CLI_DURATION, .def = "20s", .help = "give up a client whose answer to a ping takes longer"},
    {.name = "cert", .type = CLI_STRING, .help = "certificate to show to members"},
    {.name = "key", .type = CLI_STRING, .help = "its key"},
    {.name = "cacert", .type = CLI_STRING, .help = "CAs of the members"},
    {.name = "insecure-skip-tls-verify", .type = CLI_BOOL, .help = "take any certificate of a member (CAUTION: for tests only)"},
    {.name = "cert-file", .type = CLI_STRING, .help = "certificate to show to clients"},
    {.name = "key-file", .type = CLI_STRING, .help = "its key"},
    {.name = "trusted-ca-file", .type = CLI_STRING, .help = "CAs of the clients"},
    {.name = "listen-cipher-suites", .type = CLI_STRINGS, .help = "cipher suites for clients (none: chosen by the library)"},
    {.name = "auto-tls", .type = CLI_BOOL, .help = "make a certificate for clients"},
    {.name = "client-crl-file", .type = CLI_STRING, .help = "revoked certificates of clients"},
    {.name = "self-signed-cert-validity", .type = CLI_UINT, .def = "1", .help = "years that a made certificate is valid"},
    {.name = "tls-min-version", .type = CLI_STRING, .def = "TLS1.2", .help = "oldest TLS for clients: TLS1.2 or TLS1.3"},
    {.name = "tls-max-version", .type = CLI_STRING, .help = "newest TLS for clients: TLS1.2 or TLS1.3 (none: the newest there is)"},
    {.name = "experimental-serializable-ordering", .type = CLI_BOOL, .help = "accepted; see the documentation"},
    {.name = "experimental-leasing-prefix", .type = CLI_STRING, .help = "not built; refused"},
    {.name = "experimental-enable-grpc-logging", .type = CLI_BOOL, .help = "accepted; calls are counted, not logged"},
    {.name = "debug", .type = CLI_BOOL, .help = "log more"},
    {.name = "max-concurrent-streams", .type = CLI_UINT, .def = "4294967295", .help = "open calls of one client connection"},
};
/* clang-format on */

const size_t grpc_proxy_flags_n = ARRAY_LEN(grpc_proxy_flags);

static int fail(const char *fmt, ...) PRINTF_LIKE(1, 2);

static int fail(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return 1;
}

static int check_resolver(const struct cli_call *c)
{
    const char *prefix = cli_string(c, "resolver-prefix");
    int64_t ttl = cli_int(c, "resolver-ttl");

    if (prefix[0] != 0 && ttl < 1)
        return fail("invalid resolver-ttl %" PRId64, ttl);
    if (prefix[0] == 0 && ttl > 0)
        return fail("invalid resolver-prefix \"\"");
    if (prefix[0] != 0 && cli_string(c, "advertise-client-url")[0] == 0)
        return fail("invalid advertise-client-url \"\"");
    return 0;
}

static bool is_version(const char *v)
{
    return v[0] == 0 || strcmp(v, "TLS1.2") == 0 || strcmp(v, "TLS1.3") == 0;
}

static int check_tls_versions(const struct cli_call *c)
{
    const char *min = cli_string(c, "tls-min-version");
    const char *max = cli_string(c, "tls-max-version");

    if (!is_version(min))
        return fail("tls-min-version is invalid: unexpected TLS version \"%s\" (must be one of: "
                    "TLS1.2, TLS1.3)",
                    min);
    if (!is_version(max))
        return fail("tls-max-version is invalid: unexpected TLS version \"%s\" (must be one of: "
                    "TLS1.2, TLS1.3)",
                    max);
    if (max[0] != 0 && strcmp(min, max) > 0)
        return fail("min version (%s) is greater than max version (%s)", min, max);
    if (strcmp(min, "TLS1.3") == 0 && cli_value(c, "listen-cipher-suites")->list_count > 0)
        return fail("cipher suites cannot be configured when only TLS1.3 is enabled");
    return 0;
}

int grpc_proxy_check(const struct cli_call *c)
{
    int rc = check_resolver(c);

    if (rc == 0 && cli_bool(c, "auto-tls") && cli_uint(c, "self-signed-cert-validity") == 0)
        rc = fail("selfSignedCertValidity is invalid,it should be greater than 0");
    if (rc == 0)
        rc = check_tls_versions(c);
    if (rc == 0 && cli_string(c, "experimental-leasing-prefix")[0] != 0)
        rc = fail("--experimental-leasing-prefix is not supported");
    return rc;
}
