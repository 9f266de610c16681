/* json_int.h -- tokens of JSON text, and what they stand for, for json_read.c.  Private to wire. */
#ifndef KETCH_WIRE_JSON_INT_H
#define KETCH_WIRE_JSON_INT_H

#include "wire/json.h"

/* Text that json_scan has accepted, and how far it was read. */
struct json_lex {
    struct bytes text; /* begins with the value: positions count from here */
    size_t at;
    struct arena *arena; /* for strings with escapes */
    struct err *e;
};

enum json_kind {
    JSON_END,
    JSON_NULL,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_OPEN_OBJECT,
    JSON_CLOSE_OBJECT,
    JSON_OPEN_LIST,
    JSON_CLOSE_LIST,
};

struct json_token {
    enum json_kind kind;
    size_t at;
    struct bytes raw;
    struct bytes string; /* of JSON_STRING: what it says */
};

/* The next token; commas, colons and blanks are passed over.  ERR_INVALID with protojson's words,
 * ERR_LIMIT without memory. */
NODISCARD int json__next(struct json_lex *l, struct json_token *ret);

/* The kind of the next token, which stays the next. */
enum json_kind json__peek(struct json_lex *l);

/* Passes over one value. */
NODISCARD int json__skip(struct json_lex *l);

/* "proto: (line 1:8): ..." and "proto: syntax error (line 1:8): ..." at a place of the text. */
int json__error(struct json_lex *l, size_t at, const char *fmt, ...) PRINTF_LIKE(3, 4);
int json__syntax_error(struct json_lex *l, size_t at, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* A number without fraction, however written ("5", "5.0", "50e-1"), that fits `bits` bits, signed
 * or not; two's complement in *ret.  `text` may have more behind the number. */
bool json__integer(struct bytes text, unsigned bits, bool is_signed, uint64_t *ret);

/* Decodes base64 in either alphabet, with padding or, where the length is no multiple of 4, without
 * any.  out NULL: only says how long the result is. */
bool json__base64(struct bytes text, uint8_t *out, size_t *ret_n);

#endif
