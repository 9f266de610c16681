/* actors_apart_test.c -- a member of three on real threads, over real files; the others are played
 * by what it sends to. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "engine/raft/raft.h"
#include "etcd/actors.h"
#include "lib/cm.h"
#include "lib/node/member.h"

#define TRIES 20000

struct world {
    char dir[64];
    struct actors actors;
    struct node *node;
    struct node_transport transport;
    struct node_sink sink;
    struct node_sink gate; /* who delivers here is kept */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool shut;
    _Atomic bool kept;
    _Atomic raft_id acknowledges; /* the one of the others that does so */
    _Atomic int heartbeats;
    _Atomic uint64_t commit; /* the highest that was sent */
};

struct request {
    struct node_request r;
    _Atomic bool answered;
};

NORETURN static void fatal(void *ctx, const char *why)
{
    (void) ctx;
    fprintf(stderr, "fatal: %s\n", why);
    abort();
}

static void pause_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

/* ---- the others ---- */

/* Both vote; one of them has whatever it is sent, so that nothing is committed before the member
 * has it on its own disk. */
static bool answer(struct world *w, const struct raft_message *m, struct raft_message *ret)
{
    raft_id none = RAFT_NONE;

    *ret = (struct raft_message){.from = m->to, .to = m->from, .term = m->term};
    switch (m->type) {
    case RAFT_MSG_PRE_VOTE:
        ret->type = RAFT_MSG_PRE_VOTE_RESP;
        return true;
    case RAFT_MSG_VOTE:
        ret->type = RAFT_MSG_VOTE_RESP;
        return true;
    case RAFT_MSG_APP:
        ret->type = RAFT_MSG_APP_RESP;
        ret->index = m->index + m->entries_n;
        atomic_compare_exchange_strong(&w->acknowledges, &none, m->to);
        return atomic_load(&w->acknowledges) == m->to;
    case RAFT_MSG_HEARTBEAT:
        ret->type = RAFT_MSG_HEARTBEAT_RESP;
        ret->context = m->context;
        return true;
    default:
        return false;
    }
}

/* Called by one actor. */
static void on_send(void *ctx, const struct raft_message *m, size_t n)
{
    struct world *w = ctx;

    for (size_t i = 0; i < n; i++) {
        struct raft_message a;

        if (m[i].type == RAFT_MSG_HEARTBEAT)
            atomic_fetch_add(&w->heartbeats, 1);
        if (m[i].commit > atomic_load(&w->commit))
            atomic_store(&w->commit, m[i].commit);
        if (answer(w, &m[i], &a))
            node_receive(w->node, member_message(&a));
    }
}

static void on_members(void *ctx, const struct cluster_view *v)
{
    (void) ctx;
    (void) v;
}

static mono_ns active_since(void *ctx, raft_id id)
{
    (void) ctx;
    (void) id;
    return 1;
}

static void on_ask(void *ctx, struct node_question *q)
{
    (void) ctx;
    q->done(q, 0, BYTES_EMPTY);
}

/* ---- requests ---- */

static void deliver(struct node_sink *s, struct node_request *first)
{
    (void) s;
    while (first != NULL) {
        struct node_request *next = first->next;

        atomic_store(&CONTAINER_OF(first, struct request, r)->answered, true);
        first = next;
    }
}

static void deliver_at_gate(struct node_sink *s, struct node_request *first)
{
    struct world *w = CONTAINER_OF(s, struct world, gate);

    pthread_mutex_lock(&w->lock);
    atomic_store(&w->kept, true);
    while (w->shut)
        pthread_cond_wait(&w->changed, &w->lock);
    pthread_mutex_unlock(&w->lock);
    deliver(s, first);
}

static void gate_set(struct world *w, bool shut)
{
    pthread_mutex_lock(&w->lock);
    w->shut = shut;
    atomic_store(&w->kept, false);
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

static struct request *ask(struct world *w, struct node_sink *sink, enum node_request_kind kind)
{
    static const uint8_t put[] = {0x0a, 1, 'k'}; /* PutRequest {1: "k"} */
    struct request *q = test_calloc(1, sizeof *q);

    q->r.kind = kind;
    q->r.sink = sink;
    q->r.arena = arena_new(1 << 20);
    q->r.op = NODE_OP_PUT;
    q->r.body = bytes_of(put, sizeof put);
    node_submit(w->node, &q->r);
    return q;
}

static void wait_answered(struct request *q)
{
    for (int i = 0; i < TRIES && !atomic_load(&q->answered); i++)
        pause_ms(1);
    assert_true(atomic_load(&q->answered));
    assert_int_equal(q->r.result.err, API_OK);
}

static void request_free(struct request *q)
{
    arena_free(q->r.arena);
    test_free(q);
}

/* ---- the member ---- */

static struct world *world_new(void)
{
    static const char *const names[] = {"m", "other", "third"};
    static const char *const urls[] = {"http://localhost:2380", "http://other:1", "http://third:1"};
    struct world *w = test_calloc(1, sizeof *w);
    struct node_env env = {.disk = disk_posix(),
                           .random = random_posix(),
                           .clock = clock_posix(),
                           .transport = &w->transport,
                           .wake = actors_wake,
                           .wake_ctx = &w->actors,
                           .fatal = fatal};
    struct node_config cfg;
    struct node_status st = {0};
    struct err e = ERR_INIT;

    snprintf(w->dir, sizeof w->dir, "/tmp/ketch-apart-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    w->transport = (struct node_transport){.send = on_send,
                                           .members = on_members,
                                           .active_since = active_since,
                                           .ask = on_ask,
                                           .ctx = w};
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    cfg = member_config(w->dir);
    cfg.initial_names = names;
    cfg.initial_urls = urls;
    cfg.initial_n = ARRAY_LEN(names);
    actors_init(&w->actors);
    assert_int_equal(node_open(&cfg, &env, clock_mono_ns(clock_posix()),
                               clock_wall_ms(clock_posix()), &w->node, &e),
                     0);
    w->sink.deliver = deliver;
    w->gate.deliver = deliver_at_gate;
    node_sink_add(w->node, &w->sink);
    node_sink_add(w->node, &w->gate);
    assert_int_equal(actors_start(&w->actors, w->node, &e), 0);
    for (int i = 0; i < TRIES && !st.ready; i++) {
        pause_ms(1);
        node_status(w->node, &st);
    }
    assert_true(st.ready);
    assert_true(st.is_leader);
    assert_false(node_is_alone(w->node));
    return w;
}

static void world_free(struct world *w)
{
    char command[128];

    node_stop(w->node);
    while (!node_stopped(w->node))
        pause_ms(1);
    actors_stop(&w->actors);
    node_close(w->node);
    snprintf(command, sizeof command, "rm -rf %s", w->dir);
    assert_int_equal(system(command), 0);
    test_free(w);
}

/* ---- the tests ---- */

/* While apply is at something for long, here at handing over an answer, heartbeats go out, and what
 * is proposed gets into the log, onto the disk and to a majority; it is answered when apply is
 * through.  Several times, so that each of the two threads has had to take over from the other. */
static void a_long_turn_of_apply_stops_no_heartbeat(void **state)
{
    struct world *w = world_new();

    (void) state;
    for (int i = 0; i < 4; i++) {
        struct request *list, *put;
        uint64_t commit = atomic_load(&w->commit);
        int heartbeats;

        gate_set(w, true);
        list = ask(w, &w->gate, NODE_REQ_LEASE_LIST);
        for (int k = 0; k < TRIES && !atomic_load(&w->kept); k++)
            pause_ms(1);
        assert_true(atomic_load(&w->kept));
        heartbeats = atomic_load(&w->heartbeats);
        put = ask(w, &w->sink, NODE_REQ_PROPOSE);
        for (int k = 0; k < TRIES && (atomic_load(&w->heartbeats) < heartbeats + 10 ||
                                      atomic_load(&w->commit) <= commit);
             k++)
            pause_ms(1);
        assert_true(atomic_load(&w->heartbeats) >= heartbeats + 10);
        assert_true(atomic_load(&w->commit) > commit);
        assert_false(atomic_load(&put->answered));
        assert_false(atomic_load(&list->answered));
        gate_set(w, false);
        wait_answered(list);
        wait_answered(put);
        request_free(list);
        request_free(put);
    }
    world_free(w);
}

/* What is proposed by many at once is answered once each, whoever runs what. */
static void every_put_is_answered(void **state)
{
    struct world *w = world_new();
    struct request *q[500];
    raft_index last = 0;

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(q); i++) {
        q[i] = ask(w, &w->sink, NODE_REQ_PROPOSE);
        if (i % 7 == 0)
            wait_answered(q[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(q); i++) {
        wait_answered(q[i]);
        assert_true(q[i]->r.index > last);
        last = q[i]->r.index;
        request_free(q[i]);
    }
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_turn_of_apply_stops_no_heartbeat),
        cmocka_unit_test(every_put_is_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
