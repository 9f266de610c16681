#define _GNU_SOURCE
#include "engine/net/url.h"

#include <ctype.h>

#include "base/blank.h"
#include "base/buf.h"

#define QUOTED_BYTES_MAX 400

/* ---- words ---- */

static void put_quoted(struct buf *out, const char *s)
{
    static const char letters[] = "abtnvfr"; /* of the characters from 7 on */

    buf_add_char(out, '"');
    for (; *s != 0; s++) {
        uint8_t c = (uint8_t) *s;

        if (c >= '\a' && c <= '\r')
            buf_printf(out, "\\%c", letters[c - '\a']);
        else if (c < ' ' || c == 0x7f)
            buf_printf(out, "\\x%02x", c);
        else
            buf_printf(out, c == '"' || c == '\\' ? "\\%c" : "%c", c);
    }
    buf_add_char(out, '"');
}

static int bad(struct err *e, const char *url, const char *why)
{
    struct buf quoted;

    buf_init(&quoted, QUOTED_BYTES_MAX);
    put_quoted(&quoted, url);
    err_set(e, ERR_INVALID, "parse %s: %s", quoted.failed ? "a long URL" : buf_cstr(&quoted), why);
    buf_done(&quoted);
    return ERR_INVALID;
}

static int no_host_port(struct err *e, const struct url *u)
{
    return err_set(e, ERR_INVALID, "URL address does not have the form \"host:port\": %s", u->text);
}

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "out of memory");
}

/* ---- parts ---- */

static char *cut(struct arena *a, const char *s, size_t n)
{
    return arena_printf(a, "%.*s", (int) n, s);
}

/* The length of the scheme in front of a colon; 0 without one. */
static size_t scheme_length(const char *s)
{
    size_t i = 0;

    while (isalpha((unsigned char) s[i]) ||
           (i > 0 && (isdigit((unsigned char) s[i]) || (s[i] != 0 && strchr("+-.", s[i]) != NULL))))
        i++;
    return s[i] == ':' ? i : 0;
}

/* What Go's parser says of the URL as a whole, or NULL. */
static const char *fault_of(const char *s)
{
    for (const char *p = s; *p != 0; p++) {
        if ((uint8_t) *p < ' ' || *p == 0x7f)
            return "net/url: invalid control character in URL";
    }
    if (s[0] == ':')
        return "missing protocol scheme";
    if (scheme_length(s) == 0 && s[strcspn(s, "/?#:")] == ':')
        return "first path segment in URL cannot contain colon";
    return NULL;
}

/* Where the port's colon is in s[0, n); NULL: there is none. */
static const char *port_colon(const char *s, size_t n)
{
    const char *from = s, *colon = NULL;

    if (n > 0 && s[0] == '[') {
        from = memchr(s, ']', n);
        return from + 1 < s + n ? from + 1 : NULL;
    }
    for (const char *p = from; p < s + n; p++)
        colon = *p == ':' ? p : colon;
    return colon;
}

/* What Go's parser says of "host:port"; writes into `text` what is not fixed. */
static const char *authority_fault(const char *s, size_t n, char *text, size_t text_bytes)
{
    const char *colon;

    if (n > 0 && s[0] == '[' && memchr(s, ']', n) == NULL)
        return "missing ']' in host";
    colon = port_colon(s, n);
    for (const char *p = colon; p != NULL && p < s + n; p++) {
        if (p == colon ? *p == ':' : isdigit((unsigned char) *p))
            continue;
        snprintf(text, text_bytes, "invalid port \"%.*s\" after host",
                 (int) MIN((size_t) (s + n - colon), text_bytes / 2), colon);
        return text;
    }
    return memchr(s, ' ', n) != NULL ? "invalid character \" \" in host name" : NULL;
}

/* Of http and https: everything behind the scheme's colon. */
static int parse_web(const char *rest, struct arena *a, struct url *u, struct err *e)
{
    char text[QUOTED_BYTES_MAX];
    const char *s = rest + 2, *host, *colon, *why;
    size_t n, path;

    if (strncmp(rest, "//", 2) != 0)
        return no_host_port(e, u);
    n = path = strcspn(s, "/?#");
    host = memrchr(s, '@', n);
    host = host == NULL ? s : host + 1;
    n -= (size_t) (host - s);
    why = authority_fault(host, n, text, sizeof text);
    if (why != NULL)
        return bad(e, u->text, why);
    colon = port_colon(host, n);
    if (colon == NULL || (host[0] != '[' && memchr(host, ':', (size_t) (colon - host)) != NULL))
        return no_host_port(e, u);
    if (s[path] == '/')
        return err_set(e, ERR_INVALID, "URL must not contain a path: %s", u->text);
    u->port = cut(a, colon + 1, n - (size_t) (colon + 1 - host));
    if (host[0] == '[')
        u->host = cut(a, host + 1, (size_t) (colon - host) - 2);
    else
        u->host = cut(a, host, (size_t) (colon - host));
    return u->host == NULL || u->port == NULL ? no_memory(e) : 0;
}

int url_parse(const char *s, struct arena *a, struct url *ret, struct err *e)
{
    struct bytes whole = bytes_trimmed(bytes_str(s));
    char *text = cut(a, (const char *) whole.p, whole.n), *rest;
    struct url u = {.port = "", .text = text};
    const char *why;
    size_t n;
    int rc;

    if (text == NULL)
        return no_memory(e);
    why = fault_of(text);
    if (why != NULL)
        return bad(e, text, why);
    n = scheme_length(text);
    for (size_t i = 0; i < n; i++)
        text[i] = (char) tolower((unsigned char) text[i]);
    u.scheme = cut(a, text, n);
    if (u.scheme == NULL)
        return no_memory(e);
    rest = text + n + (n > 0);
    if (strcmp(u.scheme, "http") == 0 || strcmp(u.scheme, "https") == 0) {
        rc = parse_web(rest, a, &u, e);
        if (rc != 0)
            return rc;
    } else if (strcmp(u.scheme, "unix") == 0 || strcmp(u.scheme, "unixs") == 0) {
        u.host = strncmp(rest, "//", 2) == 0 ? rest + 2 : rest;
    } else {
        return err_set(e, ERR_INVALID, "URL scheme must be http, https, unix, or unixs: %s", text);
    }
    *ret = u;
    return 0;
}
