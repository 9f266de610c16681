#include "etcd/peer_side.h"

#include "edge/server/goparse.h"
#include "engine/net/url.h"

/* One URL, taken apart. */
static int where_of(struct config *c, const char *text, struct tls *tls, struct net_listen *ret,
                    struct err *e)
{
    struct url u;
    uint64_t port = 0;
    int rc = url_parse(text, &c->arena, &u, e);

    if (rc != 0)
        return rc;
    if (strncmp(u.scheme, "unix", 4) == 0)
        ret->unix_path = u.host;
    else
        rc = go_uint_parse(*u.port == 0 ? "0" : u.port, UINT16_MAX, &port, e);
    if (rc != 0)
        return err_wrap(e, rc, "listen on %s", text);
    ret->reuse_port = c->socket_reuse_port;
    ret->host = u.host;
    ret->port = (uint16_t) port;
    if (!security_wanted(text))
        return 0;
    ret->tls = tls;
    return tls != NULL ? 0
                       : err_set(e, ERR_INVALID,
                                 "cannot listen on TLS for %s%s%s: KeyFile and CertFile are not "
                                 "presented",
                                 u.host, *u.port == 0 ? "" : ":", u.port);
}

static bool needs_client(const struct config *c, const struct security *s)
{
    return s->cert_file[0] != '\0' || c->peer_trusted_ca_file[0] != '\0' ||
           c->peer_client_cert_file[0] != '\0' || c->peer_client_key_file[0] != '\0';
}

static int open_security(struct peer_side *side, struct config *c, struct log *log,
                         struct tls **ret_server, struct err *e)
{
    int rc = security_open(&side->security, c, true, log, e);

    if (rc == 0)
        rc = security_server(&side->security, true, ret_server, e);
    if (rc == 0 && needs_client(c, &side->security))
        rc = security_client(&side->security, &side->client, e);
    return rc;
}

int peer_side_open(struct peer_side *side, struct config *c, struct log *log, struct metrics *m,
                   struct peer_server **ret, struct err *e)
{
    size_t n = c->listen_peer_urls.n;
    struct net_listen *where = arena_calloc(&c->arena, n + 1, sizeof *where);
    struct tls *tls = NULL;
    struct peer_options o = {.listen = where,
                             .listen_n = n,
                             .version = config_version(c),
                             .peer_urls = c->initial_advertise_peer_urls.v,
                             .peer_urls_n = c->initial_advertise_peer_urls.n,
                             .dial_timeout_ms = 1000 + (int64_t) c->election_timeout,
                             .rejected = security_rejected,
                             .rejected_user = &side->security,
                             .log = log,
                             .metrics = m,
                             .clock = clock_posix()};
    int rc = where == NULL ? err_set(e, ERR_NOMEM, "out of memory")
                           : open_security(side, c, log, &tls, e);

    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = where_of(c, c->listen_peer_urls.v[i], tls, &where[i], e);
    o.tls = side->client;
    if (rc == 0)
        rc = peer_new(&o, ret, e);
    tls_unref(tls); /* the listeners have it */
    return rc;
}

void peer_side_close(struct peer_side *side)
{
    tls_unref(side->client);
    side->client = NULL;
}
