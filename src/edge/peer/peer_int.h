/* peer_int.h -- what the files of this folder share.
 *
 *   raft thread  --outgoing (MPSC)-->  loop: routed to a member's stream, or to POSTs
 *   loop         --node_receive----->  raft thread
 *
 * Everything but the outgoing queue and the table of activity belongs to the peer loop.
 *
 * A member as the transport sees it:
 *
 *        members() names it                     removed from the membership
 *   ------------------------> PEER: 2 writers, 2 readers, POSTs ------------------> gone
 *        a header names it, or we join it                 named by members()
 *   ------------------------> REMOTE: POSTs only -----------------------------> PEER
 */
#ifndef KETCH_EDGE_PEER_PEER_INT_H
#define KETCH_EDGE_PEER_PEER_INT_H

#include <stdatomic.h>

#include "base/list.h"
#include "edge/peer/codec.h"
#include "edge/peer/peer.h"
#include "edge/peer/peer_limits.h"
#include "engine/net/http.h"
#include "engine/net/http_client.h"

#define PEER_ID_TEXT_BYTES CLUSTER_ID_TEXT_BYTES
#define PEER_UNKNOWN_SENDER "UNKNOWN_SNAPSHOT_SENDER" /* etcd's label */

struct peer;

/* A stream on which we write: the other member has dialed it. */
struct peer_writer {
    struct peer *peer;
    enum peer_stream kind;
    struct http_req *req; /* NULL: not connected */
    struct peer_stream_state st;
    struct loop_timer heartbeat;
};

/* A stream that we have dialed: the other member writes on it. */
struct peer_reader {
    struct peer *peer;
    enum peer_stream kind;
    struct http_out *out;   /* NULL: not dialed */
    struct http_client *on; /* over which of the peer's URLs */
    bool connected;         /* its head has come and is good */
    struct peer_decoder decoder;
    struct loop_timer redial;
};

/* A message in a block of its own, on its way by POST. */
struct peer_post {
    struct list link;
    struct peer *peer;
    struct payload *body;
    struct http_out *out; /* NULL: waits */
    size_t url;
};

struct peer_metrics {
    struct metric *sent_bytes;
    struct metric *received_bytes;
    struct metric *sent_failures;
    struct metric *active;
    struct metric *disconnected;
    struct metric *known;
    struct histogram *round_trip;
};

struct peer {
    struct list link; /* peer_server.peers */
    struct peer_server *ps;
    raft_id id;
    char hex[PEER_ID_TEXT_BYTES];
    bool is_remote;
    char **urls;
    struct http_client **clients; /* one for each URL */
    size_t urls_n;
    size_t url; /* the one in use; the next is tried when it fails */
    struct peer_writer writers[PEER_STREAMS];
    struct peer_reader readers[PEER_STREAMS];
    struct list posts; /* under way */
    struct list posts_waiting;
    size_t posts_n;
    size_t posts_waiting_n;
    struct loop_timer probe;
    struct http_out *probe_out; /* NULL: none under way */
    mono_ns probe_sent;
    unsigned probes_n;
    int64_t round_trip_ns;        /* smoothed */
    struct http_out *version_out; /* NULL: not being asked */
    bool version_void;            /* the question is older than its last failure */
    bool version_known;           /* the node counts on what it said last */
    char version_page[512];
    size_t version_page_n;
    mono_ns active_since;          /* 0: not active */
    _Atomic size_t received;       /* messages that the node has not done with */
    _Atomic size_t received_bytes; /* of them */
    _Atomic size_t refs;           /* of the above, and the table's own */
    struct peer_metrics metrics;
};

/* One member's activity, for other threads. */
struct peer_activity {
    _Atomic raft_id id;
    _Atomic int64_t since;
};

/* A message handed out by the raft thread. */
struct peer_outgoing {
    struct mpsc_node link;
    struct raft_message m;
    struct raft_entry entries[];
};

/* Snapshots on their way: snapshot_send.c, snapshot_coming.c. */
struct peer_snapshots {
    struct mpsc outgoing; /* node_sending.link */
    struct loop_task take;
    _Atomic bool take_posted;
    struct list sending; /* snapshot_out.link */
    struct list coming;  /* snapshot_in.link */
    size_t coming_n;
    struct node_sink sink; /* their requests, each with a `done` of its own */
    struct mpsc back;
    struct loop_task take_back;
    _Atomic bool back_posted;
    bool ends_loop; /* when nothing of them is with the node any more */
};

enum peer_direction { PEER_SENT, PEER_RECEIVED };

/* Of snapshots in one direction, for one other member.  All NULL without a registry. */
struct peer_snapshot_metrics {
    struct metric *success;
    struct metric *failures;
    struct metric *under_way;
    struct histogram *seconds;
};

struct peer_server {
    enum api_error (*may_promote)(void *user, struct bytes token); /* NULL: everybody may */
    void *may_user;
    struct peer_options o;
    struct loop *loop;
    struct net_server *net;
    struct net_share share; /* of its connections */
    struct node *node;
    uint16_t port;
    bool running;
    bool stopping;
    struct loop_task stop;
    raft_id id;
    char hex[PEER_ID_TEXT_BYTES];
    char cluster_hex[PEER_ID_TEXT_BYTES];
    char *own_urls;                  /* joined by commas */
    const struct cluster_view *view; /* NULL: nothing is known yet */
    struct list peers;
    size_t peers_n;
    struct peer_activity activity[PEERS_MAX];

    struct node_transport transport;
    struct mpsc outgoing;
    _Atomic size_t outgoing_n;
    struct loop_task take; /* posted when outgoing is not empty */
    _Atomic bool take_posted;
    struct node_message *received; /* of this turn's streams, not yet given to the node */
    struct node_message *received_last;
    struct loop_hook hand_over;
    struct mpsc questions; /* node_question: to other members */
    struct loop_task take_questions;
    _Atomic bool questions_posted;
    struct node_sink sink; /* for what other members ask of the node */
    struct mpsc answers;
    struct loop_task take_answers;
    _Atomic bool answers_posted;
    struct peer_snapshots snapshots;
    struct mpsc views; /* peer_view: memberships that wait to be taken over */
    struct loop_task take_views;
    _Atomic bool views_posted;
};

/* ---- peers.c: the table ---- */
struct peer *peer__find(struct peer_server *ps, raft_id id);
/* Somebody told us its URLs (joined by commas) before the membership did. */
void peer__add_remote(struct peer_server *ps, raft_id id, struct bytes urls);
void peer__take_view(struct peer_server *ps, const struct cluster_view *v);
void peer__free_all(struct peer_server *ps);
void peer__unref(struct peer *p); /* any thread */
/* The one of a family that has these values; there is a registry. */
struct metric *peer__metric(struct peer_server *ps, enum metric_type type, const char *name,
                            const char *help, const char *const *labels, const char *const *values);
void peer__activate(struct peer *p);
void peer__deactivate(struct peer *p, const char *action, const char *why);

/* ---- urls.c ---- */
/* In place of those that it had; what is under way over them ends. */
void peer__urls_set(struct peer *p, const struct cluster_strings *urls);
bool peer__urls_same(const struct peer *p, const struct cluster_strings *urls);
void peer__urls_free(struct peer *p);
struct http_client *peer__client(struct peer *p); /* of the URL in use; NULL: it has none */
/* NULL: this build cannot speak to such a URL. */
struct http_client *peer__client_new(struct loop *l, const char *url, struct tls *tls,
                                     int64_t dial_timeout_ms);
/* The URL that was in use has failed. */
void peer__url_failed(struct peer *p, size_t url);

/* ---- send.c: from the node to the wire ---- */
void peer__transport_open(struct peer_server *ps);
void peer__transport_close(struct peer_server *ps); /* the loop has ended */

/* ---- streams ---- */
void peer__writer_init(struct peer *p, enum peer_stream kind);
void peer__writer_accept(struct peer_writer *w, struct http_req *r);
void peer__writer_close(struct peer_writer *w);
/* False: no room, or no memory. */
bool peer__writer_send(struct peer_writer *w, const struct raft_message *m);
void peer__reader_init(struct peer *p, enum peer_stream kind);
void peer__reader_start(struct peer_reader *r);
void peer__reader_close(struct peer_reader *r);
void peer__received_open(struct peer_server *ps);
void peer__received_close(struct peer_server *ps); /* the loop has ended */

/* ---- posts.c ---- */
bool peer__post(struct peer *p, const struct raft_message *m);
void peer__posts_close(struct peer *p);
void peer__raft_page(struct http_req *r, struct peer_server *ps);
/* False: the request has been answered (405). */
bool peer__is_post(struct http_req *r);

/* ---- snapshots: snapshot_send.c, snapshot_receive.c, snapshot_coming.c, snapshots.c ---- */
void peer__snapshots_open(struct peer_server *ps);
void peer__snapshots_stop(struct peer_server *ps); /* on the loop, which goes on for a while */
/* On the loop, behind the stop: it ends when the node has given back what was asked about them. */
void peer__snapshots_end_loop(struct peer_server *ps);
void peer__snapshots_close(struct peer_server *ps); /* the loop has ended */
struct peer_snapshot_metrics
peer__snapshot_metrics(struct peer_server *ps, enum peer_direction direction, const char *other);
void peer__snapshots_take(struct peer_server *ps);
void peer__sendings_give_up(struct peer *p, const char *why);
void peer__sendings_stop(struct peer_server *ps);
void peer__snapshot_page(struct http_req *r, struct peer_server *ps);
void peer__comings_stop(struct peer_server *ps);
void peer__answer_taken(struct http_req *r, const struct peer_server *ps); /* 204 */
/* From somebody who was removed, or to somebody else: what is wrong with it, else NULL.  Answered
 * with 500 as by etcd (whose 403 never leaves it): a sender that has not heard yet who lives here
 * now must not take itself for removed. */
const char *peer__misdirected(struct peer_server *ps, const struct raft_message *m);

/* ---- probe.c ---- */
void peer__probe_start(struct peer *p);
void peer__probe_close(struct peer *p);

/* ---- questions.c, asks.c, asks_cluster.c: between the node and other members ---- */
void peer__questions_open(struct peer_server *ps);
void peer__asks_open(struct peer_server *ps);
void peer__asks_close(struct peer_server *ps); /* the loop and the node have ended */
void peer__leases_page(struct http_req *r, struct peer_server *ps, bool internal);
void peer__hash_page(struct http_req *r, struct peer_server *ps);
void peer__promote_page(struct http_req *r, struct peer_server *ps, struct bytes id_text);
void peer__downgrade_page(struct http_req *r, struct peer_server *ps);

/* ---- versions.c ---- */
/* Of a /version page.  Looked for as text: it is one flat object that etcd's members write. */
bool peer__version_in(const char *page, const char *field, cluster_version *ret);
void peer__version_ask(struct peer *p);
/* It could not be reached. */
void peer__version_forget(struct peer *p);
void peer__version_close(struct peer *p);

/* ---- checks.c: who asks ---- */
/* The fields that every request between members carries; *n of them.  `to` 0: none. */
#define PEER_FIELDS_MAX 6
struct peer_fields {
    struct http_field f[PEER_FIELDS_MAX];
    size_t n;
    char to[PEER_ID_TEXT_BYTES];
};
void peer__fields(const struct peer_server *ps, const struct peer *to, struct peer_fields *ret);
/* Versions and cluster.  False: the request has been answered. */
bool peer__compatible(struct http_req *r, struct peer_server *ps);
/* X-Server-From and X-PeerURLs make a remote known. */
void peer__note_sender(struct http_req *r, struct peer_server *ps);
void peer__answer(struct http_req *r, const struct peer_server *ps, int status, const char *text);

/* ---- receive: to the node ---- */
/* Counts it for the peer; false: there are too many, it was freed. */
bool peer__received(struct peer *p, struct node_message *x, size_t bytes);

/* ---- pages.c ---- */
void peer__page(struct http_req *r, void *peer_server);
void peer__members_page(struct http_req *r, struct peer_server *ps);

#endif
