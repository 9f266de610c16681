/* endpoint.h -- what a user writes for an endpoint ("host:port", "https://host:port",
 * "unix://path" ...), and the address that it leads to.
 *
 * Threads: any.   Memory: an address owns its strings.
 */
#ifndef KETCH_CLIENT_ENDPOINT_H
#define KETCH_CLIENT_ENDPOINT_H

#include "base/err.h"

struct endpoint_address {
    char *host; /* NULL: a unix socket */
    uint16_t port;
    char *unix_path;
    char *authority; /* host:port or path, as it is shown */
    bool tls;        /* the scheme asks for it */
    bool plain;      /* the scheme forbids it */
};

/* ERR_INVALID with words for the user, ERR_NOMEM.  Free with endpoint_address_done. */
NODISCARD int endpoint_parse(const char *text, struct endpoint_address *ret, struct err *e);
void endpoint_address_done(struct endpoint_address *a); /* an empty one is accepted */

#endif
