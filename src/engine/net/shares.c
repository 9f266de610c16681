#define _GNU_SOURCE
#include "engine/net/shares.h"

#include <sys/resource.h>

/* Of what is shared out: enough for more members, and more collectors of metrics, than anyone has.
 */
#define PEERS_PART 8
#define PEERS_MIN 32
#define PEERS_MAX 4096
#define PAGES_PART 32
#define PAGES_MIN 8
#define PAGES_MAX 256

/* One part of `all`, within the bounds, and never more than a fourth. */
static uint32_t part(uint64_t all, uint64_t parts, uint64_t min, uint64_t max)
{
    uint64_t n = MIN(MIN(MAX(all / parts, min), max), all / 4);

    return (uint32_t) MAX(n, (uint64_t) 1);
}

int net_shares_of(uint64_t descriptors, struct net_shares *ret, struct err *e)
{
    uint64_t all;

    if (descriptors <= NET_DESCRIPTORS_RESERVED)
        return err_set(e, ERR_LIMIT,
                       "file descriptor limit of etcd process is too low; please set higher");
    all = descriptors - NET_DESCRIPTORS_RESERVED;
    ret->peers = part(all, PEERS_PART, PEERS_MIN, PEERS_MAX);
    ret->pages = part(all, PAGES_PART, PAGES_MIN, PAGES_MAX);
    all -= MIN(all - 1, (uint64_t) ret->peers + ret->pages);
    ret->clients = (uint32_t) MIN(all, (uint64_t) UINT32_MAX);
    return 0;
}

int net_shares_now(struct net_shares *ret, struct err *e)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return err_set(e, ERR_IO, "cannot tell the file descriptor limit");
    return net_shares_of(r.rlim_cur, ret, e);
}

static bool take(struct net_share *s, uint64_t max)
{
    if (atomic_fetch_add_explicit(&s->open, 1, memory_order_relaxed) < max)
        return true;
    net_share_give(s);
    return false;
}

bool net_share_take(struct net_share *s)
{
    return take(s, s->max);
}

bool net_share_take_ahead(struct net_share *s)
{
    return take(s, (uint64_t) s->max + NET_SHARE_AHEAD_MAX);
}

void net_share_give(struct net_share *s)
{
    uint32_t before = atomic_fetch_sub_explicit(&s->open, 1, memory_order_relaxed);

    ASSERT(before > 0);
}
