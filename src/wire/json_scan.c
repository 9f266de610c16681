/* json_scan.c -- where a JSON value ends, and what is wrong with it in the words of Go's
 * encoding/json.
 *
 * A state per kind of byte that may come next; what is around the value is a stack of one bit per
 * level.  A number at the top ends only with the byte behind it. */
#include "wire/json.h"

enum scan_state {
    BEGIN_VALUE,
    BEGIN_VALUE_OR_END, /* behind [ */
    BEGIN_KEY,          /* behind a comma in an object */
    BEGIN_KEY_OR_END,   /* behind { */
    IN_STRING,
    IN_ESCAPE,
    IN_HEX,
    MINUS,
    ZERO,     /* a number's leading zero */
    INTEGER,  /* other digits before the point */
    POINT,    /* the point, no digit yet */
    FRACTION, /* digits behind the point */
    EXPONENT, /* the e */
    EXPONENT_SIGN,
    EXPONENT_DIGITS,
    IN_WORD,
    END_VALUE,
    DONE,
    FAILED,
};

void json_scan_init(struct json_scan *s)
{
    /* The stack need not be cleared: a bit is written before it is read. */
    s->state = BEGIN_VALUE;
    s->in_key = false;
    s->depth = 0;
    s->text[0] = '\0';
}

static bool blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool hex(uint8_t c)
{
    return digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* A byte as Go quotes the rune of that number. */
static void quote(uint8_t c, char *out, size_t cap)
{
    static const char escaped[] = "\aa\bb\ff\nn\rr\tt\vv\\\\''";

    for (size_t i = 0; i + 1 < sizeof escaped; i += 2) {
        if (c == (uint8_t) escaped[i]) {
            snprintf(out, cap, "'\\%c'", escaped[i + 1]);
            return;
        }
    }
    if (c < 0x20 || c == 0x7f)
        snprintf(out, cap, "'\\x%02x'", c);
    else if (c < 0x80)
        snprintf(out, cap, "'%c'", c);
    else if (c <= 0xa0 || c == 0xad)
        snprintf(out, cap, "'\\u%04x'", c);
    else
        snprintf(out, cap, "'%c%c'", 0xc0 | c >> 6, 0x80 | (c & 0x3f));
}

static void fail(struct json_scan *s, uint8_t c, const char *where)
{
    char quoted[12];

    quote(c, quoted, sizeof quoted);
    snprintf(s->text, sizeof s->text, "invalid character %s %s", quoted, where);
    s->state = FAILED;
}

static bool in_object(const struct json_scan *s)
{
    return (s->objects[(s->depth - 1) / 8] >> (s->depth - 1) % 8 & 1) != 0;
}

static void push(struct json_scan *s, uint8_t c)
{
    uint8_t bit = (uint8_t) (1 << s->depth % 8);

    if (s->depth == JSON_DEPTH_MAX) {
        fail(s, c, "exceeded max depth");
        return;
    }
    if (c == '{')
        s->objects[s->depth / 8] |= bit;
    else
        s->objects[s->depth / 8] &= (uint8_t) ~bit;
    s->depth++;
    s->in_key = c == '{';
    s->state = c == '{' ? BEGIN_KEY_OR_END : BEGIN_VALUE_OR_END;
}

/* What is around is an object's value or a list's element. */
static void pop(struct json_scan *s)
{
    s->depth--;
    s->in_key = false;
    s->state = s->depth == 0 ? DONE : END_VALUE;
}

static void word(struct json_scan *s, const char *literal)
{
    s->literal = literal;
    s->word = literal + 1;
    s->state = IN_WORD;
}

static void begin_value(struct json_scan *s, uint8_t c)
{
    if (c == '{' || c == '[')
        push(s, c);
    else if (c == '"')
        s->state = IN_STRING;
    else if (c == '-')
        s->state = MINUS;
    else if (c == '0')
        s->state = ZERO;
    else if (digit(c))
        s->state = INTEGER;
    else if (c == 't' || c == 'f' || c == 'n')
        word(s, c == 't' ? "true" : c == 'f' ? "false" : "null");
    else if (!blank(c))
        fail(s, c, "looking for beginning of value");
}

/* Behind a value, or a key. */
static void end_value(struct json_scan *s, uint8_t c)
{
    s->state = END_VALUE;
    if (blank(c))
        return;
    if (!in_object(s)) {
        if (c == ',')
            s->state = BEGIN_VALUE;
        else if (c == ']')
            pop(s);
        else
            fail(s, c, "after array element");
    } else if (s->in_key) {
        s->in_key = false;
        s->state = BEGIN_VALUE;
        if (c != ':')
            fail(s, c, "after object key");
    } else if (c == ',') {
        s->in_key = true;
        s->state = BEGIN_KEY;
    } else if (c == '}') {
        pop(s);
    } else {
        fail(s, c, "after object key:value pair");
    }
}

static void begin_key(struct json_scan *s, uint8_t c)
{
    if (c == '"')
        s->state = IN_STRING;
    else if (!blank(c))
        fail(s, c, "looking for beginning of object key string");
}

static void string_byte(struct json_scan *s, uint8_t c)
{
    if (c == '"')
        s->state = END_VALUE;
    else if (c == '\\')
        s->state = IN_ESCAPE;
    else if (c < 0x20)
        fail(s, c, "in string literal");
}

static void escape_byte(struct json_scan *s, uint8_t c)
{
    s->left = 4;
    if (c == 'u')
        s->state = IN_HEX;
    else if (memchr("bfnrt\\/\"", c, 8) != NULL)
        s->state = IN_STRING;
    else
        fail(s, c, "in string escape code");
}

static void hex_byte(struct json_scan *s, uint8_t c)
{
    if (!hex(c))
        fail(s, c, "in \\u hexadecimal character escape");
    else if (--s->left == 0)
        s->state = IN_STRING;
}

static void word_byte(struct json_scan *s, uint8_t c)
{
    char where[48];

    if (c != (uint8_t) *s->word) {
        snprintf(where, sizeof where, "in literal %s (expecting '%c')", s->literal, *s->word);
        fail(s, c, where);
    } else if (*++s->word == '\0') {
        s->state = END_VALUE;
    }
}

/* A byte of a number; false: it stands behind the number. */
static bool number_byte(struct json_scan *s, uint8_t c)
{
    bool whole = s->state == ZERO || s->state == INTEGER;

    if (digit(c) && s->state != ZERO) {
        if (s->state == MINUS)
            s->state = c == '0' ? ZERO : INTEGER;
        else if (s->state == POINT)
            s->state = FRACTION;
        else if (s->state == EXPONENT || s->state == EXPONENT_SIGN)
            s->state = EXPONENT_DIGITS;
        return true;
    }
    if (whole && c == '.')
        s->state = POINT;
    else if ((whole || s->state == FRACTION) && (c == 'e' || c == 'E'))
        s->state = EXPONENT;
    else if (s->state == EXPONENT && (c == '+' || c == '-'))
        s->state = EXPONENT_SIGN;
    else if (s->state == MINUS)
        fail(s, c, "in numeric literal");
    else if (s->state == POINT)
        fail(s, c, "after decimal point in numeric literal");
    else if (s->state == EXPONENT || s->state == EXPONENT_SIGN)
        fail(s, c, "in exponent of numeric literal");
    else
        return false;
    return true;
}

/* False: the value at the top ended in front of c. */
static bool step(struct json_scan *s, uint8_t c)
{
    switch ((enum scan_state) s->state) {
    case BEGIN_VALUE_OR_END:
        if (c == ']')
            pop(s);
        else
            begin_value(s, c);
        return true;
    case BEGIN_VALUE:
        begin_value(s, c);
        return true;
    case BEGIN_KEY_OR_END:
        if (c == '}')
            pop(s);
        else
            begin_key(s, c);
        return true;
    case BEGIN_KEY:
        begin_key(s, c);
        return true;
    case IN_STRING:
        string_byte(s, c);
        return true;
    case IN_ESCAPE:
        escape_byte(s, c);
        return true;
    case IN_HEX:
        hex_byte(s, c);
        return true;
    case IN_WORD:
        word_byte(s, c);
        return true;
    case END_VALUE:
        break;
    default:
        if (number_byte(s, c))
            return true;
    }
    if (s->depth == 0)
        return false;
    end_value(s, c);
    return true;
}

enum json_scanned json_scan(struct json_scan *s, struct bytes in, size_t *ret_used)
{
    size_t i = 0;

    ASSERT(s->state != FAILED);
    while (i < in.n && s->state != DONE && s->state != FAILED) {
        if (!step(s, in.p[i])) {
            s->state = DONE;
            break;
        }
        i++;
    }
    *ret_used = i;
    if (s->state == FAILED)
        return JSON_SCAN_BAD;
    return s->state == DONE ? JSON_SCAN_DONE : JSON_SCAN_MORE;
}

enum json_scanned json_scan_end(struct json_scan *s)
{
    bool at_start = s->depth == 0 && s->state == BEGIN_VALUE;

    if (at_start)
        return JSON_SCAN_MORE;
    if (s->state != DONE && (s->depth > 0 || step(s, ' '))) {
        snprintf(s->text, sizeof s->text, "unexpected EOF");
        s->state = FAILED;
        return JSON_SCAN_BAD;
    }
    s->state = DONE;
    return JSON_SCAN_DONE;
}
