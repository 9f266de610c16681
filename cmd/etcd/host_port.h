/* host_port.h -- "host:port" as Go's net package takes it apart, and what a host stands for. */
#ifndef KETCH_CMD_ETCD_HOST_PORT_H
#define KETCH_CMD_ETCD_HOST_PORT_H

#include "base/arena.h"
#include "base/err.h"

struct host_port {
    const char *host; /* without brackets; may be empty */
    const char *port; /* may be empty, or anything but a number */
};

/* net.SplitHostPort.  The parts are made in the arena.  ERR_INVALID "address TEXT: WHY" with Go's
 * words, ERR_NOMEM. */
NODISCARD int host_port_split(const char *text, struct arena *a, struct host_port *ret,
                              struct err *e);

/* The port to listen on, a number or the name of a service; "": 0, one that is free.  ERR_INVALID
 * with net.Listen's words. */
NODISCARD int host_port_listen(const char *port, uint16_t *ret, struct err *e);

#define HOST_ADDRESSES_MAX 32 /* of one host; further ones are not looked at */
#define HOST_ADDRESS_BYTES 64

struct host_addresses {
    char v[HOST_ADDRESSES_MAX][HOST_ADDRESS_BYTES]; /* numeric */
    size_t n;
};

/* net.LookupHost.  Waits.  False: nobody knows the host, or it is empty. */
NODISCARD bool host_look_up(const char *host, struct host_addresses *ret);

#endif
