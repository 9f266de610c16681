/* gateway.c -- `etcd gateway start`: from flags to a proxy that serves until a signal.
 *
 * What is wrong with an address is said on stdout, what is wrong with a flag, with DNS or with the
 * port on stderr, as etcd has it. */
#include "etcd/gateway.h"

#include "base/alloc.h"
#include "edge/server/server.h"
#include "engine/net/loop.h"
#include "etcd/gateway_int.h"
#include "etcd/host_port.h"
#include "etcd/process.h"
#include "sys/random.h"

/* Of ours: standard streams, the loop's own, the log, what a look-up opens. */
#define DESCRIPTORS_KEPT 32

/* What comes in, and what goes out for it. */
#define DESCRIPTORS_PER_CONNECTION 2

static int said(int status, const char *fmt, ...) PRINTF_LIKE(2, 3);

static int said(int status, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    return status;
}

/* ---- addresses ---- */

static bool is_among(const char *address, const struct host_addresses *list)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->v[i], address) == 0)
            return true;
    return false;
}

/* A gateway that leads to itself would answer its own connections without an end. */
static int check_endpoint(const struct gateway *g, const struct tcp_endpoint *x, const char *port,
                          const struct host_addresses *own)
{
    struct host_addresses theirs;
    char text[8];

    if (!host_look_up(x->host, &theirs))
        return said(1, "failed to resolve endpoint host: %s\n", x->shown);
    snprintf(text, sizeof text, "%u", x->port);
    if (strcmp(text, port) != 0)
        return 0;
    for (size_t i = 0; i < theirs.n; i++)
        if (is_among(theirs.v[i], own))
            return said(1,
                        "SRV or endpoint (%s:%u->%s:%u) should not resolve to the gateway listen "
                        "addr (%s)\n",
                        x->shown, x->port, theirs.v[i], x->port,
                        cli_string(g->call, "listen-addr"));
    return 0;
}

static int check_addresses(struct gateway *g, struct host_port *ret)
{
    const char *listen = cli_string(g->call, "listen-addr");
    struct host_addresses own;
    int rc = 0;

    if (host_port_split(listen, &g->call->arena, ret, NULL) != 0)
        return said(1, "failed to validate listen address: %s\n", listen);
    if (!host_look_up(ret->host, &own))
        return said(1, "failed to resolve listen host: %s\n", ret->host);
    for (size_t i = 0; rc == 0 && i < g->endpoints_n; i++)
        rc = check_endpoint(g, &g->endpoints[i], ret->port, &own);
    if (rc == 0 && g->endpoints_n == 0)
        rc = said(1, "no endpoints found\n");
    return rc;
}

/* ---- serving ---- */

static size_t connections_max(void)
{
    size_t descriptors = process_raise_descriptors();

    return descriptors <= DESCRIPTORS_KEPT
               ? 1
               : (descriptors - DESCRIPTORS_KEPT) / DESCRIPTORS_PER_CONNECTION;
}

static int open_proxy(struct gateway *g, const struct host_port *listen, struct tcp_proxy **ret)
{
    struct tcp_proxy_options o = {.loop = g->loop,
                                  .log = g->log,
                                  .random = random_posix(),
                                  .endpoints = g->endpoints,
                                  .endpoints_n = g->endpoints_n,
                                  .retry_ns = cli_int(g->call, "retry-delay"),
                                  .connections_max = connections_max()};
    struct err e = ERR_INIT;
    uint16_t port = 0;
    int rc = host_port_listen(listen->port, &port, &e);

    if (rc == 0)
        rc = tcp_proxy_new(&o, ret, &e);
    if (rc == 0)
        rc = tcp_proxy_listen(*ret, listen->host, port, NULL, &e);
    if (rc != 0)
        fprintf(stderr, "%s\n", e.msg);
    return rc == 0 ? 0 : 1;
}

/* A log that blocks must not hold up connections. */
static int start_log(struct gateway *g)
{
    struct err e = ERR_INIT;

    if (log_start(g->log, &e) == 0)
        return 0;
    fprintf(stderr, "%s\n", e.msg);
    return 1;
}

static void notify(struct gateway *g)
{
    LOG_INFO(g->log, "notifying init daemon");
    if (notify_ready() || getenv("NOTIFY_SOCKET") == NULL)
        LOG_INFO(g->log, "successfully notified init daemon");
    else
        LOG_ERROR(g->log, "failed to notify systemd for readiness");
}

static int serve(struct gateway *g, const struct host_port *listen)
{
    struct tcp_proxy *proxy = NULL;
    int rc = open_proxy(g, listen, &proxy);

    if (rc == 0)
        rc = start_log(g);
    if (rc == 0) {
        notify(g);
        tcp_proxy_start(proxy);
        loop_run(g->loop); /* a signal ends the process, as it ends etcd's */
    }
    tcp_proxy_close(proxy);
    return rc;
}

static int start_run(struct cli_call *c)
{
    struct gateway *g = c->program->user;
    struct host_port listen = {0};
    struct err e = ERR_INIT;
    size_t words = 0;
    int rc;

    g->call = c;
    g->log = process_log();
    while (g->argv[words] != NULL)
        words++;
    LOG_INFO(g->log, "Running: ", F_STRS("args", (const char *const *) g->argv, words));
    rc = loop_new("gateway", &g->loop, &e);
    if (rc != 0) {
        fprintf(stderr, "%s\n", e.msg);
        rc = 1;
    }
    if (rc == 0)
        rc = gateway_endpoints(g);
    if (rc == 0)
        rc = check_addresses(g, &listen);
    if (rc == 0)
        rc = serve(g, &listen);
    loop_free(g->loop);
    log_close(g->log);
    return rc;
}

/* ---- the command ---- */

static const struct cli_flag start_flags[] = {
    {.name = "listen-addr",
     .type = CLI_STRING,
     .def = "127.0.0.1:23790",
     .help = "where clients connect"},
    {.name = "discovery-srv",
     .type = CLI_STRING,
     .help = "domain whose SRV records name the endpoints"},
    {.name = "discovery-srv-name",
     .type = CLI_STRING,
     .help = "suffix of the service names in those records"},
    {.name = "insecure-discovery",
     .type = CLI_BOOL,
     .help = "take endpoints from DNS as they are, without TLS too"},
    {.name = "trusted-ca-file",
     .type = CLI_STRING,
     .help = "certificates of the authorities that endpoints from DNS must be signed by"},
    {.name = "endpoints",
     .type = CLI_STRINGS,
     .def = "127.0.0.1:2379",
     .help = "where connections are handed on to, separated by commas"},
    {.name = "retry-delay",
     .type = CLI_DURATION,
     .def = "1m0s",
     .help = "time between two tries of endpoints that did not answer"},
};

static const struct cli_command start_command = {
    .use = "start",
    .brief = "serve as a gateway",
    CLI_FLAGS(start_flags),
    .run = start_run,
};

static const struct cli_command *const gateway_commands[] = {&start_command};

static const struct cli_command gateway_command = {
    .use = GATEWAY_COMMAND " <subcommand>",
    .brief = "a door before a cluster that hands connections on to its members",
    CLI_SUBS(gateway_commands),
};

static const struct cli_command *const commands[] = {&gateway_command};

static const struct cli_command root = {
    .use = "etcd",
    .brief = "etcd server",
    CLI_SUBS(commands),
};

int gateway_main(int argc, char **argv)
{
    struct gateway *g = xmem_calloc(1, sizeof *g);
    struct cli_program program = {.root = &root, .error_style = CLI_ERROR_AGAIN_NO_EOL, .user = g};
    int status;

    g->argv = argv;
    status = cli_main(&program, argc, argv);
    mem_free(g);
    return status;
}
