/* server_int.h -- the server from inside.  Private to edge/server.
 *
 * A struct io is one I/O thread: a loop, the ways by which the node's threads send answers to it,
 * and a registered reader of the store.  Everything that belongs to a call is touched on its loop's
 * thread only; what comes from the node is queued without a lock and handled as one batch per
 * wake-up.
 *
 * Invariants:
 *   I1  A call's request (struct req) is either with the node or with its loop, never with both.
 *   I2  Every req that was submitted comes back exactly once, also when the client is gone; only
 *       then its call is ended.
 *   I3  io->outstanding counts what the node still holds of this thread, requests and watch
 *       streams, and reads in slices.  The loop is stopped only when it is 0.
 *   I4  What is freed is over: no timer or task of it is due, it is in no list.  With the loop no
 *       timer is left.
 */
#ifndef KETCH_EDGE_SERVER_INT_H
#define KETCH_EDGE_SERVER_INT_H

#include <stdatomic.h>

#include "edge/server/lists.h"
#include "edge/server/long_read.h"
#include "edge/server/methods.h"
#include "edge/server/security.h"
#include "edge/server/server.h"
#include "engine/net/call.h"
#include "engine/net/http.h"
#include "engine/net/loop.h"
#include "engine/net/server.h"

#define SERVER_LISTENERS_MAX 64
/* Sorting keeps 48 bytes for each key until the answer has left, filtering 32.  One range, or all
 * of one transaction, may use as much as 20 million keys need; a further one begins while those of
 * its I/O thread use less. */
#define SERVER_SORT_BYTES_MAX ((size_t) 1 << 30)
#define SERVER_SORTS_BYTES_MAX ((size_t) 256 << 20)
#define SERVER_LIST_BYTES_MAX ((size_t) 1 << 30) /* all leases: 60 bytes each; keys of one */
/* A client that takes nothing of an answer for this long is told to go: the view or the snapshot
 * behind it keeps pages of the file from being used again. */
#define SERVER_STALL_MS 300000
#define SERVER_REPLY_WHOLE_BYTES 16384 /* range answers up to this size are made at once */

struct watch_io;
struct otel;      /* otel.h */
struct tokens;    /* token.h */
struct auth_work; /* auth_work.h */

struct server_metrics {
    struct methods_metrics methods;
    struct metric_family *client_requests; /* type, client_api_version */
    struct metric_family *stream_failures; /* Type, API */
    struct metric *health_success;
    struct metric *health_failures;
    struct metric_family *healthcheck;  /* type, name */
    struct metric_family *healthchecks; /* type, name, status */
    struct metric *ranges;
    struct metric *slow_apply;
    struct histogram *range_seconds[2]; /* by success */
    struct histogram *request_range[2]; /* of etcd_server_request_duration_seconds, by success */
    struct histogram *request_txn[2];
    struct metric *watch_streams;
    struct metric *watchers;
    struct metric *slow_watchers;
    struct metric *sorted_bytes;
    struct metric *watch_events;
    struct metric *grpc_sent_bytes;
    struct metric *grpc_received_bytes;
    struct histogram *hash_seconds;
    struct histogram *hash_rev_seconds;
    struct histogram *defrag_seconds;
    struct metric *defrag_inflight;
    struct histogram *snapshot_seconds;
    struct histogram *watch_send;
    struct histogram *watch_send_event;
    struct histogram *watch_send_control;
    struct histogram *watch_send_progress;
    struct metric *is_learner;
    uint32_t shown_version; /* of etcd_cluster_version: major << 16 | minor */
    struct metric *shown_series;
    struct metric *auth_revision;
};

/* What the hub sends to an I/O thread. */
struct watch_inbox {
    struct watch_sink sink;
    struct io *io;
    _Atomic(struct watch_batch *) batches; /* newest first */
};

/* One I/O thread. */
struct io {
    struct server *server;
    struct loop *loop;
    bool running; /* on its thread */
    unsigned id;
    struct node_sink sink;
    _Atomic(struct node_request *) finished; /* newest first */
    struct watch_inbox watches;              /* of the Watch service */
    struct watch_inbox follows;              /* of follow.h */
    _Atomic bool posted;                     /* `task` is on its way to the loop */
    struct loop_task task;
    struct mvcc_reader *reader;
    struct auth_reader *auth;
    size_t outstanding;
    size_t gateway_held_bytes; /* JSON of requests that are not complete */
    struct long_reads long_reads;
    struct lists lists;
    size_t sorted_bytes;           /* lists of reads whose answers are on their way */
    struct node_request *gathered; /* of this turn, not yet submitted; oldest first */
    struct node_request **gathered_end;
    struct loop_hook submit_hook;
    int lone;                  /* score of calls that came alone: io.c */
    _Atomic int64_t lone_took; /* by the last of them, when this thread ran the node */
    uint64_t lone_reader;      /* loop_other_readers at the last one */
    struct watch_io *watch;
    struct random_seeded ids; /* of spans and traces, when there are any */
    struct list guarded;      /* streams with "hasleader": struct leader_guard */
    struct loop_timer leader_timer;
    struct loop_task drain_task; /* at the end: waits until nothing is outstanding */
    struct loop_timer drain_timer;
    unsigned leader_missed; /* checks in a row without a leader */
    struct {
        char version[64];
        struct metric *unary;
        struct metric *stream;
    } last_client; /* the series of the client that called last */
};

struct server {
    struct server_options o;
    const struct config *config;
    struct log *log;
    struct node *node;
    uint64_t cluster_id; /* constant once the node is open */
    uint64_t member_id;
    const char *version;
    struct io *ios;
    size_t ios_n;
    struct security security;                  /* of the client and metrics listeners */
    struct net_server *clients;                /* client listeners */
    struct net_server *pages;                  /* metrics listeners; NULL: none */
    struct net_share client_share, page_share; /* their connections */
    bool clients_started;
    uint16_t client_port;
    struct loop_timer ready_timer; /* on the first loop: waits for the node to publish itself */
    bool started;                  /* the loops run */
    int64_t grace_ms;              /* what calls get at a stop */
    size_t stopping_n;             /* net servers that are not done yet; the first loop's */
    struct loop_task stop_task;
    struct net_method table[METHODS_N]; /* of `clients` */
    struct net_method inner[METHODS_N]; /* by tag, what is behind the gate: permit.h */
    struct tokens *tokens;
    struct auth_work *auth_work;
    struct compactor *compactor;
    struct otel *otel; /* NULL: nothing is traced */
    int64_t stall_ms;  /* SERVER_STALL_MS; tests have less patience */
    struct server_metrics m;
    struct metrics *metrics;
};

static inline struct io *call_io(const struct call *c)
{
    return loop_user(call_loop(c));
}

static inline struct server *call_server(const struct call *c)
{
    return call_io(c)->server;
}

/* ---- io.c: requests to the node and back ---- */

/* What a call waits for.  Lives in the call's arena. */
struct req {
    struct node_request node;
    struct io *io;
    struct call *call;           /* NULL: not of a call */
    void (*then)(struct req *r); /* on the loop, when the node is done with it */
    void *user;
    mono_ns began; /* by the loop's turns */
};

NODISCARD int io_init(struct io *io, struct server *s, unsigned id, struct err *e);
NODISCARD int io_attach(struct io *io, struct node *n, struct err *e);
void io_done(struct io *io);

/* A request of the call, zeroed, in its arena.  NULL: no memory, and the call was ended. */
struct req *req_new(struct call *c, enum node_request_kind kind, void (*then)(struct req *r));

/* Hands it to the node, in the name of who calls; `then` may run before it returns. */
void req_submit(struct req *r);

/* Submits body under field `op` of InternalRaftRequest. */
void req_propose(struct call *c, uint32_t op, struct bytes body, void (*then)(struct req *r));

/* ---- reply.c ---- */

void reply_error(struct call *c, enum api_error err);
void reply_no_memory(struct call *c);
void reply_canceled(struct call *c); /* its client is gone, or its time is over */

/* True when the result is an error: then the call was ended with it. */
bool reply_failed(struct call *c, const struct node_result *res);

/* The header of an answer.  revision 0: left out; term 0: the member's present one. */
struct mvcc_header header_make(struct server *s, int64_t revision, uint64_t term);
/* The header for an answer of the node: its revision, or the newest published one when it names
 * none. */
struct mvcc_header header_current(struct io *io, const struct node_result *res);
size_t header_size(const struct mvcc_header *h);
uint8_t *header_put(const struct mvcc_header *h, uint8_t *p);
#define HEADER_BYTES_MAX 48 /* field 1 with four varint fields */
/* The header as field 1 of a message; returns its length. */
size_t header_field_put(const struct mvcc_header *h, uint8_t out[HEADER_BYTES_MAX]);

/* A message whose field 1 is the header and that has nothing else. */
void reply_header(struct call *c, const struct mvcc_header *h);

/* A message whose field 1 is the header, which `m` itself lacks. */
void reply_message(struct call *c, const struct mvcc_header *h, const ProtobufCMessage *m);
/* A request is back: answers with its message, or its header alone, or its error. */
void req_message_done(struct req *r);

/* An answer that is made as it leaves; small ones at once.  `view` (may be NULL) is unpinned when
 * the last byte was made. */
void reply_reply(struct call *c, struct mvcc_reply *r, const struct mvcc_view *view);
/* The same for what was sorted: `sorted_bytes` of io->sorted_bytes are given back when the answer
 * has left. */
void reply_read(struct call *c, struct mvcc_reply *r, const struct mvcc_view *view,
                size_t sorted_bytes);
/* The same for a range, of which `t` keeps the time. */
struct read_trace;
void reply_range(struct mvcc_reply *r, const struct mvcc_view *view, struct read_trace *t,
                 size_t sorted_bytes);
/* io->sorted_bytes: a list is on its way to its client; it has left. */
void sorted_take(struct io *io, size_t n);
void sorted_release(struct io *io, size_t n);

/* ---- stall.c: clients that take nothing of an answer which holds something of the store ---- */

struct stall {
    struct loop_timer timer;
    struct call *call; /* NULL: not begun */
    mono_ns moved;     /* when it last took some */
};

/* Before a pull of the call is queued.  When nothing moves for SERVER_STALL_MS the call is given up
 * (call_give_up), by which its pull is done. */
void stall_begin(struct stall *x, struct call *c);
/* The pull is done.  Without a beginning: nothing. */
void stall_end(struct stall *x);

static inline void stall_moved(struct stall *x)
{
    if (x->call != NULL)
        x->moved = loop_now_ns(call_loop(x->call));
}

/* Decodes the call's request into its arena.  False: the call was ended.  `message` may be replaced
 * by plainer bytes that say the same: those are fit to be handed on. */
bool request_decode(struct call *c, const ProtobufCMessageDescriptor *d, struct bytes *message,
                    void *ret);
#define REQUEST_DECODE(c, lower, message, ret) \
    request_decode((c), &lower##__descriptor, &(message), (void *) (ret))

/* What a call is told whose message is none of its method; e: of wire_decode. */
const char *undecodable_text(const struct call *c, const struct err *e);

/* ---- intercept.c ---- */

int intercept_begin(struct call *c, void *user, const char **ret_text);
void intercept_end(struct call *c, int code, void *user);

static inline void count_received(struct call *c, enum method_id id)
{
    methods_count_received(&call_server(c)->m.methods, id);
}

static inline void count_sent(struct io *io, enum method_id id)
{
    methods_count_sent(&io->server->m.methods, id);
}

/* A stream opened with "hasleader: true": `lost` is called when the member has had no leader for
 * three checks in a row. */
struct leader_guard {
    struct list link; /* empty: not guarded */
    void (*lost)(struct leader_guard *g);
};

void leader_guard_begin(struct call *c, struct leader_guard *g,
                        void (*lost)(struct leader_guard *g));
void leader_guard_end(struct leader_guard *g);
void leader_timer_fire(struct loop_timer *t);

/* ---- the services ---- */

NODISCARD int services_add(struct server *s, struct err *e);

extern const struct net_method kv_methods[], lease_methods[], watch_methods[], cluster_methods[],
    maintenance_methods[], auth_methods[], health_methods[], lock_methods[], election_methods[];
extern const size_t kv_methods_n, lease_methods_n, watch_methods_n, cluster_methods_n,
    maintenance_methods_n, auth_methods_n, health_methods_n, lock_methods_n, election_methods_n;

/* When a linearizable read may run: at once, or after a read-index round. */
void read_when(struct call *c, bool serializable, void *user, void (*run)(struct req *r));

NODISCARD int watch_io_init(struct io *io, struct err *e);
void watch_io_done(struct io *io);
void watch_io_batches(struct io *io, struct watch_batch *first); /* oldest first */
void follow_io_batches(struct watch_batch *first);

/* ---- pages ---- */

void pages_client(struct http_req *r, void *server);
void pages_metrics(struct http_req *r, void *server);

/* True when it was a path of /debug/pprof/. */
bool pages_pprof(struct http_req *r, struct server *s);

/* Sends the client to another path, the query kept. */
void pages_redirect(struct http_req *r, struct bytes path);
/* True when the path could be written shorter, and the client was sent there. */
bool pages_path_moved(struct http_req *r);

/* True when it was one of /health, /livez..., /readyz...: answered now or later. */
bool pages_health(struct http_req *r, struct server *s);

/* Every answer of a client listener carries these (CORS): returns how many of `f` it has set. */
#define PAGE_FIELDS_MAX 8
size_t pages_fields(struct http_req *r, struct http_field f[PAGE_FIELDS_MAX]);
/* The same for a request whose user is not the server. */
size_t pages_fields_of(struct http_req *r, struct server *s, struct http_field f[PAGE_FIELDS_MAX]);
/* True when the method is GET; otherwise the request was answered (405). */
bool pages_only_get(struct http_req *r);
void pages_error(struct http_req *r, int status, const char *text);
void pages_respond(struct http_req *r, int status, const char *type, bool nosniff,
                   struct bytes body);

void server_metrics_register(struct server *s);
void server_metrics_attach(struct server *s); /* what the node knows */

/* ---- compactor.c ---- */

/* NULL with *e untouched when auto compaction is off. */
NODISCARD int compactor_start(struct server *s, struct compactor **ret, struct err *e);
void compactor_stop(struct compactor *c); /* on its loop; NULL is accepted */
void compactor_free(struct compactor *c);

#endif
