/* bind.h -- taking an address to listen on.  Errors are in Go's words. */
#ifndef KETCH_ENGINE_NET_BIND_H
#define KETCH_ENGINE_NET_BIND_H

#include "base/err.h"

/* A listening socket, which the caller closes.  host: numeric, or a name that is resolved; "": all
 * addresses.  port 0: one that is free.
 *
 *   ERR_NET_ADDR_IN_USE   "listen tcp 127.0.0.1:2379: bind: address already in use"
 *   ERR_NET_RESOLVE, ERR_PERMISSION, ERR_IO */
NODISCARD int bind__tcp(const char *host, uint16_t port, bool reuse_port, int *ret_fd,
                        struct err *e);

/* The same for the path of a socket, which is replaced when nobody listens on it. */
NODISCARD int bind__unix(const char *path, int *ret_fd, struct err *e);

uint16_t bind__port(int fd);

#endif
