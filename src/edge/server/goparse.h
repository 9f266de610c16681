/* goparse.h -- numbers and booleans as Go programs read them, with Go's words when they refuse. */
#ifndef KETCH_EDGE_SERVER_GOPARSE_H
#define KETCH_EDGE_SERVER_GOPARSE_H

#include "base/err.h"

/* ERR_INVALID "parse error" or ERR_LIMIT "value out of range".  Prefixes 0x, 0o, 0b, 0 and
 * underscores between digits are taken, as by strconv with base 0. */
NODISCARD int go_uint_parse(const char *s, uint64_t max, uint64_t *ret, struct err *e);
NODISCARD int go_int_parse(const char *s, int64_t *ret, struct err *e);
NODISCARD int go_bool_parse(const char *s, bool *ret, struct err *e);

#endif
