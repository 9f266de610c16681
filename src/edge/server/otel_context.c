/* traceparent and tracestate: www.w3.org/TR/trace-context. */
#include "edge/server/otel_context.h"

#define VERSION_MAX 0xfe
#define KEY_BYTES_MAX 256
#define TENANT_BYTES_MAX 241
#define SYSTEM_BYTES_MAX 14
#define VALUE_BYTES_MAX 256

/* ---- traceparent ---- */

/* What stands before the next `c`, which is taken, too; everything when there is none. */
static struct bytes cut(struct bytes *text, char c)
{
    const uint8_t *at = text->n == 0 ? NULL : memchr(text->p, c, text->n);
    size_t n = at == NULL ? text->n : (size_t) (at - text->p);
    struct bytes part = bytes_of(text->p, n);

    n += at != NULL;
    *text = bytes_of(n == 0 ? text->p : text->p + n, text->n - n);
    return part;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The next part: exactly n bytes in lower-case hex. */
static bool hex_part(struct bytes *text, uint8_t *out, size_t n)
{
    struct bytes part = cut(text, '-');

    if (part.n != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int high = hex_digit(part.p[2 * i]), low = hex_digit(part.p[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t) (high << 4 | low);
    }
    return true;
}

static bool all_zero(const uint8_t *p, size_t n)
{
    uint8_t any = 0;

    for (size_t i = 0; i < n; i++)
        any |= p[i];
    return any == 0;
}

bool otel_traceparent(struct bytes text, struct otel_context *ret)
{
    struct otel_context x;
    uint8_t version;

    if (!hex_part(&text, &version, 1) || version > VERSION_MAX)
        return false;
    if (!hex_part(&text, x.trace_id, sizeof x.trace_id) ||
        !hex_part(&text, x.span_id, sizeof x.span_id) || !hex_part(&text, &x.flags, 1))
        return false;
    /* Later versions may have more parts and more flags. */
    if (version == 0 && (text.n != 0 || x.flags > (OTEL_SAMPLED | OTEL_RANDOM)))
        return false;
    if (all_zero(x.trace_id, sizeof x.trace_id) || all_zero(x.span_id, sizeof x.span_id))
        return false;
    x.flags &= OTEL_SAMPLED | OTEL_RANDOM;
    *ret = x;
    return true;
}

/* ---- tracestate ---- */

static bool is_small(uint8_t c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* A letter, or a digit where `digit` says so; behind it also underscores, dashes, stars, slashes.
 */
static bool name_ok(struct bytes s, size_t n_max, bool digit)
{
    if (s.n == 0 || s.n > n_max || !(is_small(s.p[0]) || (digit && is_digit(s.p[0]))))
        return false;
    for (size_t i = 1; i < s.n; i++) {
        if (!is_small(s.p[i]) && !is_digit(s.p[i]) &&
            (s.p[i] == 0 || strchr("_-*/", s.p[i]) == NULL))
            return false;
    }
    return true;
}

static bool key_ok(struct bytes key)
{
    struct bytes rest = key;
    struct bytes tenant = cut(&rest, '@');

    if (tenant.n == key.n)
        return name_ok(key, KEY_BYTES_MAX, false);
    return name_ok(tenant, TENANT_BYTES_MAX, true) && name_ok(rest, SYSTEM_BYTES_MAX, false);
}

/* Printable, without '=' (there is no ',' any more), not ending in a blank. */
static bool value_ok(struct bytes v)
{
    if (v.n == 0 || v.n > VALUE_BYTES_MAX || v.p[v.n - 1] == ' ')
        return false;
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] < ' ' || v.p[i] > '~' || v.p[i] == '=')
            return false;
    }
    return true;
}

static bool member_split(struct bytes member, struct bytes *ret_key, struct bytes *ret_value)
{
    struct bytes value = member;
    struct bytes key = cut(&value, '=');

    if (key.n == member.n)
        return false;
    while (key.n > 0 && is_blank(key.p[0]))
        key = bytes_of(key.p + 1, key.n - 1);
    while (value.n > 0 && is_blank(value.p[value.n - 1]))
        value.n--;
    *ret_key = key;
    *ret_value = value;
    return key_ok(key) && value_ok(value);
}

static char *put(char *to, struct bytes s)
{
    memcpy(to, s.p, s.n);
    return to + s.n;
}

size_t otel_tracestate(struct bytes text, char *out)
{
    struct bytes keys[OTEL_STATE_MEMBERS_MAX];
    size_t n = 0;
    char *to = out;

    while (text.n > 0) {
        struct bytes member = cut(&text, ','), key, value;

        if (member.n == 0)
            continue;
        if (n == OTEL_STATE_MEMBERS_MAX || !member_split(member, &key, &value))
            return 0;
        for (size_t i = 0; i < n; i++) {
            if (bytes_eq(keys[i], key))
                return 0;
        }
        keys[n++] = key;
        if (to != out)
            *to++ = ',';
        to = put(to, key);
        *to++ = '=';
        to = put(to, value);
    }
    return (size_t) (to - out);
}
