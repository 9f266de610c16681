/* tls.h -- what one kind of TLS connection needs: certificate, key, CAs, rules.
 *
 * A `struct tls` belongs to listeners or to our own connections to others.  It is built from files,
 * and looks at them again before every handshake: a certificate, key, CA bundle or revocation list
 * that was replaced counts from the next connection on, without a restart.
 *
 *   - A new certificate or CA bundle that cannot be read (half of it is written yet, say) leaves
 *     the last good one in use; `on_reload_failed` hears of it once for each change.
 *   - A revocation list that cannot be read refuses every connection that shows a certificate.
 *   - Connections that are open stay open.
 *
 * Of a server's clients, in this order: the chain is verified against the CAs (or the system's);
 * the leaf must have one of the allowed common names or be valid for one of the allowed host names;
 * no certificate that was sent may have a revoked serial number; with `check_san` the leaf must be
 * valid for the address that it comes from (DNS is asked if need be).
 *
 * ALPN as etcd's: a server offers "h2" and takes clients that offer nothing or "http/1.1" for
 * HTTP/1 clients.  Sessions are resumed by tickets; a ticket is worthless after any of the files
 * changed.
 *
 * Threads: any.   Memory: the options are copied.   Texts of errors are those of Go's crypto/tls
 * where an operator of etcd would look for them.
 */
#ifndef KETCH_ENGINE_NET_TLS_H
#define KETCH_ENGINE_NET_TLS_H

#include "base/err.h"

struct tls;

struct tls_names {
    const char *const *v;
    size_t n;
};

struct tls_options {
    bool server; /* else: for connections that we make */

    /* PEM files; NULL or "": none.  Certificate and key both or none, a server needs them. */
    const char *cert_file;
    const char *key_file;
    const char *ca_file;  /* who may have signed the other side; none: the system's CAs */
    const char *crl_file; /* server: DER or PEM */

    const char *min_version;        /* "TLS1.2" (also NULL and "") or "TLS1.3" */
    const char *max_version;        /* the same; NULL or "": the newest */
    struct tls_names cipher_suites; /* of TLS 1.2, by their IANA names; none: those Go prefers */

    /* Server: */
    bool client_cert_auth; /* a certificate must be shown; so it must when there is a CA file */
    bool check_san;
    bool http1_only;              /* do not offer "h2" */
    struct tls_names allowed_cns; /* or allowed_hostnames, not both */
    struct tls_names allowed_hostnames;

    /* Client: */
    bool skip_verify;
    const char *server_name; /* to verify and to ask for, in place of the host that is dialed */

    /* A changed certificate, key or CA file could not be used; any thread.  `missing`: it is gone.
     * May be NULL. */
    void (*on_reload_failed)(void *user, const char *why, bool missing);
    void *user;
};

/* ERR_INVALID, ERR_NOT_FOUND, ERR_PERMISSION, ERR_NOMEM, with words for the operator: "KeyFile and
 * CertFile must both be present[key: , cert: a.pem]", "open a.pem: no such file or directory". */
NODISCARD int tls_new(const struct tls_options *o, struct tls **ret, struct err *e);
struct tls *tls_ref(struct tls *t); /* NULL stays NULL */
void tls_unref(struct tls *t);      /* NULL is accepted */

/* "unexpected TLS cipher suite \"X\"" for the first name that is none of Go's. */
NODISCARD int tls_cipher_suites_check(struct tls_names names, struct err *e);

/* The common name of the first certificate in a PEM file; "" when it has none.  ERR_NOT_FOUND,
 * ERR_INVALID, with words as those of tls_new. */
NODISCARD int tls_common_name(const char *cert_file, char *out, size_t out_n, struct err *e);

/* Connections that could not be made into TLS ones. */
struct tls_rejected {
    const char *peer;        /* "127.0.0.1:51234" */
    const char *server_name; /* that the client asked for; "" */
    const char *error;       /* in the words of Go's crypto/tls */
    bool hung_up;            /* the other side just went */
    const char *const *ips;  /* of its certificate, when it was seen */
    size_t ips_n;
    const char *const *names;
    size_t names_n;
};

/* ---- self-signed certificates (--auto-tls) ---- */

struct tls_self {
    const char *dir;          /* cert.pem and key.pem are made in it, and it itself if need be */
    const char *const *hosts; /* IP addresses and names that the certificate is for */
    size_t hosts_n;
    uint64_t years;   /* of 365 days; 1 to 1000 */
    bool for_clients; /* it may be shown by a client, too */
};

#define TLS_PATH_BYTES 4096

/* ECDSA P-521, organisation "etcd".  Files that are there already are kept (*ret_made false).
 * ERR_INVALID "selfSignedCertValidity is invalid,it should be greater than 0" (or "at most 1000"),
 * or a path beyond TLS_PATH_BYTES; ERR_IO. */
NODISCARD int tls_self_signed(const struct tls_self *s, char cert_file[TLS_PATH_BYTES],
                              char key_file[TLS_PATH_BYTES], bool *ret_made, struct err *e);

#endif
