/* tls_verify.c -- what a certificate says of its owner, and whether that is enough. */
#define _GNU_SOURCE
#include <arpa/inet.h>

#include <openssl/x509v3.h>

#include "base/alloc.h"
#include "engine/net/tls_int.h"

#define NAME_BYTES_MAX 256 /* a DNS name has at most 253 */

/* ---- names ---- */

static char *text_of(const ASN1_STRING *s)
{
    const unsigned char *p = ASN1_STRING_get0_data(s);
    size_t n = (size_t) ASN1_STRING_length(s);
    char *text;

    /* A NUL within a name hides what follows from careless readers. */
    if (n == 0 || n > NAME_BYTES_MAX || memchr(p, '\0', n) != NULL)
        return NULL;
    text = xmem_alloc(n + 1);
    memcpy(text, p, n);
    text[n] = '\0';
    return text;
}

static void add_name(const GENERAL_NAME *g, struct tls_peer_names *ret)
{
    const ASN1_STRING *ip;
    char *text;

    if (g->type == GEN_DNS && ret->names_n < TLS_NAMES_MAX) {
        text = text_of(g->d.dNSName);
        if (text != NULL)
            ret->names[ret->names_n++] = text;
    } else if (g->type == GEN_IPADD && ret->ips_n < TLS_NAMES_MAX) {
        ip = g->d.iPAddress;
        if (ASN1_STRING_length(ip) == 4 || ASN1_STRING_length(ip) == 16)
            inet_ntop(ASN1_STRING_length(ip) == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(ip),
                      ret->ips[ret->ips_n++], sizeof ret->ips[0]);
    }
}

void tls__names_of(const X509 *cert, struct tls_peer_names *ret)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int n = all == NULL ? 0 : sk_GENERAL_NAME_num(all);

    ret->ips_n = ret->names_n = 0;
    for (int i = 0; i < n; i++)
        add_name(sk_GENERAL_NAME_value(all, i), ret);
    GENERAL_NAMES_free(all);
}

void tls__names_done(struct tls_peer_names *names)
{
    for (size_t i = 0; i < names->names_n; i++)
        mem_free(names->names[i]);
    names->ips_n = names->names_n = 0;
}

/* The last one counts, as in Go. */
char *tls__common_name(const X509 *cert)
{
    const X509_NAME *subject = X509_get_subject_name(cert);
    unsigned char *utf8 = NULL;
    int at = -1, last = -1, n = 0;
    char *text = NULL;

    while ((at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0)
        last = at;
    if (last >= 0)
        n = ASN1_STRING_to_UTF8(&utf8,
                                X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last)));
    if (n > 0 && n <= NAME_BYTES_MAX && memchr(utf8, '\0', (size_t) n) == NULL) {
        text = xmem_alloc((size_t) n + 1);
        memcpy(text, utf8, (size_t) n);
        text[n] = '\0';
    }
    OPENSSL_free(utf8);
    return text != NULL ? text : xmem_strdup("");
}

bool tls__is_for_any_use(X509 *cert)
{
    uint32_t uses = X509_get_extended_key_usage(cert);

    return uses != UINT32_MAX && (uses & XKU_ANYEKU) != 0; /* UINT32_MAX: it does not say */
}

static bool is_ip(const char *text)
{
    struct in6_addr a;

    return inet_pton(AF_INET, text, &a) == 1 || inet_pton(AF_INET6, text, &a) == 1;
}

/* "[::1]" -> "::1", and everything else as it is. */
static void without_brackets(const char *host, char *out, size_t out_n)
{
    size_t n = strlen(host);

    if (n >= 3 && host[0] == '[' && host[n - 1] == ']')
        snprintf(out, out_n, "%.*s", (int) MIN(n - 2, out_n), host + 1);
    else
        snprintf(out, out_n, "%s", host);
}

bool tls__valid_for(X509 *cert, const char *host)
{
    unsigned flags = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
    char ip[INET6_ADDRSTRLEN + 1]; /* what is longer is none, and stays it when it is cut */
    size_t n = strlen(host);

    without_brackets(host, ip, sizeof ip);
    if (is_ip(ip))
        return X509_check_ip_asc(cert, ip, 0) == 1;
    if (n > 1 && host[n - 1] == '.')
        n--;
    /* For OpenSSL a dot at the beginning stands for any name before it. */
    return host[0] != '.' && X509_check_host(cert, host, n, flags, NULL) == 1;
}

/* ---- the rules for clients ---- */

static bool has_allowed_name(const struct tls_options *o, X509 *leaf)
{
    char *cn;
    bool ok = o->allowed_cns.n == 0 && o->allowed_hostnames.n == 0;

    for (size_t i = 0; i < o->allowed_hostnames.n && !ok; i++)
        ok = tls__valid_for(leaf, o->allowed_hostnames.v[i]);
    if (o->allowed_cns.n == 0)
        return ok;
    cn = tls__common_name(leaf);
    for (size_t i = 0; i < o->allowed_cns.n && !ok; i++)
        ok = strcmp(cn == NULL ? "" : cn, o->allowed_cns.v[i]) == 0;
    mem_free(cn);
    return ok;
}

/* Every certificate that was sent, the leaf first. */
static bool is_revoked(const struct tls_crl *crl, X509 *leaf, STACK_OF(X509) * sent, char *why,
                       size_t why_n)
{
    if (tls__crl_refuses(crl, leaf, why, why_n))
        return true;
    for (int i = 0; sent != NULL && i < sk_X509_num(sent); i++) {
        if (tls__crl_refuses(crl, sk_X509_value(sent, i), why, why_n))
            return true;
    }
    return false;
}

bool tls__client_allowed(const struct tls *t, const struct tls_crl *crl, SSL *ssl, char *why,
                         size_t why_n)
{
    X509 *leaf = SSL_get0_peer_certificate(ssl);

    if (leaf == NULL)
        return true; /* where one is needed the handshake has failed already */
    if (!has_allowed_name(&t->options, leaf)) {
        snprintf(why, why_n, "client certificate authentication failed");
        return false;
    }
    /* A resumed session is not verified again: the certificate may have ended meanwhile. */
    if (X509_cmp_current_time(X509_get0_notAfter(leaf)) < 0) {
        (void) tls__verify_text(X509_V_ERR_CERT_HAS_EXPIRED, leaf, NULL, why, why_n);
        return false;
    }
    return crl == NULL || !is_revoked(crl, leaf, SSL_get_peer_cert_chain(ssl), why, why_n);
}
