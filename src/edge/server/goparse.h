/* goparse.h -- numbers, booleans and URLs as Go programs read them, with Go's words when they
 * refuse. */
#ifndef KETCH_EDGE_SERVER_GOPARSE_H
#define KETCH_EDGE_SERVER_GOPARSE_H

#include "base/arena.h"
#include "base/err.h"

/* ERR_INVALID "parse error" or ERR_LIMIT "value out of range".  Prefixes 0x, 0o, 0b, 0 and
 * underscores between digits are taken, as by strconv with base 0. */
NODISCARD int go_uint_parse(const char *s, uint64_t max, uint64_t *ret, struct err *e);
NODISCARD int go_int_parse(const char *s, int64_t *ret, struct err *e);
NODISCARD int go_bool_parse(const char *s, bool *ret, struct err *e);

/* A URL of etcd's lists. */
struct url {
    const char *scheme; /* http, https, unix, unixs */
    const char *host;   /* without brackets; of unix: host and path as they were written */
    const char *port;   /* digits; "" for unix */
    const char *text;   /* the whole, blanks around it cut off */
};

/* Parts are made in the arena.  ERR_INVALID with the words of etcd. */
NODISCARD int url_parse(const char *s, struct arena *a, struct url *ret, struct err *e);

#endif
