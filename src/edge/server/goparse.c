#include "edge/server/goparse.h"

#include <ctype.h>

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'Z')
        return c - 'A' + 10;
    return 99;
}

/* The base that a prefix names; *s moves behind it. */
static unsigned base_of(const char **s)
{
    if ((*s)[0] != '0' || (*s)[1] == 0)
        return 10;
    switch ((*s)[1]) {
    case 'x':
    case 'X':
        *s += 2;
        return 16;
    case 'b':
    case 'B':
        *s += 2;
        return 2;
    case 'o':
    case 'O':
        *s += 2;
        return 8;
    default:
        *s += 1;
        return 8;
    }
}

int go_uint_parse(const char *s, uint64_t max, uint64_t *ret, struct err *e)
{
    uint64_t v = 0;
    const char *start = s;
    unsigned base = base_of(&s);
    bool digit = s - start == 1; /* the 0 of an old octal number */
    bool after_digit = s != start;
    bool range = false;

    for (; *s != 0; s++) {
        int d = digit_value(*s);

        if (*s == '_' && after_digit && s[1] != 0 && s[1] != '_') {
            after_digit = false;
            continue;
        }
        if ((unsigned) d >= base)
            return err_set(e, ERR_INVALID, "parse error");
        if (v > (UINT64_MAX - (uint64_t) d) / base)
            range = true;
        v = v * base + (uint64_t) d;
        digit = after_digit = true;
    }
    if (!digit)
        return err_set(e, ERR_INVALID, "parse error");
    if (range || v > max)
        return err_set(e, ERR_LIMIT, "value out of range");
    *ret = v;
    return 0;
}

int go_int_parse(const char *s, int64_t *ret, struct err *e)
{
    bool neg = *s == '-';
    uint64_t v;
    int rc;

    if (*s == '-' || *s == '+')
        s++;
    rc = go_uint_parse(s, (uint64_t) INT64_MAX + neg, &v, e);
    if (rc == 0)
        *ret = neg ? (int64_t) (0 - v) : (int64_t) v;
    return rc;
}

int go_bool_parse(const char *s, bool *ret, struct err *e)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};

    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (strcmp(s, yes[i]) == 0 || strcmp(s, no[i]) == 0) {
            *ret = strcmp(s, yes[i]) == 0;
            return 0;
        }
    }
    return err_set(e, ERR_INVALID, "parse error");
}

/* ---- URLs ---- */

static char *cut(struct arena *a, const char *s, size_t n)
{
    char *p = arena_alloc(a, n + 1);

    if (p != NULL) {
        memcpy(p, s, n);
        p[n] = 0;
    }
    return p;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

/* The length of the scheme in front of a colon; 0 without one.  *ret_bad: Go's parser refuses. */
static size_t scheme_length(const char *s, const char **ret_bad)
{
    *ret_bad = NULL;
    for (size_t i = 0; s[i] != 0; i++) {
        if (s[i] == ':') {
            if (i == 0)
                *ret_bad = "missing protocol scheme";
            return i;
        }
        if (isalpha((unsigned char) s[i]))
            continue;
        if (i > 0 && (isdigit((unsigned char) s[i]) || strchr("+-.", s[i]) != NULL))
            continue;
        if (strchr(s, ':') != NULL && strchr(s, ':') < s + strcspn(s, "/?#"))
            *ret_bad = "first path segment in URL cannot contain colon";
        return 0;
    }
    return 0;
}

static int bad(struct err *e, const char *url, const char *why)
{
    return err_set(e, ERR_INVALID, "parse \"%s\": %s", url, why);
}

static int no_host_port(struct err *e, const char *text)
{
    return err_set(e, ERR_INVALID, "URL address does not have the form \"host:port\": %s", text);
}

/* "host:port" or "[v6]:port" of n bytes. */
static int authority_parse(const char *s, size_t n, struct arena *a, struct url *u, struct err *e)
{
    const char *host = s;
    size_t host_n;
    const char *colon = NULL;
    char *at = memchr(s, '@', n);

    if (at != NULL) {
        n -= (size_t) (at + 1 - s);
        s = host = at + 1;
    }
    if (n > 0 && s[0] == '[') {
        const char *end = memchr(s, ']', n);

        if (end == NULL)
            return bad(e, u->text, "missing ']' in host");
        host = s + 1;
        host_n = (size_t) (end - host);
        colon = end + 1 < s + n ? end + 1 : NULL;
        if (colon != NULL && *colon != ':')
            return bad(e, u->text, "invalid port after host");
    } else {
        for (size_t i = 0; i < n; i++) {
            if (s[i] == ':' && colon == NULL)
                colon = s + i;
            else if (s[i] == ':')
                return no_host_port(e, u->text);
            if (blank(s[i]))
                return bad(e, u->text, "invalid character \" \" in host name");
        }
        host_n = colon == NULL ? n : (size_t) (colon - s);
    }
    if (colon == NULL)
        return no_host_port(e, u->text);
    for (const char *p = colon + 1; p < s + n; p++) {
        if (!isdigit((unsigned char) *p))
            return err_set(e, ERR_INVALID, "parse \"%s\": invalid port \"%.*s\" after host",
                           u->text, (int) (s + n - colon), colon);
    }
    u->host = cut(a, host, host_n);
    u->port = cut(a, colon + 1, (size_t) (s + n - colon - 1));
    return 0;
}

int url_parse(const char *s, struct arena *a, struct url *ret, struct err *e)
{
    struct url u = {.port = "", .host = ""};
    const char *why, *rest;
    size_t n, scheme;
    int rc = 0;

    while (blank(*s))
        s++;
    n = strlen(s);
    while (n > 0 && blank(s[n - 1]))
        n--;
    u.text = s = cut(a, s, n);
    if (s == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        if ((uint8_t) s[i] < 0x20 || s[i] == 0x7f)
            return bad(e, s, "net/url: invalid control character in URL");
    }
    scheme = scheme_length(s, &why);
    if (why != NULL)
        return bad(e, s, why);
    u.scheme = cut(a, s, scheme);
    rest = s + scheme + (scheme > 0);
    if (u.scheme == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    if (strcmp(u.scheme, "unix") == 0 || strcmp(u.scheme, "unixs") == 0) {
        u.host = strncmp(rest, "//", 2) == 0 ? rest + 2 : rest;
    } else if (strcmp(u.scheme, "http") == 0 || strcmp(u.scheme, "https") == 0) {
        size_t len;

        if (strncmp(rest, "//", 2) != 0)
            return no_host_port(e, s);
        rest += 2;
        len = strcspn(rest, "/?#");
        rc = authority_parse(rest, len, a, &u, e);
        if (rc == 0 && rest[len] == '/')
            rc = err_set(e, ERR_INVALID, "URL must not contain a path: %s", s);
    } else {
        rc = err_set(e, ERR_INVALID, "URL scheme must be http, https, unix, or unixs: %s", s);
    }
    if (rc == 0 && (u.host == NULL || u.port == NULL))
        rc = err_set(e, ERR_NOMEM, "out of memory");
    if (rc == 0)
        *ret = u;
    return rc;
}
