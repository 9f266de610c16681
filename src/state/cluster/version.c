#include "state/cluster/cluster_int.h"

void cluster_version_text(cluster_version v, char ret[CLUSTER_VERSION_TEXT_BYTES])
{
    int n;

    ret[0] = '\0';
    if (v == 0)
        return;
    n = snprintf(ret, CLUSTER_VERSION_TEXT_BYTES, "%u.%u.0", v >> 16, v & 0xffff);
    ASSERT(n > 0);
    ASSERT(n < CLUSTER_VERSION_TEXT_BYTES);
}

/* A decimal number below 65536 without leading zeros, as semantic versions have it. */
static bool number(struct bytes *s, unsigned *ret)
{
    unsigned v = 0;
    size_t i = 0;

    while (i < s->n && s->p[i] >= '0' && s->p[i] <= '9' && v < 65536)
        v = v * 10 + (unsigned) (s->p[i++] - '0');
    if (i == 0 || v >= 65536 || (i > 1 && s->p[0] == '0'))
        return false;
    *s = bytes_of(s->p + i, s->n - i);
    *ret = v;
    return true;
}

static bool skip(struct bytes *s, char c)
{
    if (s->n == 0 || s->p[0] != (uint8_t) c)
        return false;
    *s = bytes_of(s->p + 1, s->n - 1);
    return true;
}

/* "-" or "+", and then letters, digits, dots and hyphens. */
static bool suffix_valid(struct bytes s)
{
    if (!skip(&s, '-') && !skip(&s, '+'))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              c == '.' || c == '-' || c == '+'))
            return false;
    }
    return s.n > 0;
}

bool cluster_version_parse(struct bytes s, cluster_version *ret)
{
    unsigned major, minor, patch;

    if (!number(&s, &major) || !skip(&s, '.') || !number(&s, &minor))
        return false;
    if (s.n > 0 && (!skip(&s, '.') || !number(&s, &patch)))
        return false;
    if (s.n > 0 && !suffix_valid(s))
        return false;
    *ret = CLUSTER_VERSION(major, minor);
    return true;
}
