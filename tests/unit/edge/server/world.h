/* world.h -- a whole member in one process: server on a free port, node in a directory of its own,
 * its actors on one thread; and a client that waits for one answer at a time. */
#ifndef KETCH_TESTS_UNIT_EDGE_SERVER_WORLD_H
#define KETCH_TESTS_UNIT_EDGE_SERVER_WORLD_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ftw.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "edge/server/server.h"
#include "engine/net/grpc_client.h"
#include "lib/cm.h"
#include "lib/node/node_defaults.h"
#include "sys/thread.h"

#define WORLD_MESSAGES_MAX 4096

struct world {
    struct config config;
    struct metrics *metrics;
    char dir[64];
    struct random_seeded random;
    struct server *server;
    struct node *node;
    struct waker waker;
    struct thread *actors;
    _Atomic bool stop;
    struct loop *loop; /* the client's */
    struct channel *channel;
    struct arena arena; /* of answers */
};

static struct world world;

static void world_wake(void *ctx, enum node_actor which)
{
    (void) ctx;
    (void) which;
    waker_wake(&world.waker);
}

NORETURN static void world_fatal(void *ctx, const char *why)
{
    (void) ctx;
    assert_fail("node", 0, why);
}

static void world_run(void *arg)
{
    (void) arg;
    while (!atomic_load(&world.stop)) {
        int64_t again = INT64_MAX;

        for (int i = 0; i < NODE_ACTORS; i++) {
            int64_t ns = node_run(world.node, (enum node_actor) i, clock_mono_ns(clock_posix()),
                                  clock_wall_ms(clock_posix()));

            if (ns >= 0)
                again = MIN(again, ns);
        }
        waker_wait(&world.waker, MIN(again, INT64_C(5000000)));
    }
}

static struct node_config world_node_config(void)
{
    const struct config *c = &world.config;
    struct node_config nc = node_defaults();

    nc.name = c->name;
    nc.data_dir = world.dir;
    nc.cluster_token = c->initial_cluster_token;
    nc.initial_names = c->cluster_names;
    nc.initial_urls = c->cluster_urls;
    nc.initial_n = c->cluster_n;
    nc.peer_urls = c->initial_advertise_peer_urls.v;
    nc.peer_urls_n = c->initial_advertise_peer_urls.n;
    nc.client_urls = c->advertise_client_urls.v;
    nc.client_urls_n = c->advertise_client_urls.n;
    nc.tick_ms = 10;
    nc.quota_bytes = c->quota_backend_bytes;
    nc.request_bytes_max = (size_t) c->max_request_bytes;
    nc.compaction_sleep_ms = 1;
    nc.simple_tokens = server_simple_tokens(c);
    nc.token_ttl_ns = (mono_ns) c->auth_token_ttl * 1000000000;
    return nc;
}

/* `args` are flags beside those of the addresses; NULL behind the last. */
static UNUSED void world_open(const char *const *args)
{
    const char *argv[32] = {"etcd", "--listen-client-urls=http://127.0.0.1:0",
                            "--advertise-client-urls=http://127.0.0.1:1", "--io-threads=2"};
    struct node_env env = {.wake = world_wake, .fatal = world_fatal};
    struct server_options o = {.config = &world.config, .clock = clock_posix()};
    struct channel_options co = {.host = "127.0.0.1"};
    struct node_config nc;
    struct err e = ERR_INIT;
    const char *rest;
    size_t n = 4;

    memset(&world, 0, sizeof world);
    while (args != NULL && *args != NULL)
        argv[n++] = *args++;
    config_init(&world.config);
    assert_int_equal(config_parse_flags(&world.config, (char *const *) (uintptr_t) argv, &rest, &e),
                     0);
    assert_int_equal(config_check(&world.config, &e), 0);
    assert_int_equal(config_check_start(&world.config, false, &e), 0);
    world.metrics = metrics_new();
    snprintf(world.dir, sizeof world.dir, "/tmp/ketch-server-test-XXXXXX");
    assert_non_null(mkdtemp(world.dir));
    o.metrics = world.metrics;
    o.random = random_seeded_init(&world.random, 7);
    assert_int_equal(server_new(&o, &world.server, &e), 0);
    waker_init(&world.waker);
    env.disk = disk_posix();
    env.random = random_posix();
    env.clock = clock_posix();
    env.metrics = world.metrics;
    nc = world_node_config();
    if (node_open(&nc, &env, clock_mono_ns(clock_posix()), clock_wall_ms(clock_posix()),
                  &world.node, &e) != 0)
        fail_msg("node_open: %s", e.msg);
    assert_int_equal(server_attach(world.server, world.node, &e), 0);
    assert_int_equal(thread_start("actors", world_run, NULL, &world.actors, &e), 0);
    assert_int_equal(server_start(world.server, &e), 0);
    assert_int_equal(loop_new("client", &world.loop, &e), 0);
    co.port = server_client_port(world.server);
    assert_int_equal(channel_new(world.loop, &co, &world.channel, &e), 0);
    arena_init(&world.arena, 256u << 20);
}

static int world_remove(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void) st;
    (void) kind;
    (void) at;
    return remove(path);
}

static UNUSED void world_close(void)
{
    channel_free(world.channel);
    server_stop(world.server);
    node_stop(world.node);
    while (!node_stopped(world.node))
        usleep(1000);
    atomic_store(&world.stop, true);
    waker_wake(&world.waker);
    thread_join(world.actors);
    server_free(world.server);
    node_close(world.node);
    loop_free(world.loop);
    nftw(world.dir, world_remove, 16, FTW_DEPTH | FTW_PHYS);
    metrics_free(world.metrics);
    config_done(&world.config);
    arena_done(&world.arena);
}

/* With no flags but those. */
static UNUSED int world_setup(void **state)
{
    (void) state;
    world_open(NULL);
    return 0;
}

static UNUSED int world_teardown(void **state)
{
    (void) state;
    world_close();
    return 0;
}

/* ---- unary calls ---- */

struct answer {
    bool done;
    int code;
    char text[256];
    struct bytes body; /* in world.arena */
};

static UNUSED void answer_end(struct rpc *r, const struct rpc_result *res, void *user)
{
    struct answer *a = user;

    (void) r;
    a->code = res->code;
    snprintf(a->text, sizeof a->text, "%.*s", (int) res->message.n, (const char *) res->message.p);
    a->body = bytes_of(arena_dup(&world.arena, res->response.p, res->response.n), res->response.n);
    a->done = true;
}

static UNUSED struct answer ask_with(const char *path, struct bytes request,
                                     const struct rpc_metadata *metadata, size_t metadata_n)
{
    struct answer a = {0};
    struct rpc_options o = {.path = path,
                            .metadata = metadata,
                            .metadata_n = metadata_n,
                            .timeout_ms = 20000,
                            .user = &a};

    assert_non_null(rpc_unary(world.channel, &o, request, answer_end));
    loop_run_until(world.loop, &a.done);
    return a;
}

static UNUSED struct bytes encoded(const ProtobufCMessage *m)
{
    size_t n = wire_size(m);
    uint8_t *p = arena_alloc(&world.arena, n);

    assert_non_null(p);
    protobuf_c_message_pack(m, p);
    return bytes_of(p, n);
}

/* Asks; the answer's message in *ret (when not NULL), which must be OK. */
static UNUSED void ask_ok(const char *path, const ProtobufCMessage *q,
                          const ProtobufCMessageDescriptor *d, void *ret)
{
    struct answer a = ask_with(path, encoded(q), NULL, 0);

    if (a.code != 0)
        fail_msg("%s: code %d: %s", path, a.code, a.text);
    if (ret != NULL)
        assert_int_equal(wire_decode(d, a.body, &world.arena, ret, NULL), 0);
}
#define ASK_OK(path, q, lower, ret) \
    ask_ok((path), (q), &etcdserverpb__##lower##__descriptor, (void *) (ret))

static UNUSED void ask_fails(const char *path, const ProtobufCMessage *q, int code,
                             const char *text)
{
    struct answer a = ask_with(path, encoded(q), NULL, 0);

    assert_string_equal(a.text, text);
    assert_int_equal(a.code, code);
}

static UNUSED ProtobufCBinaryData bin(const char *s)
{
    return (ProtobufCBinaryData){strlen(s), (uint8_t *) (uintptr_t) s};
}

static UNUSED int64_t put(const char *key, const char *value)
{
    Etcdserverpb__PutRequest q = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__PutResponse *res;

    q.key = bin(key);
    q.value = bin(value);
    ASK_OK("/etcdserverpb.KV/Put", &q.base, put_response, &res);
    return res->header->revision;
}

static UNUSED int64_t del(const char *key)
{
    Etcdserverpb__DeleteRangeRequest q = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    Etcdserverpb__DeleteRangeResponse *res;

    q.key = bin(key);
    ASK_OK("/etcdserverpb.KV/DeleteRange", &q.base, delete_range_response, &res);
    return res->header->revision;
}

static UNUSED void compact(int64_t revision)
{
    Etcdserverpb__CompactionRequest q = ETCDSERVERPB__COMPACTION_REQUEST__INIT;

    q.revision = revision;
    ASK_OK("/etcdserverpb.KV/Compact", &q.base, compaction_response, NULL);
}

/* ---- streams ---- */

struct flow {
    struct rpc *rpc;
    struct bytes messages[WORLD_MESSAGES_MAX]; /* in world.arena */
    size_t n;
    size_t wanted;
    bool reached; /* n >= wanted, or the end */
    bool ended;
    int code;
    char text[256];
};

static UNUSED void flow_message(struct rpc *r, struct bytes m, void *user)
{
    struct flow *f = user;

    (void) r;
    assert_true(f->n < WORLD_MESSAGES_MAX);
    f->messages[f->n++] = bytes_of(arena_dup(&world.arena, m.p, m.n), m.n);
    f->reached = f->reached || f->n >= f->wanted;
}

static UNUSED void flow_end(struct rpc *r, const struct rpc_result *res, void *user)
{
    struct flow *f = user;

    (void) r;
    f->rpc = NULL;
    f->ended = f->reached = true;
    f->code = res->code;
    snprintf(f->text, sizeof f->text, "%.*s", (int) res->message.n, (const char *) res->message.p);
}

static const UNUSED struct rpc_stream_callbacks flow_callbacks = {.on_message = flow_message,
                                                                  .on_end = flow_end};

static UNUSED void flow_open(struct flow *f, const char *path)
{
    struct rpc_options o = {.path = path, .user = f};

    memset(f, 0, sizeof *f);
    f->rpc = rpc_open(world.channel, &o, &flow_callbacks);
    assert_non_null(f->rpc);
}

static UNUSED void flow_send(struct flow *f, const ProtobufCMessage *m)
{
    struct bytes b = encoded(m);
    struct net_piece piece = net_piece_copied(b.p, b.n);

    assert_int_equal(rpc_send(f->rpc, &piece, 1), 0);
}

/* Waits until `n` messages have come in all, or the stream has ended. */
static UNUSED void flow_wait(struct flow *f, size_t n)
{
    f->wanted = n;
    f->reached = f->n >= n || f->ended;
    loop_run_until(world.loop, &f->reached);
}

static UNUSED void flow_wait_end(struct flow *f)
{
    f->wanted = SIZE_MAX;
    f->reached = f->ended;
    loop_run_until(world.loop, &f->reached);
}

static UNUSED void pause_fired(struct loop_timer *t);

struct pause_timer {
    struct loop_timer timer;
    bool over;
};

static UNUSED void pause_fired(struct loop_timer *t)
{
    CONTAINER_OF(t, struct pause_timer, timer)->over = true;
}

/* Lets the world run for a while: for what must not happen. */
static UNUSED void pause_ms(int64_t ms)
{
    struct pause_timer p = {.over = false};

    loop_timer_init(&p.timer, pause_fired);
    assert_int_equal(loop_timer_start(world.loop, &p.timer, ms), 0);
    loop_run_until(world.loop, &p.over);
}

/* ---- plain HTTP ---- */

/* One request on a connection of its own; the whole answer as text. */
static UNUSED const char *http_ask(const char *method, const char *path, const char *headers)
{
    static char text[4 << 20];
    struct sockaddr_in to = {.sin_family = AF_INET};
    char request[2048];
    size_t n = 0;
    ssize_t got;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    to.sin_port = htons(server_client_port(world.server));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (const struct sockaddr *) &to, sizeof to), 0);
    snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: x:1\r\nConnection: close\r\n%s\r\n",
             method, path, headers);
    assert_int_equal(write(fd, request, strlen(request)), (ssize_t) strlen(request));
    while ((got = read(fd, text + n, sizeof text - 1 - n)) > 0)
        n += (size_t) got;
    text[n] = 0;
    close(fd);
    return text;
}

static UNUSED const char *http_body(const char *answer)
{
    const char *p = strstr(answer, "\r\n\r\n");

    assert_non_null(p);
    return p + 4;
}

#endif
