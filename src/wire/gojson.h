/* gojson.h -- JSON text byte for byte as Go's encoding/json writes it, for what etcd stores and
 * hashes. */
#ifndef KETCH_WIRE_GOJSON_H
#define KETCH_WIRE_GOJSON_H

#include "base/buf.h"

/* Appends s as a quoted string.  Besides what JSON demands, '<', '>', '&', U+2028 and U+2029 are
 * escaped, and bytes that are not UTF-8 become U+FFFD.  False when the buffer refuses. */
bool gojson_add_string(struct buf *b, struct bytes s);

/* Appends ["a","b"]; null when there are none and `null_when_empty`, else []. */
bool gojson_add_strings(struct buf *b, const char *const *v, size_t n, bool null_when_empty);

#endif
