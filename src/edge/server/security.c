#include "edge/server/security.h"

#include "engine/net/url.h"

/* ---- the flags of one side ---- */

struct side {
    const char *cert, *key, *client_cert, *client_key, *ca, *crl;
    bool cert_auth, auto_tls, skip_san;
    const struct strings *cns, *hostnames;
    const struct strings *listen[2];
    const char *folder; /* of the self-signed certificate */
};

static struct side side_of(const struct security *s)
{
    static const struct strings none;
    const struct config *c = s->config;

    if (s->peer)
        return (struct side){
            c->peer_cert_file,
            c->peer_key_file,
            c->peer_client_cert_file,
            c->peer_client_key_file,
            c->peer_trusted_ca_file,
            c->peer_crl_file,
            c->peer_client_cert_auth,
            c->peer_auto_tls,
            c->peer_skip_client_san_verification,
            &c->peer_cert_allowed_cn,
            &c->peer_cert_allowed_hostname,
            {&c->listen_peer_urls, &none},
            "peer",
        };
    return (struct side){
        c->cert_file,
        c->key_file,
        c->client_cert_file,
        c->client_key_file,
        c->trusted_ca_file,
        c->client_crl_file,
        c->client_cert_auth,
        c->auto_tls,
        c->client_skip_client_san_verification,
        &c->client_cert_allowed_cn,
        &c->client_cert_allowed_hostname,
        {&c->listen_client_urls, &c->listen_client_http_urls},
        "client",
    };
}

bool security_wanted(const char *url)
{
    return strncmp(url, "https:", 6) == 0 || strncmp(url, "unixs:", 6) == 0;
}

/* ---- a certificate of our own ---- */

static int hosts_of(const struct side *side, struct arena *a, const char **ret, size_t *ret_n,
                    struct err *e)
{
    for (size_t k = 0; k < ARRAY_LEN(side->listen); k++) {
        for (size_t i = 0; i < side->listen[k]->n && *ret_n < CONFIG_LIST_MAX; i++) {
            struct url u;
            int rc = url_parse(side->listen[k]->v[i], a, &u, e);

            if (rc != 0)
                return rc;
            ret[(*ret_n)++] = u.host;
        }
    }
    return 0;
}

static int make_own(struct security *s, const struct side *side, struct err *e)
{
    const char *hosts[CONFIG_LIST_MAX];
    char dir[TLS_PATH_BYTES];
    struct tls_self self = {
        .dir = dir, .hosts = hosts, .years = s->config->self_signed_cert_validity};
    struct arena a;
    bool made = false;
    int rc;

    if (s->config->from_file && self.years == 0)
        self.years = 1;
    arena_init(&a, 1u << 20);
    snprintf(dir, sizeof dir, "%s/fixtures/%s", s->config->data_dir, side->folder);
    rc = hosts_of(side, &a, hosts, &self.hosts_n, e);
    if (rc == 0)
        rc = tls_self_signed(&self, s->cert_file, s->key_file, &made, e);
    arena_done(&a);
    if (rc != 0) {
        LOG_WARN(s->log, "cannot generate cert", F_ERR(e));
        return rc;
    }
    s->self_signed = true;
    if (!made)
        return 0;
    LOG_WARN(s->log, "automatically generate certificates",
             F_U64("certificate-validity-years", self.years));
    LOG_INFO(s->log, "created cert file", F_STR("path", s->cert_file));
    LOG_INFO(s->log, "created key file", F_STR("path", s->key_file));
    return 0;
}

/* ---- what is said about it ---- */

static void log_tls(const struct security *s, const struct side *side)
{
    const struct strings *suites = &s->config->cipher_suites;
    char info[4 * TLS_PATH_BYTES];

    snprintf(info, sizeof info,
             "cert = %s, key = %s, client-cert=%s, client-key=%s, trusted-ca = %s, "
             "client-cert-auth = %s, crl-file = %s",
             s->cert_file, s->key_file, s->self_signed ? s->cert_file : side->client_cert,
             s->self_signed ? s->key_file : side->client_key, side->ca,
             side->cert_auth ? "true" : "false", side->crl);
    if (s->peer)
        LOG_INFO(s->log, "starting with peer TLS", F_STR("tls-info", info),
                 F_STRS("cipher-suites", suites->v, suites->n));
    else
        LOG_INFO(s->log, "starting with client TLS", F_STR("tls-info", info),
                 F_STRS("cipher-suites", suites->v, suites->n));
}

/* URLs that ask for no TLS although there is what it needs. */
static void warn_of_cleartext(const struct security *s, const struct side *side, const char *url)
{
    bool http = strncmp(url, "http:", 5) == 0, cert = s->cert_file[0] != '\0';

    if (s->peer && http && cert)
        LOG_WARN(s->log,
                 "scheme is HTTP while key and cert files are present; ignoring key and cert files",
                 F_STR("peer-url", url));
    if (s->peer && http && side->cert_auth)
        LOG_WARN(s->log,
                 "scheme is HTTP while --peer-client-cert-auth is enabled; ignoring client cert "
                 "auth for this URL",
                 F_STR("peer-url", url));
    if (!s->peer && !security_wanted(url) && cert)
        LOG_WARN(s->log,
                 "scheme is http or unix while key and cert files are present; ignoring key and "
                 "cert files",
                 F_STR("client-url", url));
    if (!s->peer && !security_wanted(url) && side->cert_auth)
        LOG_WARN(s->log,
                 "scheme is http or unix while --client-cert-auth is enabled; ignoring client cert "
                 "auth for this URL",
                 F_STR("client-url", url));
}

int security_open(struct security *s, const struct config *c, bool peer, struct log *log,
                  struct err *e)
{
    struct side side;
    int rc = 0;

    *s = (struct security){.config = c, .log = log, .peer = peer};
    side = side_of(s);
    snprintf(s->cert_file, sizeof s->cert_file, "%s", side.cert);
    snprintf(s->key_file, sizeof s->key_file, "%s", side.key);
    if (side.auto_tls && (side.cert[0] != '\0' || side.key[0] != '\0')) {
        if (peer)
            LOG_WARN(log, "ignoring peer auto TLS since certs given");
        else
            LOG_WARN(log, "ignoring client auto TLS since certs given");
    } else if (side.auto_tls) {
        rc = make_own(s, &side, e);
    }
    if (rc == 0 && (s->cert_file[0] != '\0' || s->key_file[0] != '\0'))
        log_tls(s, &side);
    for (size_t k = 0; k < ARRAY_LEN(side.listen) && rc == 0; k++) {
        for (size_t i = 0; i < side.listen[k]->n; i++)
            warn_of_cleartext(s, &side, side.listen[k]->v[i]);
    }
    return rc;
}

/* ---- for engine/net ---- */

static void reload_failed(void *user, const char *why, bool missing)
{
    const struct security *s = user;

    if (missing)
        LOG_WARN(s->log, "failed to find peer cert files", F_STR("cert-file", s->cert_file),
                 F_STR("key-file", s->key_file), F_STR("error", why));
    else
        LOG_WARN(s->log, "failed to create peer certificate", F_STR("cert-file", s->cert_file),
                 F_STR("key-file", s->key_file), F_STR("error", why));
}

static struct tls_names names_of(const struct strings *l)
{
    return (struct tls_names){l->v, l->n};
}

static struct tls_options options_of(struct security *s, const struct side *side)
{
    return (struct tls_options){
        .ca_file = side->ca,
        .min_version = s->config->tls_min_version,
        .max_version = s->config->tls_max_version,
        .cipher_suites = names_of(&s->config->cipher_suites),
        .on_reload_failed = reload_failed,
        .user = s,
    };
}

/* The pair for connections that this side makes; without a certificate of its own, or with one that
 * it made itself, nobody asks for it. */
static int check_client_pair(struct security *s, const struct side *side, struct err *e)
{
    struct tls_options o = {.cert_file = side->client_cert, .key_file = side->client_key};
    struct tls *tls;
    int rc;

    if (s->self_signed || (side->client_cert[0] == '\0' && side->client_key[0] == '\0'))
        return 0;
    if (side->client_cert[0] == '\0' || side->client_key[0] == '\0')
        return err_set(e, ERR_INVALID,
                       "ClientKeyFile and ClientCertFile must both be present or both absent: key: "
                       "%s, cert: %s]",
                       side->client_key, side->client_cert);
    rc = tls_new(&o, &tls, e);
    if (rc == 0)
        tls_unref(tls);
    return rc;
}

int security_server(struct security *s, bool check_san, struct tls **ret, struct err *e)
{
    struct side side = side_of(s);
    struct tls_options o = options_of(s, &side);
    int rc;

    *ret = NULL;
    if (s->cert_file[0] == '\0' && s->key_file[0] == '\0')
        return 0;
    o.server = true;
    o.cert_file = s->cert_file;
    o.key_file = s->key_file;
    o.crl_file = side.crl;
    o.client_cert_auth = side.cert_auth;
    o.check_san = check_san && !side.skip_san;
    o.http1_only = s->peer;
    o.allowed_cns = names_of(side.cns);
    o.allowed_hostnames = names_of(side.hostnames);
    rc = tls_new(&o, ret, e);
    if (rc == 0)
        rc = check_client_pair(s, &side, e);
    if (rc != 0) {
        tls_unref(*ret);
        *ret = NULL;
    }
    return rc;
}

int security_client(struct security *s, struct tls **ret, struct err *e)
{
    struct side side = side_of(s);
    struct tls_options o = options_of(s, &side);
    bool own_pair = side.client_cert[0] != '\0' || side.client_key[0] != '\0';

    if ((side.client_cert[0] == '\0') != (side.client_key[0] == '\0'))
        return err_set(e, ERR_INVALID,
                       "ClientKeyFile and ClientCertFile must both be present or both absent: key: "
                       "%s, cert: %s]",
                       side.client_key, side.client_cert);
    o.cert_file = own_pair ? side.client_cert : s->cert_file;
    o.key_file = own_pair ? side.client_key : s->key_file;
    o.skip_verify = s->self_signed;
    if (side.ca[0] == '\0' && s->config->discovery_srv[0] != '\0')
        o.server_name = s->config->discovery_srv;
    return tls_new(&o, ret, e);
}

void security_rejected(const struct tls_rejected *r, void *user)
{
    const struct security *s = user;
    enum log_level level = r->hung_up ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN;
    struct log_field peer = F_STR("remote-addr", r->peer);
    struct log_field name = F_STR("server-name", r->server_name);
    struct log_field why = F_STR("error", r->error);
    struct log_field ips = F_STRS("ip-addresses", r->ips, r->ips_n);
    struct log_field names = F_STRS("dns-names", r->names, r->names_n);
    bool seen = r->ips_n + r->names_n > 0;

    if (s->peer && seen)
        LOG_AT_(s->log, level, "rejected connection on peer endpoint", peer, name, ips, names, why);
    else if (s->peer)
        LOG_AT_(s->log, level, "rejected connection on peer endpoint", peer, name, why);
    else if (seen)
        LOG_AT_(s->log, level, "rejected connection on client endpoint", peer, name, ips, names,
                why);
    else
        LOG_AT_(s->log, level, "rejected connection on client endpoint", peer, name, why);
}
