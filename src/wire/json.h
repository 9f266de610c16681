/* json.h -- protobuf messages as JSON and back, driven by protobuf-c's descriptors, as etcd's
 * gateway has them: Go's encoding/json finds the end of a value, its protojson reads and writes
 * messages with proto field names, without default values, and passing over unknown fields.
 *
 *      names       range_end and rangeEnd are read, range_end is written
 *      64 bits     read as number or string ("5", 5, 5.0, 50e-1), written as strings
 *      bytes       read in base64 of either alphabet with or without padding, written in the
 *                  standard one with padding
 *      enums       read as name or number (unknown names are passed over), written as names
 *      null        is a field that is not set
 *
 * Three parts, none of which holds more than it is given: json_scan finds where a value ends, in
 * pieces of input as they come; json_read makes a message's bytes of a value; json_write makes text
 * of a message's bytes, in pieces as they come.
 *
 * Threads: any; a struct json_scan or json_write from one at a time.   Memory: results of json_read
 * lie in the caller's arena; a json_write holds a stack of its own, and one string at a time.
 */
#ifndef KETCH_WIRE_JSON_H
#define KETCH_WIRE_JSON_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

/* Objects and lists in one another; encoding/json has this very limit. */
#define JSON_DEPTH_MAX 10000

#define JSON_TEXT_BYTES_MAX 80 /* of Go's words about what is no JSON */

/* ---- where a value ends ---- */

struct json_scan {
    uint8_t state;    /* of enum scan_state in json_scan.c */
    bool in_key;      /* of the innermost object: its key comes or was read, not its value */
    uint8_t left;     /* hexadecimal digits of an escape still to come */
    const char *word; /* the rest of true, false or null */
    const char *literal;
    uint32_t depth;
    uint8_t objects[JSON_DEPTH_MAX / 8 + 1]; /* a bit per level: it is an object */
    char text[JSON_TEXT_BYTES_MAX];          /* after JSON_SCAN_BAD: Go's words */
};

enum json_scanned {
    JSON_SCAN_MORE, /* the value goes on behind `in`, or has not begun */
    JSON_SCAN_DONE,
    JSON_SCAN_BAD, /* s->text says why */
};

void json_scan_init(struct json_scan *s);

/* Goes on with `in`.  *ret_used: how much of it belongs to the value or stands in front of it. */
enum json_scanned json_scan(struct json_scan *s, struct bytes in, size_t *ret_used);

/* There is no more input: DONE, BAD ("unexpected EOF"), or MORE: no value had begun. */
enum json_scanned json_scan_end(struct json_scan *s);

/* ---- a value as a message ---- */

/* `text` is a value that json_scan has found whole, blanks in front of it included.
 *
 * 0 and the encoded message; ERR_INVALID with protojson's words; ERR_LIMIT: longer than bytes_max
 * when encoded, or past the arena's maximum. */
NODISCARD int json_read(const ProtobufCMessageDescriptor *d, struct bytes text, size_t bytes_max,
                        struct arena *a, struct bytes *ret, struct err *e);

/* ---- a message as a value ---- */

/* Messages in one another in an answer: transactions in one another, two levels each. */
#define JSON_WRITE_DEPTH_MAX 1040

struct json_frame {
    const ProtobufCMessageDescriptor *d;  /* NULL: packed numbers of `list` */
    const ProtobufCFieldDescriptor *list; /* the list that is open; NULL: none */
    bool any;                             /* something was written */
    uint64_t left;                        /* bytes of the message still to come; top: unused */
};

struct json_write {
    bool html; /* escape what encoding/json escapes beyond protojson: < > & U+2028 U+2029 */
    bool bad;  /* the bytes are no message of its type, or `out` refused */
    uint8_t state;
    uint8_t shift; /* of the varint that is being read; of a fixed number */
    uint64_t number;
    const ProtobufCFieldDescriptor *field; /* NULL: unknown */
    uint64_t left;                         /* bytes of the value still to come */
    uint8_t carry[3];                      /* of base64 */
    uint8_t carry_n;
    struct buf string; /* a string field that is being read */
    struct json_frame *frames;
    uint32_t depth;
    uint32_t cap;
};

/* json_write_done frees what gathers. */
void json_write_init(struct json_write *w, bool html);
void json_write_done(struct json_write *w);

/* A new message begins; d may not be NULL.  False, here and below: w->bad, also for want of memory
 * or past JSON_WRITE_DEPTH_MAX; what `out` holds by then is of no use. */
bool json_write_begin(struct json_write *w, const ProtobufCMessageDescriptor *d, struct buf *out);
/* More of its bytes, cut anywhere. */
bool json_write_part(struct json_write *w, struct bytes in, struct buf *out);
/* It is complete. */
bool json_write_end(struct json_write *w, struct buf *out);

#endif
