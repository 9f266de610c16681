/* grpc_proxy_tls.c -- the certificates of the gRPC proxy: one side towards clients, one towards
 * the members. */
#include "etcd/grpc_proxy_int.h"

#define NAME_BYTES 256

static void tls_info(const struct tls_options *o, char *out, size_t cap)
{
    snprintf(out, cap,
             "cert = %s, key = %s, client-cert=, client-key=, trusted-ca = %s, client-cert-auth = "
             "false, crl-file = ",
             o->cert_file, o->key_file, o->ca_file);
}

static void reload_failed(void *user, const char *why, bool missing)
{
    struct grpc_proxy *g = user;

    (void) missing;
    LOG_WARN(g->log, "a changed certificate, key or CA file cannot be used; the last good one is",
             F_STR("error", why));
}

/* ---- towards clients ---- */

static int make_own(struct grpc_proxy *g, char cert[TLS_PATH_BYTES], char key[TLS_PATH_BYTES])
{
    const char *dir = arena_printf(&g->call->arena, "%s/fixtures/proxy",
                                   cli_string(g->call, "data-dir"));
    const char *host = arena_printf(&g->call->arena, "%s", cli_string(g->call, "listen-addr"));
    char *colon = host == NULL ? NULL : strrchr(host, ':');
    struct tls_self self = {.dir = dir,
                            .hosts = &host,
                            .hosts_n = 1,
                            .years = cli_uint(g->call, "self-signed-cert-validity")};
    struct err e = ERR_INIT;
    bool made;

    if (colon != NULL)
        *colon = 0;
    if (dir == NULL || host == NULL)
        return cli_log_fatal("out of memory");
    if (tls_self_signed(&self, cert, key, &made, &e) != 0)
        return cli_log_fatal("%s", e.msg);
    return 0;
}

static void self_options(const struct tls_options *server, bool own, struct tls_options *ret)
{
    *ret = (struct tls_options){.cert_file = server->cert_file,
                                .key_file = server->key_file,
                                .ca_file = server->ca_file,
                                .skip_verify = own};
}

int grpc_proxy_listen_tls(struct grpc_proxy *g)
{
    const struct cli_value *suites = cli_value(g->call, "listen-cipher-suites");
    struct tls_options o = {.server = true,
                            .cert_file = cli_string(g->call, "cert-file"),
                            .key_file = cli_string(g->call, "key-file"),
                            .ca_file = cli_string(g->call, "trusted-ca-file"),
                            .crl_file = cli_string(g->call, "client-crl-file"),
                            .min_version = cli_string(g->call, "tls-min-version"),
                            .max_version = cli_string(g->call, "tls-max-version"),
                            .cipher_suites = {suites->list, suites->list_count},
                            .on_reload_failed = reload_failed,
                            .user = g};
    struct tls_options self;
    static char cert[TLS_PATH_BYTES], key[TLS_PATH_BYTES];
    char info[3 * TLS_PATH_BYTES];
    struct err e = ERR_INIT;
    bool own = false;

    if (o.cert_file[0] == 0 && o.key_file[0] == 0 && o.ca_file[0] == 0) {
        if (!cli_bool(g->call, "auto-tls"))
            return 0;
        if (make_own(g, cert, key) != 0)
            return 1;
        o.cert_file = cert;
        o.key_file = key;
        own = true;
    }
    if (tls_cipher_suites_check(o.cipher_suites, &e) != 0)
        return cli_log_fatal("%s", e.msg);
    tls_info(&o, info, sizeof info);
    LOG_INFO(g->log, "gRPC proxy server TLS", F_STR("tls-info", info));
    self_options(&o, own, &self);
    if (tls_new(&o, &g->listen_tls, &e) != 0 || tls_new(&self, &g->self_tls, &e) != 0)
        LOG_FATAL(g->log, "failed to create TLS listener", F_ERR(&e));
    return 0;
}

/* ---- towards the members ---- */

/* Members would take the name for that of a user, whoever the proxy's client is. */
static int check_nameless(const char *cert_file)
{
    struct err e = ERR_INIT;
    char name[NAME_BYTES] = "";

    if (cert_file[0] == 0)
        return 0;
    if (tls_common_name(cert_file, name, sizeof name, &e) != 0)
        fprintf(stderr, "%s\n", e.msg);
    else if (name[0] != 0)
        fprintf(stderr, "cert has non empty Common Name (%s): %s\n", name, cert_file);
    else
        return 0;
    return 1;
}

int grpc_proxy_dial_tls(struct grpc_proxy *g)
{
    struct tls_options o = {.cert_file = cli_string(g->call, "cert"),
                            .key_file = cli_string(g->call, "key"),
                            .ca_file = cli_string(g->call, "cacert"),
                            .skip_verify = cli_bool(g->call, "insecure-skip-tls-verify"),
                            .on_reload_failed = reload_failed,
                            .user = g};
    char info[3 * TLS_PATH_BYTES];
    struct err e = ERR_INIT;

    if (o.cert_file[0] == 0 && o.key_file[0] == 0 && o.ca_file[0] == 0 && !o.skip_verify)
        return 0;
    if (tls_new(&o, &g->dial_tls, &e) != 0) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    if (check_nameless(o.cert_file) != 0)
        return 1;
    if (o.skip_verify)
        LOG_WARN(g->log,
                 "--insecure-skip-tls-verify was given, this grpc proxy process skips "
                 "authentication of etcd server TLS certificates. This option should be enabled "
                 "only for testing purposes.");
    tls_info(&o, info, sizeof info);
    LOG_INFO(g->log, "gRPC proxy client TLS", F_STR("tls-info", info));
    return 0;
}
