#include "base/alloc.h"
#include "base/endian.h"
#include "state/cluster/cluster_int.h"
#include "sys/digest.h"

void cluster_id_text(uint64_t id, char ret[CLUSTER_ID_TEXT_BYTES])
{
    int n = snprintf(ret, CLUSTER_ID_TEXT_BYTES, "%" PRIx64, id);

    ASSERT(n > 0);
    ASSERT(n < CLUSTER_ID_TEXT_BYTES);
}

bool cluster_id_parse(struct bytes s, uint64_t *ret)
{
    uint64_t v = 0;

    if (s.n == 0 || s.n > 16)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];

        if (c >= '0' && c <= '9')
            v = v << 4 | (uint64_t) (c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v << 4 | (uint64_t) (c - 'a' + 10);
        else if (c >= 'A' && c <= 'F')
            v = v << 4 | (uint64_t) (c - 'A' + 10);
        else
            return false;
    }
    *ret = v;
    return true;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static int by_number(const void *a, const void *b)
{
    uint64_t x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

uint64_t cluster_member_id(const struct cluster_strings *peer_urls, const char *token,
                           int64_t unix_s)
{
    const char **sorted = xmem_calloc(peer_urls->n + 1, sizeof *sorted);
    uint8_t sum[SHA1_BYTES];
    struct buf b;

    buf_init(&b, CLUSTER__TEXT_BYTES_MAX);
    for (size_t i = 0; i < peer_urls->n; i++)
        sorted[i] = peer_urls->v[i];
    qsort(sorted, peer_urls->n, sizeof *sorted, by_text);
    for (size_t i = 0; i < peer_urls->n; i++)
        buf_add_str(&b, sorted[i]);
    buf_add_str(&b, token);
    if (unix_s >= 0)
        buf_printf(&b, "%" PRId64, unix_s);
    ASSERT(!b.failed);
    sha1(b.p, b.len, sum);
    buf_done(&b);
    mem_free(sorted);
    return be64_get(sum);
}

uint64_t cluster_id_of(const uint64_t *member_ids, size_t n)
{
    uint64_t *ids = xmem_dup(member_ids, n * sizeof *ids);
    uint8_t *b = xmem_alloc(n * 8 + 1), sum[SHA1_BYTES];

    ASSERT(n > 0);
    qsort(ids, n, sizeof *ids, by_number);
    for (size_t i = 0; i < n; i++)
        be64_put(b + 8 * i, ids[i]);
    sha1(b, n * 8, sum);
    mem_free(b);
    mem_free(ids);
    return be64_get(sum);
}

/* host:port with digits for a port, or none; an IPv6 address is in brackets. */
static bool host_port_valid(struct bytes s)
{
    size_t i = 0;

    if (s.n > 0 && s.p[0] == '[') {
        while (i < s.n && s.p[i] != ']')
            i++;
        i++;
    } else {
        while (i < s.n && s.p[i] != ':')
            i++;
    }
    if (i >= s.n || s.p[i] != ':')
        return false;
    for (i++; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    }
    return true;
}

static bool starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool cluster_url_valid(const char *url)
{
    const char *rest, *at;
    size_t n;

    for (const char *s = url; *s != '\0'; s++) {
        if ((unsigned char) *s <= ' ' || *s == 0x7f)
            return false;
    }
    if (starts_with(url, "unix://") || starts_with(url, "unixs://"))
        return true;
    if (!starts_with(url, "http://") && !starts_with(url, "https://"))
        return false;
    rest = strstr(url, "://") + 3;
    n = strcspn(rest, "/?#");
    if (rest[n] == '/')
        return false;
    at = memchr(rest, '@', n);
    if (at != NULL) {
        n -= (size_t) (at + 1 - rest);
        rest = at + 1;
    }
    return host_port_valid(bytes_of(rest, n));
}
