/* security.h -- the TLS flags of one side of a member (clients or peers), as what engine/net takes:
 * --cert-file and its like with or without "peer-", self-signed certificates of --auto-tls,
 * versions and cipher suites of both.
 *
 * Threads: security_open and security_close by the one that sets up; the log lines that it causes
 * later (refused connections, certificates that cannot be read again) come from any loop.
 */
#ifndef KETCH_EDGE_SERVER_SECURITY_H
#define KETCH_EDGE_SERVER_SECURITY_H

#include "edge/server/config.h"
#include "engine/net/tls.h"

struct security {
    const struct config *config;
    struct log *log;
    bool peer;
    char cert_file[TLS_PATH_BYTES]; /* "": there is no certificate */
    char key_file[TLS_PATH_BYTES];
    bool self_signed;
};

/* Finds or makes the certificate, and logs what it found.  Not moved afterwards: the TLS
 * configurations that come of it refer to it.
 *   ERR_INVALID "KeyFile and CertFile must both be present[key: K, cert: C]", ERR_IO */
NODISCARD int security_open(struct security *s, const struct config *c, bool peer, struct log *log,
                            struct err *e);

/* Does the URL ask for TLS? */
bool security_wanted(const char *url);

/* For a listener; `check_san`: clients' certificates must fit their addresses.  Without a
 * certificate *ret is NULL.  Free with tls_unref. */
NODISCARD int security_server(struct security *s, bool check_san, struct tls **ret, struct err *e);

/* For connections that this member makes. */
NODISCARD int security_client(struct security *s, struct tls **ret, struct err *e);

/* net_server_options.rejected; `user` is the struct security. */
void security_rejected(const struct tls_rejected *r, void *user);

#endif
