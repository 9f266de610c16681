/* tls_text.c -- what went wrong, in the words of Go's crypto/tls and crypto/x509, which operators
 * of etcd know and search for. */
#define _GNU_SOURCE
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "engine/net/tls_int.h"

/* Alerts of the other side: a byte each.  Far above them are the reasons that OpenSSL's libraries
 * have in common ("PEM lib"). */
#define ALERT_MAX 255

static const struct {
    int alert;
    const char *text;
} alerts[] = {
    {SSL_AD_UNEXPECTED_MESSAGE, "unexpected message"},
    {SSL_AD_BAD_RECORD_MAC, "bad record MAC"},
    {SSL_AD_RECORD_OVERFLOW, "record overflow"},
    {SSL_AD_HANDSHAKE_FAILURE, "handshake failure"},
    {SSL_AD_BAD_CERTIFICATE, "bad certificate"},
    {SSL_AD_UNSUPPORTED_CERTIFICATE, "unsupported certificate"},
    {SSL_AD_CERTIFICATE_REVOKED, "revoked certificate"},
    {SSL_AD_CERTIFICATE_EXPIRED, "expired certificate"},
    {SSL_AD_CERTIFICATE_UNKNOWN, "unknown certificate"},
    {SSL_AD_ILLEGAL_PARAMETER, "illegal parameter"},
    {SSL_AD_UNKNOWN_CA, "unknown certificate authority"},
    {SSL_AD_ACCESS_DENIED, "access denied"},
    {SSL_AD_DECODE_ERROR, "error decoding message"},
    {SSL_AD_DECRYPT_ERROR, "error decrypting message"},
    {SSL_AD_PROTOCOL_VERSION, "protocol version not supported"},
    {SSL_AD_INSUFFICIENT_SECURITY, "insufficient security level"},
    {SSL_AD_INTERNAL_ERROR, "internal error"},
    {SSL_AD_USER_CANCELLED, "user canceled"},
    {SSL_AD_NO_RENEGOTIATION, "no renegotiation"},
    {SSL_AD_MISSING_EXTENSION, "missing extension"},
    {SSL_AD_UNSUPPORTED_EXTENSION, "unsupported extension"},
    {SSL_AD_UNRECOGNIZED_NAME, "unrecognized name"},
    {SSL_AD_CERTIFICATE_REQUIRED, "certificate required"},
    {SSL_AD_NO_APPLICATION_PROTOCOL, "no application protocol"},
};

static const struct {
    int reason;
    const char *text;
} reasons[] = {
    {SSL_R_HTTP_REQUEST, "tls: first record does not look like a TLS handshake"},
    {SSL_R_WRONG_VERSION_NUMBER, "tls: first record does not look like a TLS handshake"},
    {SSL_R_HTTPS_PROXY_REQUEST, "tls: first record does not look like a TLS handshake"},
    {SSL_R_UNSUPPORTED_PROTOCOL, "tls: client offered only unsupported versions"},
    {SSL_R_VERSION_TOO_LOW, "tls: client offered only unsupported versions"},
    {SSL_R_NO_SHARED_CIPHER, "tls: no cipher suite supported by both client and server"},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "tls: client didn't provide a certificate"},
    {SSL_R_NO_APPLICATION_PROTOCOL, "tls: client requested unsupported application protocols"},
    {SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, "local error: tls: bad record MAC"},
    {SSL_R_UNEXPECTED_MESSAGE, "local error: tls: unexpected message"},
    {SSL_R_UNEXPECTED_RECORD, "local error: tls: unexpected message"},
};

void tls__error_text(char *out, size_t n)
{
    unsigned long e = ERR_peek_last_error();
    int reason = ERR_GET_REASON(e);
    int alert = ERR_GET_LIB(e) == ERR_LIB_SSL ? reason - SSL_AD_REASON_OFFSET : -1;
    const char *words = e == 0 ? NULL : ERR_reason_error_string(e);

    snprintf(out, n, "tls: %s", words == NULL ? "unknown failure" : words);
    if (alert >= 0 && alert <= ALERT_MAX) {
        snprintf(out, n, "remote error: tls: alert %d", alert);
        for (size_t i = 0; i < ARRAY_LEN(alerts); i++) {
            if (alerts[i].alert == alert)
                snprintf(out, n, "remote error: tls: %s", alerts[i].text);
        }
    } else if (ERR_GET_LIB(e) == ERR_LIB_SSL) {
        for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
            if (reasons[i].reason == reason)
                snprintf(out, n, "%s", reasons[i].text);
        }
    }
    ERR_clear_error();
}

/* ---- certificates ---- */

static void rfc3339(time_t at, char out[32])
{
    struct tm tm;

    if (gmtime_r(&at, &tm) == NULL || strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        out[0] = '\0';
}

static void rfc3339_of(const ASN1_TIME *at, char out[32])
{
    struct tm tm;

    if (ASN1_TIME_to_tm(at, &tm) != 1 || strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        out[0] = '\0';
}

static void out_of_time(X509 *cert, bool early, char *out, size_t n)
{
    char now[32], then[32] = "";

    rfc3339(time(NULL), now);
    if (cert != NULL)
        rfc3339_of(early ? X509_get0_notBefore(cert) : X509_get0_notAfter(cert), then);
    snprintf(out, n, "x509: certificate has expired or is not yet valid: current time %s is %s %s",
             now, early ? "before" : "after", then);
}

static void other_host(X509 *cert, const char *host, char *out, size_t n)
{
    struct tls_peer_names names;
    bool ip = host != NULL &&
              (strchr(host, ':') != NULL || strspn(host, "0123456789.") == strlen(host));
    size_t at, count;

    if (cert == NULL || host == NULL) {
        snprintf(out, n, "x509: certificate is not valid for the name");
        return;
    }
    tls__names_of(cert, &names);
    count = ip ? names.ips_n : names.names_n;
    if (count == 0 && ip) {
        snprintf(out, n,
                 "x509: cannot validate certificate for %s because it doesn't contain any IP SANs",
                 host);
    } else if (count == 0) {
        snprintf(out, n, "x509: certificate is not valid for any names, but wanted to match %s",
                 host);
    } else {
        at = (size_t) snprintf(out, n, "x509: certificate is valid for ");
        for (size_t i = 0; i < count && at < n; i++)
            at += (size_t) snprintf(out + at, n - at, "%s%s", i > 0 ? ", " : "",
                                    ip ? names.ips[i] : names.names[i]);
        if (at < n)
            snprintf(out + at, n - at, ", not %s", host);
    }
    tls__names_done(&names);
}

const char *tls__verify_text(long result, X509 *cert, const char *host, char *out, size_t n)
{
    switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        out_of_time(cert, result == X509_V_ERR_CERT_NOT_YET_VALID, out, n);
        break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        other_host(cert, host, out, n);
        break;
    case X509_V_ERR_INVALID_PURPOSE:
        snprintf(out, n, "x509: certificate specifies an incompatible key usage");
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        snprintf(out, n, "x509: certificate signed by unknown authority");
        break;
    default:
        snprintf(out, n, "x509: %s", X509_verify_cert_error_string(result));
        break;
    }
    return out;
}
