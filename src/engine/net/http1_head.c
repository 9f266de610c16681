/* http1_head.c -- what is looked at in a head beside what the parser looks at: the parser takes
 * more than Go's server does, and two that read one request in two ways are how requests are
 * smuggled (RFC 9112 11.2). */
#define _GNU_SOURCE
#include "engine/net/http1_int.h"

static bool is_alpha(uint8_t c)
{
    c |= 0x20;
    return c >= 'a' && c <= 'z';
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* RFC 9110 5.6.2. */
static bool is_token_char(uint8_t c)
{
    return is_alpha(c) || is_digit(c) || (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(struct bytes s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!is_token_char(s.p[i]))
            return false;
    }
    return s.n > 0;
}

static struct bytes trimmed(struct bytes s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = bytes_of(s.p + 1, s.n - 1);
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* ASCII; `lower` is lower case. */
static bool equal_fold(struct bytes s, const char *lower)
{
    if (s.n != strlen(lower))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if ((is_alpha(s.p[i]) ? s.p[i] | 0x20 : s.p[i]) != (uint8_t) lower[i])
            return false;
    }
    return true;
}

/* ---- the method ---- */

/* The parser knows the methods of its own list only, and which others are allowed is for handlers
 * to say: it is shown one of its own.  None but CONNECT changes how it reads a request. */
static bool show_method(struct http1 *h)
{
    const char *shown = equal_fold(http1__method(h), "connect") ? "CONNECT " : "POST ";
    size_t n = strlen(shown);

    h->method_done = true;
    return http1__execute(h, (const uint8_t *) shown, n) == n && !h->broken;
}

size_t http1__take_method(struct http1 *h, const uint8_t *p, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        if (h->method_n == 0 && (p[i] == '\r' || p[i] == '\n'))
            continue; /* RFC 9112 2.2 */
        if (p[i] == ' ' && h->method_n > 0) {
            if (!show_method(h) && !h->broken)
                http1__refuse(h, 400, "");
            return i + 1;
        }
        if (!is_token_char(p[i]) || h->method_n == HTTP1_METHOD_BYTES_MAX) {
            http1__refuse(h, 400, "");
            return n;
        }
        h->method[h->method_n++] = p[i];
    }
    return n;
}

/* ---- the target ---- */

/* As Go's httpguts.ValidHostHeader: what can be in "host:port", literals of IPv6 too. */
static bool host_ok(struct bytes s)
{
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];

        if (!is_alpha(c) && !is_digit(c) && (c == 0 || strchr("!$%&()*+,-.:;=[]'_~", c) == NULL))
            return false;
    }
    return true;
}

/* Length of "http://" and the like; 0: `t` does not begin so. */
static size_t scheme_length(struct bytes t)
{
    size_t n = 0;

    while (n < t.n && (is_alpha(t.p[n]) || (n > 0 && (is_digit(t.p[n]) || t.p[n] == '+' ||
                                                      t.p[n] == '-' || t.p[n] == '.'))))
        n++;
    return n > 0 && t.n - n >= 3 && memcmp(t.p + n, "://", 3) == 0 ? n + 3 : 0;
}

bool http1__split_target(struct bytes *target, struct bytes *ret_host)
{
    size_t at = scheme_length(*target), end = at;
    struct bytes host;

    if (at == 0)
        return true;
    while (end < target->n && target->p[end] != '/' && target->p[end] != '?')
        end++;
    for (size_t i = at; i < end; i++) {
        if (target->p[i] == '@')
            at = i + 1;
    }
    host = bytes_of(target->p + at, end - at);
    if (!host_ok(host) || (host.n > 0 && memchr(host.p, '%', host.n) != NULL))
        return false;
    *target = bytes_of(target->p + end, target->n - end);
    if (host.n > 0)
        *ret_host = host;
    return true;
}

/* ---- the fields ---- */

static bool fields_ok(struct http1 *h, struct http_req *r)
{
    struct bytes host = BYTES_EMPTY;
    unsigned hosts = 0, codings = 0;

    for (struct field *f = r->fields; f != NULL; f = f->next) {
        f->value = trimmed(f->value);
        if (bytes_eq(f->name, BYTES_LIT("host"))) {
            hosts++;
            host = f->value;
        }
        /* What other codings hide, and where the body of several ends, others may see otherwise. */
        if (r->version == 11 && bytes_eq(f->name, BYTES_LIT("transfer-encoding")) &&
            (++codings > 1 || !equal_fold(f->value, "chunked"))) {
            http1__refuse_with(h, 501, "", "Unsupported transfer encoding");
            return false;
        }
    }
    if (hosts > 1)
        http1__refuse(h, 400, "");
    else if (r->version == 11 && hosts == 0)
        http1__refuse(h, 400, ": missing required Host header");
    else if (!host_ok(host))
        http1__refuse(h, 400, ": malformed Host header");
    else
        return true;
    return false;
}

/* RFC 9112 5.1: a blank before the colon, too. */
static bool names_ok(struct http1 *h, const struct http_req *r)
{
    for (const struct field *f = r->fields; f != NULL; f = f->next) {
        if (!is_token(f->name)) {
            http1__refuse(h, 400, ": invalid header name");
            return false;
        }
    }
    return true;
}

static bool expect_ok(struct http1 *h, struct http_req *r)
{
    struct bytes expect;

    if (!http_header(r, "expect", &expect) || expect.n == 0)
        return true;
    r->expects_100 = equal_fold(expect, "100-continue");
    if (!r->expects_100)
        http1__refuse_with(h, 417, "", "");
    return r->expects_100;
}

bool http1__head_ok(struct http1 *h, struct http_req *r)
{
    return fields_ok(h, r) && names_ok(h, r) && expect_ok(h, r);
}
