#define _GNU_SOURCE
#include "engine/net/addr.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <sys/un.h>

void addr__text(const struct sockaddr *sa, char out[ADDR_TEXT_BYTES])
{
    char ip[INET6_ADDRSTRLEN] = "";

    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, sa, sizeof in);
        inet_ntop(AF_INET, &in.sin_addr, ip, sizeof ip);
        snprintf(out, ADDR_TEXT_BYTES, "%s:%u", ip, ntohs(in.sin_port));
    } else if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in;

        memcpy(&in, sa, sizeof in);
        inet_ntop(AF_INET6, &in.sin6_addr, ip, sizeof ip);
        if (IN6_IS_ADDR_V4MAPPED(&in.sin6_addr))
            snprintf(out, ADDR_TEXT_BYTES, "%s:%u", ip + sizeof "::ffff:" - 1, ntohs(in.sin6_port));
        else
            snprintf(out, ADDR_TEXT_BYTES, "[%s]:%u", ip, ntohs(in.sin6_port));
    } else {
        snprintf(out, ADDR_TEXT_BYTES, "@");
    }
}

const char *addr__errno_words(int errnum, char out[ADDR_ERRNO_BYTES])
{
    snprintf(out, ADDR_ERRNO_BYTES, "%s", strerror(errnum));
    if (isupper((unsigned char) out[0]) && !isupper((unsigned char) out[1]))
        out[0] = (char) tolower((unsigned char) out[0]);
    return out;
}

int addr__unix(const char *path, struct addr *ret, struct err *e)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t n = strlen(path);

    if (n == 0 || n >= sizeof un.sun_path)
        return err_set(e, ERR_INVALID, "unix socket path %s: must have 1 to %zu bytes", path,
                       sizeof un.sun_path - 1);
    memcpy(un.sun_path, path, n);
    memset(ret, 0, sizeof *ret);
    memcpy(&ret->sa, &un, sizeof un);
    ret->len = (socklen_t) sizeof un;
    return 0;
}

bool addr__host_of(const char *text, char *out, size_t out_n)
{
    const char *colon = strrchr(text, ':');
    bool six = text[0] == '[';

    if (colon == NULL || (six && colon[-1] != ']'))
        return false;
    snprintf(out, out_n, "%.*s", (int) (colon - text) - (six ? 2 : 0), text + (six ? 1 : 0));
    return true;
}

uint16_t addr__port(const struct sockaddr *sa)
{
    struct sockaddr_in in;

    if (sa->sa_family != AF_INET && sa->sa_family != AF_INET6)
        return 0;
    memcpy(&in, sa, sizeof in); /* the port is at the same place in both */
    return ntohs(in.sin_port);
}

void addr__set_port(struct addr *a, uint16_t port)
{
    struct sockaddr_in in;

    memcpy(&in, &a->sa, sizeof in);
    in.sin_port = htons(port);
    memcpy(&a->sa, &in, sizeof in);
}

void addr__target_text(const char *host, uint16_t port, char *out, size_t out_n)
{
    bool six = strchr(host, ':') != NULL;

    snprintf(out, out_n, "%s%s%s:%u", six ? "[" : "", host, six ? "]" : "", port);
}
