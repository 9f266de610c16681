/* text.h -- values as the Go programs of etcd read and write them.
 *
 * Scripts compare the output of these tools with etcd's byte by byte, so numbers, durations, quoted
 * strings and the words about bad input follow Go's strconv, time and encoding packages.
 *
 * Writers append to a buffer (a refused append sets `failed` there).  Parsers return 0 or
 * ERR_INVALID / ERR_LIMIT with Go's own words in the error.
 * Threads: any.   Memory: nothing is kept.
 */
#ifndef KETCH_CMD_CLI_TEXT_H
#define KETCH_CMD_CLI_TEXT_H

#include "base/buf.h"
#include "base/err.h"

/* As fmt's %q: double quotes, Go escapes, printable Unicode as it is, invalid UTF-8 as \xNN. */
void text_quote(struct buf *out, struct bytes s);

/* The reverse, for text that begins with a double quote: appends the value and stores how many
 * bytes of `s` the quoted string takes.  ERR_INVALID "invalid syntax". */
NODISCARD int text_unquote(struct bytes s, struct buf *out, size_t *ret_len, struct err *e);

/* Is this code point printable as Go's unicode.IsPrint has it? */
bool text_is_print(uint32_t code_point);

/* One code point at the front of s (s.n > 0): its length 1 to 4, or 0 when the bytes are not UTF-8.
 */
size_t text_utf8_next(struct bytes s, uint32_t *ret_code_point);
void text_utf8_put(struct buf *out, uint32_t code_point);
size_t text_utf8_count(struct bytes s); /* code points; each invalid byte counts as one */

void text_base64(struct buf *out, struct bytes s);     /* standard alphabet, padded */
void text_hex_escape(struct buf *out, struct bytes s); /* \xNN per byte, lower case */

/* A lease as etcd's tools show it: %016x of a signed number, of whose width the sign is a part. */
void text_lease_id(struct buf *out, int64_t id);

/* As time.Duration prints itself: "9.72833ms", "1m2.5s", "0s". */
void text_duration(struct buf *out, int64_t ns);

/* As go-humanize's Bytes: powers of 1000, one decimal below ten units: "20 kB", "2.1 GB". */
void text_human_bytes(struct buf *out, uint64_t n);

/* strconv.ParseInt, ParseUint.  `base` is 10, 16, or 0: the prefixes 0x 0o 0b and underscores are
 * understood.  Errors read `strconv.ParseInt: parsing "x": invalid syntax` (ERR_INVALID) or
 * `... value out of range` (ERR_LIMIT). */
NODISCARD int text_parse_int(const char *s, int base, int64_t *ret, struct err *e);
NODISCARD int text_parse_uint(const char *s, int base, uint64_t *ret, struct err *e);

/* strconv.ParseFloat: `... parsing "x": invalid syntax` (ERR_INVALID). */
NODISCARD int text_parse_float(const char *s, double *ret, struct err *e);

/* The shortest text that is read back as the same number: "0.25", "1e+06", "NaN". */
void text_float(struct buf *out, double v);

/* strconv.ParseBool: 1 t T TRUE true True 0 f F FALSE false False. */
NODISCARD int text_parse_bool(const char *s, bool *ret, struct err *e);

/* time.ParseDuration: "1h30m", "1.5s", "-2ms", "0". */
NODISCARD int text_parse_duration(const char *s, int64_t *ret_ns, struct err *e);

/* RFC 3339 in UTC with microseconds, as etcd's loggers stamp their lines. */
void text_timestamp(struct buf *out, int64_t unix_us);

#endif
