/* client_limits.h -- the limits of the client library: name, unit, reason. */
#ifndef KETCH_CLIENT_CLIENT_LIMITS_H
#define KETCH_CLIENT_CLIENT_LIMITS_H

/* A cluster has 3 to 7 members; a list longer than this is a mistake. */
#define CLIENT_ENDPOINTS_MAX 1024

/* etcd's client: 2 MiB out, anything in. */
#define CLIENT_REQUEST_BYTES_MAX ((size_t) 2 << 20)
#define CLIENT_RESPONSE_BYTES_MAX ((size_t) INT32_MAX)

/* A decoded message against its encoded form: two bytes on the wire make at most one empty
 * sub-message of some 100 bytes and a pointer to it. */
#define CLIENT_DECODED_PER_BYTE 64
#define CLIENT_DECODED_BYTES_MIN ((size_t) 64 << 10)

/* etcd's client, "retry.go": a reading call is tried so often, so far apart, so much in disorder.
 */
#define CLIENT_ATTEMPTS_MAX 100
#define CLIENT_RETRY_US 25000
#define CLIENT_RETRY_JITTER_PERCENT 10

/* Between two attempts to connect to one endpoint: doubled from the first to the last. */
#define CLIENT_REDIAL_MS_MIN 100
#define CLIENT_REDIAL_MS_MAX 10000

/* Between two attempts to open a watch or keep-alive stream that the server ended. */
#define CLIENT_REOPEN_MS 100

/* An answer of DNS has 64 KB at most. */
#define CLIENT_SRV_BYTES_MAX ((size_t) 1 << 20)

/* A metrics page has some 100 KB. */
#define CLIENT_PAGE_BYTES_MAX ((size_t) 16 << 20)

#define CLIENT_DIAL_TIMEOUT_MS 2000
#define CLIENT_KEEPALIVE_TIMEOUT_MS 6000

#endif
