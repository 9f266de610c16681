#define _POSIX_C_SOURCE 200809L
#include "etcdutl/url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netdb.h>
#include <sys/socket.h>

#include "cli/text.h"
#include "etcdutl/utl.h"

#define QUOTED_BYTES 400

static struct bytes trimmed(struct bytes s)
{
    while (s.n > 0 && isspace(s.p[0]))
        s = bytes_of(s.p + 1, s.n - 1);
    while (s.n > 0 && isspace(s.p[s.n - 1]))
        s.n--;
    return s;
}

/* Go's words for what url.Parse refuses: parse "TEXT": WHY. */
static int refused(struct bytes s, const char *why, struct err *e)
{
    struct buf b;

    buf_init(&b, QUOTED_BYTES);
    text_quote(&b, s);
    err_set(e, ERR_INVALID, "parse %s: %s", b.failed ? "a long URL" : buf_cstr(&b), why);
    buf_done(&b);
    return ERR_INVALID;
}

static int wrong(struct bytes s, const char *rule, struct err *e)
{
    return err_set(e, ERR_INVALID, "%s: %.*s", rule, (int) MIN(s.n, 400), (const char *) s.p);
}

/* The length of the scheme in front of ':'; 0: there is none. */
static size_t scheme_bytes(struct bytes s)
{
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];

        if (isalpha(c) || (i > 0 && (isdigit(c) || c == '+' || c == '-' || c == '.')))
            continue;
        return c == ':' ? i : 0;
    }
    return 0;
}

static bool scheme_is(struct bytes s, size_t n, const char *name)
{
    if (n != strlen(name))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (tolower(s.p[i]) != name[i])
            return false;
    }
    return true;
}

/* HOST:PORT behind "//" and a user's name: where they are; the path begins at *ret_path. */
static struct bytes authority(struct bytes s, size_t scheme, size_t *ret_path)
{
    size_t from = scheme + 1, end;

    if (s.n < from + 2 || s.p[from] != '/' || s.p[from + 1] != '/') {
        *ret_path = from;
        return BYTES_EMPTY;
    }
    from += 2;
    for (end = from; end < s.n && s.p[end] != '/' && s.p[end] != '?' && s.p[end] != '#'; end++)
        ;
    *ret_path = end;
    for (size_t i = end; i > from; i--) {
        if (s.p[i - 1] == '@')
            return bytes_of(s.p + i, end - i);
    }
    return bytes_of(s.p + from, end - from);
}

/* Where the port's colon is; host.n when there is none. */
static size_t port_colon(struct bytes host)
{
    size_t i = 0, colon = host.n;

    if (host.n > 0 && host.p[0] == '[') {
        while (i < host.n && host.p[i] != ']')
            i++;
    }
    for (; i < host.n; i++) {
        if (host.p[i] == ':')
            colon = i;
    }
    return colon;
}

static bool has_host_and_port(struct bytes host)
{
    size_t colon = port_colon(host);

    if (colon == host.n)
        return false;
    if (host.p[0] == '[')
        return colon > 1 && host.p[colon - 1] == ']';
    return memchr(host.p, ':', colon) == NULL;
}

static int check_web(struct bytes s, size_t scheme, struct err *e)
{
    size_t path, colon;
    struct bytes host = authority(s, scheme, &path);

    colon = port_colon(host);
    for (size_t i = colon + 1; i < host.n; i++) {
        char why[QUOTED_BYTES];

        if (isdigit(host.p[i]))
            continue;
        snprintf(why, sizeof why, "invalid port \"%.*s\" after host",
                 (int) MIN(host.n - colon, 200), (const char *) host.p + colon);
        return refused(s, why, e);
    }
    if (!has_host_and_port(host))
        return wrong(s, "URL address does not have the form \"host:port\"", e);
    if (path < s.n && s.p[path] == '/')
        return wrong(s, "URL must not contain a path", e);
    return 0;
}

int url_read(struct bytes in, struct arena *a, const char **ret, struct err *e)
{
    struct bytes s = trimmed(in);
    size_t scheme = scheme_bytes(s), first = 0;
    char *text;
    int rc = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < ' ' || s.p[i] == 0x7f)
            return refused(s, "net/url: invalid control character in URL", e);
    }
    while (first < s.n && s.p[first] != '/' && s.p[first] != ':')
        first++;
    if (scheme == 0 && first < s.n && s.p[first] == ':')
        return refused(s,
                       first == 0 ? "missing protocol scheme"
                                  : "first path segment in URL cannot contain colon",
                       e);
    if (scheme_is(s, scheme, "http") || scheme_is(s, scheme, "https"))
        rc = check_web(s, scheme, e);
    else if (!scheme_is(s, scheme, "unix") && !scheme_is(s, scheme, "unixs"))
        rc = wrong(s, "URL scheme must be http, https, unix, or unixs", e);
    if (rc != 0)
        return rc;
    text = arena_printf(a, "%.*s", (int) s.n, (const char *) s.p);
    if (text == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < scheme; i++)
        text[i] = (char) tolower((unsigned char) text[i]);
    *ret = text;
    return 0;
}

/* ---- the host's address ---- */

static int look_up(const char *name, struct arena *a, const char **ret, struct err *e)
{
    struct addrinfo want = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    char address[INET6_ADDRSTRLEN];
    int why = getaddrinfo(name, NULL, &want, &found);

    if (why != 0)
        return err_set(e, ERR_NOT_FOUND, "lookup %s: %s", name, gai_strerror(why));
    why = getnameinfo(found->ai_addr, found->ai_addrlen, address, sizeof address, NULL, 0,
                      NI_NUMERICHOST);
    if (why == 0)
        *ret = arena_printf(a, found->ai_family == AF_INET6 ? "[%s]" : "%s", address);
    freeaddrinfo(found);
    if (why != 0)
        return err_set(e, ERR_NOT_FOUND, "lookup %s: %s", name, gai_strerror(why));
    return *ret == NULL ? err_set(e, ERR_NOMEM, "out of memory") : 0;
}

int url_resolve(const char *url, struct arena *a, const char **ret, struct err *e)
{
    struct bytes s = bytes_str(url), host;
    size_t scheme = scheme_bytes(s), path, colon;
    const char *name, *address = NULL;
    int rc;

    if (!scheme_is(s, scheme, "http") && !scheme_is(s, scheme, "https")) {
        *ret = url;
        return 0;
    }
    host = authority(s, scheme, &path);
    colon = port_colon(host);
    ASSERT(colon < host.n);
    name = host.p[0] == '[' ? arena_printf(a, "%.*s", (int) colon - 2, (const char *) host.p + 1)
                            : arena_printf(a, "%.*s", (int) colon, (const char *) host.p);
    if (name == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    if (strcmp(name, "localhost") == 0) {
        *ret = url;
        return 0;
    }
    rc = look_up(name, a, &address, e);
    if (rc != 0)
        return err_wrap(e, rc, "failed to resolve \"%s\"", url);
    *ret = arena_printf(a, "%.*s://%s%.*s%s", (int) scheme, url, address, (int) (host.n - colon),
                        (const char *) host.p + colon, url + path);
    if (*ret == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    LOG_INFO(utl_log, "resolved URL Host", F_STR("url", url), F_BYTES("host", host),
             F_STR("resolved-addr", *ret + scheme + 3));
    return 0;
}
