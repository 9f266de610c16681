/* A gRPC target: github.com/grpc/grpc/blob/master/doc/naming.md, without the schemes that nobody
 * uses for a collector. */
#include "edge/server/goparse.h"
#include "edge/server/otel_export.h"

#define PORT_DEFAULT 443 /* gRPC's */

/* What stands behind "dns:", with or without the server that is to be asked. */
static const char *past_authority(const char *s)
{
    const char *slash = strncmp(s, "//", 2) == 0 ? strchr(s + 2, '/') : NULL;

    return slash == NULL ? s : slash + 1;
}

static bool keep(char *to, size_t to_n, const char *s, size_t n)
{
    if (n == 0 || n >= to_n)
        return false;
    memcpy(to, s, n);
    to[n] = 0;
    return true;
}

static bool parse_port(const char *s, uint16_t *ret)
{
    uint64_t v;

    if (go_uint_parse(s, UINT16_MAX, &v, NULL) != 0 || v == 0)
        return false;
    *ret = (uint16_t) v;
    return true;
}

bool otel_address_parse(const char *s, struct otel_address *a)
{
    const char *colon, *end;
    bool bracket;

    *a = (struct otel_address){.port = PORT_DEFAULT};
    if (strncmp(s, "unix:", 5) == 0) {
        s = past_authority(s + 5);
        s -= s[-1] == '/'; /* unix:///path: the path is absolute */
        return keep(a->unix_path, sizeof a->unix_path, s, strlen(s));
    }
    if (strncmp(s, "dns:", 4) == 0)
        s = past_authority(s + 4);
    else if (strncmp(s, "passthrough:", 12) == 0)
        s = past_authority(s + 12);
    bracket = *s == '[';
    end = bracket ? strchr(++s, ']') : strchr(s, ':');
    if (end == NULL)
        return !bracket && keep(a->host, sizeof a->host, s, strlen(s));
    colon = bracket ? end + 1 : end;
    if (*colon != 0 && (*colon != ':' || !parse_port(colon + 1, &a->port)))
        return false;
    if (end == s) /* ":4317": this machine */
        return !bracket && keep(a->host, sizeof a->host, "localhost", 9);
    return keep(a->host, sizeof a->host, s, (size_t) (end - s));
}
