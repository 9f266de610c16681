/* gojson.h -- strings of JSON text byte for byte as Go's encoding/json writes them, for what etcd
 * stores and hashes, and as its protojson does, for the gateway.
 *
 * Threads: any.   Memory: strings are borrowed.  That the buffer refused is kept in it (buf.h).
 */
#ifndef KETCH_WIRE_GOJSON_H
#define KETCH_WIRE_GOJSON_H

#include "base/buf.h"

/* Appends s as a quoted string.  Besides what JSON demands, '<', '>', '&', U+2028 and U+2029 are
 * escaped, and bytes that are not UTF-8 become U+FFFD.  False when the buffer refuses. */
bool gojson_add_string(struct buf *b, struct bytes s);

/* The same in the words of protojson: what is not UTF-8 becomes the character U+FFFD itself, and
 * those that encoding/json escapes beyond JSON are escaped only with `html`. */
bool json_add_string(struct buf *out, struct bytes s, bool html);

/* Appends ["a","b"]; null when there are none and `null_when_empty`, else []. */
bool gojson_add_strings(struct buf *b, const char *const *v, size_t n, bool null_when_empty);

#endif
