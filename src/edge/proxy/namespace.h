/* namespace.h -- every key under a prefix: put before the keys of requests, taken from those of
 * answers, so that a client sees a store of its own.
 *
 * A range "to the end of all keys" (range_end of one zero byte) becomes one to the end of the
 * prefix.  Locks, elections and what is no key (leases, members, users) stay as they are, as in
 * etcd's proxy.
 *
 * Threads: any.   Memory: messages are decoded in the scratch arena, whose maximum bounds them.
 */
#ifndef KETCH_EDGE_PROXY_NAMESPACE_H
#define KETCH_EDGE_PROXY_NAMESPACE_H

#include <rpc.pb-c.h>

#include "base/arena.h"
#include "base/buf.h"

enum ns_verdict {
    NS_OK,
    NS_MALFORMED, /* no message of its type */
    NS_EMPTY_KEY, /* of a request: "etcdserver: key is not provided" */
    NS_NO_MEMORY, /* or past a maximum */
};

/* From one encoded message to another. */
typedef enum ns_verdict ns_map(struct bytes prefix, struct bytes in, struct arena *scratch,
                               struct buf *out);

/* What the method at `path` needs; NULL: nothing. */
ns_map *ns_request_map(const char *path);
ns_map *ns_response_map(const char *path);

/* For the requests and answers of watches. */
enum ns_verdict ns_watch_create(struct bytes prefix, Etcdserverpb__WatchCreateRequest *m,
                                struct arena *a);
ns_map ns_watch_response;

#endif
