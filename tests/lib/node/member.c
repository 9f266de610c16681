#include "lib/node/member.h"

#include "base/alloc.h"
#include "lib/node/node_defaults.h"

#define STEP_NS INT64_C(1000000)
#define MESSAGE_BYTES_MAX ((size_t) 64 << 20)

static mono_ns sim_mono(struct clock *c)
{
    return CONTAINER_OF(c, struct member, clock)->now;
}

static wall_ms sim_wall(struct clock *c)
{
    return INT64_C(1700000000000) + CONTAINER_OF(c, struct member, clock)->now / 1000000;
}

static void wake(void *ctx, enum node_actor which)
{
    ((struct member *) ctx)->woken[which] = true;
}

NORETURN static void die(void *ctx, const char *why)
{
    struct member *m = ctx;

    snprintf(m->died, sizeof m->died, "%s", why);
    longjmp(m->death, 1);
}

static void deliver(struct node_sink *s, struct node_request *first)
{
    struct member *m = CONTAINER_OF(s, struct member, sink);

    for (; first != NULL; first = first->next) {
        CONTAINER_OF(first, struct call, r)->answered = true;
        m->answered++;
    }
}

static void release(struct node_message *x)
{
    arena_done(&x->arena);
    payload_unref(x->block);
    mem_free(x);
}

struct node_message *member_message(const struct raft_message *m)
{
    struct node_message *x = xmem_calloc(1, sizeof *x);
    struct err e = ERR_INIT;

    arena_init(&x->arena, MESSAGE_BYTES_MAX);
    x->block = payload_new(raft_message_size(m));
    raft_message_put(m, x->block->data);
    x->release = release;
    if (raft_message_get(bytes_of(x->block->data, x->block->bytes), &x->arena, &x->m, &e) != 0)
        abort();
    for (size_t i = 0; i < x->m.entries_n; i++)
        x->m.entries[i].owner = x->block;
    return x;
}

struct node_config member_config(const char *data_dir)
{
    static const char *const names[] = {"m"}, *const urls[] = {"http://localhost:2380"};
    static const char *const clients[] = {"http://localhost:2379"};
    struct node_config c = node_defaults();

    c.name = "m";
    c.data_dir = data_dir;
    c.cluster_token = "etcd-cluster";
    c.initial_names = names;
    c.initial_urls = urls;
    c.initial_n = 1;
    c.peer_urls = urls;
    c.peer_urls_n = 1;
    c.client_urls = clients;
    c.client_urls_n = 1;
    c.wal_segment_bytes = 256 * 1024;
    return c;
}

void member_init(struct member *m, struct disk *disk, uint64_t seed)
{
    *m = (struct member){.disk = disk};
    random_seeded_init(&m->chance, seed);
    m->clock = (struct clock){sim_mono, sim_wall};
    m->now = STEP_NS;
    m->cfg = member_config("/data");
}

int member_open(struct member *m, struct err *e)
{
    struct node_env env = {.disk = m->disk,
                           .random = &m->chance.random,
                           .clock = &m->clock,
                           .log = m->log,
                           .transport = m->transport,
                           .wake = wake,
                           .wake_ctx = m,
                           .fatal = die,
                           .ctx = m};
    int rc;

    m->died[0] = '\0';
    m->node = NULL;
    for (int i = 0; i < NODE_ACTORS; i++) {
        m->woken[i] = true;
        m->again[i] = INT64_MAX;
    }
    if (setjmp(m->death) != 0)
        return -1;
    rc = node_open(&m->cfg, &env, m->now, sim_wall(&m->clock), &m->node, e);
    if (rc != 0)
        return rc;
    m->sink.deliver = deliver;
    node_sink_add(m->node, &m->sink);
    m->reader = mvcc_reader_new(node_mvcc(m->node));
    return 0;
}

static void turn(struct member *m, int i)
{
    int64_t again;

    m->woken[i] = false;
    again = node_run(m->node, (enum node_actor) i, m->now, sim_wall(&m->clock));
    m->again[i] = again < 0 ? INT64_MAX : m->now + again;
}

bool member_turn(struct member *m)
{
    volatile bool busy = false; /* it lives across the longjmp of a death */

    if (m->died[0] != '\0' || setjmp(m->death) != 0)
        return false;
    for (volatile int i = 0; i < NODE_ACTORS; i++) {
        if (!m->held[i] && (m->woken[i] || m->again[i] <= m->now)) {
            turn(m, i);
            busy = true;
        }
    }
    return busy;
}

bool member_run(struct member *m, int64_t ms, const bool *until)
{
    /* volatile: they live across the longjmp of a death */
    volatile mono_ns end = m->now + ms * 1000000;
    volatile bool busy;

    if (setjmp(m->death) != 0)
        return false;
    while (m->now < end && (until == NULL || !*until)) {
        busy = false;
        for (volatile int i = 0; i < NODE_ACTORS; i++) {
            if (m->woken[i] || m->again[i] <= m->now) {
                turn(m, i);
                busy = true;
            }
        }
        if (!busy || m->now % 7 == 0)
            m->now += STEP_NS;
        else
            m->now += 1000; /* a turn takes a microsecond */
    }
    return true;
}

void member_close(struct member *m)
{
    node_stop(m->node);
    for (int i = 0; i < 10000 && !node_stopped(m->node); i++) {
        for (int k = 0; k < NODE_ACTORS; k++)
            turn(m, k);
        m->now += STEP_NS;
    }
    ASSERT(node_stopped(m->node));
    mvcc_reader_free(m->reader);
    if (setjmp(m->death) == 0)
        node_close(m->node);
    m->node = NULL;
}

#if defined(__SANITIZE_ADDRESS__)
void __lsan_disable(void);
void __lsan_enable(void);
#endif

void member_may_die(void)
{
#if defined(__SANITIZE_ADDRESS__)
    __lsan_disable();
#endif
}

void member_must_live(void)
{
#if defined(__SANITIZE_ADDRESS__)
    __lsan_enable();
#endif
}

void member_abandon(struct member *m)
{
    m->node = NULL;
}

struct call *member_submit_as(struct member *m, uint32_t op, const ProtobufCMessage *msg,
                              const char *user, uint64_t auth_revision)
{
    struct call *c = xmem_calloc(1, sizeof *c);
    struct buf body;

    c->r.kind = NODE_REQ_PROPOSE;
    c->r.sink = &m->sink;
    c->r.arena = arena_new((size_t) 64 << 20);
    c->r.op = op;
    c->r.username = user;
    c->r.auth_revision = auth_revision;
    buf_init(&body, (size_t) 16 << 20);
    if (!wire_encode(msg, &body))
        abort();
    c->r.body = bytes_of(arena_dup(c->r.arena, body.p, body.len), body.len);
    buf_done(&body);
    node_submit(m->node, &c->r);
    return c;
}

struct call *member_submit(struct member *m, uint32_t op, const ProtobufCMessage *msg)
{
    return member_submit_as(m, op, msg, NULL, 0);
}

struct call *member_propose(struct member *m, uint32_t op, const ProtobufCMessage *msg)
{
    struct call *c = member_submit(m, op, msg);

    member_run(m, 20000, &c->answered);
    return c;
}

struct call *member_ask(struct member *m, enum node_request_kind kind, int64_t number)
{
    struct call *c = xmem_calloc(1, sizeof *c);

    c->r.kind = kind;
    c->r.sink = &m->sink;
    c->r.arena = arena_new((size_t) 64 << 20);
    c->r.lease_id = c->r.revision = number;
    c->r.keys = true;
    node_submit(m->node, &c->r);
    member_run(m, 60000, &c->answered);
    return c;
}

void call_free(struct call *c)
{
    arena_free(c->r.arena);
    mem_free(c);
}

int64_t member_put(struct member *m, const char *key, const char *value)
{
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct call *c;
    int64_t revision = 0;

    put.key = wire_binary(bytes_str(key));
    put.value = wire_binary(bytes_str(value));
    c = member_propose(m, 4, &put.base);
    if (!c->answered)
        return 0; /* died: the request is the dead node's */
    if (c->r.result.err == API_OK && c->r.result.code == GRPC_OK)
        revision = c->r.result.put.revision;
    call_free(c);
    return revision;
}

bool member_get(struct member *m, const char *key, char *ret, size_t n, int64_t *ret_mod)
{
    const struct mvcc_view *v = mvcc_view_pin(m->reader);
    Mvccpb__KeyValue *kv;
    struct bytes bytes;
    struct arena a;
    bool found = mvcc_view_get(v, bytes_str(key), mvcc_view_revision(v), &bytes);

    arena_init(&a, 1 << 20);
    if (found && WIRE_DECODE(mvccpb__key_value, bytes, &a, &kv, NULL) == 0) {
        snprintf(ret, n, "%.*s", (int) kv->value.len, (const char *) kv->value.data);
        *ret_mod = kv->mod_revision;
    }
    arena_done(&a);
    mvcc_view_unpin(v);
    return found;
}
