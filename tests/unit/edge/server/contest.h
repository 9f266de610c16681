/* contest.h -- what the tests of Lock and Election share: leases, keys, and calls that wait. */
#ifndef KETCH_TESTS_UNIT_EDGE_SERVER_CONTEST_H
#define KETCH_TESTS_UNIT_EDGE_SERVER_CONTEST_H

#include "unit/edge/server/world.h"

#include "edge/server/server_int.h"

#define UNKNOWN 2
#define CROWD 1000 /* keys under a name: more than are looked at at once */
#define CROWD_TXN 100
#define LOOKING_PUTS_MAX 3000 /* until a test gives up */

static UNUSED void grant(int64_t id, int64_t ttl)
{
    Etcdserverpb__LeaseGrantRequest q = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;

    q.id = id;
    q.ttl = ttl;
    ASK_OK("/etcdserverpb.Lease/LeaseGrant", &q.base, lease_grant_response, NULL);
}

static UNUSED void end_lease(int64_t id)
{
    Etcdserverpb__LeaseRevokeRequest q = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;

    q.id = id;
    ASK_OK("/etcdserverpb.Lease/LeaseRevoke", &q.base, lease_revoke_response, NULL);
}

static UNUSED size_t leases(void)
{
    Etcdserverpb__LeaseLeasesRequest q = ETCDSERVERPB__LEASE_LEASES_REQUEST__INIT;
    Etcdserverpb__LeaseLeasesResponse *res;

    ASK_OK("/etcdserverpb.Lease/LeaseLeases", &q.base, lease_leases_response, &res);
    return res->n_leases;
}

/* All keys that begin with `prefix`. */
static UNUSED Etcdserverpb__RangeResponse *under(const char *prefix)
{
    Etcdserverpb__RangeRequest q = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RangeResponse *res;
    char end[64];

    snprintf(end, sizeof end, "%s", prefix);
    end[strlen(end) - 1]++;
    q.key = bin(prefix);
    q.range_end = bin(end);
    ASK_OK("/etcdserverpb.KV/Range", &q.base, range_response, &res);
    return res;
}

static UNUSED void wait_keys(const char *prefix, int64_t n)
{
    while (under(prefix)->count != n)
        pause_ms(1);
}

/* Keys <name>/x000 and so on, as anybody may put them. */
static UNUSED void put_crowd(const char *name)
{
    for (int first = 0; first < CROWD; first += CROWD_TXN) {
        static char keys[CROWD_TXN][64];
        static Etcdserverpb__PutRequest puts[CROWD_TXN];
        static Etcdserverpb__RequestOp ops[CROWD_TXN], *list[CROWD_TXN];
        Etcdserverpb__TxnRequest q = ETCDSERVERPB__TXN_REQUEST__INIT;

        for (int i = 0; i < CROWD_TXN; i++) {
            snprintf(keys[i], sizeof keys[i], "%s/x%03d", name, first + i);
            etcdserverpb__put_request__init(&puts[i]);
            etcdserverpb__request_op__init(&ops[i]);
            puts[i].key = bin(keys[i]);
            ops[i].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
            ops[i].request_put = &puts[i];
            list[i] = &ops[i];
        }
        q.success = list;
        q.n_success = CROWD_TXN;
        ASK_OK("/etcdserverpb.KV/Txn", &q.base, txn_response, NULL);
    }
}

/* Deletes what begins with `prefix`. */
static UNUSED void del_under(const char *prefix)
{
    Etcdserverpb__DeleteRangeRequest q = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    char end[64];

    snprintf(end, sizeof end, "%s", prefix);
    end[strlen(end) - 1]++;
    q.key = bin(prefix);
    q.range_end = bin(end);
    ASK_OK("/etcdserverpb.KV/DeleteRange", &q.base, delete_range_response, NULL);
}

static UNUSED bool is(ProtobufCBinaryData b, const char *text)
{
    return bytes_eq(wire_bytes(b), bytes_str(text));
}

/* ---- calls that wait ---- */

static UNUSED void begin(struct flow *f, const char *path, const ProtobufCMessage *q)
{
    flow_open(f, path);
    flow_send(f, q);
    rpc_half_close(f->rpc);
}

static UNUSED void *end_ok(struct flow *f, const ProtobufCMessageDescriptor *d)
{
    ProtobufCMessage *m;

    flow_wait_end(f);
    if (f->code != 0)
        fail_msg("code %d: %s", f->code, f->text);
    assert_int_equal(f->n, 1);
    assert_int_equal(wire_decode(d, f->messages[0], &world.arena, &m, NULL), 0);
    return m;
}

static UNUSED void ends_with(struct flow *f, int code, const char *text)
{
    flow_wait_end(f);
    assert_string_equal(f->text, text);
    assert_int_equal(f->code, code);
}

/* ---- looks in slices ---- */

/* Done on the loop of each I/O thread. */
struct on_loop {
    struct loop_task task;
    struct io *io;
    _Atomic bool done;
    size_t waiting;
};

static UNUSED struct on_loop on_each_loop(void (*run)(struct loop_task *t))
{
    struct on_loop all = {.waiting = 0};

    for (size_t i = 0; i < world.server->ios_n; i++) {
        struct on_loop one = {.task = {.run = run}, .io = &world.server->ios[i]};

        loop_post(one.io->loop, &one.task);
        while (!atomic_load(&one.done))
            usleep(100);
        all.waiting += one.waiting;
    }
    return all;
}

static UNUSED void hold(struct loop_task *t)
{
    struct on_loop *x = CONTAINER_OF(t, struct on_loop, task);

    for (size_t kind = 0; kind < LONG_READ_KINDS; kind++)
        x->io->long_reads.under_way_n[kind] += SERVER_READS_UNDER_WAY_MAX;
    atomic_store(&x->done, true);
}

static UNUSED void let_go(struct loop_task *t)
{
    struct on_loop *x = CONTAINER_OF(t, struct on_loop, task);

    for (size_t kind = 0; kind < LONG_READ_KINDS; kind++)
        x->io->long_reads.under_way_n[kind] -= SERVER_READS_UNDER_WAY_MAX;
    atomic_store(&x->done, true);
}

static UNUSED size_t line_length(const struct long_read *first)
{
    size_t n = 1;

    LIST_EACH (it, &first->link)
        n++;
    return n;
}

static UNUSED void count_waiting(struct loop_task *t)
{
    struct on_loop *x = CONTAINER_OF(t, struct on_loop, task);

    for (size_t kind = 0; kind < LONG_READ_KINDS; kind++)
        LIST_EACH (it, &x->io->long_reads.waiting[kind])
            x->waiting += line_length(CONTAINER_OF(it, struct long_read, line));
    atomic_store(&x->done, true);
}

/* From now on whatever takes slices waits for its first one. */
static UNUSED void hold_looks(void)
{
    on_each_loop(hold);
}

/* So many do, while others are served. */
static UNUSED void wait_looking(size_t n)
{
    for (int i = 0; on_each_loop(count_waiting).waiting != n; i++) {
        if (i == LOOKING_PUTS_MAX)
            fail_msg("%zu calls do not look in slices", n);
        put("served", "meanwhile");
    }
}

static UNUSED void wait_none_looks(void)
{
    wait_looking(0);
}

/* Those that wait begin when another read in slices comes to its thread: one of the crowd by value.
 */
static UNUSED void let_looks_go_on(const char *crowd)
{
    Etcdserverpb__RangeRequest q = ETCDSERVERPB__RANGE_REQUEST__INIT;
    char key[64], end[64];

    on_each_loop(let_go);
    snprintf(key, sizeof key, "%s/", crowd);
    snprintf(end, sizeof end, "%s0", crowd);
    q.key = bin(key);
    q.range_end = bin(end);
    q.limit = 1;
    q.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    q.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE;
    ASK_OK("/etcdserverpb.KV/Range", &q.base, range_response, NULL);
}

/* A call on a connection of its own, which may be lost. */
static UNUSED struct channel *begin_alone(struct flow *f, const char *path,
                                          const ProtobufCMessage *q)
{
    struct channel_options co = {.host = "127.0.0.1", .port = server_client_port(world.server)};
    struct channel *shared = world.channel;
    struct channel *own;
    struct err e = ERR_INIT;

    assert_int_equal(channel_new(world.loop, &co, &own, &e), 0);
    world.channel = own;
    begin(f, path, q);
    world.channel = shared;
    return own;
}

/* One that looks gives up; so many keys under m/ are left. */
static UNUSED void cancel_looking(struct flow *f, int64_t left)
{
    wait_looking(1);
    rpc_cancel(f->rpc);
    ends_with(f, 1, "context canceled");
    wait_keys("m/", left);
    wait_none_looks();
    let_looks_go_on("m");
}

/* Asked for the contest "m" under lease 1, with a crowd in it: a deadline that passes in the middle
 * of a look, and a connection that is lost, are a giving up, too. */
static UNUSED void lose_looking(const char *path, const ProtobufCMessage *q)
{
    struct answer a = {0};
    struct rpc_options o = {.path = path, .timeout_ms = 300, .user = &a};
    static struct flow f;
    struct channel *own;

    grant(1, 60);
    put_crowd("m");
    hold_looks();
    assert_non_null(rpc_unary(world.channel, &o, encoded(q), answer_end));
    loop_run_until(world.loop, &a.done);
    assert_int_equal(a.code, 4);
    wait_keys("m/", CROWD);
    wait_none_looks();

    own = begin_alone(&f, path, q);
    wait_looking(1);
    channel_free(own);
    wait_keys("m/", CROWD);
    wait_none_looks();
    let_looks_go_on("m");
}

#endif
