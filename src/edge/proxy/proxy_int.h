/* proxy_int.h -- the parts of the proxy, shared by the files of this folder.
 *
 *   upstream   the members, whose turn it is                 (upstream.c)
 *   ask        one unary call to them                        (ask.c)
 *   forward    a client's unary call, as it is               (forward.c)
 *   relay      a client's stream, one to one                 (relay.c)
 *   watch      watches that clients share                   (watch*.c)
 *   sync       the list of members, asked of them           (sync.c)
 *   register   the key by which proxies find one another    (register.c)
 *   members    who MemberList names                      (members.c)
 *   pages      health and metrics                            (pages.c)
 */
#ifndef KETCH_EDGE_PROXY_PROXY_INT_H
#define KETCH_EDGE_PROXY_PROXY_INT_H

#include <rpc.pb-c.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "edge/proxy/ask.h"
#include "edge/proxy/namespace.h"
#include "edge/proxy/proxy.h"
#include "edge/proxy/proxy_limits.h"
#include "engine/net/call.h"
#include "engine/net/http.h"
#include "wire/api_error.h"
#include "wire/wire.h"

struct proxy_metrics {
    struct metric *watchers_coalescing;
    struct metric *events_coalescing;
    struct metric_family *started;
    struct metric_family *handled;
};

/* --endpoints-auto-sync-interval */
struct proxy_sync {
    struct loop_timer timer;
    struct ask ask;
    bool asking;
};

/* --resolver-prefix */
struct proxy_register {
    struct loop_timer timer;
    struct ask ask;
    bool asking;
    struct upstream_waiter waiter; /* for a renewal */
    struct upstream_member *member;
    struct rpc *rpc;
    bool renewed;
    int state; /* of register.c */
    int64_t lease;
    struct arena arena; /* of the request at hand */
};

struct proxy {
    struct proxy_options options;
    struct loop *loop;
    struct log *log;
    struct upstream *up;
    struct upstream *self; /* the advertised URL; NULL: there is none */
    struct net_server *server;
    struct proxy_metrics m;
    struct bytes prefix; /* of --namespace; empty: none */
    uint64_t seed[2];    /* of hash tables whose keys clients choose */
    struct list sources; /* struct source, of watch_int.h */
    size_t watchers_n;   /* of all clients */
    struct proxy_sync sync;
    struct proxy_register registration;
    bool started;
    bool stopping;
    struct list probes; /* struct probe, of pages_health.c */
    struct list pages;  /* struct page, of pages.c */
};

/* ---- methods ---- */

struct proxy_method {
    const char *path;
    enum net_method_kind kind;
    bool repeatable; /* it only reads */
};

/* Registers them all with the proxy's server. */
NODISCARD int methods__add(struct proxy *p, struct err *e);
const struct proxy_method *methods__of(const struct call *c);
void methods__hooks(struct proxy *p, struct net_call_hooks *ret);

/* ---- what a client's call carries on to the members ---- */

#define PROXY_METADATA_MAX 4
size_t proxy__metadata(const struct call *c, struct rpc_metadata ret[PROXY_METADATA_MAX]);

/* ---- keys under a prefix ---- */

/* `in`, or what it is with --namespace, in the arena.  False: *ret_code and *ret_text say why. */
bool proxy__request(struct proxy *p, const char *path, struct bytes in, struct arena *a,
                    struct bytes *ret, int *ret_code, const char **ret_text);

/* `in`, or what it is without the prefix: *ret lies in `in` or in `out`, which the caller frees.
 * False: it cannot be read. */
bool proxy__response(struct proxy *p, ns_map *map, struct bytes in, struct buf *out,
                     struct bytes *ret);

/* ---- calls ---- */

/* Of struct net_method. */
void forward__request(struct call *c, struct bytes message);
void members__list(struct call *c, struct bytes message);
void relay__request(struct call *c, struct bytes message);
void relay__open(struct call *c);
void relay__message(struct call *c, struct bytes message);
void relay__half_closed(struct call *c);
void watch__open(struct call *c);
void watch__message(struct call *c, struct bytes message);
void watch__half_closed(struct call *c);

/* ---- the proxy by itself ---- */

void sync__start(struct proxy *p);
void sync__stop(struct proxy *p);
void sync__done(struct proxy *p);
void register__start(struct proxy *p);
void register__stop(struct proxy *p);
void register__done(struct proxy *p);
/* The value of the key by which a proxy is found. */
void register__value(const char *addr, const char *hostname, struct buf *out);
/* The other way; strings lie in the arena.  False: it is no such value. */
bool members__of_value(struct bytes value, struct arena *a, char **ret_addr, char **ret_name);

/* ---- pages ---- */

void pages__serve(struct http_req *r, void *user);
void pages__close(struct proxy *p);
void pages__error(struct http_req *r, int status, const char *text);
void health__serve(struct http_req *r, struct proxy *p);
void health__serve_self(struct http_req *r, struct proxy *p);
void health__close(struct proxy *p);

#endif
