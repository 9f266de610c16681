/* url.h -- peer URLs as etcd accepts them. */
#ifndef KETCH_CMD_ETCDUTL_URL_H
#define KETCH_CMD_ETCDUTL_URL_H

#include "base/arena.h"
#include "base/err.h"

/* What Go's url.Parse and etcd's own rule make of one URL: its text with the scheme in lower case,
 * in the arena.  Spaces around it are dropped.  ERR_INVALID with their words, ERR_NOMEM. */
NODISCARD int url_read(struct bytes in, struct arena *a, const char **ret, struct err *e);

/* The URL with its host's address in place of the host's name; "localhost" and sockets of the file
 * system stay.  ERR_NOT_FOUND: nobody knows the host. */
NODISCARD int url_resolve(const char *url, struct arena *a, const char **ret, struct err *e);

#endif
