/* addr.h -- socket addresses and their texts. */
#ifndef KETCH_ENGINE_NET_ADDR_H
#define KETCH_ENGINE_NET_ADDR_H

#include <sys/socket.h>

#include "base/err.h"

#define ADDR_TEXT_BYTES 64
#define ADDR_ERRNO_BYTES 96
#define NET_HOST_BYTES 256 /* of a name */

struct addr {
    struct sockaddr_storage sa;
    socklen_t len;
};

/* "127.0.0.1:2379", "[::1]:2379", "@" for a unix socket without a name. */
void addr__text(const struct sockaddr *sa, char out[ADDR_TEXT_BYTES]);

/* Go's words for an errno: the C library's, with a small letter at the front. */
const char *addr__errno_words(int errnum, char out[ADDR_ERRNO_BYTES]);

/* ERR_INVALID when the path is too long for a socket. */
NODISCARD int addr__unix(const char *path, struct addr *ret, struct err *e);

/* The address in such a text, without port and brackets.  False: there is no port ("@"). */
bool addr__host_of(const char *text, char *out, size_t out_n);

uint16_t addr__port(const struct sockaddr *sa);
void addr__set_port(struct addr *a, uint16_t port);

/* "tcp HOST:PORT" with brackets where needed, as Go prints what it dials or listens on. */
void addr__target_text(const char *host, uint16_t port, char *out, size_t out_n);

#endif
