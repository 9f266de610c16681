/* The peer listeners of a member: their life, and the pages that need no membership. */
#include "edge/peer/peer.h"

#include "base/alloc.h"
#include "engine/net/http.h"

#define STOP_MS 1000 /* etcd gives its peer listeners a second */

struct peer_server {
    struct peer_options o;
    struct loop *loop;
    struct net_server *net;
    struct node *node;
    uint16_t port;
    bool running;
};

/* ---- pages ---- */

static const char *version_text(uint32_t v, const char *unknown, char ret[24])
{
    if (v == 0)
        return unknown;
    snprintf(ret, 24, "%u.%u.0", (unsigned) (v >> 16), (unsigned) (v & 0xffff));
    return ret;
}

static void respond(struct http_req *r, const char *type, const char *body)
{
    const struct http_field f[] = {{"Content-Type", type}};

    http_respond(r, 200, f, ARRAY_LEN(f), bytes_str(body));
}

static void version_page(struct http_req *r, struct peer_server *p)
{
    struct node_status st;
    char body[256], cluster[24], storage[24];

    node_status(p->node, &st);
    snprintf(body, sizeof body, "{\"etcdserver\":\"%s\",\"etcdcluster\":\"%s\",\"storage\":\"%s\"}",
             p->o.version, version_text(st.cluster_version, "not_decided", cluster),
             version_text(st.storage_version, "unknown", storage));
    respond(r, "application/json", body);
}

/* Seconds since 1970 as RFC 3339 (H. Hinnant, "chrono-compatible low-level date algorithms"). */
static void rfc3339(wall_ms wall, char *ret, size_t n)
{
    int64_t s = wall / 1000, z = s / 86400 + 719468, era = z / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    int month = (int) (mp < 10 ? mp + 3 : mp - 9);

    snprintf(ret, n, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (int) (yoe + era * 400 + (month <= 2)),
             month, (int) (doy - (153 * mp + 2) / 5 + 1), (int) (s % 86400 / 3600),
             (int) (s % 3600 / 60), (int) (s % 60), (int) (wall % 1000));
}

static void probing_page(struct http_req *r, struct peer_server *p)
{
    char now[32], body[64];

    rfc3339(clock_wall_ms(p->o.clock), now, sizeof now);
    snprintf(body, sizeof body, "{\"OK\":true,\"Now\":\"%s\"}\n", now);
    respond(r, "text/plain; charset=utf-8", body);
}

static void page(struct http_req *r, void *user)
{
    struct peer_server *p = user;
    struct bytes path = http_path(r);
    bool version = bytes_eq(path, BYTES_LIT("/version"));

    if (!version && !bytes_eq(path, BYTES_LIT("/raft/probing"))) {
        http_error(r, 404, "404 page not found");
    } else if (!bytes_eq(http_method(r), BYTES_LIT("GET"))) {
        const struct http_field f[] = {{"Allow", "GET"},
                                       {"Content-Type", "text/plain; charset=utf-8"}};

        http_respond(r, 405, f, ARRAY_LEN(f), BYTES_LIT("Method Not Allowed\n"));
    } else if (version) {
        version_page(r, p);
    } else {
        probing_page(r, p);
    }
}

/* ---- life ---- */

int peer_new(const struct peer_options *o, struct peer_server **ret, struct err *e)
{
    struct peer_server *p = mem_calloc(1, sizeof *p);
    struct net_server_options no = {.loops_n = 1, .http = page};
    int rc;

    if (p == NULL)
        return err_set(e, ERR_NOMEM, "start peer server: out of memory");
    p->o = *o;
    net_limits_default(&no.limits);
    rc = loop_new("peer", &p->loop, e);
    if (rc == 0) {
        no.loops = &p->loop;
        no.http_user = p;
        rc = net_server_new(&no, &p->net, e);
    }
    for (size_t i = 0; i < o->listen_n && rc == 0; i++) {
        struct net_listen where = o->listen[i];

        where.serves = NET_SERVES_HTTP;
        rc = net_server_listen(p->net, &where, i == 0 ? &p->port : NULL, e);
    }
    if (rc != 0) {
        peer_stop(p);
        peer_free(p);
        return rc;
    }
    *ret = p;
    return 0;
}

int peer_start(struct peer_server *p, struct node *n, struct err *e)
{
    int rc;

    p->node = n;
    net_server_start(p->net);
    rc = loop_start(p->loop, e);
    p->running = rc == 0;
    return rc;
}

static void stopped(void *user)
{
    loop_stop(((struct peer_server *) user)->loop);
}

void peer_stop(struct peer_server *p)
{
    if (p == NULL || p->net == NULL)
        return;
    net_server_stop(p->net, p->running ? STOP_MS : 0, stopped, p);
    if (p->running)
        loop_join(p->loop);
    else
        loop_run(p->loop);
    p->running = false;
    net_server_free(p->net);
    p->net = NULL;
}

void peer_free(struct peer_server *p)
{
    if (p == NULL)
        return;
    ASSERT(p->net == NULL);
    loop_free(p->loop);
    mem_free(p);
}

uint16_t peer_port(const struct peer_server *p)
{
    return p->port;
}
