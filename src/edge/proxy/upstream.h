/* upstream.h -- the members behind the proxy: a connection to each, and whose turn it is.
 *
 * Every member is dialled from the start, and again, a little later each time, whenever its
 * connection is gone.  The list may be replaced while calls are under way: a member that is no
 * longer in it gets no new calls, and its connection is closed when its last one has ended.
 *
 * Threads: the loop's.   Memory: options and endpoints are copied.
 */
#ifndef KETCH_EDGE_PROXY_UPSTREAM_H
#define KETCH_EDGE_PROXY_UPSTREAM_H

#include "engine/net/grpc_client.h"
#include "engine/net/tls.h"

struct upstream;
struct upstream_member;

struct upstream_options {
    struct loop *loop;
    const char *const *endpoints;
    size_t endpoints_n;
    struct tls *tls; /* for endpoints that do not say http:// or https://; NULL: cleartext.  A
                        reference is taken */
    int64_t keepalive_time_ms;
    int64_t keepalive_timeout_ms;
    bool keepalive_without_calls;
    size_t response_bytes_max;
};

/* ERR_INVALID with words for the operator, ERR_NOMEM, ERR_LIMIT. */
NODISCARD int upstream_new(const struct upstream_options *o, struct upstream **ret, struct err *e);

/* After all calls have ended and all waiters are gone.  NULL is accepted. */
void upstream_free(struct upstream *u);

/* Open calls end; nothing is dialled any more.  Before upstream_free. */
void upstream_close(struct upstream *u);

/* Replaces the list.  An endpoint that cannot be read leaves the list as it was. */
NODISCARD int upstream_set(struct upstream *u, const char *const *endpoints, size_t n,
                           struct err *e);

/* The members of the list: how many, and where member i is. */
size_t upstream_count(const struct upstream *u);
struct upstream_address {
    const char *host;
    uint16_t port;
    const char *unix_path;
    struct tls *tls;
};
struct upstream_address upstream_address(const struct upstream *u, size_t i);

/* Somebody who needs a member.  `go` runs once, perhaps from within upstream_wait; the member is
 * held for the caller until upstream_give. */
struct upstream_waiter {
    struct list link; /* empty: not waiting */
    void (*go)(struct upstream_waiter *w, struct upstream_member *m);
};

/* ERR_LIMIT: too many wait already; ERR_CLOSED.  Then `go` will not run. */
NODISCARD int upstream_wait(struct upstream *u, struct upstream_waiter *w);
void upstream_forget(struct upstream *u, struct upstream_waiter *w); /* who does not wait: too */

struct channel *upstream_channel(struct upstream_member *m);
void upstream_give(struct upstream_member *m); /* NULL is accepted */

bool upstream_is_closed(const struct upstream *u);

/* Why the last member that was dialled could not be reached; "" when none was. */
const char *upstream_why(const struct upstream *u);

#endif
