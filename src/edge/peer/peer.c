/* The peer listeners and connections of a member: their life. */
#include "edge/peer/peer.h"

#include "base/alloc.h"
#include "edge/peer/peer_int.h"

#define STOP_MS 1000 /* etcd gives its peer listeners a second */

#define URLS_BYTES_MAX ((size_t) 1 << 20) /* of our own, joined */

static char *join(const char *const *v, size_t n)
{
    struct buf b;
    char *s;

    buf_init(&b, URLS_BYTES_MAX);
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "%s%s", i > 0 ? "," : "", v[i]);
    s = xmem_strdup(buf_cstr(&b));
    buf_done(&b);
    return s;
}

static int listen_all(struct peer_server *p, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < p->o.listen_n && rc == 0; i++) {
        struct net_listen where = p->o.listen[i];

        where.serves = NET_SERVES_HTTP;
        rc = net_server_listen(p->net, &where, i == 0 ? &p->port : NULL, e);
    }
    return rc;
}

int peer_new(const struct peer_options *o, struct peer_server **ret, struct err *e)
{
    struct peer_server *p = mem_calloc(1, sizeof *p);
    struct net_server_options no = {.loops_n = 1,
                                    .http = peer__page,
                                    .rejected = o->rejected,
                                    .rejected_user = o->rejected_user,
                                    .idle_yield = true};
    struct net_shares shares;
    int rc;

    if (p == NULL)
        return err_set(e, ERR_NOMEM, "start peer server: out of memory");
    p->o = *o;
    p->own_urls = join(o->peer_urls, o->peer_urls_n);
    list_init(&p->peers);
    peer__transport_open(p);
    peer__received_open(p);
    peer__snapshots_open(p);
    peer__questions_open(p);
    peer__asks_open(p);
    net_limits_default(&no.limits);
    no.limits.http_body_bytes_max = PEER_POST_BYTES_MAX;
    if (o->request_ms != 0)
        no.limits.http_header_ms = o->request_ms;
    rc = net_shares_now(&shares, e);
    if (rc == 0) {
        p->share.max = shares.peers;
        no.share = &p->share;
        rc = loop_new("peer", &p->loop, e);
    }
    if (rc == 0) {
        no.loops = &p->loop;
        no.http_user = p;
        rc = net_server_new(&no, &p->net, e);
    }
    if (rc == 0)
        rc = listen_all(p, e);
    if (rc != 0) {
        peer_stop(p);
        peer_free(p);
        return rc;
    }
    *ret = p;
    return 0;
}

const struct node_transport *peer_transport(struct peer_server *p)
{
    return &p->transport;
}

void peer_attach(struct peer_server *p, struct node *n)
{
    struct node_status st;

    node_status(n, &st);
    p->node = n;
    node_sink_add(n, &p->sink);
    node_sink_add(n, &p->snapshots.sink);
    p->id = st.member_id;
    cluster_id_text(st.member_id, p->hex);
    cluster_id_text(st.cluster_id, p->cluster_hex);
}

void peer_guard(struct peer_server *p, enum api_error (*may)(void *user, struct bytes token),
                void *user)
{
    p->may_promote = may;
    p->may_user = user;
}

int peer_start(struct peer_server *p, struct err *e)
{
    int rc;

    net_server_start(p->net);
    rc = loop_start(p->loop, e);
    p->running = rc == 0;
    return rc;
}

static void stopped(void *user)
{
    peer__snapshots_end_loop(user);
}

/* On the loop: connections of ours first, or the servers at their other ends would be waited for.
 */
static void on_stop(struct loop_task *t)
{
    struct peer_server *p = CONTAINER_OF(t, struct peer_server, stop);

    p->stopping = true;
    peer__snapshots_stop(p);
    peer__free_all(p);
    net_server_stop(p->net, p->running ? STOP_MS : 0, stopped, p);
}

void peer_stop(struct peer_server *p)
{
    if (p == NULL || p->net == NULL)
        return;
    p->stop.run = on_stop;
    loop_post(p->loop, &p->stop);
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
    p->stopping = true;
    peer__transport_close(p);
    peer__received_close(p);
    peer__asks_close(p);
    peer__snapshots_close(p);
    loop_free(p->loop);
    cluster_view_unref(p->view);
    mem_free(p->own_urls);
    mem_free(p);
}

uint16_t peer_port(const struct peer_server *p)
{
    return p->port;
}
