/* proxy_limits.h -- every limit of the gRPC proxy: name, unit, reason. */
#ifndef KETCH_EDGE_PROXY_PROXY_LIMITS_H
#define KETCH_EDGE_PROXY_PROXY_LIMITS_H

#include <stddef.h>

/* Members; a cluster has 7. */
#define PROXY_ENDPOINTS_MAX 256

/* One attempt to connect to a member: as etcd's proxy. */
#define PROXY_DIAL_MS 5000

/* Between two attempts to connect to one member: doubled from the first to the last. */
#define PROXY_REDIAL_MS_MIN 100
#define PROXY_REDIAL_MS_MAX 3000

/* How long a call waits for a member that can be reached, when its client set no earlier end. */
#define PROXY_WAIT_MS 5000

/* Calls that wait for a member, about 3 KB each; further ones are refused. */
#define PROXY_WAITING_MAX 16384

/* Attempts of a call that only reads, and the pause between two rounds of them: etcd's client. */
#define PROXY_ATTEMPTS_MAX 100
#define PROXY_RETRY_MS 25

/* A message of a client: etcd's proxy has the 4 MiB that gRPC has when nobody says otherwise. */
#define PROXY_RECV_BYTES_MAX (4u << 20)

/* A call's memory: its request, that request under another name, and both decoded. */
#define PROXY_CALL_BYTES_MAX ((size_t) 64 << 20)

/* What a stream may hold for a side that does not take it; then the other side is paused. */
#define PROXY_STREAM_HIGH_BYTES ((size_t) 1 << 20)
#define PROXY_STREAM_LOW_BYTES ((size_t) 256 << 10)

/* A decoded message, beside its bytes: protobuf-c spends up to 30 bytes on one of input. */
#define PROXY_DECODED_PER_BYTE 40
#define PROXY_DECODED_BYTES_MIN ((size_t) 1 << 20)

/* The page of metrics of a member, some 100 KB. */
#define PROXY_PAGE_BYTES_MAX ((size_t) 16 << 20)
#define PROXY_PAGE_MS 10000

/* What etcd's proxy gives its looks at its own health. */
#define PROXY_HEALTH_MS 1000
#define PROXY_HEALTH_WATCH_MS 3000

/* Between two attempts to open a stream that many clients share. */
#define PROXY_REOPEN_MS 100

/* A registration's key or value; between two attempts to register. */
#define PROXY_REGISTER_BYTES_MAX ((size_t) 16384)
#define PROXY_REGISTER_MS 1000

/* Watches of all clients together, some 100 bytes each beside what is shared. */
#define PROXY_WATCHES_MAX ((size_t) 1 << 20)

/* What waits for a client that reads its watches slowly: beyond it its stream ends, because the
 * others that share the events do not wait for it. */
#define PROXY_WATCH_BEHIND_BYTES_MAX ((size_t) 16 << 20)

#endif
