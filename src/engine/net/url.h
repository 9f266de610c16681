/* url.h -- one URL of etcd's lists (types.NewURLs over Go's url.Parse), with their words for what
 * they refuse.
 *
 * http and https want "//host:port" and nothing behind it; unix and unixs take any path.
 *
 * Threads: any.   Memory: the parts are made in the arena.
 */
#ifndef KETCH_ENGINE_NET_URL_H
#define KETCH_ENGINE_NET_URL_H

#include "base/arena.h"
#include "base/err.h"

struct url {
    const char *scheme; /* http, https, unix, unixs */
    const char *host;   /* without brackets; of unix: host and path as they were written */
    const char *port;   /* digits, perhaps none; "" for unix */
    const char *text;   /* the whole: blanks around it cut off, the scheme in lower case */
};

/* ERR_INVALID:
 *
 *   parse "http://a:x": invalid port ":x" after host
 *   URL address does not have the form "host:port": http://a
 *   URL must not contain a path: http://a:1/
 *   URL scheme must be http, https, unix, or unixs: ftp://a:1
 *
 * ERR_NOMEM. */
NODISCARD int url_parse(const char *s, struct arena *a, struct url *ret, struct err *e);

#endif
