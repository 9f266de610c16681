/* peers.c -- the table of members and remotes, and what is known of their activity. */
#include "base/alloc.h"
#include "edge/peer/peer_int.h"

struct peer *peer__find(struct peer_server *ps, raft_id id)
{
    LIST_EACH_SAFE (x, &ps->peers) {
        struct peer *p = CONTAINER_OF(x, struct peer, link);

        if (p->id == id)
            return p;
    }
    return NULL;
}

/* ---- activity ---- */

static void publish_activity(struct peer *p, bool known)
{
    struct peer_server *ps = p->ps;
    struct peer_activity *empty = NULL;

    for (size_t i = 0; i < PEERS_MAX; i++) {
        struct peer_activity *a = &ps->activity[i];
        raft_id id = atomic_load(&a->id);

        if (id == p->id) {
            atomic_store(&a->since, p->active_since);
            if (!known)
                atomic_store(&a->id, 0);
            return;
        }
        if (id == 0 && empty == NULL)
            empty = a;
    }
    if (!known)
        return;
    ASSERT(empty != NULL); /* PEERS_MAX peers at most */
    atomic_store(&empty->since, p->active_since);
    atomic_store(&empty->id, p->id);
}

void peer__activate(struct peer *p)
{
    if (p->active_since != 0 || p->is_remote)
        return;
    LOG_INFO(p->ps->o.log, "peer became active", F_STR("peer-id", p->hex));
    p->active_since = MAX(loop_now_ns(p->ps->loop), (mono_ns) 1);
    metric_set(p->metrics.active, 1);
    publish_activity(p, true);
    peer__version_ask(p);
}

void peer__deactivate(struct peer *p, const char *action, const char *why)
{
    char text[300];

    peer__version_forget(p);
    if (p->active_since == 0)
        return;
    snprintf(text, sizeof text, "failed to %s (%s)", action, why);
    LOG_WARN(p->ps->o.log, "peer became inactive (message send to peer failed)",
             F_STR("peer-id", p->hex), F_STR("error", text));
    p->active_since = 0;
    metric_set(p->metrics.active, 0);
    metric_inc(p->metrics.disconnected);
    publish_activity(p, true);
}

/* ---- life of a peer ---- */

struct metric *peer__metric(struct peer_server *ps, enum metric_type type, const char *name,
                            const char *help, const char *const *labels, const char *const *values)
{
    return metric_with(metrics_family(ps->o.metrics, type, METRIC_PLAIN, name, help, labels),
                       values);
}

static void metrics_open(struct peer *p)
{
    struct peer_server *ps = p->ps;
    struct peer_metrics *m = &p->metrics;
    const char *const pair[] = {ps->hex, p->hex, NULL};
    const char *const to[] = {p->hex, NULL};
    static const char *const pair_names[] = {"Local", "Remote", NULL};
    static const char *const to_names[] = {"To", NULL};
    static const char *const from_names[] = {"From", NULL};

    if (ps->o.metrics == NULL)
        return;
    m->active = peer__metric(ps, METRIC_GAUGE, "etcd_network_active_peers",
                             "The current number of active peer connections.", pair_names, pair);
    m->disconnected = peer__metric(ps, METRIC_COUNTER, "etcd_network_disconnected_peers_total",
                                   "The total number of disconnected peers.", pair_names, pair);
    m->known = peer__metric(ps, METRIC_GAUGE, "etcd_network_known_peers",
                            "The current number of known peers.", pair_names, pair);
    m->sent_bytes = peer__metric(ps, METRIC_COUNTER, "etcd_network_peer_sent_bytes_total",
                                 "The total number of bytes sent to peers.", to_names, to);
    m->received_bytes = peer__metric(ps, METRIC_COUNTER, "etcd_network_peer_received_bytes_total",
                                     "The total number of bytes received from peers.", from_names,
                                     to);
    m->sent_failures = peer__metric(ps, METRIC_COUNTER, "etcd_network_peer_sent_failures_total",
                                    "The total number of send failures from peers.", to_names, to);
    m->round_trip = histogram_with(
        metrics_histogram_family(ps->o.metrics, "etcd_network_peer_round_trip_time_seconds",
                                 "Round-Trip-Time histogram between peers", METRIC_B7.bounds,
                                 METRIC_B7.n, METRIC_NS_PER_S, to_names),
        to);
    metric_set(m->known, 1);
}

/* A remote, as everybody is at first. */
static struct peer *peer_new_entry(struct peer_server *ps, raft_id id,
                                   const struct cluster_strings *urls)
{
    struct peer *p;

    if (ps->peers_n == PEERS_MAX) {
        LOG_WARN(ps->o.log, "too many peers are known; one more is ignored",
                 F_HEX("remote-peer-id", id));
        return NULL;
    }
    p = xmem_calloc(1, sizeof *p);
    p->ps = ps;
    p->id = id;
    p->is_remote = true;
    atomic_init(&p->refs, 1);
    cluster_id_text(id, p->hex);
    list_init(&p->posts);
    list_init(&p->posts_waiting);
    for (int k = 0; k < PEER_STREAMS; k++) {
        peer__writer_init(p, (enum peer_stream) k);
        peer__reader_init(p, (enum peer_stream) k);
    }
    peer__urls_set(p, urls);
    list_push(&ps->peers, &p->link);
    ps->peers_n++;
    return p;
}

static void connect(struct peer *p)
{
    p->is_remote = false;
    metrics_open(p);
    publish_activity(p, true);
    for (int k = 0; k < PEER_STREAMS; k++)
        peer__reader_start(&p->readers[k]);
    peer__probe_start(p);
    LOG_INFO(p->ps->o.log, "started remote peer", F_STR("remote-peer-id", p->hex));
}

static void close_connections(struct peer *p)
{
    for (int k = 0; k < PEER_STREAMS; k++) {
        peer__writer_close(&p->writers[k]);
        peer__reader_close(&p->readers[k]);
    }
    peer__probe_close(p);
    peer__version_close(p);
    peer__posts_close(p);
    for (int k = 0; k < PEER_STREAMS; k++) { /* P5 */
        ASSERT(p->writers[k].req == NULL && !loop_timer_active(&p->writers[k].heartbeat));
        ASSERT(p->readers[k].out == NULL && !loop_timer_active(&p->readers[k].redial));
    }
    ASSERT(p->probe_out == NULL && (p->is_remote || !loop_timer_active(&p->probe)));
    ASSERT(p->version_out == NULL);
    ASSERT(list_empty(&p->posts) && list_empty(&p->posts_waiting));
}

void peer__unref(struct peer *p)
{
    if (atomic_fetch_sub(&p->refs, 1) == 1)
        mem_free(p);
}

static void peer_close(struct peer *p)
{
    struct peer_server *ps = p->ps;

    peer__sendings_give_up(p, "the member was removed");
    close_connections(p);
    peer__urls_free(p);
    p->active_since = 0;
    metric_set(p->metrics.active, 0);
    metric_set(p->metrics.known, 0);
    if (!p->is_remote)
        publish_activity(p, false);
    list_remove(&p->link);
    ps->peers_n--;
    peer__unref(p);
}

void peer__free_all(struct peer_server *ps)
{
    struct list *x;

    while ((x = list_pop(&ps->peers)) != NULL) {
        list_init(x);
        peer_close(CONTAINER_OF(x, struct peer, link));
    }
}

/* ---- who they are ---- */

static size_t remotes_count(const struct peer_server *ps)
{
    size_t n = 0;

    LIST_EACH (x, &ps->peers)
        n += CONTAINER_OF(x, struct peer, link)->is_remote;
    return n;
}

static void take_member(struct peer_server *ps, const struct cluster_member *m)
{
    struct peer *p = peer__find(ps, m->id);

    if (p == NULL) {
        p = peer_new_entry(ps, m->id, &m->peer_urls);
        if (p == NULL)
            return;
    }
    if (!peer__urls_same(p, &m->peer_urls)) {
        close_connections(p);
        peer__urls_set(p, &m->peer_urls);
        LOG_INFO(ps->o.log, "updated remote peer", F_STR("local-member-id", ps->hex),
                 F_STR("updated-remote-peer-id", p->hex));
        if (!p->is_remote)
            connect(p);
    }
    if (p->is_remote)
        connect(p);
}

void peer__take_view(struct peer_server *ps, const struct cluster_view *v)
{
    const struct cluster_view *old = ps->view;

    ps->view = v; /* its reference is ours now */
    LIST_EACH_SAFE (x, &ps->peers) {
        struct peer *p = CONTAINER_OF(x, struct peer, link);

        if (cluster_view_is_removed(v, p->id) ||
            (!p->is_remote && cluster_view_member(v, p->id) == NULL)) {
            LOG_INFO(ps->o.log, "removed remote peer", F_STR("local-member-id", ps->hex),
                     F_STR("removed-remote-peer-id", p->hex));
            peer_close(p);
        }
    }
    for (size_t i = 0; i < v->members_n; i++) {
        if (v->members[i].id != ps->id)
            take_member(ps, &v->members[i]);
    }
    cluster_view_unref(old);
}

static void remote_new(struct peer_server *ps, raft_id id, const struct cluster_strings *urls)
{
    if (urls->n == 0)
        return;
    if (remotes_count(ps) >= PEER_REMOTES_MAX)
        LOG_WARN(ps->o.log, "too many remote peers are known; one more is ignored",
                 F_HEX("remote-peer-id", id));
    else if (peer_new_entry(ps, id, urls) != NULL)
        LOG_INFO(ps->o.log, "added remote peer", F_HEX("remote-peer-id", id),
                 F_STRS("remote-peer-urls", urls->v, urls->n));
}

void peer_add_remote(struct peer_server *ps, const struct cluster_member *m)
{
    if (peer__find(ps, m->id) == NULL)
        remote_new(ps, m->id, &m->peer_urls);
}

void peer__add_remote(struct peer_server *ps, raft_id id, struct bytes urls)
{
    char *text, *at;
    const char *v[PEER_URLS_MAX];
    struct cluster_strings list = {v, 0};

    if (ps->stopping || id == 0 || id == ps->id || peer__find(ps, id) != NULL ||
        (ps->view != NULL && cluster_view_is_removed(ps->view, id)))
        return;
    text = xmem_calloc(urls.n + 1, 1);
    memcpy(text, urls.p, urls.n);
    for (at = text; at != NULL && list.n < PEER_URLS_MAX;) {
        char *one = at, *comma = strchr(at, ',');

        at = comma == NULL ? NULL : comma + 1;
        if (comma != NULL)
            *comma = '\0';
        if (cluster_url_valid(one))
            v[list.n++] = one;
    }
    remote_new(ps, id, &list);
    mem_free(text);
}
