/* same_urls.h -- whether two lists of URLs lead to the same places (etcd's
 * netutil.URLStringsEqual).
 *
 * Lists that are equal as texts, in any order, are the same, and nobody is asked.  Otherwise each
 * host is replaced by its first address ("localhost" and sockets of the file system stay, as in
 * etcd), and the texts are compared again.  A host that cannot be resolved is asked for again every
 * second until the time is over.
 *
 * Threads: any; waits.   Memory: the arena holds what is made.
 */
#ifndef KETCH_ENGINE_NET_SAME_URLS_H
#define KETCH_ENGINE_NET_SAME_URLS_H

#include "base/arena.h"
#include "base/err.h"
#include "sys/clock.h"

#define NET_SAME_URLS_MS (30 * 1000) /* etcd's time for a start */

struct log;

struct net_urls {
    const char *const *v; /* "http://a.test:2380", as url_parse takes them */
    size_t n;
};

/* 0, or ERR_INVALID and etcd's words of why not:
 *
 *   len(["http://a:1" "http://b:1"]) != len(["http://a:1"])
 *   resolved urls: "http://10.0.0.1:1" != "http://10.0.0.2:1"
 *   failed to resolve "http://a:1" (lookup a: no such host)
 *
 * ERR_NOMEM.  `until` is of clock_posix(). */
NODISCARD int net_same_urls(struct net_urls a, struct net_urls b, mono_ns until, struct log *log,
                            struct arena *mem, struct err *e);

/* The same texts, in any order?  Asks nobody.  False also without memory. */
bool net_same_texts(struct net_urls a, struct net_urls b, struct arena *mem);

/* The list in the order of its texts; NULL: no memory. */
const char **net_urls_sorted(struct net_urls x, struct arena *mem);

#endif
